"""The tree under the sources: who hangs behind whom, and what lies behind a feeder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order

from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.balancing.points import Area

__all__ = ["Tree", "read_tree"]


@dataclass(frozen=True)
class Tree:
    """N nodes of the network; those that no inverter's source reaches have no parent and depth -1.

    Attributes
    ----------
    parent, depth : int, shape (N,)
        Of a source: -1 and 0. ``parent`` is the next node that is kept in the area, not one between two lines.
    order : int
        Nodes that are reached and kept, sources first, parents before children.
    edges : int, shape (E, 2)
        Nodes joined by branches, each pair once, of the whole network.
    below : int, shape (F,)
        Of each feeder of the area: the node behind it; -1 for a source's own.
    entry : bool, shape (F,)
        Whether the feeder is the way by which that node is reached (not one that closes a loop).
    behind : int, shape (N,)
        Inverters at a node and behind it.
    """

    parent: np.ndarray
    depth: np.ndarray
    order: np.ndarray
    edges: np.ndarray
    below: np.ndarray
    entry: np.ndarray
    behind: np.ndarray


def read_tree(network: PhaseNetwork, area: Area, inverters: Inverters) -> Tree:
    """Read who hangs behind whom; of a mesh, the ways with the fewest branches."""
    n = network.n
    entries = coo_array(network.y)
    pairs = np.unique(np.column_stack([entries.row // 3, entries.col // 3]), axis=0)
    edges = pairs[pairs[:, 0] < pairs[:, 1]]
    sources = np.flatnonzero(network.slack[::3])
    roots = np.column_stack([np.full(len(sources), n), sources])
    both = np.concatenate([edges, edges[:, ::-1], roots])
    graph = csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n + 1, n + 1))
    order, before = breadth_first_order(graph, n, directed=True)
    order, raw = order[1:], np.asarray(before[:n], dtype=int)
    raw[sources] = -1
    kept = network.slack[::3].copy()
    kept[area.nodes] = True
    parent, depth = np.full(n, -1), np.full(n, -1)
    up = np.arange(n)  # the nearest kept node on the way up, the node itself included
    down = np.arange(n)  # the kept node behind one that is only on the way
    for node in order:
        above = raw[node]
        depth[node] = 0 if above < 0 else depth[above] + 1
        if above >= 0:
            parent[node] = up[above]
            up[node] = node if kept[node] else up[above]
    for node in order[::-1]:
        if not kept[node] and raw[node] >= 0:
            children = np.flatnonzero(raw == node)
            down[node] = down[children[0]] if len(children) else node
    order = order[kept[order] & np.isin(network.island[order], network.island[area.nodes])]
    behind = np.bincount(inverters.rows[::3] // 3, minlength=n)
    for node in order[::-1]:
        if parent[node] >= 0:
            behind[parent[node]] += behind[node]
    below, entry = _below(network, area, depth, raw, down)
    return Tree(parent, depth, order, edges, below, entry, behind)


def _below(
    network: PhaseNetwork, area: Area, depth: np.ndarray, raw: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the deeper end of every feeder of the area, and whether it is reached by it."""
    entries = coo_array(network.feeders.matrix)
    pairs = np.unique(np.column_stack([entries.row // 3, entries.col // 3]), axis=0)
    order = np.lexsort((-depth[pairs[:, 1]], pairs[:, 0]))
    pairs = pairs[order]
    first = np.flatnonzero(np.r_[True, np.diff(pairs[:, 0]) > 0][: len(pairs)])
    deep, other = np.full(len(network.feeders.name), -1), np.full(len(network.feeders.name), -1)
    deep[pairs[first, 0]] = pairs[first, 1]
    other[pairs[first, 0]] = pairs[np.minimum(first + 1, len(pairs) - 1), 1]
    entry = raw[deep] == other
    own = network.feeders.node[area.feeders] >= 0
    return np.where(own, -1, down[deep[area.feeders]]), entry[area.feeders] & ~own
