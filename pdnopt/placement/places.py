"""Where a rack can go: a bus for its one cord, or a pair of buses for its two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.names import component_names, find_component

__all__ = ["Places", "read_places"]

Where = Sequence[Any]
"""Buses, or tuples of one or two buses, by name ("PDU-A01" or "bus:PDU-A01") or index."""


@dataclass(frozen=True)
class Places:
    """J places on B buses.

    Attributes
    ----------
    bus : int, shape (B,)
        pandapower indices.
    bus_name : list of str
    node : int, shape (B,)
        In the Grid.
    pair : int, shape (J, 2)
        Positions in ``bus``; twice the same for a place of one cord.
    """

    bus: np.ndarray
    bus_name: list[str]
    node: np.ndarray
    pair: np.ndarray

    @property
    def n(self) -> int:
        """Number of places."""
        return len(self.pair)

    @property
    def cords(self) -> np.ndarray:
        """Cords of a rack at each place, shape (J,)."""
        return np.where(self.pair[:, 0] == self.pair[:, 1], 1, 2)

    def only(self, places: np.ndarray) -> Places:
        """Return some of the places, on the same buses."""
        return replace(self, pair=self.pair[places])

    def buses_of(self, place: int) -> tuple[int, ...]:
        """Return the pandapower indices of a place's buses."""
        first, second = self.pair[place]
        return (int(self.bus[first]),) if first == second else (int(self.bus[first]), int(self.bus[second]))

    def name_of(self, place: int) -> tuple[str, ...]:
        """Return the names of a place's buses."""
        first, second = self.pair[place]
        names = (self.bus_name[first], self.bus_name[second])
        return names[:1] if first == second else names


def read_places(net: Any, grid: Grid, demand: Demand, places: Where | None) -> Places:
    """Return the candidate places.

    Parameters
    ----------
    places : sequence, optional
        Buses: each is a place for one cord, each pair of them one for two cords. Tuples of buses: exactly these
        places. Default: where racks of the network hang now, on one bus or on a pair of buses.

    Raises
    ------
    InputError
        Unknown buses, a pair of twice the same bus, or no place at all; all at once.
    """
    found = _in_use(grid, demand) if places is None else _given(net, places)
    if not found:
        todo = "Name the buses or pairs of buses that new racks may hang on: places=[...]."
        raise InputError(Issue("NoPlaces", "places", "", 0, "at least one place", todo))
    buses = sorted({bus for place in found for bus in place})
    at = {bus: k for k, bus in enumerate(buses)}
    names = dict(zip(net.bus.index, component_names(net, "bus"), strict=True))
    return Places(
        bus=np.array(buses, dtype=int),
        bus_name=[names[bus].partition(":")[2] for bus in buses],
        node=np.array([grid.node_of_bus[bus] for bus in buses], dtype=int),
        pair=np.array([(at[place[0]], at[place[-1]]) for place in sorted(found)], dtype=int),
    )


def _in_use(grid: Grid, demand: Demand) -> set[tuple[int, ...]]:
    """Return the buses of each rack of one or two cords, in ascending order."""
    bus = grid.nodes.bus[demand.cord_node]
    order = np.argsort(demand.cord_unit, kind="stable")
    parts = np.split(bus[order], np.flatnonzero(np.diff(demand.cord_unit[order])) + 1) if len(order) else []
    sets = {tuple(sorted({int(b) for b in part})) for part in parts}
    return {one for one in sets if len(one) in (1, 2)}


def _given(net: Any, places: Where) -> set[tuple[int, ...]]:
    issues: list[Issue] = []
    single: list[int] = []
    found: set[tuple[int, ...]] = set()
    for k, place in enumerate(places):
        path = f"places[{k}]"
        parts = list(place) if isinstance(place, tuple | list) else [place]
        buses = [_bus(net, part, path, issues) for part in parts]
        if not 1 <= len(parts) <= 2 or len(set(map(str, parts))) < len(parts):
            todo = "Name the bus of one cord, or the two buses of two cords."
            issues.append(Issue("SameValue", path, "", place, "one bus, or two different ones", todo))
        elif None not in buses:
            mine = tuple(sorted(bus for bus in buses if bus is not None))
            found.add(mine)
            single += mine if not isinstance(place, tuple | list) else ()
    if issues:
        raise InputError(issues)
    return found | set(combinations(sorted(set(single)), 2))


def _bus(net: Any, part: Any, path: str, issues: list[Issue]) -> int | None:
    text = str(part)
    try:
        return int(find_component(net, text if text.startswith("bus:") else f"bus:{text}", path)[1])
    except InputError as error:
        issues += error.issues
        return None
