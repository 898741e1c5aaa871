"""Least voltage unbalance by a second-order-cone model with true circles (Clarabel): nothing of the LPs is in it.

The network is linear at a flow: what a current at a bus makes of the negative-sequence voltages is solved for here, from the
admittance matrix.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import cvxpy as cp
import numpy as np

from pdnopt.balancing.flow import PhaseFlow, read_injections
from pdnopt.balancing.network import read_phase_network

__all__ = ["least_unbalance_percent"]

A = np.exp(2j * np.pi / 3)


def least_unbalance_percent(
    net: Any,
    buses: list[int],
    total_kva: float | None = None,
    each_kva: np.ndarray | None = None,
    at_kva: np.ndarray | None = None,
    loss: float = 0.03,
) -> float:
    """Return the least |V2| / |V1| at the worst bus, percent.

    Either ratings are free with all phases together at most ``total_kva``, or those of a phase are ``each_kva``. The network
    is linear at the flow with ``at_kva``, complex, (len(buses), 3).
    """
    network = read_phase_network(deepcopy(net))
    told = read_injections(net, network, np.zeros(0, dtype=int))
    node = network.node[net.bus.index.get_indexer(buses)]
    rows = (3 * node[:, None] + np.arange(3)).ravel()
    now = np.zeros(len(rows), dtype=complex) if at_kva is None else np.asarray(at_kva).ravel()
    v = PhaseFlow(network).solve(told, rows, now).v
    free = np.flatnonzero(~network.slack)
    enters = np.zeros((3 * network.n, len(rows)))
    enters[rows, np.arange(len(rows))] = 1.0
    dv = np.zeros((3 * network.n, len(rows)), dtype=complex)
    dv[free] = np.linalg.solve(network.y.toarray()[np.ix_(free, free)], enters[free])
    negative, positive = np.array([1, A**2, A]) / 3.0, np.array([1, A, A**2]) / 3.0
    one = np.abs(v.reshape(-1, 3) @ positive)
    two = v.reshape(-1, 3) @ negative
    effect = np.einsum("k,nki->ni", negative, dv.reshape(network.n, 3, -1))
    seen = np.flatnonzero(~network.slack[::3])
    scale = 100.0 if each_kva is None else float(np.max(each_kva))  # kVA near 1
    p, q, size = (cp.Variable((len(buses), 3)) for _ in range(3))
    s = cp.reshape(p - 1j * q, (len(rows),), order="C")
    change = cp.multiply(1.0 / np.conj(v[rows]) / 100.0, scale * s - np.conj(now))  # pu of 100 kVA
    w = cp.multiply(100.0 / one[seen], two[seen] + effect[seen] @ change)
    worst = cp.Variable()
    limits: list[Any] = [cp.abs(w) <= worst, cp.abs(p + 1j * q) <= size, cp.sum(p + loss * size, axis=1) == 0]
    if each_kva is not None:
        limits.append(size <= np.asarray(each_kva)[:, None] / scale)
    else:
        rating = cp.Variable(len(buses))
        limits += [size <= rating[:, None], 3.0 * scale * cp.sum(rating) <= total_kva]
    return float(cp.Problem(cp.Minimize(worst), limits).solve(solver=cp.CLARABEL))
