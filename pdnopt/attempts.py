"""One call of `solve`, and one answer to it that was ordered and judged by the checker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf
from typing import Any

from pdnopt.checker import CheckReport
from pdnopt.engine.lexicographic import Ladder
from pdnopt.errors import Issue
from pdnopt.optimiser import INDIFFERENT_KW, Answer, Prepared
from pdnopt.plan import Plan
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State
from pdnopt.response import Overload, Response
from pdnopt.result import Status
from pdnopt.sequence import Sequence

__all__ = ["Attempt", "Job", "serves_no_less", "status_of", "unserved_of"]

SPANS = ("update_s", "solve_s", "sequence_s", "check_s")


@dataclass
class Job:
    """One call of `solve`: what it was given, what the devices did, when it must end, what it took so far."""

    options: Any
    demand: Demand
    response: Response
    found: tuple[Overload, ...]
    deadline_s: float
    spans: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SPANS, 0.0))

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() >= self.deadline_s

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
