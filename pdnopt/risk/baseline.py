"""What a symptom would be at this load if nothing had changed: a streaming reference for many channels at once.

The question: is this sensor higher than it was at the same load and ambient temperature when the component was well?

With u the load (current or power), a the ambient temperature, y a symptom (the logarithm of it where ratios count):

    L_tau(t) = first-order lag of u(t)^2 with time constant tau                                    (1)
    y(t) = c0 + c1 L_0 + c2 L_1h + c3 L_4h + c4 a + e                                              (2)
    m(t) = exponentially weighted mean of e,  half-life 6 h                                        (3)
    z(t) = m(t) / max(sd(m), floor)                                                                (4)

Heat is proportional to current squared and arrives through a thermal lag, so (1) makes loads comparable. Learning has two
parts: (2) is fitted by least squares on the first, and how large e and m are by themselves is measured on the second, on
data that (2) has not seen. Then the reference is frozen: one that kept adapting would learn a slow degradation as normal.
After maintenance it is learnt anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

__all__ = ["Baseline", "Deviation"]

LAGS_S = (0.0, 3600.0, 4 * 3600.0)
RIDGE = 1e-6
"""Share of a regressor's own spread that is added to it: a constant load leaves its coefficient at zero."""
SPREAD_FLOOR = 1e-9


@dataclass(frozen=True)
class Deviation:
    """How far channels are from their references. Arrays of length n; NaN while a channel is still learning.

    Parameters
    ----------
    level : ndarray
        Smoothed difference m at equal load, in the channel's unit, or of logarithms.
    z : ndarray
        ``level`` in its own standard deviations.
    spread : ndarray
        Logarithm of the ratio of the standard deviation of e to that of the reference.
    trend_per_day : ndarray
        Change of ``level`` per day over the last days.
    expected, seen : ndarray
        Last value as (2) expects it, and as it was seen.
    score : ndarray
        Anomaly score 0..1: the two-sided probability of a smaller \\|z\\| by chance.
    sd : ndarray
        What ``z`` was divided by.
    """

    level: np.ndarray
    z: np.ndarray
    spread: np.ndarray
    trend_per_day: np.ndarray
    expected: np.ndarray
    seen: np.ndarray
    score: np.ndarray
    sd: np.ndarray


class Baseline:
    """Streaming references of n channels that are read at the same times. Memory does not grow.

    Parameters
    ----------
    floor : array_like
        Smallest standard deviation of m that is believed, one for each channel.
    learn_s : float
        Time of learning; the first 70 % fit (2), the rest measures (4).
    half_life_s : float
        Of (3).
    slow_s : float
        Half-life of the slower mean that the trend is measured against.
    """

    def __init__(
        self,
        floor: np.ndarray,
        learn_s: float = 14 * 86400.0,
        half_life_s: float = 6 * 3600.0,
        slow_s: float = 48 * 3600.0,
    ) -> None:
        self.floor = np.asarray(floor, dtype=float)
        self.learn_s, self.half_life_s, self.slow_s = learn_s, half_life_s, slow_s
        n, p = len(self.floor), 2 + len(LAGS_S)
        self.elapsed_s = 0.0
        self.lag = np.full((n, len(LAGS_S)), np.nan)
        self.gram, self.moment = np.zeros((n, p, p)), np.zeros((n, p))
        self.beta = np.full((n, p), np.nan)
        self.unit = np.full(n, np.nan)
        """Load that counts as one: the first that is seen above zero, so that powers of it stay near one."""
        self.fitted = False
        self.fast, self.slow = np.zeros(n), np.zeros(n)
        self.variance = np.zeros(n)
        self.sums = np.zeros((3, n))
        """Of the measuring part: e^2, m^2 and how many."""
        self.seen, self.expected = np.full(n, np.nan), np.full(n, np.nan)

    @property
    def learning(self) -> bool:
        """Return whether the reference is not complete yet."""
        return self.elapsed_s < self.learn_s

    def update(self, dt_s: float, y: np.ndarray, load: np.ndarray, ambient: np.ndarray) -> None:
        """Take one reading of every channel.

        Parameters
        ----------
        dt_s : float
            Time since the last reading.
        y, load, ambient : ndarray
            Symptom (logarithm already taken where ratios count), load and ambient temperature; NaN where there is none. A
            channel without its load or ambient stands still until it has them; one that never had them is judged without.
        """
        self.elapsed_s += dt_s
        load = np.nan_to_num(load) if np.isnan(self.unit).all() and np.isnan(load).all() else load
        self.unit = np.where(np.isnan(self.unit) & (load > 0), load, self.unit)
        squared = (load / np.where(np.isnan(self.unit), 1.0, self.unit)) ** 2
        for k, tau_s in enumerate(LAGS_S):
            gain = 1.0 if tau_s == 0 else -np.expm1(-dt_s / tau_s)
            last = self.lag[:, k]
            moved = np.where(np.isnan(last), squared, last + gain * (squared - last))
            self.lag[:, k] = np.where(np.isnan(squared), last, moved)
        x = np.column_stack([np.ones(len(y)), self.lag, ambient])
        usable = np.isfinite(y) & np.isfinite(x).all(axis=1)
        x = np.where(usable[:, None], x, 0.0)
        y = np.where(usable, y, 0.0)
        if self.elapsed_s < 0.7 * self.learn_s:
            self.gram += x[:, :, None] * x[:, None, :]
            self.moment += x * y[:, None]
            return
        if not self.fitted:
            self.beta = _solve(self.gram, self.moment)
            self.fitted = True
        expected = (self.beta * x).sum(axis=1)
        self.seen = np.where(usable, y, self.seen)
        self.expected = np.where(usable, expected, self.expected)
        self._follow(dt_s, np.where(usable, y - expected, np.nan))

    def _follow(self, dt_s: float, error: np.ndarray) -> None:
        ok = np.isfinite(error)
        e = np.where(ok, error, 0.0)
        fast = -np.expm1(-dt_s * np.log(2.0) / self.half_life_s) * ok
        slow = -np.expm1(-dt_s * np.log(2.0) / self.slow_s) * ok
        before = self.fast
        self.fast = self.fast + fast * (e - self.fast)
        self.slow = self.slow + slow * (e - self.slow)
        if self.learning:
            self.sums += np.vstack([(e - before) ** 2 * ok, self.fast**2 * ok, ok])
            count = np.maximum(self.sums[2], 1.0)
            self.variance = self.sums[0] / count
        else:
            self.variance = self.variance + slow * ((e - before) ** 2 - self.variance)

    def deviation(self) -> Deviation:
        """Return how far each channel is from its reference now."""
        count = np.maximum(self.sums[2], 1.0)
        known = (self.sums[2] > 0) & ~np.isnan(self.beta).any(axis=1) & (not self.learning)
        sd = np.maximum(np.sqrt(self.sums[1] / count), self.floor)
        reference = np.maximum(self.sums[0] / count, np.maximum(self.floor**2, SPREAD_FLOOR))
        level = np.where(known, self.fast, np.nan)
        # a ramp of slope s leaves an exponentially weighted mean of half-life h behind by s h / ln 2
        apart_days = (self.slow_s - self.half_life_s) / np.log(2.0) / 86400.0
        z = level / sd
        return Deviation(
            level=level,
            z=z,
            spread=np.where(known, 0.5 * np.log(np.maximum(self.variance, SPREAD_FLOOR) / reference), np.nan),
            trend_per_day=np.where(known, (self.fast - self.slow) / apart_days, np.nan),
            expected=self.expected,
            seen=self.seen,
            score=erf(np.abs(z) / np.sqrt(2.0)),
            sd=sd,
        )


def _solve(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Return least-squares coefficients of (2): NaN for a channel without readings, zero for what never moved."""
    n = gram[:, 0, 0]
    out = np.full(moment.shape, np.nan)
    some = n > moment.shape[1]
    if not some.any():
        return out
    gram, moment, n = gram[some], moment[some], n[some]
    mean = gram[:, 0, 1:] / n[:, None]
    spread = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2)[:, 1:] / n[:, None] - mean**2, 0.0))
    moved = spread > 1e-6 * np.maximum(np.abs(mean), 1.0)
    scale = np.where(moved, spread, 1.0)
    # centred and scaled: what stays is well conditioned
    inner = gram[:, 1:, 1:] / n[:, None, None] - mean[:, :, None] * mean[:, None, :]
    inner = inner / scale[:, :, None] / scale[:, None, :] * moved[:, :, None] * moved[:, None, :]
    diagonal = np.arange(inner.shape[1])
    inner[:, diagonal, diagonal] = np.where(moved, inner[:, diagonal, diagonal] + RIDGE, 1.0)
    mean_y = moment[:, 0] / n
    right = (moment[:, 1:] / n[:, None] - mean * mean_y[:, None]) / scale * moved
    slope = np.linalg.solve(inner, right[:, :, None])[:, :, 0] / scale
    out[some] = np.column_stack([mean_y - (slope * mean).sum(axis=1), slope])
    return out
