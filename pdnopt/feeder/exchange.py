"""Branch exchange: close one open edge, open one in the loop that it makes.

The change of loss is told beforehand with the nodes' currents held: moving the current J of an edge to the other side of
a loop changes the loss by |J|^2 R - 2 Re(conj(J) D), with R the loop's resistance and D the sum of r J around it (Baran
and Wu 1989, IEEE Trans. Power Deliv. 4(2), written for complex currents). Only the promising are run by AC power flow.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.feeder.network import Feeder
from pdnopt.feeder.sweep import Flow, sweep_trees
from pdnopt.feeder.trees import Tree, grow
from pdnopt.units import KW_PER_MW

__all__ = ["Point", "descend", "exchanged", "loop_of", "point_of", "swaps"]

TRIED = 8
"""Exchanges that are run by AC power flow at once, the most promising first."""

PENALTY_KW = 1e6
"""What a limit exceeded by 100 % counts for: any excess weighs more than any loss."""

PROMISING = 1e-4
"""Exchanges predicted to cost at most this part of the loss more are run by AC power flow, too."""

BETTER = 1e-9
"""A cost counts as lower beyond this part of it."""


@dataclass(frozen=True)
class Point:
    """A configuration with its AC power flow."""

    tree: Tree
    flow: Flow

    @property
    def loss_kw(self) -> float:
        """AC loss."""
        return float(self.flow.loss_kw[0])

    @property
    def excess(self) -> float:
        """By how much limits are exceeded; 0: none is."""
        return float(self.flow.excess[0])

    @property
    def cost(self) -> float:
        """Loss, and more than any loss for limits that are exceeded."""
        return self.loss_kw + PENALTY_KW * self.excess


def point_of(feeder: Feeder, closed: np.ndarray) -> Point | None:
    """Return the point of a configuration; None where it is no spanning tree."""
    tree = grow(feeder, closed)
    return None if tree is None else Point(tree, sweep_trees(feeder, [tree]))


def swaps(feeder: Feeder, point: Point) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every exchange: the edge to close, the edge to open, and the change of loss in kW with currents held."""
    tree, flow = point.tree, point.flow
    i, z, scale = flow.i_pu[0], flow.z_pu[0], flow.scale[0]
    parent, edge = tree.parent, tree.edge
    r = z.real
    ri = r * i
    openable = feeder.openable[edge] & (parent >= 0)
    shut, opened, change = [], [], []
    above = parent.tolist()
    for e in np.flatnonzero(feeder.closable & ~tree.closed):
        a, b = int(tree.at[feeder.tail[e]]), int(tree.at[feeder.head[e]])
        left, right = loop_of(above, a, b)
        d = ri[left].sum() - ri[right].sum()
        total = r[left].sum() + r[right].sum() + feeder.z_pu[e].real * float(scale[b]) ** 2
        for path, sign in ((left, 1.0), (right, -1.0)):
            path = path[openable[path]]
            if len(path):
                j = i[path]
                shut.append(np.full(len(path), e))
                opened.append(edge[path])
                change.append(np.abs(j) ** 2 * total - 2.0 * sign * (np.conj(j) * d).real)
    if not shut:
        none = np.zeros(0, dtype=int)
        return none, none, np.zeros(0)
    return np.concatenate(shut), np.concatenate(opened), np.concatenate(change) * KW_PER_MW


def descend(feeder: Feeder, point: Point, deadline_s: float = inf) -> Point:
    """Return the local optimum that branch exchange reaches: no single exchange lowers the AC cost.

    Exchanges that the held currents predict to gain, and while limits are exceeded all of them, are run by AC power flow;
    the best is taken.
    """
    while time.perf_counter() < deadline_s:
        shut, opened, change = swaps(feeder, point)
        if point.excess > 0:
            order = np.argsort(change, kind="stable")
        else:
            promising = change < PROMISING * point.loss_kw
            order = np.flatnonzero(promising)[np.argsort(change[promising], kind="stable")]
        better = _first_better(feeder, point, shut[order], opened[order])
        if better is None:
            return point
        point = better
    return point


def exchanged(point: Point, shut: int, opened: int) -> np.ndarray:
    """Return the closed edges after an exchange."""
    closed = point.tree.closed.copy()
    closed[shut], closed[opened] = True, False
    return closed


def _first_better(feeder: Feeder, point: Point, shut: np.ndarray, opened: np.ndarray) -> Point | None:
    """Run exchanges by AC power flow, some at a time; return the best of the first lot that holds a better one."""
    for start in range(0, len(shut), TRIED):
        lot = slice(start, start + TRIED)
        trees = [grow(feeder, exchanged(point, e, b)) for e, b in zip(shut[lot], opened[lot], strict=True)]
        good = [tree for tree in trees if tree is not None]
        if not good:
            continue
        flow = sweep_trees(feeder, good)
        cost = flow.loss_kw + PENALTY_KW * flow.excess
        k = int(np.argmin(cost))
        if cost[k] < point.cost * (1.0 - BETTER):
            return Point(good[k], flow.row(k))
    return None


def loop_of(above: list[int], a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions from a, and from b, up to where their paths meet (not included) or to their sources."""
    left, right = [], []
    while a != b:  # in depth-first order a node above another stands before it
        if a > b:
            left.append(a)
            a = above[a]
        else:
            right.append(b)
            b = above[b]
    return np.array(left, dtype=int), np.array(right, dtype=int)
