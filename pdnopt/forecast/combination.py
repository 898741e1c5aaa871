"""Several forecasters as one: their quantiles averaged with weights that each circuit learns from recent error.

For circuit c and member m, after every step t that has come true, with the combined quantiles f = sum_m w(m) f(m),

    g(q)   = 2 (1[y <= f(q)] - q)                              slope of the quantile loss at f                (1)
    r(m)   = mean_q g(q) (f(q) - f(m,q)) / scale               how much better m would have been, linearised  (2)
    R(m)  <- DECAY R(m) + r(m),    V(m) <- DECAY V(m) + r(m)^2                                                (3)
    w(m)   proportional to  max(R(m), 0) / (1 + V(m))          all alike where no R is above 0                (4)

This is ML-Poly (Gaillard, Stoltz, van Erven 2014, arXiv:1402.2044, section 3) on the slopes, so that it competes with the best
fixed average and not only with the best member; it has nothing to tune but how fast it forgets. A circuit's weights are drawn
towards those of all circuits while it has few steps. Averages of quantiles never cross, and their loss is never above the
members' losses averaged with the same weights (the quantile loss is convex).
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
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

__all__ = ["Combination"]

HALF_LIFE_WINDOWS = 30
"""Windows after which a regret counts half."""

SHRINK = 5.0
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
        self._regret = np.zeros((len(names), 0))
        self._square = np.zeros((len(names), 0))
        self._count = np.zeros(0)

    def weights(self) -> pd.DataFrame:
        """Return the weights: index circuits, columns members; each row sums to 1."""
        names = [each.name for each in self.members]
        return pd.DataFrame(self._weights().T, index=list(self.history.circuits), columns=names)

    def save(self, folder: Path) -> None:
        """Write the combination, and each member in a folder below it."""
        says, numbers = history_state(self.history)
        says = {
            **says,
            "settings": self._settings(),
            "rows": self._rows,
            "members": len(self.members),
        }
        learnt = {"regret": self._regret, "square": self._square, "count": self._count}
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
        made._tail, made._rows = history_from(says, numbers), says["rows"]
        made._regret, made._square, made._count = (numbers[key] for key in ("regret", "square", "count"))
        return made

    def _begin(self, circuits: int) -> None:
        self._regret = np.zeros((len(self.members), circuits))
        self._square = np.zeros((len(self.members), circuits))
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
        scale = np.maximum(np.nan_to_num(said.scale_kw), 1e-9)
        gain = (slope * (combined - members)).mean(axis=3) / scale
        known = np.isfinite(actual_kw)
        for h in range(steps):
            r = np.where(known[h] & finite, gain[:, h], 0.0)
            self._regret = decay * self._regret + r
            self._square = decay * self._square + r**2
        self._count = self._count + known.any(axis=0)

    def _answer(self, said: Said) -> np.ndarray:
        finite = np.isfinite(said.kw).all(axis=(1, 3))
        weights = self._usable(self._weights(), finite)
        mixed = np.einsum("mc,mhcq->hcq", weights, np.where(finite[:, None, :, None], said.kw, 0.0))
        return np.where(finite.any(axis=0)[:, None], mixed, np.nan)

    def _weights(self) -> np.ndarray:
        """Equation (4), drawn towards the weights of all circuits: (M, C)."""
        own = _normal(np.maximum(self._regret, 0.0) / (1.0 + self._square))
        regret, square = (each.sum(axis=1, keepdims=True) for each in (self._regret, self._square))
        pooled = _normal(np.maximum(regret, 0.0) / (1.0 + square))
        share = self._count / (self._count + SHRINK)
        return np.asarray(share * own + (1.0 - share) * pooled)

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
