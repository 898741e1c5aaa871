"""What has been measured: a wide frame of kW, read and checked at the border.

Faults are told all at once, each with where, what and what to do (names of the kinds in brackets): no timezone
[TimezoneRequired], time stamps that repeat or run backwards [TimeOrder], a step that is not constant [StepError], negative
power without being told that it may occur [NegativeLoad], values that a meter sends instead of a reading [NotAvailable],
infinities [NonFinite], circuits named twice [NotUnique]. NaN marks a gap and is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SENTINELS", "History", "check_index", "read_covariates", "read_history", "rows_at"]

SENTINELS = (32767.0, 32768.0, -32768.0, 65535.0, 2147483647.0, 4294967295.0, -2147483648.0)
"""What Modbus meters send for "not available": 0x7FFF, 0x8000 (unsigned and signed), 0xFFFF and their 32-bit forms."""

MOST = 5
"""Findings of one kind that are told for each circuit; the count of all is in the text."""


@dataclass(frozen=True)
class History:
    """Measured power of circuits.

    Attributes
    ----------
    index : DatetimeIndex, shape (T,)
        Time stamps with a timezone, a constant step apart (in absolute time: a day of daylight saving has 23 or 25 hours).
    circuits : tuple of str, shape (C,)
    kw : float, shape (T, C)
        Power in kW, NaN where nothing was measured.
    step_s : float
        Step in s.
    """

    index: pd.DatetimeIndex
    circuits: tuple[str, ...]
    kw: np.ndarray
    step_s: float

    def __len__(self) -> int:
        return len(self.index)

    def future(self, horizon: int) -> pd.DatetimeIndex:
        """Return the time stamps of the next `horizon` steps."""
        import pandas as pd

        step = pd.Timedelta(seconds=self.step_s)
        return pd.date_range(self.index[-1] + step, periods=horizon, freq=step)

    def tail(self, rows: int) -> History:
        """Return the last `rows` rows."""
        return History(self.index[-rows:], self.circuits, self.kw[-rows:], self.step_s)

    def head(self, rows: int) -> History:
        """Return the first `rows` rows."""
        return History(self.index[:rows], self.circuits, self.kw[:rows], self.step_s)

    def frame(self) -> pd.DataFrame:
        """Return the history as the wide frame that it was read from."""
        import pandas as pd

        return pd.DataFrame(self.kw, index=self.index, columns=list(self.circuits))

    def append(self, new: pd.DataFrame, allow_negative: bool = False) -> History:
        """Return this history with newer rows behind it; steps that are missing between the two become gaps.

        Raises
        ------
        InputError
            Rows that are not newer [TimeOrder], another step [StepError] or other circuits [InvalidId], and all that
            `read_history` finds.
        """
        import pandas as pd

        step = pd.Timedelta(seconds=self.step_s)
        later = read_history(new, allow_negative=allow_negative, path="new", step_s=self.step_s)
        issues = _circuits_differ(later.circuits, self.circuits)
        if later.index[0] <= self.index[-1]:
            allowed = f"later than {self.index[-1]}"
            todo = "Leave out the rows that the forecaster already has."
            issues.append(Issue("TimeOrder", "new.index", "", str(later.index[0]), allowed, todo))
        elif (later.index[0] - self.index[-1]) % step:
            allowed = f"a whole number of steps of {self.step_s:g} s after {self.index[-1]}"
            issues.append(
                Issue("StepError", "new.index", "", str(later.index[0]), allowed, "Resample the new rows.")
            )
        if issues:
            raise InputError(issues)
        index = pd.date_range(self.index[0], later.index[-1], freq=step)
        kw = np.full((len(index), len(self.circuits)), np.nan)
        kw[: len(self)] = self.kw
        order = [later.circuits.index(name) for name in self.circuits]
        kw[-len(later) :] = later.kw[:, order]
        return History(index, self.circuits, kw, self.step_s)


def read_history(
    frame: Any, *, allow_negative: bool = False, path: str = "history", step_s: float | None = None
) -> History:
    """Read and check a wide frame of measurements.

    Parameters
    ----------
    frame : DataFrame
        Index time stamps with a timezone and a constant step, columns circuits, kW, gaps NaN.
    allow_negative : bool
        Whether power may be negative (feeding back, or readings that are no power).
    path : str
        What the frame is called in messages.
    step_s : float, optional
        The step in s, where one row alone does not tell it.

    Raises
    ------
    InputError
        Every fault at once; the kinds are in the module's docstring.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        todo = "Give a DataFrame with a column for each circuit."
        raise InputError(Issue("Format", path, "", type(frame).__name__, "a DataFrame", todo))
    issues = [*check_index(frame.index, path, step_s), *_check_columns(frame, path)]
    kw, not_numbers = _numbers(frame, path)
    issues += not_numbers
    issues += _check_values(frame, kw, allow_negative, path)
    if issues:
        raise InputError(issues)
    index = pd.DatetimeIndex(frame.index)
    step = step_s if len(index) < 2 else (index[1] - index[0]).total_seconds()
    if step is None:
        todo = "Give two rows or more: the step is read from them."
        raise InputError(Issue("TooShort", f"{path}.index", "", len(index), "at least 2 rows", todo))
    return History(index, tuple(str(name) for name in frame.columns), kw, float(step))


def read_covariates(
    covariates: Any, index: pd.DatetimeIndex, names: Sequence[str] | None = None
) -> np.ndarray:
    """Return known covariates at the time stamps of `index`, shape (len(index), covariates).

    Parameters
    ----------
    covariates : DataFrame
        Index time stamps with a timezone, columns covariates. It may cover more than `index`.
    index : DatetimeIndex
        Where they are needed: the history for `fit`, the horizon for `predict`.
    names : sequence of str, optional
        Columns that must be there, in this order; default: all of the frame.

    Raises
    ------
    InputError
        Covariates that end before the horizon [HorizonError], columns that are missing [Missing], values that are not
        finite [NonFinite]; all at once.
    """
    import pandas as pd

    path = "covariates"
    if not isinstance(covariates, pd.DataFrame):
        todo = "Give a DataFrame with a row for each time stamp."
        raise InputError(Issue("Missing", path, "", type(covariates).__name__, "a DataFrame", todo))
    issues = check_index(covariates.index, path, None, constant=False)
    wanted = list(covariates.columns if names is None else names)
    issues += [
        Issue(
            "Missing", path, str(name), [str(n) for n in covariates.columns], f"a column {name!r}", "Add it."
        )
        for name in wanted
        if name not in covariates.columns
    ]
    if issues:
        raise InputError(issues)
    lacking = index[~index.isin(covariates.index)]
    if len(lacking):
        allowed = f"a row for each of {len(index)} time stamps from {index[0]} to {index[-1]}"
        todo = f"{len(lacking)} are missing, the first is {lacking[0]}: give longer covariates or a shorter horizon."
        raise InputError(Issue("HorizonError", f"{path}.index", "", len(covariates), allowed, todo))
    values = covariates.loc[index, wanted].to_numpy(float)
    for i, j in np.argwhere(~np.isfinite(values))[:MOST]:
        todo = "Fill the gap: a covariate must be known."
        issues.append(
            Issue("NonFinite", f"{path}[{index[i]}]", str(wanted[j]), values[i, j], "a finite number", todo)
        )
    if issues:
        raise InputError(issues)
    return np.asarray(values)


def rows_at(covariates: pd.DataFrame | None, index: pd.Index) -> pd.DataFrame | None:
    """Return the covariates at these time stamps; what is missing is left for `read_covariates` to tell."""
    return None if covariates is None else covariates.loc[covariates.index.isin(index)]


def check_index(index: Any, path: str, step_s: float | None = None, constant: bool = True) -> list[Issue]:
    """Return every fault of a time index: no times, no timezone, repeats, order, an uneven step."""
    import pandas as pd

    where = f"{path}.index"
    if not isinstance(index, pd.DatetimeIndex):
        todo = "Convert it with pandas.to_datetime(..., utc=True)."
        return [Issue("Format", where, "", str(index.dtype), "a DatetimeIndex", todo)]
    issues: list[Issue] = []
    if not len(index):
        return [Issue("Empty", where, "", 0, "at least one row", "Give the measurements.")]
    if index.hasnans:
        bad = int(np.flatnonzero(index.isna())[0])
        issues.append(Issue("TimeOrder", f"{where}[{bad}]", "", "NaT", "a time stamp", "Remove the row."))
    if index.tz is None:
        todo = (
            "Say which timezone the clock was in: frame.tz_localize('UTC'), or the site's zone with ambiguous= and "
            "nonexistent= for the hours of daylight saving."
        )
        issues.append(
            Issue("TimezoneRequired", where, "", str(index[0]), "time stamps with a timezone", todo)
        )
    instants = index if index.tz is None else index.tz_convert(None)
    gaps_s = np.diff(instants.as_unit("ns").to_numpy().astype("int64")) / 1e9
    back = np.flatnonzero(gaps_s <= 0)
    for k in back[:MOST]:
        what = "is there twice" if gaps_s[k] == 0 else f"comes after {index[k]}"
        todo = f"It {what}: remove repeated rows and sort by time ({len(back)} such rows)."
        issues.append(
            Issue("TimeOrder", f"{where}[{k + 1}]", "", str(index[k + 1]), f"later than {index[k]}", todo)
        )
    if issues or not constant or len(index) < 2:
        return issues
    step = float(step_s if step_s is not None else np.median(gaps_s))
    uneven = np.flatnonzero(np.abs(gaps_s - step) > 1e-6)
    if len(uneven):
        k = int(uneven[0])
        naive_hour = index.tz is not None and step >= 3600 and abs(gaps_s[k] - step) == 3600.0
        todo = (
            f"{len(uneven)} steps differ; give one row a step, with NaN where nothing was measured: "
            f"frame.asfreq('{step:g}s')."
            + (" An hour of daylight saving is missing or doubled: keep time in UTC." if naive_hour else "")
        )
        issues.append(
            Issue(
                "StepError",
                f"{where}[{k + 1}]",
                "",
                f"{gaps_s[k]:g} s after {index[k]}",
                f"{step:g} s after the row before",
                todo,
            )
        )
    return issues


def _check_columns(frame: pd.DataFrame, path: str) -> list[Issue]:
    names = [str(name) for name in frame.columns]
    if not names:
        return [Issue("Empty", f"{path}.columns", "", 0, "at least one circuit", "Give a column for each.")]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    return [
        Issue("NotUnique", f"{path}.columns", name, names.count(name), "one column a circuit", "Rename one.")
        for name in twice
    ]


def _numbers(frame: pd.DataFrame, path: str) -> tuple[np.ndarray, list[Issue]]:
    """Return the frame as floats; columns that hold anything else are told."""
    try:
        return frame.to_numpy(dtype=float, na_value=np.nan), []
    except (TypeError, ValueError):
        pass
    issues = []
    for k in range(frame.shape[1]):
        try:
            frame.iloc[:, k].to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError):
            name = str(frame.columns[k])
            todo = "Convert the column to numbers; mark gaps as NaN."
            issues.append(
                Issue("Format", f"{path}.{name}", name, str(frame.iloc[:, k].dtype), "numbers in kW", todo)
            )
    return np.zeros((len(frame), 0)), issues


def _check_values(frame: pd.DataFrame, kw: np.ndarray, allow_negative: bool, path: str) -> list[Issue]:
    """Return what is wrong with the values: infinities, sentinels, negative power."""
    sentinel = np.isin(kw, SENTINELS)
    checks = [
        (np.isinf(kw), "NonFinite", "a finite number of kW, or NaN for a gap", "Mark the gap as NaN."),
        (
            sentinel,
            "NotAvailable",
            "a reading",
            "A meter sends 0x7FFF, 0x8000 or the like for 'no value': mark it as NaN where it is decoded.",
        ),
    ]
    if not allow_negative:
        checks.append(
            (
                (kw < 0) & ~np.isinf(kw) & ~sentinel,
                "NegativeLoad",
                "0 kW or more",
                "Correct the sign, or say allow_negative=True where the circuit may feed back.",
            )
        )
    issues = []
    for bad, kind, allowed, todo in checks:
        for j in np.flatnonzero(bad.any(axis=0)):
            rows = np.flatnonzero(bad[:, j])
            name = str(frame.columns[int(j)])
            count = f" ({len(rows)} values)" if len(rows) > 1 else ""
            issues.append(
                Issue(
                    kind,
                    f"{path}[{frame.index[int(rows[0])]}]",
                    name,
                    float(kw[rows[0], j]),
                    allowed,
                    todo + count,
                )
            )
    return issues


def _circuits_differ(have: Sequence[str], want: Sequence[str]) -> list[Issue]:
    lacking = [name for name in want if name not in set(have)]
    strange = [name for name in have if name not in set(want)]
    issues = []
    if lacking:
        todo = "Give all circuits, NaN where one was not measured."
        issues.append(
            Issue("Missing", "new.columns", "", lacking[:MOST], "the circuits of the history", todo)
        )
    if strange:
        todo = "Fit again to forecast new circuits."
        issues.append(
            Issue("InvalidId", "new.columns", "", strange[:MOST], "the circuits of the history", todo)
        )
    return issues
