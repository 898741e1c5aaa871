"""Which loads go dark where no configuration keeps all limits: the least, the least critical first.

From the configuration that exceeds limits least: the unit goes whose absence lowers the excess most for its power, then
the switches are searched again by branch exchange; until all limits hold. Then units come back where they fit, and one
that is dark changes places with a smaller one. A heuristic on AC power flow: its answer keeps all
limits, no bound is claimed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pdnopt.feeder.exchange import Point, descend, point_of
from pdnopt.feeder.network import Feeder

__all__ = ["Shed", "Units", "shed_least"]


@dataclass(frozen=True)
class Units:
    """U loads: node in the feeder (-1: out of reach), power, pu, priority (1 the most critical), may go dark."""

    node: np.ndarray
    s_pu: np.ndarray
    priority: np.ndarray
    sheddable: np.ndarray


@dataclass(frozen=True)
class Shed:
    """Units that are fed (bool, shape (U,)), and a configuration that feeds them within all limits."""

    fed: np.ndarray
    point: Point


def without(feeder: Feeder, units: Units, fed: np.ndarray) -> Feeder:
    """Return the feeder without what the units that are not fed draw."""
    s = feeder.s_pu.copy()
    gone = ~fed & (units.node >= 0)
    np.add.at(s[0], units.node[gone], -units.s_pu[gone])
    return replace(feeder, s_pu=s)


def shed_least(feeder: Feeder, start: Point, units: Units, deadline_s: float) -> Shed | None:
    """Return who stays fed; None where shedding does not bring all limits back in the time given."""
    fed = np.ones(len(units.node), dtype=bool)
    point = start
    while point.excess > 0:
        if time.perf_counter() >= deadline_s:
            return None
        step = _best_loss(feeder, point, units, fed)
        if step is None:
            return None
        fed[step] = False
        point = _settled(without(feeder, units, fed), point, deadline_s)
    fed, point = _refilled(feeder, point, units, fed, deadline_s)
    return Shed(fed, point)


def _settled(feeder: Feeder, point: Point, deadline_s: float) -> Point:
    """Return the local optimum of the switches, from those of a point."""
    here = point_of(feeder, point.tree.closed)
    assert here is not None
    return descend(feeder, here, deadline_s) if here.excess > 0 else here


def _best_loss(feeder: Feeder, point: Point, units: Units, fed: np.ndarray) -> int | None:
    """Return the unit whose absence lowers the excess most for its power, among the least critical that may go."""
    may = fed & units.sheddable & (units.node >= 0) & (units.s_pu.real > 0)
    if not may.any():
        return None
    mine = np.flatnonzero(may & (units.priority == units.priority[may].max()))
    gain = np.zeros(len(mine))
    for k, u in enumerate(mine):
        fewer = fed.copy()
        fewer[u] = False
        there = point_of(without(feeder, units, fewer), point.tree.closed)
        excess = np.inf if there is None else there.excess
        now = min(point.excess, 1e6)
        gain[k] = (now - min(excess, 1e6)) / units.s_pu[u].real
    return int(mine[np.argmax(gain)])


def _refilled(
    feeder: Feeder, point: Point, units: Units, fed: np.ndarray, deadline_s: float
) -> tuple[np.ndarray, Point]:
    """Bring units back, the most critical and largest first, or in exchange for smaller ones of the same priority."""

    def fits(trial: np.ndarray) -> Point | None:
        there = _settled(without(feeder, units, trial), point, deadline_s)
        return there if there.excess == 0 else None

    gained = True
    while gained and time.perf_counter() < deadline_s:
        gained = False
        dark = np.flatnonzero(~fed)
        for u in dark[np.lexsort((-units.s_pu[dark].real, units.priority[dark]))]:
            trial = fed.copy()
            trial[u] = True
            there = fits(trial)
            if there is None:
                there, trial = _exchange(fits, units, trial, int(u), deadline_s)
            if there is not None:
                fed, point, gained = trial, there, True
                break
    return fed, point


def _exchange(
    fits: Callable[[np.ndarray], Point | None], units: Units, trial: np.ndarray, back: int, deadline_s: float
) -> tuple[Point | None, np.ndarray]:
    """Return the point and the units fed where one comes back for the smallest other that makes room."""
    smaller = (
        trial & units.sheddable & (units.s_pu.real < units.s_pu[back].real - 1e-9) & (units.s_pu.real > 0)
    )
    smaller &= units.priority >= units.priority[back]
    mine = np.flatnonzero(smaller)
    for w in mine[np.argsort(units.s_pu[mine].real, kind="stable")]:
        if time.perf_counter() >= deadline_s:
            break
        other = trial.copy()
        other[w] = False
        there = fits(other)
        if there is not None:
            return there, other
    return None, trial
