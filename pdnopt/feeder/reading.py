"""From a network and the state its switches stand in to a :class:`Feeder`.

The electrical data are those of the AC engine (:class:`pdnopt.acflow.model.Model`), so a sweep and power-grid-model
agree; what may move is the State's. A branch and the switches at its ends are one edge: closed if all of them are.
An open line hangs on an end that has no switch and charges; where both ends have one it counts as dark, though a plan
opens one: its charging current is in the final AC power flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acflow.model import Model
from pdnopt.feeder.network import Feeder, NotRadialError
from pdnopt.feeder.shedding import Units
from pdnopt.plant.demand import Demand
from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.units import KW_PER_MW

__all__ = ["is_plain", "read_feeder", "switches_of", "units_of"]

BASE_VA = 1e6
W_PER_KW = 1e3
KIND = np.array([0, 2, 1])
"""power-grid-model's type of a load (power, impedance, current) as a row of ``Feeder.s_pu``."""


def is_plain(grid: Grid, demand: Demand) -> str:
    """Return why the network is no plain feeder, in words; "" if it is one."""
    for what, table in (
        ("UPSs", grid.upss),
        ("transfer devices", grid.transfers),
        ("batteries", grid.storages),
    ):
        if len(table.index):
            return f"it has {what}"
    if len(grid.interlocks.name):
        return "it has interlocks"
    if (grid.sources.kind == "genset").any():
        return "it has gensets"
    if demand.n != len(demand.cord_unit):
        return "it has loads with more than one cord"
    return ""


def read_feeder(net: Any, engine: FlowEngine, grid: Grid, demand: Demand, state: State) -> Feeder:
    """Read the feeder that the switches of ``state`` may still form, with the load that ``state.served`` leaves.

    Raises
    ------
    NotRadialError
        Edges that cannot be opened form a loop or join two sources, or the sources reach nothing.
    """
    m = engine.model
    sources = np.flatnonzero(state.source_on & ~state.dead[grid.sources.node])
    if not len(sources):
        raise NotRadialError("no source is left")
    edges = _edges(m, grid, state)
    label = _parts(m, edges, grid.sources.node[sources])
    root = label[grid.sources.node[sources]]
    if len(np.unique(root)) < len(root):
        raise NotRadialError("two sources cannot be parted")
    power = _power_pu(net, m, demand, state, label)
    keep = [
        k
        for k in range(len(edges.tail))
        if edges.usable[k] and label[edges.tail[k]] >= 0 and label[edges.tail[k]] != label[edges.head[k]]
    ]
    if not keep:
        raise NotRadialError("the sources reach nothing")
    pick = np.array(keep, dtype=int)
    n = int(label.max()) + 1
    v_min, v_max = np.zeros(n), np.full(n, np.inf)
    fed = label[: m.n_bus] >= 0
    np.maximum.at(v_min, label[: m.n_bus][fed], grid.nodes.v_min_pu[: m.n_bus][fed])
    feeder = Feeder(
        root=root,
        root_v_pu=grid.sources.vm_pu[sources],
        root_p_max_pu=grid.sources.p_max_kw[sources] / KW_PER_MW,
        s_pu=power,
        y_pu=_shunts(m, label, n),
        v_min_pu=v_min,
        v_max_pu=v_max,
        tail=label[edges.tail[pick]],
        head=label[edges.head[pick]],
        z_pu=edges.z_pu[pick],
        ratio=edges.ratio[pick],
        y_half_pu=edges.y_half_pu[pick],
        y_open_pu=edges.y_open_pu[:, pick],
        i_max_pu=edges.i_max_pu[pick],
        closable=np.ones(len(pick), dtype=bool),
        openable=edges.openable[pick],
        switches=tuple(edges.switches[k] for k in pick),
        given=edges.given[pick],
        node_of_bus=label[: m.n_bus],
        hanging=bool((edges.stuck & (edges.y_half_pu != 0)).any()),
    )
    _refuse_fixed_loops(feeder)
    return feeder


@dataclass(frozen=True)
class _Edges:
    """Every branch with the switches at its ends, and every bus-bus switch, by the model's nodes."""

    tail: np.ndarray
    head: np.ndarray
    z_pu: np.ndarray
    ratio: np.ndarray
    y_half_pu: np.ndarray
    y_open_pu: np.ndarray
    i_max_pu: np.ndarray
    switches: list[np.ndarray]
    usable: np.ndarray
    openable: np.ndarray
    given: np.ndarray
    stuck: np.ndarray


def _edges(m: Model, grid: Grid, state: State) -> _Edges:
    br = m.branches
    vn = np.r_[m.vn_kv, br.vn_star_kv]
    z_base = vn[br.head] ** 2
    at_branch: list[list[int]] = [[] for _ in br.tail]
    for switch, branch in zip(m.gate, m.gate_branch, strict=True):
        at_branch[branch].append(int(switch))
    for switch, branch in zip(m.weak, range(m.weak_rows.start, m.weak_rows.stop), strict=True):
        at_branch[branch].append(int(switch))
    switches = [np.array(s, dtype=int) for s in at_branch] + [np.array([s]) for s in m.link]
    n_link = len(m.link)
    alive = np.r_[m.bus_ok & ~state.dead[: m.n_bus], np.ones(br.n_node - m.n_bus, dtype=bool)]
    tail, head = np.r_[br.tail, m.link_tail], np.r_[br.head, m.link_head]
    closed = np.array([bool(state.closed[s].all()) for s in switches], dtype=bool)
    stuck_open = np.array([bool((~state.closed[s] & state.locked[s]).any()) for s in switches], dtype=bool)
    openable = np.array([bool((~state.locked[s]).any()) for s in switches], dtype=bool)
    on = np.r_[br.in_service, np.ones(n_link, dtype=bool)] & alive[tail] & alive[head]
    own = np.array([grid.switches.s_max_kva[s].min(initial=np.inf) for s in switches])
    z_pu = np.r_[(br.r_ohm + 1j * br.x_ohm) / z_base, np.zeros(n_link)]
    half = np.r_[(br.g_s + 1j * br.b_s) * z_base / 2.0, np.zeros(n_link)]
    hanging = half + half / (1.0 + z_pu * half)
    bare = np.ones((2, len(tail)), dtype=bool)  # ends without a switch
    bare[m.gate_side, m.gate_branch] = False
    return _Edges(
        tail=tail,
        head=head,
        z_pu=z_pu,
        ratio=np.r_[br.ratio, np.ones(n_link)],
        y_half_pu=half,
        y_open_pu=np.where(bare, hanging, 0.0),
        i_max_pu=np.minimum(np.r_[_ratings_pu(m, grid), np.full(n_link, np.inf)], own / KW_PER_MW),
        switches=switches,
        usable=on & ~stuck_open,
        openable=openable,
        given=closed & on,
        stuck=on & stuck_open,
    )


def _ratings_pu(m: Model, grid: Grid) -> np.ndarray:
    """Return the limit of each branch's current, pu of its nominal voltage; star points have none."""
    out = np.full(len(m.branches.tail), np.inf)
    for table, rows in (("line", m.line_rows), ("trafo", m.trafo_rows)):
        out[rows] = grid.branches.s_max_kva[grid.branches.table == table] / KW_PER_MW
    return out


def _parts(m: Model, edges: _Edges, source_node: np.ndarray) -> np.ndarray:
    """Return the feeder's node of each model node; -1: out of reach.

    Nodes joined by an edge without impedance that cannot be opened are one.
    """
    n = m.branches.n_node
    whole = connected_parts(n, edges.tail[edges.usable], edges.head[edges.usable])
    reached = np.isin(whole, whole[source_node])
    rigid = edges.usable & ~edges.openable & (edges.z_pu == 0) & (edges.y_half_pu == 0)
    joined = connected_parts(n, edges.tail[rigid], edges.head[rigid])
    label = np.full(n, -1)
    label[reached] = np.unique(joined[reached], return_inverse=True)[1]
    return label


def _power_pu(net: Any, m: Model, demand: Demand, state: State, label: np.ndarray) -> np.ndarray:
    """Return the power by kind and node as if everything in reach had voltage, pu, shape (3, N)."""
    sums = m.loads
    served = demand.cord_kw * np.where(state.unit_ok, state.served, 0.0)[demand.cord_unit] * demand.cord_ok
    p_w, q_var = sums.fixed_p_w.copy(), sums.fixed_q_var.copy()
    for table, to_p, to_q in (
        ("load", sums.of_load_p, sums.of_load_q),
        ("asymmetric_load", sums.of_asym, sums.of_asym),
    ):
        mine = demand.cord_table == table
        row = net[table].index.get_indexer(demand.cord_row[mine])
        p_kw = np.bincount(row, served[mine], len(net[table]))
        q_kvar = np.bincount(row, (served * demand.cord_tan_phi)[mine], len(net[table]))
        p_w += (p_kw @ to_p) * W_PER_KW
        q_var += (q_kvar @ to_q) * W_PER_KW
    out = np.zeros((3, int(label.max()) + 1), dtype=complex)
    to, kind = label[sums.bus], KIND[sums.kind]
    use = to >= 0
    np.add.at(out, (kind[use], to[use]), ((p_w + 1j * q_var) / BASE_VA)[use])
    return out


def _shunts(m: Model, label: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros(n, dtype=complex)
    if "shunt" not in m.tables:
        return out
    table = m.tables["shunt"]
    node = table["node"]
    y = (table["g1"] + 1j * table["b1"]) * m.vn_kv[node] ** 2 * table["status"]
    use = label[node] >= 0
    np.add.at(out, label[node][use], y[use])
    return out


def _refuse_fixed_loops(feeder: Feeder) -> None:
    fixed = np.flatnonzero(~feeder.openable)
    n = feeder.n
    tail = np.r_[feeder.tail[fixed], feeder.root[:-1]]
    head = np.r_[feeder.head[fixed], feeder.root[1:]]  # the sources as one node
    parts = int(connected_parts(n, tail, head).max()) + 1
    if len(tail) > n - parts:
        raise NotRadialError("branches without a switch form a loop or join two sources")


def units_of(feeder: Feeder, net: Any, demand: Demand, state: State) -> Units:
    """Return the units of a plain feeder's demand, each with its one cord."""
    at = np.full(demand.n, -1)
    p_kw, tan_phi = np.zeros(demand.n), np.zeros(demand.n)
    bus = np.array(
        [
            net.bus.index.get_loc(net[table].at[row, "bus"])
            for table, row in zip(demand.cord_table, demand.cord_row, strict=True)
        ],
        dtype=int,
    )
    at[demand.cord_unit] = feeder.node_of_bus[bus]
    p_kw[demand.cord_unit] = demand.cord_kw * state.served[demand.cord_unit]
    tan_phi[demand.cord_unit] = demand.cord_tan_phi
    return Units(at, p_kw * (1.0 + 1j * tan_phi) / KW_PER_MW, demand.priority, demand.sheddable)


def switches_of(feeder: Feeder, closed: np.ndarray, state: State) -> np.ndarray:
    """Return the switches (bool, shape (S,)) for a configuration: as few moves from ``state`` as it allows."""
    out = state.closed.copy()
    for e, shut in enumerate(closed):
        own = feeder.switches[e]
        if shut:
            out[own] = True
        elif out[own].all() and len(own):
            out[own[np.flatnonzero(~state.locked[own])[0]]] = False
    return out
