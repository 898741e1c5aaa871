"""The forecaster ``"lightgbm"``: boosted quantile trees, global over circuits, every step ahead directly.

Files of a saved one, besides ``forecaster.json`` and ``forecaster.npz`` (settings, scales, covariates, and the last weeks,
from which it forecasts): ``trees_0.1.txt`` to ``trees_0.9.txt``, LightGBM's own text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.boosting.features import MEANS_H, MONTH, WEEK, YEARS, choose_anchor, features
from pdnopt.forecast.boosting.panel import Panel
from pdnopt.forecast.boosting.rows import WARM_UP_DAYS, all_ahead, sample
from pdnopt.forecast.boosting.settings import Settings, read_settings
from pdnopt.forecast.boosting.trees import Trees, grow, read_trees
from pdnopt.forecast.distribution import resample
from pdnopt.forecast.estimator import DECILES, check_horizon, check_quantiles, quantile_frame
from pdnopt.forecast.history import History, read_covariates, read_history
from pdnopt.forecast.holidays import is_holiday
from pdnopt.forecast.metrics import nanmean, seasonal_scale
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LightGBMForecaster"]

LEAST_ROWS = 100
"""Forecasts with a known outcome that there must be to learn from."""

ROUNDS, ROUNDS_KNOWN = 80, 250
"""Trees a quantile without covariates and with some, which give much more to learn. Chosen on the windows before the
published ones (ETT_1H: 60 to 160 differ by 0.5 %; gfc14: 200 are 1 % better than 120)."""

YEAR_S = 365.25 * 86_400


class LightGBMForecaster:
    """Quantile forecasts of many circuits by boosted trees.

    Parameters
    ----------
    settings : Settings or mapping, optional
        Or its fields as JSON values. The horizon is fixed by training: shorter ones are cut from it, longer ones refused.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    name = "lightgbm"

    def __init__(
        self, settings: Settings | Mapping[str, Any] | None = None, allow_negative: bool = False
    ) -> None:
        self.settings = settings if isinstance(settings, Settings) else read_settings(settings or {})
        self.allow_negative = allow_negative
        self._history: History | None = None
        self._trees: Trees | None = None
        self._known: tuple[str, ...] = ()
        self._covariates = np.zeros((0, 0))
        self._scale_kw = np.ones(0)
        self._anchor = np.zeros(0, dtype=np.int64)
        self._time_of_year = False

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Train from new; see `Forecaster.fit`.

        Raises
        ------
        InputError
            Faults of the frames; [MissingExtra] without lightgbm; [TooShort] where there is too little to learn from.
        """
        seen = read_history(history, allow_negative=self.allow_negative)
        self._known = () if covariates is None else tuple(str(name) for name in covariates.columns)
        values = self._read_known(covariates, seen.index)
        self._history, self._covariates = seen, values
        self._scale_kw = _scale(seen)
        self._time_of_year = len(seen) * seen.step_s >= YEARS * YEAR_S
        panel = self._panel(seen.index, values)
        rows = sample(panel, self.settings.horizon, self.settings.rows, self.settings.seed)
        if len(rows.ahead) < LEAST_ROWS:
            todo = "Give a longer history, or use the naive forecasters until there is one."
            allowed = f"at least {LEAST_ROWS} measured values after the first days"
            raise InputError(Issue("TooShort", "history", "", len(rows.ahead), allowed, todo))
        self._anchor = choose_anchor(panel, rows, WEEK if self._known else MONTH)
        told = features(panel, rows, self._anchor, self._time_of_year)
        outcome = panel.value[rows.target, rows.circuit[rows.pair]][:, None] - told.anchor
        rounds = self.settings.rounds or (ROUNDS_KNOWN if self._known else ROUNDS)
        self._trees = grow(told.matrix, outcome, DECILES, rounds, self.settings.rate, self.settings.seed)
        self._keep(seen, values)
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; see `Forecaster.update`. Covariates are needed where `fit` had some."""
        old = self.history
        seen = old.append(new, allow_negative=self.allow_negative)
        later = self._read_known(covariates, seen.index[len(old) :])
        self._keep(seen, np.concatenate([self._covariates, later]))
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps; see `Forecaster.predict`. NaN for a circuit that was never measured.

        Raises
        ------
        InputError
            [NotFitted]; [HorizonError] more steps than were trained for, or covariates that end before.
        """
        seen, trees = self.history, self._trees
        assert trees is not None  # together with the history
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        if horizon > self.settings.horizon:
            todo = "Fit with a longer horizon in the settings, or ask for fewer steps."
            allowed = f"at most {self.settings.horizon} steps, the horizon of the training"
            raise InputError(Issue("HorizonError", "horizon", self.name, horizon, allowed, todo))
        future = seen.future(horizon)
        ahead = self._read_known(covariates, future)
        panel = self._panel(seen.index.union(future), np.concatenate([self._covariates, ahead]))
        rows = all_ahead(len(seen) - 1, len(seen.circuits), horizon)
        told = features(panel, rows, self._anchor, self._time_of_year)
        kw = np.sort(trees.answer(told.matrix) + told.anchor, axis=1)
        kw = kw.reshape(horizon, len(seen.circuits), -1) * self._scale_kw[:, None]
        if not self.allow_negative:
            kw = np.maximum(kw, 0.0)
        return quantile_frame(resample(kw, DECILES, q), future, seen.circuits, list(q))

    @property
    def history(self) -> History:
        """What it forecasts from: the last weeks. Raises InputError before `fit`."""
        if self._history is None or self._trees is None:
            todo = "Call fit or load first."
            raise InputError(Issue("NotFitted", self.name, "", None, "a fitted forecaster", todo))
        return self._history

    def save(self, folder: Path) -> None:
        """Write it to a folder; see the module's docstring."""
        seen = self.history
        assert self._trees is not None
        says, numbers = history_state(seen)
        says |= {
            "settings": asdict(self.settings),
            "allow_negative": self.allow_negative,
            "covariates": list(self._known),
            "time_of_year": self._time_of_year,
            "features": self._trees.features,
        }
        numbers |= {"covariates": self._covariates, "scale_kw": self._scale_kw, "anchor": self._anchor}
        write_state(folder, self.name, says, numbers)
        for q, text in zip(DECILES, self._trees.texts(), strict=True):
            _trees_file(folder, q).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote.

        Raises
        ------
        InputError
            [File] Files that are missing or altered in form; [MissingExtra] without lightgbm.
        """
        says, numbers = read_state(folder, cls.name)
        made = cls(read_settings(says.get("settings")), bool(says.get("allow_negative")))
        try:
            made._history = history_from(says, numbers)
            made._known = tuple(str(name) for name in says["covariates"])
            made._covariates = numbers["covariates"]
            made._scale_kw = numbers["scale_kw"]
            made._anchor = numbers["anchor"]
            made._time_of_year = bool(says["time_of_year"])
            count = int(says["features"])
            texts = [_trees_file(folder, q).read_text(encoding="utf-8") for q in DECILES]
        except (OSError, KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            todo = "Save the forecaster again, or take the folder from where it was saved."
            raise InputError(
                Issue("File", str(folder), "", what, "the files of a saved lightgbm", todo)
            ) from None
        made._trees = read_trees(texts, len(DECILES), count)
        return made

    def _read_known(self, covariates: Any, index: pd.DatetimeIndex) -> np.ndarray:
        """Return the covariates of `fit` at these time stamps, (len(index), K)."""
        if not self._known:
            return np.zeros((len(index), 0))
        return read_covariates(covariates, index, self._known)

    def _panel(self, index: pd.DatetimeIndex, known: np.ndarray) -> Panel:
        seen, calendar = self._history, self.settings.holidays
        assert seen is not None
        return Panel(
            value=seen.kw / self._scale_kw,
            index=index,
            known=known,
            holiday=is_holiday(index, calendar) if calendar else np.zeros(0),
            step_s=seen.step_s,
        )

    def _keep(self, seen: History, covariates: np.ndarray) -> None:
        """Keep what forecasts need of the past, no more."""
        days = max(MEANS_H) / 24 + WARM_UP_DAYS
        rows = round(days * 86_400 / seen.step_s) + self.settings.horizon
        self._history = seen.tail(rows)
        self._covariates = covariates[-rows:]


def _scale(seen: History) -> np.ndarray:
    """Return what one unit is for each circuit in kW: the mean change from day to day, the unit of SQL and MASE.

    A circuit that hardly changes gets a part of its mean; one that was never measured, 1 kW.
    """
    day = round(86_400 / seen.step_s) or 1
    change = seasonal_scale(seen.kw, day) if len(seen) > day else np.full(len(seen.circuits), np.nan)
    size = nanmean(np.abs(seen.kw), axis=0)
    scale = np.fmax(change, 1e-3 * size)
    return np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)


def _trees_file(folder: Path, q: float) -> Path:
    return Path(folder) / f"trees_{q:g}.txt"
