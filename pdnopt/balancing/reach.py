"""What inverters reach: how a change of their currents changes voltages and currents, worked out once for a network.

Loads are held as currents (see `flow`), so that a current in a tree changes by what lies behind it and by nothing else: the
matrix of currents is sparse. That of voltages is full inside every part of the network that no source separates from others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.sparse.linalg import splu

__all__ = ["Reach", "reach_of", "without_rounding"]

ROUNDING = 1e-12
"""Part of the largest sensitivity below which one is rounding."""


@dataclass(frozen=True)
class Reach:
    """Sparse and complex, pu for pu.

    Attributes
    ----------
    voltage : shape (V, 3I)
    current : shape (3F, 3I)
        Of feeders.
    before : shape (B, B)
        1 at the bus through which each is reached from the source: the unbalance of a bus is that of the one before it ...
    beyond : shape (B, 3I)
        ... and what the way between them adds: of inverters behind it only.
    """

    voltage: csr_array
    current: csr_array
    before: csr_array
    beyond: csr_array


def reach_of(
    y: csr_array, enters: csr_array, current: csr_array, at_source: csr_array, two: csr_array
) -> Reach:
    """Return inv(y) enters and current inv(y) enters - at_source, part by part: nothing is full that need not be."""
    n, k = enters.shape
    part = connected_components(abs(y), directed=False)[1] if n else np.zeros(0, dtype=int)
    order = np.argsort(part, kind="stable")
    enters = enters.tocsr()
    at, to, data = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)], [np.zeros(0, dtype=complex)]
    for rows in np.split(order, np.flatnonzero(np.diff(part[order])) + 1) if n else []:
        own = enters[rows]
        columns = np.unique(own.indices)
        full = splu(csc_array(y[rows][:, rows])).solve(own[:, columns].toarray().astype(complex))
        size = np.abs(full)
        there = np.nonzero(size > ROUNDING * size.max(initial=0.0))
        at.append(rows[there[0]])
        to.append(columns[there[1]])
        data.append(full[there])
    where = (np.concatenate(at), np.concatenate(to))
    voltage = csr_array((np.concatenate(data), where), shape=(n, k))
    whole = csr_array(two @ voltage)
    before = _before(y, two, whole)
    beyond = without_rounding(csr_array(whole - before @ whole))
    return Reach(voltage, without_rounding(csr_array(current @ voltage - at_source)), before, beyond)


def _before(y: csr_array, two: csr_array, whole: csr_array) -> csr_array:
    """Return the tree in which every bus is reached from the one whose unbalance is changed least."""
    pick = (abs(two) > 0).astype(float)
    near = csr_array(pick @ abs(y) @ pick.T)
    size = np.asarray(abs(whole).sum(axis=1)).ravel()
    part = connected_components(near, directed=False)[1]
    order = np.lexsort((size, part))
    roots = order[np.r_[True, np.diff(part[order]) > 0][: len(order)]]
    pairs = [breadth_first_order(near, root, directed=False)[1] for root in roots]
    parent = np.full(len(size), -1)
    for found in pairs:
        parent = np.where(found >= 0, found, parent)
    has = np.flatnonzero(parent >= 0)
    return csr_array((np.ones(len(has)), (has, parent[has])), shape=near.shape)


def without_rounding(matrix: csr_array) -> csr_array:
    """Return a matrix without what is only rounding."""
    size = np.abs(matrix.data)
    out = matrix.copy()
    out.data[size <= ROUNDING * size.max(initial=0.0)] = 0.0
    out.eliminate_zeros()
    return out
