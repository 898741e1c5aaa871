"""When a battery reaches its end of life: fade as a Wiener process whose drift is learnt, first passage in closed form.

The question: with what probability does this battery fall below the capacity that its job needs within the next k cycles?

With h the state of health (capacity over the first), c cycles, and a drift mu that differs between batteries:

    h(c + k) = h(c) + mu k + sigma W(k),   mu ~ Normal(m, s^2) over batteries of a kind                          (1)
    after the last n cycles with least-squares slope b:  mu ~ Normal((m/s^2 + b/v)/(1/s^2 + 1/v), 1/(1/s^2 + 1/v)) (2)
    P(min h(c..c+k) <= e | mu) = Phi(-(d + mu k)/(sigma sqrt k)) + exp(-2 mu d/sigma^2) Phi(-(d - mu k)/(sigma sqrt k)) (3)
    d = h(c) - e,  averaged over mu by a Gauss-Hermite sum

(1) and (3) are the degradation model of G. A. Whitmore (Lifetime Data Analysis 1, 1995); (3) is the inverse Gaussian
first-passage law. A straight line through the last cycles, not through all, because fade is not straight.

The prior over batteries is learnt from other batteries of the kind (`learn_fade`). :data:`LI_ION_18650` is that of the four
cells of NASA's battery data set; a battery of another kind needs its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import log_ndtr, ndtr

from pdnopt.errors import InputError, Issue

__all__ = ["LI_ION_18650", "WINDOW", "Fade", "end_of_life", "learn_fade", "passage_probability"]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
WINDOW = 20
"""Cycles that the slope is taken from."""
AHEAD = 10
"""Cycles over which sigma is measured: long enough that the rest after a pause counts as noise, not as fade."""
LEAST_BATTERIES = 2


@dataclass(frozen=True)
class Fade:
    """How batteries of a kind fade; equation (1).

    Parameters
    ----------
    drift : float
        m, change of state of health a cycle (negative).
    drift_sd : float
        s, between batteries and over their lives.
    slope_sd : float
        Square root of v: how far a slope over `WINDOW` cycles lies from what follows.
    sigma : float
        Per square root of a cycle.
    source : str
    """

    drift: float
    drift_sd: float
    slope_sd: float
    sigma: float
    source: str


LI_ION_18650 = Fade(
    -0.00201, 0.00126, 0.00214, 0.00525, "NASA battery data set, cells B0005, B0006, B0007, B0018"
)
"""2 Ah cells cycled to depth at 24 degC; `learn_fade` of all four."""


def _slopes(health: np.ndarray) -> np.ndarray:
    """Return the least-squares slope over each `WINDOW` cycles, one for each window."""
    windows = np.lib.stride_tricks.sliding_window_view(health, WINDOW)
    centred = np.arange(WINDOW) - (WINDOW - 1) / 2.0
    return np.asarray(windows @ centred / (centred @ centred))


def _levels(health: np.ndarray) -> np.ndarray:
    """Return the end of the line through each `WINDOW` cycles: a level that one odd cycle does not move far."""
    windows = np.lib.stride_tricks.sliding_window_view(health, WINDOW)
    return np.asarray(windows.mean(axis=1) + _slopes(health) * (WINDOW - 1) / 2.0)


def learn_fade(healths: Sequence[np.ndarray], source: str = "given batteries") -> Fade:
    """Learn how batteries of a kind fade.

    Parameters
    ----------
    healths : sequence of ndarray
        State of health of each battery, cycle by cycle, as a part of one.

    Raises
    ------
    InputError
        Fewer than two batteries, or too few cycles, or values that are no state of health.
    """
    issues: list[Issue] = []
    if len(healths) < LEAST_BATTERIES:
        issues.append(
            Issue(
                "Empty",
                "healths",
                "",
                len(healths),
                f"at least {LEAST_BATTERIES} batteries",
                "Give more of the kind.",
            )
        )
    for k, health in enumerate(healths):
        issues += _faults(np.asarray(health, dtype=float), f"healths[{k}]", WINDOW + AHEAD + 1)
    if issues:
        raise InputError(issues)
    slopes, followed, steps = [], [], []
    for health in healths:
        h = np.asarray(health, dtype=float)
        slope, level = _slopes(h), _levels(h)
        ahead = (level[AHEAD:] - level[:-AHEAD]) / AHEAD
        slopes.append(slope[:-AHEAD])
        followed.append(ahead)
        steps.append(level[AHEAD:] - level[:-AHEAD] - AHEAD * ahead.mean())
    each = np.array([ahead.mean() for ahead in followed])
    all_ahead, all_slopes = np.concatenate(followed), np.concatenate(slopes)
    # between batteries, and over the life of one
    spread = sqrt(float(each.var(ddof=1)) + float(np.mean([ahead.var() for ahead in followed])) / 2.0)
    error = float(np.sqrt(((all_ahead - all_slopes) ** 2).mean()))
    sigma = float(np.sqrt((np.concatenate(steps) ** 2).mean() / AHEAD))
    return Fade(float(each.mean()), spread, error, sigma, source)


def passage_probability(
    distance: float, drift: np.ndarray | float, sigma: float, cycles: np.ndarray | float
) -> np.ndarray:
    """Return the probability that a Wiener process falls by ``distance`` within ``cycles``; equation (3)."""
    k = np.maximum(np.asarray(cycles, dtype=float), 1e-12)
    mu = np.asarray(drift, dtype=float)
    if distance <= 0:
        return np.ones(np.broadcast(k, mu).shape)
    root = sigma * np.sqrt(k)
    first = ndtr(-(distance + mu * k) / root)
    # in logarithms: the exponential overflows where the normal tail vanishes
    second = np.exp(np.minimum(-2.0 * mu * distance / sigma**2 + log_ndtr(-(distance - mu * k) / root), 0.0))
    return np.asarray(np.minimum(first + second, 1.0))


def end_of_life(
    health: np.ndarray, cycles: np.ndarray | Sequence[float], fade: Fade = LI_ION_18650, limit: float = 0.8
) -> tuple[np.ndarray, float]:
    """Return the probability of reaching the end of life within so many cycles, and the expected cycles to it.

    Parameters
    ----------
    health : ndarray
        State of health so far, cycle by cycle, as a part of one; at least one value. Fewer than `WINDOW` of them say little:
        then the prior speaks.
    cycles : array_like
        Horizons.
    fade : Fade
    limit : float
        End of life; 0.8 is when IEEE Std 1188 says to replace a lead-acid battery, and usual for others.

    Returns
    -------
    tuple
        Probabilities, one for each horizon; cycles to the limit at the expected drift (infinite if it does not fall).
    """
    h = np.asarray(health, dtype=float)
    issues = _faults(h, "health", 1)
    if not 0.0 < limit < 1.0:
        issues.append(Issue("Range", "limit", "", limit, "above 0, below 1", "Write 0.8 for 80 %."))
    if issues:
        raise InputError(issues)
    k = np.asarray(cycles, dtype=float)
    if len(h) >= WINDOW:
        level, slope = float(_levels(h)[-1]), float(_slopes(h)[-1])
        precision = 1.0 / fade.drift_sd**2 + 1.0 / fade.slope_sd**2
        drift = (fade.drift / fade.drift_sd**2 + slope / fade.slope_sd**2) / precision
        spread = sqrt(1.0 / precision)
    else:
        level, drift, spread = float(np.median(h[-3:])), fade.drift, fade.drift_sd
    distance = level - limit
    drifts = drift + spread * NODES
    p = passage_probability(distance, drifts[:, None], fade.sigma, np.atleast_1d(k)[None, :])
    expected = max(distance, 0.0) / -drift if drift < 0 else float("inf")
    return np.asarray(WEIGHTS @ p), expected


def _faults(health: np.ndarray, path: str, least: int) -> list[Issue]:
    issues = []
    if health.ndim != 1 or len(health) < least:
        issues.append(
            Issue(
                "TooShort",
                path,
                "",
                int(health.size),
                f"at least {least} cycles in a row",
                "Give more cycles.",
            )
        )
    bad = ~np.isfinite(health) | (health < 0.0) | (health > 1.3)
    if bad.any():
        todo = "Give capacity over that of the first cycle, as a part of one."
        issues.append(Issue("Range", path, "", float(health[bad][0]), "0 to 1.3", todo))
    return issues
