"""What a guard remembers across restarts: the highest token and number seen, and how the last command ended."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pdnopt.disk import flush
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.commands import Refusal, Reply

__all__ = ["Book", "FileMemory", "GuardMemory", "Remembered", "VolatileMemory"]


@dataclass(frozen=True)
class Remembered:
    """What must outlive the guard's process.

    Attributes
    ----------
    fencing : int
        The highest leader's token seen.
    sequence : int
        Of the last command that was operated, under ``last_fencing``.
    last_fencing : int
    last_id, last_digest : str
        The last command that was operated, and the SHA-256 of its canonical form.
    last_reply : Reply or None
        What was answered; None: the guard stopped while the device was being told.
    actuations : int
        How often the device has been told to move, ever.
    """

    fencing: int = 0
    sequence: int = 0
    last_fencing: int = 0
    last_id: str = ""
    last_digest: str = ""
    last_reply: Reply | None = None
    actuations: int = 0


class GuardMemory(Protocol):
    """Where it is kept. ``save`` returns when it would survive a power cut, or raises OSError."""

    def load(self) -> Remembered: ...

    def save(self, remembered: Remembered) -> None: ...


class VolatileMemory:
    """In this process only: for simulations, where a guard's restart keeps the object."""

    def __init__(self) -> None:
        self._kept = Remembered()

    def load(self) -> Remembered:
        return self._kept

    def save(self, remembered: Remembered) -> None:
        self._kept = remembered


class FileMemory:
    """One small JSON file, replaced as a whole: after a power cut it is the old one or the new one. For a node's device."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Remembered:
        """Return what was kept; a file that is not there is a new device.

        Raises
        ------
        InputError
            The file is damaged. Starting anew would let old commands in again, so a person must decide.
        """
        try:
            return _decoded(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Remembered()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged(self.path, repr(error)) from None

    def save(self, remembered: Remembered) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        with open(beside, "w", encoding="utf-8") as file:
            file.write(_encoded(remembered))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        flush(self.path.parent)


class Book:
    """What all guards of one gateway remember: one SQLite file, so that a new leader's token is one write for all.

    Raises
    ------
    InputError
        The file is damaged or cannot be opened. Starting anew would let old commands in again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._together = False
        try:
            self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL").fetchone()
            self._db.execute("PRAGMA synchronous=FULL")
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it is damaged")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS guard (device TEXT PRIMARY KEY, kept TEXT NOT NULL) STRICT"
            )
        except sqlite3.Error as error:
            raise _damaged(path, str(error)) from None

    def of(self, device: str) -> GuardMemory:
        """Return the part of one device."""
        return _Page(self, device)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write everything that is saved meanwhile at the end, at once. Raises OSError where that fails."""
        with self._lock:
            self._together = True
            try:
                self._run("BEGIN IMMEDIATE")
                yield
                self._run("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._together = False

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def load(self, device: str) -> Remembered:
        """Return what a device's guard remembers. Raises InputError as `FileMemory.load`."""
        with self._lock:
            row = self._db.execute("SELECT kept FROM guard WHERE device = ?", (device,)).fetchone()
        try:
            return Remembered() if row is None else _decoded(row[0])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged(self.path, f"{device}: {error!r}") from None

    def save(self, device: str, remembered: Remembered) -> None:
        """Keep it: on the disk at once, or with the others inside `together`. Raises OSError."""
        with self._lock:
            self._run("INSERT OR REPLACE INTO guard VALUES (?, ?)", device, _encoded(remembered))

    def _run(self, statement: str, *values: str) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from error


class _Page:
    """One device's part of a `Book`."""

    def __init__(self, book: Book, device: str) -> None:
        self._book, self._device = book, device

    def load(self) -> Remembered:
        return self._book.load(self._device)

    def save(self, remembered: Remembered) -> None:
        self._book.save(self._device, remembered)


def _encoded(remembered: Remembered) -> str:
    return json.dumps(asdict(remembered))


def _decoded(text: str) -> Remembered:
    data = json.loads(text)
    reply = data.pop("last_reply")
    if reply is not None:
        refusal = reply.pop("refusal")
        reply = Reply(refusal=Refusal(refusal) if refusal else None, **reply)
    kept = Remembered(last_reply=reply, **data)
    if not all(type(n) is int for n in (kept.fencing, kept.sequence, kept.last_fencing, kept.actuations)):
        raise TypeError("a number is missing")
    return kept


def _damaged(path: Path, found: str) -> InputError:
    todo = (
        "Look at the devices, then restore the file from a copy; without it old commands would be new again."
    )
    return InputError(Issue("Format", str(path), "", found, "what a guard wrote", todo))
