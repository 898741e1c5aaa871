"""How the plant is switched at one moment, and what lives because of it.

A :class:`State` is all that changes while devices and plans act. :func:`islands` says, from the switches and
the sources alone, which nodes have voltage, from which source, and where two sources meet.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid import Grid

__all__ = [
    "Islands",
    "State",
    "fed_units",
    "initial_state",
    "inverting",
    "islands",
    "living_cords",
    "missing_kw",
]


@dataclass(frozen=True)
class State:
    """What is switched how. All arrays are positions in the :class:`Grid`'s and the Demand's tables.

    Its arrays are never changed: `but` returns another State.

    Attributes
    ----------
    closed : bool, shape (S,)
    locked : bool, shape (S,)
        Switches that cannot move: not operable, stuck, or around a failed zone.
    transfer_ok : bool, shape (T,)
        Transfer devices that can move.
    source_on, source_ok : bool, shape (G,)
        Utility feeds and running gensets that hold voltage; those that have not failed.
    ups_mode : object, shape (U,)
        "online", "battery", "eco", "bypass", "off".
    rectifier_ok, inverter_ok, bypass_ok : bool, shape (U,)
        "online" needs the first two, "battery" the second, "bypass" and "eco" the third.
    storage_on, storage_ok : bool, shape (E,)
        Grid-forming batteries that hold an island's voltage; batteries that have not failed.
    storage_kw : float, shape (E,)
        Power of the grid-following batteries, charging positive.
    served : float, shape (D,)
        Power that each unit may draw over its demand: 1 full, 0 shed, between: capped.
    unit_ok : bool, shape (D,)
        False for a unit that has failed itself.
    dead : bool, shape (N,)
        Nodes inside a failed zone.
    psu_dead : bool, shape (cords,)
        Cords whose power supply failed.
    """

    closed: np.ndarray
    locked: np.ndarray
    transfer_ok: np.ndarray
    source_on: np.ndarray
    source_ok: np.ndarray
    ups_mode: np.ndarray
    rectifier_ok: np.ndarray
    inverter_ok: np.ndarray
    bypass_ok: np.ndarray
    storage_on: np.ndarray
    storage_ok: np.ndarray
    storage_kw: np.ndarray
    served: np.ndarray
    unit_ok: np.ndarray
    dead: np.ndarray
    psu_dead: np.ndarray

    def but(self, **changes: np.ndarray) -> State:
        """Return a copy with some arrays replaced."""
        return replace(self, **changes)

    @cached_property
    def position(self) -> Hashable:
        """All that islands depend on, by content."""
        flags = (self.closed, self.dead, self.source_on, self.storage_on)
        return (*(values.tobytes() for values in flags), *self.ups_mode)

    @cached_property
    def draw(self) -> Hashable:
        """What is asked of the plant, by content; with `position`, all that its power flow depends on."""
        flags = (self.served, self.storage_kw, self.storage_ok, self.psu_dead)
        return tuple(values.tobytes() for values in flags)

    @cached_property
    def fitness(self) -> Hashable:
        """What devices can do, by content; with `position`, all that they look at before they act."""
        flags = (self.locked, self.transfer_ok, self.source_ok, self.rectifier_ok, self.inverter_ok)
        return tuple(values.tobytes() for values in (*flags, self.bypass_ok, self.storage_ok))


@dataclass(frozen=True)
class Islands:
    """Connected parts under one state.

    Attributes
    ----------
    island : int, shape (N,)
        Island of each node.
    energised : bool, shape (N,)
    roots : list of (kind, position, node)
        Active voltage sources: kind "source", "ups" or "storage".
    root_island : int, shape (roots,)
    """

    island: np.ndarray
    energised: np.ndarray
    roots: list[tuple[str, int, int]]
    root_island: np.ndarray

    def roots_of(self, node: int) -> list[int]:
        """Return the positions in ``roots`` of the sources that feed a node."""
        return [int(k) for k in np.flatnonzero(self.root_island == self.island[node])]


def initial_state(grid: Grid, demand: Demand) -> State:
    """Return the state of the network as given, before any failure."""
    src, ups = grid.sources, grid.upss
    transfer_ok = grid.transfers.in_service & ~grid.transfers.stuck
    return State(
        closed=grid.switches.closed.copy(),
        locked=~grid.switches.operable,
        transfer_ok=transfer_ok,
        source_on=src.in_service & src.running,
        source_ok=src.in_service.copy(),
        ups_mode=np.where(ups.in_service, ups.mode, "off").astype(object),
        rectifier_ok=ups.in_service.copy(),
        inverter_ok=ups.in_service.copy(),
        bypass_ok=ups.in_service & (ups.bypass >= 0),
        storage_on=np.zeros(len(grid.storages.index), dtype=bool),
        storage_ok=grid.storages.in_service.copy(),
        storage_kw=np.where(grid.storages.in_service, grid.storages.p_now_kw, 0.0),
        served=np.ones(demand.n),
        unit_ok=np.ones(demand.n, dtype=bool),
        dead=~grid.nodes.in_service,
        psu_dead=np.zeros(len(demand.cord_unit), dtype=bool),
    )


def inverting(ups_mode: np.ndarray) -> np.ndarray:
    """Return where the inverter of a UPS holds its output."""
    return np.asarray((ups_mode == "online") | (ups_mode == "battery"), dtype=bool)


def connectivity(grid: Grid, state: State) -> np.ndarray:
    """Return the island number of each node; edges into dead nodes do not count."""
    key = ("connectivity", state.closed.tobytes(), state.dead.tobytes())
    return grid.memory.recall(key, lambda: _connected(grid, state))


def _connected(grid: Grid, state: State) -> np.ndarray:
    br, sw = grid.branches, grid.switches
    on = br.in_service & ~state.dead[br.tail] & ~state.dead[br.head]
    shut = state.closed & ~state.dead[sw.tail] & ~state.dead[sw.head]
    tail = np.r_[br.tail[on], sw.tail[shut]]
    head = np.r_[br.head[on], sw.head[shut]]
    island = connected_parts(len(state.dead), tail, head)
    island.setflags(write=False)
    return island


def islands(grid: Grid, state: State) -> Islands:
    """Find islands, their sources and what has voltage. The answer is kept and handed out again: do not change it."""
    return grid.memory.recall(("islands", state.position), lambda: _islands(grid, state))


def _islands(grid: Grid, state: State) -> Islands:
    island = connectivity(grid, state)
    roots = [("source", int(k), int(grid.sources.node[k])) for k in np.flatnonzero(state.source_on)]
    roots += [("ups", int(k), int(grid.upss.out_node[k])) for k in np.flatnonzero(inverting(state.ups_mode))]
    roots += [("storage", int(k), int(grid.storages.node[k])) for k in np.flatnonzero(state.storage_on)]
    roots = [root for root in roots if not state.dead[root[2]]]
    root_island = np.array([island[node] for _, _, node in roots], dtype=int)
    live = np.zeros(int(island.max()) + 1 if len(island) else 1, dtype=bool)
    live[root_island] = True
    energised = live[island] & ~state.dead
    energised.setflags(write=False)
    return Islands(island, energised, roots, root_island)


def living_cords(demand: Demand, state: State, energised: np.ndarray) -> np.ndarray:
    """Return which cords have voltage and a working power supply, shape (cords,)."""
    return np.asarray(energised[demand.cord_node] & demand.cord_ok & ~state.psu_dead)


def fed_units(demand: Demand, state: State, energised: np.ndarray) -> np.ndarray:
    """Return which units have a living cord, shape (D,). The answer is kept: do not change it."""
    key = ("fed", energised.tobytes(), state.psu_dead.tobytes())
    return demand.memory.recall(key, lambda: _fed(demand, state, energised))


def _fed(demand: Demand, state: State, energised: np.ndarray) -> np.ndarray:
    living = living_cords(demand, state, energised)
    fed = np.asarray(demand.sum_by_unit(living.astype(float)) > 0)
    fed.setflags(write=False)
    return fed


def missing_kw(grid: Grid, demand: Demand, state: State) -> np.ndarray:
    """Return what each unit goes without, kW, shape (D,)."""
    fed = fed_units(demand, state, islands(grid, state).energised)
    return np.asarray(demand.d_kw * (1.0 - np.where(fed & state.unit_ok, state.served, 0.0)))
