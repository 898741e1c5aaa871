"""The disk under a journal, handed in so that a test can let it fail, and what is raised when it does."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol

from pdnopt.errors import PdnoptError

__all__ = ["Disk", "JournalError", "SystemDisk"]

BUSY_S = 5.0


class JournalError(PdnoptError, RuntimeError):
    """The journal cannot be written or read any more. Fatal to commands: none is sent, and nothing is tried again.

    A failed fsync may have thrown away what it was to write (Linux marks the pages clean), so that a second one that
    succeeds proves nothing.
    """


class Disk(Protocol):
    """What the journal asks of a disk."""

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open the database, in autocommit mode; ``sqlite3.Error`` where it cannot be."""


class SystemDisk:
    """The machine's."""

    def connect(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
