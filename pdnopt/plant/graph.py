"""Connected parts of a graph given as arrays of edges."""

from __future__ import annotations

import numpy as np

__all__ = ["connected_parts"]


def connected_parts(n: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Return the connected part (0, 1, ...) of each of ``n`` nodes under the edges given, shape (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not n:
        return np.zeros(0, dtype=int)
    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=int)
