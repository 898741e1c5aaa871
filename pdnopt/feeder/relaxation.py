"""A convex relaxation of the AC power flow of every radial configuration at once, as rows for a MILP.

DistFlow (Baran and Wu 1989) on directed edges, "arcs", a from node i to node j, with V = |v|^2, L = |i|^2, P and Q at the
sending end behind the ideal ratio, u = c_in V_i the squared voltage there, and z = 1 for the arc that feeds its head:

    (1) sum_in z = 1; <= 1 where it may be dark                                 every node but the sources
    (2) z(i,j) + z(j,i) <= 1; = 1 where the edge cannot be opened and lives
    (3) sum_in (P - r L) - sum_out P = p + g V + sum of g of edges' shunts      active balance
    (4) sum_in (Q - x L) - sum_out Q = q - b V - sum of b of edges' shunts      reactive balance
    (5) V_j = sum_in c_out (c_in W - 2 (r P + x Q) + (r^2 + x^2) L)             voltage drop
    (6) V_min z <= W <= V_max z, V_i - V_max (1 - z) <= W <= V_i - V_min (1 - z)    (W: V_i if used, else 0)
    (7) p_low z <= P <= p_high z, q_low z <= Q <= q_high z
    (8) c_in W L >= P^2 + Q^2, as tangents: L >= 2 a P + 2 b Q - (a^2 + b^2) c_in W for any a, b

Minimise sum r L + sum g V. *Why it is a lower bound.* In any radial configuration with an AC power flow, take z of the arcs
that feed, W = V_i there, and the flow's own P, Q, L, V: (1)-(5) hold exactly, (8) with equality (the tangents follow from
(P - a c_in W)^2 + (Q - b c_in W)^2 >= 0), and (6), (7) because their constants bound every configuration that loses no more
than ``loss_kw`` (:func:`_caps`). A configuration that loses more cannot lie below a bound that is at most ``loss_kw``. The
model leaves limits out, and adds points that are no power flow: both can only lower the optimum. So can branching stopped
early: HiGHS's dual bound is a bound on this optimum.

The voltage that sources hold is a constant, not a variable: raising it with the others' upper bound would cost most of
the bound on feeders with generation. Nodes without load and generation may be dark (V = 0, nothing in), with every node
that no switch parts from them; parts that touch no loop are taken as the least they draw and lose
(:mod:`pdnopt.feeder.twigs`), with columns for more; a shunt of an edge that may be open is free between none and what it
draws when the edge is closed or hangs on one end.

Power is in parts of the total load, losses in parts of ``loss_kw``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from pdnopt.feeder.exchange import Point
from pdnopt.feeder.network import Feeder
from pdnopt.feeder.trees import Tree
from pdnopt.feeder.twigs import edges_on_loops, find_twigs, prune
from pdnopt.plant.graph import connected_parts
from pdnopt.units import KW_PER_MW

__all__ = ["Arcs", "Relaxation", "build_relaxation", "unbounded_because"]

REACTANCE_PART = 0.1
"""What a unit of L weighs at least, as a part of its reactive loss: scales the column of an edge with little resistance."""


@dataclass(frozen=True)
class Arcs:
    """A arcs: edge, sending and receiving node, impedance in parts of the base, ratio factors."""

    edge: np.ndarray
    source: np.ndarray
    target: np.ndarray
    r: np.ndarray
    x: np.ndarray
    c_in: np.ndarray
    c_out: np.ndarray
    free: np.ndarray  # the edge lies on a loop: z is a decision
    weight: np.ndarray  # column of L in the model: L times this

    @property
    def n(self) -> int:
        """Number of arcs."""
        return len(self.edge)


@dataclass(frozen=True)
class Relaxation:
    """The model's arrays without tangents. Columns: z, P, Q, L (A each), W (A), V (N), then shunts of edges."""

    arcs: Arcs
    base_pu: float
    loss_kw: float
    offset: float
    cost: np.ndarray
    matrix: csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    col_low: np.ndarray
    col_high: np.ndarray
    integer: np.ndarray

    def column(self, kind: str) -> slice:
        """Return the columns of z, p, q, l or w."""
        k, a = "zpqlw".index(kind), self.arcs.n
        return slice(k * a, (k + 1) * a)

    def tangents(self, arc: np.ndarray, a: np.ndarray, b: np.ndarray) -> csr_array:
        """Return rows (8), each <= 0: 2 a P + 2 b Q - (a^2 + b^2) c_in W - L <= 0, in the column's scale of L."""
        n, count, row = self.arcs.n, len(arc), np.arange(len(arc))
        scale = self.arcs.weight[arc]
        data = np.r_[
            2 * a * scale, 2 * b * scale, -(a**2 + b**2) * self.arcs.c_in[arc] * scale, -np.ones(count)
        ]
        column = np.r_[n + arc, 2 * n + arc, 4 * n + arc, 3 * n + arc]
        return csr_array(coo_array((data, (np.tile(row, 4), column)), shape=(count, len(self.cost))))

    def flow_points(self, point: Point, feeder: Feeder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (arc, a, b) of the AC power flow of a configuration: tangents that are exact there."""
        tree, flow = point.tree, point.flow
        arc_of = np.full((feeder.m, 2), -1)
        arc_of[self.arcs.edge, (self.arcs.target == feeder.tail[self.arcs.edge]).astype(int)] = np.arange(
            self.arcs.n
        )
        arc = arc_of[tree.edge, (tree.node == feeder.tail[tree.edge]).astype(int)]
        inner = np.flatnonzero((tree.parent >= 0) & (arc >= 0))
        arc = arc[inner]
        up = tree.parent[inner]
        s = flow.v_pu[0][up] * np.conj(flow.i_pu[0][inner]) / self.base_pu
        u = np.abs(flow.v_pu[0][up] / flow.scale[0][up]) ** 2 * self.arcs.c_in[arc]
        return arc, s.real / u, s.imag / u

    def first_points(self, point: Point, feeder: Feeder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (arc, a, b) for arcs on loops in both directions: multiples of what the edge, or its ends, carry now."""
        arc, a, b = self.flow_points(point, feeder)
        at_edge, at_node = np.zeros((2, feeder.m)), np.zeros((2, feeder.n))
        at_edge[:, self.arcs.edge[arc]] = a, b
        at_node[:, self.arcs.target[arc]] = a, b
        tie = ~point.tree.closed
        at_edge[:, tie] = 0.5 * (at_node[:, feeder.tail[tie]] + at_node[:, feeder.head[tie]])
        free = np.flatnonzero(self.arcs.free)
        level = np.repeat(GRID, len(free))
        points = np.tile(at_edge[:, self.arcs.edge[free]], len(GRID)) * level
        return np.tile(free, len(GRID)), points[0], points[1]


GRID = np.array([0.3, 1.0, 3.0])
"""First tangents of an arc on a loop, as multiples of the flow that its edge carries in a good configuration."""


def unbounded_because(feeder: Feeder) -> str:
    """Return why no bound is proved for a feeder, in words; "" if one is."""
    if feeder.s_pu[1].any():
        return "loads that draw a constant current are not in the relaxation"
    if (feeder.z_pu.real < 0).any() or (feeder.z_pu.imag < 0).any():
        return "a branch has a negative resistance or reactance"
    if ((feeder.z_pu.real == 0) & (feeder.z_pu.imag != 0)).any():
        return "a branch has a reactance but no resistance"
    if feeder.hanging:
        return "a charged line hangs on one end"
    if (feeder.y_half_pu.real < 0).any():
        return "a branch has a negative shunt conductance"
    return ""


def build_relaxation(feeder: Feeder, best: Point) -> Relaxation:
    """Return the relaxation whose optimum is at most the least AC loss, as long as that is below the best's."""
    loss_kw = best.loss_kw
    base = max(float(np.abs(feeder.s_pu.sum(axis=0)).sum()), 1e-9)
    on_loop = edges_on_loops(feeder, best.tree)
    twig_node = find_twigs(feeder, best.tree, on_loop)
    caps = _caps(feeder, best.tree, twig_node, base, loss_kw)
    twigs = prune(feeder, best.tree, twig_node, caps.v_min, caps.v_max, loss_kw / KW_PER_MW)
    arcs = _arcs(feeder, best, base, loss_kw, on_loop, twigs.node)
    idle = _idle(feeder)
    caps.v_min[idle] = 0.0
    may_rest = arcs.free | idle[arcs.target]
    loose = np.intersect1d(np.flatnonzero(feeder.y_half_pu), arcs.edge[may_rest])
    hung = np.flatnonzero((twigs.more_pu != 0) & ~np.isin(np.arange(feeder.n), feeder.root))
    a, n, h = arcs.n, feeder.n, len(loose)
    width = 5 * a + n + 4 * h + 2 * len(hung)
    rows = _Rows(width)
    k = np.arange(a)
    z, p, q, el, w, v = k, a + k, 2 * a + k, 3 * a + k, 4 * a + k, 5 * a + np.arange(n)
    r, x = arcs.r / arcs.weight, arcs.x / arcs.weight
    source = np.zeros(n, dtype=bool)
    source[feeder.root] = True
    inner = np.flatnonzero(~source & ~twigs.node)
    place = np.full(n, -1)
    place[inner] = np.arange(len(inner))
    t_in = place[arcs.target]
    t_out = place[arcs.source]
    out = t_out >= 0
    fixed = _fixed_shunts(feeder, arcs, loose) / base
    drawn = twigs.s_pu / base
    more = 5 * a + n + 4 * h + np.arange(2 * len(hung))  # what twigs take beyond the least: P, then Q
    # columns of the shunts of edges that may be open: g at tail, g at head, b at tail, b at head
    g_col, b_col = 5 * a + n + np.arange(2 * h), 5 * a + n + 2 * h + np.arange(2 * h)
    end = np.r_[feeder.tail[loose], feeder.head[loose]]
    at_end = place[end]
    used = at_end >= 0
    one = np.ones(a)
    rows.add(len(inner), [(t_in, z, one)], np.where(idle[inner], 0.0, 1.0), 1.0)  # (1)
    pairs, which = np.unique(arcs.edge[arcs.free], return_inverse=True)
    shut = np.where(feeder.openable[pairs] | idle[feeder.head[pairs]], 0.0, 1.0)
    rows.add(len(pairs), [(which, z[arcs.free], one[arcs.free])], shut, 1.0)  # (2)
    for flow, loss, own, shunt, sign, extra, slack in (
        (p, r, drawn.real, fixed.real, -1.0, g_col, more[: len(hung)]),
        (q, x, drawn.imag, fixed.imag, 1.0, b_col, more[len(hung) :]),
    ):  # (3), (4)
        terms = [
            (t_in, flow, one),
            (t_in, el, -loss),
            (t_out[out], flow[out], -one[out]),
            (np.arange(len(inner)), v[inner], sign * shunt[inner]),
            (at_end[used], extra[used], np.full(int(used.sum()), sign)),
            (place[hung], slack, -np.ones(len(hung))),
        ]
        rows.add(len(inner), terms, own[inner], own[inner])
    drop = [
        (t_in, w, arcs.c_out * arcs.c_in),
        (t_in, p, -2.0 * arcs.c_out * arcs.r),
        (t_in, q, -2.0 * arcs.c_out * arcs.x),
        (t_in, el, arcs.c_out * (arcs.r**2 + arcs.x**2) / arcs.weight),
        (np.arange(len(inner)), v[inner], -np.ones(len(inner))),
    ]
    rows.add(len(inner), drop, 0.0, 0.0)  # (5)
    v_max = caps.v_max[arcs.source]
    rows.add(a, [(k, w, one), (k, z, -v_max)], -np.inf, 0.0)  # (6)
    v_min = caps.v_min[arcs.source]
    rows.add(a, [(k, w, one), (k, z, -v_min)], 0.0, np.inf)
    rows.add(a, [(k, w, one), (k, v[arcs.source], -one), (k, z, -v_min)], -np.inf, -v_min)
    rows.add(a, [(k, w, one), (k, v[arcs.source], -one), (k, z, -v_max)], -v_max, np.inf)
    low_p, low_q = _least_flows(feeder, arcs, drawn, caps)
    for flow, least, most in ((p, low_p, caps.p_high), (q, low_q, caps.q_high)):  # (7)
        rows.add(a, [(k, flow, one), (k, z, -least)], 0.0, np.inf)
        rows.add(a, [(k, flow, one), (k, z, np.full(a, -most))], -np.inf, 0.0)
    if h:
        _shunt_rows(rows, feeder, arcs, loose, base, caps, end, v, g_col, b_col)
    matrix, low, high = rows.finished()
    col_low = np.r_[
        np.where(may_rest, 0.0, 1.0), np.full(2 * a, -np.inf), np.zeros(2 * a), caps.v_min, np.zeros(2 * h)
    ]
    col_low = np.r_[col_low, np.full(2 * h, -np.inf), np.zeros(2 * len(hung))]
    col_high = np.r_[
        np.ones(a), np.full(3 * a, np.inf), np.full(a, np.inf), caps.v_max, np.full(4 * h, np.inf)
    ]
    col_high = np.r_[col_high, twigs.more_pu.real[hung] / base, twigs.more_pu.imag[hung] / base]
    cost = np.zeros(width)
    per_loss = base * KW_PER_MW / loss_kw
    cost[el] = r * per_loss
    cost[v] = _edge_conductance(feeder, arcs, loose) / base * per_loss
    cost[g_col] = per_loss
    integer = np.zeros(width, dtype=bool)
    integer[z] = arcs.free
    constant = twigs.loss_pu * KW_PER_MW / loss_kw
    return Relaxation(arcs, base, loss_kw, constant, cost, matrix, low, high, col_low, col_high, integer)


class _Rows:
    """Rows of a model, collected in blocks."""

    def __init__(self, width: int) -> None:
        self.width, self.n = width, 0
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.low: list[np.ndarray] = []
        self.high: list[np.ndarray] = []

    def add(
        self,
        count: int,
        terms: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
        low: np.ndarray | float,
        high: np.ndarray | float,
    ) -> None:
        """Add ``count`` rows; a term is (row in this block, column, coefficient)."""
        self.parts += [(self.n + row, column, value) for row, column, value in terms]
        self.low.append(np.broadcast_to(np.asarray(low, dtype=float), (count,)))
        self.high.append(np.broadcast_to(np.asarray(high, dtype=float), (count,)))
        self.n += count

    def finished(self) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """Return the matrix and the bounds of all rows."""
        row, column, value = (np.concatenate([part[k] for part in self.parts]) for k in range(3))
        matrix = csr_array(coo_array((value, (row, column)), shape=(self.n, self.width)))
        return matrix, np.concatenate(self.low), np.concatenate(self.high)


def _idle(feeder: Feeder) -> np.ndarray:
    """Return which nodes a configuration may leave dark: no load or generator in their block, no source; bool, (N,)."""
    fixed = ~feeder.openable
    block = connected_parts(feeder.n, feeder.tail[fixed], feeder.head[fixed])
    needed = (feeder.s_pu != 0).any(axis=0)
    needed[feeder.root] = True
    return np.asarray(np.bincount(block, weights=needed, minlength=feeder.n)[block] == 0)


@dataclass(frozen=True)
class _Caps:
    """Constants that bound every configuration which loses at most ``loss_kw``."""

    p_high: float
    p_low: float
    q_high: float
    q_low: float
    v_max: np.ndarray
    v_min: np.ndarray


def _caps(feeder: Feeder, tree: Tree, twig: np.ndarray, base: float, loss_kw: float) -> _Caps:
    """Return bounds on flows and voltages, in parts of the base and pu^2.

    What flows into a subtree is at most all loads plus all losses, at least minus all generation (losses downstream only
    take). At the receiving end V_i = V_j + 2 (r P' + x Q') + |z|^2 L, so a voltage rises along an edge by at most
    2 (r G_p + x G_q) with G_p, G_q all generation, shunts included; along a path by at most the sum over all edges (times
    the largest ratio of transformers). Shunts grow with V, hence the division. A second cap needs no generation: along a
    path |v| changes by at most sum |z| |i| <= sqrt(sum |z|^2 / r) sqrt(sum r |i|^2) (Cauchy and Schwarz), and the last sum
    is at most ``loss_kw``. It also bounds voltages from below.
    """
    s = feeder.s_pu[0] / base
    y = (feeder.y_pu + np.conj(feeder.s_pu[2])) / base
    b_edges = 2.0 * np.abs(feeder.y_half_pu.imag).sum() / base * HANGING
    r, x = feeder.z_pu.real * base, feeder.z_pu.imag * base
    ratio = float(np.prod(np.maximum(feeder.ratio, 1.0 / feeder.ratio) ** 2))
    v0 = float((feeder.root_v_pu**2).max()) * ratio
    made_p, made_q = float(-s.real[s.real < 0].sum()), float(-s.imag[s.imag < 0].sum())
    b_up = float(np.maximum(y.imag, 0.0).sum()) + b_edges
    g_down = float(np.maximum(-y.real, 0.0).sum())
    n_used = feeder.n - len(feeder.root)
    rise = np.sort(2.0 * (r * made_p + x * made_q))[::-1][:n_used].sum() * ratio
    grow = np.sort(2.0 * (r * g_down + x * b_up))[::-1][:n_used].sum() * ratio
    v_max = (v0 + rise) / (1.0 - grow) if grow < 0.9 else np.inf
    known = feeder.z_pu.real > 0
    swing = np.sqrt(loss_kw / KW_PER_MW * _longest(feeder, tree, twig)) * ratio
    highest = np.minimum(v_max, (float(feeder.root_v_pu.max() * np.sqrt(ratio)) + swing) ** 2)
    lowest = np.maximum(float(feeder.root_v_pu.min() / np.sqrt(ratio)) - swing, 0.0) ** 2
    highest[feeder.root] = lowest[feeder.root] = feeder.root_v_pu**2
    v_max = float(highest.max())
    lost = loss_kw / KW_PER_MW / base
    slope = float((feeder.z_pu.imag[known] / feeder.z_pu.real[known]).max(initial=0.0))
    taken_p = float(s.real[s.real > 0].sum()) + float(np.maximum(y.real, 0.0).sum()) * v_max + lost
    taken_q = float(s.imag[s.imag > 0].sum()) + (float(np.maximum(-y.imag, 0.0).sum()) + b_edges) * v_max
    return _Caps(
        p_high=taken_p,
        p_low=-made_p - g_down * v_max,
        q_high=taken_q + slope * lost,
        q_low=-made_q - b_up * v_max,
        v_max=highest,
        v_min=lowest,
    )


def _longest(feeder: Feeder, tree: Tree, twig: np.ndarray) -> np.ndarray:
    """Return the most that |z|^2 / r can sum to on the path to each node: all edges that are no twig's, its own twig's."""
    r = feeder.z_pu.real
    weight = np.where(r > 0, np.abs(feeder.z_pu) ** 2 / np.where(r > 0, r, 1.0), 0.0)
    trunk = float(weight[~(twig[feeder.tail] | twig[feeder.head])].sum())
    out = np.full(feeder.n, trunk)
    for k in range(feeder.n):
        node = tree.node[k]
        if twig[node]:
            out[node] = out[tree.node[tree.parent[k]]] + weight[tree.edge[k]]
    return out


HANGING = 1.05
"""A line charged from one end draws at most this times its charging (its own inductance raises it, well below 5 %)."""


def _arcs(
    feeder: Feeder, best: Point, base: float, loss_kw: float, on_loop: np.ndarray, pruned: np.ndarray
) -> Arcs:
    """Return both directions of edges on loops, and away from the source those of edges on none; twigs left out."""
    tree = best.tree
    gone = pruned[feeder.tail] | pruned[feeder.head]
    is_root = np.zeros(feeder.n, dtype=bool)
    is_root[feeder.root] = True
    away = tree.at[feeder.tail] < tree.at[feeder.head]
    forward = np.flatnonzero((on_loop | away) & ~is_root[feeder.head] & ~gone)
    back = np.flatnonzero((on_loop | ~away) & ~is_root[feeder.tail] & ~gone)
    edge = np.r_[forward, back]
    reversed_ = np.r_[np.zeros(len(forward), dtype=bool), np.ones(len(back), dtype=bool)]
    k2 = feeder.ratio[edge] ** 2
    r, x = feeder.z_pu.real[edge] * base, feeder.z_pu.imag[edge] * base
    weight = np.maximum(r, REACTANCE_PART * x) * base * KW_PER_MW / loss_kw
    return Arcs(
        edge=edge,
        source=np.where(reversed_, feeder.head[edge], feeder.tail[edge]),
        target=np.where(reversed_, feeder.tail[edge], feeder.head[edge]),
        r=r,
        x=x,
        c_in=np.where(reversed_, 1.0, 1.0 / k2),
        c_out=np.where(reversed_, k2, 1.0),
        free=on_loop[edge],
        weight=np.where(weight > 0, weight, 1.0),
    )


def _fixed_shunts(feeder: Feeder, arcs: Arcs, loose: np.ndarray) -> np.ndarray:
    """Return g + j b by node of what is always there: shunts, constant impedances, edges on no loop."""
    out = feeder.y_pu + np.conj(feeder.s_pu[2])
    bound = np.setdiff1d(np.flatnonzero(feeder.y_half_pu), loose)
    np.add.at(out, feeder.tail[bound], feeder.y_half_pu[bound] / feeder.ratio[bound] ** 2)
    np.add.at(out, feeder.head[bound], feeder.y_half_pu[bound])
    return np.asarray(out)


def _edge_conductance(feeder: Feeder, arcs: Arcs, loose: np.ndarray) -> np.ndarray:
    """Return the conductance by node of edges on no loop: what it draws is a loss."""
    out = np.zeros(feeder.n)
    bound = np.setdiff1d(np.flatnonzero(feeder.y_half_pu), loose)
    np.add.at(out, feeder.tail[bound], feeder.y_half_pu.real[bound] / feeder.ratio[bound] ** 2)
    np.add.at(out, feeder.head[bound], feeder.y_half_pu.real[bound])
    return out


def _least_flows(feeder: Feeder, arcs: Arcs, drawn: np.ndarray, caps: _Caps) -> tuple[np.ndarray, np.ndarray]:
    """Return the least P and Q on an arc that is used: its head's own load where nothing generates."""
    y = feeder.y_pu + np.conj(feeder.s_pu[2])
    no_p = (drawn.real >= 0).all() and (y.real >= 0).all()
    no_q = (drawn.imag >= 0).all() and (y.imag <= 0).all() and (feeder.y_half_pu.imag <= 0).all()
    low_p = drawn.real[arcs.target] if no_p else np.full(arcs.n, caps.p_low)
    low_q = drawn.imag[arcs.target] if no_q else np.full(arcs.n, caps.q_low)
    return low_p, low_q


def _shunt_rows(
    rows: _Rows,
    feeder: Feeder,
    arcs: Arcs,
    loose: np.ndarray,
    base: float,
    caps: _Caps,
    end: np.ndarray,
    v: np.ndarray,
    g_col: np.ndarray,
    b_col: np.ndarray,
) -> None:
    """Add what the shunts at both ends of edges that may be open draw: exact when closed, else anything they could."""
    y = np.r_[feeder.y_half_pu[loose] / feeder.ratio[loose] ** 2, feeder.y_half_pu[loose]] / base
    k = np.arange(len(end))
    position = np.full(feeder.m, -1)
    position[loose] = np.arange(len(loose))
    of = position[arcs.edge]
    mine = np.flatnonzero(of >= 0)
    both = np.r_[of[mine], of[mine] + len(loose)]
    z = np.r_[mine, mine]
    v_max = caps.v_max[end]
    one = np.ones(len(end))
    slack = y.real * v_max
    rows.add(len(end), [(k, g_col, one), (k, v[end], -y.real), (both, z, -slack[both])], -slack, np.inf)
    for sign in (1.0, -1.0):  # |b| V when closed; between 0 and both halves, a little raised, when open
        b = np.abs(y.imag) * v_max * 2.0 * HANGING
        terms = [(k, b_col, sign * one), (k, v[end], -sign * y.imag), (both, z, b[both])]
        rows.add(len(end), terms, -np.inf, b)
