"""Circuits without a history: forecast from their peers, scaled by rating, and wide.

A circuit that has been measured for less than three days is a newcomer. The forecaster is fitted on the others. With each
peer's forecast divided by its level (its mean over the last four weeks),

    newcomer(t) = level x pool(t) x exp(s e),      e standard normal                                          (1)
    level       = (1 - w) prior + w ratio,         w = n / (n + steps of a day)                                (2)
    s           = spread of the peers' levels x sqrt(1 - w), at least LEAST_SPREAD

pool(t) is the mixture of all peers' distributions. The prior is the newcomer's rating times the peers' usual level by
rating; without ratings the peers' usual level. The ratio is what was measured by what the pool was at the same time, over n
rows. The next `fit` takes in a newcomer that has been measured for long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import ndtri

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.clock import season_of
from pdnopt.forecast.estimator import (
    DECILES,
    Forecaster,
    check_horizon,
    check_quantiles,
    quantile_array,
    quantile_frame,
)
from pdnopt.forecast.history import History, read_history
from pdnopt.forecast.metrics import nanmean
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WithNewcomers"]

NEW_DAYS = 3
LEVEL_DAYS = 28
LEAST_SPREAD = 0.1
USUAL_SPREAD = 0.5
"""Spread of levels (natural logarithm) that is assumed where there is only one peer."""

KIND, BASE = "with_newcomers", "base"
SPREAD_POINTS = ndtri((np.arange(9) + 0.5) / 9)


class WithNewcomers:
    """A forecaster that also forecasts circuits that have hardly been measured.

    Parameters
    ----------
    make : callable
        Returns the forecaster of the other circuits, not fitted.
    rating_kw : mapping of str to float, optional
        Rated power of circuits, newcomers and peers.
    allow_negative : bool
        Whether power of the established circuits may be negative. A newcomer's is taken not to be.
    """

    def __init__(
        self,
        make: Callable[[], Forecaster],
        rating_kw: Mapping[str, float] | None = None,
        allow_negative: bool = False,
    ) -> None:
        self._make = make
        self.rating_kw = dict(rating_kw or {})
        bad = {name: kw for name, kw in self.rating_kw.items() if not 0 < kw < np.inf}
        if bad:
            todo = "Correct the rating, or leave it out."
            raise InputError(
                [
                    Issue("NotGreater", "rating_kw", name, kw, "more than 0 kW", todo)
                    for name, kw in bad.items()
                ]
            )
        self.allow_negative = allow_negative
        self.base: Forecaster = make()
        self.name = self.base.name
        self._history: History | None = None
        self._peers: list[int] = []

    @property
    def history(self) -> History:
        """What was seen. Raises InputError before `fit`."""
        if self._history is None:
            raise InputError(
                Issue("NotFitted", self.name, "", None, "a fitted forecaster", "Call fit first.")
            )
        return self._history

    @property
    def newcomers(self) -> list[str]:
        """Circuits that are forecast from their peers."""
        return [name for k, name in enumerate(self.history.circuits) if k not in set(self._peers)]

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Fit on the circuits that have been measured for three days or more; see `Forecaster.fit`.

        Raises
        ------
        InputError
            No circuit has been measured for so long [TooShort].
        """
        known = read_history(history, allow_negative=self.allow_negative)
        least = NEW_DAYS * season_of(known.step_s)
        count = np.isfinite(known.kw).sum(axis=0)
        self._peers = np.flatnonzero(count >= least).tolist()
        if not self._peers:
            todo = "Measure for longer, or forecast with last_value."
            allowed = f"one circuit with {least} values or more"
            raise InputError(Issue("TooShort", "history", "", int(count.max(initial=0)), allowed, todo))
        self._history = known
        self.base = self._make().fit(known.frame().iloc[:, self._peers], covariates)
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; see `Forecaster.update`."""
        longer = self.history.append(new, allow_negative=self.allow_negative)
        added = longer.tail(len(longer) - len(self.history)).frame()
        self.base.update(added.iloc[:, self._peers], covariates)
        self._history = longer
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps of all circuits; see `Forecaster.predict`."""
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        known = self.history
        names = [known.circuits[k] for k in self._peers]
        answer, order, _ = quantile_array(self.base.predict(horizon, quantiles, covariates))
        kw = np.empty((horizon, len(known.circuits), len(q)))
        kw[:, self._peers] = answer[:, [order.index(name) for name in names]]
        if self.newcomers:
            deciles, order, _ = quantile_array(self.base.predict(horizon, DECILES, covariates))
            peers = deciles[:, [order.index(name) for name in names]]
            for k, name in enumerate(known.circuits):
                if name in self.newcomers:
                    kw[:, k] = self._newcomer(k, peers, q)
        frame = quantile_frame(kw, known.future(horizon), known.circuits, q)
        if self.newcomers:
            frame.attrs["warnings"] = [
                f"{', '.join(self.newcomers[:5])}{' and more' if len(self.newcomers) > 5 else ''}: measured for less than "
                f"{NEW_DAYS} days, forecast from {len(names)} other circuits"
            ]
        return frame

    def save(self, folder: Path) -> None:
        """Write the forecaster, and in a folder below it the one for the other circuits."""
        says, numbers = history_state(self.history)
        settings = {"rating_kw": self.rating_kw, "allow_negative": self.allow_negative}
        write_state(folder, KIND, {**says, "settings": settings, "peers": self._peers}, numbers)
        self.base.save(Path(folder) / BASE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote."""
        from pdnopt.forecast.catalogue import load_forecaster

        says, numbers = read_state(folder, KIND)
        base = load_forecaster(Path(folder) / BASE)
        made = cls(lambda: base, **says["settings"])
        made._history, made._peers = history_from(says, numbers), [int(k) for k in says["peers"]]
        return made

    def _newcomer(self, k: int, peers: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Return the quantiles of one newcomer, equation (1): peers (H, P, 9) -> (H, len(q))."""
        recent = self.history.tail(LEVEL_DAYS * season_of(self.history.step_s)).kw
        level_kw = nanmean(recent[:, self._peers], axis=0)
        usable = np.isfinite(level_kw) & (level_kw > 0)
        if not usable.any():
            return np.full((len(peers), len(q)), np.nan)
        level_kw, peers = level_kw[usable], peers[:, usable]
        shape = recent[:, self._peers][:, usable] / level_kw
        prior_kw, spread = self._prior(k, level_kw, np.flatnonzero(usable))
        pool = nanmean(shape, axis=1)
        both = np.isfinite(recent[:, k]) & np.isfinite(pool)
        n = int(both.sum())
        weight = n / (n + season_of(self.history.step_s))
        total = pool[both].sum()
        ratio_kw = recent[both, k].sum() / total if total > 0 else prior_kw
        level = (1.0 - weight) * prior_kw + weight * ratio_kw
        factor = np.exp(max(spread * np.sqrt(1.0 - weight), LEAST_SPREAD) * SPREAD_POINTS)
        sample = ((peers / level_kw[:, None]).reshape(len(peers), -1)[:, :, None] * factor).reshape(
            len(peers), -1
        )
        return np.asarray(np.maximum(level * np.quantile(sample, q, axis=1).T, 0.0))

    def _prior(self, k: int, level_kw: np.ndarray, usable: np.ndarray) -> tuple[float, float]:
        """Return the level to be expected in kW and the spread of its logarithm."""
        names = [self.history.circuits[self._peers[p]] for p in usable]
        mine = self.rating_kw.get(self.history.circuits[k])
        rated = np.array([name in self.rating_kw for name in names])
        if mine is not None and rated.any():
            ratings = np.array([self.rating_kw[name] for name in np.array(names)[rated]])
            level, by = level_kw[rated] / ratings, mine
        else:
            level, by = level_kw, 1.0
        spread = float(np.log(level).std()) if len(level) > 1 else USUAL_SPREAD
        return float(by * np.median(level)), spread
