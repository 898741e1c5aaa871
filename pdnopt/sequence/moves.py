"""The difference between two states, as actions without a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State

__all__ = ["LoadMoves", "Moves", "find_moves", "load_moves"]

INVERTING = ("online", "battery")
NEGLIGIBLE_KW = 1e-6


@dataclass(frozen=True)
class Moves:
    """What must be done: load down first, gensets, then devices in an order to be found, load up last."""

    starts: tuple[Action, ...]
    powers: tuple[Action, ...]
    devices: tuple[Action, ...]
    stops: tuple[Action, ...]


def find_moves(grid: Grid, start: State, target: State, reason: str) -> Moves:
    """Return the moves from ``start`` to ``target``.

    What devices do by themselves is no move: a UPS chooses between online and battery, and a battery forms the
    island that has lost its other source.
    """
    starts: list[Action] = []
    stops: list[Action] = []
    for k in np.flatnonzero((grid.sources.kind == "genset") & (start.source_on != target.source_on)):
        on = bool(target.source_on[k])
        action = Action(0, 0.0, grid.sources.name[k], "start" if on else "stop", not on, on, reason)
        (starts if on else stops).append(action)
    powers = []
    for k in np.flatnonzero(np.abs(target.storage_kw - start.storage_kw) > NEGLIGIBLE_KW):
        before, after = float(start.storage_kw[k]), float(target.storage_kw[k])
        powers.append(Action(0, 0.0, grid.storages.name[k], "power", before, after, reason))
    devices = _device_moves(grid, start, target, reason)
    return Moves(tuple(starts), tuple(powers), tuple(devices), tuple(stops))


@dataclass(frozen=True)
class LoadMoves:
    """Load commands of one direction, sent together; arrays have shape (commands,).

    Attributes
    ----------
    unit : int
    before_kw, after_kw : float
    up : bool
        Restores; else caps and sheds.
    """

    unit: np.ndarray
    before_kw: np.ndarray
    after_kw: np.ndarray
    up: bool

    def carried_out(self, demand: Demand, state: State) -> State:
        """Return the state after the commands."""
        served, d_kw = state.served.copy(), demand.d_kw[self.unit]
        part = np.clip(self.after_kw / np.where(d_kw > 0, d_kw, 1.0), 0.0, 1.0)
        served[self.unit] = np.where(d_kw > 0, part, float(self.up))
        return state.but(served=served)

    def actions(self, demand: Demand, step: int, t_s: float) -> tuple[Action, ...]:
        """Return the commands as actions of one step."""
        rows = zip(self.unit.tolist(), self.before_kw.tolist(), self.after_kw.tolist(), strict=True)
        down = ("cap", "shed")
        return tuple(
            Action(step, t_s, demand.name[u], "restore" if self.up else down[after <= 0], before, after)
            for u, before, after in rows
        )


def load_moves(demand: Demand, start: np.ndarray, target: np.ndarray) -> LoadMoves | None:
    """Return the load commands between two services of which one is nowhere above the other; None without any.

    Services are power allowed over demand, shape (D,).
    """
    before_kw, after_kw = start * demand.d_kw, target * demand.d_kw
    switched = ((start > 0) != (target > 0)) & (before_kw != after_kw)
    unit = np.flatnonzero((np.abs(after_kw - before_kw) > NEGLIGIBLE_KW) | switched)
    if not len(unit):
        return None
    return LoadMoves(unit, before_kw[unit], after_kw[unit], bool(after_kw[unit[0]] > before_kw[unit[0]]))


def _device_moves(grid: Grid, start: State, target: State, reason: str) -> list[Action]:
    sw, tr, ups = grid.switches, grid.transfers, grid.upss
    out: list[Action] = []
    for t, positions in enumerate(tr.positions):
        now = positions[start.closed[positions]]
        then = positions[target.closed[positions]]
        if not np.array_equal(now, then):
            before = sw.name[now[0]] if len(now) else None
            after = sw.name[then[0]] if len(then) else None
            out.append(Action(0, 0.0, tr.name[t], "transfer", before, after, reason))
    for s in np.flatnonzero((start.closed != target.closed) & (sw.transfer < 0) & (sw.ups < 0)):
        close = bool(target.closed[s])
        out.append(Action(0, 0.0, sw.name[s], "close" if close else "open", not close, close, reason))
    for j in range(len(ups.index)):
        before, after = str(start.ups_mode[j]), str(target.ups_mode[j])
        if before != after and not (before in INVERTING and after in INVERTING):
            out.append(Action(0, 0.0, ups.name[j], "mode", before, after, reason))
    return out
