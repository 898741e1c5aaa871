"""From a solved flow to the numbers of the programme, and to what people read: loadings, unbalance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.linalg import splu

from pdnopt.balancing.data import INSCRIBED, S_BASE_KW, Point, Structure
from pdnopt.balancing.flow import Injections, PhaseFlow
from pdnopt.balancing.inverters import Bounds, Inverters
from pdnopt.balancing.network import TO_PHASES, PhaseNetwork
from pdnopt.balancing.reach import reach_of, without_rounding
from pdnopt.plant.graph import connected_parts

__all__ = ["Area", "Sight", "look", "point_of", "read_area"]

SMALL = 1e-9
WITHIN = 1e-5
"""Part of a rating that is left free: a current is a tangent at the point, and the flow a hair above it."""
NEGATIVE = np.linalg.inv(TO_PHASES)[2]


@dataclass(frozen=True)
class Area:
    """The part of the network that inverters can change: islands with at least one.

    Nodes between two lines at which nothing hangs are no variables: eliminated (Kron), which is exact. Along a chain of such
    lines the current is one (their charging aside), and |V2| is convex, so that its largest is at an end.

    Attributes
    ----------
    rows : int, shape (V,)
        Rows of the network that are variables.
    nodes : int, shape (B,)
        Nodes whose unbalance counts.
    feeders : int, shape (F,)
        One of each chain, that with the lowest rating.
    r_pu : float, shape (F,)
        Resistance of the whole chain.
    shown : int
        All feeders that people want to see; ``shown_scale``: what their spread is a part of, pu.
    structure : Structure
    """

    rows: np.ndarray
    nodes: np.ndarray
    feeders: np.ndarray
    r_pu: np.ndarray
    shown: np.ndarray
    shown_scale: np.ndarray
    structure: Structure


@dataclass(frozen=True)
class Sight:
    """What a flow looks like: phase currents (pu, 3F), their neutral sums, unbalance by node (|V2| / |V1|)."""

    v: np.ndarray
    current: np.ndarray
    neutral: np.ndarray
    unbalance: np.ndarray


def read_area(net: Any, network: PhaseNetwork, inverters: Inverters, start: Sight) -> Area:
    """Return the area; ``start`` gives a scale to feeders without a rating."""
    mine = np.isin(network.island, network.island[inverters.rows // 3])
    through = _through(net, network) & mine
    slack = network.slack[::3]
    nodes = np.flatnonzero(mine & ~slack & ~through)
    rows, gone = _rows(nodes), _rows(np.flatnonzero(through))
    limit = (1.0 - WITHIN) * network.feeders.limit_ka / network.feeders.base_ka
    mean = np.abs(start.current).reshape(-1, 3).mean(axis=1)
    scale = np.where(np.isfinite(limit), limit, np.maximum(mean, SMALL))
    pattern = _feeder_nodes(network)
    used = np.zeros(len(limit), dtype=bool)
    used[pattern[mine[pattern[:, 1]], 0]] = True
    used &= mean > SMALL
    feeders, r_pu = _chains(network, pattern, through, used, limit)
    own = _rows(feeders)
    y = network.y.tocsr()
    current = network.feeders.matrix.tocsr()[own]
    matrix, currents = y[rows][:, rows], current[:, rows]
    if len(gone):
        back = -splu(csc_array(y[gone][:, gone])).solve(y[gone][:, rows].toarray())
        matrix, currents = (
            matrix + without_rounding(csr_array(y[rows][:, gone] @ back)),
            currents + without_rounding(csr_array(current[:, gone] @ back)),
        )
    low, high = _voltage_limits(net, network)
    two = np.tile(NEGATIVE, len(nodes))
    at = np.repeat(np.arange(len(nodes)), 3)
    negative = csr_array((two, (at, np.arange(len(rows)))), shape=(len(nodes), len(rows)))
    place = np.full(3 * network.n, -1)
    place[rows] = np.arange(len(rows))
    hangs = np.flatnonzero(place[inverters.rows] >= 0)
    k = len(inverters.rows)
    shown = np.flatnonzero(used & network.feeders.spread)
    matrix, currents = csr_array(matrix), csr_array(currents)
    enters = csr_array((np.ones(len(hangs)), (place[inverters.rows[hangs]], hangs)), shape=(len(rows), k))
    at_source = _at_source(network, inverters)[own]
    structure = Structure(
        y=matrix,
        enters=enters,
        at_source=at_source,
        current=currents,
        reach=reach_of(matrix, enters, currents, at_source, negative),
        two=negative,
        limit=limit[feeders],
        scale=scale[feeders],
        counts=network.feeders.spread[feeders],
        v_min=low[rows],
        v_max=high[rows],
        loss=inverters.loss,
    )
    return Area(rows, nodes, feeders, r_pu, shown, scale[shown], structure)


def _rows(nodes: np.ndarray) -> np.ndarray:
    """Return the rows of nodes (or of feeders)."""
    return np.asarray((3 * nodes[:, None] + np.arange(3)).ravel())


def _feeder_nodes(network: PhaseNetwork) -> np.ndarray:
    """Return the pairs (feeder, node) of which the currents are made, (pairs, 2)."""
    entries = coo_array(network.feeders.matrix)
    return np.unique(np.column_stack([entries.row // 3, entries.col // 3]), axis=0)


def _through(net: Any, network: PhaseNetwork) -> np.ndarray:
    """Return the nodes at which nothing hangs and which exactly two lines join, (N,)."""
    out = ~network.slack[::3].copy()
    at = pd.Index(net.bus.index)
    for table in ("load", "sgen", "storage", "asymmetric_load", "asymmetric_sgen", "ext_grid"):
        node = network.node[at.get_indexer(net[table]["bus"].to_numpy(int))]
        out[node[node >= 0]] = False
    pairs = _feeder_nodes(network)
    line = np.array([name.startswith("line:") for name in network.feeders.name], dtype=bool)
    joins = np.bincount(pairs[line[pairs[:, 0]], 1], minlength=network.n)
    entries = coo_array(network.y)
    beside = np.unique(np.column_stack([entries.row // 3, entries.col // 3]), axis=0)
    near = np.bincount(beside[beside[:, 0] != beside[:, 1], 0], minlength=network.n)
    return np.asarray(out & (joins == 2) & (near == 2))


def _chains(
    network: PhaseNetwork, pairs: np.ndarray, through: np.ndarray, used: np.ndarray, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the feeder of lowest rating of every chain, and the resistance of the chain."""
    at = pairs[through[pairs[:, 1]]]
    at = at[np.argsort(at[:, 1], kind="stable")]
    group = connected_parts(len(limit), at[::2, 0], at[1::2, 0])
    order = np.lexsort((np.arange(len(limit)), limit, group))
    order = order[used[order]]
    _, first = np.unique(group[order], return_index=True)
    feeders = np.sort(order[first])
    total = np.bincount(group, weights=network.feeders.r_pu, minlength=len(limit))
    return feeders, total[group[feeders]]


def _voltage_limits(net: Any, network: PhaseNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Return the narrowest limits of the buses of every node, by row of the network (pu; infinite: none)."""
    low, high = np.full(network.n, -np.inf), np.full(network.n, np.inf)
    live = network.node >= 0
    for column, narrow, out in (("min_vm_pu", np.fmax, low), ("max_vm_pu", np.fmin, high)):
        if column in net.bus:
            narrow.at(out, network.node[live], net.bus[column].to_numpy(float)[live])
    return np.repeat(low, 3), np.repeat(high, 3)


def _at_source(network: PhaseNetwork, inverters: Inverters) -> csr_array:
    """Return 1 where an inverter stands on the very bus of a UPS's output: its current leaves the UPS's."""
    f, k = len(network.feeders.name), len(inverters.rows)
    where = {name: n for n, name in enumerate(network.feeders.name)}
    at, to = [], []
    for name, n in where.items():
        if name.startswith("ups:"):
            for column in np.flatnonzero(network.slack[inverters.rows]):
                if inverters.rows[column] // 3 == network.feeders.node[n]:
                    at.append(3 * n + int(inverters.rows[column]) % 3)
                    to.append(int(column))
    return csr_array((np.ones(len(at), dtype=complex), (at, to)), shape=(3 * f, k))


def look(flow: PhaseFlow, told: Injections, inverters: Inverters, v: np.ndarray, s_kva: np.ndarray) -> Sight:
    """Return currents and unbalance of a solved flow."""
    network = flow.network
    feeders = network.feeders
    current = np.asarray(feeders.matrix @ v)
    out = flow.drawn(told, v)
    np.subtract.at(out, inverters.rows, np.conj(s_kva / S_BASE_KW / v[inverters.rows]))
    for n, node in enumerate(feeders.node):
        if node >= 0:
            current[3 * n : 3 * n + 3] += out[3 * node : 3 * node + 3]
    sequence = v.reshape(-1, 3) @ np.linalg.inv(TO_PHASES).T
    unbalance = np.abs(sequence[:, 2]) / np.maximum(np.abs(sequence[:, 1]), SMALL)
    return Sight(v, current, current.reshape(-1, 3).sum(axis=1), unbalance)


def point_of(area: Area, inverters: Inverters, bounds: Bounds, sight: Sight, s_kva: np.ndarray) -> Point:
    """Return the numbers of the programme at a flow with set-points ``s_kva``."""
    own = _rows(area.feeders)
    current = sight.current[own]
    size, turn = _polar(current)
    at = sight.v[inverters.rows]
    g = 1.0 / np.conj(at)
    j = np.conj(s_kva / S_BASE_KW / at)
    counted = area.feeders[area.structure.counts]
    v = sight.v[area.rows]
    one = np.abs(sight.v.reshape(-1, 3) @ np.linalg.inv(TO_PHASES)[1])[area.nodes]
    two, two_turn = _polar((sight.v.reshape(-1, 3) @ NEGATIVE)[area.nodes] / one)
    neutral, neutral_turn = _polar(sight.neutral[counted])
    r = np.repeat(area.r_pu, 3)
    big = np.abs(s_kva)
    way = np.where(big > SMALL, s_kva / np.maximum(big, SMALL), 0.0)
    lost = np.repeat(inverters.loss, 3)
    return Point(
        g_re=g.real, g_im=g.imag, j_re=j.real, j_im=j.imag,
        turn_re=turn.real, turn_im=turn.imag, amps=size, weight=2.0 * r * size,
        neutral=neutral, neutral_turn_re=neutral_turn.real, neutral_turn_im=neutral_turn.imag,
        two=two, two_turn_re=two_turn.real / one, two_turn_im=two_turn.imag / one,
        volt_re=(v / np.abs(v)).real, volt_im=(v / np.abs(v)).imag, volts=np.abs(v),
        loss_p=lost * way.real, loss_q=lost * way.imag,
        p_low=bounds.p_low / S_BASE_KW, p_high=bounds.p_high / S_BASE_KW,
        q_low=bounds.q_low / S_BASE_KW, q_high=bounds.q_high / S_BASE_KW,
        s_high=np.repeat(np.where(bounds.told, INSCRIBED, 1.0) * inverters.s_max_kva, 3) / S_BASE_KW,
        b_low=np.maximum(bounds.b_low / S_BASE_KW, -1e3), b_high=np.minimum(bounds.b_high / S_BASE_KW, 1e3),
    )  # fmt: skip


def _polar(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes and unit phasors (1 where there is nothing)."""
    size = np.abs(z)
    return size, np.where(size > SMALL, z / np.maximum(size, SMALL), 1.0 + 0j)
