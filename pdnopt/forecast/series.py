"""Measurements as they lie in files, as the one wide frame in kW that forecasters take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.files import read_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UNITS_KW", "Source", "read_series"]

UNITS_KW = {"W": 1e-3, "kW": 1.0, "MW": 1e3}
"""kW of one unit."""


@dataclass(frozen=True)
class Source:
    """Which part of the files is meant.

    Attributes
    ----------
    timezone : str, optional
        Of time stamps without an offset.
    columns : tuple of str
        Columns that are read; none: all.
    unit : str
        "W", "kW" or "MW".
    since, until : str, optional
        First and last time.
    long : tuple of str, optional
        Names of the columns (circuit, time, value) of a table with one row a measurement; default: a wide table.
    """

    timezone: str | None = None
    columns: tuple[str, ...] = ()
    unit: str = "kW"
    since: str | None = None
    until: str | None = None
    long: tuple[str, str, str] | None = None


def read_series(paths: Sequence[Path], source: Source | None = None) -> tuple[pd.DataFrame, list[str] | None]:
    """Return the measurements of some files side by side, and the group of each circuit.

    Where there are several files, circuits are called "file:column", and the same column of all files is one group
    (`metrics`); of a single file all circuits are one group, None. Steps that are missing become gaps.

    Raises
    ------
    InputError
        Files that cannot be read [File], columns that are not there [Missing], a unit that is none [Enum]; all that
        `read_frame` finds.
    """
    import pandas as pd

    source = source or Source()
    if source.unit not in UNITS_KW:
        todo = "Say in which unit the file is."
        raise InputError(Issue("Enum", "unit", "", source.unit, ", ".join(UNITS_KW), todo))
    parts: dict[str, pd.DataFrame] = {}
    for path in map(Path, paths):
        if path.stem in parts:
            raise InputError(
                Issue("NotUnique", "data", "", str(path), "files of different names", "Rename one of them.")
            )
        parts[path.stem] = _part(path, source)
    groups = None
    if len(parts) == 1:
        frame = next(iter(parts.values()))
    else:
        groups = [str(column) for part in parts.values() for column in part.columns]
        frame = pd.concat([part.add_prefix(f"{name}:") for name, part in parts.items()], axis=1, sort=True)
    return frame * UNITS_KW[source.unit], groups


def _part(path: Path, source: Source) -> pd.DataFrame:
    frame = read_frame(path, source.timezone) if source.long is None else _read_long(path, source)
    lacking = [name for name in source.columns if name not in frame.columns]
    if lacking:
        known = [str(name) for name in frame.columns]
        raise InputError(
            [
                Issue("Missing", f"{path.name}.{name}", name, known, "a column of the file", "Correct it.")
                for name in lacking
            ]
        )
    if source.columns:
        frame = frame[list(source.columns)]
    try:
        frame = frame.loc[source.since : source.until]
    except (ValueError, TypeError, KeyError) as error:
        todo = "Write a date, 2024-05-31 for instance; rows must be in order of time."
        found = f"{source.since} to {source.until}"
        raise InputError(Issue("Format", "since, until", "", found, f"times ({error})", todo)) from None
    return _whole(frame)


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the rows that are missing as gaps, where its time stamps lie on one grid."""
    import pandas as pd

    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 3:
        return frame
    if not index.is_monotonic_increasing or not index.is_unique:
        return frame
    instants = index if index.tz is None else index.tz_convert(None)
    step = pd.Timedelta(np.median(np.diff(instants.to_numpy())))
    grid = pd.date_range(index[0], index[-1], freq=step)
    return frame.reindex(grid) if index.isin(grid).all() else frame


def _read_long(path: Path, source: Source) -> pd.DataFrame:
    """Return a table with one row a measurement as a wide frame."""
    import pandas as pd

    assert source.long is not None
    circuit, time, value = source.long
    todo = "Give a CSV or Parquet file with the columns that --long names."
    try:
        table = pd.read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else pd.read_csv(path)
    except ImportError:
        how = "Install it: pip install 'pdnopt[parquet]'; or give a CSV file."
        allowed = "the extra 'parquet' of pdnopt"
        raise InputError(Issue("MissingExtra", "data", "", str(path), allowed, how)) from None
    except (OSError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise InputError(Issue("File", "data", "", str(path), f"a readable file ({what})", todo)) from None
    lacking = [name for name in source.long if name not in table.columns]
    if lacking:
        known = [str(name) for name in table.columns]
        raise InputError(
            [
                Issue("Missing", f"{path.name}.{name}", name, known, "a column of the file", todo)
                for name in lacking
            ]
        )
    twice = table.duplicated([circuit, time])
    if twice.any():
        row = table.loc[twice].iloc[0]
        allowed = "one measurement a circuit and time"
        how = f"Remove repeated rows ({int(twice.sum())})."
        raise InputError(
            Issue("TimeOrder", f"{path.name}.{time}", str(row[circuit]), str(row[time]), allowed, how)
        )
    wide = table.pivot(index=time, columns=circuit, values=value).rename_axis(index=None, columns=None)
    try:
        wide.index = pd.DatetimeIndex(pd.to_datetime(wide.index))
        if wide.index.tz is None and source.timezone is not None:
            wide.index = wide.index.tz_localize(source.timezone, ambiguous="infer")
    except Exception as error:  # pandas, pytz and zoneinfo each have classes of their own for it
        what = str(error).splitlines()[0]
        how = "Write times in ISO 8601, or name the zone that the clock was in."
        allowed = "times that this timezone has"
        raise InputError(Issue("TimeOrder", f"{path.name}.{time}", "", what, allowed, how)) from None
    return wide
