"""What the network sees: numbers without unit, from the past of each circuit and what is known of the future.

The same functions make the windows to train on and those to forecast from, on numpy alone, so that what is served is what
was trained. Every value is divided by a scale of its own circuit, taken from the last four weeks *before* the origin:

    centre = median,  scale = mean |x - centre|,  over the steps of four weeks before the origin that have a value

(of steps shorter than an hour, over about one an hour).

A gap is filled with the value of a day before (of two days before, ...), never with a later one, and marked as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.forecast.clock import season_of, utc_offset_s
from pdnopt.forecast.lstm.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LAGS", "PAST", "Frame", "Windows", "frame_of", "open_windows", "reach", "read_targets"]

WEEK = 7
RECENT_WEEKS = 4
NEAR_DAYS = 7
WEEK_LAGS = 3
LAGS = 4 + WEEK_LAGS
"""Values of the past that stand beside each future step, in the order of `_lagged`; the first LAGS - 1 can be a forecast."""

PAST = 2
"""What the encoder sees of the load itself at each step: the value, and whether it is a gap."""

CLIP = 12.0
"""An input is at most so many scales from the centre: an outlier must not drown the rest."""

SMALL = 1e-3
"""A scale is at least this part of the circuit's level: a load that stood still for four weeks may move again."""


@dataclass(frozen=True)
class Frame:
    """Circuits of one time axis as arrays, four weeks of nothing put before them.

    Parameters
    ----------
    value_kw : ndarray
        (T, C) kW, gaps NaN.
    filled_kw : ndarray
        (T, C) kW, gaps filled from earlier days where there are any.
    known : ndarray
        (T', K), T' >= T: calendar and covariates, without unit, beyond the last value where they are known.
    offset : ndarray
        (T',) UTC offset in steps; lags are counted on the wall clock.
    day : int
        Steps in a day.
    """

    value_kw: np.ndarray
    filled_kw: np.ndarray
    known: np.ndarray
    offset: np.ndarray
    day: int

    @property
    def end(self) -> int:
        """Return the row after the last value: the origin of a forecast from the end."""
        return len(self.value_kw)

    @property
    def pad(self) -> int:
        """Return how many rows of nothing stand before the first: as many as are looked at before an origin."""
        return RECENT_WEEKS * WEEK * self.day

    @property
    def before(self) -> np.ndarray:
        """Return which rows before an origin tell centre and scale: four weeks, about hourly, the oldest first."""
        stride = next(step for step in range(max(1, self.day // 24), 0, -1) if self.day % step == 0)
        return np.arange(self.pad, 0, -stride)


@dataclass(frozen=True)
class Windows:
    """Inputs of the network for B pairs of circuit and origin, and what brings its answers back to kW.

    Parameters
    ----------
    past : ndarray
        (B, context, PAST + K).
    future : ndarray
        (B, horizon, K + LAGS).
    centre_kw, scale_kw : ndarray
        (B,) kW.
    """

    past: np.ndarray
    future: np.ndarray
    centre_kw: np.ndarray
    scale_kw: np.ndarray


def reach(step_s: float) -> int:
    """Return how many steps before an origin are looked at: four weeks."""
    return RECENT_WEEKS * WEEK * season_of(step_s)


def frame_of(value_kw: np.ndarray, index: pd.DatetimeIndex, known: np.ndarray, step_s: float) -> Frame:
    """Return the arrays of circuits.

    Parameters
    ----------
    value_kw : ndarray
        (T, C) kW, gaps NaN.
    index : DatetimeIndex
        (T',) with a time zone, T' >= T.
    known : ndarray
        (T', K).
    step_s : float
        Seconds between two rows.
    """
    day = season_of(step_s)
    pad = reach(step_s)
    values = np.full((pad + len(value_kw), value_kw.shape[1]), np.nan)
    values[pad:] = value_kw
    before = np.zeros((pad, known.shape[1]), np.float32)
    offset = np.rint(utc_offset_s(index) / step_s).astype(int)
    return Frame(
        values,
        _filled(values, day),
        np.concatenate([before, known.astype(np.float32)]),
        np.concatenate([np.full(pad, offset[0] if len(offset) else 0), offset]),
        day,
    )


def open_windows(
    frame: Frame, circuit: np.ndarray, origin: np.ndarray, settings: Settings, horizon: int | None = None
) -> Windows:
    """Return the inputs of B windows: window b is circuit ``circuit[b]`` from row ``origin[b]`` on.

    Nothing at or after the origin is read but ``frame.known``.
    """
    recent_kw = frame.value_kw[origin[:, None] - frame.before, circuit[:, None]]
    centre_kw, scale_kw = _scale(recent_kw)
    at = origin[:, None] - np.arange(settings.context, 0, -1)
    there = at >= 0
    at = np.maximum(at, 0)
    load = _unit(frame.filled_kw[at, circuit[:, None]], centre_kw, scale_kw)
    gap = ~np.isfinite(frame.value_kw[at, circuit[:, None]])
    known = frame.known[at] * there[:, :, None]
    past = np.concatenate([load[..., None], gap[..., None].astype(np.float32), known], axis=2)
    ahead = origin[:, None] + np.arange(settings.horizon if horizon is None else horizon)
    lagged = _lagged(frame, circuit, origin, ahead, centre_kw, scale_kw)
    future = np.concatenate([frame.known[ahead], lagged], axis=2)
    return Windows(past, future, centre_kw, scale_kw)


def read_targets(
    frame: Frame, circuit: np.ndarray, origin: np.ndarray, settings: Settings, windows: Windows
) -> tuple[np.ndarray, np.ndarray]:
    """Return what came, (B, horizon) in scales from the centre with NaN for gaps, and the weight of each window, (B,).

    The weight makes the loss a scaled quantile loss: scale over the mean change from one day to the next.
    """
    ahead = origin[:, None] + np.arange(settings.horizon)
    came = frame.value_kw[ahead, circuit[:, None]]
    target = (came - windows.centre_kw[:, None]) / windows.scale_kw[:, None]
    recent = frame.value_kw[origin[:, None] - frame.before, circuit[:, None]]
    day = len(frame.before) // (RECENT_WEEKS * WEEK)
    change = np.abs(recent[:, day:] - recent[:, :-day])
    count = np.maximum(np.isfinite(change).sum(axis=1), 1)
    daily_kw = np.nansum(change, axis=1) / count
    weight = windows.scale_kw / np.maximum(daily_kw, SMALL * windows.scale_kw)
    return target.astype(np.float32), np.clip(weight, 0.25, 4.0).astype(np.float32)


def _filled(values: np.ndarray, day: int) -> np.ndarray:
    """Return values whose gaps take what came at the same time of the last day that had a value."""
    filled = values.copy()
    for start in range(day, len(filled), day):
        block = filled[start : start + day]
        gaps = np.isnan(block)
        if gaps.any():
            block[gaps] = filled[start - day : start - day + len(block)][gaps]
    return filled


def _scale(recent_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and scale of each row, in kW; 0 and 1 for a circuit without any value yet."""
    seen = np.isfinite(recent_kw)
    count = seen.sum(axis=1)
    ordered = np.sort(recent_kw, axis=1)  # NaN last
    rows = np.arange(len(recent_kw))
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count // 2, 0)
    high = np.minimum(high, np.maximum(count - 1, 0))
    centre = np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, 0.0)
    spread = np.where(seen, np.abs(recent_kw - centre[:, None]), 0.0).sum(axis=1) / np.maximum(count, 1)
    scale = np.maximum(spread, SMALL * np.abs(centre))
    return centre, np.where(scale > 0, scale, 1.0)


def _unit(kw: np.ndarray, centre_kw: np.ndarray, scale_kw: np.ndarray) -> np.ndarray:
    """Return values in scales from the centre, within CLIP, 0 where there is none."""
    shape = (-1, *([1] * (kw.ndim - 1)))
    unit = (kw - centre_kw.reshape(shape)) / scale_kw.reshape(shape)
    return np.asarray(np.clip(np.nan_to_num(unit, nan=0.0), -CLIP, CLIP).astype(np.float32))


def _lagged(
    frame: Frame,
    circuit: np.ndarray,
    origin: np.ndarray,
    ahead: np.ndarray,
    centre_kw: np.ndarray,
    scale_kw: np.ndarray,
) -> np.ndarray:
    """Return (B, horizon, LAGS): last value; at that hour the last day, mean of seven days, last weeks; their spread."""
    horizon = np.arange(ahead.shape[1])
    days = (horizon // frame.day + 1)[:, None] + np.arange(NEAR_DAYS)
    week = WEEK * frame.day
    weeks = (horizon // week + 1)[:, None] + np.arange(WEEK_LAGS)
    lags = np.concatenate([days * frame.day, weeks * week], axis=1)  # (horizon, lags)
    at = np.maximum(ahead[:, :, None] - lags, 0)
    at += frame.offset[ahead][:, :, None] - frame.offset[at]  # the same hour of the wall clock
    at = np.clip(at, 0, origin[:, None, None] - 1)
    values = _unit(frame.filled_kw[at, circuit[:, None, None]], centre_kw, scale_kw)
    near = values[:, :, :NEAR_DAYS]
    last = _unit(frame.filled_kw[origin - 1, circuit], centre_kw, scale_kw)
    last = np.broadcast_to(last[:, None, None], (*ahead.shape, 1))
    mean = near.mean(axis=2, keepdims=True)
    spread = near.std(axis=2, keepdims=True)
    return np.concatenate([last, near[:, :, :1], mean, values[:, :, NEAR_DAYS:], spread], axis=2)
