"""A forecaster whose quantiles hold: split-conformal calibration on its own past, and on every new row after that.

The forecaster is fitted on what lies before the calibration windows, forecasts them one after another, and what it missed
says how far its quantiles must be moved (`tracking`). Later rows are scored as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from pdnopt.forecast.scenarios import Template
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state
from pdnopt.forecast.tracking import LEVELS, Calibration, Moves

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Calibrated"]

MEMORY = 40
"""Windows that are kept. Chosen on the GPU servers before the scored days, where 20 to 60 do as well."""

LEAST_WINDOWS = 3


@dataclass(frozen=True)
class Waiting:
    """A forecast that waits to be scored: its first row, counted from the first ever seen, and how it was moved."""

    row: int
    kw: np.ndarray
    scale_kw: np.ndarray
    moves: Moves


class Calibrated:
    """A forecaster with calibrated quantiles.

    Parameters
    ----------
    make : callable
        Returns the forecaster to be calibrated, not fitted.
    horizon : int
        Steps of a calibration window; a longer `predict` goes on with the last band.
    windows : int
        Calibration windows, taken from the end of the history that `fit` gets.
    step : int, optional
        Steps between their origins; default: `horizon`.
    memory : int
        Windows whose scores are kept; older ones are forgotten.
    refit : bool
        Whether the forecaster is fitted again on the whole history after calibration. If not, calibration and training
        data stay apart, as split-conformal prediction has it; if so, the forecaster knows the latest data, and the levels
        that follow new rows take care of the difference.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    def __init__(
        self,
        make: Callable[[], Forecaster],
        horizon: int = 24,
        windows: int = 60,
        step: int | None = None,
        memory: int = MEMORY,
        refit: bool = True,
        allow_negative: bool = False,
    ) -> None:
        self._make = make
        self.horizon = check_horizon(horizon)
        self.windows, self.step, self.memory = windows, step or horizon, memory
        self.refit, self.allow_negative = refit, allow_negative
        self.base: Forecaster = make()
        self.name = f"calibrated_{self.base.name}"
        self._tail: History | None = None
        self._rows = 0
        self._waiting: list[Waiting] = []
        self._calibration: Calibration | None = None

    @property
    def calibration(self) -> Calibration:
        """Scores and thresholds. Raises InputError before `fit`."""
        if self._calibration is None:
            raise InputError(_not_fitted(self.name))
        return self._calibration

    @property
    def history(self) -> History:
        """The end of what was seen. Raises InputError before `fit`."""
        if self._tail is None:
            raise InputError(_not_fitted(self.name))
        return self._tail

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Fit on what lies before the calibration windows, calibrate on them, fit again on all if so told.

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
        self._calibration = Calibration(self.horizon, len(known.circuits), self.memory)
        self._waiting = []
        base = self._make()
        begin = 0
        for origin in [*origins, len(known)]:
            new = frame.iloc[begin:origin]
            (base.update if begin else base.fit)(new, rows_at(covariates, new.index))
            self._remember(known.head(origin), origin)
            if origin < len(known):
                ahead = frame.index[origin : origin + self.horizon]
                self._forecast(base, self.horizon, rows_at(covariates, ahead), keep=True)
            begin = origin
        self.base = self._make().fit(frame, covariates) if self.refit else base
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; forecasts made before are scored on them, and the thresholds follow.

        Where nobody has asked for a forecast of these rows, one is made first, so that calibration does not depend on how
        often forecasts are asked for.
        """
        longer = self.history.append(new, allow_negative=self.allow_negative)
        rows = len(longer) - len(self.history)
        if self._is_due():
            steps = min(self.horizon, rows)
            ahead = longer.index[len(self.history) : len(self.history) + steps]
            if covariates is None or ahead.isin(covariates.index).all():
                self._forecast(self.base, steps, rows_at(covariates, ahead), keep=True)
        self.base.update(new, covariates)
        self._remember(longer, self._rows + rows)
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps with calibrated quantiles; see `Forecaster.predict`."""
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        keep = horizon >= self.horizon and self._is_due()
        kw, scale_kw = self._forecast(self.base, horizon, covariates, keep)
        kw = resample(self.calibration.moves().apply(kw, scale_kw), LEVELS, q)
        if not self.allow_negative:
            kw = np.maximum(kw, 0.0)
        return quantile_frame(kw, self.history.future(horizon), self.history.circuits, q)

    def template(self) -> Template:
        """Return how circuits and steps missed together in the past, for `scenarios`."""
        return Template(self.calibration.z, self.history.circuits)

    def save(self, folder: Path) -> None:
        """Write the forecaster, and in a folder below it the one that it calibrates."""
        says, numbers = history_state(self.history)
        settings = {
            "horizon": self.horizon,
            "windows": self.windows,
            "step": self.step,
            "memory": self.memory,
            "refit": self.refit,
            "allow_negative": self.allow_negative,
        }
        write_state(
            folder,
            "calibrated",
            {**says, "settings": settings, "rows": self._rows},
            {**numbers, **self.calibration.numbers()},
        )
        self.base.save(Path(folder) / "base")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote. Forecasts that waited for their values are forgotten."""
        from pdnopt.forecast.catalogue import load_forecaster

        says, numbers = read_state(folder, "calibrated")
        base = load_forecaster(Path(folder) / "base")
        made = cls(lambda: base, **says["settings"])
        made._make = type(base)
        made._tail, made._rows = history_from(says, numbers), says["rows"]
        made._calibration = Calibration.of(numbers, made.memory)
        return made

    def _is_due(self) -> bool:
        """Return whether a forecast made now is to be scored later: `step` rows after the last one."""
        return not self._waiting or self._waiting[-1].row <= self._rows - self.step

    def _forecast(
        self, base: Forecaster, horizon: int, covariates: pd.DataFrame | None, keep: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the deciles that the forecaster gives, (H, C, Q), and what is large for each circuit, (C,)."""
        kw, names, _ = quantile_array(base.predict(horizon, DECILES, covariates))
        kw = kw[:, [names.index(name) for name in self.history.circuits]]
        scale_kw = nanmean(np.abs(self.history.kw), axis=0)
        if keep:
            self._waiting.append(Waiting(self._rows, kw[: self.horizon], scale_kw, self.calibration.moves()))
        return kw, scale_kw

    def _remember(self, history: History, rows: int) -> None:
        """Keep the end of the history; score what has come true by now."""
        self._tail, self._rows = history.tail(4 * self.horizon + self.step), rows
        still = []
        for each in self._waiting:
            begin = len(self._tail) - (rows - each.row)
            end = begin + len(each.kw)
            if end > len(self._tail):
                still.append(each)
            elif begin >= 0:
                self.calibration.add(each.kw, each.scale_kw, each.moves, self._tail.kw[begin:end])
        self._waiting = still

    def describe(self) -> dict[str, Any]:
        """Return what the calibration stands on: windows, and the circuits whose quantiles are stretched."""
        stretches = self.calibration.moves().stretches
        circuits = [name for name, each in zip(self.history.circuits, stretches, strict=True) if each]
        return {"windows": len(self.calibration.z), "stretched": circuits}


def _not_fitted(name: str) -> Issue:
    return Issue("NotFitted", name, "", None, "a fitted forecaster", "Call fit first.")
