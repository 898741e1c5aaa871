"""Several forecasters as one: their quantiles averaged with weights that each circuit learns from recent error.

For circuit c and member m, after every step t that has come true, with the combined quantiles f = sum_m w(m) f(m),

    g(q)   = 2 (1[y <= f(q)] - q)                              slope of the quantile loss at f                (1)
    r(m)   = mean_q g(q) (f(q) - f(m,q)) / scale               how much better m would have been, linearised  (2)
    R(m)  <- DECAY R(m) + r(m),    V(m) <- DECAY V(m) + r(m)^2                                                (3)
    w(m)   proportional to  max(R(m), 0) / (1 + V(m))          all alike where no R is above 0                (4)

This is ML-Poly (Gaillard, Stoltz, van Erven 2014, arXiv:1402.2044, section 3) on the slopes, so that it competes with the
best fixed average and not only with the best member; it has nothing to tune but how fast it forgets. Where one member alone
has lost less than the average so far, by the same forgetting, that member is taken: an average must pay to be used.
A circuit's weights are drawn towards those of all circuits while it has few windows. Averages of quantiles never cross.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import DECILES, Forecaster
from pdnopt.forecast.following import Follower, Said
from pdnopt.forecast.metrics import nanmean, pinball
from pdnopt.forecast.storage import read_state, write_state

__all__ = ["Combination"]

HALF_LIFE_WINDOWS = 60
"""Windows after which a regret counts half."""

SHRINK = 20.0
"""Windows that a circuit needs before its own weights count as much as those of all circuits."""

LEVELS = np.asarray(DECILES)


class Combination(Follower):
    """A weighted average of forecasters.

    Parameters
    ----------
    makes : sequence of callable
        Each returns a member, not fitted; two at least, with different names.
    horizon, windows, step, refit, allow_negative
        See `Follower`.
    """

    name = "combination"

    def __init__(
        self,
        makes: Sequence[Callable[[], Forecaster]],
        horizon: int = 24,
        windows: int = 60,
        step: int | None = None,
        refit: bool = True,
        allow_negative: bool = False,
    ) -> None:
        super().__init__(makes, horizon, windows, step, refit, allow_negative)
        names = [each.name for each in self.members]
        if len(names) < 2 or len(set(names)) < len(names):
            todo = "Give two forecasters or more, of different names."
            raise InputError(
                Issue("NotUnique", "makes", "", names, "two or more, with different names", todo)
            )
        self._regret: np.ndarray = np.zeros((len(names), 0))
        self._square: np.ndarray = np.zeros((len(names), 0))
        self._loss: np.ndarray = np.zeros((len(names) + 1, 0))
        self._count: np.ndarray = np.zeros(0)

    def weights(self) -> pd.DataFrame:
        """Return the weights: index circuits, columns members; each row sums to 1."""
        names = [each.name for each in self.members]
        return pd.DataFrame(self._taken().T, index=list(self.history.circuits), columns=names)

    def save(self, folder: Path) -> None:
        """Write the combination, and each member in a folder below it."""
        says, numbers = self._state()
        says = {**says, "members": len(self.members)}
        learnt = {"regret": self._regret, "square": self._square, "loss": self._loss}
        learnt["count"] = self._count
        write_state(folder, self.name, says, {**numbers, **learnt})
        for k, each in enumerate(self.members):
            each.save(Path(folder) / f"member_{k}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the combination that `save` wrote. Forecasts that waited for their values are forgotten."""
        from pdnopt.forecast.catalogue import load_forecaster

        says, numbers = read_state(folder, cls.name)
        members = [load_forecaster(Path(folder) / f"member_{k}") for k in range(int(says["members"]))]
        made = cls([lambda each=each: each for each in members], **says["settings"])  # type: ignore[misc]
        made._restore(says, numbers)
        made._regret, made._square, made._loss, made._count = (
            numbers[key] for key in ("regret", "square", "loss", "count")
        )
        return made

    def _begin(self, circuits: int) -> None:
        self._regret = np.zeros((len(self.members), circuits))
        self._square = np.zeros((len(self.members), circuits))
        self._loss = np.zeros((len(self.members) + 1, circuits))
        self._count = np.zeros(circuits)

    def _note(self) -> Any:
        return None

    def _learn(self, said: Said, actual_kw: np.ndarray) -> None:
        """Equations (1) to (3), step by step through the window; the window's weights are those of its beginning."""
        steps = len(actual_kw)
        decay = 0.5 ** (1.0 / (HALF_LIFE_WINDOWS * steps))
        weights = self._weights()
        finite = np.isfinite(said.kw).all(axis=(1, 3))
        members = np.where(finite[:, None, :, None], said.kw, 0.0)
        combined = np.einsum("mc,mhcq->hcq", self._usable(weights, finite), members)
        slope = 2.0 * ((actual_kw[:, :, None] <= combined) - LEVELS)
        measured = np.isfinite(said.scale_kw) & (said.scale_kw > 0)
        scale = np.where(
            measured, said.scale_kw, np.inf
        )  # a circuit that never drew anything teaches nothing
        gain = (slope * (combined - members)).mean(axis=3) / scale
        known = np.isfinite(actual_kw)
        for h in range(steps):
            r = np.where(known[h] & finite, gain[:, h], 0.0)
            self._regret = decay * self._regret + r
            self._square = decay * self._square + r**2
        everyone = np.concatenate([members, combined[None]])
        loss = np.nan_to_num(nanmean(pinball(actual_kw, everyone, LEVELS), axis=(1, 3))) / scale
        self._loss = 0.5 ** (1.0 / HALF_LIFE_WINDOWS) * self._loss + loss
        self._count = self._count + known.any(axis=0)

    def _answer(self, said: Said) -> np.ndarray:
        finite = np.isfinite(said.kw).all(axis=(1, 3))
        weights = self._usable(self._taken(), finite)
        mixed = np.einsum("mc,mhcq->hcq", weights, np.where(finite[:, None, :, None], said.kw, 0.0))
        return np.where(finite.any(axis=0)[:, None], mixed, np.nan)

    def _weights(self) -> np.ndarray:
        """Equation (4), drawn towards the weights of all circuits: (M, C)."""
        own = _normal(np.maximum(self._regret, 0.0) / (1.0 + self._square))
        regret, square = (each.sum(axis=1, keepdims=True) for each in (self._regret, self._square))
        pooled = _normal(np.maximum(regret, 0.0) / (1.0 + square))
        share = self._count / (self._count + SHRINK)
        return np.asarray(share * own + (1.0 - share) * pooled)

    def _taken(self) -> np.ndarray:
        """Return the weights that are used: those of (4), or all on a member that has lost less, (M, C)."""
        weights = self._weights()
        if not self._count.any():
            return weights
        windows = np.maximum(self._count.mean(), 1.0)
        loss = self._loss + SHRINK / windows * self._loss.mean(axis=1, keepdims=True)
        best = loss[:-1].argmin(axis=0)
        alone = np.arange(len(weights))[:, None] == best
        return np.where(loss[:-1].min(axis=0) < loss[-1], alone, weights)

    @staticmethod
    def _usable(weights: np.ndarray, finite: np.ndarray) -> np.ndarray:
        """Return the weights of the members that have an answer for a circuit, made to sum to 1 again."""
        left = np.where(finite, weights, 0.0)
        total = left.sum(axis=0)
        return np.where(
            total > 0, left / np.where(total > 0, total, 1.0), finite / np.maximum(finite.sum(axis=0), 1)
        )


def _normal(weights: np.ndarray) -> np.ndarray:
    """Return weights that sum to 1 along the first axis; all alike where none is above 0."""
    total = weights.sum(axis=0)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / len(weights))
