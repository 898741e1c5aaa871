"""A proven lower bound on the AC loss of every radial configuration of a feeder.

The relaxation (:mod:`pdnopt.feeder.relaxation`) by outer approximation: an LP with tangents added where it breaks the
cones, then MILPs with the tangents of their own answers, each within a part of the time. What counts is HiGHS's dual
bound, the largest met, never an answer. It holds to HiGHS's tolerances (1e-7 of the loss a row).
"""

from __future__ import annotations

import time
from math import inf

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.engine.highs import HighsModel
from pdnopt.feeder.exchange import Point
from pdnopt.feeder.network import Feeder
from pdnopt.feeder.relaxation import Relaxation, build_relaxation, unbounded_because

__all__ = ["prove"]

LP_ROUNDS = 25
LP_SHARE = 0.35
"""Part of the time that the LP's rounds may use."""

LP_GAIN = 2e-4
"""The LP's rounds end when one raises its value by less than this part of the loss."""

LARGE = 500
"""Arcs beyond which the LP is solved by the interior-point method."""

CUT = 1e-6
"""A cone counts as broken beyond this part of the whole loss."""


def prove(
    feeder: Feeder, best: Point, gap: float, deadline_s: float, others: tuple[Point, ...] = ()
) -> float:
    """Return a lower bound in kW on the AC loss of every radial configuration that serves the same load.

    Parameters
    ----------
    best : Point
        The best configuration known; the bound is never above its loss.
    gap : float
        The proof may end when the bound is within this part of the best's loss.
    deadline_s : float
        On the clock of time.perf_counter.
    others : tuple of Point
        Further good configurations, whose flows say where tangents are wanted.
    """
    if unbounded_because(feeder) or best.loss_kw <= 0 or not np.isfinite(best.loss_kw):
        return 0.0
    model = build_relaxation(feeder, best)
    if not np.isfinite(model.row_high[np.isfinite(model.row_high)]).all():
        return 0.0
    proof = _Proof(model, gap, deadline_s)
    for point in (best, *others):
        proof.add(*model.flow_points(point, feeder))
    proof.add(*model.first_points(best, feeder))
    proof.relax(time.perf_counter() + LP_SHARE * (deadline_s - time.perf_counter()))
    proof.branch()
    return float(np.clip(proof.bound, 0.0, 1.0)) * best.loss_kw


class _Proof:
    """One outer approximation: the tangents so far and the best bound met, in parts of the best's loss."""

    def __init__(self, model: Relaxation, gap: float, deadline_s: float) -> None:
        self.model, self.gap, self.deadline_s = model, gap, deadline_s
        self.cuts: list[csr_array] = []
        self.bound = 0.0
        self.lp = HighsModel(relax=True, interior=model.arcs.n > LARGE)
        self._load(self.lp)

    def _load(self, solver: HighsModel) -> None:
        m = self.model
        matrix = vstack([m.matrix, *self.cuts], format="csr")
        n_cuts = matrix.shape[0] - m.matrix.shape[0]
        low, high = np.r_[m.row_low, np.full(n_cuts, -inf)], np.r_[m.row_high, np.zeros(n_cuts)]
        solver.load(csr_array(matrix), low, high, m.col_low, m.col_high, m.integer)
        solver.set_cost(m.cost)

    def add(self, arc: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        """Add tangents, to the LP too."""
        rows = self.model.tangents(arc, a, b)
        if rows.shape[0]:
            self.cuts.append(rows)
            self.lp.add_rows(rows, np.full(rows.shape[0], -inf), np.zeros(rows.shape[0]))

    def separate(self, x: np.ndarray) -> int:
        """Add the tangents at a point where it breaks the cones; return how many."""
        m = self.model
        p, q, el, w = (x[m.column(kind)] for kind in "pqlw")
        u = m.arcs.c_in * w
        used = u > 1e-6
        a, b = (
            np.where(used, p / np.where(used, u, 1.0), 0.0),
            np.where(used, q / np.where(used, u, 1.0), 0.0),
        )
        broken = np.flatnonzero(used & ((a * p + b * q) * m.arcs.weight - el > CUT))
        self.add(broken, a[broken], b[broken])
        return len(broken)

    def relax(self, until_s: float) -> None:
        """Solve the LP, add tangents, solve again, as long as that gains."""
        for _ in range(LP_ROUNDS):
            outcome = self.lp.solve(until_s)
            if outcome.status != "optimal" or outcome.x is None:
                return
            value = outcome.objective + self.model.offset
            gained = value - self.bound
            self.bound = max(self.bound, value)
            if not self.separate(outcome.x) or gained < LP_GAIN or self.bound >= 1.0 - self.gap:
                return

    def branch(self) -> None:
        """Solve MILPs, with the tangents of the answer before, until the bound is near enough or time is over."""
        while self.bound < 1.0 - self.gap and time.perf_counter() < self.deadline_s:
            mip = HighsModel(relax=False)
            self._load(mip)
            outcome = mip.solve(self.deadline_s, gap_abs=0.5 * self.gap)
            if np.isfinite(outcome.bound):
                self.bound = max(self.bound, outcome.bound + self.model.offset)
            if outcome.x is None or outcome.status != "optimal" or not self.separate(outcome.x):
                return
