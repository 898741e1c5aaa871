"""A forecaster in a folder: JSON for what is said, npz for numbers. Nothing is pickled, and no file names code to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "history_from", "history_state", "read_state", "write_state"]

VERSION = 1
"""Of the layout of the files."""

SAYS, NUMBERS = "forecaster.json", "forecaster.npz"


def write_state(folder: Path, name: str, says: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> None:
    """Write what a forecaster is made of to a folder, which is created where it is missing.

    Parameters
    ----------
    folder : Path
    name : str
        The forecaster's name; `read_state` asks for it again.
    says : mapping
        JSON values.
    numbers : mapping of str to array
        Arrays of numbers.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"name": name, "version": VERSION, **says}, indent=2, sort_keys=True)
    (folder / SAYS).write_text(text + "\n", encoding="utf-8")
    with (folder / NUMBERS).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **numbers)


def read_state(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what `write_state` wrote.

    Raises
    ------
    InputError
        No such folder, another forecaster's folder, another version of the layout, files that cannot be read.
    """
    folder = Path(folder)
    todo = "Give a folder that a forecaster of this kind was saved to."
    try:
        says = json.loads((folder / SAYS).read_text(encoding="utf-8"))
        with np.load(folder / NUMBERS, allow_pickle=False) as file:
            numbers = {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        what = f"a saved forecaster ({type(error).__name__}: {error})"
        raise InputError(Issue("File", "folder", "", str(folder), what, todo)) from None
    found = says.get("name") if isinstance(says, dict) else None
    if found != name:
        raise InputError(Issue("Enum", f"{SAYS}.name", "", found, f"{name!r}", todo))
    if says.get("version") != VERSION:
        todo = "Fit and save again with this version of pdnopt."
        raise InputError(Issue("Version", f"{SAYS}.version", "", says.get("version"), f"{VERSION}", todo))
    return says, numbers


def history_state(history: History) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a history as JSON values and arrays."""
    import pandas as pd

    start = history.index[0]
    zone = str(history.index.tz)
    try:
        pd.Timestamp(0, unit="s", tz=zone)
    except Exception:  # a zone that has no name, such as tzlocal(): UTC says the same instants
        zone = "UTC"
    says = {
        "start": start.tz_convert("UTC").isoformat(),
        "zone": zone,
        "step_s": history.step_s,
        "circuits": list(history.circuits),
    }
    return says, {"kw": history.kw}


def history_from(says: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> History:
    """Return the history that `history_state` took apart."""
    import pandas as pd

    kw = numbers["kw"]
    step = pd.Timedelta(seconds=says["step_s"])
    index = pd.date_range(pd.Timestamp(says["start"]), periods=len(kw), freq=step).tz_convert(says["zone"])
    return History(index, tuple(says["circuits"]), kw, float(says["step_s"]))
