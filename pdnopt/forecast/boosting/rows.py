"""Which forecasts are asked or learnt from: an origin, a circuit and a number of steps ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.forecast.boosting.panel import Panel

__all__ = ["Rows", "all_ahead", "sample"]

ABREAST = 6
"""Steps ahead that are drawn for a circuit at one origin: what is known there is worked out once for all of them."""

WARM_UP_DAYS = 28
"""Days before the first origin that is learnt from."""


@dataclass(frozen=True)
class Rows:
    """N forecasts at P pairs of an origin and a circuit.

    Attributes
    ----------
    origin, circuit : int, shape (P,)
        Last row that may be looked at; column.
    pair : int, shape (N,)
        The pair of each forecast.
    ahead : int, shape (N,)
        Steps from the origin, 1 or more.
    """

    origin: np.ndarray
    circuit: np.ndarray
    pair: np.ndarray
    ahead: np.ndarray

    @property
    def target(self) -> np.ndarray:
        """Return the row that is forecast, shape (N,)."""
        return np.asarray(self.origin[self.pair] + self.ahead)

    def only(self, keep: np.ndarray) -> Rows:
        """Return the forecasts that a mask keeps."""
        return Rows(self.origin, self.circuit, self.pair[keep], self.ahead[keep])


def all_ahead(origin: int, circuits: int, horizon: int) -> Rows:
    """Return every step of the horizon for every circuit, steps in the outer loop."""
    circuit = np.arange(circuits)
    return Rows(
        np.full(circuits, origin),
        circuit,
        np.tile(circuit, horizon),
        np.repeat(np.arange(1, horizon + 1), circuits),
    )


def sample(panel: Panel, horizon: int, most: int, seed: int) -> Rows:
    """Draw forecasts of the past whose outcome is known, spread evenly over time; `most` rows at most.

    The first origin has four weeks before it, or half of what there is where that is less.
    """
    steps, circuits = panel.value.shape
    first = min(WARM_UP_DAYS * panel.day, steps // 2)
    generator = np.random.default_rng(seed)
    pairs = min((steps - 1 - first) * circuits, max(1, most // ABREAST))
    place = np.linspace(first * circuits, (steps - 1) * circuits - 1, pairs).astype(np.int64)
    place += generator.integers(
        0, circuits, pairs
    )  # else a stride would meet the same circuits again and again
    place = np.unique(np.minimum(place, (steps - 1) * circuits - 1))
    origin, circuit = np.divmod(place, circuits)
    pair = np.repeat(np.arange(len(place)), ABREAST)
    ahead = generator.integers(1, horizon + 1, len(pair))
    target = origin[pair] + ahead
    known = target < steps
    known[known] = np.isfinite(panel.value[target[known], circuit[pair[known]]])
    known &= np.isfinite(panel.carried[origin, circuit])[pair]
    return Rows(origin, circuit, pair, ahead).only(known)
