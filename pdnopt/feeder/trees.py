"""Configurations of a feeder as trees in depth-first order: a subtree is a run of positions.

In that order what flows into a subtree is a difference of two partial sums, so an AC sweep needs no loop over levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.feeder.network import Feeder

__all__ = ["Tree", "grow", "spanning", "spans"]


@dataclass(frozen=True)
class Tree:
    """One radial configuration that reaches every node, arrays by position in depth-first order.

    Attributes
    ----------
    closed : bool, shape (E,)
    node : int, shape (N,)
        Node at each position; ``at`` is the position of each node.
    parent : int, shape (N,)
        Position of the node above; -1 for a source.
    edge : int, shape (N,)
        Edge to the node above; -1 for a source.
    last : int, shape (N,)
        First position behind the subtree.
    """

    closed: np.ndarray
    node: np.ndarray
    at: np.ndarray
    parent: np.ndarray
    edge: np.ndarray
    last: np.ndarray


def grow(feeder: Feeder, closed: np.ndarray) -> Tree | None:
    """Return the tree that closed edges (bool, shape (E,)) form; None where they form a loop or leave a node dark."""
    n = feeder.n
    if int(closed.sum()) != n - len(feeder.root):
        return None
    shut = closed.tolist()
    around = feeder.neighbours
    at: list[int] = [-1] * n
    node: list[int] = []
    parent: list[int] = []
    edge: list[int] = []
    for root in feeder.root.tolist():
        stack = [(root, -1, -1)]
        while stack:
            here, above, by = stack.pop()
            if at[here] >= 0:
                return None
            position = len(node)
            at[here] = position
            node.append(here)
            parent.append(above)
            edge.append(by)
            stack.extend((there, position, e) for e, there in around[here] if shut[e] and e != by)
    if len(node) != n:
        return None
    size = [1] * n
    for k in range(n - 1, -1, -1):
        if parent[k] >= 0:
            size[parent[k]] += size[k]
    return Tree(
        closed=closed.copy(),
        node=np.array(node),
        at=np.array(at),
        parent=np.array(parent),
        edge=np.array(edge),
        last=np.arange(n) + np.array(size),
    )


def spanning(feeder: Feeder, rank: np.ndarray) -> np.ndarray:
    """Return the closed edges of the spanning forest that takes edges in the order of ``rank``, lowest first.

    Edges that cannot be opened come before all others. Two sources are never joined.
    """
    parent = list(range(feeder.n))
    first = int(feeder.root[0])
    for root in feeder.root.tolist():
        parent[root] = first

    def top(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    closed = np.zeros(feeder.m, dtype=bool)
    for e in np.lexsort((rank, feeder.openable)):
        if feeder.closable[e]:
            a, b = top(int(feeder.tail[e])), top(int(feeder.head[e]))
            if a != b:
                parent[a] = b
                closed[e] = True
    return closed


def spans(feeder: Feeder, closed: np.ndarray) -> np.ndarray:
    """Return a spanning forest that keeps the closed edges, as far as they form no loop."""
    return spanning(feeder, np.where(closed, 0.0, 1.0))
