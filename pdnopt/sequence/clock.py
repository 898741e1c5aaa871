"""When each step takes effect, and who is without voltage for how long on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.state import State
from pdnopt.sequence.course import Batch
from pdnopt.sequence.scene import Scene
from pdnopt.sequence.structure import inspect

__all__ = ["Step", "time_steps"]

KEPT_WHEN_LATE = 32
"""So many steps are told whatever the time: most plans have fewer, and one without its steps is none."""


@dataclass(frozen=True)
class Step:
    """One step: its actions (timed), the state after it and after what devices then do by themselves.

    ``row`` is the row of the course that it leads to (:class:`pdnopt.sequence.course.Course`).
    """

    actions: tuple[Action, ...]
    state: State
    t_s: float
    row: int


def time_steps(
    scene: Scene,
    start: State,
    ordered: list[Batch],
    interrupted: np.ndarray,
    latency_s: float,
    dwell_until_s: Mapping[str, float],
) -> tuple[tuple[Step, ...], np.ndarray, bool]:
    """Give every step its time, follow who is dark for how long; return the steps, who was dark, and whether all are told.

    ``dwell_until_s``: transfer devices that may not move again before that time. Where the scene's time is over, only the
    first `KEPT_WHEN_LATE` steps are told.
    """
    rests = dict(dwell_until_s)
    grid, demand = scene.grid, scene.demand
    clock = latency_s
    ready: dict[str, float] = {}
    state = start
    steps: list[Step] = []
    dark_since = np.where(scene.lit(start, inspect(grid, start)), inf, 0.0)
    interrupted = interrupted.copy()
    whole = True
    for place, planned in enumerate(ordered):
        if len(steps) >= KEPT_WHEN_LATE and scene.late:
            whole = False
            break
        found = (_as_found(scene, state, move) for move in planned.actions)
        batch = tuple(move for move in found if move.before != move.after)
        if not batch and planned.loads is None:  # the devices did it by themselves on the way
            continue
        number = len(steps) + 1
        duration = max((_duration_s(scene, move) for move in batch), default=0.0)
        acted = _acted(scene, state, batch, planned)
        after = scene.settle(acted)
        begins = clock
        if batch and batch[0].action == "start":
            timed = []
            for move in batch:
                k = scene.actuator.position(move.device)
                ready[move.device] = clock + float(grid.sources.start_s[k])
                timed.append(replace(move, step=number, t_s=ready[move.device]))
            ends = clock
        else:
            following = ordered[place + 1].actions if planned.late else ()
            needs_s = _needs(scene, scene.after(acted, following) if planned.late else after, ready)
            begins = max(clock, needs_s, *(rests.get(move.device, 0.0) for move in (*batch, *following)))
            ends = begins + planned.wait_s + duration
            rests |= {move.device: ends + dwell_s for move in batch if (dwell_s := _dwell_s(scene, move)) > 0}
            timed = [replace(move, step=number, t_s=ends) for move in batch]
        told = tuple(timed) if planned.loads is None else planned.loads.actions(demand, number, ends)
        _follow_dark(scene, state, after, batch, begins, ends, dark_since, interrupted)
        steps.append(Step(told, after, ends, planned.row))
        interrupted |= after.served <= 0
        moved = _moved_by_themselves(scene, acted, after)
        for name, takes_s, dwell_s in moved:
            rests[name] = ends + takes_s + dwell_s
        state, clock = after, ends + max((takes_s for _, takes_s, _ in moved), default=0.0)
    lit = scene.lit(state, inspect(grid, state)) & (state.served > 0)
    interrupted |= ~lit
    assert len(interrupted) == demand.n
    return tuple(steps), interrupted, whole


def _acted(scene: Scene, state: State, batch: tuple[Action, ...], planned: Batch) -> State:
    """Return the state after what is sent, before devices react."""
    if planned.loads is not None:
        return planned.loads.carried_out(scene.demand, state)
    return scene.actuator.act(state, batch)


def _as_found(scene: Scene, state: State, move: Action) -> Action:
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


def _duration_s(scene: Scene, move: Action) -> float:
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


def _moved_by_themselves(scene: Scene, acted: State, after: State) -> list[tuple[str, float, float]]:
    """Return the transfer devices that move after a command: name, time that takes, time to stay, in s."""
    tr = scene.grid.transfers
    if acted is after:
        return []
    changed = acted.closed != after.closed
    moved = [k for k, positions in enumerate(tr.positions) if changed[positions].any()]
    return [(tr.name[k], float(tr.transfer_s[k]), float(tr.min_dwell_s[k])) for k in moved]


def _dwell_s(scene: Scene, move: Action) -> float:
    """Return how long a transfer device stays where it has gone."""
    if not move.device.startswith("transfer:"):
        return 0.0
    return float(scene.grid.transfers.min_dwell_s[scene.actuator.position(move.device)])


def _needs(scene: Scene, after: State, ready: dict[str, float]) -> float:
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
    scene: Scene,
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
            apart = before.closed.copy()
            apart[grid.transfers.positions[k]] = False
            open_state = before.but(closed=apart)
            lit_open = scene.lit(open_state, inspect(grid, open_state))
            gap |= lit_before & ~lit_open & (grid.transfers.transfer_s[k] > demand.holdup_s)
    interrupted |= gap
    newly = lit_before & ~lit_after
    dark_since[newly] = ends
    back = ~lit_before & lit_after
    interrupted |= back & (ends - dark_since > demand.holdup_s)
    dark_since[lit_after] = inf
    assert begins <= ends
