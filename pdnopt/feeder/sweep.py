"""AC power flow of many radial configurations of one feeder at once, by backward and forward sweeps.

Nodes stand in depth-first order, so the current into a subtree is a difference of partial sums, and the voltage drop
along the path from the source a partial sum of drops that enter and leave: one sweep is a few vector operations whatever
the shape of the trees (method of Shirmohammadi et al. 1988, IEEE Trans. Power Syst. 3(2), in the current-summation form).
Ratios of transformers scale voltages and impedances along the path once per tree; phase shifts change nothing in a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from pdnopt.feeder.network import Feeder
from pdnopt.feeder.trees import Tree
from pdnopt.units import KW_PER_MW

__all__ = ["Flow", "sweep_trees"]

TOLERANCE_PU = 1e-11
MAX_SWEEPS = 100
COLLAPSED_PU = 0.3
"""A voltage below this on the way means that there is no operating point to converge to."""


@dataclass(frozen=True)
class Flow:
    """AC power flow of C trees, arrays (C, N) by position in each tree.

    Attributes
    ----------
    v_pu : complex
        Voltage of each node, seen from its source through ideal ratios (``scale`` takes it to the node's own base:
        |v| = |v_pu| / scale).
    i_pu : complex
        Current from the node above, on the same base; at a source: what it gives.
    load_pu : complex
        Current that leaves at each node.
    z_pu : complex
        Impedance of the edge to the node above on that base.
    scale : float
    loss_kw : float, shape (C,)
        inf where the flow does not converge.
    excess : float, shape (C,)
        Sum of the parts by which limits are exceeded; 0 where all hold.
    """

    v_pu: np.ndarray
    i_pu: np.ndarray
    load_pu: np.ndarray
    z_pu: np.ndarray
    scale: np.ndarray
    loss_kw: np.ndarray
    excess: np.ndarray

    def row(self, k: int) -> Flow:
        """Return the flow of one tree alone."""
        return Flow(**{field.name: getattr(self, field.name)[k : k + 1] for field in fields(self)})


def sweep_trees(feeder: Feeder, trees: Sequence[Tree]) -> Flow:
    """Run the AC power flow of some trees of one feeder."""
    c, n = len(trees), feeder.n
    node = np.array([t.node for t in trees])
    edge = np.array([t.edge for t in trees])
    parent = np.array([t.parent for t in trees])
    last = np.array([t.last for t in trees])
    closed = np.array([t.closed for t in trees])
    inner = parent >= 0
    scale = _scales(feeder, node, edge, parent, last, inner)
    head_up = feeder.head[edge] != node  # the edge is passed from its head to its tail
    level = np.where(head_up, np.take_along_axis(scale, np.maximum(parent, 0), 1), scale)
    z = np.where(inner, feeder.z_pu[edge] * level**2, 0.0)
    y_edge = _edge_shunts(feeder, closed)
    y_own = np.take_along_axis(y_edge, node, 1)
    y = (y_own + feeder.y_pu[node]) / scale**2
    power, current, impedance = (feeder.s_pu[k][node] for k in range(3))
    y = y + np.conj(impedance) / scale**2
    v_root = np.zeros(n)
    v_root[feeder.root] = feeder.root_v_pu
    v0 = _at_source(v_root[node], inner)
    row = np.arange(c)[:, None]
    flat = (row * (n + 1) + last).ravel()
    v = v0.astype(complex)
    bent = bool(current.any())
    for _ in range(MAX_SWEEPS):
        s = power + current * np.abs(v) / scale if bent else power
        load = np.conj(s / v) + y * v
        sums = np.concatenate([np.zeros((c, 1), dtype=complex), np.cumsum(load, axis=1)], axis=1)
        i = np.take_along_axis(sums, last, 1) - sums[:, :-1]
        drop = z * i
        leave = np.bincount(flat, drop.real.ravel(), c * (n + 1)) + 1j * np.bincount(
            flat, drop.imag.ravel(), c * (n + 1)
        )
        new = v0 - np.cumsum(drop - leave.reshape(c, n + 1)[:, :n], axis=1)
        ok = np.isfinite(new).all(axis=1) & (np.abs(new) > COLLAPSED_PU * v0).all(axis=1)
        new = np.where(ok[:, None], new, v0)
        moved = np.abs(new - v).max(axis=1, initial=0.0)
        v = new
        if (moved[ok] < TOLERANCE_PU).all():
            break
    ok &= moved < 1e3 * TOLERANCE_PU
    v_own = np.abs(v) / scale
    loss = (z.real * np.abs(i) ** 2).sum(axis=1) + (y_own.real * v_own**2).sum(axis=1)
    return Flow(
        v_pu=v,
        i_pu=i,
        load_pu=load,
        z_pu=z,
        scale=scale,
        loss_kw=np.where(ok, loss * KW_PER_MW, np.inf),
        excess=np.where(ok, _excess(feeder, node, edge, inner, v_own, v, i, level), np.inf),
    )


def _scales(
    feeder: Feeder,
    node: np.ndarray,
    edge: np.ndarray,
    parent: np.ndarray,
    last: np.ndarray,
    inner: np.ndarray,
) -> np.ndarray:
    """Return the product of ratios from the source to each node, shape (C, N)."""
    if (feeder.ratio == 1.0).all():
        return np.ones(node.shape)
    c, n = node.shape
    log = np.where(inner, np.log(feeder.ratio)[edge], 0.0)
    log = np.where(feeder.head[edge] != node, -log, log)
    leave = np.zeros((c, n + 1))
    np.add.at(leave, (np.arange(c)[:, None], last), log)
    return np.asarray(np.exp(np.cumsum(log - leave[:, :n], axis=1)))


def _edge_shunts(feeder: Feeder, closed: np.ndarray) -> np.ndarray:
    """Return the shunts of edges by node, shape (C, N): at the tail behind the ratio, at the head as they are."""
    out = np.zeros((len(closed), feeder.n), dtype=complex)
    some = np.flatnonzero(feeder.y_half_pu)
    if not len(some):
        return out
    rows, shut = np.arange(len(closed))[:, None], closed[:, some]
    half, (at_tail, at_head) = feeder.y_half_pu[some], feeder.y_open_pu[:, some]
    ratio_sq = feeder.ratio[some] ** 2
    np.add.at(out, (rows, feeder.tail[some][None, :]), np.where(shut, half, at_tail) / ratio_sq)
    np.add.at(out, (rows, feeder.head[some][None, :]), np.where(shut, half, at_head))
    return out


def _at_source(v_root: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the voltage of the source of each position: the last source before it in depth-first order."""
    start = np.maximum.accumulate(np.where(inner, 0, np.arange(inner.shape[1])[None, :]), axis=1)
    return np.asarray(np.take_along_axis(v_root, start, 1))


def _excess(
    feeder: Feeder,
    node: np.ndarray,
    edge: np.ndarray,
    inner: np.ndarray,
    v_own: np.ndarray,
    v: np.ndarray,
    i: np.ndarray,
    level: np.ndarray,
) -> np.ndarray:
    if not feeder.limited:
        return np.zeros(len(node))
    low = np.maximum(feeder.v_min_pu[node] - v_own, 0.0)
    high = np.maximum(v_own - feeder.v_max_pu[node], 0.0)
    over = np.where(inner, np.maximum(np.abs(i) * level / feeder.i_max_pu[edge] - 1.0, 0.0), 0.0)
    p_max = np.full(feeder.n, np.inf)
    p_max[feeder.root] = feeder.root_p_max_pu
    p = np.where(inner, 0.0, (v * np.conj(i)).real)
    source = np.where(inner, 0.0, np.maximum(p / p_max[node] - 1.0, 0.0))
    return np.asarray((10.0 * (low + high) + over + source).sum(axis=1))
