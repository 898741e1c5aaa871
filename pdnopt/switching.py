"""The pipeline of problems that decide switches: respond, take a shortcut or optimise, order, check."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.attempts import Attempt, Attempts, Job, serves_no_less, status_of, unserved_of
from pdnopt.checker import Checker
from pdnopt.engine.lexicographic import Ladder
from pdnopt.explain import explain
from pdnopt.optimiser import Answer, Optimiser, Prepared, Task, resting_states, scales
from pdnopt.outcome import Origin, Told, clocks_of, result_of
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.plant.grid import read_grid, same_structure
from pdnopt.problem import Formulation
from pdnopt.refinement import LossRefiner
from pdnopt.repairs import Repairs
from pdnopt.response import Event, Overload, cascade, overloads, respond
from pdnopt.result import Result
from pdnopt.shortcuts import Shortcuts, Situation
from pdnopt.surroundings import surroundings

__all__ = ["SwitchingRunner"]

MAX_REFUSALS = 4
"""Solves with the violated limit tightened before a plan that the checker refuses is given up."""

MAX_HOLDS = 4
"""Solves with one more device held each before all plain switches are held."""

BATTERY_STEP, LEAST_BATTERY_USE = 0.05, 0.7
"""What batteries give on the way to the end state is known once there is a plan: the next one counts on so much less."""

BUDGET_ISSUES = ("Overload", "BudgetExceeded")

REPAIR_SHARE = 0.3
"""Part of the time left that the search for repairs may use."""

NEAR_SHARE = 0.7
"""Part of the time left for an answer near the disturbance."""

FIRST_STEP_S = 0.1
"""A first step of load commands takes effect this long after the latency at the latest."""

UNDER_V_PU = 1e-5
"""A voltage counts as below its limit beyond this; voltages are then modelled."""

SHORT = 0.999
"""An overload whose own deadline is at least the horizon may simply stay, if nothing else makes it worse."""


class SwitchingRunner:
    """A network prepared for many solves of one switching problem.

    Parameters
    ----------
    net : pandapowerNet
    formulation : Formulation
    options : Options
    before : SwitchingRunner, optional
        One of the same plant at another moment: its compiled models are taken over where only numbers have changed.
    """

    def __init__(
        self, net: Any, formulation: Formulation, options: Any, before: SwitchingRunner | None = None
    ) -> None:
        self.net, self.formulation = net, formulation
        self.grid = read_grid(net)
        self.origin = Origin(formulation.name, str(getattr(net, "name", "") or ""), fingerprint(net))
        self.demand = read_demand(net, self.grid)
        self.curves = read_curves(net)
        self.engine = FlowEngine(net)
        self.judge = AcJudge(net, self.grid, self.engine)
        self.checker = Checker(net)
        self.refiner = LossRefiner(net, self.grid, self.demand, self.engine, self.judge)
        self.optimiser = Optimiser(formulation, self.grid, self.demand, self.curves, self.judge)
        self.attempts = Attempts(formulation.name, self.curves, self.judge, self.checker)
        self.shortcuts = Shortcuts(self.optimiser, self.attempts, self.judge)
        if before is not None and self._like(before):
            self.optimiser.adopt(before.optimiser)
        no_psu_dead = np.zeros(len(self.demand.cord_unit), dtype=bool)
        self.optimiser.prepare(options, self.demand, no_psu_dead, voltages=False)

    def _like(self, before: SwitchingRunner) -> bool:
        """Whether a compiled model of another moment holds for this one."""
        mine, theirs = self.demand, before.demand
        columns = (
            "cord_unit",
            "cord_node",
            "cord_share",
            "priority",
            "sheddable",
            "cord_max_kw",
            "cord_breaker_kva",
        )
        alike = all(np.array_equal(getattr(mine, c), getattr(theirs, c)) for c in columns)
        cappable = np.array_equal(mine.min_kw < mine.d_kw, theirs.min_kw < theirs.d_kw)
        return alike and cappable and same_structure(self.grid, before.grid)

    def updated(self, net: Any, options: Any) -> SwitchingRunner:
        """Return a runner of the same plant at another moment."""
        return SwitchingRunner(net, self.formulation, options, self)

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        self.optimiser.renew()
        job = self.job_of(options, started)
        attempt = self.shortcuts.stand(job) or self.shortcuts.repaired(job) or self._search(job)
        clocks = clocks_of(self.net, job, attempt.sequence, self.engine)
        told = self._told(job, attempt, bool(clocks)) if options.explain else Told()
        total_s = time.perf_counter() - started
        timings = {"build_s": build_s, **job.spans, "first_plan_s": job.first_plan_s, "total_s": total_s}
        return result_of(job, attempt, clocks, told, timings, self.origin)

    def job_of(self, options: Any, started: float) -> Job:
        """Return one call: its loads, what the devices do, the overloads that the failure leaves."""
        demand = with_load_kw(self.demand, options.p_load_kw, options.p_asymmetric_kw)
        response = respond(self.grid, demand, parse_failed(self.net, options.failed))
        found = overloads(self.net, response.grid, demand, response, self.engine)
        gaps = scales(demand, options.gap, self.optimiser.models[0].small)[0]
        spent = self._spent(found, options)
        short = {
            item.component for item in found if item.kind == "battery" and item.deadline_s < options.horizon_s
        }
        deadline_s, now = started + options.time_limit_s, time.perf_counter()
        until_s = now + REPAIR_SHARE * max(deadline_s - now, 0.0)
        mended = Repairs(demand, response, frozenset(self.grid.upss.name) - short, until_s)
        return Job(options, demand, response, found, mended, spent, gaps, started, deadline_s)

    def _told(self, job: Job, attempt: Attempt, clocks: bool) -> Told:
        """Say why somebody is dark, and what would have tripped."""
        response, demand = job.response, job.demand
        events: tuple[Event, ...] = ()
        if clocks and not job.late:
            events = cascade(self.net, response.grid, demand, response, self.engine, job.options.horizon_s)
        if attempt.answer.refined:
            return Told(self.refiner.reasons(attempt.answer, response, demand), (), events)
        if not attempt.ok:
            return Told(cascade=events)
        reasons, notes = explain(
            attempt.prepared,
            attempt.answer.ladder,
            response,
            demand,
            attempt.target,
            self.optimiser.solvers,
            job.deadline_s,
        )
        return Told(reasons, notes, events)

    def _search(self, job: Job) -> Attempt:
        """Optimise, order and check; where the checker refuses, ask for less and do it again.

        Before that, few moves near the disturbance, which answer most failures; then the plan by load alone: it is what
        remains if nothing better is verified in time.
        """
        options, demand, response = job.options, job.demand, job.response
        task = Task(job.spent)
        prepared = self.optimiser.prepare(options, demand, response.state.psu_dead, task.voltages)
        refine = self.refiner.applies(self.optimiser.terms(options), options.extend is not None)
        answered, known = (None, Situation(None, {})) if refine else self.shortcuts.served(job, prepared)
        if answered is not None:
            return answered
        near: Attempt | None = None
        point: Ladder | None = None
        if not refine and known.all_may_be_served(job):
            near, point = self._near(job, prepared, task)
        if near is not None:
            return near
        kept = self._rest(job, prepared, task)
        if kept is not None and (point is None or serves_no_less(kept.answer.ladder, point)):
            point = kept.answer.ladder
        if known.attempt is not None and (
            kept is None or serves_no_less(known.attempt.answer.ladder, kept.answer.ladder)
        ):
            kept = known.attempt
        first = prepared
        proved = known.bounds
        while True:
            prepared = self.optimiser.prepare(options, demand, response.state.psu_dead, task.voltages)
            fits = point is not None and prepared is first and not task.narrowed
            start = point.x if point is not None and fits else None
            begun_s = time.perf_counter()
            answer = self.optimiser.optimise(
                prepared, response, demand, options, task, job.deadline_s, job.spans, start=start
            )
            job.tell(answer.ladder, begun_s)
            if refine:
                answer = self._refined(job, task, answer)
            following = self._unanswered(task, answer, demand)
            if following is not None:
                task = following
                continue
            if not task.narrowed:
                proved = {
                    name: max(bound, known.bounds.get(name, -inf)) for name, bound in answer.bounds.items()
                }
            if answer.target is None and kept is not None:
                return self._proved(job, kept, proved)
            attempt = self.attempts.make(job, answer, prepared)
            if kept is None or (attempt.ok and serves_no_less(attempt.answer.ladder, kept.answer.ladder)):
                kept = attempt
            refusal = self._refused(task, attempt)
            if attempt.ok or refusal is None or job.late:
                return self._proved(job, kept, proved)
            task = refusal

    def _refined(self, job: Job, task: Task, answer: Answer) -> Answer:
        """Return the answer with its switches searched again for least AC losses."""
        begun = time.perf_counter()
        better = self.refiner.refine(
            answer, job.response, job.demand, task.held, job.options.gap, task.voltages, job.deadline_s
        )
        job.spans["solve_s"] += time.perf_counter() - begun
        return better

    def _near(self, job: Job, prepared: Prepared, task: Task) -> tuple[Attempt | None, Ladder | None]:
        """Return the verified plan that serves everybody by moves near the disturbance, if there is one.

        Besides it the best point found on the way.
        """
        regions = list(surroundings(job.demand, job.response, job.found))
        if not regions:
            return None, None
        until_s = job.until_s(NEAR_SHARE)
        answer = self.optimiser.optimise(
            prepared, job.response, job.demand, job.options, task, until_s, job.spans, near=regions
        )
        if answer.target is None:
            return None, answer.ladder if answer.ladder.x is not None else None
        attempt = self.attempts.make(job, answer, prepared)
        return attempt if attempt.ok else None, answer.ladder

    def _rest(self, job: Job, prepared: Prepared, task: Task) -> Attempt | None:
        """Return the best plan that leaves the devices where they come to rest by themselves: the one to fall back on."""
        kept: Attempt | None = None
        for state in resting_states(self.grid, job.response):
            answer = self.optimiser.optimise(
                prepared,
                job.response,
                job.demand,
                job.options,
                task,
                job.deadline_s,
                job.spans,
                resting=state,
            )
            if answer.target is None:
                continue
            attempt = self.attempts.make(job, answer, prepared)
            if attempt.ok and (
                kept is None or unserved_of(attempt.answer.ladder) < unserved_of(kept.answer.ladder)
            ):
                kept = attempt
        return kept

    def _proved(self, job: Job, attempt: Attempt, bounds: dict[str, float]) -> Attempt:
        """Return an attempt with the bounds of the problem as it is: a narrower one proves nothing about it."""
        floors = {
            term.name: -1.0 if term.name == "margin_lost" else 0.0 for term in attempt.answer.ladder.terms
        }
        attempt.answer.bounds = {name: max(floor, bounds.get(name, floor)) for name, floor in floors.items()}
        issues = attempt.report.issues
        return replace(attempt, status=status_of(attempt.answer, attempt.sequence, issues, job.gaps))

    def _unanswered(self, task: Task, answer: Answer, demand: Demand) -> Task | None:
        """Return what to solve instead where an answer says that the question was too narrow or too coarse."""
        if answer.ladder.status == "infeasible" and task.firm and not demand.sheddable.all():
            return replace(task, firm=False)  # nothing keeps all that may not be shed: show the best, refused
        low = answer.ratios is not None and answer.ratios.under_v_pu.max(initial=0.0) > UNDER_V_PU
        return replace(task, voltages=True) if low and not task.voltages else None

    def _refused(self, task: Task, attempt: Attempt) -> Task | None:
        """Return what to solve next after the checker refused a plan.

        Without the overloads that it names; then with less of the batteries, where they run out; then with the
        devices held whose moves it refuses or for which there is no order, one more each time; then with all plain
        switches held.
        """
        issues, devices = attempt.report.issues, self._devices()
        over = {issue.id for issue in issues if issue.kind in BUDGET_ISSUES}
        fresh = {name for name in over if task.spent.get(name, 0.0) < 1.0}
        if fresh and task.refusals < MAX_REFUSALS:
            spent = {**task.spent, **dict.fromkeys(fresh, 1.0)}
            return replace(task, spent=spent, refusals=task.refusals + 1)
        if task.battery_use > LEAST_BATTERY_USE and any(issue.kind == "BatteryEnergy" for issue in issues):
            return replace(task, battery_use=max(task.battery_use - BATTERY_STEP, LEAST_BATTERY_USE))
        steps = {issue.path for issue in issues if issue.severity == "error"}
        moved = [action.device for action in attempt.plan.actions if f"plan.step[{action.step}]" in steps]
        guilty = [
            name for name in (*attempt.sequence.stuck, *moved) if name in devices and name not in task.held
        ]
        if guilty and task.holds < MAX_HOLDS:
            return replace(task, held=task.held | {guilty[0]}, holds=task.holds + 1)
        plain = frozenset(self.grid.switches.name)
        return None if task.held >= plain else replace(task, held=task.held | plain)

    def _devices(self) -> frozenset[str]:
        """Return the names of all devices but loads."""
        grid = self.grid
        tables = (grid.switches, grid.transfers, grid.upss, grid.sources, grid.storages)
        return frozenset(name for table in tables for name in table.name)

    def _spent(self, found: tuple[Overload, ...], options: Any) -> dict[str, float]:
        """Return the part of its budget that each overload of the failure uses before a first step can relieve it."""
        until_s = options.latency_s + FIRST_STEP_S
        spent = {
            item.component: min(until_s / item.deadline_s, 1.0) if item.deadline_s > 0 else 1.0
            for item in found
            if item.kind == "overload" and item.ratio > 1.0 and item.deadline_s < SHORT * options.horizon_s
        }
        ups, switch = self.grid.upss, self.grid.switches.name
        for k in np.flatnonzero(ups.bypass >= 0):  # moving to its bypass gives a UPS no fresh budget
            if ups.name[k] in spent:
                spent[switch[ups.bypass[k]]] = spent[ups.name[k]]
        return spent
