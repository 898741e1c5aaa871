"""The programme on one persistent HiGHS model: rows of the pool only where they are needed, terms one after another.

A polygon has many sides, of which one or two matter. So the model starts with the rows that mattered before; what its answer
breaks is added, until nothing is broken: the answer is that of the whole programme.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.balancing.compilation import Compilation, Linear
from pdnopt.balancing.data import SLACK
from pdnopt.engine.highs import HighsModel, Outcome, extended

__all__ = ["Answer", "Programme"]

MEANS = ("spread_sum", "neutral")
"""Sums over feeders."""
PART = 1e-3
"""Part of a term by which it may be worse on top."""
BROKEN = 1e-5
"""A row of the pool is broken from here on, pu. HiGHS keeps rows to 1e-7."""
BROKEN_SIZE = 4e-4
"""The same where a row says how large an inverter's apparent power is, as part of its rating: the checker takes 5e-4."""
TOGETHER = ("losses", "effort")
"""The last two terms are minimised in one: `TIE` of the second on top of the first. The first is then worse than its least
by no more than `TIE` of the most that the second can be."""
TIE = 1e-4


@dataclass(frozen=True)
class Answer:
    """The values of the terms, and of the variables by name; ``status`` of the stage that ended worst."""

    status: str
    terms: dict[str, float]
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class Memory:
    """Where solves start from: rows of the pool, the basis of each term's LP, whether that was the last that was solved."""

    rows: np.ndarray
    bases: dict[str, Any]
    used: bool = True


NEW = Memory(np.zeros(0, dtype=int), {})


class Programme:
    """A convex model, solved at one point after another. No term ("t_" and its name) is below 0.

    Where nothing was left of the leading terms last time, that is tried first, as boxes (`Nothing`): one LP instead of one a
    term. Only if it cannot be, or was not last time, are all terms solved.
    """

    def __init__(self, model: Any, compilation: Any = None, nothing: Any = None) -> None:
        self.compilation = c = Compilation(model) if compilation is None else compilation
        self.nothing: Any = getattr(model, "nothing", None) if nothing is None else nothing
        self._highs = HighsModel(relax=True)
        self._held = np.zeros(len(c.family), dtype=bool)
        self._memory = self._kept = {"boxed": NEW, "whole": NEW}
        self._tolerance = np.full(len(c.family), BROKEN)
        self._way = "whole"
        self._rows = NEW.rows
        self._counted = len(c.column.get("spread", ()))
        self._busy = {"whole": np.ones(len(c.family), dtype=bool)}
        if self.nothing is not None:
            self._boxed = np.concatenate([c.places[name] for name in self.nothing.boxes])
            self._half = np.concatenate(list(self.nothing.boxes.values()))
            idle = np.any([c.concerns(name) for name in self.nothing.idle], axis=0)
            self._busy["boxed"] = ~idle

    def keep(self) -> None:
        """Keep bases and rows: `rewind` goes back to them."""
        self._kept = self._memory

    def rewind(self) -> None:
        """Forget what was solved since `keep`, so that an answer does not depend on it."""
        self._memory = self._kept

    def solve(self, point: Any, terms: tuple[str, ...], deadline_s: float = inf) -> Answer:
        """Solve term after term at a point; successive calls start from the last bases until `rewind`."""
        linear = self.compilation.at(point)
        self._tolerance = tolerance(self.compilation, linear)
        n = 0 if self.nothing is None else len(self.nothing.terms)
        if n and terms[:n] == self.nothing.terms and len(terms) > n and self._memory["boxed"].used:
            answer = self._boxed_answer(linear, terms, n, deadline_s)
            if answer.status != "infeasible":
                return answer
            self._memory = self._memory | {"boxed": replace(self._memory["boxed"], used=False)}
        return self._solve("whole", linear, terms, deadline_s)

    def _boxed_answer(self, linear: Linear, terms: tuple[str, ...], n: int, deadline_s: float) -> Answer:
        answer = self._solve("boxed", linear, terms[n:], deadline_s)
        if not answer.values:
            return answer
        return replace(answer, terms={terms[0]: 0.0, **self.nothing.measure(answer.values), **answer.terms})

    def _solve(self, way: str, linear: Linear, terms: tuple[str, ...], deadline_s: float) -> Answer:
        self._way, memory = way, self._memory[way]
        self._rows = memory.rows
        self._load(linear)
        column = {term: self.compilation.column[f"t_{term}"] for term in terms}
        found: dict[str, float] = {}
        bases: dict[str, Any] = {}
        x: np.ndarray | None = None

        def answer(status: str) -> Answer:
            return Answer(status, found, {} if x is None else self.compilation.values(linear, x))

        for term in terms:
            slack = self.slack(term)
            if term == TOGETHER[1] and TOGETHER[0] in bases and x is not None:
                found[term] = x[column[term]].item()
                continue
            if x is not None and x[column[term]].item() <= slack:  # no term is below 0: it is settled
                found[term] = max(x[column[term]].item(), 0.0)
                self._hold(column[term], slack)
                continue
            basis = memory.bases.get(term)
            if basis is not None:
                self._highs.start_from(extended(basis, self._highs.n_rows))
            tie = column[TOGETHER[1]] if term == TOGETHER[0] and terms[-2:] == TOGETHER else None
            outcome = self._minimise(linear, column[term], tie, deadline_s)
            if outcome.x is None:
                return answer(outcome.status if x is None else "feasible")
            x = outcome.x
            found[term] = max(x[column[term]].item(), 0.0)
            if outcome.status != "optimal":
                return answer("feasible")
            self._hold(column[term], (1.0 + PART) * found[term] + slack)
            bases[term] = self._highs.basis()
        new = Memory(self._rows, {term: extended(basis, self._highs.n_rows) for term, basis in bases.items()})
        self._memory = self._memory | {way: new}
        return answer("optimal")

    def slack(self, term: str) -> float:
        """Return how much worse a term may be for the sake of those after it."""
        return SLACK.get(term, 0.0) * (self._counted if term in MEANS else 1.0)

    def _load(self, linear: Linear) -> None:
        matrix, floor = linear.rows(self._rows)
        parts, low, high = [linear.equal], [linear.level], [linear.level]
        col_high = linear.high
        if self._way == "boxed":
            boxes, box_low, box_high = linear.box(self._boxed, self._half)
            parts, low, high = [*parts, boxes], [*low, box_low], [*high, box_high]
            col_high = linear.high.copy()
            col_high[self.compilation.column[f"t_{self.nothing.terms[0]}"]] = SLACK[self.nothing.terms[0]]
        whole = csr_array(vstack([*parts, matrix]))
        low, high = [*low, floor], [*high, np.full(len(floor), inf)]
        free = np.zeros(whole.shape[1], dtype=bool)
        col_low = linear.low.copy()
        for name, column in self.compilation.column.items():
            if name.startswith("t_"):
                col_low[column] = np.maximum(col_low[column], 0.0)
        self._highs.load(whole, np.concatenate(low), np.concatenate(high), col_low, col_high, free)

    def _hold(self, column: np.ndarray, most: float) -> None:
        self._highs.set_col_bounds(column, np.zeros(1), np.array([most]))

    def _minimise(
        self, linear: Linear, column: np.ndarray, tie: np.ndarray | None, deadline_s: float
    ) -> Outcome:
        """Minimise one column; rows that the answer breaks are added until there are none."""
        cost = np.zeros(self.compilation.n)
        cost[column] = 1.0
        if tie is not None:
            cost[tie] = TIE
        self._highs.set_cost(cost)
        while True:
            outcome = self._highs.solve(deadline_s, believe=self._way == "boxed")
            if outcome.x is None:
                return outcome
            new = self._broken(linear.beyond(outcome.x))
            if not len(new):
                return outcome
            if outcome.status != "optimal":  # cut off: not an answer of the whole programme
                return Outcome("no_incumbent", None, inf, outcome.bound)
            matrix, floor = linear.rows(new)
            self._highs.add_rows(matrix, floor, np.full(len(new), inf))
            self._rows = np.r_[self._rows, new]

    def _broken(self, beyond: np.ndarray) -> np.ndarray:
        """Return of every broken polygon the side that is broken most; not from nothing, its neighbours too."""
        beyond = np.where(self._busy[self._way], beyond, 0.0)
        beyond[self._rows] = 0.0
        broken = np.flatnonzero(beyond > self._tolerance)
        family = self.compilation.family[broken]
        order = np.lexsort((-beyond[broken], family))
        worst = broken[order[np.r_[True, np.diff(family[order]) > 0][: len(order)]]]
        new = np.zeros(len(beyond), dtype=bool)
        new[self.compilation.beside[worst].ravel() if self._memory[self._way].bases else worst] = True
        new[self._rows] = False
        return np.flatnonzero(new)


def tolerance(compilation: Any, linear: Linear) -> np.ndarray:
    """Return from where on each row of the pool is broken."""
    column = compilation.size_column
    rated = np.abs(linear.high[np.maximum(column, 0)]) if len(linear.high) else np.zeros(len(column))
    return np.where(column < 0, BROKEN, np.clip(BROKEN_SIZE * rated, 1e-7, 1e-4))
