"""A detector's state as a file: whole or not at all, and nothing in it is run when it is read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.risk.detector_history import Floats

__all__ = ["read_state", "refusal", "write_state"]

FORMAT = 2
STATE = "state"


def write_state(path: str | Path, state: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
    """Write plain values and arrays to an ``.npz`` file; it is written beside its place and then moved there.

    Raises
    ------
    InputError
        The place cannot be written.
    """
    path, scratch = Path(path), ""
    content: dict[str, Any] = {STATE: np.array(json.dumps({"format": FORMAT, **state})), **arrays}
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            scratch = file.name
            np.savez_compressed(file, **content)
        os.replace(scratch, path)
    except OSError as error:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        raise refusal(path, error, "a place that can be written", "Check path and permissions.") from None


def read_state(path: str | Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Return what `write_state` wrote.

    Raises
    ------
    InputError
        The file is absent, damaged, no such state, or of another version.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
            state = json.loads(str(arrays.pop(STATE)))
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, this version reads {FORMAT}")
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise refusal(path, error) from None
    return state, arrays


def refusal(
    path: str | Path,
    error: Exception,
    allowed: str = "a detector's state",
    todo: str = "Give a file that StreamingDetector.save wrote, or begin anew.",
) -> InputError:
    """Return the error that names a file and what is wrong with it."""
    return InputError(Issue("File", "detector.file", str(path), str(error), allowed, todo))
