"""What is on the disk, and not only on its way there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["flush"]


def flush(path: Path) -> None:
    """Wait until the disk has a file, or a folder's names.

    Windows opens no folders and flushes nothing that was opened to read: nothing is done there.
    """
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
