"""A sweep that was stopped goes on where it was, and only there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli import app
from pdnopt.sweeps import store
from tests.sweeps.halls import two_halls
from tests.sweeps.test_pool import start

pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")


@pytest.fixture(scope="module")
def net() -> Any:
    return pdnopt.load_case("two_feed")


def timeless(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["total_s"])


SCRIPT = """
import sys
import pdnopt
from pdnopt.sweeps import store

store.BATCH_ROWS = 4  # rows are on the disk soon, so that there are some when the process is killed

def tell(done, total, name):
    print(done, flush=True)

pdnopt.sweep(pdnopt.load_case("two_feed"), 2, ["ups", "bus"],
    resume=sys.argv[1], workers=int(sys.argv[2]), progress=tell)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_half_way_and_resumed(net: Any, tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "sweep.parquet"
    with start(SCRIPT, str(folder), str(workers)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "24":
                break
        process.kill()
    kept = pd.read_parquet(folder)
    assert 20 <= len(kept) < 55
    seen: list[tuple[int, int, str]] = []
    frame = pdnopt.sweep(
        net, 2, ["ups", "bus"], resume=folder, workers=1, progress=lambda *at: seen.append(at)
    )
    assert frame.attrs["resumed"] == len(kept) == seen[0][0]
    assert len(seen) == 1 + 55 - len(kept)  # only what was missing was done
    assert len(frame) == 55
    assert frame["contingency"].is_unique
    whole = pdnopt.sweep(net, 2, ["ups", "bus"], workers=1)
    pd.testing.assert_frame_equal(timeless(frame), timeless(whole), check_exact=True)
    on_disk = pd.read_parquet(folder)
    assert sorted(on_disk["contingency"]) == sorted(whole["contingency"])


def test_a_finished_sweep_is_read_back_as_it_was(net: Any, tmp_path: Path) -> None:
    loads = pd.DataFrame({0.5: 5.0, 0.9: 4.0}, index=net.load.index[net.load["kind"] != "ups_input"])
    how: dict[str, Any] = {"components": ["ups", "bus"], "loads": loads, "workers": 1, "plans": True}
    first = pdnopt.sweep(net, resume=tmp_path / "there", **how)
    again = pdnopt.sweep(net, resume=tmp_path / "there", **how)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert (first.attrs["resumed"], again.attrs["resumed"]) == (0, len(first))


def test_pruned_pairs_and_the_singles_behind_them_are_kept(tmp_path: Path) -> None:
    how: dict[str, Any] = {"k": 2, "components": ["ups", "bus"], "workers": 1}
    plant = two_halls()
    whole = pdnopt.sweep(plant, **how)
    assert whole.attrs["pruned"] > 0
    pdnopt.sweep(plant, resume=tmp_path, **how)
    for part in sorted(tmp_path.glob("part-*.parquet")):
        kept = pd.read_parquet(part)
        kept[kept["number"] % 3 == 0].to_parquet(part)
    frame = pdnopt.sweep(plant, resume=tmp_path, **how)
    assert frame.attrs["singles"] == 0
    pd.testing.assert_frame_equal(timeless(frame), timeless(whole), check_exact=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"horizon_s": 600.0}, "the keywords"),
        ({"components": ["ups"]}, "the contingencies"),
        ({"p_load_kw": pd.Series({0: 3.0})}, "the loads"),
        ({"net": "micro_ats_row"}, "the network"),
    ],
)
def test_another_sweep_is_refused(net: Any, tmp_path: Path, change: dict[str, Any], named: str) -> None:
    keywords: dict[str, Any] = {"components": ["ext_grid"], "resume": tmp_path, "workers": 1}
    pdnopt.sweep(net, **keywords)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = pdnopt.load_case(change.pop("net")) if "net" in change else net
    with pytest.raises(pdnopt.InputError, match=f"another sweep: .*{named}"):
        pdnopt.sweep(other, **{**keywords, **change})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folders_that_are_none_of_a_sweep_are_refused(net: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not rows")
    with pytest.raises(pdnopt.InputError, match="other files"):
        pdnopt.sweep(net, components=["ups"], resume=tmp_path)
    with pytest.raises(pdnopt.InputError, match="a folder that can be written"):
        pdnopt.sweep(net, components=["ups"], resume=tmp_path / "mine.txt")
    done = CliRunner().invoke(app, ["sweep", "two_feed", "--resume", str(tmp_path)])
    assert (done.exit_code, "Choose another folder" in done.output) == (2, True)


def test_a_damaged_file_is_named(net: Any, tmp_path: Path) -> None:
    pdnopt.sweep(net, components=["ext_grid"], resume=tmp_path, workers=1)
    part = next(tmp_path.glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(pdnopt.InputError, match=f"Delete .*{part.name}"):
        pdnopt.sweep(net, components=["ext_grid"], resume=tmp_path, workers=1)
    part.unlink()
    assert len(pdnopt.sweep(net, components=["ext_grid"], resume=tmp_path, workers=1)) == 3


def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with store.Store(tmp_path, {"a": "1"}), pytest.raises(pdnopt.InputError, match="still running"):
        store.Store(tmp_path, {"a": "1"})
    store.Store(tmp_path, {"a": "1"}).close()


def test_a_batch_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies between writing and naming a file: what is left of it is no row."""
    with store.Store(tmp_path, {"a": "1"}) as kept:
        kept.add({"number": 0, "contingency": "x"})
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        second = store.Store(tmp_path, {"a": "1"})
        second.add({"number": 1, "contingency": "y"})
        with pytest.raises(OSError, match="no space"):
            second.close()
    assert pd.read_parquet(tmp_path)["number"].tolist() == [0]
    with store.Store(tmp_path, {"a": "1"}) as third:
        assert [row["number"] for row in third.rows] == [0]
    assert not list(tmp_path.glob(".part-*"))
    shutil.rmtree(tmp_path)
