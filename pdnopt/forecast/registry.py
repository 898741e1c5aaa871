"""Trained models in versions: what each is made of, which one is deployed, and the way back.

The format, which a node's agent reads too::

    ROOT/
      versions/
        0001/                  never changed once it is there
          manifest.json        what it is; see below
          forecaster.json      and the other files that the forecaster's `save` wrote
          ...
      deployed.json            {"current": "0003", "manifest_sha256": "...", "history": [...]}

``manifest.json`` holds ``format`` (1), ``version``, ``model`` (the forecaster's name), ``created`` (UTC), ``parent``
(the version that was deployed then, or null), ``code`` (pdnopt, Python and libraries), ``data`` (SHA-256 of the values
and time stamps, begin, end, rows, step, circuits, and the SHA-256 of the covariates or null), ``trained_until``,
``settings``, ``scores`` (of it and of the deployed model on the same windows), ``verdict`` and ``files`` (name ->
SHA-256 and bytes).

*Nothing is half written.* A version is written to a folder beside and renamed; ``deployed.json`` is written beside,
flushed to the disk and put in place by one rename. Whoever reads sees the old state or the new one.

*Nothing altered is loaded.* ``deployed.json`` holds the SHA-256 of the manifest, the manifest that of every file; a
file that differs, lacks or is there besides is refused [ArtefactAltered]. This finds damage and carelessness; whoever
may write to ROOT can write a consistent lie, so keep it writable for the trainer only. Nothing is pickled and no file
names code: the class behind the name in ``forecaster.json`` comes from `catalogue.FORECASTERS`.

One trainer at a time writes to a registry; `promote` refuses when another version was deployed since its scores were
made.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pdnopt import __version__
from pdnopt.disk import flush
from pdnopt.errors import InputError, Issue
from pdnopt.forecast.catalogue import load_forecaster
from pdnopt.forecast.estimator import Forecaster

__all__ = ["Deployment", "Registry", "code_version", "load_artefact", "open_forecaster"]

FORMAT = 1
MANIFEST, DEPLOYED, VERSIONS = "manifest.json", "deployed.json", "versions"
MAX_MANIFEST = 2**20
VERSION = re.compile(r"[0-9]{4,8}")
FILE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/){0,4}[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Deployment:
    """One entry of the history of what was deployed.

    Attributes
    ----------
    version : str
    at : str
        When, UTC.
    why : str
        ``"promoted"``, ``"promoted by hand"`` or ``"rolled back"``.
    manifest_sha256 : str
    """

    version: str
    at: str
    why: str
    manifest_sha256: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields as plain JSON values."""
        return dict(self.__dict__)


class Registry:
    """The versions in one folder.

    Parameters
    ----------
    root : Path
        Created when the first version is added.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def versions(self) -> list[str]:
        """Return the names of all versions, the oldest first."""
        folder = self.root / VERSIONS
        if not folder.is_dir():
            return []
        return sorted(
            (path.name for path in folder.iterdir() if VERSION.fullmatch(path.name) and path.is_dir()),
            key=int,
        )

    def history(self) -> list[Deployment]:
        """Return what was deployed, the oldest first; the last entry is what is deployed now.

        Raises
        ------
        InputError
            [ArtefactAltered] ``deployed.json`` cannot be read.
        """
        path = self.root / DEPLOYED
        if not path.exists():
            return []
        try:
            says = _read_json(path)
            entries = [
                Deployment(**{key: str(item[key]) for key in Deployment.__annotations__})
                for item in says["history"]
            ]
            if entries[-1].version != says["current"]:
                raise ValueError("current is not the last of history")
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            todo = "Restore it from a backup, or remove it and promote a version again."
            raise _altered(path, f"{type(error).__name__}: {error}", "the registry's record", todo) from None
        return entries

    def current(self) -> str | None:
        """Return the version that is deployed; None where there is none yet."""
        history = self.history()
        return history[-1].version if history else None

    def add(self, model: Forecaster, about: Mapping[str, Any]) -> str:
        """Keep a model as a new version, without deploying it; return the version's name.

        Parameters
        ----------
        model : Forecaster
            Fitted, of a kind that `catalogue.FORECASTERS` has.
        about : mapping
            JSON values for the manifest: data, trained_until, settings, scores, verdict.
        """
        folder = self.root / VERSIONS
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
        try:
            made.chmod(0o755)  # mkdtemp is for the trainer's eyes only; agents read versions
            model.save(made)
            files = {name: _file_entry(made / name) for name in _files(made)}
            for path in made.rglob("*"):
                flush(path)
            number = int((self.versions() or ["0"])[-1]) + 1
            while True:
                name = f"{number:04d}"
                manifest = {
                    "format": FORMAT,
                    "version": name,
                    "model": model.name,
                    "created": _now(),
                    "parent": self.current(),
                    "code": code_version(),
                    **about,
                    "files": files,
                }
                _write(made / MANIFEST, manifest)
                try:
                    made.rename(folder / name)
                    break
                except OSError:
                    if not (folder / name).exists():
                        raise
                    number += 1  # another trainer took it
            flush(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return name

    def manifest(self, name: str) -> dict[str, Any]:
        """Return a version's manifest, unchecked against its files.

        Raises
        ------
        InputError
            [ArtefactMissing] no such version; [ArtefactAltered] its manifest cannot be read.
        """
        return _read_manifest(self._folder(name))

    def load(self, name: str | None = None) -> Forecaster:
        """Return a version's forecaster, default: that of the deployed one; every file is compared with its hash first.

        Raises
        ------
        InputError
            [ArtefactMissing], [ArtefactAltered], and what the model's `load` finds.
        """
        expected = None
        if name is None:
            history = self.history()
            if not history:
                todo = "Train one: pdnopt forecast train."
                raise InputError(
                    Issue("ArtefactMissing", str(self.root), "", None, "a deployed version", todo)
                )
            name, expected = history[-1].version, history[-1].manifest_sha256
        return load_artefact(self._folder(name), expected)

    def promote(self, name: str, over: str | None, why: str = "promoted") -> None:
        """Deploy a version.

        Parameters
        ----------
        name : str
        over : str or None
            The version that was deployed when this one was judged.
        why : str

        Raises
        ------
        InputError
            [ArtefactMissing], [ArtefactAltered] the version cannot be loaded; [StateConflict] another version than
            `over` is deployed now.
        """
        folder = self._folder(name)
        load_artefact(folder)  # what cannot be loaded is not deployed
        history = self.history()
        now = history[-1].version if history else None
        if now != over:
            todo = "Compare the new version with what is deployed now: train again."
            raise InputError(Issue("StateConflict", DEPLOYED, name, now, f"version {over} deployed", todo))
        self._deploy([*history, Deployment(name, _now(), why, _sha256(folder / MANIFEST))])

    def roll_back(self) -> str:
        """Deploy what was deployed before the present version, and return its name.

        Rolling back twice goes back two versions: the present one's own deployment is what is undone.

        Raises
        ------
        InputError
            [StateConflict] there is nothing before; [ArtefactAltered] it has been altered since.
        """
        history = self.history()
        before = _before(history)
        if before is None:
            todo = "Nothing was deployed before; promote another version."
            found = history[-1].version if history else None
            raise InputError(Issue("StateConflict", DEPLOYED, "", found, "an earlier deployment", todo))
        load_artefact(self._folder(before.version), before.manifest_sha256)
        entry = Deployment(before.version, _now(), "rolled back", before.manifest_sha256)
        self._deploy([*history, entry])
        return before.version

    def _deploy(self, history: list[Deployment]) -> None:
        last = history[-1]
        says = {
            "current": last.version,
            "manifest_sha256": last.manifest_sha256,
            "history": [entry.to_dict() for entry in history],
        }
        path = self.root / DEPLOYED
        beside = path.with_name(f".{DEPLOYED}.{os.getpid()}")
        try:
            _write(beside, says)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        flush(self.root)

    def _folder(self, name: str) -> Path:
        if not isinstance(name, str) or not VERSION.fullmatch(name) or name not in self.versions():
            allowed = ", ".join(self.versions()[-10:]) or "none yet"
            todo = "See pdnopt forecast list."
            raise InputError(Issue("ArtefactMissing", f"{self.root}/{VERSIONS}", "", name, allowed, todo))
        return self.root / VERSIONS / name


def load_artefact(folder: Path, manifest_sha256: str | None = None) -> Forecaster:
    """Return the forecaster in one version's folder, after comparing every file with its hash.

    Parameters
    ----------
    folder : Path
    manifest_sha256 : str, optional
        What the manifest's own hash must be.

    Raises
    ------
    InputError
        [ArtefactAltered] something differs from the manifest, all of it at once.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    todo = "Take another version, or train again; do not repair the files by hand."
    issues: list[Issue] = []
    if manifest_sha256 is not None and _sha256(folder / MANIFEST) != manifest_sha256:
        found = _sha256(folder / MANIFEST)
        allowed = f"SHA-256 {manifest_sha256}, as deployed"
        issues.append(Issue("ArtefactAltered", str(folder / MANIFEST), "", found, allowed, todo))
    listed = manifest["files"]
    for name in sorted({*_files(folder)} - {MANIFEST, *listed}):
        allowed = "only files that the manifest lists"
        issues.append(Issue("ArtefactAltered", str(folder / name), "", name, allowed, todo))
    for name, entry in listed.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            issues.append(Issue("ArtefactAltered", str(path), "", "missing", "a file", todo))
        elif (there := _file_entry(path)) != entry:
            issues.append(Issue("ArtefactAltered", str(path), "", there, str(entry), todo))
    if issues:
        raise InputError(issues)
    return load_forecaster(folder)


def open_forecaster(path: Path) -> Forecaster:
    """Return the forecaster in a folder: of a registry what is deployed, of a version that one, both compared with their
    hashes; else what a forecaster's `save` wrote, which has none.

    Raises
    ------
    InputError
        What `Registry.load`, `load_artefact` or `catalogue.load_forecaster` finds.
    """
    path = Path(path)
    if (path / VERSIONS).is_dir() or (path / DEPLOYED).exists():
        return Registry(path).load()
    if (path / MANIFEST).exists():
        return load_artefact(path)
    return load_forecaster(path)


def code_version() -> dict[str, str]:
    """Return what a model was made with: pdnopt, Python, and the libraries that are installed."""
    made = {"pdnopt": __version__, "python": platform.python_version()}
    for name in ("numpy", "pandas", "torch", "onnx", "onnxruntime", "lightgbm"):
        try:
            made[name] = version(name)
        except PackageNotFoundError:
            continue
    return made


def _before(history: list[Deployment]) -> Deployment | None:
    """Return the deployment that the present one replaced, looking through those that were rolled back since."""
    stack: list[Deployment] = []
    for entry in history:
        if entry.why == "rolled back" and len(stack) >= 2:
            stack.pop()
        else:
            stack.append(entry)
    return stack[-2] if len(stack) >= 2 else None


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    todo = "Take another version, or train again."
    try:
        manifest = _read_json(path)
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, not {FORMAT}")
        if not manifest["files"] or not all(FILE.fullmatch(name) for name in manifest["files"]):
            raise ValueError("names of files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _altered(
            path, f"{type(error).__name__}: {error}", f"a manifest of format {FORMAT}", todo
        ) from None
    return manifest


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_MANIFEST:
        raise ValueError(f"more than {MAX_MANIFEST} bytes")
    says = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(says, dict):
        raise ValueError("no object")
    return says


def _altered(path: Path, found: Any, allowed: str, todo: str) -> InputError:
    return InputError(Issue("ArtefactAltered", str(path), "", found, allowed, todo))


def _files(folder: Path) -> list[str]:
    """Return the files of a folder and of folders in it, by name from the folder on."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def _file_entry(path: Path) -> dict[str, Any]:
    return {"sha256": _sha256(path), "bytes": path.stat().st_size}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON and wait until the disk has it."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
