"""Small feeders drawn at random, and every radial configuration of them by brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from pdnopt.feeder.network import Feeder
from pdnopt.feeder.sweep import sweep_trees
from pdnopt.feeder.trees import grow

__all__ = ["draw_feeder", "least_loss_kw"]


def draw_feeder(
    seed: int, n: int = 8, extra: int = 3, roots: int = 1, generation: bool = False, trafo: bool = False
) -> Feeder:
    """Return a feeder of n nodes whose voltage falls to about 0.93; ``extra`` edges more than a tree."""
    rng = np.random.default_rng(seed)
    tail = [int(rng.integers(k)) for k in range(roots, n)]
    head = list(range(roots, n))
    while len(tail) < n - roots + extra:
        a, b = (int(v) for v in rng.choice(n, 2, replace=False))
        tail.append(a)
        head.append(b)
    m = len(tail)
    s = np.zeros((3, n), dtype=complex)
    s[0, roots:] = rng.uniform(0.0, 0.4, n - roots) * (1 + 1j * rng.uniform(-0.2, 0.8, n - roots))
    if generation:
        s[0, n - 2] -= 0.9 + 0.3j
    s[2, -1] = 0.05 + 0.02j
    y = np.zeros(n, dtype=complex)
    y[n // 2] = 0.02j
    half = np.zeros(m, dtype=complex)
    half[: m // 2] = 1e-4 + 0.01j
    ratio = np.ones(m)
    if trafo:
        ratio[[0, m - 1]] = 0.975, 1.05
    openable = np.ones(m, dtype=bool)
    openable[0] = False
    return Feeder(
        root=np.arange(roots),
        root_v_pu=np.linspace(1.02, 1.0, roots),
        root_p_max_pu=np.full(roots, np.inf),
        s_pu=s,
        y_pu=y,
        v_min_pu=np.zeros(n),
        v_max_pu=np.full(n, np.inf),
        tail=np.array(tail),
        head=np.array(head),
        z_pu=rng.uniform(0.005, 0.05, m) * (1 + 1j * rng.uniform(0.3, 2.0, m)),
        ratio=ratio,
        y_half_pu=half,
        y_open_pu=np.array([half * (seed % 2) * 2.0, np.zeros(m)]),
        i_max_pu=np.full(m, np.inf),
        closable=np.ones(m, dtype=bool),
        openable=openable,
        switches=tuple(np.array([k]) for k in range(m)),
        given=np.zeros(m, dtype=bool),
        node_of_bus=np.arange(n),
    )


def least_loss_kw(feeder: Feeder) -> float:
    """Return the least AC loss over every radial configuration that leaves no node dark."""
    trees = []
    for pick in combinations(range(feeder.m), feeder.n - len(feeder.root)):
        closed = np.zeros(feeder.m, dtype=bool)
        closed[list(pick)] = True
        tree = grow(feeder, closed) if closed[~feeder.openable].all() else None
        if tree is not None:
            trees.append(tree)
    return float(sweep_trees(feeder, trees).loss_kw.min())
