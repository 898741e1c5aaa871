"""From a forecast and a risk to a verified first step: readings, stakes, programme, commands, checker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acjudge import AcJudge
from pdnopt.candidates import contingencies
from pdnopt.checker import Checker, CheckReport
from pdnopt.errors import InputError, Issue
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand, with_load_kw
from pdnopt.plant.failures import Outage, parse_failed
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.plant.state import State, missing_kw
from pdnopt.response import Response, respond
from pdnopt.result import Result, Status
from pdnopt.sequence import order_after
from pdnopt.shifting.answering import Answer, find_answer, status_of
from pdnopt.shifting.commands import SETPOINT_KW, schedule, target
from pdnopt.shifting.course import Course, read_course
from pdnopt.shifting.data import ShiftData
from pdnopt.shifting.hazards import Hazard, read_hazards
from pdnopt.shifting.inputs import Bounds, check_batteries, read_areas, read_bounds
from pdnopt.shifting.plant import Reading, ShiftPlant
from pdnopt.shifting.search import WarmLp
from pdnopt.shifting.stakes import Stake, StakeReader
from pdnopt.shifting.timeline import timeline
from pdnopt.shifting.words import notes_of, summary

__all__ = ["ShiftRunner"]

DEFAULT_STEP_S, DEFAULT_HORIZON = 300.0, 12

TIGHTER = 0.99
"""Where the checker finds a limit broken, this part of what was used of every limit is used in the next round."""

ROUNDS = 4

BROKEN = 0.002
"""By this part a later step may be over a limit by AC power flow, as the checker tolerates it."""

END_WEIGHT = 1.0
"""What an end state leaves unserved after a single failure counts as if that happened."""

ORDER_SHARE = 0.6
"""Part of the time that is left after solving that the search for an order may use."""


class ShiftRunner:
    """A network prepared for many shifts.

    Parameters
    ----------
    net : pandapowerNet
    formulation : Shift
    options : Options
        ``risk`` and ``components`` are read here; a solve with others reads what it lacks.
    before : ShiftRunner, optional
        One of the same plant at another moment: what failures leave above the devices is taken over.
    """

    def __init__(self, net: Any, formulation: Any, options: Any, before: ShiftRunner | None = None) -> None:
        self.net, self.formulation = net, formulation
        check_batteries(net)
        self.plant = ShiftPlant(net)
        if not self.plant.devices.n:
            todo = "Check that transfer devices have loads only on their outputs; see net.transfer."
            raise InputError(
                Issue("NoDevice", "net.transfer", "", 0, "a transfer device that feeds load only", todo)
            )
        self.judge = AcJudge(net, self.plant.grid, self.plant.engine)
        self.checker = Checker(net)
        self.fingerprint = fingerprint(net)
        alike = before is not None and self.plant.resembles(before.plant)
        self._readings: dict[str, Reading] = before._readings if alike and before is not None else {}
        self._readers: dict[Any, StakeReader] = {}
        self.warm: WarmLp = WarmLp() if before is None else before.warm
        steps = DEFAULT_HORIZON if options.horizon is None else options.horizon
        steps = max(steps, 1) if isinstance(steps, int) else 1  # a horizon that is none is told by `solve`
        names = [hazard.name for hazard in read_hazards(net, options.risk, steps)]
        self.reader_of(names, options)

    def updated(self, net: Any, options: Any) -> ShiftRunner:
        """Return a runner of the same plant at another moment."""
        return ShiftRunner(net, self.formulation, options, self)

    # --- what failures leave

    def end_names(self, options: Any) -> list[str]:
        """Return the single failures that the end state shall carry: those that hit more than one decided device."""
        alone = self.plant.reader.alone
        names = []
        for name in contingencies(self.net, options.components):
            only = parse_failed(self.net, [name])[0]
            if isinstance(only.index, str) or (only.table, int(only.index)) not in alone:
                names.append(name)
        return names

    def _reading(self, name: str) -> Reading:
        if name not in self._readings:
            outages: Sequence[Outage] = parse_failed(self.net, name.split(" + ")) if name else ()
            self._readings[name] = self.plant.read(name, outages)
        return self._readings[name]

    def reader_of(self, hazards: Sequence[str], options: Any) -> tuple[StakeReader, list[str], list[str]]:
        """Return the reader of stakes, its scenarios ("" first), and the names of the failures at the end."""
        bounds = read_bounds(options)
        ends = self.end_names(options)
        names = list(dict.fromkeys(["", *hazards, *ends]))
        key = (tuple(names), options.horizon_s, repr(bounds.prices))
        if key not in self._readers:
            readings = [self._reading(name) for name in names]
            self._readers = {key: StakeReader(self.plant, readings, bounds.prices, options.horizon_s)}
        return self._readers[key], names, ends

    # --- one solve

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        deadline_s = started + options.time_limit_s
        spans = dict.fromkeys(("update_s", "solve_s", "sequence_s", "check_s"), 0.0)
        begun = time.perf_counter()
        step_s = DEFAULT_STEP_S if options.step_s is None else options.step_s
        demand = with_load_kw(self.plant.demand, options.p_load_kw, options.p_asymmetric_kw)
        course, hazards, bounds = self._inputs(demand, options, step_s)
        reader, names, ends = self.reader_of([hazard.name for hazard in hazards], options)
        margin = 1.0
        spans["update_s"] += time.perf_counter() - begun
        for attempt in range(ROUNDS):
            begun = time.perf_counter()
            data = self.data(reader, names, ends, course, hazards, bounds, options, margin)
            spans["update_s"] += time.perf_counter() - begun
            begun = time.perf_counter()
            answer = find_answer(self.formulation, data, options.gap, options.explain, deadline_s, self.warm)
            spans["solve_s"] += time.perf_counter() - begun
            if answer.outlook is None:
                return self._empty(options, demand, course, answer, started, {"build_s": build_s, **spans})
            begun = time.perf_counter()
            first = self._demand_of(demand, course, 0, course.dearest)
            response = respond(self.plant.grid, first, [])
            plan, end, whole = self._plan(first, response, answer, course, options, deadline_s)
            spans["sequence_s"] += time.perf_counter() - begun
            begun = time.perf_counter()
            report = self._check(plan, answer, course, demand, response.state)
            spans["check_s"] += time.perf_counter() - begun
            broken = any(issue.severity == "error" for issue in report.issues)
            if not broken or attempt == ROUNDS - 1 or time.perf_counter() > deadline_s:
                break
            margin *= TIGHTER
        assert answer.outlook is not None
        notes = notes_of(self.plant, data, answer.outlook, answer.idle)
        if margin < 1.0:
            notes = (
                *notes,
                f"limits used to {100 * margin:.0f} % only: by AC power flow they are reached earlier",
            )
        status = status_of(answer, whole, report)
        result = self._result(
            options, demand, course, reader, answer, first, end, plan, report, status, notes, response
        )
        total_s = time.perf_counter() - started
        return replace(result, timings={"build_s": build_s, **spans, "total_s": total_s})

    def _inputs(self, demand: Demand, options: Any, step_s: float) -> tuple[Course, list[Hazard], Bounds]:
        """Read everything that was given; all faults at once."""
        issues: list[Issue] = []
        found: list[Any] = []
        horizon = DEFAULT_HORIZON if options.horizon is None else options.horizon
        for read in (
            lambda: read_course(demand, options.loads, horizon, step_s),
            lambda: read_hazards(self.net, options.risk, horizon),
            lambda: read_bounds(options),
            lambda: self._terms(options),
        ):
            try:
                found.append(read())
            except InputError as error:
                issues += error.issues
        if issues:
            raise InputError(issues)
        return found[0], found[1], found[2]

    def _terms(self, options: Any) -> tuple[str, ...]:
        terms = tuple(options.minimize or ("cost",))
        if terms not in (("cost",), self.formulation.terms):
            allowed = '("cost",) or ("cost", "grid_peak")'
            raise InputError(Issue("Enum", "minimize", "", list(terms), allowed, "Correct the terms."))
        return terms

    def data(
        self,
        reader: StakeReader,
        names: Sequence[str],
        ends: Sequence[str],
        course: Course,
        hazards: Sequence[Hazard],
        bounds: Bounds,
        options: Any,
        margin: float = 1.0,
    ) -> ShiftData:
        """Return the numbers of one shift."""
        at = {name: c for c, name in enumerate(names)}
        hold_h = options.horizon_s / 3600.0
        everywhere = [(t, s) for t in range(course.n_steps) for s in range(course.n_scenarios)]
        nominal = reader.read(
            0, "", course, everywhere, np.tile(course.weight, course.n_steps), course.hours, margin
        )
        failures = []
        for hazard in hazards:
            moments = [(t, s) for t, s in everywhere if hazard.p[t] > 0]
            p = np.array([hazard.p[t] * course.weight[s] for t, s in moments])
            failures.append(reader.read(at[hazard.name], hazard.name, course, moments, p, hold_h, margin))
        last = [(course.n_steps - 1, s) for s in range(course.n_scenarios)]
        finals = [
            reader.read(at[name], name, course, last, END_WEIGHT * course.weight, hold_h, margin)
            for name in ends
        ]
        risk, wear = reader.move_cost(course)
        batteries = self.plant.batteries
        prices = bounds.prices
        gain, base = reader.imports(course)
        return ShiftData(
            devices=self.plant.devices,
            batteries=batteries,
            course=course,
            nominal=nominal,
            failures=tuple(failures),
            ends=tuple(_distinct(finals)),
            move_risk=risk,
            move_wear=wear,
            weight=reader.weight,
            area=read_areas(self.plant.devices, options.areas),
            cycle=batteries.wear_per_kwh / prices.money_per_kwh,
            energy=prices.energy_kwh,
            charge_room_kw=reader.charge_room(nominal, course),
            import_gain=gain,
            import_kw=base,
            peak="grid_peak" in self._terms(options),
            latency_h=options.latency_s / 3600.0,
            start_kwh=self.plant.stored_kwh(options.latency_s / 3600.0),
            max_moves=bounds.max_moves,
            max_shift_kw=bounds.max_shift_kw,
            guard=bounds.guard,
            guard_level=bounds.guard_level,
            max_at_risk_kw=bounds.max_at_risk_kw,
        )

    # --- the plan of the first step

    def _demand_of(self, demand: Demand, course: Course, step: int, scenario: int) -> Demand:
        cord_kw = course.cord_kw[:, step, scenario]
        mine = demand.cord_table == "load"
        three, single = (pd.Series(cord_kw[rows], index=demand.cord_row[rows]) for rows in (mine, ~mine))
        return with_load_kw(demand, three, single)

    def _loads(self, course: Course, step: int, scenario: int) -> dict[str, dict[int, float]]:
        demand = self.plant.demand
        kw = course.cord_kw[:, step, scenario]
        out: dict[str, dict[int, float]] = {}
        for table, row, value, given in zip(
            demand.cord_table, demand.cord_row, kw, demand.cord_kw, strict=True
        ):
            if value != given:
                out.setdefault(str(table), {})[int(row)] = float(value)
        return out

    def _plan(
        self,
        demand: Demand,
        response: Response,
        answer: Answer,
        course: Course,
        options: Any,
        deadline_s: float,
    ) -> tuple[Plan, State, bool]:
        """Order the commands of the first step; return plan, end state, and whether an order was found."""
        assert answer.outlook is not None
        goal = target(
            self.plant, demand, response.state, answer.data.nominal, answer.outlook, 0, storage=True
        )
        now = time.perf_counter()
        reason = summary(answer.data, answer.outlook, answer.idle)
        sequence = order_after(
            response,
            demand,
            self.plant.book,
            goal,
            self.judge,
            latency_s=options.latency_s,
            horizon_s=course.step_s,
            reason=reason,
            until_s=now + ORDER_SHARE * max(deadline_s - now, 0.05)
            if np.isfinite(deadline_s)
            else deadline_s,
        )
        plan = self._plan_of(response, sequence.actions, course, options, 0, course.dearest)
        return plan, sequence.end(response.state), sequence.complete

    def _plan_of(
        self,
        response: Response,
        actions: Sequence[Action],
        course: Course,
        options: Any,
        step: int,
        scenario: int,
    ) -> Plan:
        return Plan(
            problem=self.formulation.name,
            failed=(),
            automatic=response.automatic,
            actions=tuple(actions),
            horizon_s=course.step_s,
            latency_s=options.latency_s,
            loads_kw=self._loads(course, step, scenario),
        )

    def _check(self, plan: Plan, answer: Answer, course: Course, demand: Demand, state: State) -> CheckReport:
        """Check the committed step state by state; judge where later steps stand, under their loads, by AC power flow.

        What is advisory has no commands yet: it is checked when it is committed.
        """
        report = self.checker.report(plan)
        outlook = answer.outlook
        assert outlook is not None
        issues = list(report.issues)
        if any(issue.severity == "error" for issue in issues):
            return report
        stake = answer.data.nominal
        for t in range(1, course.n_steps):
            if outlook.beyond_kw[t] > SETPOINT_KW:
                continue
            loads = self._demand_of(demand, course, t, course.dearest)
            later = target(self.plant, loads, state, stake, outlook, t, storage=True)
            held = later.but(closed=state.closed)
            ratios = self.judge.ratios(self.plant.grid, loads, [later, held])
            stress = ratios.stress()
            if stress[0] > max(1.0 + BROKEN, stress[1]):
                todo = "Solve again with what is known then."
                value = f"{100 * stress[0]:.1f} %, {100 * stress[1]:.1f} % if nothing moves"
                issues.append(Issue("Overload", f"schedule.step[{t + 1}]", "", value, "at most 100 %", todo))
        return replace(report, issues=issues)

    # --- the result

    def _result(
        self,
        options: Any,
        demand: Demand,
        course: Course,
        reader: StakeReader,
        answer: Answer,
        first: Demand,
        end: State,
        plan: Plan,
        report: CheckReport,
        status: Status,
        notes: tuple[str, ...],
        response: Response,
    ) -> Result:
        outlook, solved = answer.outlook, answer.solved
        assert outlook is not None
        missing = missing_kw(response.grid, first, end)
        priorities = sorted({int(p) for p in first.priority})
        bill = outlook.bill
        objective = {"cost": bill.total}
        bound = {"cost": solved.bound + answer.constant}
        if answer.data.peak and solved.x is not None:
            objective["grid_peak"] = bound["grid_peak"] = float(solved.x[answer.columns.peak])
        parts = {
            name: getattr(bill, name) for name in ("expected", "nominal", "moves", "cycling", "end", "guard")
        }
        return Result(
            problem=self.formulation.name,
            status=status,
            objective=objective,
            bound=bound,
            gap={name: max(objective[name] - bound[name], 0.0) for name in objective},
            unserved_kw=float(missing.sum()),
            unserved_by_priority={p: float(missing[first.priority == p].sum()) for p in priorities},
            demand_by_priority={p: float(first.d_kw[first.priority == p].sum()) for p in priorities},
            unservable=tuple(first.name[u] for u in np.flatnonzero(response.unservable)),
            interrupted_kw=report.interrupted_kw,
            losses_kw=report.losses_kw,
            plan=plan,
            issues=report.issues,
            timings={},
            worst_component=report.worst_component,
            worst_loading_percent=report.worst_loading_percent,
            network=str(getattr(self.net, "name", "") or ""),
            fingerprint=self.fingerprint,
            notes=notes,
            schedule=schedule(self.plant, course, answer.data.nominal, outlook, options.latency_s),
            timeline=timeline(self.plant, reader, answer.data, outlook),
            bill={**parts, "idle": answer.idle.bill.honest if answer.idle else nan},
        )

    def _empty(
        self,
        options: Any,
        demand: Demand,
        course: Course,
        answer: Answer,
        started: float,
        spans: dict[str, float],
    ) -> Result:
        """Return the answer where there is no point: hold, and why."""
        status: Status = "infeasible" if answer.solved.status == "infeasible" else "no_incumbent"
        what = (
            "no choice of positions and batteries keeps the critical load at risk below max_at_risk_kw; raise it"
            if status == "infeasible"
            else "nothing was found in the time given; hold"
        )
        response = respond(self.plant.grid, demand, [])
        plan = self._plan_of(response, (), course, options, 0, course.dearest)
        priorities = sorted({int(p) for p in demand.priority})
        return Result(
            problem=self.formulation.name,
            status=status,
            objective={},
            bound={},
            gap={},
            unserved_kw=0.0,
            unserved_by_priority=dict.fromkeys(priorities, 0.0),
            demand_by_priority={p: float(demand.d_kw[demand.priority == p].sum()) for p in priorities},
            unservable=(),
            interrupted_kw=0.0,
            losses_kw=nan,
            plan=plan,
            issues=[],
            timings={**spans, "total_s": time.perf_counter() - started},
            network=str(getattr(self.net, "name", "") or ""),
            fingerprint=self.fingerprint,
            notes=(what,),
            schedule=pd.DataFrame(),
            timeline=pd.DataFrame(),
        )


def _distinct(stakes: Sequence[Stake]) -> list[Stake]:
    """Return stakes that can bind, each once: those that ask the very same of the choices are one."""
    kept: dict[bytes, Stake] = {}
    for stake in stakes:
        if not stake.n_groups:
            continue
        parts = (
            stake.group,
            stake.hang_kw.round(6),
            stake.gain.round(9),
            stake.rest_kw.round(6),
            stake.board_kw.round(6),
        )
        kept.setdefault(b"".join(part.tobytes() for part in parts), stake)
    return list(kept.values())
