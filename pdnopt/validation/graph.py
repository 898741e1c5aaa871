"""The plant as a graph of buses: what is joined now, and what could be joined.

Coarser than :mod:`pdnopt.plant.grid` on purpose: it must stand any garbage, so an edge whose ends are not
both buses is left out, and a line or transformer with an open switch joins nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdnopt.validation.view import View

__all__ = ["Graph", "Units", "read_graph", "read_units"]


@dataclass(frozen=True)
class Graph:
    """B distinct buses (positions of ``view.index("bus")``) and E edges between them.

    ``live``: carries now. ``possible``: carries once every switch that may move is closed. ``transfer``: row
    of net.transfer if the edge is a position of one, else -1; ``switch``: row of net.switch, else -1.
    UPSs are edges of their own, from ``ups_in`` to ``ups_out``.
    """

    n: int
    tail: np.ndarray
    head: np.ndarray
    live: np.ndarray
    possible: np.ndarray
    switch: np.ndarray
    transfer: np.ndarray
    ups_in: np.ndarray  # -1: no such bus
    ups_out: np.ndarray
    ups_on: np.ndarray  # in service
    ups_mode: np.ndarray  # "off" where not in service
    root: np.ndarray  # bus of every live source, companions included
    root_name: list[str]
    root_prime: np.ndarray  # a utility, a genset or a slack generator
    root_row: np.ndarray  # row in net.ext_grid, -1 for a generator
    prime_bus: np.ndarray  # buses of everything that could feed: primes, grid-forming batteries


def read_graph(view: View) -> Graph:
    """Read buses, edges, UPSs and sources."""
    bus_live = view.bus_live()
    n = len(bus_live)
    shut = view.flag("switch", "closed", True)
    free = (view.text("switch", "operation", "remote") != "locked") & view.flag("switch", "operable", True)
    transfer = view.position("transfer", view.number("switch", "transfer"))
    if view.n("transfer") == len(view.index("transfer")):
        stuck = view.flag("transfer", "stuck", False) | ~view.live("transfer")
        free &= ~np.where(transfer >= 0, np.append(stuck, False)[transfer], False)
    may = shut | free
    et = view.text("switch", "et")
    bus, element = view.bus("switch"), view.number("switch", "element")
    parts: list[tuple[np.ndarray, ...]] = []

    def put(tail: np.ndarray, head: np.ndarray, live: np.ndarray, may: np.ndarray, row: np.ndarray) -> None:
        ok = (tail >= 0) & (head >= 0) & (tail != head)
        ok[ok] &= bus_live[tail[ok]] & bus_live[head[ok]]
        parts.append((tail[ok], head[ok], live[ok], may[ok], row[ok]))

    for table, letter, sides in (
        ("line", "l", (("from_bus", "to_bus"),)),
        ("trafo", "t", (("hv_bus", "lv_bus"),)),
        ("trafo3w", "t3", (("hv_bus", "mv_bus"), ("hv_bus", "lv_bus"))),
        ("impedance", "", (("from_bus", "to_bus"),)),
    ):
        rows = view.n(table)
        on = view.live(table)
        live, may_be = on.copy(), on.copy()
        at = view.position(table, element)
        mine = (et == letter) & (at >= 0)
        if rows == len(view.index(table)) and letter:
            live[at[mine & ~shut]] = False
            may_be[at[mine & ~may]] = False
        for one, other in sides:
            put(view.bus(table, one), view.bus(table, other), live, may_be, np.full(rows, -1))
    pair = et == "b"
    far = np.where(pair, view.bus("switch", "element"), -1)
    put(bus, far, shut & pair, may & pair, np.arange(len(bus)))
    dc = np.full(view.n("dcline"), -1)
    dc_on = view.live("dcline")
    put(view.bus("dcline", "from_bus"), view.bus("dcline", "to_bus"), np.zeros(len(dc), bool), dc_on, dc)
    tail, head, live, possible, edge_row = (np.concatenate(column) for column in zip(*parts, strict=True))
    mode = np.where(view.live("ups"), view.text("ups", "mode", "online"), "off").astype(object)
    root, names, prime, root_row, prime_bus = _roots(view, bus_live)
    return Graph(
        n,
        tail,
        head,
        live.astype(bool),
        possible.astype(bool),
        edge_row,
        np.where(edge_row >= 0, np.append(transfer, -1)[edge_row], -1),
        view.bus("ups", "in_bus"),
        view.bus("ups", "out_bus"),
        view.live("ups"),
        mode,
        root,
        names,
        prime,
        root_row,
        prime_bus,
    )


def _roots(
    view: View, bus_live: np.ndarray
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray, np.ndarray]:
    def standing(bus: np.ndarray, on: np.ndarray) -> np.ndarray:
        ok = on & (bus >= 0)
        ok[ok] &= bus_live[bus[ok]]
        return np.flatnonzero(ok)

    bus, gen_bus = view.bus("ext_grid"), view.bus("gen")
    companion = np.isin(view.text("ext_grid", "kind", "utility"), ("ups", "storage"))
    stopped = ~view.flag("ext_grid", "running", True)
    there = standing(bus, view.live("ext_grid"))
    slack = standing(gen_bus, view.live("gen") & view.flag("gen", "slack", False))
    forming = view.live("storage") & view.flag("storage", "grid_forming", False)
    battery = standing(view.bus("storage"), forming)
    on = there[~stopped[there]]
    names, gen_names = view.names("ext_grid"), view.names("gen")
    return (
        np.r_[bus[on], gen_bus[slack]].astype(int),
        [names[k] for k in on] + [gen_names[k] for k in slack],
        np.r_[~companion[on], np.ones(len(slack), dtype=bool)].astype(bool),
        np.r_[on, np.full(len(slack), -1)].astype(int),
        np.r_[bus[there[~companion[there]]], gen_bus[slack], view.bus("storage")[battery]].astype(int),
    )


@dataclass(frozen=True)
class Units:
    """Loads to be served, one entry a row (a cord): companions and rows out of service are not among them."""

    table: np.ndarray
    row: np.ndarray
    bus: np.ndarray
    p_kw: np.ndarray
    q_kvar: np.ndarray
    priority: np.ndarray
    unit: np.ndarray  # racks: one number for all cords
    name: list[str]  # of the units


def read_units(view: View) -> Units:
    """Read net.load and net.asymmetric_load; garbage is no demand."""
    parts = []
    for table in ("load", "asymmetric_load"):
        if table == "load":
            p, q = view.number(table, "p_mw", 0.0), view.number(table, "q_mvar", 0.0)
        else:
            p = sum((view.number(table, f"p_{k}_mw", 0.0) for k in "abc"), np.zeros(view.n(table)))
            q = sum((view.number(table, f"q_{k}_mvar", 0.0) for k in "abc"), np.zeros(view.n(table)))
        scaling = np.where(
            np.isinf(view.number(table, "scaling", 1.0)), 1.0, view.number(table, "scaling", 1.0)
        )
        p, q = (np.where(np.isfinite(v), v, 0.0) * scaling * 1000.0 for v in (p, q))
        rack = view.text(table, "rack")
        names = view.names(table)
        label = np.empty(len(rack), dtype=object)
        label[:] = [f"rack:{r}" if r else name for r, name in zip(rack, names, strict=True)]
        keep = np.flatnonzero(view.live(table) & (view.text(table, "kind") != "ups_input"))
        parts.append(
            (
                np.full(len(keep), table, dtype=object),
                keep,
                view.bus(table)[keep],
                p[keep],
                q[keep],
                view.number(table, "priority", 3.0)[keep],
                label[keep],
            )
        )
    table_, row, bus, p_kw, q_kvar, priority, labels = (np.concatenate(c) for c in zip(*parts, strict=True))
    unit, found = pd.factorize(np.asarray(labels, dtype=object))
    return Units(
        table_,
        row,
        bus,
        p_kw,
        q_kvar,
        priority,
        np.asarray(unit),
        [str(v) for v in np.asarray(found).tolist()],
    )
