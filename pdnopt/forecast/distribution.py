"""A forecast as a whole distribution: between its quantiles, and beyond the outermost.

Quantiles are joined by straight lines over the normal score z = Phi^-1(level), and the outermost lines go on: a normal
distribution is met exactly, and tails fall off like a normal's. So a value has a score, a score has a value, and both ways
are monotone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

__all__ = ["Distribution", "resample"]

LEAST_SLOPE = 1e-4
"""Slope that a flat stretch gets, as a part of the circuit's scale: so that a score is defined there too."""


@dataclass(frozen=True)
class Distribution:
    """Distributions of many steps and circuits.

    Attributes
    ----------
    kw : float, shape (H, C, Q)
        Quantiles, not falling along the last axis; two at least.
    z : float, shape (Q,)
        Normal scores of their levels.
    slope_kw : float, shape (C,)
        Slope in kW a unit of score that is added everywhere, so that the function rises strictly.
    """

    kw: np.ndarray
    z: np.ndarray
    slope_kw: np.ndarray

    @classmethod
    def of(
        cls, kw: np.ndarray, levels: Sequence[float] | np.ndarray, scale_kw: np.ndarray | float
    ) -> Distribution:
        """Return the distribution with these quantiles; `scale_kw` (C,) is what is large for a circuit, such as its mean."""
        slope = LEAST_SLOPE * np.maximum(np.nan_to_num(np.broadcast_to(scale_kw, kw.shape[1:2])), 1e-9)
        z = ndtri(np.asarray(levels, dtype=float))
        return cls(np.sort(kw, axis=2) + slope[:, None] * z, z, slope)

    def at(self, score: np.ndarray) -> np.ndarray:
        """Return the values at normal scores: (H, C, K) or what broadcasts to it -> (H, C, K)."""
        score = np.broadcast_to(score, (*self.kw.shape[:2], np.shape(score)[-1]))
        part = np.clip(np.searchsorted(self.z, score) - 1, 0, len(self.z) - 2)
        low, high = (np.take_along_axis(self.kw, part + k, axis=2) for k in (0, 1))
        fraction = (score - self.z[part]) / (self.z[part + 1] - self.z[part])
        return np.asarray(low + fraction * (high - low))

    def score(self, value: np.ndarray) -> np.ndarray:
        """Return the normal scores of values: (H, C) -> (H, C); NaN stays NaN."""
        part = np.clip((self.kw < value[:, :, None]).sum(axis=2) - 1, 0, len(self.z) - 2)[:, :, None]
        low, high = (np.take_along_axis(self.kw, part + k, axis=2)[:, :, 0] for k in (0, 1))
        part = part[:, :, 0]
        return np.asarray(self.z[part] + (value - low) / (high - low) * (self.z[part + 1] - self.z[part]))


def resample(
    kw: np.ndarray, levels: Sequence[float] | np.ndarray, wanted: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return quantiles at other levels: (H, C, Q) -> (H, C, W)."""
    levels, wanted = np.asarray(levels, dtype=float), np.asarray(wanted, dtype=float)
    if np.array_equal(levels, wanted):
        return kw
    if len(levels) < 2:
        return np.repeat(kw, len(wanted), axis=2)
    return Distribution(np.sort(kw, axis=2), ndtri(levels), np.zeros(kw.shape[1])).at(ndtri(wanted))
