"""Forecasters that learn from how other forecasters did: what calibration and combination have in common.

The members are fitted on what lies before the first of the last windows of the history, forecast these windows one after
another, and each window that has come true is handed on to be learnt from. Later rows are treated the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.distribution import resample
from pdnopt.forecast.estimator import (
    DECILES,
    Forecaster,
    check_horizon,
    check_quantiles,
    quantile_array,
    quantile_frame,
)
from pdnopt.forecast.history import History, read_history, rows_at
from pdnopt.forecast.metrics import nanmean
from pdnopt.forecast.storage import history_from, history_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Follower", "Said"]

LEAST_WINDOWS = 3


@dataclass(frozen=True)
class Said:
    """What the members said at one moment.

    Attributes
    ----------
    row : int
        First row that was forecast, counted from the first ever seen.
    kw : float, shape (M, H, C, Q)
        Their deciles.
    scale_kw : float, shape (C,)
        What is large for each circuit: its mean over the last rows, of when it was last measured.
    note : object
        What the follower knew then.
    """

    row: int
    kw: np.ndarray
    scale_kw: np.ndarray
    note: Any


class Follower(ABC):
    """A forecaster over others.

    Parameters
    ----------
    makes : sequence of callable
        Each returns a member, not fitted.
    horizon : int
        Steps of a window.
    windows : int
        Windows at the end of the history that `fit` learns from.
    step : int, optional
        Steps between their origins; default: `horizon`.
    refit : bool
        Whether the members are fitted again on the whole history after that.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    name = "follower"

    def __init__(
        self,
        makes: Sequence[Callable[[], Forecaster]],
        horizon: int,
        windows: int,
        step: int | None,
        refit: bool,
        allow_negative: bool,
    ) -> None:
        self._makes = list(makes)
        self.horizon = check_horizon(horizon)
        self.windows, self.step = windows, step or horizon
        self.refit, self.allow_negative = refit, allow_negative
        self.members: list[Forecaster] = [make() for make in self._makes]
        self._tail: History | None = None
        self._rows = 0
        self._scale_kw: np.ndarray = np.zeros(0)
        self._waiting: list[Said] = []

    @abstractmethod
    def _begin(self, circuits: int) -> None:
        """Forget everything that was learnt."""

    @abstractmethod
    def _note(self) -> Any:
        """Return what is known now, to be kept with a forecast."""

    @abstractmethod
    def _learn(self, said: Said, actual_kw: np.ndarray) -> None:
        """Learn from a forecast that has come true; `actual_kw` (H, C) may have gaps."""

    @abstractmethod
    def _answer(self, said: Said) -> np.ndarray:
        """Return the deciles that are answered, (H, C, Q)."""

    @property
    def history(self) -> History:
        """The end of what was seen. Raises InputError before `fit`."""
        if self._tail is None:
            issue = Issue("NotFitted", self.name, "", None, "a fitted forecaster", "Call fit first.")
            raise InputError(issue)
        return self._tail

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Learn from the last windows, then fit the members on all if so told; see `Forecaster.fit`.

        Raises
        ------
        InputError
            A history too short for three windows in its second half [TooShort], and all that `read_history` finds.
        """
        known = read_history(history, allow_negative=self.allow_negative)
        windows = min(self.windows, (len(known) // 2 - self.horizon) // self.step + 1)
        if windows < LEAST_WINDOWS:
            need = 2 * (self.horizon + (LEAST_WINDOWS - 1) * self.step)
            todo = "Give a longer history, or a shorter horizon."
            raise InputError(
                Issue("TooShort", "history.index", "", len(known), f"at least {need} rows", todo)
            )
        frame = known.frame()
        origins = len(known) - self.horizon - self.step * np.arange(windows)[::-1]
        self._begin(len(known.circuits))
        self._scale_kw = np.full(len(known.circuits), np.nan)
        self._waiting = []
        members = [make() for make in self._makes]
        begin = 0
        for origin in [*origins, len(known)]:
            new = frame.iloc[begin:origin]
            for each in members:
                (each.update if begin else each.fit)(new, rows_at(covariates, new.index))
            self._remember(known.head(origin), origin)
            if origin < len(known):
                ahead = frame.index[origin : origin + self.horizon]
                self._ask(members, self.horizon, rows_at(covariates, ahead), keep=True)
            begin = origin
        self.members = [make().fit(frame, covariates) for make in self._makes] if self.refit else members
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; forecasts that have come true are learnt from.

        Where nobody has asked for a forecast of these rows, one is made first, so that what is learnt does not depend on
        how often forecasts are asked for.
        """
        longer = self.history.append(new, allow_negative=self.allow_negative)
        rows = len(longer) - len(self.history)
        if self._is_due():
            steps = min(self.horizon, rows)
            ahead = longer.index[len(self.history) : len(self.history) + steps]
            if covariates is None or ahead.isin(covariates.index).all():
                self._ask(self.members, steps, rows_at(covariates, ahead), keep=True)
        for each in self.members:
            each.update(new, covariates)
        self._remember(longer, self._rows + rows)
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps; see `Forecaster.predict`. Beyond the deciles the tails are normal."""
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        keep = horizon >= self.horizon and self._is_due()
        said = self._ask(self.members, horizon, covariates, keep)
        kw = resample(self._answer(said), DECILES, q)
        if not self.allow_negative:
            kw = np.maximum(kw, 0.0)
        return quantile_frame(kw, self.history.future(horizon), self.history.circuits, q)

    def _is_due(self) -> bool:
        """Return whether a forecast made now is to be learnt from later: `step` rows after the last one."""
        return not self._waiting or self._waiting[-1].row <= self._rows - self.step

    def _ask(
        self, members: Sequence[Forecaster], horizon: int, covariates: pd.DataFrame | None, keep: bool
    ) -> Said:
        """Return what the members say, and keep it to be learnt from if so told."""
        answers = []
        for each in members:
            kw, names, _ = quantile_array(each.predict(horizon, DECILES, covariates))
            answers.append(kw[:, [names.index(name) for name in self.history.circuits]])
        said = Said(self._rows, np.stack(answers), self._scale_kw, self._note())
        if keep:
            self._waiting.append(Said(said.row, said.kw[:, : self.horizon], said.scale_kw, said.note))
        return said

    def _remember(self, history: History, rows: int) -> None:
        """Keep the end of the history; learn from what has come true by now."""
        self._tail, self._rows = history.tail(4 * self.horizon + self.step), rows
        now_kw = nanmean(np.abs(self._tail.kw), axis=0)
        self._scale_kw = np.where(np.isfinite(now_kw), now_kw, self._scale_kw)
        still = []
        for each in self._waiting:
            steps = each.kw.shape[1]
            begin = len(self._tail) - (rows - each.row)
            if begin + steps > len(self._tail):
                still.append(each)
            elif begin >= 0:
                self._learn(each, self._tail.kw[begin : begin + steps])
        self._waiting = still

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what a follower is made of, without what it has learnt, for a file."""
        says, numbers = history_state(self.history)
        says = {**says, "settings": self._settings(), "rows": self._rows}
        return says, {**numbers, "scale_kw": self._scale_kw}

    def _restore(self, says: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> None:
        """Take in what `_state` returned. Forecasts that waited for their values are forgotten."""
        self._tail, self._rows = history_from(says, numbers), int(says["rows"])
        self._scale_kw = numbers["scale_kw"]

    def _settings(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {
            "horizon": self.horizon,
            "windows": self.windows,
            "step": self.step,
            "refit": self.refit,
            "allow_negative": self.allow_negative,
        }
