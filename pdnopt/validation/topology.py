"""Sources, islands and exclusive positions: who feeds what, now and at all."""

from __future__ import annotations

import numpy as np

from pdnopt.plant.graph import connected_parts
from pdnopt.units import UNLIMITED_KA
from pdnopt.validation.graph import Graph, Units
from pdnopt.validation.view import Findings, Severity, View, as_number

__all__ = ["check_sources", "check_switching", "check_unserved", "check_zero_ratings"]


def check_sources(view: View, found: Findings, graph: Graph) -> None:
    """Is there a source at all; are several in one island in synchronism and meant to be."""
    if not len(graph.prime_bus):
        todo = "Create one with pdnopt.plant.create_utility, or put one in service."
        allowed = "an ext_grid of kind 'utility' or 'genset' (or a grid-forming battery) in service"
        found.one("NoSource", "net.ext_grid", "", None, allowed, todo)
    island = connected_parts(graph.n, graph.tail[graph.live], graph.head[graph.live])
    group = view.text("ext_grid", "sync_group")
    parallel = view.flag("ext_grid", "parallel", False)
    here = island[graph.root] if len(graph.root) else np.zeros(0, dtype=int)
    for number in dict.fromkeys(here.tolist()):
        roots = np.flatnonzero(here == number)
        if len(roots) < 2:
            continue
        rows = graph.root_row[roots]
        groups = {str(group[r]) if r >= 0 else "" for r in rows}
        meant = len(groups) == 1 and "" not in groups and bool(parallel[rows[rows >= 0]].all())
        if meant and graph.root_prime[roots].all():
            continue
        names = [graph.root_name[k] for k in roots]
        found.one(
            "ParallelSources",
            "net.ext_grid",
            names[0],
            ", ".join(names[:8]) + (", ..." if len(names) > 8 else ""),
            "one source in an island, or sources of one sync_group that are all marked parallel",
            "Open the switch between them, or give them a sync_group and parallel = True.",
            found.soft,
        )


def check_unserved(view: View, found: Findings, graph: Graph, units: Units) -> None:
    """Which units no source can reach, even with every switch closed that may be; which are dead now."""
    if not len(units.unit) or not len(graph.prime_bus):
        return
    possible = _reached(graph, graph.possible, graph.prime_bus, graph.ups_on)
    inverting = np.isin(graph.ups_mode, ("online", "battery"))
    start = np.r_[graph.root, graph.ups_out[(graph.ups_mode == "battery") & (graph.ups_out >= 0)]]
    now = _reached(graph, graph.live, start, inverting)
    at = np.maximum(units.bus, 0)
    n_units = len(units.name)
    wanted = np.bincount(units.unit, weights=np.abs(units.p_kw), minlength=n_units) > 0
    first = np.full(n_units, 10**9)
    np.minimum.at(first, units.unit, np.arange(len(units.unit)))
    top = np.full(n_units, np.inf)
    np.minimum.at(top, units.unit, units.priority)
    placed = np.bincount(units.unit, weights=units.bus >= 0, minlength=n_units) > 0
    can = np.bincount(units.unit, weights=possible[at] & (units.bus >= 0), minlength=n_units) > 0
    fed = np.bincount(units.unit, weights=now[at] & (units.bus >= 0), minlength=n_units) > 0
    for k in np.flatnonzero(wanted & placed & ~can):
        row = first[k]
        found.one(
            "UnservedIsland",
            f"net.{units.table[row]}.bus",
            units.name[k],
            _bus_label(view, int(units.bus[row])),
            "a bus that some source can reach",
            "Add a source or a switch towards one, or put the load out of service.",
            "error" if top[k] <= 1 else "warning",
        )
    for k in np.flatnonzero(wanted & can & ~fed & (top <= 1)):
        row = first[k]
        found.one(
            "UnservedIsland",
            f"net.{units.table[row]}.bus",
            units.name[k],
            _bus_label(view, int(units.bus[row])),
            "a critical load (priority 1) that has voltage as given",
            "It is dead as given: check the switches and sources, or sign off.",
            "warning",
        )


def _bus_label(view: View, position: int) -> str:
    return view.bus_name(position) if position >= 0 else "no bus"


def _reached(graph: Graph, on: np.ndarray, start: np.ndarray, ups_on: np.ndarray) -> np.ndarray:
    """Return which buses the starting buses reach; a UPS passes power from input to output only."""
    part = connected_parts(graph.n, graph.tail[on], graph.head[on])
    live = np.zeros(int(part.max(initial=-1)) + 1, dtype=bool)
    live[part[start]] = True
    ups = np.flatnonzero(ups_on & (graph.ups_in >= 0) & (graph.ups_out >= 0))
    source, sink = part[graph.ups_in[ups]], part[graph.ups_out[ups]]
    for _ in range(len(ups) + 1):
        before = int(live.sum())
        live[sink[live[source]]] = True
        if int(live.sum()) == before:
            break
    return np.asarray(live[part])


def check_zero_ratings(view: View, found: Findings, graph: Graph, units: Units) -> None:
    """A rating of zero (or none, of a line) is never "unlimited": an error where critical load needs it."""
    on = graph.possible
    ups = (graph.ups_in >= 0) & (graph.ups_out >= 0)
    part = connected_parts(
        graph.n, np.r_[graph.tail[on], graph.ups_in[ups]], np.r_[graph.head[on], graph.ups_out[ups]]
    )
    critical = np.zeros(graph.n + 1, dtype=bool)
    feeds = units.bus[(units.priority <= 1) & (units.bus >= 0)]
    critical[:-1] = np.isin(part, part[feeds]) if len(feeds) else False
    for table, column, end in (
        ("line", "max_i_ka", "from_bus"),
        ("line", "max_loading_percent", "from_bus"),
        ("trafo", "max_loading_percent", "hv_bus"),
        ("switch", "in_ka", "bus"),
        ("ext_grid", "max_p_mw", "bus"),
        ("ext_grid", "step_mw", "bus"),
    ):
        if not view.has(table, column):
            continue
        x, bus = view.number(table, column), view.bus(table, end)
        in_use = view.live(table) if table != "switch" else np.ones(len(x), dtype=bool)
        zero = in_use & (x == 0.0)
        what = "more than 0; 99999 kA for no limit" if column.endswith("_ka") else "more than 0"
        todo = "Zero is not 'unlimited'. Give the rating."
        found.rows("NotGreater", table, column, zero & critical[bus], what, todo)
        found.rows("NotGreater", table, column, zero & ~critical[bus], what, todo, "warning")
    if view.has("line", "max_i_ka"):
        none = view.live("line") & np.isnan(view.number("line", "max_i_ka"))
        none &= np.array([as_number(v) is not None for v in view.raw("line", "max_i_ka")], dtype=bool)
        todo = f"Give the rating; {UNLIMITED_KA:.0f} if there is none."
        is_critical = critical[view.bus("line", "from_bus")]
        found.rows("NonFinite", "line", "max_i_ka", none & is_critical, "a rating in kA", todo)
        found.rows("NonFinite", "line", "max_i_ka", none & ~is_critical, "a rating in kA", todo, "warning")


def check_switching(view: View, found: Findings, graph: Graph) -> None:
    """Positions of transfer devices, and interlocks, as given."""
    if view.n("transfer"):
        _positions(view, found)
    if not view.has("interlock", "switches"):
        return
    shut = view.flag("switch", "closed", False)
    names, switch_names = view.names("interlock"), view.names("switch")
    limit = view.number("interlock", "max_closed", 1.0)
    for k, cell in enumerate(view.raw("interlock", "switches")):
        if not isinstance(cell, list | tuple | np.ndarray) or np.ndim(cell) > 1:
            continue
        members = np.array([v for v in map(as_number, cell) if v is not None], dtype=float)
        at = view.position("switch", members)
        closed = [int(i) for i in at if i >= 0 and i < len(shut) and shut[i]]
        if len(closed) > limit[k]:
            who = ", ".join(switch_names[i] for i in closed)
            allowed = f"at most {limit[k]:g} closed"
            found.one("Interlock", "net.interlock", names[k], who, allowed, "Open one of these switches.")


def _positions(view: View, found: Findings) -> None:
    index = view.number("switch", "transfer")
    device = view.position("transfer", index)
    shut, names = view.flag("switch", "closed", False), view.names("transfer")
    bus, far = view.bus("switch"), view.bus("switch", "element")
    out = view.bus("transfer", "bus")
    labels = list(view.frame("transfer").index)
    switch_names = view.names("switch")
    et = view.text("switch", "et")
    preferred = view.position("switch", view.number("transfer", "preferred"))
    for k, label in enumerate(labels):
        at = view.position("transfer", np.array([label if isinstance(label, int) else np.nan], dtype=float))[
            0
        ]
        mine = np.flatnonzero((device == at) & (at >= 0))
        if len(mine) < 2:
            todo = "Give net.switch.transfer the device's index in the row of each position."
            severity: Severity = "warning" if len(mine) else "error"
            found.one(
                "Range", "net.switch.transfer", names[k], len(mine), "2 or more positions", todo, severity
            )
        closed = mine[shut[mine]]
        if len(closed) > 1:
            who = ", ".join(switch_names[i] for i in closed)
            todo = "Leave one position closed."
            found.one("TransferExclusive", "net.switch.closed", names[k], who, "at most one closed", todo)
        if out[k] >= 0 and len(mine):
            apart = mine[(et[mine] != "b") | ((bus[mine] != out[k]) & (far[mine] != out[k]))]
            todo = "Every position joins a source bus and net.transfer.bus."
            allowed = f"a bus-bus switch at {view.bus_name(int(out[k]))}"
            found.rows("InvalidId", "switch", "transfer", apart, allowed, todo)
            source = np.where(bus[mine] == out[k], far[mine], bus[mine])
            seen: dict[int, int] = {}
            for switch, at_bus in zip(mine, source, strict=True):
                if at_bus >= 0 and int(at_bus) in seen:
                    value = f"{switch_names[seen[int(at_bus)]]}, {switch_names[switch]}"
                    todo = "Connect each position to a source of its own."
                    found.one(
                        "SameSource",
                        "net.switch.bus",
                        names[k],
                        value,
                        "a different bus for each position",
                        todo,
                    )
                seen[int(at_bus)] = int(switch)
        if preferred[k] >= 0 and preferred[k] not in mine:
            value = view.raw("transfer", "preferred")[k]
            todo = "Point to the switch of one of its positions."
            found.one(
                "InvalidId", "net.transfer.preferred", names[k], value, "a position of this device", todo
            )
