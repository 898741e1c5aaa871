"""Days on which people do not work as on others, by rule: no table that ends in some year."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CALENDARS", "is_holiday", "us_holidays"]

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6


def us_holidays(year: int) -> tuple[date, ...]:
    """Return the days on which the federal holidays of the United States are observed, and the day after Thanksgiving.

    A holiday on a Saturday is observed on the Friday before, one on a Sunday on the Monday after (5 U.S.C. 6103); New Year
    of the next year may so fall on 31 December. The day after Thanksgiving is no federal holiday, but few people work on it.
    """
    fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25), date(year + 1, 1, 1)]
    if year >= 2021:
        fixed.append(date(year, 6, 19))
    thanksgiving = _nth(year, 11, THURSDAY, 4)
    moving = [
        _nth(year, 1, MONDAY, 3),
        _nth(year, 2, MONDAY, 3),
        _nth(year, 6, MONDAY, 1) - timedelta(7),  # the last Monday of May
        _nth(year, 9, MONDAY, 1),
        _nth(year, 10, MONDAY, 2),
        thanksgiving,
        thanksgiving + timedelta(1),
    ]
    days = [_observed(day) for day in fixed] + moving
    return tuple(sorted(day for day in days if day.year == year))


CALENDARS = {"US": us_holidays}
"""Name of a calendar -> the holidays of a year."""


def is_holiday(index: pd.DatetimeIndex, calendar: str | None) -> np.ndarray:
    """Return 1 at the time stamps that lie on a holiday by the wall clock, else 0; shape (len(index),)."""
    if calendar is None or not len(index):
        return np.zeros(len(index))
    years = range(index[0].year, index[-1].year + 1)
    days = np.array([day for year in years for day in CALENDARS[calendar](year)], dtype="datetime64[D]")
    return np.isin(index.tz_localize(None).to_numpy().astype("datetime64[D]"), days).astype(float)


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    """Return the n-th such day of the week of a month."""
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))


def _observed(day: date) -> date:
    if day.weekday() == SATURDAY:
        return day - timedelta(1)
    return day + timedelta(1) if day.weekday() == SUNDAY else day
