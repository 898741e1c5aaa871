"""Which islands really have voltage: a UPS that is online is a source only while its own input is fed.

`plant.state.islands` counts every UPS in mode "online" as a source. That is right once the devices have
settled; while they act, the chain source -> UPS -> UPS has to be followed, which this module does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, connectivity

__all__ = ["Supply", "lasting_supply", "reachable", "supply"]


@dataclass(frozen=True)
class Supply:
    """Voltage by island under one state.

    Attributes
    ----------
    island : int, shape (N,)
        Island of each node; a node inside a failed zone is an island of its own.
    live, firm : bool, shape (islands,)
        Has voltage; has it from a source or a UPS (not only from a battery that forms the island).
    energised : bool, shape (N,)
    fed : bool, shape (U,)
        The input node of each UPS has voltage.
    """

    island: np.ndarray
    live: np.ndarray
    firm: np.ndarray
    energised: np.ndarray
    fed: np.ndarray

    def firm_at(self, nodes: np.ndarray) -> np.ndarray:
        """Return which nodes have voltage from a source or a UPS."""
        return np.asarray(self.firm[self.island[nodes]])

    def live_at(self, nodes: np.ndarray) -> np.ndarray:
        """Return which nodes have voltage."""
        return np.asarray(self.live[self.island[nodes]])


def supply(grid: Grid, state: State) -> Supply:
    """Follow voltage from sources and batteries through the UPSs that are online.

    The answer is kept and handed out again: do not change it.
    """
    return _remembered(grid, state, state.ups_mode == "battery", state.storage_on, "supply")


def lasting_supply(grid: Grid, state: State) -> Supply:
    """Follow voltage from utility feeds and gensets through the UPSs that are online: what no battery holds.

    The answer is kept and handed out again: do not change it.
    """
    none, nowhere = np.zeros(len(grid.upss.index), dtype=bool), np.zeros(len(grid.storages.index), dtype=bool)
    return _remembered(grid, state, none, nowhere, "lasting supply")


def _remembered(grid: Grid, state: State, battery: np.ndarray, storage: np.ndarray, name: str) -> Supply:
    able = state.rectifier_ok & state.inverter_ok
    return grid.memory.recall(
        (name, state.position, able.tobytes()),
        lambda: _follow(
            grid,
            state,
            connectivity(grid, state),
            source=state.source_on,
            battery=battery,
            online=(state.ups_mode == "online") & able,
            storage=storage,
        ),
    )


def reachable(grid: Grid, state: State) -> np.ndarray:
    """Return the nodes that a plan could give voltage, shape (N,): rule 2 of ARCHITECTURE.

    Every switch that can move is closed, every source that has not failed is on, every UPS that can run
    does (its battery counts as a path while it lasts), every grid-forming battery with energy stands ready.
    """
    sw, ups, sto = grid.switches, grid.upss, grid.storages
    movable = ~state.locked
    at = sw.transfer >= 0
    movable[at] &= state.transfer_ok[sw.transfer[at]]
    at = sw.ups >= 0
    movable[at] = state.bypass_ok[sw.ups[at]]
    open_plan = state.but(closed=state.closed | movable)
    best = _follow(
        grid,
        open_plan,
        connectivity(grid, open_plan),
        source=state.source_ok,
        battery=state.inverter_ok & (ups.e_kwh > 0),
        online=state.rectifier_ok & state.inverter_ok,
        storage=state.storage_ok & sto.grid_forming & (sto.e_usable_kwh > 0) & (sto.p_discharge_max_kw > 0),
    )
    return best.energised


def _follow(
    grid: Grid,
    state: State,
    island: np.ndarray,
    source: np.ndarray,
    battery: np.ndarray,
    online: np.ndarray,
    storage: np.ndarray,
) -> Supply:
    ups, dead = grid.upss, state.dead
    n = int(island.max()) + 1 if len(island) else 1
    firm = np.zeros(n, dtype=bool)
    firm[island[grid.sources.node[source & ~dead[grid.sources.node]]]] = True
    firm[island[ups.out_node[battery & ~dead[ups.out_node]]]] = True
    live = firm.copy()
    live[island[grid.storages.node[storage & ~dead[grid.storages.node]]]] = True
    waiting = online & ~dead[ups.out_node] & ~dead[ups.in_node]
    inputs, outputs = island[ups.in_node], island[ups.out_node]
    while True:
        new = waiting & live[inputs]
        if not new.any():
            break
        live[outputs[new]] = True
        firm[outputs[new]] = True
        waiting &= ~new
    return Supply(island, live, firm, live[island] & ~dead, live[inputs] & ~dead[ups.in_node])
