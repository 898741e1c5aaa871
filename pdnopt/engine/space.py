"""The model as the search narrows it: terms held, columns fixed; and the parts of it that are solved.

Every part is reduced (:mod:`pdnopt.engine.reduction`) before HiGHS sees it. Points and objectives are those of the whole
model: nobody outside of here sees the smaller one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.engine.highs import Outcome
from pdnopt.engine.question import Question
from pdnopt.engine.reduction import Arrays, Reduction, reduce_arrays
from pdnopt.engine.solvers import Found, Solver, Solvers

__all__ = ["INTEGRAL", "Part", "Space"]

INTEGRAL = 1e-6
"""An integer column this near to an integer is one."""

HOLD = 1e-7
"""A held term may drift by this part of its scale, so that the next LP is not infeasible by rounding."""

INFEASIBLE, NOTHING = Outcome("infeasible", None, inf, inf), Outcome("no_incumbent", None, inf, -inf)


@dataclass(frozen=True)
class Part:
    """A part of the model: some columns held, and what that leaves open."""

    reduced: Reduction
    solvers: Solvers

    def relax(self, cost: np.ndarray, until_s: float) -> Outcome:
        """Solve the LP relaxation; "infeasible" is taken at its word."""
        solver = self.solvers.trial(self.reduced.arrays, relax=True)
        return self._solve(solver, cost, until_s, believe=True)

    def search(
        self,
        cost: np.ndarray,
        gap: float,
        until_s: float,
        start: np.ndarray | None = None,
        max_nodes: int | None = None,
        found: Found | None = None,
    ) -> Outcome:
        """Solve the MIP. "infeasible" is taken at its word where nodes are limited: that is but a trial."""
        constant = self.reduced.cost(cost)[1]

        def tell(objective: float, bound: float) -> None:
            if found is not None:
                found(objective + constant, bound + constant)

        solver = self.solvers.trial(self.reduced.arrays, relax=False, found=tell)
        return self._solve(solver, cost, until_s, gap, start, max_nodes, max_nodes is not None)

    def refine(
        self, relaxed: np.ndarray, cost: np.ndarray, gap: float, until_s: float, max_nodes: int
    ) -> Outcome:
        """Fix what an LP made integral, solve the rest as a small MIP."""
        arrays = self.reduced.arrays
        x = relaxed[self.reduced.columns]
        settled = np.flatnonzero(arrays.integer & (np.abs(x - np.round(x)) <= INTEGRAL))
        at = np.round(x[settled])
        left = reduce_arrays(arrays.held(settled, at, at))
        if left is None:
            return INFEASIBLE
        inner = Part(self.reduced.then(left), self.solvers)
        return inner.search(cost, gap, until_s, max_nodes=max_nodes)

    def _solve(
        self,
        solver: Solver,
        cost: np.ndarray,
        until_s: float,
        gap: float = 0.0,
        start: np.ndarray | None = None,
        max_nodes: int | None = None,
        believe: bool = False,
    ) -> Outcome:
        left = self.reduced
        own, _ = left.cost(cost)
        if not len(own):
            return decided(left, cost)
        load(solver, left.arrays)
        solver.set_cost(own)
        point = None if start is None else start[left.columns]
        return lifted(left, cost, solver.solve(until_s, gap, point, max_nodes, believe))


def load(solver: Solver, arrays: Arrays) -> None:
    """Pass arrays to HiGHS."""
    solver.load(
        arrays.matrix, arrays.row_low, arrays.row_high, arrays.col_low, arrays.col_high, arrays.integer
    )


def decided(left: Reduction, cost: np.ndarray) -> Outcome:
    """Return the one point of a model of which nothing is left."""
    value = float(cost @ left.point)
    return Outcome("optimal", left.point, value, value)


def lifted(left: Reduction, cost: np.ndarray, outcome: Outcome) -> Outcome:
    """Return an outcome of what is left as one of the whole model."""
    constant = left.cost(cost)[1]
    if outcome.x is None:
        return Outcome(outcome.status, None, outcome.objective, outcome.bound + constant)
    x = left.lift(outcome.x)
    value = float(cost @ x)
    return Outcome(outcome.status, x, value, min(outcome.bound + constant, value))


class Space:
    """The model of one question, ever narrower, and the HiGHS models that solve it and its parts.

    Parameters
    ----------
    question : Question
    solvers : Solvers
    """

    def __init__(self, question: Question, solvers: Solvers) -> None:
        model = question.model
        self.question, self.solvers = question, solvers
        names = question.names
        held = csr_array(np.vstack([model.cost[name] for name in names]))
        self.row_of = {name: model.matrix.shape[0] + k for k, name in enumerate(names)}
        self.arrays = Arrays(
            csr_array(vstack([model.matrix, held], format="csr")),
            np.r_[model.row_low, np.full(len(names), -inf)],
            np.r_[model.row_high, np.full(len(names), inf)],
            model.col_low.copy(),
            model.col_high.copy(),
            model.integer,
        )
        self._reduced: list[Reduction | None] = []
        self._loaded: Reduction | None = None
        self._lp: Solver
        if not question.frozen and not question.outsides:
            solvers.expect(self.arrays.matrix.nnz)

    def until(self, share: float) -> float:
        """Return the time at which a search that may use a share of what is left must end."""
        now, deadline_s = time.perf_counter(), self.question.deadline_s
        return now + share * (deadline_s - now) if np.isfinite(deadline_s) else inf

    @property
    def late(self) -> bool:
        """Whether the time is over: nothing is reduced or solved any more."""
        return time.perf_counter() >= self.question.deadline_s

    def part(self, columns: np.ndarray, values: np.ndarray) -> Part | None:
        """Return the part with some columns held; None where it is infeasible, or the time is over."""
        whole = None if self.late else self._open()
        if whole is None:
            return None
        place = whole.places[columns]
        gone = place < 0
        if (np.abs(whole.point[columns[gone]] - values[gone]) > INTEGRAL).any():
            return None
        at = values[~gone]
        keep = np.flatnonzero(whole.rows == self.row_of.get(self.question.pinned, -1))
        left = reduce_arrays(whole.arrays.held(place[~gone], at, at), keep)
        return None if left is None else Part(whole.then(left), self.solvers)

    def limited(self, part: Part, moves: float) -> Part | None:
        """Return a part with at most so many moves, if they are counted; None where it is infeasible."""
        pinned, left = self.question.pinned, part.reduced
        if pinned not in self.row_of or moves == inf:
            return part
        row = self.row_of[pinned]
        room = moves - self.question.model.offset[pinned] - left.shift[row]
        place = np.flatnonzero(left.rows == row)
        if not len(place):
            return part if room >= -INTEGRAL else None
        row_high = left.arrays.row_high.copy()
        row_high[place] = np.minimum(row_high[place], room)
        return replace(part, reduced=replace(left, arrays=replace(left.arrays, row_high=row_high)))

    def whole(self) -> Part | None:
        """Return all that is still open as a part; None where nothing feasible is, or the time is over."""
        left = None if self.late else self._open()
        return None if left is None else Part(left, self.solvers)

    def _open(self) -> Reduction | None:
        """Reduce all that is still open, once as long as nothing is held or fixed."""
        if not self._reduced:
            self._reduced = [reduce_arrays(self.arrays, list(self.row_of.values()))]
        return self._reduced[0]

    def search(
        self,
        cost: np.ndarray,
        gap: float,
        until_s: float,
        start: np.ndarray | None = None,
        found: Found | None = None,
    ) -> Outcome:
        """Solve the MIP of all that is open; ``found`` is told what a worker finds on the way."""
        if self.late:
            return NOTHING
        part = self.whole()
        return INFEASIBLE if part is None else part.search(cost, gap, until_s, start, found=found)

    def relax(self, cost: np.ndarray, cold: bool = False) -> Outcome:
        """Solve the LP relaxation of all that is open, from the last basis unless ``cold``."""
        if self.late:
            return NOTHING
        if self._loaded is None or cold:
            self._loaded = self._open()
            if self._loaded is None:
                return INFEASIBLE
            self._lp = self.solvers.whole(self._loaded.arrays)
            load(self._lp, self._loaded.arrays)
        if not len(self._loaded.columns):
            return decided(self._loaded, cost)
        self._lp.set_cost(self._loaded.cost(cost)[0])
        return lifted(self._loaded, cost, self._lp.solve(self.question.deadline_s))

    def hold(self, name: str, value: float) -> None:
        """Keep a term at (or below) a value from now on."""
        cost, row = self.question.model.cost[name], self.row_of[name]
        slack = HOLD * max(1.0, abs(value), float(np.abs(cost).max(initial=0.0)))
        high = value - self.question.model.offset[name] + slack
        self.arrays.row_high[row] = high
        self._reduced = []
        if self._loaded is not None:
            for place in np.flatnonzero(self._loaded.rows == row):
                self._lp.set_row_bounds(int(place), -inf, high - self._loaded.shift[row])

    def fix(self, columns: np.ndarray, values: np.ndarray) -> None:
        """Fix columns for good. The LP keeps its basis: the incumbent is still in it."""
        self.arrays.col_low[columns] = values
        self.arrays.col_high[columns] = values
        self._reduced = []
        if self._loaded is not None:
            place = self._loaded.places[columns]
            open_ = place >= 0
            self._lp.set_col_bounds(place[open_], values[open_], values[open_])
