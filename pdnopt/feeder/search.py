"""The least AC loss that a search finds: descents by branch exchange from several starts, then from perturbed optima.

An iterated local search: some random exchanges from the present optimum, a descent, and the new optimum becomes the
present one if it is not much worse. Everything random comes from one seeded generator, and the search ends after a number
of rounds without gain, so the same input gives the same answer wherever the clock does not end it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.feeder.exchange import Point, descend, exchanged, point_of, swaps
from pdnopt.feeder.network import Feeder
from pdnopt.feeder.trees import spans

__all__ = ["Found", "find_least_loss"]

IDLE_ROUNDS = 60
"""Rounds without gain after which the search ends, plus IDLE_PER_LOOP for each open edge."""

IDLE_PER_LOOP = 10
WORSE = 2e-3
"""The present optimum may be this part worse than the one before."""

KICKS = (2, 3, 4, 6)
"""Random exchanges of a perturbation, in turn."""

MILD = 0.5
"""Part of the random exchanges that are drawn among the cheaper half."""


@dataclass(frozen=True)
class Found:
    """The best point, the rounds it took, and the distinct local optima met, best first."""

    best: Point
    rounds: int
    optima: tuple[Point, ...]


def find_least_loss(
    feeder: Feeder, starts: Iterable[np.ndarray], deadline_s: float = inf, seed: int = 0
) -> Found | None:
    """Search from several configurations (bool, shape (E,)); those that are no trees are made trees first.

    Returns
    -------
    Found or None
        None where no start leads to a tree.
    """
    optima: dict[bytes, Point] = {}
    best: Point | None = None
    for start in starts:
        point = point_of(feeder, spans(feeder, start))
        if point is None:
            continue
        point = descend(feeder, point, deadline_s)
        optima.setdefault(point.tree.closed.tobytes(), point)
        if best is None or point.cost < best.cost:
            best = point
    if best is None:
        return None
    rng = np.random.default_rng(seed)
    now, idle, rounds = best, 0, 0
    n_open = int((feeder.closable & ~best.tree.closed).sum())
    patience = IDLE_ROUNDS + IDLE_PER_LOOP * n_open if n_open > 1 else 0
    while idle < patience and time.perf_counter() < deadline_s:
        point = _kicked(feeder, now, KICKS[rounds % len(KICKS)], rng)
        point = descend(feeder, point, deadline_s)
        optima.setdefault(point.tree.closed.tobytes(), point)
        rounds += 1
        idle += 1
        if point.cost < best.cost * (1.0 - 1e-9):
            best, idle = point, 0
        if point.cost < now.cost + WORSE * abs(now.cost):
            now = point
        if idle and idle % 20 == 0:
            now = best
    ordered = sorted(optima.values(), key=lambda p: p.cost)
    return Found(best, rounds, tuple(ordered))


def _kicked(feeder: Feeder, point: Point, kicks: int, rng: np.random.Generator) -> Point:
    for _ in range(kicks):
        shut, opened, change = swaps(feeder, point)
        if not len(shut):
            break
        ties = np.unique(shut)
        tie = ties[rng.integers(len(ties))]
        mine = np.flatnonzero(shut == tie)
        order = mine[np.argsort(change[mine], kind="stable")]
        most = max(1, int(np.ceil(len(order) * MILD))) if rng.random() < MILD else len(order)
        k = int(order[rng.integers(most)])
        moved = point_of(feeder, exchanged(point, int(shut[k]), int(opened[k])))
        if moved is not None and np.isfinite(moved.cost):
            point = moved
    return point
