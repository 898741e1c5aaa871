"""Pairs of failures whose answer follows from those of the two alone.

What is proved, and nothing beyond it is pruned:

1. *Parts.* Two buses are in one part of the plant if anything joins them: a line, a transformer, a switch open or closed,
   a UPS, a transfer device, the cords of a rack, an interlock, a companion. What is decided, flows, is synchronous, or is
   limited in one part does not depend on any other part; the terms of the objective are sums over parts.
2. *Stiff buses.* A bus with a single utility feed that has no power limit, and that no failure at hand takes along, holds
   its voltage whatever is drawn: it joins nothing. It is taken out before parts are formed, unless a part would lie at
   two of them (a loop through both could then pass through two parts) or two of them are neighbours.
3. *One acts, the other is quiet.* Plans of two parts share one thing: time, since commands follow one another. So one of
   the two failures must need no command, leave no clock running, and have come to rest before the first command.

Then the plan of the one that acts is the plan of the pair, proved optimal as it was: unserved and interrupted power are
those of the two less what the plant as given leaves unserved; commands, times and deadlines are those of the one that acts;
the worst component is the worse one of the two, where its part is not the one that the other failure changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid import Grid
from pdnopt.plant.names import NAMED_TABLES, component_names
from pdnopt.plant.tables import values
from pdnopt.sweeps.outages import Outages
from pdnopt.sweeps.rows import Row, name_of

__all__ = ["Parts", "quiet", "union_row"]


class Parts:
    """The parts of one network, and which of them a failure changes."""

    def __init__(self, net: Any, grid: Grid, outages: Outages) -> None:
        self._grid, self._outages = grid, outages
        self._place = {int(bus): k for k, bus in enumerate(net.bus.index)}
        joins = _joins(net)
        self._stiff, self._part = _split(joins, self._place, _stiff_buses(net, grid))
        self._buses = _buses_of_components(net, joins)

    def of_component(self, name: str) -> frozenset[int] | None:
        """Return the parts at which a component lies; None for an unknown one."""
        buses = self._buses.get(name)
        if buses is None:
            return None
        return frozenset(int(self._part[self._place[b]]) for b in buses if b not in self._stiff)

    def of_failure(self, name: str) -> int | None:
        """Return the part that the failure of a component changes; None where that is not one part alone."""
        own = self.of_component(name)
        if own is None:
            return None
        fresh = self._grid.nodes.bus[self._outages.fresh_nodes(name)]
        dead = [int(bus) for bus in fresh if bus >= 0]
        if any(bus in self._stiff for bus in dead):
            return None
        parts = own | {int(self._part[self._place[bus]]) for bus in dead}
        return next(iter(parts)) if len(parts) == 1 else None


def quiet(row: Row, latency_s: float) -> bool:
    """Whether a failure asks for nothing, and all that moves by itself has moved before a first command."""
    calm = row["n_actions"] == 0 and row["n_clocks"] == 0 and row["automatic_s"] <= latency_s
    return bool(calm and row["status"] == "optimal")


def union_row(
    failed: Sequence[str], rows: Sequence[Row], base: Row, parts: Parts, latency_s: float
) -> Row | None:
    """Return the row of a pair of failures in different parts; None where it does not follow from the two alone."""
    one, other = rows
    name = name_of(failed)
    if not quiet(other, latency_s):
        one, other, failed = other, one, failed[::-1]
    if not quiet(other, latency_s) or one["status"] != "optimal":
        return None
    worst = _worse(failed, (one, other), parts)
    if worst is None:
        return None
    sums = {
        column: max(one[column] + other[column] - base[column], 0.0)
        for column in one
        if column == "interrupted_kw" or column.startswith("unserved_")
    }
    loading = {column: worst[column] for column in ("worst_component", "worst_loading_percent", "margin_kw")}
    told = {"contingency": name, "total_s": 0.0, "answer": "pruned", "same_as": ""}
    return {**one, **sums, **loading, **told}


def _worse(failed: Sequence[str], rows: Sequence[Row], parts: Parts) -> Row | None:
    """Return the row with the higher loading, if the other failure does not change the part of that component."""
    heavy = [0.0 if isnan(row["worst_loading_percent"]) else row["worst_loading_percent"] for row in rows]
    k = int(heavy[1] > heavy[0])
    if not rows[k]["worst_component"]:
        return rows[k]
    lies = parts.of_component(rows[k]["worst_component"])
    changed = parts.of_failure(failed[1 - k])
    return None if lies is None or changed is None or changed in lies else rows[k]


def _stiff_buses(net: Any, grid: Grid) -> frozenset[int]:
    """Return the buses that a single utility feed without any limit holds at their voltage."""
    src = grid.sources
    free = (src.kind == "utility") & src.in_service & src.running & ~src.parallel
    free &= np.isposinf(src.p_max_kw) & np.isneginf(src.p_min_kw) & np.isposinf(src.fuel_kwh)
    free &= grid.nodes.in_service[src.node]
    sources = pd.concat(
        [net[table]["bus"] for table in ("ext_grid", "gen") if table in net and len(net[table])]
    )
    shared = set(sources[sources.duplicated(keep=False)])
    return frozenset(int(bus) for bus in grid.nodes.bus[src.node[free]] if bus not in shared)


def _split(
    joins: Sequence[frozenset[int]], place: Mapping[int, int], stiff: frozenset[int]
) -> tuple[frozenset[int], np.ndarray]:
    """Return the stiff buses that may be taken out, and the part of every bus without them."""
    stiff -= frozenset(bus for join in joins if len(join & stiff) > 1 for bus in join & stiff)
    while True:
        ties = [sorted(join - stiff) for join in joins]
        pairs = [(place[a], place[b]) for tie in ties for a, b in pairwise(tie)]
        tail, head = np.array(pairs, dtype=int).reshape(-1, 2).T
        part = connected_parts(len(place), tail, head)
        touched: dict[int, set[int]] = {}
        for join in joins:
            for bus in join - stiff:
                touched.setdefault(int(part[place[bus]]), set()).update(join & stiff)
        doubtful = frozenset(bus for mine in touched.values() if len(mine) > 1 for bus in mine)
        if not doubtful:
            return stiff, part
        stiff -= doubtful


def _joins(net: Any) -> list[frozenset[int]]:
    """Return every set of buses that something joins."""
    buses = _buses_by_row(net)
    joins = [mine for rows in buses.values() for mine in rows.values()]
    joins += [
        frozenset().union(*(buses["switch"][int(k)] for k in listed))
        for listed in (net.interlock["switches"] if "interlock" in net else ())
        if len(listed)
    ]
    cords: dict[str, set[int]] = {}
    for table in ("load", "asymmetric_load"):
        for rack, bus in zip(values(net, table, "rack"), net[table]["bus"], strict=True):
            if rack:
                cords.setdefault(str(rack), set()).add(int(bus))
    return [*joins, *(frozenset(mine) for mine in cords.values())]


def _buses_by_row(net: Any) -> dict[str, dict[int, frozenset[int]]]:
    """Return the buses of every row of every table: its own, and those of the row of another table that it names."""
    found: dict[str, dict[int, frozenset[int]]] = {}
    for table in net:
        frame = net[table]
        if not isinstance(frame, pd.DataFrame) or table == "bus" or table.startswith(("_", "res_")):
            continue
        columns = [c for c in frame.columns if c == "bus" or str(c).endswith("_bus")]
        if columns and len(frame):
            cells = frame[columns].to_numpy(dtype=float)
            found[table] = {
                int(i): frozenset(int(b) for b in row if b == b and b >= 0)
                for i, row in zip(frame.index, cells, strict=True)
            }
    kinds = {"b": "", "l": "line", "t": "trafo", "t3": "trafo3w"}
    for i, et, element in zip(net.switch.index, net.switch["et"], net.switch["element"], strict=True):
        far = found[kinds[et]][int(element)] if kinds[et] else frozenset({int(element)})
        found["switch"][int(i)] |= far
    for table, rows in list(found.items()):
        for column in ("ups", "storage", "transfer"):
            if column not in net[table].columns or column not in found:
                continue
            for i, owner in zip(net[table].index, net[table][column], strict=True):
                if (
                    isinstance(owner, int | float | np.number)
                    and owner == owner
                    and int(owner) in found[column]
                ):
                    rows[int(i)] |= found[column][int(owner)]
    return found


def _buses_of_components(net: Any, joins: Sequence[frozenset[int]]) -> dict[str, frozenset[int]]:
    """Return the buses of every component by its name."""
    rows = _buses_by_row(net)
    found = {
        name: frozenset({int(b)}) for b, name in zip(net.bus.index, component_names(net, "bus"), strict=True)
    }
    for table in NAMED_TABLES:
        if table in rows:
            names = component_names(net, table)
            found |= {name: rows[table][int(i)] for i, name in zip(net[table].index, names, strict=True)}
    return found
