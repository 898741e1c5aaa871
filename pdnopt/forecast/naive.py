"""Forecasts without a model: the last value, and the value a season ago.

Quantiles are those of the published protocol's seasonal naive, whose scores they reproduce (SQL 1.2069 on ETT_1H, 1.0751 on
gfc14): normal, with the root mean square of the residuals over the last `context` steps, growing with the root of the
number of steps (or seasons) ahead (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., table 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import ndtri

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.clock import season_of, wall_lag
from pdnopt.forecast.estimator import DECILES, check_horizon, check_quantiles, quantile_frame
from pdnopt.forecast.history import History, read_history
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LastValue", "SeasonalNaive"]

CONTEXT = 1000
"""Steps that the residuals are taken from: what the published scores were computed with."""


class Naive:
    """What both naive forecasters share.

    Parameters
    ----------
    context : int
        Steps that the residuals are taken from.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    name = "naive"

    def __init__(self, context: int = CONTEXT, allow_negative: bool = False) -> None:
        self.context = context
        self.allow_negative = allow_negative
        self._history: History | None = None

    @property
    def history(self) -> History:
        """What the forecaster has seen. Raises InputError before `fit`."""
        if self._history is None:
            raise InputError(
                Issue("NotFitted", self.name, "", None, "a fitted forecaster", "Call fit first.")
            )
        return self._history

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Take in a history; covariates are not used."""
        self._history = read_history(history, allow_negative=self.allow_negative)
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; covariates are not used."""
        self._history = self.history.append(new, allow_negative=self.allow_negative)
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps; see `Forecaster.predict`. NaN for a circuit that was never measured."""
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        history = self.history
        future = history.future(horizon)
        middle, spread = self._forecast(history, future)
        kw = middle[:, :, None] + spread[:, :, None] * ndtri(q)
        if not self.allow_negative:
            kw = np.maximum(kw, 0.0)
        return quantile_frame(kw, future, history.circuits, q)

    def save(self, folder: Path) -> None:
        """Write the forecaster to a folder."""
        says, numbers = history_state(self.history)
        write_state(folder, self.name, {**says, "settings": self._settings()}, numbers)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote."""
        says, numbers = read_state(folder, cls.name)
        made = cls(**says["settings"])
        made._history = history_from(says, numbers)
        return made

    def _settings(self) -> dict[str, Any]:
        return {"context": self.context, "allow_negative": self.allow_negative}

    def _forecast(self, history: History, future: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
        """Return median and standard deviation in kW, both (H, C)."""
        raise NotImplementedError


class LastValue(Naive):
    """The last value that was measured, for every step ahead.

    The standard deviation grows with the root of the number of steps since that value.
    """

    name = "last_value"

    def _forecast(self, history: History, future: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
        kw = history.kw
        last, age = last_known(kw)
        recent = kw[-self.context :]
        sigma = root_mean_square(np.diff(recent, axis=0))
        steps = np.arange(1, len(future) + 1)[:, None] + age
        return np.broadcast_to(last, (len(future), kw.shape[1])), sigma * np.sqrt(steps)


class SeasonalNaive(Naive):
    """The value at the same wall-clock time a season ago.

    Parameters
    ----------
    season : int, optional
        Steps of a season; default: a day.
    context : int
        Steps that the residuals are taken from.
    allow_negative : bool
        Whether power may be negative.

    Notes
    -----
    Where that value is missing, the one a season before it is taken, and so on. The standard deviation grows with the root
    of the number of seasons between.
    """

    name = "seasonal_naive"

    def __init__(
        self, season: int | None = None, context: int = CONTEXT, allow_negative: bool = False
    ) -> None:
        super().__init__(context, allow_negative)
        self.season = season

    def _settings(self) -> dict[str, Any]:
        return {"season": self.season, **super()._settings()}

    def _forecast(self, history: History, future: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
        season = self.season or season_of(history.step_s)
        recent = history.tail(self.context)
        rows = np.arange(len(recent)) - wall_lag(recent.index, season, recent.step_s)
        known = rows >= 0
        sigma = root_mean_square(recent.kw[known] - recent.kw[rows[known]])
        middle, seasons = season_ago(history, future, season)
        return middle, sigma * np.sqrt(seasons)


def last_known(kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the last measured value of each circuit and how many steps before the end it lies, both (C,)."""
    known = np.isfinite(kw)
    age = np.where(known.any(axis=0), np.argmax(known[::-1], axis=0), 0)
    return kw[len(kw) - 1 - age, np.arange(kw.shape[1])], age


def season_ago(history: History, future: pd.DatetimeIndex, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the latest value measured at the same wall-clock time, and how many seasons lie between; both (H, C).

    NaN, and the most seasons that there are, where nothing was measured at that time of day.
    """
    import pandas as pd

    kw, n = history.kw, len(history)
    steps, circuits = len(future), kw.shape[1]
    rows = n + np.arange(steps)
    stamps = future
    seasons = np.zeros((steps, circuits))
    value = np.full((steps, circuits), np.nan)
    step = pd.Timedelta(seconds=history.step_s)
    while (rows >= 0).any() and not np.isfinite(value).all():
        lag = wall_lag(stamps, season, history.step_s)
        rows, stamps = rows - lag, stamps - lag * step
        wanted = ~np.isfinite(value)
        seasons += wanted
        have = (rows >= 0) & (rows < n)
        found = np.full((steps, circuits), np.nan)
        found[have] = kw[rows[have]]
        value = np.where(wanted, found, value)
    return value, np.maximum(seasons, 1.0)


def root_mean_square(residual: np.ndarray) -> np.ndarray:
    """Return the root mean square along time, over what is finite; NaN where nothing is: (T, C) -> (C,)."""
    known = np.isfinite(residual)
    count = known.sum(axis=0)
    total = np.where(known, residual, 0.0) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total.sum(axis=0) / count))
