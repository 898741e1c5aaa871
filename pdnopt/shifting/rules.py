"""Rules that a shift is compared with: never move, all at once, the greedy shift and the threshold rule of the field.

Each is a policy: from what is known now to the positions and battery powers of the next step. They look one step ahead only,
as the founding rules do, and keep the ratings with nothing failed, as ``shiftLoad`` does ("validate target capacity").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdnopt.shifting.data import ShiftData

__all__ = ["RULES", "Command", "Rule", "all_at_once", "greedy", "never", "threshold"]

THRESHOLD = 1e-3
"""Probability of failing in the next step above which a rule acts: 0.012 an hour at steps of 300 s."""

MICRO_KW = 50.0
"""The greedy rule moves at most so much load in a step, one circuit at a time ("micro-migration")."""


@dataclass(frozen=True)
class Command:
    """Positions of devices, (D,), and powers of batteries, kW, charging positive, (B,), for the next step."""

    position: np.ndarray
    power_kw: np.ndarray


Rule = Callable[[ShiftData], Command]


def never(data: ShiftData) -> Command:
    """Return what stands: nothing moves, batteries rest."""
    return Command(data.devices.held.copy(), np.zeros(data.batteries.n))


def greedy(data: ShiftData) -> Command:
    """Return the greedy shift (10211669): load goes off what may fail, MICRO_KW a step, the largest risk first."""
    return Command(_evacuated(data, MICRO_KW), np.zeros(data.batteries.n))


def all_at_once(data: ShiftData) -> Command:
    """Return everything moved off what may fail in one step."""
    return Command(_evacuated(data, np.inf), np.zeros(data.batteries.n))


def threshold(data: ShiftData) -> Command:
    """Return the threshold rule (11048311).

    Where the risk is over the threshold, a micro-ATS with more than the mean load of all switches to the other source if
    that has room, and its battery is activated.
    """
    position = data.devices.held.copy()
    power = np.zeros(data.batteries.n)
    if _risk(data).max(initial=0.0) <= THRESHOLD:
        return Command(position, power)
    kw, load = _kw(data), _load(data, position)
    optimal = float(kw.mean())
    for d in range(data.devices.n):
        here = _group(data, d, int(position[d]))
        others = [p for p in np.flatnonzero(data.devices.may[d]) if _group(data, d, int(p)) != here]
        if kw[d] <= optimal or not others:
            continue
        best = min(others, key=lambda p: load[_group(data, d, int(p))])
        there = _group(data, d, int(best))
        if _fits(data, load, there, kw[d]):
            load[here] -= kw[d]
            load[there] += kw[d]
            position[d] = best
            for b in np.flatnonzero(data.batteries.device == d):
                spare = (data.batteries.now_kwh[b] - data.batteries.low_kwh[b]) * data.batteries.eta_out[b]
                power[b] = -min(data.batteries.discharge_kw[b], kw[d], spare / data.course.hours)
    return Command(position, power)


RULES: dict[str, Rule] = {
    "never": never,
    "greedy": greedy,
    "all at once": all_at_once,
    "threshold": threshold,
}


def _kw(data: ShiftData) -> np.ndarray:
    """Return what hangs on each device in the next step, at most, (D,)."""
    return np.asarray(data.nominal.hung_kw(data.course.n_steps)[:, 0].max(axis=1))


def _risk(data: ShiftData) -> np.ndarray:
    """Return by device and position the probability that its source fails in the next step, (D, P)."""
    risk = np.zeros(data.devices.may.shape)
    on = np.arange(data.devices.width)
    for stake in data.failures:
        p = float(stake.p[stake.step == 0].sum())
        dies = (stake.end != on) & (data.devices.station >= 0)
        risk = np.maximum(risk, p * dies)
    return risk


def _evacuated(data: ShiftData, most_kw: float) -> np.ndarray:
    """Return positions after moving load off what may fail, the riskiest and largest first, while targets have room."""
    position = data.devices.held.copy()
    kw, load, risk = _kw(data), _load(data, position), _risk(data)
    here = risk[np.arange(len(position)), position]
    left = most_kw
    for d in np.lexsort((-kw, -here)):
        if here[d] <= THRESHOLD:
            continue
        for p in np.argsort(risk[d], kind="stable"):
            there = _group(data, int(d), int(p))
            if not data.devices.may[d, p] or risk[d, p] >= here[d]:
                continue
            if kw[d] <= left and _fits(data, load, there, kw[d]):
                left -= kw[d]
                _shift(load, _group(data, int(d), int(position[d])), there, kw[d])
                position[d] = p
                break
    return position


def _group(data: ShiftData, d: int, p: int) -> int:
    return int(data.devices.station[d, p])


def _load(data: ShiftData, position: np.ndarray) -> np.ndarray:
    """Return what devices hang on each station, kW."""
    load = np.zeros(int(data.devices.station.max(initial=0)) + 1)
    np.add.at(load, data.devices.station[np.arange(len(position)), position], _kw(data))
    return load


def _shift(load: np.ndarray, here: int, there: int, kw: float) -> None:
    load[here] -= kw
    load[there] += kw


def _fits(data: ShiftData, load: np.ndarray, station: int, kw: float) -> bool:
    """Whether a station's components carry so much more with nothing failed."""
    stake = data.nominal
    if not stake.n_groups or stake.column[station] < 0:
        return True
    by_group = np.zeros(stake.n_groups)
    known = stake.column[: len(load)]
    np.add.at(by_group, known[known >= 0], load[known >= 0])
    by_group[stake.column[station]] += kw
    first = stake.rest_kw[:, stake.step == 0].min(axis=1)
    return bool((stake.gain @ by_group <= first + 1e-9).all())
