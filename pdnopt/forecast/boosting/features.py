"""What a forecast is told: each row of the matrix looks at nothing after its origin but what is known ahead.

Everything is in units of the circuit's scale and relative to the row's anchor, a simple forecast; the trees learn how far
the outcome lies from it. There are three:

* LAST, the last value: circuits that stay where they are (batch jobs, servers);
* WEEK, the mean of the last seven days at the same time of day: where covariates say most of the rest;
* MONTH, the quantiles of the last four weeks at the same time of day, moved by half of how far the last three days lie from
  them: where there are none. Each quantile has its own anchor, and what the trees do not know better stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.forecast.boosting.panel import Panel, running_mean
from pdnopt.forecast.boosting.rows import Rows
from pdnopt.forecast.estimator import DECILES
from pdnopt.forecast.metrics import nanmean

__all__ = ["LAST", "MONTH", "WEEK", "Features", "choose_anchor", "features"]

LAST, WEEK, MONTH = 0, 1, 2

MEDIAN = DECILES.index(0.5)

MONTH_DAYS = 28

FOLLOWED = 0.5
"""Part of the way from the last four weeks to the last three days that MONTH goes."""

TOLD = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Quantiles of the last four weeks that the trees are told."""

WEEK_H = 168

MEANS_H = (3, 6, 12, 24, 72, 336, 672, 2016)
"""Hours of running means up to the origin, besides that of a week."""

CHANGES_H = (24, 168, 672)
"""Hours over which the change from day to day is averaged."""

KNOWN_H = (3, 6, 24, 72, 168)
"""Hours of running means of a covariate up to the target."""

LEVELS = (0.1, 0.5, 0.9)
LEVELS_H = (6, 24, 168)
"""Quantiles of the values in the hours before the origin."""

YEARS = 2.0
"""Years of history from which on the time of year is told: with less it cannot be told from a trend."""


@dataclass(frozen=True)
class Features:
    """A matrix with a row for each forecast.

    Attributes
    ----------
    matrix : float32, shape (N, M)
    names : tuple of str, shape (M,)
    anchor : float, shape (N, Q)
        One for each decile, in units of the scale.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    anchor: np.ndarray


def choose_anchor(panel: Panel, rows: Rows, otherwise: int) -> np.ndarray:
    """Return for each circuit LAST where that is nearer to the outcome than WEEK and MONTH, else `otherwise`; (C,).

    Circuits that repeat day by day share one kind of anchor: the trees, which are the same for all of them, then learn the
    same thing from each.
    """
    circuit = rows.circuit[rows.pair]
    outcome = panel.value[rows.target, circuit]
    found = _anchors(panel, rows, _same_hour(panel, rows, MONTH_DAYS))
    error = np.stack([np.abs(outcome - found[kind][:, MEDIAN]) for kind in (LAST, WEEK, MONTH)])
    known = np.isfinite(error).all(axis=0)
    circuits = panel.value.shape[1]
    total = np.stack([np.bincount(circuit[known], each[known], minlength=circuits) for each in error])
    return np.where(total[LAST] < np.minimum(total[WEEK], total[MONTH]), LAST, otherwise)


def features(panel: Panel, rows: Rows, kind: np.ndarray, time_of_year: bool) -> Features:
    """Describe forecasts.

    Parameters
    ----------
    panel : Panel
    rows : Rows
    kind : int, shape (C,)
        The anchor of each circuit.
    time_of_year : bool
        Whether to tell the time of year.
    """
    pair = rows.pair
    origin, circuit = rows.origin[pair], rows.circuit[pair]
    same_hour = _same_hour(panel, rows, MONTH_DAYS)
    anchors = _anchors(panel, rows, same_hour)
    anchor = np.choose(kind[circuit][:, None], [anchors[each] for each in (LAST, WEEK, MONTH)])
    centre = anchor[:, MEDIAN]
    at_origin = _at_origin(panel, rows)
    week = at_origin.pop("level")[pair]
    told = {"ahead": rows.ahead * (24 / panel.day), **_calendar(panel, rows, time_of_year)}
    told |= {f"day_{k}": same_hour[:, k] - centre for k in (0, 1, 2, 3, 6)}
    told |= {
        "days_3": nanmean(same_hour[:, :3], axis=1) - centre,
        "days_7": nanmean(same_hour[:, :7], axis=1) - centre,
        "days_28": nanmean(same_hour, axis=1) - centre,
        "days_spread": _spread(same_hour[:, :7]),
    }
    told |= {f"month_{q:g}": anchors[MONTH][:, DECILES.index(q)] - centre for q in TOLD}
    same_weekday = _same_weekday(panel, rows, 4)
    told |= {f"week_{k}": same_weekday[:, k] - centre for k in (0, 1)}
    told["weeks_4"] = nanmean(same_weekday, axis=1) - centre
    told |= {"last": panel.carried[origin, circuit] - centre, "anchor": centre - week, "level": week}
    told |= {name: each[pair] for name, each in at_origin.items()}
    told |= {f"level_{h}h_{q:g}": each[pair] - centre for (h, q), each in _levels(panel, rows).items()}
    told |= _known_ahead(panel, rows)
    matrix = np.column_stack([np.asarray(each, dtype=np.float32) for each in told.values()])
    return Features(matrix, tuple(told), anchor)


def _anchors(panel: Panel, rows: Rows, same_hour: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return LAST, WEEK and MONTH for each decile, each (N, Q); the last value where the days before are not known."""
    origin, circuit = rows.origin[rows.pair], rows.circuit[rows.pair]
    last = panel.carried[origin, circuit]
    week = nanmean(same_hour[:, :7], axis=1)
    recent, usual = (
        running_mean(panel.value, panel.hours(24 * days))[origin, circuit] for days in (3, MONTH_DAYS)
    )
    month = _quantiles(same_hour, DECILES) + FOLLOWED * (recent - usual)[:, None]
    flat = [
        np.repeat(np.where(np.isfinite(each), each, last)[:, None], len(DECILES), 1) for each in (last, week)
    ]
    return flat[0], flat[1], np.where(np.isfinite(month), month, flat[0])


def _quantiles(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return quantiles of what is finite along a row, linear between the values; NaN where nothing is: (N, K) -> (N, Q)."""
    ordered = np.sort(values, axis=1)  # NaN last
    top = np.maximum(np.isfinite(values).sum(axis=1) - 1, 0)[:, None]
    place = np.asarray(levels) * top
    low = place.astype(int)
    at_low = np.take_along_axis(ordered, low, axis=1)
    at_high = np.take_along_axis(ordered, np.minimum(low + 1, top), axis=1)
    return np.asarray(at_low + (place - low) * (at_high - at_low))


def _first_day(panel: Panel, rows: Rows) -> np.ndarray:
    """Return how many days before the target the latest one lies that was over at the origin."""
    return np.asarray(-(-rows.ahead // panel.day))


def _same_hour(panel: Panel, rows: Rows, days: int) -> np.ndarray:
    """Return the values at the target's time of day in the last days before the origin, the latest first: (N, days)."""
    first, circuit, origin = _first_day(panel, rows), rows.circuit[rows.pair], rows.origin[rows.pair]
    found = [panel.at(panel.days_before(rows.target, first + k), circuit, latest=origin) for k in range(days)]
    return np.stack(found, axis=1)


def _same_weekday(panel: Panel, rows: Rows, weeks: int) -> np.ndarray:
    """Return the values at the target's time of the week in the last weeks, the latest first: (N, weeks)."""
    first, circuit, origin = _first_week(panel, rows), rows.circuit[rows.pair], rows.origin[rows.pair]
    found = [
        panel.at(panel.days_before(rows.target, 7 * (first + k)), circuit, latest=origin)
        for k in range(weeks)
    ]
    return np.stack(found, axis=1)


def _first_week(panel: Panel, rows: Rows) -> np.ndarray:
    return np.asarray(-(-rows.ahead // (7 * panel.day)))


def _calendar(panel: Panel, rows: Rows, time_of_year: bool) -> dict[str, np.ndarray]:
    """Return hour, weekday and holidays of the target, and whether the days it is compared with were holidays."""
    target = rows.target
    told = {
        "hour": panel.hour[target],
        "weekday": panel.weekday[target],
        "origin_hour": panel.hour[rows.origin[rows.pair]],
    }
    if time_of_year:
        told |= {"year_sin": np.sin(panel.year_angle[target]), "year_cos": np.cos(panel.year_angle[target])}
    if len(panel.holiday):
        day, end = panel.day, len(panel.holiday) - 1
        before = panel.days_before(target, _first_day(panel, rows))
        week_before = panel.days_before(target, 7 * _first_week(panel, rows))
        told |= {
            "holiday": panel.holiday[target],
            "holiday_yesterday": panel.holiday[np.maximum(target - day, 0)],
            "holiday_tomorrow": panel.holiday[np.minimum(target + day, end)],
            "holiday_day_0": panel.holiday[np.maximum(before, 0)],
            "holiday_week_0": panel.holiday[np.maximum(week_before, 0)],
        }
    return told


def _at_origin(panel: Panel, rows: Rows) -> dict[str, np.ndarray]:
    """Return what is known at each origin, whatever the target; each (P,)."""
    origin, circuit, day = rows.origin, rows.circuit, panel.day
    here = Rows(origin, circuit, np.arange(len(origin)), np.zeros(len(origin), dtype=np.int64))
    usual = nanmean(_same_hour(panel, here, 8)[:, 1:], axis=1)  # without the day of the origin itself
    means = running_mean(panel.value, panel.hours(WEEK_H))
    week = means[origin, circuit]
    told = {
        "level": week,
        "unusual": panel.carried[origin, circuit] - usual,
        "week_before": means[np.maximum(origin - 7 * day, 0), circuit] - week,
    }
    for h in MEANS_H:
        means = running_mean(panel.value, panel.hours(h))
        told[f"mean_{h}h"] = means[origin, circuit] - week
        if h == 24:
            told["day_before"] = means[np.maximum(origin - day, 0), circuit] - week
    change = _change(panel.value, day)
    told |= {f"change_{h}h": running_mean(change, panel.hours(h))[origin, circuit] for h in CHANGES_H}
    told["roughness"] = running_mean(_change(panel.value, 1), panel.hours(WEEK_H))[origin, circuit]
    return told


def _levels(panel: Panel, rows: Rows) -> dict[tuple[int, float], np.ndarray]:
    """Return quantiles of the last hours before each origin; each (P,)."""
    told: dict[tuple[int, float], np.ndarray] = {}
    for hours in LEVELS_H:
        steps = panel.hours(hours)
        stride = -(-steps // WEEK_H)
        back = np.maximum(rows.origin[:, None] - np.arange(0, steps, stride), 0)
        values = np.sort(panel.carried[back, rows.circuit[:, None]], axis=1)
        last = values.shape[1] - 1
        told |= {(hours, q): values[:, round(q * last)] for q in LEVELS}
    return told


def _known_ahead(panel: Panel, rows: Rows) -> dict[str, np.ndarray]:
    """Return the covariates at the target, smoothed, and against the days that the target is compared with."""
    target, origin = rows.target, rows.origin[rows.pair]
    before = np.maximum(panel.days_before(target, _first_day(panel, rows)), 0)
    week_before = np.maximum(panel.days_before(target, 7 * _first_week(panel, rows)), 0)
    told: dict[str, np.ndarray] = {}
    for k in range(panel.known.shape[1]):
        x = panel.known[:, k]
        means = {h: running_mean(x[:, None], panel.hours(h))[:, 0] for h in KNOWN_H}
        told |= {
            f"known_{k}": x[target],
            f"known_{k}_a_day_before": x[np.maximum(target - panel.day, 0)],
            f"known_{k}_against_day_0": x[target] - x[before],
            f"known_{k}_against_week_0": x[target] - x[week_before],
            f"known_{k}_against_week": means[24][target] - means[WEEK_H][origin],
        }
        told |= {f"known_{k}_mean_{h}h": each[target] for h, each in means.items()}
    return told


def _change(value: np.ndarray, steps: int) -> np.ndarray:
    """Return how much the value differs from that so many steps before; (T, C) -> (T, C)."""
    change = np.full_like(value, np.nan)
    change[steps:] = np.abs(value[steps:] - value[:-steps])
    return change


def _spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of what is finite along a row; NaN where nothing is."""
    centre = nanmean(values, axis=1)
    return np.asarray(np.sqrt(nanmean((values - centre[:, None]) ** 2, axis=1)))
