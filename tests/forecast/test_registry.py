"""Versions of models: nothing half written, nothing altered loaded, and the way back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.conformal import Calibrated
from pdnopt.forecast.naive import LastValue, SeasonalNaive
from pdnopt.forecast.registry import Registry, open_forecaster
from tests.forecast.synthetic import daily


def kinds(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [issue.kind for issue in error.value.issues]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(tmp_path / "models")
    for model in (LastValue(), SeasonalNaive(), LastValue(context=48)):
        made.add(model.fit(daily(10)), {"trained_until": "2025-01-10T23:00:00+00:00"})
    return made


def test_a_version_is_kept_with_what_it_was_made_of(registry: Registry) -> None:
    assert registry.versions() == ["0001", "0002", "0003"]
    assert registry.current() is None
    manifest = registry.manifest("0002")
    assert manifest["model"] == "seasonal_naive"
    assert manifest["parent"] is None
    assert manifest["code"]["pdnopt"]
    assert set(manifest["files"]) == {"forecaster.json", "forecaster.npz"}
    pd.testing.assert_frame_equal(
        registry.load("0002").predict(24), SeasonalNaive().fit(daily(10)).predict(24)
    )


def test_promote_and_roll_back(registry: Registry) -> None:
    for version, over in (("0001", None), ("0002", "0001"), ("0003", "0002")):
        registry.promote(version, over)
    assert registry.roll_back() == "0002"
    assert registry.roll_back() == "0001"
    with pytest.raises(InputError) as error:
        registry.roll_back()
    assert kinds(error) == ["StateConflict"]
    registry.promote("0003", "0001")
    assert registry.roll_back() == "0001"
    assert registry.load().name == "last_value"
    whys = [(entry.version, entry.why) for entry in registry.history()]
    assert whys[-2:] == [("0003", "promoted"), ("0001", "rolled back")]


def test_another_deployment_since_is_a_conflict(registry: Registry) -> None:
    registry.promote("0001", None)
    registry.promote("0002", "0001")
    with pytest.raises(InputError) as error:
        registry.promote("0003", "0001")
    assert kinds(error) == ["StateConflict"]
    assert registry.current() == "0002"


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_a_write_that_is_torn_leaves_the_old_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    registry.promote("0001", None)

    def torn(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(*{"replace": (Path, "replace"), "fsync": ("os.fsync",)}[moment], torn)
    with pytest.raises(OSError, match="full"):
        registry.promote("0002", "0001")
    with pytest.raises(OSError, match="full"):
        registry.add(SeasonalNaive().fit(daily(10)), {}) if moment == "fsync" else torn()
    monkeypatch.undo()
    assert registry.current() == "0001"
    assert registry.versions() == ["0001", "0002", "0003"]
    assert registry.load().name == "last_value"
    leftovers = [path.name for path in registry.root.rglob(".*")]
    assert leftovers == []


def test_what_a_killed_trainer_left_is_no_version(registry: Registry) -> None:
    (registry.root / "versions" / ".incoming-abc").mkdir()
    (registry.root / ".deployed.json.77").write_text("{")
    assert registry.versions() == ["0001", "0002", "0003"]
    assert registry.add(LastValue().fit(daily(10)), {}) == "0004"
    registry.promote("0004", None)
    assert registry.current() == "0004"


@pytest.mark.parametrize("what", ["altered", "missing", "besides", "linked"])
def test_files_that_differ_from_the_manifest_are_refused(registry: Registry, what: str) -> None:
    registry.promote("0001", None)
    folder = registry.root / "versions" / "0001"
    path = folder / "forecaster.npz"
    if what == "altered":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    elif what == "missing":
        path.unlink()
    elif what == "linked":
        path.rename(registry.root / "elsewhere")
        path.symlink_to(registry.root / "elsewhere")
    else:
        (folder / "more.txt").write_text("more")
    for load in (registry.load, lambda: registry.load("0001"), lambda: registry.promote("0001", "0001")):
        with pytest.raises(InputError) as error:
            load()
        assert kinds(error) == ["ArtefactAltered"]


def test_a_manifest_that_was_altered_with_its_files_is_refused_where_it_is_deployed(
    registry: Registry,
) -> None:
    registry.promote("0001", None)
    path = registry.root / "versions" / "0001" / "manifest.json"
    path.write_text(path.read_text().replace("+00:00", "+01:00"))
    with pytest.raises(InputError) as error:
        registry.load()
    assert kinds(error) == ["ArtefactAltered"]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("format", 2, "ArtefactAltered"),
        ("files", {"../../evil": {"sha256": "", "bytes": 0}}, "ArtefactAltered"),
        ("files", {}, "ArtefactAltered"),
        ("files", [], "ArtefactAltered"),
    ],
)
def test_a_manifest_reaches_no_code_and_no_other_folder(
    registry: Registry, key: str, value: object, kind: str
) -> None:
    path = registry.root / "versions" / "0001" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError) as error:
        registry.load("0001")
    assert kinds(error) == [kind]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"current": "0002", "history": []}', "\xff"])
def test_a_record_that_cannot_be_read_is_told(registry: Registry, text: str) -> None:
    registry.promote("0001", None)
    (registry.root / "deployed.json").write_text(text)
    with pytest.raises(InputError) as error:
        registry.load()
    assert kinds(error) == ["ArtefactAltered"]


@pytest.mark.parametrize("name", ["0009", "../0001", "", "1"])
def test_a_version_that_is_not_there(registry: Registry, name: str) -> None:
    with pytest.raises(InputError) as error:
        registry.load(name)
    assert kinds(error) == ["ArtefactMissing"]


def test_a_consistent_lie_still_reaches_no_code(registry: Registry) -> None:
    folder = registry.root / "versions" / "0001"
    says = {**json.loads((folder / "forecaster.json").read_text()), "name": "os.system"}
    (folder / "forecaster.json").write_text(json.dumps(says))
    data = (folder / "forecaster.json").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["forecaster.json"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError) as error:
        registry.load("0001")
    assert kinds(error) == ["Enum"]


def test_a_folder_is_opened_as_what_it_is(registry: Registry, tmp_path: Path) -> None:
    registry.promote("0002", None)
    SeasonalNaive(context=7).fit(daily(10)).save(tmp_path / "plain")
    assert open_forecaster(registry.root).name == "seasonal_naive"
    assert open_forecaster(registry.root / "versions" / "0001").name == "last_value"
    assert open_forecaster(tmp_path / "plain").name == "seasonal_naive"
    (registry.root / "versions" / "0002" / "forecaster.npz").write_bytes(b"")
    with pytest.raises(InputError) as error:
        open_forecaster(registry.root)
    assert kinds(error) == ["ArtefactAltered"]


def test_folders_in_a_version_are_compared_too(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    made = Calibrated(LastValue, horizon=6).fit(daily(20))
    registry.add(made, {})
    names = set(registry.manifest("0001")["files"])
    assert any("/" in name for name in names)
    pd.testing.assert_frame_equal(registry.load("0001").predict(6), made.predict(6))
    inner = next(name for name in sorted(names) if "/" in name)
    (registry.root / "versions" / "0001" / inner).write_bytes(b"")
    with pytest.raises(InputError) as error:
        registry.load("0001")
    assert kinds(error) == ["ArtefactAltered"]


def test_nothing_deployed(registry: Registry) -> None:
    with pytest.raises(InputError) as error:
        registry.load()
    assert kinds(error) == ["ArtefactMissing"]
