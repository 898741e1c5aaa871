"""What has been measured and what is known ahead, as arrays that features are gathered from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.forecast.clock import season_of, utc_offset_s

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Panel", "running_mean"]


@dataclass(frozen=True)
class Panel:
    """Circuits over time; T steps of the past, and of what is known ahead also F steps of the future.

    Attributes
    ----------
    value : float, shape (T, C)
        Power in units of each circuit's scale, NaN where nothing was measured.
    index : DatetimeIndex, shape (T + F,)
        With a timezone.
    known : float, shape (T + F, K)
        Covariates.
    holiday : float, shape (T + F,)
        1 on a holiday, else 0; empty where holidays are not told.
    step_s : float
        Step in s.
    """

    value: np.ndarray
    index: pd.DatetimeIndex
    known: np.ndarray
    holiday: np.ndarray
    step_s: float

    @cached_property
    def day(self) -> int:
        """Return how many steps a day has; where the step divides none, how many come nearest to it."""
        steps = season_of(self.step_s)
        return steps if steps > 1 else max(1, round(86_400 / self.step_s))

    @cached_property
    def ahead_of_utc(self) -> np.ndarray:
        """Return by how many steps the wall clock is ahead of UTC, shape (T + F,)."""
        return np.round(utc_offset_s(self.index) / self.step_s).astype(np.int64)

    @cached_property
    def hour(self) -> np.ndarray:
        """Return the hour of the day on the wall clock, shape (T + F,)."""
        return np.asarray(self.index.hour + self.index.minute / 60)

    @cached_property
    def weekday(self) -> np.ndarray:
        """Return the day of the week, Monday 0, shape (T + F,)."""
        return np.asarray(self.index.dayofweek)

    @cached_property
    def year_angle(self) -> np.ndarray:
        """Return the time of year as an angle, shape (T + F,)."""
        return np.asarray(2 * np.pi * self.index.dayofyear / 365.25)

    @cached_property
    def carried(self) -> np.ndarray:
        """Return the values with gaps filled by the last one before them, shape (T, C)."""
        row = np.where(np.isfinite(self.value), np.arange(len(self.value))[:, None], 0)
        return np.asarray(np.take_along_axis(self.value, np.maximum.accumulate(row, axis=0), axis=0))

    def at(self, row: np.ndarray, circuit: np.ndarray, latest: np.ndarray) -> np.ndarray:
        """Return values at rows; NaN before the first row and after `latest`, the last that may be looked at."""
        seen = (row >= 0) & (row <= latest)
        return np.where(seen, self.value[np.where(seen, row, 0), circuit], np.nan)

    def days_before(self, row: np.ndarray, days: np.ndarray | int) -> np.ndarray:
        """Return the rows at which the wall clock showed the same time so many days before."""
        earlier = row - self.day * np.asarray(days)
        shift = self.ahead_of_utc[np.maximum(earlier, 0)] - self.ahead_of_utc[row]
        return np.asarray(earlier - shift)

    def hours(self, count: float) -> int:
        """Return so many hours in steps, 1 at least."""
        return max(1, round(count * self.day / 24))


def running_mean(value: np.ndarray, steps: int) -> np.ndarray:
    """Return the mean of what is finite among the last `steps` rows, fewer at the beginning: (T, C) -> (T, C)."""
    finite = np.isfinite(value)
    total = _running_sum(np.where(finite, value, 0.0), steps)
    count = _running_sum(finite.astype(float), steps)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _running_sum(value: np.ndarray, steps: int) -> np.ndarray:
    total = np.cumsum(value, axis=0)
    total[steps:] -= total[:-steps].copy()
    return total
