"""From a start and a target to ordered, timed steps: moves, their order, relief on the way, times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.actions import Action, Actuator
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.sequence.clock import Step, time_steps
from pdnopt.sequence.course import Course
from pdnopt.sequence.moves import find_moves
from pdnopt.sequence.relief import relieve
from pdnopt.sequence.scene import Judge, Scene, Settle
from pdnopt.sequence.search import find_order
from pdnopt.sequence.structure import inspect

__all__ = ["Sequence", "order_moves"]

MAX_RELIEFS = 4
"""Rounds of shedding for a moment: relief in one state may be judged anew in the next."""


MAX_PASSES = 3
"""Orders found one after another, each for what devices undid by themselves in the one before."""


@dataclass(frozen=True)
class Sequence:
    """Ordered steps. ``complete`` is False where no allowed order was found; then ``steps`` holds the safe part."""

    steps: tuple[Step, ...]
    interrupted: np.ndarray
    complete: bool
    stuck: tuple[str, ...] = ()


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
) -> Sequence:
    """Order and time the moves from ``start`` to ``target``.

    Load goes down first and up last; where a state on the way would still break a limit beyond its time, load
    is capped, then shed, for as long as that state lasts.

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
    """
    moves = find_moves(grid, start, target, reason)
    scene = Scene(grid, demand, Actuator(grid, demand), settle, judge, inspect(grid, start).extra)
    low = np.minimum(start.served, target.served)
    first = tuple(batch for batch in (moves.starts, moves.powers) if batch)
    state = start.but(served=low)
    for batch in first:
        state = scene.after(state, batch)
    devices, left = _devices(scene, state, target, (target.served <= 0) | interrupted, reason)
    complete = not left
    stages = (*first, *((move,) for move in devices), *((moves.stops,) if moves.stops and complete else ()))
    course = Course(stages, np.tile(low, (len(stages) + 1, 1)))
    end = target.served if complete else low
    dwell_until_s = _dwelling(grid, scene, automatic)

    def timed(course: Course) -> tuple[tuple[Step, ...], np.ndarray]:
        batches = course.batches(demand, start.served, end)
        return time_steps(scene, start, batches, interrupted, latency_s, dwell_until_s)

    steps, dark = timed(course)
    for _ in range(MAX_RELIEFS):
        relieved = relieve(scene, curves, start, steps, course, horizon_s)
        if relieved is None:
            break
        course = relieved
        steps, dark = timed(course)
    return Sequence(steps, dark, complete, left)


def _dwelling(grid: Grid, scene: Scene, automatic: tuple[Action, ...]) -> dict[str, float]:
    """Return until when transfer devices must stay: those that were in dwell, and those that have just moved."""
    tr = grid.transfers
    until_s = {tr.name[k]: float(tr.dwell_left_s[k]) for k in np.flatnonzero(tr.dwell_left_s > 0)}
    for move in automatic:
        if move.device.startswith("transfer:"):
            k = scene.actuator.position(move.device)
            until_s[move.device] = move.t_s + float(tr.min_dwell_s[k])
    return until_s


def _devices(
    scene: Scene, state: State, target: State, may_darken: np.ndarray, reason: str
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
        found = find_order(scene, state, moves, may_darken)
        if found is None:
            return ordered, tuple(move.device for move in moves)
        for move in found:
            state = scene.after(state, [move])
        ordered += found
    return ordered, ()
