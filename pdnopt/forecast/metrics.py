"""How good a forecast was: the scores of the published protocol, by its definitions.

With actual values y, median m, forecasts f(q) for the quantiles q of a set Q, a window's history x and a season of s steps:

    pinball(q) = 2 |(y - f(q)) (1[y <= f(q)] - q)|                                                          (1)
    scale      = mean_t |x_t - x_(t-s)|, one for each circuit, over what was measured                        (2)
    MASE       = mean |y - m| / scale                                                                        (3)
    SQL        = mean mean_q pinball(q) / scale                                                              (4)
    WQL        = mean mean_q pinball(q) / mean |y|                                                           (5)
    WAPE       = mean |y - m| / mean |y|                                                                     (6)
    coverage   = part of the y with f(q_low) <= y <= f(q_high)                                               (7)

The means of (3) and (4) run over circuits and steps of a window; those of (5) and (6), numerator and denominator alike, over
the circuits of a group. Then the mean over groups is taken, then over windows. A group is what the protocol calls a target:
the same variate of several series; circuits are one group unless told otherwise. Gaps in y count nowhere; a circuit whose
scale is 0 or unknown is left out of (3) and (4). Source: fev (Shchur et al. 2025, arXiv:2509.26468), `fev/metrics.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Losses", "Scores", "losses", "pinball", "score", "seasonal_scale"]


def pinball(y: np.ndarray, f: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return equation (1), the quantile loss times 2: y (...,), f (..., Q), q (Q,) -> (..., Q)."""
    y = y[..., None]
    return np.asarray(2.0 * np.abs((y - f) * ((y <= f) - q)))


def seasonal_scale(kw: np.ndarray, season: int) -> np.ndarray:
    """Return equation (2), the mean absolute change over a season: (T, C) -> (C,); NaN where nothing is known."""
    return nanmean(np.abs(kw[season:] - kw[:-season]), axis=0)


@dataclass(frozen=True)
class Losses:
    """What a forecast of one window lost, by circuit; the step is averaged over.

    Attributes
    ----------
    abs_error_kw, abs_actual_kw : float, shape (C,)
        Mean |y - m| and mean |y|.
    pinball_kw : float, shape (C, Q)
        Mean of equation (1).
    below : float, shape (C, Q)
        Part of the values at or below each quantile.
    inside : float, shape (C, Q // 2)
        Part of the values between each quantile and its opposite, the widest interval first.
    scale_kw : float, shape (C,)
        Equation (2) over the window's past.
    count : int, shape (C,)
        Values that were measured.
    """

    abs_error_kw: np.ndarray
    abs_actual_kw: np.ndarray
    pinball_kw: np.ndarray
    below: np.ndarray
    inside: np.ndarray
    scale_kw: np.ndarray
    count: np.ndarray


def losses(y: np.ndarray, f: np.ndarray, q: np.ndarray, scale_kw: np.ndarray) -> Losses:
    """Return what a forecast lost: y (H, C), f (H, C, Q), q (Q,), scale (C,).

    The median is the quantile nearest to 0.5.
    """
    gap = ~np.isfinite(y)
    median = f[:, :, int(np.argmin(np.abs(q - 0.5)))]
    loss = pinball(y, f, q)
    half = len(q) // 2
    known = np.where(gap[:, :, None], np.nan, 1.0)
    below = known * (y[:, :, None] <= f)
    inside = known * ((f[:, :, :half] <= y[:, :, None]) & (y[:, :, None] <= f[:, :, ::-1][:, :, :half]))
    return Losses(
        abs_error_kw=nanmean(np.abs(y - median), axis=0),
        abs_actual_kw=nanmean(np.abs(y), axis=0),
        pinball_kw=nanmean(loss, axis=0),
        below=nanmean(below, axis=0),
        inside=nanmean(inside, axis=0),
        scale_kw=scale_kw,
        count=(~gap).sum(axis=0),
    )


@dataclass(frozen=True)
class Scores:
    """Scores of one forecaster; equations (3) to (7).

    Attributes
    ----------
    mase, sql, wql, wape : float
    coverage : dict of float to float
        Nominal part of the interval -> part of the values that lay in it.
    pinball_kw : dict of float to float
        Quantile -> mean of equation (1) in kW.
    below : dict of float to float
        Quantile -> part of the values at or below it.
    """

    mase: float
    sql: float
    wql: float
    wape: float
    coverage: dict[float, float]
    pinball_kw: dict[float, float]
    below: dict[float, float]


def score(windows: Sequence[Losses], q: np.ndarray, groups: Sequence[str] | None = None) -> Scores:
    """Return the scores over windows.

    Parameters
    ----------
    windows : sequence of Losses
    q : float, shape (Q,)
    groups : sequence of str, optional
        The group of each circuit; default: one group.
    """
    number = _group_numbers(groups, len(windows[0].count))
    by_window = np.array([_of_window(each, number) for each in windows])
    mase, sql, wql, wape = nanmean(by_window, axis=0)
    count = np.concatenate([each.count for each in windows]).astype(float)
    below = _weighted(np.concatenate([each.below for each in windows]), count)
    inside = _weighted(np.concatenate([each.inside for each in windows]), count)
    pin = _weighted(np.concatenate([each.pinball_kw for each in windows]), count)
    half = len(q) // 2
    nominal = (q[::-1][:half] - q[:half]).round(6)
    return Scores(
        mase=float(mase),
        sql=float(sql),
        wql=float(wql),
        wape=float(wape),
        coverage={float(p): float(v) for p, v in zip(nominal, inside, strict=True)},
        pinball_kw={float(p): float(v) for p, v in zip(q, pin, strict=True)},
        below={float(p): float(v) for p, v in zip(q, below, strict=True)},
    )


def nanmean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Return the mean over what is finite; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis))


def _of_window(each: Losses, number: np.ndarray) -> tuple[float, float, float, float]:
    """Return MASE, SQL, WQL and WAPE of one window: the mean over groups."""
    groups = int(number.max()) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.stack([each.abs_error_kw, nanmean(each.pinball_kw, axis=1)]) / each.scale_kw
    absolute = np.stack([each.abs_error_kw, nanmean(each.pinball_kw, axis=1), each.abs_actual_kw])
    count = each.count.astype(float)
    out = np.empty((groups, 4))
    for g in range(groups):
        mine = number == g
        out[g, :2] = [_weighted(row[mine], count[mine]) for row in scaled]
        error, pin, actual = (_weighted(row[mine], count[mine]) for row in absolute)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[g, 2:] = pin / actual, error / actual
    mase, sql, wql, wape = nanmean(out, axis=0)
    return float(mase), float(sql), float(wql), float(wape)


def _weighted(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis, weighted by how many values stand behind each, over what is finite."""
    weight = count.reshape(-1, *[1] * (values.ndim - 1)) * np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.where(weight > 0, values, 0.0) * weight).sum(axis=0) / weight.sum(axis=0))


def _group_numbers(groups: Sequence[str] | None, circuits: int) -> np.ndarray:
    if groups is None:
        return np.zeros(circuits, dtype=int)
    return np.unique(np.asarray(list(groups), dtype=str), return_inverse=True)[1]
