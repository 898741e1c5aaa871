"""How far quantiles must be moved so that they hold, from what past forecasts missed, following drift.

For circuit c, band b of steps ahead and level q, with scores s of past windows in that band,

    tau(c,b,q) = w Q(s of c; a(c,q)) + (1 - w) Q(s of all circuits; a(c,q)),   w = n / (n + SHRINK)          (1)
    a(c,q)    += RATE (q - part of the window's values at or below the quantile)                              (2)

n counts windows, Q(.; a) is the empirical quantile of rank (n + 1) a, and a begins at q. Two kinds of score are tracked side
by side, and each circuit takes the kind whose quantile loss over the windows kept was lower:

    shift    s_q = y - f(q), in units of the circuit's mean absolute error; the quantile becomes f(q) + tau    (3)
    stretch  s = the normal score of y in the forecast's distribution; the quantile becomes its value at tau   (4)

(1) with (3) is split-conformal prediction of each quantile (Romano, Patterson, Candes 2019, arXiv:1905.03222); (2) is
adaptive conformal inference (Gibbs and Candes 2021, arXiv:2106.00170, eq. 2) for each level, so that the part of the values
below a quantile comes to its level whatever the series does. Levels are kept in order: were two to cross, feedback would
drive them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from pdnopt.forecast.distribution import Distribution
from pdnopt.forecast.estimator import DECILES
from pdnopt.forecast.metrics import nanmean, pinball

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LEVELS", "Calibration", "Moves", "Tracker", "bands_of", "rank_quantiles"]

SHRINK = 10.0
"""Windows that a circuit needs before its own scores count as much as those of all circuits."""

RATE = 0.05
"""Step of equation (2) a window. 0.02 to 0.1 do as well on the GPU servers before the scored days; 0.3 swings."""

LEAST_LEVEL = 0.005
"""Levels stay this far from 0 and 1: there is no score beyond the largest."""

CLIP = 12.0
"""Largest normal score that is kept: a value that far out says "beyond", not how far."""

LEVELS = np.asarray(DECILES)
Q = len(LEVELS)


@dataclass(frozen=True)
class Moves:
    """Thresholds of both kinds at one moment: tau of equation (1), in kW and in normal scores.

    Attributes
    ----------
    shift_kw, stretch : float, shape (B, C, Q)
    stretches : bool, shape (C,)
        Which circuits take the stretch.
    """

    shift_kw: np.ndarray
    stretch: np.ndarray
    stretches: np.ndarray

    def both(self, forecast: Distribution, kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the deciles moved by (3) and by (4), both (H, C, Q)."""
        shift_kw, stretch = (between_bands(each, len(kw)) for each in (self.shift_kw, self.stretch))
        return np.sort(kw + shift_kw, axis=2), forecast.at(stretch)

    def apply(self, kw: np.ndarray, scale_kw: np.ndarray) -> np.ndarray:
        """Return the deciles moved as each circuit takes it: (H, C, Q) -> (H, C, Q)."""
        shifted, stretched = self.both(Distribution.of(kw, LEVELS, scale_kw), kw)
        return np.where(self.stretches[None, :, None], stretched, shifted)


class Tracker:
    """Scores of past windows of one kind, and the levels at which they are read.

    Parameters
    ----------
    horizon, circuits : int
        H and C.
    memory : int
        Windows that are kept.

    Attributes
    ----------
    scores : float32, shape (W, H, C, Q)
        Oldest first; NaN where nothing was measured.
    level : float, shape (C, Q)
        a of equation (2).
    """

    def __init__(self, horizon: int, circuits: int, memory: int) -> None:
        self.memory = memory
        self.band = bands_of(horizon)
        self.scores = np.empty((0, horizon, circuits, Q), dtype=np.float32)
        self.level = np.tile(LEVELS, (circuits, 1))

    def thresholds(self, none: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tau of equation (1) without units, (B, C, Q), and the units (C,); `none` (Q,) where nothing is known."""
        bands, circuits = int(self.band[-1]) + 1, len(self.level)
        tau = np.tile(none, (bands, circuits, 1))
        unit = self._unit()
        if not len(self.scores):
            return tau, unit
        windows = np.isfinite(self.scores[..., 0])
        for b in range(bands):
            mine = self.scores[:, self.band == b] / unit[:, None]
            own = rank_quantiles(mine.reshape(-1, circuits * Q), self.level.reshape(-1, 1))
            own = own.reshape(circuits, Q)
            pooled = rank_quantiles(mine.reshape(-1, Q), self.level.T).T
            n = windows[:, self.band == b].any(axis=1).sum(axis=0)
            weight = (n / (n + SHRINK))[:, None]
            mixed = np.where(np.isfinite(own), weight * np.nan_to_num(own) + (1 - weight) * pooled, pooled)
            tau[b] = np.where(np.isfinite(mixed), mixed, none)
        return tau, unit

    def _unit(self) -> np.ndarray:
        return np.ones(len(self.level))

    def add(self, scores: np.ndarray, below: np.ndarray) -> None:
        """Take in one window: scores (H, C, Q), part of its values at or below each quantile (C, Q), NaN if none."""
        self.scores = np.concatenate([self.scores, scores[None].astype(np.float32)])[-self.memory :]
        moved = self.level + np.nan_to_num(RATE * (LEVELS - below))
        self.level = np.sort(np.clip(moved, LEAST_LEVEL, 1.0 - LEAST_LEVEL), axis=1)


class ShiftTracker(Tracker):
    """Scores in kW, read in units of each circuit's mean absolute error."""

    def _unit(self) -> np.ndarray:
        error_kw = nanmean(np.abs(self.scores[..., Q // 2]), axis=(0, 1))
        usual = nanmean(error_kw, axis=0)
        return np.maximum(np.where(np.isfinite(error_kw), error_kw, np.nan_to_num(usual)), 1e-9)


class Calibration:
    """Both trackers, which of them each circuit takes, and how circuits and steps missed together.

    Parameters
    ----------
    horizon, circuits, memory : int

    Attributes
    ----------
    loss_kw : float, shape (W, 2, C)
        Mean quantile loss of the windows kept, shifted and stretched.
    z : float32, shape (W, H, C)
        Normal scores of past values in the calibrated forecast: what scenarios take their dependence from.
    """

    def __init__(self, horizon: int, circuits: int, memory: int) -> None:
        self.horizon, self.memory = horizon, memory
        self.shift = ShiftTracker(horizon, circuits, memory)
        self.stretch = Tracker(horizon, circuits, memory)
        self.loss_kw = np.empty((0, 2, circuits))
        self.z = np.empty((0, horizon, circuits), dtype=np.float32)
        self._moves: Moves | None = None

    def moves(self) -> Moves:
        """Return the thresholds as they are now."""
        if self._moves is None:
            shift, unit_kw = self.shift.thresholds(np.zeros(Q))
            stretch, _ = self.stretch.thresholds(ndtri(LEVELS))
            total = nanmean(self.loss_kw, axis=0)
            self._moves = Moves(
                shift * unit_kw[:, None], np.sort(stretch, axis=2), np.nan_to_num(total[1] < total[0])
            )
        return self._moves

    def add(self, kw: np.ndarray, scale_kw: np.ndarray, moves: Moves, actual_kw: np.ndarray) -> None:
        """Take in a window that has come true.

        Parameters
        ----------
        kw : float, shape (H, C, Q)
            Deciles that the forecaster gave.
        scale_kw : float, shape (C,)
            What is large for each circuit.
        moves : Moves
            Those of when the forecast was made.
        actual_kw : float, shape (H, C)
        """
        if len(kw) < self.horizon:
            filler = self.horizon - len(kw)
            kw = np.concatenate([kw, np.repeat(kw[-1:], filler, axis=0)])
            actual_kw = np.concatenate([actual_kw, np.full((filler, actual_kw.shape[1]), np.nan)])
        forecast = Distribution.of(kw, LEVELS, scale_kw)
        shifted, stretched = moves.both(forecast, kw)
        gap = ~np.isfinite(actual_kw)
        for tracker, moved in ((self.shift, shifted), (self.stretch, stretched)):
            below = nanmean(np.where(gap[:, :, None], np.nan, actual_kw[:, :, None] <= moved), axis=0)
            if tracker is self.shift:
                scores = actual_kw[:, :, None] - kw
            else:
                scores = np.repeat(np.clip(forecast.score(actual_kw), -CLIP, CLIP)[:, :, None], Q, axis=2)
            tracker.add(scores, below)
        loss = np.stack(
            [nanmean(pinball(actual_kw, moved, LEVELS), axis=(0, 2)) for moved in (shifted, stretched)]
        )
        self.loss_kw = np.concatenate([self.loss_kw, loss[None]])[-self.memory :]
        taken = np.where(moves.stretches[None, :, None], stretched, shifted)
        z = np.clip(Distribution.of(taken, LEVELS, scale_kw).score(actual_kw), -CLIP, CLIP)
        self.z = np.concatenate([self.z, z[None].astype(np.float32)])[-self.memory :]
        self._moves = None

    def numbers(self) -> dict[str, np.ndarray]:
        """Return everything as arrays, for a file."""
        moves = self.moves()
        return {
            "shift_scores": self.shift.scores,
            "shift_level": self.shift.level,
            "stretch_scores": self.stretch.scores[..., 0],
            "stretch_level": self.stretch.level,
            "loss_kw": self.loss_kw,
            "z": self.z,
            "moves_shift_kw": moves.shift_kw,
            "moves_stretch": moves.stretch,
            "moves_stretches": moves.stretches,
        }

    @classmethod
    def of(cls, numbers: Mapping[str, np.ndarray], memory: int) -> Calibration:
        """Return the calibration that `numbers` took apart."""
        _, horizon, circuits = numbers["z"].shape
        made = cls(horizon, circuits, memory)
        made.shift.scores, made.shift.level = numbers["shift_scores"], numbers["shift_level"]
        made.stretch.scores = np.repeat(numbers["stretch_scores"][..., None], Q, axis=3)
        made.stretch.level = numbers["stretch_level"]
        made.loss_kw, made.z = numbers["loss_kw"], numbers["z"]
        made._moves = Moves(numbers["moves_shift_kw"], numbers["moves_stretch"], numbers["moves_stretches"])
        return made


def bands_of(horizon: int) -> np.ndarray:
    """Return the band of each step ahead: bands double in length (1, 2-3, 4-7, 8-15, ...), shape (H,)."""
    return np.asarray(np.floor(np.log2(np.arange(1, horizon + 1))).astype(int))


def between_bands(values: np.ndarray, horizon: int) -> np.ndarray:
    """Return values of bands (B, ...) for each step ahead (H, ...): straight lines between the bands' middles."""
    bands = len(values)
    steps = np.log2(np.arange(1, max(horizon, 2**bands - 1) + 1))
    band = np.minimum(bands_of(len(steps)), bands - 1)
    middle = np.bincount(band, weights=steps) / np.bincount(band)
    place = np.interp(steps[:horizon], middle, np.arange(bands))
    low = np.minimum(place.astype(int), max(bands - 2, 0))
    high = np.minimum(low + 1, bands - 1)
    part = (place - low).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((1.0 - part) * values[low] + part * values[high])


def rank_quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return quantiles of rank (n + 1) q along the first axis, over what is finite: (N, K), (K, L) -> (K, L).

    Between two ranks it is a straight line; beyond the outermost the extreme value. NaN where nothing is finite.
    """
    ordered = np.sort(values, axis=0)  # NaN come last
    most = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)[:, None]
    rank = np.clip((most + 2) * levels - 1, 0, most)
    low = np.floor(rank).astype(int)
    high = np.minimum(low + 1, most)
    column = np.arange(values.shape[1])[:, None]
    return np.asarray(ordered[low, column] + (rank - low) * (ordered[high, column] - ordered[low, column]))
