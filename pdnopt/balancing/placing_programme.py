"""Where inverters stand: which ratings, of a given sum, leave the least voltage unbalance at the worst bus?

Sets
----
I places (i) with phases K = a, b, c (k), B buses (b).

Data
----
w0_b, A_b,ik      V2 / |V1| at the present flow without the places' currents, and what 1 pu at a phase makes of it
l                 part of the apparent power that is lost
R                 sum of the ratings of all phases of all places

Variables
---------
p_ik, q_ik, s_ik  power that a place gives on a phase, apparent power, pu
r_i               rating of each of its phases
t                 largest |V2| / |V1|

Minimise t, then sum_i 3 r_i
----------------------------
subject to
|w0_b + sum_ik A_b,ik (p_ik - j q_ik)| <= t       for all b                                 (1)
|p_ik + j q_ik| <= s_ik <= r_i                                                              (2)
sum_k (p_ik + l s_ik) = 0                          (no battery: what phases give comes from other phases)      (3)
sum_i 3 r_i <= R                                                                            (4)

(1) and (2) are circles. The LP has tangents of them, more wherever its answer is outside, until it is outside by no more
than ``OUTSIDE`` or ``ROUNDS`` are over: its value is never above that of the circles, and so a proved bound. What is left
outside is taken back by less power everywhere.

Source: Kelley 1960, J. SIAM 8(4), "The cutting-plane method for solving convex programs".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from pdnopt.engine.highs import HighsModel, SolverError

__all__ = ["Located", "locate"]

OUTSIDE = 1e-5
"""Part of the largest |V2| / |V1| as it is, and of R: HiGHS keeps rows within 1e-7."""
ROUNDS = 100
FIRST = 8
"""Tangents of each circle to begin with."""
MOST_CUTS = 60
"""New tangents of (1) in a round: the worst buses; the others follow them."""
KEPT = 1e-4
"""How much larger t may be for the sake of fewer kVA, as a part of the largest |V2| / |V1| as it is."""


@dataclass(frozen=True)
class Located:
    """``s_pu`` complex (3I,), ``rating_pu`` (I,), the largest |V2| / |V1| of the linear model, and a bound of it."""

    s_pu: np.ndarray
    rating_pu: np.ndarray
    worst: float
    bound: float


class _Columns:
    """Where each variable stands."""

    def __init__(self, n: int) -> None:
        self.p, self.q, self.s = (np.arange(3 * n) + 3 * n * k for k in range(3))
        self.r = np.arange(n) + 9 * n
        self.t = 10 * n
        self.count = 10 * n + 1


def locate(still: np.ndarray, effect: np.ndarray, loss: float, total_pu: float) -> Located:
    """Return the best ratings; ``still`` (B,) is w0, ``effect`` (B, 3I) is A.

    Raises
    ------
    SolverError
        The LP has no answer.
    """
    n = effect.shape[1] // 3
    at = _Columns(n)
    model = HighsModel(relax=True)
    size = float(np.abs(still).max(initial=0.0))
    if size <= 0.0:
        return Located(np.zeros(3 * n, dtype=complex), np.zeros(n), 0.0, 0.0)
    still, effect = still / size, effect * (total_pu / size)  # everything in the programme is near 1
    _load(model, at, n, loss)
    angles = 2.0 * np.pi * np.arange(FIRST) / FIRST
    phases, buses = np.arange(3 * n), np.arange(len(still))
    _add_power(model, at, np.repeat(phases, FIRST), np.tile(angles, 3 * n))
    worst = buses[np.argsort(-np.abs(still), kind="stable")[:MOST_CUTS]]
    _add_unbalance(model, at, still, effect, worst, np.angle(still[worst]))
    cost = np.zeros(at.count)
    cost[at.t] = 1.0
    model.set_cost(cost)
    x = _cut(model, at, still, effect)
    bound = float(x[at.t])
    model.set_col_bounds(np.array([at.t]), np.zeros(1), np.array([bound + KEPT]))
    cost = np.zeros(at.count)
    cost[at.r] = 3.0
    model.set_cost(cost)
    x = _cut(model, at, still, effect)
    s = x[at.p] + 1j * x[at.q]
    rating = np.maximum(x[at.r], np.abs(s).reshape(-1, 3).max(axis=1))
    part = min(1.0, 1.0 / (3.0 * rating.sum()))
    s, rating = part * s, part * rating
    seen = float(np.abs(still + effect @ np.conj(s)).max(initial=0.0))
    return Located(s * total_pu, rating * total_pu, seen * size, bound * size)


def _load(model: HighsModel, at: _Columns, n: int, loss: float) -> None:
    """Load (3), (4) and s <= r."""
    place, phase = np.repeat(np.arange(n), 3), np.arange(3 * n)
    rows = [place, place, n + phase, n + phase, np.full(n, 4 * n)]
    columns = [at.p, at.s, at.s, at.r[place], at.r]
    data = [np.ones(3 * n), np.full(3 * n, loss), np.ones(3 * n), -np.ones(3 * n), np.full(n, 3.0)]
    where = (np.concatenate(rows), np.concatenate(columns))
    matrix = csr_array(coo_array((np.concatenate(data), where), shape=(4 * n + 1, at.count)))
    low = np.r_[np.zeros(n), np.full(3 * n + 1, -np.inf)]
    high = np.r_[np.zeros(4 * n), 1.0]
    least, most = np.zeros(at.count), np.full(at.count, np.inf)
    least[: 6 * n], most[: 6 * n] = -1.0 / 3.0, 1.0 / 3.0
    model.load(matrix, low, high, least, most, np.zeros(at.count, dtype=bool))


def _cut(model: HighsModel, at: _Columns, still: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Solve, add tangents where the answer is outside the circles, and again."""
    for _ in range(ROUNDS):
        outcome = model.solve()
        if outcome.status != "optimal" or outcome.x is None:
            raise SolverError(f"the programme of the places ended as {outcome.status}")
        x = outcome.x
        s = x[at.p] + 1j * x[at.q]
        w = still + effect @ np.conj(s)
        far = np.abs(s) - x[at.s] > OUTSIDE
        over = np.abs(w) - x[at.t]
        beyond = np.argsort(-over, kind="stable")[:MOST_CUTS]
        beyond = beyond[over[beyond] > OUTSIDE]
        if not far.any() and not len(beyond):
            break
        _add_power(model, at, np.flatnonzero(far), np.angle(s[far]))
        _add_unbalance(model, at, still, effect, beyond, np.angle(w[beyond]))
    return x


def _add_power(model: HighsModel, at: _Columns, phase: np.ndarray, angle: np.ndarray) -> None:
    """Add tangents of (2)."""
    if not len(phase):
        return
    row = np.arange(len(phase))
    where = (np.tile(row, 3), np.r_[at.p[phase], at.q[phase], at.s[phase]])
    data = np.r_[np.cos(angle), np.sin(angle), -np.ones(len(phase))]
    matrix = csr_array(coo_array((data, where), shape=(len(phase), at.count)))
    model.add_rows(matrix, np.full(len(phase), -np.inf), np.zeros(len(phase)))


def _add_unbalance(
    model: HighsModel, at: _Columns, still: np.ndarray, effect: np.ndarray, bus: np.ndarray, angle: np.ndarray
) -> None:
    """Add tangents of (1)."""
    if not len(bus):
        return
    turned = np.exp(-1j * angle)[:, None] * effect[bus]
    rest = np.zeros((len(bus), at.count - 2 * len(at.p)))
    rest[:, -1] = -1.0
    matrix = csr_array(np.hstack([turned.real, turned.imag, rest]))
    model.add_rows(matrix, np.full(len(bus), -np.inf), -(np.exp(-1j * angle) * still[bus]).real)
