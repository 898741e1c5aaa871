"""Parts of a feeder that hang on one edge whatever is switched: what they take and lose at least, once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.feeder.exchange import loop_of
from pdnopt.feeder.network import Feeder
from pdnopt.feeder.trees import Tree

__all__ = ["Twigs", "edges_on_loops", "find_twigs", "prune"]


@dataclass(frozen=True)
class Twigs:
    """What is left out of the relaxation, pu.

    Attributes
    ----------
    node : bool, shape (N,)
        Nodes left out, with the edge above each.
    s_pu : complex, shape (N,)
        Constant power of every node, that of twigs (with the least they lose) added where they hang.
    more_pu : complex, shape (N,)
        How much more than ``s_pu`` the twigs that hang on a node may take.
    loss_pu : float
        The least that all twigs lose.
    """

    node: np.ndarray
    s_pu: np.ndarray
    more_pu: np.ndarray
    loss_pu: float


def edges_on_loops(feeder: Feeder, tree: Tree) -> np.ndarray:
    """Return which edges lie on a loop of edges that may be closed, sources taken as one node; bool, shape (E,)."""
    on_loop: np.ndarray = ~tree.closed & feeder.closable
    above = tree.parent.tolist()
    for e in np.flatnonzero(on_loop):
        for path in loop_of(above, int(tree.at[feeder.tail[e]]), int(tree.at[feeder.head[e]])):
            edges = tree.edge[path]
            on_loop[edges[edges >= 0]] = True
    return on_loop


def find_twigs(feeder: Feeder, tree: Tree, on_loop: np.ndarray) -> np.ndarray:
    """Return the nodes of twigs: subtrees that touch no loop, shunt or transformer off nominal ratio; bool, shape (N,)."""
    rigid = on_loop | (feeder.y_half_pu != 0) | (feeder.ratio != 1.0)
    touched = (feeder.y_pu != 0) | (feeder.s_pu[1:] != 0).any(axis=0)
    touched[feeder.tail[rigid]] = touched[feeder.head[rigid]] = True
    touched[feeder.root] = True
    count = np.r_[0, np.cumsum(touched[tree.node])]
    return np.asarray((count[tree.last] == count[:-1])[tree.at])


def prune(
    feeder: Feeder,
    tree: Tree,
    twig_node: np.ndarray,
    v_low_sq: np.ndarray,
    v_high_sq: np.ndarray,
    loss_pu_max: float,
) -> Twigs:
    """Return what twigs take and lose.

    From the leaves, P and Q out of each edge are known within an interval, and so is |i|^2 = (P^2 + Q^2) / V with V
    between the two voltages (squared, by node) given, and no edge loses more than ``loss_pu_max``; what the edge takes
    itself widens the interval of the next.
    """
    twig = twig_node[tree.node]
    low = feeder.s_pu[0][tree.node].copy()
    high = low.copy()
    loss_pu = 0.0
    for k in range(feeder.n - 1, 0, -1):
        if not twig[k]:
            continue
        z, up = complex(feeder.z_pu[tree.edge[k]]), int(tree.parent[k])
        p, q = (low[k].real, high[k].real), (low[k].imag, high[k].imag)
        least = (_nearest(*p) ** 2 + _nearest(*q) ** 2) / v_high_sq[tree.node[k]]
        most = (max(map(abs, p)) ** 2 + max(map(abs, q)) ** 2) / max(v_low_sq[tree.node[k]], 1e-12)
        most = min(most, loss_pu_max / z.real) if z.real > 0 else most
        loss_pu += z.real * least
        low[up] += low[k] + z * least
        high[up] += high[k] + z * most
    at = tree.at
    wide = (high - low)[at]
    return Twigs(twig[at], low[at], np.where(twig[at], 0.0, wide), loss_pu)


def _nearest(low: float, high: float) -> float:
    """Return the smallest absolute value in an interval."""
    return max(low, -high, 0.0)
