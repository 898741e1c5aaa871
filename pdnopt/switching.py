"""The pipeline of problems that decide switches: respond, optimise, judge by AC, order, check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.checker import Checker
from pdnopt.errors import Issue
from pdnopt.explain import explain
from pdnopt.optimiser import INDIFFERENT_KW, Answer, Optimiser, Task, scales
from pdnopt.plan import Plan
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import State, islands, living_cords
from pdnopt.problem import Formulation
from pdnopt.refinement import LossRefiner
from pdnopt.response import Event, Overload, Response, cascade, overloads, respond, settle
from pdnopt.result import Clock, Reason, Result, Status
from pdnopt.sequence import Sequence, order_moves

__all__ = ["SwitchingRunner"]

MAX_REFUSALS = 4
"""Solves with the violated limit tightened before a plan that the checker refuses is given up."""

MAX_HOLDS = 4
"""Solves with one more device held each before only load may move."""

BUDGET_ISSUES = ("Overload", "BudgetExceeded")

FIRST_STEP_S = 0.1
"""A first step of load commands takes effect this long after the latency at the latest."""

UNDER_V_PU = 1e-5
"""A voltage counts as below its limit beyond this; voltages are then modelled."""

SHORT = 0.999
"""An overload whose own deadline is at least the horizon may simply stay, if nothing else makes it worse."""


class SwitchingRunner:
    """A network prepared for many solves of one switching problem."""

    def __init__(self, net: Any, formulation: Formulation, options: Any) -> None:
        self.net, self.formulation = net, formulation
        self.grid = read_grid(net)
        self.demand = read_demand(net, self.grid)
        self.curves = read_curves(net)
        self.engine = FlowEngine(net)
        self.judge = AcJudge(net, self.grid, self.engine)
        self.checker = Checker(net)
        self.refiner = LossRefiner(net, self.grid, self.demand, self.engine, self.judge)
        self.optimiser = Optimiser(formulation, self.grid, self.demand, self.curves, self.judge)
        self.optimiser.prepare(
            options, self.demand, np.zeros(len(self.demand.cord_unit), dtype=bool), voltages=False
        )

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        deadline_s = started + options.time_limit_s
        self.optimiser.renew()
        outages = parse_failed(self.net, options.failed)
        demand = with_load_kw(self.demand, options.p_load_kw, options.p_asymmetric_kw)
        response = respond(self.grid, demand, outages)
        found = overloads(self.net, response.grid, demand, response, self.engine)
        task = Task(self._spent(found, options))
        spans = {"update_s": 0.0, "solve_s": 0.0, "sequence_s": 0.0, "check_s": 0.0}
        refine = self.refiner.applies(self.optimiser.terms(options), options.extend is not None)
        kept: tuple[Answer, State, Sequence, Plan, Any, Status] | None = None
        proved: dict[str, float] = {}
        while True:
            prepared = self.optimiser.prepare(options, demand, response.state.psu_dead, task.voltages)
            answer = self.optimiser.optimise(prepared, response, demand, options, task, deadline_s, spans)
            if refine:
                begun = time.perf_counter()
                answer = self.refiner.refine(
                    answer, response, demand, task.held, options.gap, task.voltages, deadline_s
                )
                spans["solve_s"] += time.perf_counter() - begun
            following = self._unanswered(task, answer, demand)
            if following is not None:
                task = following
                continue
            nothing = answer.target is None and (kept is not None or answer.ladder.status == "no_incumbent")
            if nothing and not task.held >= self._devices() and time.perf_counter() < deadline_s:
                task = replace(task, held=self._devices())
                continue
            if answer.target is None and kept is not None:
                break
            if not task.narrowed:
                proved = answer.bounds
            answer.bounds = proved  # of the problem as it is: a narrower one proves nothing about it
            target = answer.target if answer.target is not None else response.state
            begun = time.perf_counter()
            sequence = self._order(response, demand, target, options)
            plan = self._plan(response, sequence, options)
            spans["sequence_s"] += time.perf_counter() - begun
            begun = time.perf_counter()
            report = self.checker.report(plan)
            spans["check_s"] += time.perf_counter() - begun
            status = _status(answer, sequence, report.issues, scales(demand, options.gap)[0])
            if kept is None or status != "failed":
                kept = (answer, target, sequence, plan, report, status)
            refusal = self._refused(task, report.issues, plan, sequence.stuck)
            if status != "failed" or refusal is None or time.perf_counter() >= deadline_s:
                break
            task = refusal
        assert kept is not None
        answer, target, sequence, plan, report, status = kept
        clocks = self._clocks(response, demand, sequence, found, options.horizon_s)
        reasons: tuple[Reason, ...] = ()
        notes: tuple[str, ...] = ()
        events: tuple[Event, ...] = ()
        if options.explain and clocks and time.perf_counter() < deadline_s:
            events = cascade(self.net, response.grid, demand, response, self.engine, options.horizon_s)
        if options.explain and answer.refined:
            reasons = self.refiner.reasons(answer, response, demand)
        elif options.explain and status in ("optimal", "feasible"):
            reasons, notes = explain(
                prepared, answer.ladder, response, demand, target, self.optimiser.solvers, deadline_s
            )
        timings = {"build_s": build_s, **spans, "total_s": time.perf_counter() - started}
        return self._result(
            options,
            response,
            demand,
            target,
            answer,
            sequence,
            plan,
            report,
            status,
            clocks,
            reasons,
            notes,
            events,
            timings,
        )

    def _unanswered(self, task: Task, answer: Answer, demand: Demand) -> Task | None:
        """Return what to solve instead where an answer says that the question was too narrow or too coarse."""
        if answer.ladder.status == "infeasible" and task.firm and not demand.sheddable.all():
            return replace(task, firm=False)  # nothing keeps all that may not be shed: show the best, refused
        low = answer.ratios is not None and answer.ratios.under_v_pu.max(initial=0.0) > UNDER_V_PU
        return replace(task, voltages=True) if low and not task.voltages else None

    def _refused(self, task: Task, issues: list[Issue], plan: Plan, stuck: tuple[str, ...]) -> Task | None:
        """Return what to solve next after the checker refused a plan.

        Without the overloads that it names; then with the devices held whose moves it refuses or for which there is no
        order, one more each time; then by load alone.
        """
        over = {issue.id for issue in issues if issue.kind in BUDGET_ISSUES}
        fresh = {name for name in over if task.spent.get(name, 0.0) < 1.0}
        if fresh and task.refusals < MAX_REFUSALS:
            spent = {**task.spent, **dict.fromkeys(fresh, 1.0)}
            return replace(task, spent=spent, refusals=task.refusals + 1)
        steps = {issue.path for issue in issues if issue.severity == "error"}
        moved = [action.device for action in plan.actions if f"plan.step[{action.step}]" in steps]
        devices = self._devices()
        guilty = [name for name in (*stuck, *moved) if name in devices and name not in task.held]
        if guilty and task.holds < MAX_HOLDS:
            return replace(task, held=task.held | {guilty[0]}, holds=task.holds + 1)
        return None if task.held >= devices else replace(task, held=devices)

    def _devices(self) -> frozenset[str]:
        """Return the names of all devices but loads."""
        grid = self.grid
        tables = (grid.switches, grid.transfers, grid.upss, grid.sources, grid.storages)
        return frozenset(name for table in tables for name in table.name)

    def _order(self, response: Response, demand: Demand, target: State, options: Any) -> Sequence:
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
        options: Any,
        response: Response,
        demand: Demand,
        target: State,
        answer: Answer,
        sequence: Sequence,
        plan: Plan,
        report: Any,
        status: Status,
        clocks: tuple[Clock, ...],
        reasons: tuple[Reason, ...],
        notes: tuple[str, ...],
        events: tuple[Event, ...],
        timings: Mapping[str, float],
    ) -> Result:
        end = sequence.steps[-1].state if sequence.steps else response.state
        living = living_cords(demand, end, islands(response.grid, end).energised)
        fed = demand.sum_by_unit(living.astype(float)) > 0
        missing = demand.d_kw * (1.0 - np.where(fed & end.unit_ok, end.served, 0.0))
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
            problem=self.formulation.name,
            status=status,
            objective=objective,
            bound=answer.bounds,
            gap=gap,
            unserved_kw=float(missing.sum()),
            unserved_by_priority={p: float(missing[demand.priority == p].sum()) for p in priorities},
            demand_by_priority=demand_by,
            unservable=tuple(demand.name[u] for u in np.flatnonzero(response.unservable)),
            interrupted_kw=float(demand.d_kw[sequence.interrupted].sum()),
            losses_kw=report.losses_kw,
            plan=plan,
            issues=report.issues,
            timings=timings,
            clocks=clocks,
            reasons=reasons,
            cascade=events,
            worst_component=report.worst_component,
            worst_loading_percent=report.worst_loading_percent,
            trace=tuple(answer.ladder.trace),
            network=str(getattr(self.net, "name", "") or ""),
            notes=notes,
        )


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
