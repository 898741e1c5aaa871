"""Redundancy as wired: do two feeds share a component below the utility, can each position carry its load.

A bus *dominates* another if every path from the sources to it passes that bus. Two cords share what dominates
both. In a radial plant that is the lowest common ancestor in the feeding tree; loops are handled by the
dominator tree, which networkx finds in nearly linear time.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from pdnopt.plant.graph import connected_parts
from pdnopt.units import SQRT3, UNLIMITED_KA
from pdnopt.validation.graph import Graph, Units
from pdnopt.validation.values import ups_efficiency
from pdnopt.validation.view import Findings, View

__all__ = ["check_capacity", "check_common_mode"]

DUAL_KINDS = ("ATS", "STS", "micro-ATS", "IBT")


def check_common_mode(view: View, found: Findings, graph: Graph, units: Units) -> None:
    """Warn of racks and transfer devices whose feeds share a bus below the utility; one finding a bus."""
    racks = _cord_buses(units)
    devices = _position_buses(view, graph)
    if not graph.n or not (racks or devices):
        return
    above, depth, utility = _dominators(graph, _bridged(view, graph))
    memo: dict[tuple[int, ...], int] = {}

    def shared(buses: tuple[int, ...]) -> int:
        """Lowest bus that dominates all; -1 if there is none below a source, or fewer than two live."""
        if buses not in memo:
            alive = [b for b in buses if depth[b] >= 0]
            low = alive[0] if len(alive) > 1 else -1
            for other in alive[1:]:
                low = _lowest_common(low, other, above, depth)
            memo[buses] = -1 if low < 0 or low == graph.n or utility[low] else low
        return memo[buses]

    for path, things in (("net.load.rack", racks), ("net.transfer.bus", devices)):
        at: dict[int, list[str]] = {}
        for name, buses in things:
            bus = shared(buses)
            if bus >= 0:
                at.setdefault(bus, []).append(name)
        for bus, names in at.items():
            who = ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
            found.one(
                "CommonModeWarning",
                path,
                view.bus_name(bus),
                who,
                "feeds that share nothing below the utility",
                "One fault at this bus takes all their feeds: rewire them, or sign off.",
                "warning",
            )


def _cord_buses(units: Units) -> list[tuple[str, tuple[int, ...]]]:
    """Racks of two or more cords on known buses, with the buses of their cords."""
    rows: dict[int, list[int]] = {}
    for unit, bus in zip(units.unit.tolist(), units.bus.tolist(), strict=True):
        rows.setdefault(unit, []).append(bus)
    return [
        (units.name[unit], tuple(sorted(buses)))
        for unit, buses in rows.items()
        if len(buses) > 1 and min(buses) >= 0
    ]


def _position_buses(view: View, graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Transfer devices with the buses that their positions come from."""
    if not view.n("transfer") or view.n("transfer") != len(view.index("transfer")):
        return []
    names, out = view.names("transfer"), view.bus("transfer", "bus")
    kinds = view.text("transfer", "kind", "ATS")
    found = []
    for k in range(view.n("transfer")):
        edges = np.flatnonzero(graph.transfer == k)
        ends = np.where(graph.tail[edges] == out[k], graph.head[edges], graph.tail[edges])
        if len(set(ends.tolist())) > 1 and kinds[k] in DUAL_KINDS:
            found.append((names[k], tuple(sorted(ends.tolist()))))
    return found


def _bridged(view: View, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return from where to where an automatic device before a UPS can move: the battery bridges it, so both ways count."""
    out, auto = view.bus("transfer", "bus"), view.flag("transfer", "auto", True) & view.live("transfer")
    auto &= ~view.flag("transfer", "stuck", False)
    fed = np.append(auto & np.isin(out, graph.ups_in[graph.ups_mode == "online"]), False)
    edges = np.flatnonzero(graph.possible & ~graph.live & fed[graph.transfer])
    to = out[graph.transfer[edges]]
    return np.where(graph.tail[edges] == to, graph.head[edges], graph.tail[edges]), to


def _dominators(
    graph: Graph, bridged: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return immediate dominator and depth of every bus (depth -1: dead), and which buses are a source's.

    Bus number ``graph.n`` stands for the world behind all sources. ``bridged``: arcs besides those that carry now.
    """
    n = graph.n
    world = n
    start = np.unique(graph.root[graph.root_prime]) if len(graph.root) else np.zeros(0, dtype=int)
    on_battery = graph.ups_out[(graph.ups_mode == "battery") & (graph.ups_out >= 0)]
    batteries = graph.root[~graph.root_prime & ~np.isin(graph.root, graph.ups_out)]
    start = np.unique(np.r_[start, on_battery, batteries]).astype(int)
    online = (graph.ups_mode == "online") & (graph.ups_in >= 0) & (graph.ups_out >= 0)
    a, b = graph.tail[graph.live], graph.head[graph.live]
    tail = np.r_[a, b, graph.ups_in[online], bridged[0], np.full(len(start), world)]
    head = np.r_[b, a, graph.ups_out[online], bridged[1], start]
    arcs = coo_array((np.ones(len(tail)), (tail, head)), shape=(n + 1, n + 1)).tocsr()
    order, parent = breadth_first_order(arcs, world, directed=True, return_predecessors=True)
    alive = np.zeros(n + 1, dtype=bool)
    alive[order] = True
    pairs = {(min(x, y), max(x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True) if alive[x]}
    n_feeds = len(pairs) + int(alive[graph.ups_in[online]].sum()) + int(alive[bridged[0]].sum()) + len(start)
    above = np.where(alive, parent, -1)
    if n_feeds > len(order) - 1:  # loops: the breadth-first tree is one way in of several
        digraph = nx.DiGraph()
        kept = alive[tail]
        digraph.add_edges_from(zip(tail[kept].tolist(), head[kept].tolist(), strict=True))
        for bus, dominator in nx.immediate_dominators(digraph, world).items():
            above[bus] = world if dominator is None else dominator
    depth = np.full(n + 1, -1)
    depth[world] = 0
    above[world] = world
    _fill_depths(above, depth, order)
    utility = np.zeros(n + 1, dtype=bool)
    utility[start] = True
    return above, depth, utility


def _fill_depths(above: np.ndarray, depth: np.ndarray, order: np.ndarray) -> None:
    """Depth of every reached bus in the dominator tree."""
    for bus in order.tolist():
        chain = []
        while depth[bus] < 0:
            chain.append(bus)
            bus = int(above[bus])
        level = int(depth[bus])
        for member in reversed(chain):
            level += 1
            depth[member] = level


def _lowest_common(a: int, b: int, above: np.ndarray, depth: np.ndarray) -> int:
    while a != b:
        if depth[a] < depth[b]:
            b = int(above[b])
        else:
            a = int(above[a])
    return a


def check_capacity(view: View, found: Findings, graph: Graph, units: Units) -> None:
    """Can every position of a transfer device, reserve taps included, carry all that hangs on its output.

    What hangs on it: everything joined to the output with the device's own positions open, through closed
    positions of devices further down, and through UPSs online (their output over efficiency).
    """
    if not view.n("transfer") or not view.has("switch", "in_ka"):
        return
    if view.n("transfer") != len(view.index("transfer")):
        return
    plain = graph.live & (graph.transfer < 0)
    part = connected_parts(graph.n, graph.tail[plain], graph.head[plain])
    n_parts = int(part.max(initial=-1)) + 1
    on = units.bus >= 0
    p = np.bincount(part[units.bus[on]], weights=units.p_kw[on], minlength=n_parts)
    q = np.bincount(part[units.bus[on]], weights=units.q_kvar[on], minlength=n_parts)
    out = view.bus("transfer", "bus")
    feeds: dict[int, list[tuple[int, Any, float, float]]] = {}  # part -> (part below, eta, p, power factor)
    for e in np.flatnonzero(graph.live & (graph.transfer >= 0)):
        below = part[out[graph.transfer[e]]]
        ends = {int(part[graph.tail[e]]), int(part[graph.head[e]])} - {int(below)}
        for above in ends:
            feeds.setdefault(above, []).append((int(below), None, 0.0, 1.0))
    rated, charge = view.number("ups", "p_rated_mw"), view.number("ups", "p_charge_mw", 0.0)
    pf = np.clip(view.number("ups", "input_pf", 0.99), 0.01, 1.0)
    cells = view.raw("ups", "efficiency")
    for k in np.flatnonzero((graph.ups_mode == "online") & (graph.ups_in >= 0) & (graph.ups_out >= 0)):
        above, below = int(part[graph.ups_in[k]]), int(part[graph.ups_out[k]])
        if above != below:
            eta = (cells[k], rated[k] * 1000.0)
            feeds.setdefault(above, []).append((below, eta, charge[k] * 1000.0, float(pf[k])))
    memo: dict[int, tuple[float, float]] = {}

    def carried(at: int, passed: frozenset[int]) -> tuple[float, float]:
        """P and Q in kW, kvar of a part and everything that it feeds."""
        if at in passed:
            return 0.0, 0.0
        if at not in memo:
            p_at, q_at = float(p[at]), float(q[at])
            for below, eta, p_charge, power_factor in feeds.get(at, []):
                p_below, q_below = carried(below, passed | {at})
                if eta is not None:
                    p_below = p_below / ups_efficiency(eta[0], p_below, eta[1]) + p_charge
                    q_below = p_below * float(np.tan(np.arccos(power_factor)))
                p_at, q_at = p_at + p_below, q_at + q_below
            memo[at] = p_at, q_at
        return memo[at]

    rating = view.number("switch", "in_ka")
    vn = view.bus_number("vn_kv")
    names = view.names("switch")
    own = np.zeros(n_parts, dtype=bool)
    own[part[graph.root[graph.root_prime]]] = True
    for e in np.flatnonzero(graph.transfer >= 0):
        row, bus = int(graph.switch[e]), int(out[graph.transfer[e]])
        limited = np.isfinite(rating[row]) and 0 < rating[row] < UNLIMITED_KA
        if bus < 0 or not limited or own[part[bus]] or not vn[bus] > 0:
            continue
        need = float(np.hypot(*carried(int(part[bus]), frozenset())))
        limit = SQRT3 * rating[row] * vn[bus] * 1000.0
        if need > limit * (1 + 1e-6):
            todo = "Take a larger tap, or put less load behind the device."
            allowed = f"a load of at most {limit:.4g} kVA ({rating[row]:g} kA at {vn[bus]:g} kV)"
            value = f"{need:.4g} kVA"
            found.one("CapacityError", "net.switch.in_ka", names[row], value, allowed, todo)
