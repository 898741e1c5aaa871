"""Measurements from a file: CSV, or Parquet with the extra ``parquet``. The first column, or the index, is the time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_frame"]


def read_frame(path: Path, timezone: str | None = None) -> pd.DataFrame:
    """Return a wide frame, time x circuit, as it stands in a file; `read_history` checks what is in it.

    Parameters
    ----------
    path : Path
        ``.csv`` with a header, times in the first column in ISO 8601; or ``.parquet``.
    timezone : str, optional
        Of times that have no UTC offset, for instance ``"Europe/Berlin"``; times that have one are converted to it. Default:
        UTC for times with an offset, and none for those without, which `read_history` then refuses.

    Raises
    ------
    InputError
        [File] it cannot be read; [TimeOrder] times that cannot be understood, or that this timezone does not have.
    """
    import pandas as pd

    path = Path(path)
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            if not isinstance(frame.index, pd.DatetimeIndex) and frame.shape[1]:
                frame = frame.set_index(frame.columns[0])
        else:
            frame = pd.read_csv(path, index_col=0)
    except ImportError:
        todo = "Install it: pip install 'pdnopt[parquet]'; or give a CSV file."
        raise InputError(
            Issue("MissingExtra", "data", "", str(path), "the extra 'parquet' of pdnopt", todo)
        ) from None
    except (OSError, ValueError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        todo = "Give a file with a header, times first, and a column for each circuit."
        raise InputError(
            Issue("File", "data", "", str(path), f"a CSV or Parquet file ({what})", todo)
        ) from None
    frame.index = _times(frame.index, timezone, path)
    return frame


def _times(index: pd.Index, timezone: str | None, path: Path) -> pd.DatetimeIndex:
    import pandas as pd

    try:
        try:
            times = pd.DatetimeIndex(pd.to_datetime(index))
        except ValueError:  # offsets that change with daylight saving
            times = pd.DatetimeIndex(pd.to_datetime(index, utc=True))
        if times.tz is not None:
            return times.tz_convert(timezone or "UTC")
        return times if timezone is None else times.tz_localize(timezone, ambiguous="infer")
    except (
        Exception
    ) as error:  # each way to misread a time has a class of its own in pandas, pytz and zoneinfo
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        todo = "Write times in ISO 8601 with their UTC offset, or name the zone that the clock was in."
        raise InputError(
            Issue("TimeOrder", "data.index", str(path), what, "times that this timezone has", todo)
        ) from None
