"""The network at harmonic orders: admittances with every source as an impedance, and the currents of all points.

Branches are those of `pdnopt.balancing.network` with ``r + j h x``: r does not grow with h (no skin effect, so that
resonances are damped too little rather than too much), capacitances count h times, transformers keep their vector groups
(the zero sequence of a triplen stays in a delta and is not seen beyond it). Sources have no harmonics of their own: a
utility is ``vn^2 / s_sc_max_mva`` with ``rx_max, x0x_max, r0x0_max``; the output of a UPS is ``r_out_percent + j h
x_out_percent`` of its rating in every sequence, and nothing passes through it. Loads are current sources; their
admittance, and the filters at their inputs, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csc_array, csr_array, vstack
from scipy.sparse.linalg import splu

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.network import TO_PHASES, PhaseNetwork, at_order
from pdnopt.errors import Issue
from pdnopt.plant.names import component_name, find_component
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["Orders", "Points", "check_sources", "read_orders", "read_points"]

IDEAL_MVA = 1e8
"""From here on a short-circuit power is none: what stands where the table has no number (`acflow.three_phase`)."""
BACK = np.linalg.inv(TO_PHASES)


@dataclass(frozen=True)
class Points:
    """P places at which the phase currents count: lines at their tail, both sides of transformers, UPS outputs, sources.

    Attributes
    ----------
    name : tuple of str
    node : int, shape (P,)
    base_ka, limit_ka : float, shape (P,)
        kA of 1 pu; rating (inf: none).
    isc_pu : float, shape (P,)
        Short-circuit current of three phases at the node.
    """

    name: tuple[str, ...]
    node: np.ndarray
    base_ka: np.ndarray
    limit_ka: np.ndarray
    isc_pu: np.ndarray


@dataclass(frozen=True)
class Orders:
    """H orders: admittances (3N, 3N) with sources, and phase currents of the points (3P, 3N), each pu."""

    order: np.ndarray
    y: tuple[csr_array, ...]
    current: tuple[csr_array, ...]


def _fed(net: Any, network: PhaseNetwork) -> np.ndarray:
    """Return the rows of net.ext_grid that are on, at a node."""
    m = network.model
    bus = network.node[m.source_bus]
    return np.flatnonzero(m.source_on & (bus >= 0))


def _impedances(net: Any, network: PhaseNetwork, order: float) -> np.ndarray:
    """Return z1 and z0 of every source that is on, pu, shape (S, 2)."""
    m, out = network.model, []
    of_ups = {int(row): u for u, row in enumerate(m.ups.source)}
    for k in _fed(net, network):
        if k in of_ups:
            u = of_ups[int(k)]
            base = S_BASE_KW * 3.0 / m.ups.s_rated_kva[u]
            r, x = (values(net, "ups", f"{part}_out_percent")[u] / 100.0 for part in "rx")
            out.append([base * complex(r, order * x)] * 2)
            continue
        row = net.ext_grid.iloc[k]
        size = 3.0 * S_BASE_KW / (row["s_sc_max_mva"] * KW_PER_MW)
        x1 = size / np.hypot(row["rx_max"], 1.0)
        x0 = row["x0x_max"] * x1
        out.append([complex(row["rx_max"] * x1, order * x1), complex(row["r0x0_max"] * x0, order * x0)])
    return np.array(out, dtype=complex).reshape(-1, 2)


def check_sources(net: Any, network: PhaseNetwork, islands: np.ndarray) -> list[Issue]:
    """Return the sources without an impedance in islands with harmonics: an ideal source would hide them."""
    issues = []
    companions = set(network.model.ups.source.tolist())
    for k in _fed(net, network):
        at = network.island[network.node[network.model.source_bus[k]]]
        if int(k) in companions:
            u = int(np.flatnonzero(network.model.ups.source == k)[0])
            got = [values(net, "ups", f"{part}_out_percent")[u] for part in "rx"]
            who, path, allowed = "ups", "net.ups.x_out_percent", "more than 0 %"
            bad, found, index = max(got) <= 0, got[1], int(net.ups.index[u])
        else:
            found = float(net.ext_grid["s_sc_max_mva"].iloc[k])
            who, path, allowed = "ext_grid", "net.ext_grid.s_sc_max_mva", f"below {IDEAL_MVA:g} MVA"
            bad, index = not 0 < found < IDEAL_MVA, int(net.ext_grid.index[k])
        if bad and at in islands:
            todo = "Give the source's impedance: without one no voltage is distorted."
            issues.append(
                Issue("MissingImpedance", path, component_name(net, who, index), found, allowed, todo)
            )
    return issues


def _with_sources(
    net: Any, network: PhaseNetwork, y: csr_array, order: float
) -> tuple[csr_array, np.ndarray]:
    """Return the admittances with those of sources, and the latter by phase, (S, 3, 3)."""
    z = _impedances(net, network, order)
    own = np.einsum("ps,ks,sq->kpq", TO_PHASES, 1.0 / z[:, [1, 0, 0]], BACK)
    node = network.node[network.model.source_bus[_fed(net, network)]]
    at = 3 * node[:, None] + np.arange(3)
    rows, columns = np.repeat(at, 3, axis=1).ravel(), np.tile(at, (1, 3)).ravel()
    extra = coo_array((own.ravel(), (rows, columns)), shape=y.shape)
    return csr_array(y + extra), own


def read_points(net: Any, network: PhaseNetwork) -> Points:
    """Return the places at which currents count."""
    feeders, m = network.feeders, network.model
    at = pd.Index(net.bus.index)
    node = feeders.node.copy()
    for n, name in enumerate(feeders.name):
        if node[n] < 0:
            plain, hv = name.removesuffix(" hv"), name.endswith(" hv")
            table, index = find_component(net, plain)
            side = "from_bus" if table == "line" else ("hv_bus" if hv else "lv_bus")
            node[n] = network.node[at.get_loc(net[table].at[index, side])]
    more = _plain_sources(net, network)
    sources = network.node[m.source_bus[more]]
    kv = network.vn_kv[sources]
    node = np.r_[node, sources]
    y, _ = _with_sources(net, network, at_order(net, network, 1.0)[0], 1.0)
    return Points(
        name=(*feeders.name, *(component_name(net, "ext_grid", int(net.ext_grid.index[k])) for k in more)),
        node=node,
        base_ka=np.r_[feeders.base_ka, S_BASE_KW / (kv / SQRT3 * 1e3)],
        limit_ka=np.r_[feeders.limit_ka, np.full(len(more), np.inf)],
        isc_pu=_short_circuit(y, node),
    )


def _plain_sources(net: Any, network: PhaseNetwork) -> np.ndarray:
    """Return the rows of net.ext_grid that are on and stand for no UPS."""
    fed = _fed(net, network)
    return fed[~np.isin(fed, network.model.ups.source)]


def _short_circuit(y: csr_array, node: np.ndarray) -> np.ndarray:
    """Return the positive-sequence short-circuit current at some nodes, pu."""
    which, back = np.unique(node, return_inverse=True)
    if not len(which):
        return np.zeros(0)
    lu = splu(csc_array(y))
    out = np.empty(len(which))
    for k, n in enumerate(which):
        inject = np.zeros(y.shape[0], dtype=complex)
        inject[3 * n : 3 * n + 3] = TO_PHASES[:, 1]
        out[k] = 1.0 / abs((BACK @ lu.solve(inject)[3 * n : 3 * n + 3])[1])
    return out[back]


def read_orders(net: Any, network: PhaseNetwork, order: np.ndarray) -> Orders:
    """Return the network at some orders."""
    m = network.model
    fed, more = _fed(net, network), _plain_sources(net, network)
    place = {int(k): n for n, k in enumerate(fed)}
    of_ups = {component_name(net, "ups", int(net.ups.index[u])): int(m.ups.source[u]) for u in range(m.ups.n)}
    admittances, currents = [], []
    for h in order:
        bare, feeders = at_order(net, network, float(h))
        y, own = _with_sources(net, network, bare, float(h))
        held = feeders.tolil()
        for n, node in enumerate(network.feeders.node):  # of a UPS: what its own impedance carries
            if node >= 0:
                held[3 * n : 3 * n + 3] = 0.0
                source = of_ups[network.feeders.name[n]]
                held[3 * n : 3 * n + 3, 3 * node : 3 * node + 3] = -own[place[source]]
        extra = csr_array((3 * len(more), y.shape[0]), dtype=complex).tolil()
        for n, k in enumerate(more):
            node = network.node[m.source_bus[k]]
            extra[3 * n : 3 * n + 3, 3 * node : 3 * node + 3] = -own[place[int(k)]]
        admittances.append(y)
        currents.append(csr_array(vstack([held.tocsr(), extra.tocsr()])))
    return Orders(np.asarray(order), tuple(admittances), tuple(currents))
