"""From a start and a target to ordered, timed steps: moves, their order, relief on the way, times."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.plant.actions import Action, Actuator
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.response import Response, settle
from pdnopt.sequence.clock import Step, time_steps
from pdnopt.sequence.course import Course
from pdnopt.sequence.moves import find_moves
from pdnopt.sequence.relief import relieve
from pdnopt.sequence.scene import Judge, Scene, Settle
from pdnopt.sequence.search import Manner, find_order
from pdnopt.sequence.structure import inspect

if TYPE_CHECKING:
    from pdnopt.acjudge import AcJudge

__all__ = ["Sequence", "order_after", "order_moves"]

MAX_RELIEFS = 8
"""Rounds of shedding for a moment: relief in one state may be judged anew in the next."""


PORTION = 0.85
"""Part of a genset's load step that is demand of racks; the rest is what it loses on the way to them."""

MAX_PASSES = 3
"""Orders found one after another, each for what devices undid by themselves in the one before."""


@dataclass(frozen=True)
class Sequence:
    """Ordered steps. ``complete`` is False where no allowed order was found; then ``steps`` holds the safe part."""

    steps: tuple[Step, ...]
    interrupted: np.ndarray
    complete: bool
    stuck: tuple[str, ...] = ()

    @property
    def actions(self) -> list[Action]:
        """The commands of all steps, in order."""
        return [action for step in self.steps for action in step.actions]

    def end(self, start: State) -> State:
        """Return the state after the last step; the one at the start where there is none."""
        return self.steps[-1].state if self.steps else start


def order_after(
    response: Response,
    demand: Demand,
    curves: CurveBook,
    target: State,
    judge: AcJudge,
    *,
    latency_s: float,
    horizon_s: float,
    reason: str = "",
    until_s: float = inf,
) -> Sequence:
    """Order the moves from where the plant's own devices come to rest to a target; see `order_moves`."""
    return order_moves(
        response.grid,
        demand,
        curves,
        response.state,
        target,
        response.interrupted,
        latency_s,
        settle=lambda state: settle(response, state),
        judge=lambda states: judge.ratios(response.grid, demand, states),
        horizon_s=horizon_s,
        automatic=response.automatic,
        reason=reason,
        until_s=until_s,
    )


def order_moves(
    grid: Grid,
    demand: Demand,
    curves: CurveBook,
    start: State,
    target: State,
    interrupted: np.ndarray,
    latency_s: float,
    settle: Settle,
    judge: Judge,
    horizon_s: float,
    automatic: tuple[Action, ...] = (),
    reason: str = "",
    until_s: float = inf,
) -> Sequence:
    """Order and time the moves from ``start`` to ``target``.

    Load goes down first and up last; where a state on the way would still break a limit beyond its time, load
    is capped, then shed, for as long as that state lasts. First an order is looked for that darkens nobody who
    is to be served and never raises an overload, then one that may raise one, then one that may darken anybody;
    the first is taken that keeps all limits with that relief.

    Parameters
    ----------
    interrupted : bool, shape (D,)
        Units that have lost voltage longer than their hold-up already.
    settle : callable
        What the plant's own devices do after a command (State -> State).
    judge : callable
        AC power flow of several states at once against their limits (list of State -> Ratios).
    horizon_s : float
        How long the end state must hold.
    automatic : tuple of Action
        What devices have done by themselves: transfer devices then dwell where they are.
    until_s : float
        When the search ends, on the clock of time.perf_counter; what is found by then is returned.
    """
    scene = Scene(grid, demand, Actuator(grid, demand), settle, judge, inspect(grid, start).extra, until_s)
    ways = _Ways(
        scene,
        curves,
        start,
        target,
        interrupted,
        latency_s,
        horizon_s,
        _dwelling(scene, automatic),
        reason,
    )
    gentle, everybody = (target.served <= 0) | interrupted, np.ones(demand.n, dtype=bool)
    kept: Sequence | None = None
    for may_darken, calm in ((gentle, True), (gentle, False), (everybody, True), (everybody, False)):
        found, sound = ways.take(Manner(may_darken, calm))
        if kept is None or (found.complete and (sound or not kept.complete)):
            kept = found
        if (found.complete and sound) or scene.late:
            break
    assert kept is not None
    return kept


@dataclass(frozen=True)
class _Ways:
    """One task of ordering, tried in several manners."""

    scene: Scene
    curves: CurveBook
    start: State
    target: State
    interrupted: np.ndarray
    latency_s: float
    horizon_s: float
    dwell_until_s: dict[str, float]
    reason: str

    def take(self, manner: Manner) -> tuple[Sequence, bool]:
        """Return the sequence found in one manner, and whether its states keep all limits on the way."""
        start, target = self.start, self.target
        moves = find_moves(self.scene.grid, start, target, self.reason)
        low = np.minimum(start.served, target.served)
        first = tuple(batch for batch in (moves.starts, moves.powers) if batch)
        state = start.but(served=low)
        for batch in first:
            state = self.scene.after(state, batch)
        devices, left = _devices(self.scene, state, target, manner, self.reason)
        last = (moves.stops,) if moves.stops and not left else ()
        stages = (*first, *((move,) for move in devices), *last)
        course = Course(stages, np.tile(low, (len(stages) + 1, 1)), self._portion_kw())
        end = low if left else target.served
        steps, dark, whole = self._timed(course, end)
        for _ in range(MAX_RELIEFS):
            relief = relieve(self.scene, self.curves, start, steps, course, self.horizon_s)
            if relief.course is None:
                break
            course = relief.course
            steps, dark, whole = self._timed(course, end)
        return Sequence(steps, dark, whole and not left, left), not relief.broken

    def _portion_kw(self) -> float:
        """Return the load that may come back at once: part of the smallest load step of a genset that runs then."""
        sources = self.scene.grid.sources
        running = self.target.source_on & (sources.kind == "genset")
        return PORTION * float(sources.step_kw[running].min(initial=inf))

    def _timed(self, course: Course, end: np.ndarray) -> tuple[tuple[Step, ...], np.ndarray, bool]:
        batches = course.batches(self.scene.demand, self.start.served, end)
        return time_steps(
            self.scene, self.start, batches, self.interrupted, self.latency_s, self.dwell_until_s
        )


def _dwelling(scene: Scene, automatic: tuple[Action, ...]) -> dict[str, float]:
    """Return until when transfer devices must stay: those that were in dwell, and those that have just moved."""
    tr = scene.grid.transfers
    until_s = {tr.name[k]: float(tr.dwell_left_s[k]) for k in np.flatnonzero(tr.dwell_left_s > 0)}
    for move in automatic:
        if move.device.startswith("transfer:"):
            k = scene.actuator.position(move.device)
            until_s[move.device] = move.t_s + float(tr.min_dwell_s[k])
    return until_s


def _devices(
    scene: Scene, state: State, target: State, manner: Manner, reason: str
) -> tuple[list[Action], tuple[str, ...]]:
    """Return the device moves in order, and the devices for which no order was found.

    What the plant's devices do by themselves on the way (a UPS drops out while its bypass has no voltage) may
    leave something to move back: the difference that is left is ordered again.
    """
    ordered: list[Action] = []
    for _ in range(MAX_PASSES):
        moves = list(find_moves(scene.grid, state, target, reason).devices)
        if not moves:
            break
        found = find_order(scene, state, moves, manner)
        if found is None:
            return ordered, tuple(move.device for move in moves)
        for move in found:
            state = scene.after(state, [move])
        ordered += found
    return ordered, ()
