"""What is known of the future: the calendar, and covariates without unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.history import read_covariates
from pdnopt.forecast.holidays import is_holiday
from pdnopt.forecast.lstm.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CALENDAR", "Known", "calendar"]

CALENDAR = 10
"""Columns of the calendar."""


@dataclass(frozen=True)
class Known:
    """Which covariates there are, and what takes their unit away.

    Parameters
    ----------
    names : tuple of str
    mean, spread : ndarray
        Mean and standard deviation of each over the history that was trained on, in its own unit.
    holidays : str or None
    time_of_year : bool
        What the calendar has (`Settings`).
    """

    names: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray
    holidays: str | None = None
    time_of_year: bool = False

    @classmethod
    def read(
        cls, covariates: pd.DataFrame | None, index: pd.DatetimeIndex, settings: Settings
    ) -> tuple[Self, np.ndarray]:
        """Return what a history's covariates are, and their values at its time stamps, (T, covariates)."""
        told = settings.holidays, settings.time_of_year
        if covariates is None:
            return cls((), np.zeros(0), np.ones(0), *told), np.zeros((len(index), 0))
        values = read_covariates(covariates, index)
        spread = values.std(axis=0)
        names = tuple(str(name) for name in covariates.columns)
        return cls(names, values.mean(axis=0), np.where(spread > 0, spread, 1.0), *told), values

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return CALENDAR + len(self.names)

    def values(self, covariates: pd.DataFrame | None, index: pd.DatetimeIndex) -> np.ndarray:
        """Return the covariates' values at time stamps, (T, covariates), in their own units.

        Raises
        ------
        InputError
            [Missing] none were given, or not all; and what `read_covariates` finds.
        """
        if not self.names:
            return np.zeros((len(index), 0))
        if covariates is None:
            allowed = f"a frame with the columns {', '.join(self.names)}"
            todo = "The model was trained with covariates: give them here too."
            raise InputError(Issue("Missing", "covariates", "lstm", None, allowed, todo))
        return read_covariates(covariates, index, self.names)

    def columns(self, index: pd.DatetimeIndex, values: np.ndarray) -> np.ndarray:
        """Return calendar and covariates at time stamps, (T, width), without unit."""
        told = calendar(index, self.holidays, self.time_of_year)
        return np.column_stack([told, (values - self.mean) / self.spread]).astype(np.float32)


def calendar(index: pd.DatetimeIndex, holidays: str | None, time_of_year: bool) -> np.ndarray:
    """Return (T, CALENDAR): waves of the hour, the day of the week and the year; weekends; holidays. By the wall clock.

    What is not to be told is 0: the shape of a network does not depend on it.
    """
    hour = (index.hour + index.minute / 60 + index.second / 3600).to_numpy(float)
    day = index.dayofweek.to_numpy(float) + hour / 24
    year = index.dayofyear.to_numpy(float)
    turns = [hour / 24, 2 * hour / 24, day / 7, year / 365.25]
    parts = [1.0, 1.0, 1.0, float(time_of_year)]
    waves = [
        part * wave(2 * np.pi * turn)
        for turn, part in zip(turns, parts, strict=True)
        for wave in (np.sin, np.cos)
    ]
    weekend = (index.dayofweek.to_numpy() >= 5).astype(float)
    return np.column_stack([*waves, weekend, is_holiday(index, holidays)]).astype(np.float32)
