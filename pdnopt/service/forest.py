"""A state of a radial plant as a forest: what flows where, and what each component carries for whom.

A tree grows from every active source over closed switches, branches and UPSs that are online. Power flows without loss
here, but for what UPSs draw on top of what they give; a UPS passes no reactive power, its input has a power factor of its
own (PLANT.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, islands
from pdnopt.problem import Flows

__all__ = ["Forest", "grow_forest"]

BRANCH, SWITCH, UPS = 0, 1, 2


@dataclass(frozen=True)
class Forest:
    """Trees over the nodes that live, their roots active sources.

    Attributes
    ----------
    levels : tuple of int arrays
        Nodes by distance from their root, the roots (level 0) left out.
    parent : int, shape (N,)
        -1 for roots and dead nodes.
    kind, position : int, shape (N,)
        Which branch, switch or UPS leads from the parent to the node (BRANCH, SWITCH, UPS; its position in the Grid).
    sign : float, shape (N,)
        1 where that runs from tail to head, -1 where from head to tail.
    """

    grid: Grid
    levels: tuple[np.ndarray, ...]
    parent: np.ndarray
    kind: np.ndarray
    position: np.ndarray
    sign: np.ndarray

    def child_of(self, kind: int, position: int) -> int:
        """Return the node that a component leads to, -1 where it carries nothing."""
        at = np.flatnonzero((self.kind == kind) & (self.position == position))
        return int(at[0]) if len(at) else -1

    def share(self, tops: np.ndarray, tan_phi: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what components carry for 1 kW drawn at some nodes: active and reactive, both shape (tops, draws).

        Parameters
        ----------
        tops : int, shape (tops,)
            The node below each component (its own node for a source).
        tan_phi : float, shape (draws,)
            Reactive over active power of each draw.
        at : int, shape (draws,)
            Node of each draw.
        """
        n, ups = len(self.parent), self.grid.upss
        active = np.zeros((n, len(tops)))
        input_tan = np.full((n, len(tops)), np.nan)
        active[tops, np.arange(len(tops))] = 1.0
        for level in self.levels:
            above = self.parent[level]
            passed = active[above].copy()
            tan = input_tan[above].copy()
            crossing = self.kind[level] == UPS
            if crossing.any():
                j = self.position[level[crossing]]
                passed[crossing] *= 1.0 + ups.loss_slope[j, None]
                tan[crossing] = np.where(np.isnan(tan[crossing]), ups.input_tan_phi[j, None], tan[crossing])
            fresh = active[level] == 0.0
            active[level] = np.where(fresh, passed, active[level])
            input_tan[level] = np.where(fresh, tan, input_tan[level])
        p = active[at].T
        q = p * np.where(np.isnan(input_tan[at]), tan_phi[:, None], input_tan[at]).T
        return p, q

    def by_component(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> Flows:
        """Return the flow of every component from what enters each node's subtree (see `flows`)."""
        grid = self.grid

        def through(kind: int, n: int, into: np.ndarray) -> np.ndarray:
            found, mine = np.zeros(n), np.flatnonzero(self.kind == kind)
            found[self.position[mine]] = self.sign[mine] * into[mine]
            return found

        n_branches, n_switches = len(grid.branches.index), len(grid.switches.index)
        return Flows(
            branch_kw=through(BRANCH, n_branches, p_kw),
            branch_kvar=through(BRANCH, n_branches, q_kvar),
            switch_kw=through(SWITCH, n_switches, p_kw),
            switch_kvar=through(SWITCH, n_switches, q_kvar),
            ups_kw=p_kw[grid.upss.out_node],
            ups_kvar=q_kvar[grid.upss.out_node],
            source_kw=p_kw[grid.sources.node],
            source_kvar=q_kvar[grid.sources.node],
        )

    def flows(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return active and reactive power that enters each node's subtree, kW and kvar, for draws by node (N,)."""
        p, q, ups = p_kw.copy(), q_kvar.copy(), self.grid.upss
        for level in reversed(self.levels):
            p_up, q_up = p[level].copy(), q[level].copy()
            crossing = self.kind[level] == UPS
            if crossing.any():
                j = self.position[level[crossing]]
                p_up[crossing] = (
                    (1.0 + ups.loss_slope[j]) * p_up[crossing] + ups.loss_fixed_kw[j] + ups.p_charge_kw[j]
                )
                q_up[crossing] = ups.input_tan_phi[j] * p_up[crossing]
            np.add.at(p, self.parent[level], p_up)
            np.add.at(q, self.parent[level], q_up)
        return p, q


def grow_forest(grid: Grid, state: State) -> Forest | None:
    """Return the forest of a state at rest; None where some island has a loop or several sources."""
    found = islands(grid, state)
    if len(np.unique(found.root_island)) < len(found.root_island):
        return None
    br, sw, ups = grid.branches, grid.switches, grid.upss
    live = found.energised
    on = np.flatnonzero(br.in_service & live[br.tail] & live[br.head])
    shut = np.flatnonzero(state.closed & live[sw.tail] & live[sw.head])
    fed = np.flatnonzero((state.ups_mode == "online") & live[ups.in_node] & live[ups.out_node])
    tail = np.r_[br.tail[on], sw.tail[shut], ups.in_node[fed]]
    head = np.r_[br.head[on], sw.head[shut], ups.out_node[fed]]
    kind = np.repeat([BRANCH, SWITCH, UPS], [len(on), len(shut), len(fed)])
    position = np.r_[on, shut, fed]
    tops = {node for what, k, node in found.roots if what != "ups" or k not in set(fed.tolist())}
    roots = np.array(sorted(tops), dtype=int)
    if len(tail) != int(live.sum()) - len(roots):
        return None
    n = len(live)
    graph = coo_array(
        (
            np.arange(1, len(tail) + len(roots) + 1),
            (np.r_[tail, np.full(len(roots), n)], np.r_[head, roots]),
        ),
        shape=(n + 1, n + 1),
    ).tocsr()
    both = (graph + graph.T).tocsr()
    order, before = breadth_first_order(both, n, directed=False)
    parent = np.full(n, -1)
    reached = order[1:]
    parent[reached] = np.where(before[reached] == n, -1, before[reached])
    below = reached[parent[reached] >= 0]
    edge = np.asarray(both[parent[below], below]).ravel().astype(int) - 1 if len(below) else below
    kind_of, position_of, sign = np.full(n, -1), np.full(n, -1), np.zeros(n)
    kind_of[below], position_of[below] = kind[edge], position[edge]
    sign[below] = np.where(head[edge] == below, 1.0, -1.0)
    levels, here = [], np.isin(np.arange(n), roots)
    while True:
        level = below[here[parent[below]]]
        if not len(level):
            break
        levels.append(level)
        here = np.zeros(n, dtype=bool)
        here[level] = True
    return Forest(grid, tuple(levels), parent, kind_of, position_of, sign)
