"""The pipeline of problems that decide switches: respond, optimise, judge by AC, order, check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge, Ratios
from pdnopt.checker import Checker
from pdnopt.engine.compiled import CompiledModel, compile_model
from pdnopt.engine.highs import HighsModel
from pdnopt.engine.lexicographic import Ladder, solve_in_order
from pdnopt.errors import Issue
from pdnopt.explain import explain
from pdnopt.plan import Plan
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import State, islands, living_cords
from pdnopt.problem import Formulation, Updater
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

SHORT = 0.999
"""An overload whose own deadline is at least the horizon may simply stay, if nothing else makes it worse."""

FIRST_ROUND = 0.6
"""Part of the time left for the first solve; the rest is for tightening, ordering and checking."""

MAX_ROUNDS = 5
"""Solves with limits tightened where AC power flow disagrees."""

TIGHTEN = 1e-4
"""Extra part by which a limit that AC power flow breaks is lowered, so that the next answer is inside it."""

INDIFFERENT_KW = 0.1
"""Less unserved power than this, at the least critical priority concerned, is not worth moving a switch."""

UNDER_V_PU = 1e-5
"""A voltage counts as below its limit beyond this; voltages are then modelled."""

OVER = 1e-6
"""A component counts as over its limit beyond this part."""


@dataclass
class _Prepared:
    """The compiled model of one list of terms."""

    model: CompiledModel
    updater: Updater
    sets: Any
    largest_kw: float


@dataclass(frozen=True)
class _Task:
    """What one optimisation is asked: parts of budgets gone, voltages modelled, what stays fed, devices held.

    It is widened or narrowed by what the checker says of the answers before.
    """

    spent: dict[str, float]
    voltages: bool = False
    firm: bool = True
    held: frozenset[str] = frozenset()
    refusals: int = 0
    holds: int = 0

    @property
    def narrowed(self) -> bool:
        """Whether it asks for less than the problem allows."""
        return bool(self.held) or self.refusals > 0


@dataclass
class _Answer:
    """What the optimisation found, before it is ordered and checked."""

    ladder: Ladder
    target: State | None
    bounds: dict[str, float]
    ratios: Ratios | None


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
        self._models: dict[Any, _Prepared] = {}
        self._prepare(options, self.demand, np.zeros(len(self.demand.cord_unit), dtype=bool), voltages=False)

    def _prepare(self, options: Any, demand: Demand, psu_dead: np.ndarray, voltages: bool) -> _Prepared:
        """Return the compiled model for these terms, compiled now if it was not needed before.

        Coarse classes serve as long as their units share alike; voltages are modelled once one is below its limit.
        """
        terms = tuple(options.minimize or self.formulation.terms)
        prepared: _Prepared | None = None
        for fine in (False, True):
            key = (terms, options.extend, voltages, fine)
            prepared = self._models.get(key)
            if prepared is None or float(demand.d_kw.sum()) > prepared.largest_kw:
                prepared = self._models[key] = self._compile(options, demand, terms, voltages, fine)
            if self.formulation.fits(prepared.sets, demand, psu_dead):
                return prepared
        assert prepared is not None
        return prepared

    def _compile(
        self, options: Any, demand: Demand, terms: tuple[str, ...], voltages: bool, fine: bool
    ) -> _Prepared:
        data = self.formulation.data(self.grid, demand, terms, fine, voltages)
        model = self.formulation.build(data)
        if options.extend is not None:
            options.extend(model, data)
        compiled = compile_model(model)
        return _Prepared(compiled, self.formulation.updater(compiled, data), data.sets, data.flow.m_kw / 1.5)

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        deadline_s = started + options.time_limit_s
        # new solvers each time (1 ms): a used one remembers, and the same input must give the same plan
        self.solvers = (HighsModel(relax=True), HighsModel(relax=False))
        outages = parse_failed(self.net, options.failed)
        demand = with_load_kw(self.demand, options.p_load_kw, options.p_asymmetric_kw)
        response = respond(self.grid, demand, outages)
        found = overloads(self.net, response.grid, demand, response, self.engine)
        task = _Task(self._spent(found, options))
        spans = {"update_s": 0.0, "solve_s": 0.0, "sequence_s": 0.0, "check_s": 0.0}
        kept: tuple[_Answer, State, Sequence, Plan, Any, Status] | None = None
        proved: dict[str, float] = {}
        while True:
            prepared = self._prepare(options, demand, response.state.psu_dead, task.voltages)
            answer = self._optimise(prepared, response, demand, options, task, deadline_s, spans)
            following = self._unanswered(task, answer, demand)
            if following is not None:
                task = following
                continue
            if answer.target is None and kept is not None:
                if task.held >= self._devices():
                    break
                task = replace(task, held=self._devices())
                continue
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
            status = _status(answer, sequence, report.issues, _scales(demand, options.gap)[0])
            if kept is None or status != "failed":
                kept = (answer, target, sequence, plan, report, status)
            refusal = self._refused(task, report.issues, plan)
            if status != "failed" or refusal is None or time.perf_counter() >= deadline_s:
                break
            task = refusal
        assert kept is not None
        answer, target, sequence, plan, report, status = kept
        clocks = self._clocks(response, demand, sequence, found)
        reasons: tuple[Reason, ...] = ()
        notes: tuple[str, ...] = ()
        events: tuple[Event, ...] = ()
        if options.explain and clocks and time.perf_counter() < deadline_s:
            events = cascade(self.net, response.grid, demand, response, self.engine, options.horizon_s)
        if options.explain and status in ("optimal", "feasible"):
            reasons, notes = explain(
                prepared, answer.ladder, response, demand, target, self.solvers, deadline_s
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

    def _unanswered(self, task: _Task, answer: _Answer, demand: Demand) -> _Task | None:
        """Return what to solve instead where an answer says that the question was too narrow or too coarse."""
        if answer.ladder.status == "infeasible" and task.firm and not demand.sheddable.all():
            return replace(task, firm=False)  # nothing keeps all that may not be shed: show the best, refused
        low = answer.ratios is not None and answer.ratios.under_v_pu.max(initial=0.0) > UNDER_V_PU
        return replace(task, voltages=True) if low and not task.voltages else None

    def _refused(self, task: _Task, issues: list[Issue], plan: Plan) -> _Task | None:
        """Return what to solve next after the checker refused a plan.

        Without the overloads that it names; then with the devices held whose moves it refuses, one more each
        time; then by load alone.
        """
        over = {issue.id for issue in issues if issue.kind in BUDGET_ISSUES}
        fresh = {name for name in over if task.spent.get(name, 0.0) < 1.0}
        if fresh and task.refusals < MAX_REFUSALS:
            spent = {**task.spent, **dict.fromkeys(fresh, 1.0)}
            return replace(task, spent=spent, refusals=task.refusals + 1)
        steps = {issue.path for issue in issues if issue.severity == "error"}
        moved = [action.device for action in plan.actions if f"plan.step[{action.step}]" in steps]
        devices = self._devices()
        guilty = [name for name in moved if name in devices and name not in task.held]
        if guilty and task.holds < MAX_HOLDS:
            return replace(task, held=task.held | {guilty[0]}, holds=task.holds + 1)
        return None if task.held >= devices else replace(task, held=devices)

    def _devices(self) -> frozenset[str]:
        """Return the names of all devices but loads."""
        grid = self.grid
        tables = (grid.switches, grid.transfers, grid.upss, grid.sources, grid.storages)
        return frozenset(name for table in tables for name in table.name)

    def _optimise(
        self,
        prepared: _Prepared,
        response: Response,
        demand: Demand,
        options: Any,
        task: _Task,
        deadline_s: float,
        spans: dict[str, float],
    ) -> _Answer:
        """Solve, judge by AC power flow, tighten what it breaks, solve again. Bounds are those of the first round."""
        grid = response.grid
        limits = nominal = self.formulation.limits(grid, self.curves, options.horizon_s, task.spent)
        gaps, weights = _scales(demand, options.gap)
        bounds: dict[str, float] = {}
        best: _Answer | None = None
        for number in range(MAX_ROUNDS):
            begun = time.perf_counter()
            numbers = self.formulation.numbers(
                prepared.sets, demand, response, limits, options.horizon_s, task.firm, task.held
            )
            prepared.updater.write(numbers)
            spans["update_s"] += time.perf_counter() - begun
            begun = time.perf_counter()
            until_s = deadline_s if best is not None else begun + FIRST_ROUND * (deadline_s - begun)
            hint = prepared.updater.structure(numbers)
            if (
                best is not None and best.ladder.x is not None
            ):  # a tightened limit changes the service, not the switches
                keep = np.setdiff1d(np.flatnonzero(prepared.model.integer), prepared.updater.service())
                hint = (keep, np.round(best.ladder.x[keep]))
            ladder = solve_in_order(
                prepared.model,
                {name: gaps(name) for name in prepared.model.cost},
                {name: weights(name) for name in prepared.model.cost},
                until_s,
                solvers=self.solvers,
                hint=hint,
                frozen=best is not None,
                minor=[name for name in prepared.model.cost if not name.startswith("unserved_p")],
                indifferent=("unserved_p", INDIFFERENT_KW),
                floors={name: 0.0 for name in prepared.model.cost if name != "margin_lost"},
                pinned="actions",
                service=prepared.updater.service(),
                settled=("losses", "margin_lost"),
            )
            spans["solve_s"] += time.perf_counter() - begun
            if number == 0:
                bounds = {term.name: term.bound for term in ladder.terms}
            if ladder.x is None:
                return best if best is not None else _Answer(ladder, None, bounds, None)
            target = settle(response, prepared.updater.read(ladder.x, response.state))
            ratios = self.judge.ratios(grid, demand, [target])
            best = _Answer(ladder, target, bounds, ratios)
            tighter = self.formulation.tighten(limits, nominal, ratios, OVER, TIGHTEN)
            if tighter is None or time.perf_counter() >= deadline_s:
                break
            limits = tighter
        assert best is not None
        return best

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
        self, response: Response, demand: Demand, sequence: Sequence, found: tuple[Overload, ...]
    ) -> tuple[Clock, ...]:
        """Return the overloads that the failure left, and when the plan relieves each."""
        if not found:
            return ()
        states = [step.state for step in sequence.steps]
        times = [step.t_s for step in sequence.steps]
        still = [
            {
                item.component
                for item in overloads(self.net, response.grid, demand, response, self.engine, state)
            }
            for state in states
        ]
        clocks = []
        for item in found:
            relieved = next(
                (t for t, names in zip(times, still, strict=True) if item.component not in names), inf
            )
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
        answer: _Answer,
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
        gap = {
            name: max(value - answer.bounds.get(name, -inf), 0.0)
            / (max(demand_by[int(name[10:])], 1e-9) if name.startswith("unserved_p") else 1.0)
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


def _scales(demand: Demand, gap: float) -> tuple[Any, Any]:
    """Return (gap of a term, weight of a term in the first blend)."""
    total = max(float(demand.d_kw.sum()), 1.0)

    def gap_of(name: str) -> float:
        if name.startswith("unserved_p"):
            return max(gap * float(demand.d_kw[demand.priority == int(name[10:])].sum()), 1e-3)
        minor = {"interrupted": 2 * gap * total, "actions": 0.5, "losses": gap * total, "overload": 0.01}
        return minor.get(name, 0.005)

    def weight_of(name: str) -> float:
        if name.startswith("unserved_p"):
            return float(10.0 ** (5 - min(int(name[10:]), 4)))
        return {"interrupted": 1.0, "overload": 10.0, "actions": 1.0, "losses": 0.01}.get(name, 1e-3)

    return gap_of, weight_of


def _status(answer: _Answer, sequence: Sequence, issues: list[Issue], gaps: Any) -> Status:
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
