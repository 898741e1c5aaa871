"""Term after term: the most important is minimised first, held, then the next.

HiGHS's own multi-objective mode is not to be trusted for MIPs (it blends by default and drops objectives with
equal priorities while reporting "Optimal"), so the terms are solved one after another:

1. A *blend* of all terms gives a first incumbent (fix-and-refine: the LP's integral part is fixed, the rest is a
   small MIP; then the whole MIP if that fails).
2. For each term in order: the LP relaxation, under the terms already held, bounds it from below. An incumbent within
   the gap of that bound is proved, without any search. Otherwise the MIP runs, from the incumbent.
3. The term is held at the incumbent's value.

Every value has its own proven bound, in its own unit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.engine.compiled import CompiledModel
from pdnopt.engine.highs import HighsModel, Outcome

__all__ = ["Ladder", "TermResult", "solve_in_order"]

INTEGRAL = 1e-6
HOLD = 1e-7
"""A held term may drift by this part of its scale, so that the next LP is not infeasible by rounding."""


@dataclass(frozen=True)
class TermResult:
    """One term: its value at the incumbent and its proven lower bound under the terms before it."""

    name: str
    value: float
    bound: float


@dataclass
class Ladder:
    """The outcome of all terms.

    ``status`` is "optimal" when every term is proved within its gap, "feasible" when the clock ended it with an
    incumbent, "infeasible" or "no_incumbent" otherwise. ``trace`` rows are (seconds, term, value, bound).
    """

    status: str
    x: np.ndarray | None
    terms: list[TermResult]
    trace: list[tuple[float, str, float, float]] = field(default_factory=list)


class _Run:
    """One lexicographic solve: two HiGHS models (relaxation and MIP) over the same arrays."""

    def __init__(self, model: CompiledModel, deadline_s: float, relaxation: HighsModel, mip: HighsModel) -> None:
        self.model, self.deadline_s = model, deadline_s
        self.names = list(model.cost)
        self.start_s = time.perf_counter()
        held = csr_array(np.vstack([model.cost[name] for name in self.names]))
        matrix = csr_array(vstack([model.matrix, held], format="csr"))
        row_low = np.r_[model.row_low, np.full(len(self.names), -inf)]
        row_high = np.r_[model.row_high, np.full(len(self.names), inf)]
        self.row_of = {name: model.matrix.shape[0] + k for k, name in enumerate(self.names)}
        self.lp, self.mip = relaxation, mip
        for solver in (self.lp, self.mip):
            solver.load(matrix, row_low, row_high, model.col_low, model.col_high, model.integer)
        self.integer = np.flatnonzero(model.integer)
        self.x: np.ndarray | None = None
        self.trace: list[tuple[float, str, float, float]] = []

    def note(self, name: str, value: float, bound: float) -> None:
        self.trace.append((time.perf_counter() - self.start_s, name, value, bound))

    def value(self, name: str, x: np.ndarray) -> float:
        return float(self.model.cost[name] @ x) + self.model.offset[name]

    def first_incumbent(self, blend: np.ndarray, gap: float) -> str:
        """Find a first point for the blend of all terms. Returns a status."""
        self.lp.set_cost(blend)
        relaxed = self.lp.solve(self.deadline_s)
        if relaxed.status == "infeasible":
            return "infeasible"
        if relaxed.x is None:
            return "no_incumbent"
        self.mip.set_cost(blend)
        found = self._refine(relaxed.x, gap)
        if found is None or found.objective > relaxed.objective + gap:
            start = None if found is None else found.x
            whole = self.mip.solve(self.deadline_s, gap, start)
            if whole.status == "infeasible" and found is None:
                return "infeasible"
            found = whole if whole.x is not None else found
        if found is None or found.x is None:
            return "no_incumbent"
        self.x = found.x
        return "feasible"

    def _refine(self, relaxed: np.ndarray, gap: float) -> Outcome | None:
        """Fix what the LP made integral, solve the rest as a small MIP."""
        part = relaxed[self.integer]
        whole = np.round(part)
        settled = self.integer[np.abs(part - whole) <= INTEGRAL]
        if len(settled) < len(self.integer) // 2:
            return None
        at = np.round(relaxed[settled])
        self.mip.set_col_bounds(settled, at, at)
        outcome = self.mip.solve(self.deadline_s, gap)
        self.mip.set_col_bounds(settled, self.model.col_low[settled], self.model.col_high[settled])
        return outcome if outcome.x is not None else None

    def improve(self, name: str, gap: float) -> TermResult:
        """Prove or improve one term under those already held, and hold it."""
        assert self.x is not None
        value = self.value(name, self.x)
        offset = self.model.offset[name]
        bound = self._trivial_bound(name)
        self.note(name, value, bound)
        if value > bound + gap:
            self.lp.set_cost(self.model.cost[name])
            relaxed = self.lp.solve(self.deadline_s)
            if relaxed.status == "optimal":
                bound = max(bound, relaxed.objective + offset)
                if relaxed.x is not None and self._integral(relaxed.x):
                    self.x, value = self._rounded(relaxed.x), relaxed.objective + offset
            self.note(name, value, bound)
            if value > bound + gap:
                value, bound = self._search(name, gap, value, bound, relaxed.x)
        bound = min(bound, value)
        self.note(name, value, bound)
        self.hold(name, value)
        return TermResult(name, value, bound)

    def _search(
        self, name: str, gap: float, value: float, bound: float, relaxed: np.ndarray | None
    ) -> tuple[float, float]:
        offset = self.model.offset[name]
        self.mip.set_cost(self.model.cost[name])
        if relaxed is not None:
            found = self._refine(relaxed, gap)
            if found is not None and found.x is not None and found.objective + offset < value - 1e-9:
                self.x, value = found.x, found.objective + offset
                self.note(name, value, bound)
        if value > bound + gap:
            searched = self.mip.solve(self.deadline_s, gap, self.x)
            if searched.x is not None and searched.objective + offset < value - 1e-9:
                self.x, value = searched.x, searched.objective + offset
            if np.isfinite(searched.bound):
                bound = max(bound, searched.bound + offset)
        return value, bound

    def hold(self, name: str, value: float) -> None:
        """Keep a term at (or below) a value from now on."""
        slack = HOLD * max(1.0, abs(value), float(np.abs(self.model.cost[name]).max(initial=0.0)))
        high = value - self.model.offset[name] + slack
        for solver in (self.lp, self.mip):
            solver.set_row_bounds(self.row_of[name], -inf, high)

    def _trivial_bound(self, name: str) -> float:
        cost = self.model.cost[name]
        used = np.flatnonzero(cost)
        c = cost[used]
        at = np.where(c > 0, self.model.col_low[used], self.model.col_high[used])
        return float(c @ at) + self.model.offset[name] if np.isfinite(at).all() else -inf

    def _integral(self, x: np.ndarray) -> bool:
        part = x[self.integer]
        return bool(np.all(np.abs(part - np.round(part)) <= INTEGRAL))

    def _rounded(self, x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[self.integer] = np.round(x[self.integer])
        return x


def solve_in_order(
    model: CompiledModel,
    gaps: Mapping[str, float],
    weights: Mapping[str, float],
    deadline_s: float = inf,
    order: Sequence[str] | None = None,
    solvers: tuple[HighsModel, HighsModel] | None = None,
) -> Ladder:
    """Minimise the terms of a compiled model one after another.

    Parameters
    ----------
    gaps : mapping
        Absolute gap of each term, in its unit: within it a term counts as proved.
    weights : mapping
        Weights of the blend that gives the first incumbent; they steer the search, never the answer's order.
    deadline_s : float
        On the clock of ``time.perf_counter``.
    order : sequence of str
        The terms, most important first; terms left out are ignored.
    solvers : (relaxation, mip)
        Reused HiGHS models.
    """
    order = list(model.cost) if order is None else list(order)
    relaxation, mip = solvers or (HighsModel(relax=True), HighsModel(relax=False))
    run = _Run(model, deadline_s, relaxation, mip)
    blend = np.zeros(model.n_columns)
    for name in order:
        blend += weights.get(name, 0.0) * model.cost[name]
    blend_gap = min((weights[n] * gaps[n] for n in order if weights.get(n)), default=1e-6)
    status = run.first_incumbent(blend, blend_gap)
    if status != "feasible":
        return Ladder(status, None, [], run.trace)
    terms = [run.improve(name, gaps[name]) for name in order]
    proved = all(t.value <= t.bound + gaps[t.name] * (1 + 1e-9) + 1e-9 for t in terms)
    return Ladder("optimal" if proved else "feasible", run.x, terms, run.trace)
