"""How unevenly single-phase loads use the phases of each UPS: what a symmetric power flow cannot say.

A symmetric flow spreads every load over three phases. The loading of a UPS is also that of its worst phase (PLANT.md),
so the engine gives, beside the flow, the ratio of three times the largest phase to the sum of the phases of all load
in the part of the plant that a UPS feeds. Losses are taken to be spread as the load is.
"""

from __future__ import annotations

import numpy as np

from pdnopt.acflow.model import Model
from pdnopt.plant.graph import connected_parts

__all__ = ["phase_factor"]


def phase_factor(
    m: Model,
    live: np.ndarray,
    closed: np.ndarray,
    ends: np.ndarray,
    total_kva: np.ndarray,
    asymmetric_kva: np.ndarray,
) -> np.ndarray:
    """Return three times the largest phase over the sum of the phases, by UPS (1 = balanced), shape (n, U).

    Parameters
    ----------
    live : bool, shape (n, nodes)
    closed : bool, shape (n, switches)
    ends : int or bool, shape (n, branches, 2)
        Whether each end of a branch is connected.
    total_kva : complex, shape (n, L)
        Summed loads, P + jQ.
    asymmetric_kva : complex, shape (n or 1, n_asym, 3)
        The rows of net.asymmetric_load, by phase; they are part of the summed loads.
    """
    n, n_node = live.shape
    rows = np.arange(n)[:, None] * n_node
    edges = []
    for on, tail, head in (
        (ends.all(axis=2), m.branches.tail, m.branches.head),
        (closed[:, m.link], m.link_tail, m.link_head),
    ):
        on = on & live[:, tail] & live[:, head]
        edges.append(((rows + tail)[on], (rows + head)[on]))
    tail, head = (np.concatenate([edge[k] for edge in edges]) for k in (0, 1))
    part = connected_parts(n * n_node, tail, head).reshape(n, n_node)
    of_load = m.loads.of_asym.T
    by_phase_kva = np.stack([np.asarray(of_load @ asymmetric_kva[:, :, k].T).T for k in range(3)], axis=2)
    single = by_phase_kva.sum(axis=2, keepdims=True)
    phases = by_phase_kva + (total_kva[:, :, None] - single) / 3.0
    sums = np.zeros((int(part.max(initial=-1)) + 1, 3), dtype=complex)
    np.add.at(sums, part[:, m.loads.bus], phases * live[:, m.loads.bus, None])
    of_ups = sums[part[:, m.source_bus[m.ups.source]]]
    whole = np.abs(of_ups.sum(axis=2))
    worst = 3.0 * np.abs(of_ups).max(axis=2, initial=0.0)
    return np.asarray(np.where(whole > 0, worst / np.where(whole > 0, whole, 1.0), 1.0))
