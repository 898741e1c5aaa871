"""Find the order of moves: load down, gensets, devices one by one, load up - every state on the way feasible.

A depth-first search over the device moves. At every point the moves that are allowed are tried in the order of
what they do: first those that darken nobody, most urgent relief first (judged by AC power flow over all
candidates at once), then those that darken only units which the target lets lose voltage. Make before break
happens where it is allowed because the closing move then darkens nobody and comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pdnopt.plant.actions import Action, Actuator
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, living_cords
from pdnopt.sequence.moves import Moves, find_moves
from pdnopt.sequence.structure import Structure, inspect

__all__ = ["Sequence", "Step", "order_moves"]

MAX_VISITS = 400
RESTORE_INTERVAL_S = 5.0
"""Between two blocks of load put on a genset: NFPA 110 and ISO 8528-5 expect it to settle after each step."""

Judge = Callable[[list[State]], np.ndarray]
Settle = Callable[[State], State]


@dataclass(frozen=True)
class Step:
    """One step: its actions (timed), the state after it and after what devices then do by themselves."""

    actions: tuple[Action, ...]
    state: State
    t_s: float


@dataclass(frozen=True)
class Sequence:
    """Ordered steps. ``complete`` is False where no allowed order was found; then ``steps`` holds the safe part."""

    steps: tuple[Step, ...]
    interrupted: np.ndarray
    complete: bool
    stuck: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Scene:
    """What the search needs to know of the plant."""

    grid: Grid
    demand: Demand
    actuator: Actuator
    settle: Settle
    given_extra: int

    def lit(self, state: State, structure: Structure) -> np.ndarray:
        """Return which units have a living cord."""
        living = living_cords(self.demand, state, structure.islands.energised)
        return self.demand.sum_by_unit(living.astype(float)) > 0


def order_moves(
    grid: Grid,
    demand: Demand,
    start: State,
    target: State,
    interrupted: np.ndarray,
    latency_s: float,
    settle: Settle,
    judge: Judge,
    reason: str = "",
) -> Sequence:
    """Order and time the moves from ``start`` to ``target``.

    Parameters
    ----------
    interrupted : bool, shape (D,)
        Units that have lost voltage longer than their hold-up already.
    settle : callable
        What the plant's own devices do after a command (State -> State).
    judge : callable
        Urgency of states by AC power flow, higher is worse; called with all candidates at once.
    """
    moves = find_moves(grid, demand, start, target, reason)
    scene = _Scene(grid, demand, Actuator(grid, demand), settle, inspect(grid, start).extra)
    state = start
    ordered: list[tuple[Action, ...]] = []
    for batch in (moves.down, moves.starts, moves.powers):
        if batch:
            ordered.append(batch)
            state = settle(scene.actuator.act(state, batch))
    may_darken = (target.served <= 0) | interrupted
    found = _search(scene, state, list(moves.devices), judge, may_darken, frozen=True)
    if found is None:
        found = _search(scene, state, list(moves.devices), judge, np.ones(demand.n, dtype=bool), frozen=False)
    complete = found is not None
    ordered += [(move,) for move in found or []]
    if complete:
        ordered += [batch for batch in (moves.stops,) if batch]
        ordered += _restore_batches(moves)
    steps, dark = _time(scene, start, ordered, interrupted, latency_s)
    left = () if complete else tuple(move.device for move in moves.devices)
    return Sequence(steps, dark, complete, left)


def _restore_batches(moves: Moves) -> list[tuple[Action, ...]]:
    return [moves.up] if moves.up else []


def _search(
    scene: _Scene, state: State, moves: list[Action], judge: Judge, may_darken: np.ndarray, frozen: bool
) -> list[Action] | None:
    """Depth-first search for an order of ``moves``; None if there is none within the number of visits."""
    visits = 0

    def visit(state: State, left: list[Action]) -> list[Action] | None:
        nonlocal visits
        if not left:
            return []
        visits += 1
        if visits > MAX_VISITS:
            return None
        here = inspect(scene.grid, state)
        lit = scene.lit(state, here)
        options: list[tuple[int, Action, State]] = []
        for move in left:
            after = scene.settle(scene.actuator.act(state, [move]))
            there = inspect(scene.grid, after)
            if there.clash or there.extra > max(here.extra, scene.given_extra) + 1:
                continue
            if here.extra > scene.given_extra and there.extra >= here.extra:
                continue  # a loop that was closed to keep voltage is opened next
            darkened = lit & ~scene.lit(after, there) & (after.served > 0)
            if (darkened & ~may_darken).any() and not _fast(scene, move, darkened):
                continue
            options.append((int(darkened.any()), move, after))
        if not options:
            return None
        urgency = judge([after for _, _, after in options]) if len(options) > 1 else np.zeros(1)
        for k in sorted(range(len(options)), key=lambda k: (options[k][0], round(float(urgency[k]), 6), k)):
            _, move, after = options[k]
            rest = visit(after, [other for other in left if other is not move])
            if rest is not None:
                return [move, *rest]
        return None

    return visit(state, moves)


def _fast(scene: _Scene, move: Action, darkened: np.ndarray) -> bool:
    """A transfer within the hold-up of all it feeds leaves nobody in the dark (it is lit again in the same action)."""
    return False if not darkened.any() else move.device.startswith("transfer:") and move.after is not None


def _time(
    scene: _Scene, start: State, ordered: list[tuple[Action, ...]], interrupted: np.ndarray, latency_s: float
) -> tuple[tuple[Step, ...], np.ndarray]:
    """Give every step its time, follow who is dark for how long, and return the timed steps."""
    grid, demand = scene.grid, scene.demand
    clock = latency_s
    ready: dict[str, float] = {}
    state = start
    steps: list[Step] = []
    dark_since = np.where(scene.lit(start, inspect(grid, start)), inf, 0.0)
    interrupted = interrupted.copy()
    for planned in ordered:
        found = (_as_found(scene, state, move) for move in planned)
        batch = tuple(move for move in found if move.before != move.after)
        if not batch:  # the devices did it by themselves on the way
            continue
        number = len(steps) + 1
        duration = max((_duration_s(scene, move) for move in batch), default=0.0)
        after = scene.settle(scene.actuator.act(state, batch))
        begins = clock
        if batch[0].action == "start":
            timed = []
            for move in batch:
                k = scene.actuator.position(move.device)
                ready[move.device] = clock + float(grid.sources.start_s[k])
                timed.append(replace(move, step=number, t_s=ready[move.device]))
            ends = clock
        else:
            begins = max(clock, _needs(scene, after, ready))
            ends = begins + duration
            timed = [replace(move, step=number, t_s=ends) for move in batch]
        _follow_dark(scene, state, after, batch, begins, ends, dark_since, interrupted)
        steps.append(Step(tuple(timed), after, ends))
        state, clock = after, ends
    lit = scene.lit(state, inspect(grid, state)) & (state.served > 0)
    interrupted |= ~lit
    assert len(interrupted) == demand.n
    return tuple(steps), interrupted


def _as_found(scene: _Scene, state: State, move: Action) -> Action:
    """Return the action with ``before`` as the device stands now: devices may have acted by themselves since."""
    table = move.device.partition(":")[0]
    k = scene.actuator.position(move.device)
    if table == "ups":
        return replace(move, before=str(state.ups_mode[k]))
    if table == "transfer":
        positions = scene.grid.transfers.positions[k]
        closed = positions[state.closed[positions]]
        return replace(move, before=scene.grid.switches.name[closed[0]] if len(closed) else None)
    return move


def _duration_s(scene: _Scene, move: Action) -> float:
    table = move.device.partition(":")[0]
    k = scene.actuator.position(move.device)
    if table == "switch":
        return float(scene.grid.switches.t_operate_s[k])
    if table == "transfer":
        return float(scene.grid.transfers.transfer_s[k])
    if table == "ups":
        bypass = int(scene.grid.upss.bypass[k])
        return float(scene.grid.switches.t_operate_s[bypass]) if bypass >= 0 else 0.0
    return 0.0


def _needs(scene: _Scene, after: State, ready: dict[str, float]) -> float:
    """Return when the gensets that feed something in this state are ready."""
    if not ready:
        return 0.0
    isl = inspect(scene.grid, after).islands
    size = np.bincount(isl.island)
    latest = 0.0
    own = {int(b) for b in scene.grid.nodes.block[scene.grid.sources.node]}
    for device, t_s in ready.items():
        node = int(scene.grid.sources.node[scene.actuator.position(device)])
        block = int(scene.grid.nodes.block[node])
        alone = size[isl.island[node]] <= int((scene.grid.nodes.block == block).sum()) and block in own
        if not alone:
            latest = max(latest, t_s)
    return latest


def _follow_dark(
    scene: _Scene,
    before: State,
    after: State,
    batch: tuple[Action, ...],
    begins: float,
    ends: float,
    dark_since: np.ndarray,
    interrupted: np.ndarray,
) -> None:
    """Update who is dark since when (in place) and who has been dark for longer than its hold-up."""
    grid, demand = scene.grid, scene.demand
    lit_before = scene.lit(before, inspect(grid, before))
    after_structure = inspect(grid, after)
    lit_after = scene.lit(after, after_structure)
    gap = np.zeros(demand.n, dtype=bool)
    for move in batch:
        if move.device.startswith("transfer:") and move.before is not None and move.after is not None:
            k = scene.actuator.position(move.device)
            if grid.transfers.closed_transition[k]:
                continue
            open_state = before.but(closed=before.closed.copy())
            open_state.closed[grid.transfers.positions[k]] = False
            lit_open = scene.lit(open_state, inspect(grid, open_state))
            gap |= lit_before & ~lit_open & (grid.transfers.transfer_s[k] > demand.holdup_s)
    interrupted |= gap
    newly = lit_before & ~lit_after
    dark_since[newly] = ends
    back = ~lit_before & lit_after
    interrupted |= back & (ends - dark_since > demand.holdup_s)
    dark_since[lit_after] = inf
    assert begins <= ends
