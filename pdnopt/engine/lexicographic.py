"""Term after term: the most important is minimised first, held, then the next.

HiGHS's own multi-objective mode is not to be trusted for MIPs (it blends by default and drops objectives with
equal priorities while reporting "Optimal"), so the terms are solved one after another:

1. A first incumbent (:mod:`pdnopt.engine.first`).
2. For each term in order: the LP relaxation, under the terms already held, bounds it from below. An incumbent within
   the gap of that bound is proved, without any search. Otherwise: refine (what the LP made integral is fixed, the rest is a
   small MIP), the MIP with the *structure* (switches and modes) of the incumbent, the whole MIP from the incumbent - each
   only if the one before was not enough. A minor term gets the MIP in which what the incumbent moved may go back and
   nothing else moves, the MIP with the structure held and the MIP with the service held, each for a limited number of
   nodes (not of seconds, so that the same input gives the same plan), and never the whole.
3. The term is held at the incumbent's value. Where the structure as it stands is as good within the gaps, it stands.

Every value has its own proven bound, in its own unit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from pdnopt.engine.first import PART_SHARE, REFINE_NODES, first_point
from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.engine.question import Ladder, Question, TermResult
from pdnopt.engine.remote import Worker
from pdnopt.engine.solvers import Solvers
from pdnopt.engine.space import INTEGRAL, Space

__all__ = ["Ladder", "Question", "TermResult", "solve_in_order"]

WHOLE_SHARE = 0.5
"""Part of the time left that the whole MIP may use."""

UNDO_SHARE, UNDO_NODES = 0.5, 1000
"""Part of the time left, and nodes, for the undoing of needless moves."""

MINOR_NODES = 10
"""Nodes of a search for a minor term (in reroute: every one that is not unserved load)."""


def solve_in_order(
    question: Question, solvers: tuple[HighsModel, HighsModel] | None = None, worker: Worker | None = None
) -> Ladder:
    """Minimise the terms of a compiled model one after another.

    Parameters
    ----------
    question : Question
    solvers : (relaxation, mip), optional
        Reused HiGHS models.
    worker : Worker, optional
        Solves what is large enough to overshoot the deadline, and is killed there.
    """
    whole, mip = solvers or (HighsModel(relax=True), HighsModel(relax=False))
    return _Run(question, Solvers(whole, mip, worker, np.isfinite(question.deadline_s))).ladder()


class _Run:
    """One question being answered: the space that is left, and the incumbent."""

    def __init__(self, question: Question, solvers: Solvers) -> None:
        self.question = question
        self.begun_s = time.perf_counter()
        self.space = Space(question, solvers)
        self.structure = np.zeros(0, dtype=int) if question.hint is None else question.hint[0]
        self.local = False
        self.x: np.ndarray | None = None
        self.trace: list[tuple[float, str, float, float]] = []

    def ladder(self) -> Ladder:
        """Find a first incumbent, then improve and hold term after term."""
        question = self.question
        if question.frozen and question.hint is not None:
            self.space.fix(*question.hint)
            self.structure = np.zeros(0, dtype=int)
        first = first_point(self.space)
        self.x, self.local = first.x, first.local
        if first.status != "feasible":
            known = [] if self.x is None else [self._take(name) for name in question.names]
            return Ladder(first.status, self.x, known, self.trace)
        terms: list[TermResult] = []
        for name in question.names:
            terms.append(self._take(name) if name in question.skipped else self._improve(name))
            if question.grouped and name == question.grouped[-1]:
                self._settle_for(terms)
        assert self.x is not None
        terms = [TermResult(term.name, question.value(term.name, self.x), term.bound) for term in terms]
        return Ladder("optimal" if self._proved(terms) else "feasible", self.x, terms, self.trace)

    def _settle_for(self, terms: list[TermResult]) -> None:
        """Let the structure stand where that is as good; else let the least critical term in question grow a little."""
        question, slack = self.question, self.question.indifferent[1]
        if self._stand({name: question.gaps[name] for name in question.grouped}):
            return
        marginal = [term for term in terms if term.name in question.grouped and term.value > slack]
        if marginal:
            self.space.hold(marginal[-1].name, marginal[-1].value + slack)

    def _proved(self, terms: list[TermResult]) -> bool:
        """Whether every term that is not minor is within its gap of its bound, or within what is not worth a move."""
        question, slack = self.question, self.question.indifferent[1]
        allowed = {n: question.gaps[n] + (slack if n in question.grouped else 0.0) for n in question.names}
        return all(
            term.value <= term.bound + allowed[term.name] * (1 + 1e-6) + 1e-6
            for term in terms
            if term.name not in question.minor
        )

    def _note(self, name: str, value: float, bound: float) -> None:
        self.trace.append((time.perf_counter() - self.begun_s, name, value, bound))

    def _take(self, name: str) -> TermResult:
        """Return a term as the incumbent has it."""
        assert self.x is not None
        return TermResult(name, self.question.value(name, self.x), self.question.least(name))

    def _improve(self, name: str) -> TermResult:
        """Prove or improve one term under those already held, and hold it."""
        assert self.x is not None
        question = self.question
        gap, offset = question.gaps[name], question.model.offset[name]
        value, bound = question.value(name, self.x), question.least(name)
        self._note(name, value, bound)
        if value > bound + gap and self.local and name in question.settled:
            # nothing moves, and near the disturbance no bound is claimed: the structure as found is all there is to solve
            value, bound = self._search(name, value, bound, None)
        elif value > bound + gap:
            relaxed = self.space.relax(question.model.cost[name], cold=name in question.settled)
            if relaxed.status == "optimal" and relaxed.x is not None:
                bound = max(bound, relaxed.objective + offset)
                if self._integral(relaxed.x):
                    self.x, value = self._rounded(relaxed.x), relaxed.objective + offset
            self._note(name, value, bound)
            if value > bound + gap:
                value, bound = self._search(name, value, bound, relaxed.x)
        bound = min(question.least(name) if self.local else bound, value)
        self._note(name, value, bound)
        self.space.hold(name, value)
        self._pin(name, value)
        return TermResult(name, value, bound)

    def _search(
        self, name: str, value: float, bound: float, relaxed: np.ndarray | None
    ) -> tuple[float, float]:
        """Search for less of a term than the incumbent has, the small searches first."""
        question, space = self.question, self.space
        cost, offset, gap = question.model.cost[name], question.model.offset[name], question.gaps[name]
        minor, moving = name in question.minor, name not in question.settled

        def take(found: Outcome) -> None:
            nonlocal value
            if found.x is not None and found.objective + offset < value - 1e-9:
                self.x, value = found.x, found.objective + offset
                self._note(name, value, bound)

        def tell(objective: float, lowest: float) -> None:
            self._note(name, min(value, objective + offset), max(bound, lowest + offset))

        part = space.whole() if relaxed is not None and moving else None
        if part is not None and relaxed is not None:
            take(part.refine(relaxed, cost, gap, space.until(PART_SHARE), REFINE_NODES))
        if value > bound + gap and minor and moving and len(self.structure):
            take(self._with(self._unmoved(), cost, gap, UNDO_NODES, UNDO_SHARE))
        if value > bound + gap and len(self.structure):
            take(self._with(self.structure, cost, gap, MINOR_NODES if minor else REFINE_NODES))
        if value > bound + gap and minor and moving and len(question.service):
            take(self._with(question.service, cost, gap, MINOR_NODES))
        if value > bound + gap and not (minor and len(question.service)):
            searched = space.search(cost, gap, space.until(WHOLE_SHARE), self.x, tell)
            take(searched)
            if np.isfinite(searched.bound):
                bound = max(bound, searched.bound + offset)
        return value, bound

    def _with(
        self, columns: np.ndarray, cost: np.ndarray, gap: float, max_nodes: int, share: float = PART_SHARE
    ) -> Outcome:
        """Run the MIP with some columns held where the incumbent has them."""
        assert self.x is not None
        part = self.space.part(columns, np.round(self.x[columns]))
        if part is None:
            return Outcome("infeasible", None, np.inf, np.inf)
        return part.search(cost, gap, self.space.until(share), self.x, max_nodes)

    def _unmoved(self) -> np.ndarray:
        """Return the structure that the incumbent leaves where it stands: the rest of its moves may be undone."""
        assert self.x is not None
        assert self.question.hint is not None
        columns, values = self.question.hint
        still: np.ndarray = columns[np.abs(self.x[columns] - values) < 0.5]
        return still

    def _stand(self, gaps: Mapping[str, float]) -> bool:
        """Go back to the point given at the start where that is as good, within the gaps, in every term given."""
        start = self.question.start
        if start is None or self.x is None:
            return False
        values = {name: self.question.value(name, start) for name in gaps}
        if any(values[name] > self.question.value(name, self.x) + gap for name, gap in gaps.items()):
            return False
        self.x = start
        for name, value in values.items():
            self.space.hold(name, value)
        return True

    def _pin(self, name: str, value: float) -> None:
        """Fix what a term at its lowest possible value leaves no choice: what is solved after it becomes small.

        Columns whose cost is not zero are then at the bound that minimises it; at no action at all the structure
        stands where it is.
        """
        question, cost = self.question, self.question.model.cost[name]
        best = question.best(name)
        if best is not None:
            lowest = float(cost[best[0]] @ best[1]) + question.model.offset[name]
            if value <= lowest + INTEGRAL:
                self.space.fix(*best)
        at_rest = name == question.pinned and value <= question.floors.get(name, -np.inf) + INTEGRAL
        if at_rest and question.hint is not None:
            self.space.fix(*question.hint)

    def _integral(self, x: np.ndarray) -> bool:
        part = x[self.question.model.integer]
        return bool(np.all(np.abs(part - np.round(part)) <= INTEGRAL))

    def _rounded(self, x: np.ndarray) -> np.ndarray:
        return np.where(self.question.model.integer, np.round(x), x)
