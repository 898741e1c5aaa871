"""From a verified attempt to the Result that a caller gets: numbers by term, clocks, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.attempts import Attempt, Job
from pdnopt.plant.state import missing_kw
from pdnopt.response import Event, Overload, overloads
from pdnopt.result import Clock, Reason, Result
from pdnopt.sequence import Sequence

__all__ = ["Origin", "Told", "clocks_of", "result_of"]


@dataclass(frozen=True)
class Origin:
    """What was solved: the problem, the network's name and the fingerprint of its data."""

    problem: str
    network: str
    fingerprint: str


@dataclass(frozen=True)
class Told:
    """What is said about an answer: reasons, notes, and what would have tripped without it."""

    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    cascade: tuple[Event, ...] = ()


def clocks_of(net: Any, job: Job, sequence: Sequence, engine: FlowEngine) -> tuple[Clock, ...]:
    """Return the overloads that the failure left, and when the plan relieves each, or makes it last the horizon."""
    response, demand, horizon_s = job.response, job.demand, job.options.horizon_s
    if not job.found:
        return ()
    states = [step.state for step in sequence.steps]
    times = [step.t_s for step in sequence.steps]
    still = [
        {
            item.component: item.deadline_s
            for item in overloads(net, response.grid, demand, response, engine, state)
        }
        for state in states
    ]

    def relieved_by(item: Overload, left: dict[str, float]) -> bool:
        return left.get(item.component, inf) >= horizon_s > item.deadline_s or item.component not in left

    clocks = []
    for item in job.found:
        relieved = next((t for t, left in zip(times, still, strict=True) if relieved_by(item, left)), inf)
        deadline_s = item.deadline_s if item.protected else inf
        clocks.append(
            Clock(
                item.component,
                item.kind,
                item.loading,
                item.rating,
                item.unit,
                item.ratio,
                deadline_s,
                relieved,
            )
        )
    return tuple(clocks)


def result_of(
    job: Job,
    attempt: Attempt,
    clocks: tuple[Clock, ...],
    told: Told,
    timings: Mapping[str, float],
    origin: Origin,
) -> Result:
    """Return an attempt as the caller gets it."""
    demand, response, answer, sequence = job.demand, job.response, attempt.answer, attempt.sequence
    report = attempt.report
    end = sequence.end(response.state)
    missing = missing_kw(response.grid, demand, end)
    priorities = sorted({int(p) for p in demand.priority})
    demand_by = {p: float(demand.d_kw[demand.priority == p].sum()) for p in priorities}
    objective = {term.name: term.value for term in answer.ladder.terms}
    scale = {f"unserved_p{p}": max(kw, 1e-9) for p, kw in demand_by.items()}
    if answer.refined:
        scale["losses"] = max(objective["losses"], 1e-9)
    gap = {
        name: max(value - answer.bounds.get(name, -inf), 0.0) / scale.get(name, 1.0)
        for name, value in objective.items()
    }
    return Result(
        problem=origin.problem,
        status=attempt.status,
        objective=objective,
        bound=answer.bounds,
        gap=gap,
        unserved_kw=float(missing.sum()),
        unserved_by_priority={p: float(missing[demand.priority == p].sum()) for p in priorities},
        demand_by_priority=demand_by,
        unservable=tuple(demand.name[u] for u in np.flatnonzero(response.unservable)),
        interrupted_kw=float(demand.d_kw[sequence.interrupted].sum()),
        losses_kw=report.losses_kw,
        plan=attempt.plan,
        issues=report.issues,
        timings=timings,
        clocks=clocks,
        reasons=told.reasons,
        cascade=told.cascade,
        worst_component=report.worst_component,
        worst_loading_percent=report.worst_loading_percent,
        trace=tuple(sorted(job.trace, key=lambda row: row[0])),
        network=origin.network,
        fingerprint=origin.fingerprint,
        notes=told.notes,
    )
