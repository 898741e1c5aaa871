"""Connected parts of a graph given as arrays of edges."""

from __future__ import annotations

import numpy as np

__all__ = ["connected_parts"]

SMALL = 1000
"""Up to so many nodes, spreading labels takes a third of the time of building a sparse matrix; far beyond, twice."""


def connected_parts(n: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Return the connected part of each of ``n`` nodes under the edges given, shape (n,).

    Parts are numbered 0, 1, ... in the order of their first nodes.
    """
    if not n:
        return np.zeros(0, dtype=int)
    if n <= SMALL:
        return _spread(n, np.asarray(tail, dtype=int), np.asarray(head, dtype=int))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=int)


def _spread(n: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Let every part take the number of its first node: hook the larger of two labels to the smaller, then jump."""
    label = np.arange(n)
    while True:
        a, b = label[tail], label[head]
        if np.array_equal(a, b):
            break
        least = np.minimum(a, b)
        np.minimum.at(label, a, least)
        np.minimum.at(label, b, least)
        while not np.array_equal(further := label[label], label):
            label = further
    first = label == np.arange(n)
    return np.asarray((np.cumsum(first) - 1)[label], dtype=int)
