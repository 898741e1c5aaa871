"""Take load off for a moment, where a state on the way would otherwise break a limit beyond its time.

Of the units that draw through the components concerned, as few as needed are capped, least critical first; if
that is not enough, shed, least critical first. They are restored as soon as the state is passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, islands
from pdnopt.sequence.clock import Step
from pdnopt.sequence.course import Course
from pdnopt.sequence.scene import Scene
from pdnopt.sequence.stress import VOLTAGE, CordLimits, Limited, broken_limits, too_large_steps
from pdnopt.sequence.structure import inspect

if TYPE_CHECKING:
    from pdnopt.acjudge import Ratios

__all__ = ["Relief", "relieve"]

WITHIN = 1.0 + 5e-5
PROBES = 9
"""Amounts of relief that are judged at once."""

JUDGED_AT_ONCE = 32
"""States of a course between two looks at the clock."""

MAX_SPARED = 12
"""Shed units of which each is tried whether it must be."""


@dataclass(frozen=True)
class Relief:
    """The course with less load, None where nothing is to be done or nothing helps; whether limits are broken without.

    Limits that there was no time to judge count as broken.
    """

    course: Course | None
    broken: bool


def relieve(
    scene: Scene,
    curves: CurveBook,
    start: State,
    steps: tuple[Step, ...],
    course: Course,
    horizon_s: float,
) -> Relief:
    """Take load off where the states of a course break limits."""
    if not steps:
        return Relief(None, False)
    states = [start, *(step.state for step in steps)]
    until_s = np.array([*(step.t_s for step in steps), steps[-1].t_s])
    ratios = _judged(scene, states)
    if ratios is None:
        return Relief(None, True)
    cords = CordLimits(scene.grid, scene.demand, horizon_s)
    broken = broken_limits(scene.grid, curves, ratios, states, until_s)
    for found, more in zip(broken, cords.broken(states), strict=True):
        found |= more
    served = course.served.copy()
    changed = False
    for run in _runs([bool(found) for found in broken]):
        limited = set().union(*(broken[k] for k in run))
        level = _Cutting(scene, cords, [states[k] for k in run]).enough(limited)
        if level is None:
            continue
        for k in run:
            row = steps[k - 1].row
            served[row] = np.minimum(served[row], level)
        changed = True
    stepped = too_large_steps(scene.grid, ratios)
    for k, room_kw in stepped.items():
        level = _Cutting(scene, cords, [states[k]], room_kw).enough({("step", m) for m in room_kw})
        if level is not None and steps[k - 1].actions[0].action != "restore":
            served[steps[k - 1].row] = np.minimum(served[steps[k - 1].row], level)
            changed = True
    served = _closed_loops(scene, steps, _steady(course.served, served))
    return Relief(replace(course, served=served) if changed else None, any(broken) or bool(stepped))


def _judged(scene: Scene, states: list[State]) -> Ratios | None:
    """Return the loadings of the states of a course; None where the time is over before all are judged."""
    parts: list[Ratios] = []
    for first in range(0, len(states), JUDGED_AT_ONCE):
        if parts and scene.late:
            return None
        parts.append(scene.judge(states[first : first + JUDGED_AT_ONCE]))
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(parts[0])},
    )


def _steady(before: np.ndarray, served: np.ndarray) -> np.ndarray:
    """Keep a unit that is lowered in several states low in between: nobody is restored to be lowered again."""
    lowered = served < before - 1e-9
    rows = np.arange(len(served))[:, None]
    first = np.where(lowered, rows, len(served)).min(axis=0)
    last = np.where(lowered, rows, -1).max(axis=0)
    between = (rows > first) & (rows < last)
    carried = np.minimum.accumulate(np.where(lowered | between, served, np.inf), axis=0)
    return np.where(between, np.minimum(served, carried), served)


def _closed_loops(scene: Scene, steps: tuple[Step, ...], served: np.ndarray) -> np.ndarray:
    """Let load change before a way is closed and after the other is opened: a loop lasts one step only."""
    for step in steps:
        k = step.row
        if 0 < k < len(served) - 1 and inspect(scene.grid, step.state).extra > scene.given_extra:
            served[k] = np.minimum.reduce(served[k - 1 : k + 2])
    return served


def _runs(marked: list[bool]) -> list[list[int]]:
    """Return the runs of consecutive marked positions."""
    runs: list[list[int]] = []
    for k in np.flatnonzero(marked):
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(int(k))
        else:
            runs.append([int(k)])
    return runs


@dataclass(frozen=True)
class _Cut:
    """One unit to a lower service."""

    unit: int
    to: float


@dataclass(frozen=True)
class _Cutting:
    """The search for the least cuts that keep limits in some states.

    ``room_kw``: what each genset (by position in Sources) may give in them, so that it takes no larger step than
    it can.
    """

    scene: Scene
    cords: CordLimits
    states: list[State]
    room_kw: Mapping[int, float] = field(default_factory=dict)

    def enough(self, limited: set[Limited]) -> np.ndarray | None:
        """Return the service (D,) that keeps the limits in all of the states; None where no relief does."""
        cuts = self._cuts(limited)
        items = sorted(limited)
        able = self._kept([cuts], items)[0] if cuts else [False] * len(items)
        items = [item for item, ok in zip(items, able, strict=True) if ok]
        if not items:
            return None
        low, high = 0, len(cuts)  # the first ``high`` cuts are enough, the first ``low`` are not
        while high - low > 1 and not self.scene.late:  # ``high`` is enough at any time
            probes = np.unique(np.linspace(low, high, PROBES).round().astype(int))[1:-1]
            good = [all(row) for row in self._kept([cuts[:n] for n in probes], items)]
            high = int(min([n for n, ok in zip(probes, good, strict=True) if ok], default=high))
            low = int(
                max([n for n, ok in zip(probes, good, strict=True) if not ok and n < high], default=low)
            )
        return self._service(self._spare(cuts[:high], items))

    def _cuts(self, limited: set[Limited]) -> list[_Cut]:
        """Return caps, then sheds, of the units that draw through the components, least critical first."""
        demand = self.scene.demand
        through = np.zeros(demand.n, dtype=bool)
        for state in self.states:
            for item in limited:
                through |= _drawing(self.scene, state, item) & (state.served > 0)
        units = np.flatnonzero(through & (demand.d_kw > 0))
        units = units[np.lexsort((units, -demand.priority[units]))]
        floor = demand.min_kw / np.maximum(demand.d_kw, 1e-12)
        most = np.max([state.served for state in self.states], axis=0)
        caps = [_Cut(int(u), float(floor[u])) for u in units if floor[u] < most[u] - 1e-9]
        return caps + [_Cut(int(u), 0.0) for u in units if demand.sheddable[u]]

    def _service(self, cuts: list[_Cut]) -> np.ndarray:
        level = np.ones(self.scene.demand.n)
        for cut in cuts:
            level[cut.unit] = min(level[cut.unit], cut.to)
        return level

    def _kept(self, options: list[list[_Cut]], items: list[Limited]) -> list[list[bool]]:
        """Return, for each list of cuts and each component, whether its limit is kept in every state."""
        levels = [self._service(cuts) for cuts in options]
        cases = [
            state.but(served=np.minimum(state.served, level)) for level in levels for state in self.states
        ]
        ratios = self.scene.judge(cases)
        with_cords = any(table == "cord" for table, _ in items)
        draw = self.cords.ratio(cases) if with_cords else np.zeros((len(cases), 0))
        columns = []
        for table, m in items:
            if (table, m) == VOLTAGE:
                good = ratios.under_v_pu.max(axis=1, initial=0.0) <= 1e-4
            elif table == "cord":
                good = draw[:, m] <= WITHIN
            elif table == "step":
                good = ratios.source_kw[:, m] <= self.room_kw[m]
            else:
                good = getattr(ratios, table)[:, m] <= WITHIN
            columns.append((good & ratios.converged).reshape(len(options), len(self.states)).all(axis=1))
        return [[bool(column[k]) for column in columns] for k in range(len(options))]

    def _spare(self, cuts: list[_Cut], items: list[Limited]) -> list[_Cut]:
        """Leave out sheds that later ones made needless, the most critical first."""
        for cut in [cut for cut in reversed(cuts) if cut.to <= 0][:MAX_SPARED]:
            if self.scene.late:
                break
            fewer = [other for other in cuts if other is not cut]
            if all(self._kept([fewer], items)[0]):
                cuts = fewer
        return cuts


def _drawing(scene: Scene, state: State, item: Limited) -> np.ndarray:
    """Return the units some of whose cords would lose voltage if the component opened; all, for a voltage."""
    grid, demand = scene.grid, scene.demand
    if item[0] == "cord":
        return np.asarray(np.arange(demand.n) == demand.cord_unit[item[1]])
    live = islands(grid, state).energised
    lost = live & ~_without(grid, state, item) if item != VOLTAGE else live
    if not lost.any():  # in a loop, or beside another source: whatever shares its island may draw through it
        lost = live
    return demand.sum_by_unit(lost[demand.cord_node].astype(float)) > 0


def _without(grid: Grid, state: State, item: Limited) -> np.ndarray:
    """Return which nodes stay live with a component open; a UPS without input feeds nothing here."""
    table, m = item
    ups = grid.upss
    if table == "branch":
        ok = grid.branches.in_service.copy()
        ok[m] = False
        grid = replace(grid, branches=replace(grid.branches, in_service=ok))
    elif table == "switch":
        state = state.but(closed=_off(state.closed, m))
    elif table in ("source", "step"):
        state = state.but(source_on=_off(state.source_on, m))
    else:
        state = _ups_off(grid, state, np.array([m]))
    for _ in range(len(ups.index) + 1):
        live = islands(grid, state).energised
        fed_before = np.flatnonzero((state.ups_mode == "online") & ~live[ups.in_node])
        if not len(fed_before):
            break
        state = _ups_off(grid, state, fed_before)
    return live


def _off(values: np.ndarray, m: int | np.ndarray) -> np.ndarray:
    values = values.copy()
    values[m] = False
    return values


def _ups_off(grid: Grid, state: State, which: np.ndarray) -> State:
    mode = state.ups_mode.copy()
    mode[which] = "off"
    bypass = grid.upss.bypass[which]
    return state.but(ups_mode=mode, closed=_off(state.closed, bypass[bypass >= 0]))
