"""Answers that need no search over the whole plant, and the proof that they are good enough.

From the cheapest on: nothing needs to be done; few moves serve everybody; with the devices where they come to rest, or
after few moves, the best service, and a bound on what any other switching could serve. Most failures end here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from pdnopt.acjudge import AcJudge
from pdnopt.attempts import Attempt, Attempts, Job, unserved_of
from pdnopt.direct import DirectAnswers
from pdnopt.engine.lexicographic import Ladder, TermResult
from pdnopt.optimiser import BATTERY_USE, INDIFFERENT_KW, Answer, Optimiser, Prepared
from pdnopt.plant.state import State, fed_units, islands, missing_kw
from pdnopt.repairs import count_moves
from pdnopt.service import Question, Service, serve
from pdnopt.trims import trims

__all__ = ["Shortcuts", "Situation"]

SERVICE_SHARE = 0.5
"""Part of the time left after which the best service found is ordered and checked, whatever else could be tried."""

MAX_REPAIRS = 4
"""Repairs that are ordered and checked before the answer is left to optimisation."""

MAX_RESTS = 6
"""States in which the best service is looked for."""

MAX_TRIED = 2
"""Services that are not proved good enough, but ordered and checked to have something to fall back on."""

MOVING_TERMS = ("losses", "margin")
"""Terms for whose sake devices would be moved: if one comes before ``actions``, only optimisation can answer."""


@dataclass(frozen=True)
class Situation:
    """What is known when no shortcut was good enough: the best attempt so far, and bounds on unserved load by term."""

    attempt: Attempt | None
    bounds: dict[str, float]

    def all_may_be_served(self, job: Job) -> bool:
        """Whether the bounds leave it open that everybody who has a path is served."""
        demand, lost = job.demand, job.response.unservable
        floors = {
            f"unserved_p{p}": float(demand.d_kw[(demand.priority == p) & lost].sum())
            for p in np.unique(demand.priority)
        }
        return all(self.bounds.get(name, kw) <= kw + INDIFFERENT_KW for name, kw in floors.items())


class Shortcuts:
    """The shortcuts of one network.

    Parameters
    ----------
    optimiser : Optimiser
    attempts : Attempts
    judge : AcJudge
    """

    def __init__(self, optimiser: Optimiser, attempts: Attempts, judge: AcJudge) -> None:
        self.optimiser, self.attempts, self.judge = optimiser, attempts, judge
        self.formulation, self.curves = optimiser.formulation, optimiser.curves
        self.direct = DirectAnswers(self.formulation, self.curves, judge)

    def stand(self, job: Job) -> Attempt | None:
        """Return that nothing needs to be done, where the checker confirms it: most failures, and without a solver."""
        options = job.options
        if job.found or options.extend is not None:
            return None
        begun = time.perf_counter()
        answer = self.direct.stand_still(self.optimiser.terms(options), job.demand, job.response)
        job.spans["solve_s"] += time.perf_counter() - begun
        attempt = None if answer is None else self.attempts.make(job, answer, None)
        return attempt if attempt is not None and attempt.ok and not attempt.plan.actions else None

    def repaired(self, job: Job) -> Attempt | None:
        """Return the verified plan of few moves that serves all that has a path and interrupts nobody, if there is one."""
        options, response = job.options, job.response
        if options.extend is not None:
            return None
        begun = time.perf_counter()
        terms = self.optimiser.terms(options)
        answers = self.direct.repaired(terms, job.demand, response, job.repairs, options.horizon_s, job.spent)
        for answer in islice(answers, MAX_REPAIRS):
            job.spans["solve_s"] += time.perf_counter() - begun
            attempt = self.attempts.make(job, answer, None)
            if attempt.ok and not (attempt.sequence.interrupted & ~response.interrupted).any():
                return attempt
            if job.late:
                return None
            begun = time.perf_counter()
        job.spans["solve_s"] += time.perf_counter() - begun
        return None

    def served(self, job: Job, prepared: Prepared) -> tuple[Attempt | None, Situation]:
        """Return the verified plan that is proved to serve as much as any other, within the gaps, if there is one.

        The devices come to rest where they do by themselves, or after few moves; besides it what is known if not.
        """
        terms = self.optimiser.terms(job.options)
        first = terms[: terms.index("actions")] if "actions" in terms else MOVING_TERMS
        if job.options.extend is not None or terms[0] != "unserved" or set(MOVING_TERMS) & set(first):
            return None, Situation(None, {})
        limits = self.formulation.limits(job.response.grid, self.curves, job.options.horizon_s, job.spent)
        question = self._question(job, limits)
        numbers = self._write(job, prepared, limits)
        best: Attempt | None = None
        bounds: dict[str, float] = {}
        others: list[Answer] = []
        until_s = job.until_s(SERVICE_SHARE)
        for state in islice(self._rests(job, question), MAX_RESTS):
            begun = time.perf_counter()
            service = serve(job.demand, job.response, state, self.judge, question)
            if service is not None:
                point = self._point(job, prepared, service)
                values = self._values(job, service, limits)
                bounds = bounds or self._bounds(job, prepared, numbers, point, values)
                others.append(self._answer(terms, job, service, point, values, bounds))
            job.spans["solve_s"] += time.perf_counter() - begun
            if others and others[-1].ladder.status == "optimal":
                attempt = self.attempts.make(job, others.pop(), prepared)
                if attempt.status == "optimal":
                    return attempt, Situation(attempt, bounds)
                best = attempt if attempt.ok else best
            if best is not None or time.perf_counter() > until_s:
                break
        for answer in sorted(others, key=lambda answer: unserved_of(answer.ladder))[:MAX_TRIED]:
            attempt = self.attempts.make(job, answer, prepared)
            if attempt.ok and best is None:
                best = attempt
            if best is not None or job.late:
                break
        return None, Situation(best, bounds)

    def _write(self, job: Job, prepared: Prepared, limits: Any) -> Any:
        begun = time.perf_counter()
        options, response = job.options, job.response
        numbers = self.formulation.numbers(
            prepared.sets, job.demand, response, limits, options.horizon_s, battery_use=BATTERY_USE
        )
        prepared.updater.write(numbers)
        job.spans["update_s"] += time.perf_counter() - begun
        return numbers

    def _rests(self, job: Job, question: Question) -> Iterator[State]:
        """Yield states at rest, those first that feed everybody for good by fewest steps.

        Where a UPS must be given up, first what its battery carries to the end is kept.
        """
        for repair in job.repairs:
            if not repair.complete:
                yield from trims(
                    job.demand, job.response, repair, question.allowed, job.options.horizon_s, BATTERY_USE
                )
            yield repair.state

    def _question(self, job: Job, limits: Any) -> Question:
        return Question(
            limits.allowed(),
            job.options.horizon_s,
            BATTERY_USE,
            ~job.demand.sheddable,
            lambda priority: job.gaps(f"unserved_p{priority}"),
            job.deadline_s,
        )

    def _point(self, job: Job, prepared: Prepared, service: Service) -> np.ndarray:
        grid = job.response.grid
        live = np.zeros(grid.n_blocks, dtype=bool)
        live[grid.nodes.block[islands(grid, service.state).energised]] = True
        return prepared.updater.point(service.state, live, service.on, service.flows)

    def _values(self, job: Job, service: Service, limits: Any) -> dict[str, float]:
        """Return the value of every term of a service, in its unit."""
        demand, response, state = job.demand, job.response, service.state
        fed = fed_units(demand, state, islands(response.grid, state).energised) & state.unit_ok
        missing = missing_kw(response.grid, demand, state)
        dark = ~fed | (state.served <= 0.0)
        ratios = service.ratios
        values = {
            f"unserved_p{p}": float(missing[demand.priority == p].sum()) for p in np.unique(demand.priority)
        }
        return values | {
            "interrupted": float(demand.d_kw[dark & ~response.interrupted].sum()),
            "overload": limits.budget_used(ratios),
            "actions": float(count_moves(response.grid, response.state, state)),
            "losses": float(ratios.losses_kw[0]),
            "margin_lost": ratios.margin_lost(response.grid),
        }

    def _bounds(
        self, job: Job, prepared: Prepared, numbers: Any, point: np.ndarray, values: dict[str, float]
    ) -> dict[str, float]:
        """Return a proved lower bound on the unserved load of every priority, by term."""
        unserved = {int(name[10:]): kw for name, kw in values.items() if name.startswith("unserved_p")}
        found = prepared.relaxation.bound(job.demand, numbers.may_serve, point, unserved, job.deadline_s)
        return {f"unserved_p{p}": min(kw, values[f"unserved_p{p}"]) for p, kw in found.items()}

    def _answer(
        self,
        terms: Sequence[str],
        job: Job,
        service: Service,
        point: np.ndarray,
        values: dict[str, float],
        bounds: dict[str, float],
    ) -> Answer:
        floors = {"margin_lost": -1.0}
        names = {"margin": "margin_lost"}
        unserved = [name for name in values if name.startswith("unserved_p")]
        order = [n for term in terms for n in (unserved if term == "unserved" else [names.get(term, term)])]
        found = [TermResult(n, values[n], min(bounds.get(n, floors.get(n, 0.0)), values[n])) for n in order]
        proved = all(
            t.value <= t.bound + job.gaps(t.name) + INDIFFERENT_KW for t in found if t.name in unserved
        )
        ladder = Ladder("optimal" if proved else "feasible", point, found)
        return Answer(ladder, service.state, {t.name: t.bound for t in found}, service.ratios)
