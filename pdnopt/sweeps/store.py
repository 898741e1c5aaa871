"""The rows of a sweep in a folder of Parquet files, so that it can be stopped and resumed.

``pandas.read_parquet`` of the folder gives the rows. Each batch is a file of its own, which appears whole or not at all and
is on the disk before the next one is begun: what a crash costs is the batch that it interrupts. Names with an underscore in
front are not rows: ``_sweep.json`` says which sweep it is, ``_lock`` is held while one runs, ``_singles`` has the single
failures that pairs are pruned with.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd

from pdnopt.disk import flush
from pdnopt.errors import InputError, Issue
from pdnopt.sweeps.rows import Row

__all__ = ["Store"]

BATCH_ROWS, BATCH_S = 256, 5.0
"""Rows are written when there are so many, or when the last were written so long ago."""


class Store:
    """A folder of rows. Close it, or use it as a context: what is waiting is written then.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.
    signature : mapping of str to str
        What the rows are of, by what it is called: all must be as it was when the folder was begun.

    Raises
    ------
    InputError
        The extra ``parquet`` is missing; not a folder of a sweep, or of another one; in use; not writable.
    """

    def __init__(self, folder: str | Path, signature: Mapping[str, str]) -> None:
        _need_pyarrow()
        self.folder = Path(folder)
        self._waiting: list[Row] = []
        self._lock: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._claim(dict(signature))
            self.rows: list[Row] = self._read()
        except OSError as error:
            self._unlock()
            raise self._refused(error.strerror or str(error), "a folder that can be written") from None
        except InputError:
            self._unlock()
            raise
        self._written_at = time.monotonic()

    def add(self, row: Row) -> None:
        """Keep a row; it is on the disk after `BATCH_S` at the latest, if rows go on coming."""
        self._waiting.append(row)
        if len(self._waiting) >= BATCH_ROWS or time.monotonic() - self._written_at >= BATCH_S:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            part = self.folder / f"part-{self._next:06d}.parquet"
            scratch = self.folder / f".{part.name}"
            pd.DataFrame(self._waiting).to_parquet(scratch, index=False)
            flush(scratch)
            os.replace(scratch, part)
            flush(self.folder)
            self._next += 1
            self._waiting = []
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Write what is waiting and let others use the folder."""
        try:
            self.flush()
        finally:
            self._unlock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> list[Row]:
        for scratch in self.folder.glob(".part-*"):  # of a run that was killed while writing
            scratch.unlink()
        parts = sorted(self.folder.glob("part-*.parquet"))
        self._next = int(parts[-1].stem.partition("-")[2]) + 1 if parts else 0
        rows: list[Row] = []
        for part in parts:
            try:
                records = pd.read_parquet(part).to_dict(orient="records")
            except (OSError, ValueError) as error:
                todo = f"Delete {part}; its contingencies are then solved again."
                raise InputError(
                    Issue("Format", "resume", "", str(error).splitlines()[0], "a Parquet file", todo)
                ) from None
            rows += [{str(key): value for key, value in row.items()} for row in records]
        return rows

    def _claim(self, signature: dict[str, str]) -> None:
        """Write down which sweep the folder is of, or find that it is this one."""
        path = self.folder / "_sweep.json"
        if not path.exists():
            if any(item.name not in ("_lock", "_sweep.json.new") for item in self.folder.iterdir()):
                raise self._refused("other files", "a new folder, or that of a sweep")
            scratch = path.with_suffix(".json.new")
            scratch.write_text(json.dumps(signature, indent=2) + "\n", encoding="utf-8")
            flush(scratch)
            os.replace(scratch, path)
            flush(self.folder)
            return
        try:
            was = json.loads(path.read_text(encoding="utf-8"))
            differs = [name for name in {**was, **signature} if was.get(name) != signature.get(name)]
        except (ValueError, TypeError, AttributeError):
            raise self._refused("a damaged _sweep.json", "the folder of a sweep") from None
        if differs:
            what = f"rows of another sweep: {', '.join(differs)} differ{'s' if len(differs) == 1 else ''}"
            raise self._refused(what, "the same network and keywords")

    def _refused(self, found: str, allowed: str) -> InputError:
        todo = "Choose another folder, or delete this one to begin anew."
        return InputError(Issue("Resume", "resume", str(self.folder), found, allowed, todo))

    def _take_lock(self) -> None:
        with suppress(ImportError):  # no fcntl: on Windows nothing keeps two sweeps apart
            import fcntl

            self._lock = os.open(self.folder / "_lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._refused("a sweep that is still running", "a folder that no sweep uses") from None

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        todo = "Install it: python -m pip install 'pdnopt[parquet]'"
        issue = Issue("Missing", "resume", "", "pyarrow is not installed", "the extra 'parquet'", todo)
        raise InputError(issue) from None
