"""One call of `solve`, and its attempts: answers whose moves were ordered, and which the checker judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isnan, nan
from typing import Any

from pdnopt.acjudge import AcJudge
from pdnopt.checker import Checker, CheckReport
from pdnopt.engine.lexicographic import Ladder
from pdnopt.errors import Issue
from pdnopt.optimiser import INDIFFERENT_KW, Answer, Prepared
from pdnopt.plan import Plan
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State
from pdnopt.repairs import Repairs
from pdnopt.response import Overload, Response
from pdnopt.result import Status
from pdnopt.sequence import Sequence, order_after

__all__ = ["Attempt", "Attempts", "Job", "serves_no_less", "status_of", "unserved_of"]

SPANS = ("update_s", "solve_s", "sequence_s", "check_s")

TraceRow = tuple[float, str, float, float]
"""Seconds since the call, term, value, bound."""

ORDER_SHARE = 0.6
"""Part of the time left that the search for an order of moves may use."""


@dataclass
class Job:
    """One call of `solve`: what it was given, what the devices did, when it must end, what it took so far.

    ``spent``: the part of its overload budget that a component has used before a plan can relieve it, by name.
    ``gaps``: by how much a term may miss its bound and count as proved, in its unit.
    ``trace``: what was known when, of solves and of verified plans; ``first_plan_s``: when the first plan was verified.
    """

    options: Any
    demand: Demand
    response: Response
    found: tuple[Overload, ...]
    repairs: Repairs
    spent: dict[str, float]
    gaps: Callable[[str], float]
    begun_s: float
    deadline_s: float
    spans: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SPANS, 0.0))
    trace: list[TraceRow] = field(default_factory=list)
    first_plan_s: float = nan

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() >= self.deadline_s

    def tell(self, ladder: Ladder, begun_s: float) -> None:
        """Add what a solve that began at a time found to the trace."""
        offset_s = begun_s - self.begun_s
        self.trace += [(offset_s + t_s, name, value, bound) for t_s, name, value, bound in ladder.trace]

    def verified(self, answer: Answer) -> None:
        """Note that a plan was verified now."""
        now_s = time.perf_counter() - self.begun_s
        if isnan(self.first_plan_s):
            self.first_plan_s = now_s
        self.trace += [(now_s, term.name, term.value, term.bound) for term in answer.ladder.terms]

    def until_s(self, share: float) -> float:
        """Return when a share of the time left is over, on the clock of time.perf_counter."""
        now = time.perf_counter()
        return now + share * max(self.deadline_s - now, 0.0)


@dataclass(frozen=True)
class Attempt:
    """An answer of the optimiser, ordered and judged by the checker."""

    answer: Answer
    prepared: Prepared | None
    target: State
    sequence: Sequence
    plan: Plan
    report: CheckReport
    status: Status

    @property
    def ok(self) -> bool:
        """Whether the plan is verified."""
        return self.status in ("optimal", "feasible")


class Attempts:
    """Makes attempts on one network.

    Parameters
    ----------
    problem : str
        Name of the formulation.
    curves : CurveBook
    judge : AcJudge
    checker : Checker
    """

    def __init__(self, problem: str, curves: CurveBook, judge: AcJudge, checker: Checker) -> None:
        self.problem, self.curves, self.judge, self.checker = problem, curves, judge, checker

    def make(self, job: Job, answer: Answer, prepared: Prepared | None) -> Attempt:
        """Order an answer's moves and let the checker judge the plan."""
        target = answer.target if answer.target is not None else job.response.state
        begun = time.perf_counter()
        sequence = self._order(job, target)
        plan = self._plan(job.response, sequence, job.options)
        job.spans["sequence_s"] += time.perf_counter() - begun
        begun = time.perf_counter()
        report = self.checker.report(plan)
        job.spans["check_s"] += time.perf_counter() - begun
        status = status_of(answer, sequence, report.issues, job.gaps)
        attempt = Attempt(answer, prepared, target, sequence, plan, report, status)
        if attempt.ok:
            job.verified(answer)
        return attempt

    def _order(self, job: Job, target: State) -> Sequence:
        options = job.options
        failed = ", ".join(options.failed)
        return order_after(
            job.response,
            job.demand,
            self.curves,
            target,
            self.judge,
            latency_s=options.latency_s,
            horizon_s=options.horizon_s,
            reason=f"after losing {failed}" if failed else "",
            until_s=job.until_s(ORDER_SHARE),
        )

    def _plan(self, response: Response, sequence: Sequence, options: Any) -> Plan:
        loads: dict[str, dict[int, float]] = {}
        for table, series in (("load", options.p_load_kw), ("asymmetric_load", options.p_asymmetric_kw)):
            if series is not None:
                loads[table] = {int(k): float(v) for k, v in series.items()}
        return Plan(
            problem=self.problem,
            failed=tuple(options.failed),
            automatic=response.automatic,
            actions=tuple(action for step in sequence.steps for action in step.actions),
            horizon_s=options.horizon_s,
            latency_s=options.latency_s,
            loads_kw=loads,
        )


def unserved_of(ladder: Ladder) -> list[float]:
    """Return the unserved power of every priority, kW, the most critical first."""
    return [term.value for term in ladder.terms if term.name.startswith("unserved_p")]


def status_of(answer: Answer, sequence: Sequence, issues: list[Issue], gaps: Any) -> Status:
    """Optimal: every unserved term proved within its gap of the *first* bound, that of the limits as they are."""
    if answer.target is None:
        return "infeasible" if answer.ladder.status == "infeasible" else "no_incumbent"
    if any(issue.severity == "error" for issue in issues) or not sequence.complete:
        return "failed"
    proved = all(
        term.value <= answer.bounds.get(term.name, -inf) + gaps(term.name) + INDIFFERENT_KW
        for term in answer.ladder.terms
        if term.name.startswith("unserved_p")
    )
    return "optimal" if proved and answer.ladder.status == "optimal" else "feasible"


def serves_no_less(one: Ladder, other: Ladder) -> bool:
    """Whether one answer serves as much as another, priority by priority, but for what is not worth a move."""
    slack = 1.1 * INDIFFERENT_KW
    for mine, theirs in zip(unserved_of(one), unserved_of(other), strict=True):
        if abs(mine - theirs) > slack:
            return mine < theirs
    return True
