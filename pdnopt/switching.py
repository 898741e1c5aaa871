"""The pipeline of problems that decide switches: respond, optimise, judge by AC, order, check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.checker import Checker, CheckReport
from pdnopt.engine.lexicographic import Ladder
from pdnopt.errors import Issue
from pdnopt.explain import explain
from pdnopt.optimiser import (
    INDIFFERENT_KW,
    Answer,
    Optimiser,
    Prepared,
    Task,
    resting_states,
    scales,
    stand_still,
)
from pdnopt.plan import Plan
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import State, islands, living_cords
from pdnopt.problem import Formulation
from pdnopt.response import Event, Overload, Response, cascade, overloads, respond, settle
from pdnopt.result import Clock, Reason, Result, Status
from pdnopt.sequence import Sequence, order_moves
from pdnopt.surroundings import surroundings

__all__ = ["SwitchingRunner"]

SPANS = ("update_s", "solve_s", "sequence_s", "check_s")

MAX_REFUSALS = 4
"""Solves with the violated limit tightened before a plan that the checker refuses is given up."""

MAX_HOLDS = 4
"""Solves with one more device held each before all plain switches are held."""

BATTERY_STEP, LEAST_BATTERY_USE = 0.05, 0.7
"""What batteries give on the way to the end state is known once there is a plan: the next one counts on so much less."""

BUDGET_ISSUES = ("Overload", "BudgetExceeded")

NEAR_SHARE = 0.5
"""Part of the time left for an answer near the disturbance."""

ORDER_SHARE = 0.6
"""Part of the time left that the search for an order of moves may use."""

FIRST_STEP_S = 0.1
"""A first step of load commands takes effect this long after the latency at the latest."""

UNDER_V_PU = 1e-5
"""A voltage counts as below its limit beyond this; voltages are then modelled."""

SHORT = 0.999
"""An overload whose own deadline is at least the horizon may simply stay, if nothing else makes it worse."""


@dataclass
class _Job:
    """One call of `solve`: what it was given, what the devices did, when it must end, what it took so far."""

    options: Any
    demand: Demand
    response: Response
    found: tuple[Overload, ...]
    deadline_s: float
    spans: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SPANS, 0.0))

    @property
    def left(self) -> float:
        """Part of the time limit that is left."""
        return float(max(self.deadline_s - time.perf_counter(), 0.0) / max(self.options.time_limit_s, 1e-9))

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.left <= 0


@dataclass(frozen=True)
class _Attempt:
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

    @property
    def unserved(self) -> list[float]:
        """Unserved power by priority, kW, the most critical first."""
        return _unserved(self.answer.ladder)


class SwitchingRunner:
    """A network prepared for many solves of one switching problem."""

    def __init__(self, net: Any, formulation: Formulation, options: Any) -> None:
        self.net, self.formulation = net, formulation
        self.grid = read_grid(net)
        self.fingerprint = fingerprint(net)
        self.demand = read_demand(net, self.grid)
        self.curves = read_curves(net)
        self.engine = FlowEngine(net)
        self.judge = AcJudge(net, self.grid, self.engine)
        self.checker = Checker(net)
        self.optimiser = Optimiser(formulation, self.grid, self.demand, self.curves, self.judge)
        self.optimiser.prepare(
            options, self.demand, np.zeros(len(self.demand.cord_unit), dtype=bool), voltages=False
        )

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        self.optimiser.renew()
        demand = with_load_kw(self.demand, options.p_load_kw, options.p_asymmetric_kw)
        response = respond(self.grid, demand, parse_failed(self.net, options.failed))
        found = overloads(self.net, response.grid, demand, response, self.engine)
        job = _Job(options, demand, response, found, started + options.time_limit_s)
        attempt = self._stand(job) or self._search(job)
        clocks = self._clocks(response, demand, attempt.sequence, found, options.horizon_s)
        reasons: tuple[Reason, ...] = ()
        notes: tuple[str, ...] = ()
        events: tuple[Event, ...] = ()
        if options.explain and clocks and not job.late:
            events = cascade(self.net, response.grid, demand, response, self.engine, options.horizon_s)
        if options.explain and attempt.ok:
            reasons, notes = explain(
                attempt.prepared,
                attempt.answer.ladder,
                response,
                demand,
                attempt.target,
                self.optimiser.solvers,
                job.deadline_s,
            )
        timings = {"build_s": build_s, **job.spans, "total_s": time.perf_counter() - started}
        return self._result(job, attempt, clocks, reasons, notes, events, timings)

    def _stand(self, job: _Job) -> _Attempt | None:
        """Return that nothing needs to be done, where the checker confirms it: most failures, and without a solver."""
        options = job.options
        if job.found or options.extend is not None:
            return None
        begun = time.perf_counter()
        terms = tuple(options.minimize or self.formulation.terms)
        answer = stand_still(terms, self.grid, job.demand, job.response, self.judge)
        job.spans["solve_s"] += time.perf_counter() - begun
        attempt = None if answer is None else self._attempt(job, answer, None)
        return attempt if attempt is not None and attempt.ok and not attempt.plan.actions else None

    def _search(self, job: _Job) -> _Attempt:
        """Optimise, order and check; where the checker refuses, ask for less and do it again.

        Before that, few moves near the disturbance, which answer most failures; then the plan by load alone: it is what
        remains if nothing better is verified in time.
        """
        options, demand, response = job.options, job.demand, job.response
        task = Task(self._spent(job.found, options))
        prepared = self.optimiser.prepare(options, demand, response.state.psu_dead, task.voltages)
        near, point = self._near(job, prepared, task)
        if near is not None:
            return near
        kept = self._rest(job, prepared, task)
        if kept is not None and (point is None or kept.unserved <= _unserved(point)):
            point = kept.answer.ladder
        first = prepared
        proved: dict[str, float] = {}
        while True:
            prepared = self.optimiser.prepare(options, demand, response.state.psu_dead, task.voltages)
            fits = point is not None and prepared is first and not task.narrowed
            start = point.x if point is not None and fits else None
            answer = self.optimiser.optimise(
                prepared, response, demand, options, task, job.deadline_s, job.spans, start=start
            )
            following = self._unanswered(task, answer, demand)
            if following is not None:
                task = following
                continue
            if not task.narrowed:
                proved = answer.bounds
            if answer.target is None and kept is not None:
                return self._proved(job, kept, proved)
            attempt = self._attempt(job, answer, prepared)
            if kept is None or (attempt.ok and attempt.unserved <= kept.unserved):
                kept = attempt
            refusal = self._refused(task, attempt)
            if attempt.ok or refusal is None or job.late:
                return self._proved(job, kept, proved)
            task = refusal

    def _near(self, job: _Job, prepared: Prepared, task: Task) -> tuple[_Attempt | None, Ladder | None]:
        """Return the verified plan that serves everybody by moves near the disturbance, if there is one.

        Besides it the best point found on the way.
        """
        regions = list(surroundings(job.demand, job.response, job.found))
        if not regions:
            return None, None
        until_s = time.perf_counter() + NEAR_SHARE * job.left * job.options.time_limit_s
        answer = self.optimiser.optimise(
            prepared, job.response, job.demand, job.options, task, until_s, job.spans, near=regions
        )
        if answer.target is None:
            return None, answer.ladder if answer.ladder.x is not None else None
        attempt = self._attempt(job, answer, prepared)
        return attempt if attempt.ok else None, answer.ladder

    def _rest(self, job: _Job, prepared: Prepared, task: Task) -> _Attempt | None:
        """Return the best plan that leaves the devices where they come to rest by themselves: the one to fall back on."""
        kept: _Attempt | None = None
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
            attempt = self._attempt(job, answer, prepared)
            if attempt.ok and (kept is None or attempt.unserved < kept.unserved):
                kept = attempt
        return kept

    def _proved(self, job: _Job, attempt: _Attempt, bounds: dict[str, float]) -> _Attempt:
        """Return an attempt with the bounds of the problem as it is: a narrower one proves nothing about it."""
        attempt.answer.bounds = bounds
        gaps = scales(job.demand, job.options.gap)[0]
        return replace(attempt, status=_status(attempt.answer, attempt.sequence, attempt.report.issues, gaps))

    def _attempt(self, job: _Job, answer: Answer, prepared: Prepared | None) -> _Attempt:
        """Order an answer's moves and let the checker judge the plan."""
        target = answer.target if answer.target is not None else job.response.state
        begun = time.perf_counter()
        sequence = self._order(job, target)
        plan = self._plan(job.response, sequence, job.options)
        job.spans["sequence_s"] += time.perf_counter() - begun
        begun = time.perf_counter()
        report = self.checker.report(plan)
        job.spans["check_s"] += time.perf_counter() - begun
        status = _status(answer, sequence, report.issues, scales(job.demand, job.options.gap)[0])
        return _Attempt(answer, prepared, target, sequence, plan, report, status)

    def _unanswered(self, task: Task, answer: Answer, demand: Demand) -> Task | None:
        """Return what to solve instead where an answer says that the question was too narrow or too coarse."""
        if answer.ladder.status == "infeasible" and task.firm and not demand.sheddable.all():
            return replace(task, firm=False)  # nothing keeps all that may not be shed: show the best, refused
        low = answer.ratios is not None and answer.ratios.under_v_pu.max(initial=0.0) > UNDER_V_PU
        return replace(task, voltages=True) if low and not task.voltages else None

    def _refused(self, task: Task, attempt: _Attempt) -> Task | None:
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

    def _order(self, job: _Job, target: State) -> Sequence:
        options, response, demand = job.options, job.response, job.demand
        now = time.perf_counter()
        failed = ", ".join(options.failed)
        return order_moves(
            response.grid,
            demand,
            self.curves,
            response.state,
            target,
            response.interrupted,
            options.latency_s,
            settle=lambda state: settle(response, state),
            judge=lambda states: self.judge.ratios(response.grid, demand, states),
            horizon_s=options.horizon_s,
            automatic=response.automatic,
            reason=f"after losing {failed}" if failed else "",
            until_s=now + ORDER_SHARE * (job.deadline_s - now),
        )

    def _plan(self, response: Response, sequence: Sequence, options: Any) -> Plan:
        loads: dict[str, dict[int, float]] = {}
        for table, series in (("load", options.p_load_kw), ("asymmetric_load", options.p_asymmetric_kw)):
            if series is not None:
                loads[table] = {int(k): float(v) for k, v in series.items()}
        return Plan(
            problem=self.formulation.name,
            failed=tuple(options.failed),
            automatic=response.automatic,
            actions=tuple(action for step in sequence.steps for action in step.actions),
            horizon_s=options.horizon_s,
            latency_s=options.latency_s,
            loads_kw=loads,
        )

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

    def _clocks(
        self,
        response: Response,
        demand: Demand,
        sequence: Sequence,
        found: tuple[Overload, ...],
        horizon_s: float,
    ) -> tuple[Clock, ...]:
        """Return the overloads that the failure left, and when the plan relieves each, or makes it last the horizon."""
        if not found:
            return ()
        states = [step.state for step in sequence.steps]
        times = [step.t_s for step in sequence.steps]
        still = [
            {
                item.component: item.deadline_s
                for item in overloads(self.net, response.grid, demand, response, self.engine, state)
            }
            for state in states
        ]

        def relieved_by(item: Overload, left: dict[str, float]) -> bool:
            return left.get(item.component, inf) >= horizon_s > item.deadline_s or item.component not in left

        clocks = []
        for item in found:
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

    def _result(
        self,
        job: _Job,
        attempt: _Attempt,
        clocks: tuple[Clock, ...],
        reasons: tuple[Reason, ...],
        notes: tuple[str, ...],
        events: tuple[Event, ...],
        timings: Mapping[str, float],
    ) -> Result:
        demand, response, answer, sequence = job.demand, job.response, attempt.answer, attempt.sequence
        report = attempt.report
        end = sequence.steps[-1].state if sequence.steps else response.state
        living = living_cords(demand, end, islands(response.grid, end).energised)
        fed = demand.sum_by_unit(living.astype(float)) > 0
        missing = demand.d_kw * (1.0 - np.where(fed & end.unit_ok, end.served, 0.0))
        priorities = sorted({int(p) for p in demand.priority})
        demand_by = {p: float(demand.d_kw[demand.priority == p].sum()) for p in priorities}
        objective = {term.name: term.value for term in answer.ladder.terms}
        gap = {
            name: max(value - answer.bounds.get(name, -inf), 0.0)
            / (max(demand_by[int(name[10:])], 1e-9) if name.startswith("unserved_p") else 1.0)
            for name, value in objective.items()
        }
        return Result(
            problem=self.formulation.name,
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
            reasons=reasons,
            cascade=events,
            worst_component=report.worst_component,
            worst_loading_percent=report.worst_loading_percent,
            trace=tuple(answer.ladder.trace),
            network=str(getattr(self.net, "name", "") or ""),
            fingerprint=self.fingerprint,
            notes=notes,
        )


def _unserved(ladder: Ladder) -> list[float]:
    return [term.value for term in ladder.terms if term.name.startswith("unserved_p")]


def _status(answer: Answer, sequence: Sequence, issues: list[Issue], gaps: Any) -> Status:
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
