"""From load vectors to a verified allocation: exposure, search, plan, checker, margins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.allocation.choices import read_choices
from pdnopt.allocation.corrective import correct
from pdnopt.allocation.exposure import Core, Exposure, Frame, Local
from pdnopt.allocation.goals import Goal
from pdnopt.allocation.inputs import (
    Vectors,
    check_devices,
    outages_of,
    read_max_moves,
    read_risk,
    read_vectors,
)
from pdnopt.allocation.margins import Audit, Auditor
from pdnopt.allocation.order import FEW_MOVES, many_moves
from pdnopt.allocation.peaks import protect, read_budget
from pdnopt.allocation.scenarios import Scenario, ScenarioReader
from pdnopt.allocation.search import Search, Solved
from pdnopt.allocation.shortfall import Shortfall
from pdnopt.allocation.voltage import output_vm_pu, within_voltage
from pdnopt.candidates import contingencies
from pdnopt.checker import Checker, CheckReport
from pdnopt.errors import InputError, Issue
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import State, initial_state, missing_kw
from pdnopt.plant.tables import values
from pdnopt.response import Response, flow_of, respond
from pdnopt.result import Result, Status
from pdnopt.sequence import order_after

__all__ = ["AllocationRunner"]

AC_STATES = 24
"""Contingencies whose margin is computed by AC power flow: the tightest ones."""

SEARCH_PART = 0.8
"""Part of the time limit for the search; a plan that is not ordered and checked is of no use."""

RELIEF_S = 10.0
"""What counts on a reroute must be carried from the failure until so long after the latency."""

TOLERANCE = {"balance": 1e-3, "moves": 0.5, "losses": 0.05, "quality": 0.5, "cost": 1e-3}
"""By how much a term may miss its bound and count as proved, in its unit; margin and evacuated: ``gap`` times the mean
rating of the reserve systems."""


class AllocationRunner:
    """A network prepared for many allocations.

    Parameters
    ----------
    net : pandapowerNet
    formulation : Reserve
    options : Options
        ``components`` and ``doubles`` are read here; a solve with others reads them anew.
    """

    def __init__(self, net: Any, formulation: Any, options: Any) -> None:
        self.net, self.formulation = net, formulation
        self.grid = read_grid(net)
        self.demand = read_demand(net, self.grid)
        self.book = read_curves(net)
        self.engine = FlowEngine(net)
        self.judge = AcJudge(net, self.grid, self.engine)
        self.checker = Checker(net)
        self.given = initial_state(self.grid, self.demand)
        self.choices = read_choices(self.grid, self.demand, self.given)
        self.fingerprint = fingerprint(net)
        self._last: Solved | None = None
        self._read_contingencies(options)

    def updated(self, net: Any, options: Any) -> AllocationRunner:
        """Return a runner of the same plant at another moment."""
        return AllocationRunner(net, self.formulation, options)

    def _read_contingencies(self, options: Any) -> None:
        """Read what each contingency leaves behind, and what all rows of the programme are made of."""
        self._asked = (options.components, tuple(tuple(pair) for pair in options.doubles))
        reader = ScenarioReader(self.grid, self.demand, self.choices)
        scenarios, self.locals = [reader.read("", ())], []
        for name, outages in outages_of(
            self.net, contingencies(self.net, options.components), options.doubles
        ):
            only = outages[0]
            alone = None
            if len(outages) == 1 and only.form == "failed" and only.table in ("transfer", "switch", "bus"):
                alone = reader.alone.get((only.table, int(only.index)))
            if alone is not None:
                self.locals.append(Local(name, *alone))
            else:
                scenarios.append(reader.read(name, outages))
        self.reader, self.scenarios = reader, scenarios
        base = scenarios[0]
        self.ups_of_station = self._nearest_ups(reader, base)
        check_devices(self.grid, self.choices, self.demand, reader.cord_device, self.ups_of_station)
        self.frame = Frame(reader, self.demand, scenarios)
        self.auditor = Auditor(self.net, self.frame, self.locals, self.engine, self.book)
        self._limits: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        now = self.demand.cord_kw
        plain = self.frame.exposure(now[:, None], *self.limits(options.horizon_s))
        self.frame.factor = self.auditor.factors(plain, now)

    def _nearest_ups(self, reader: ScenarioReader, base: Scenario) -> np.ndarray:
        """Return the UPS next above each station with nothing failed, (Q,); -1: none."""
        parts = reader.components
        rows = np.flatnonzero((parts.table == "ups") & parts.by_p)
        gain = base.p[rows][:, : len(self.choices.station_node)].toarray()
        out = np.full(gain.shape[1], -1)
        for q in range(gain.shape[1]):
            near = np.flatnonzero(np.abs(gain[:, q] - 1.0) < 1e-12)
            out[q] = int(parts.position[rows[near[0]]]) if len(near) else -1
        return out

    def limits(self, hold_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return what each component carries for ``hold_s``, in each scenario, (C, E), and after a local failure, (E,).

        With nothing failed that is its rating.
        """
        if hold_s not in self._limits:
            parts = self.reader.components
            rows: dict[bytes, np.ndarray] = {}
            out = []
            for one in self.scenarios:
                key = one.on_battery.tobytes() + one.grid.upss.p_rated_kw.tobytes()
                if key not in rows:
                    rows[key] = parts.limits(self.book, hold_s, one.on_battery) * self._derating(one)
                out.append(rows[key])
            self._limits[hold_s] = (np.array([parts.rating, *out[1:]]), out[0])
        return self._limits[hold_s]

    def _derating(self, one: Scenario) -> np.ndarray:
        """Return what is left of each rating, (E,): a UPS that lost a module."""
        parts = self.reader.components
        factor = np.ones(len(parts.name))
        mine = parts.table == "ups"
        at = parts.position[mine]
        factor[mine] = one.grid.upss.p_rated_kw[at] / np.maximum(self.grid.upss.p_rated_kw[at], 1e-9)
        return factor

    # --- one solve

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        if (options.components, tuple(tuple(pair) for pair in options.doubles)) != self._asked:
            self._read_contingencies(options)
        deadline_s = started + options.time_limit_s
        spans = {"build_s": build_s}

        def since(begun: float) -> float:
            return time.perf_counter() - begun

        begun = time.perf_counter()
        demand = with_load_kw(self.demand, options.p_load_kw, options.p_asymmetric_kw)
        vectors = read_vectors(demand, options.loads, options.step_s, options.horizon_s)
        moves = read_max_moves(options.max_moves)
        hold_s = options.latency_s + RELIEF_S if options.corrective else options.horizon_s
        budget = None
        if options.peaks is not None:
            budget, vectors = read_budget(vectors, options.peaks)
        data = self.frame.exposure(vectors.cord_kw, *self.limits(hold_s))
        core = data.core()
        goals = self._goals(core, options)
        spans["update_s"] = since(begun)
        begun = time.perf_counter()
        search_until_s = started + SEARCH_PART * options.time_limit_s
        allowed = within_voltage(self.net, self.frame, data, self.ups_of_station)

        def once(vectors: Vectors) -> tuple[Exposure, Solved]:
            data = self.frame.exposure(vectors.cord_kw, *self.limits(hold_s))
            core = data.core()
            search = Search(self.formulation, core, allowed, moves, search_until_s, last=self._last)
            return data, search.solve(self._goals(core, options))

        if budget is None:
            search = Search(self.formulation, core, allowed, moves, search_until_s, last=self._last)
            solved = search.solve(goals)
        else:
            tolerance_kw = self._margin_tolerance_kw(core, options)
            vectors, data, solved = protect(budget, vectors, self.frame, once, tolerance_kw, search_until_s)
            data = self.frame.exposure(vectors.cord_kw, *self.limits(hold_s))
            core = data.core()
        self._last = solved
        spans["solve_s"] = since(begun)
        begun = time.perf_counter()
        response = respond(self.grid, demand, [])
        plan, end, complete = self._plan(demand, response, data, solved.chosen, options, deadline_s)
        spans["sequence_s"] = since(begun)
        begun = time.perf_counter()
        report = self.checker.report(plan)
        judged = data
        if options.corrective:  # by what lasts the horizon: the rest needs a reroute
            judged = self.frame.exposure(vectors.cord_kw, *self.limits(options.horizon_s))
        audit = self.auditor.audit(judged, solved.chosen, vectors.cord_kw, vectors.labels, AC_STATES)
        spans["check_s"] = since(begun)
        status = _status(solved, complete, report)
        notes: tuple[str, ...] = ()
        if options.corrective and status in ("optimal", "feasible"):
            audit = correct(self.net, plan, audit, self._vector_series(vectors), options, deadline_s)
        elif audit.open_margin_kw < 0.0 and options.explain:
            notes = Shortfall(core, self.frame, self.formulation, vectors).notes(solved.chosen, deadline_s)
        result = self._result(options, demand, solved, end, plan, report, audit, status, notes, response)
        return replace(result, timings={**spans, "total_s": time.perf_counter() - started})

    def _vector_series(self, vectors: Vectors) -> Mapping[str, pd.Series]:
        """Return each load vector as kW by row of net.load."""
        demand = self.demand
        mine = demand.cord_table == "load"
        return {
            label: pd.Series(vectors.cord_kw[mine, v], index=demand.cord_row[mine])
            for v, label in enumerate(vectors.labels)
        }

    def _goals(self, core: Core, options: Any) -> list[Goal]:
        """Return the terms in their order."""
        terms = tuple(options.minimize or self.formulation.terms)
        unknown = [term for term in terms if term not in self.formulation.terms]
        if unknown:
            allowed = f"some of {', '.join(self.formulation.terms)}"
            raise InputError(Issue("Enum", "minimize", "", unknown, allowed, "Correct the terms."))
        base, n = self.scenarios[0], len(self.choices.station_node)
        parts = self.reader.components
        told = read_risk(self.net, options.evacuate, options.risk)
        weight = np.array([told.get(name, 0.0) for name in parts.name])
        carries = ((base.p[:, :n].toarray() > 0) | (base.s[:, :n].toarray() > 0)).astype(float)
        per_kw = {
            "evacuated": (carries * weight[:, None]).max(axis=0, initial=0.0),
            "losses": self._loss_per_kw(base),
            "quality": self._of_ups("thd_percent"),
            "cost": self._of_ups("cost_per_kwh"),
        }
        goals = []
        for term in terms:
            tolerance = TOLERANCE.get(term, self._margin_tolerance_kw(core, options))
            if term in ("margin", "balance"):
                goals.append(Goal(term, None, tolerance))
            elif term == "moves":
                cost = self.formulation.move_cost(core, self._priority(), self._move_cost())
                goals.append(Goal(term, cost, 1e-3))
            elif np.ptp(per_kw[term]) > 0:  # a term that is the same everywhere decides nothing
                goals.append(Goal(term, self.formulation.station_cost(core, per_kw[term]), tolerance))
        return goals

    def _margin_tolerance_kw(self, core: Core, options: Any) -> float:
        scale = float(core.system_limit_kw.mean()) if len(core.system_limit_kw) else 1.0
        return float(options.gap * scale)

    def _priority(self) -> np.ndarray:
        """Return the most critical priority behind each device, (D,)."""
        out = np.full(len(self.choices.name), 10.0)
        device = self.reader.cord_device
        mine = device >= 0
        np.minimum.at(out, device[mine], self.demand.priority[self.demand.cord_unit[mine]].astype(float))
        return out

    def _move_cost(self) -> np.ndarray:
        return np.asarray(values(self.net, "transfer", "move_cost")[self.choices.transfer], dtype=float)

    def _of_ups(self, column: str) -> np.ndarray:
        """Return a column of net.ups by station, (Q,)."""
        worth = np.r_[values(self.net, "ups", column) if len(self.grid.upss.index) else [], 0.0]
        return np.asarray(worth[self.ups_of_station], dtype=float)

    def _loss_per_kw(self, base: Scenario) -> np.ndarray:
        """Return the loss in kW that one kW at each station adds to the path above it, (Q,), at the load as given.

        Twice the series resistance times the load there now, and the slope of the UPS's losses.
        """
        parts, n = self.reader.components, len(self.choices.station_node)
        linear = self._linear_load(base)
        r_pu = np.zeros(len(parts.name))
        branch = ~np.isin(parts.table, ("switch", "ups", "source"))
        r_pu[branch] = self.grid.branches.r_pu[parts.position[branch]]
        per_kva = 2.0 * r_pu * linear / 1000.0
        ups = (parts.table == "ups") & parts.by_p
        slope = np.zeros(len(parts.name))
        slope[ups] = self.grid.upss.loss_slope[parts.position[ups]]
        s_gain = (base.p[:, :n] + base.s[:, :n] * self.frame.mean_kva_per_kw).toarray()
        return np.asarray((per_kva + slope) @ s_gain)

    def _linear_load(self, base: Scenario) -> np.ndarray:
        """Return the load of every component if all devices shared evenly among their stations, in its unit, (E,)."""
        draw = self.frame.draw_kw(self.frame.sharing[0], self.demand.cord_kw[:, None])
        p_kw, s_kva, board_p, board_s = (part[:, 0] for part in self.frame.hangs(draw))
        for d, k in enumerate(self.choices.kind):
            stations = self.choices.kinds[k].stations
            np.add.at(board_p, stations, p_kw[d] / len(stations))
            np.add.at(board_s, stations, s_kva[d] / len(stations))
        return np.asarray(base.p @ board_p + base.s @ board_s + base.fixed)

    # --- the plan

    def _plan(
        self,
        demand: Demand,
        response: Response,
        data: Exposure,
        chosen: np.ndarray,
        options: Any,
        deadline_s: float,
    ) -> tuple[Plan, State, bool]:
        """Order the moves, and let every device prefer what its choice says; return plan, end, and if it is whole."""
        reason = "reserve allocation"
        target = self._target(response.state, chosen)
        if int((target.closed & ~response.state.closed).sum()) > FEW_MOVES:
            actions = many_moves(self.grid, self.choices, data, chosen, options.latency_s, reason)
            return self._with_settings(actions, chosen, response, options, reason), target, True
        sequence = order_after(
            response,
            demand,
            self.book,
            target,
            self.judge,
            latency_s=options.latency_s,
            horizon_s=options.horizon_s,
            reason=reason,
            until_s=deadline_s,
        )
        plan = self._with_settings(sequence.actions, chosen, response, options, reason)
        return plan, sequence.end(response.state), sequence.complete

    def _with_settings(
        self, actions: list[Action], chosen: np.ndarray, response: Response, options: Any, reason: str
    ) -> Plan:
        """Return the plan: the moves, then in one step the positions that devices are to prefer."""
        step = max((action.step for action in actions), default=0) + 1
        t_s = max((action.t_s for action in actions), default=options.latency_s)
        names, given = self.grid.switches.name, self.grid.transfers.preferred
        for d, switch in enumerate(self.choices.preferred_switch(self.grid, chosen)):
            was = int(given[self.choices.transfer[d]])
            if switch >= 0 and switch != was:
                before = names[was] if was >= 0 else None
                actions.append(
                    Action(step, t_s, self.choices.name[d], "prefer", before, names[int(switch)], reason)
                )
        loads = {
            table: {int(k): float(v) for k, v in series.items()}
            for table, series in (("load", options.p_load_kw), ("asymmetric_load", options.p_asymmetric_kw))
            if series is not None
        }
        return Plan(
            problem=self.formulation.name,
            failed=(),
            automatic=response.automatic,
            actions=tuple(actions),
            horizon_s=options.horizon_s,
            latency_s=options.latency_s,
            loads_kw=loads,
        )

    def _target(self, state: State, chosen: np.ndarray) -> State:
        """Return the state with every device where its choice stands."""
        opened = self.choices.opened(state)
        closed = opened.closed.copy()
        closed[self.choices.active_switch(chosen)] = True
        return opened.but(closed=closed)

    # --- the result

    def _backing(self, data_kw: np.ndarray, chosen: np.ndarray) -> pd.DataFrame:
        """Return who backs whom, one row a device."""
        names, at = self.grid.switches.name, self.ups_of_station
        rows = []
        for d, (k, x) in enumerate(zip(self.choices.kind, chosen, strict=True)):
            kind, switches = self.choices.kinds[k], self.choices.switches[d]
            active, following = int(kind.active[x]), int(kind.following[x])

            def system(position: int, kind: Any = kind, switches: np.ndarray = switches) -> str:
                if position < 0:
                    return ""
                ups = int(at[kind.stations[position]])
                return self.grid.upss.name[ups] if ups >= 0 else names[int(switches[position])]

            held = int(kind.active[self.choices.held[d]])
            rows.append(
                (self.choices.name[d], float(data_kw[d]), system(active), system(following), active != held)
            )
        return pd.DataFrame(rows, columns=["device", "kw", "active", "next", "moved"])

    def _output_vm_pu(self, demand: Demand, end: State) -> np.ndarray:
        """Return the voltage of every device's output with nothing failed, by AC power flow."""
        flow = flow_of(self.net, self.grid, demand, [end], self.engine)
        return output_vm_pu(self.net, self.grid, self.choices.output, flow.vm_pu[0])

    def _result(
        self,
        options: Any,
        demand: Demand,
        solved: Solved,
        end: State,
        plan: Plan,
        report: CheckReport,
        audit: Audit,
        status: Status,
        notes: tuple[str, ...],
        response: Response,
    ) -> Result:
        missing = missing_kw(response.grid, demand, end)
        priorities = sorted({int(p) for p in demand.priority})
        sign = {"margin": -1.0}
        value = {name: sign.get(name, 1.0) * v + 0.0 for name, v in solved.value.items()}
        bound = {name: sign.get(name, 1.0) * v + 0.0 for name, v in solved.bound.items()}
        draw = self.frame.draw_kw(self.frame.sharing[0], demand.cord_kw[:, None])
        left = f"not decided, more than load hangs on them: {', '.join(self.choices.left_out[:6])}"
        return Result(
            problem=self.formulation.name,
            status=status,
            objective=value,
            bound=bound,
            gap={name: abs(value[name] - bound[name]) for name in value},
            unserved_kw=float(missing.sum()),
            unserved_by_priority={p: float(missing[demand.priority == p].sum()) for p in priorities},
            demand_by_priority={p: float(demand.d_kw[demand.priority == p].sum()) for p in priorities},
            unservable=tuple(demand.name[u] for u in np.flatnonzero(response.unservable)),
            interrupted_kw=report.interrupted_kw,
            losses_kw=report.losses_kw,
            plan=plan,
            issues=report.issues,
            timings={},
            worst_component=report.worst_component,
            worst_loading_percent=report.worst_loading_percent,
            trace=tuple(solved.trace),
            network=str(getattr(self.net, "name", "") or ""),
            fingerprint=self.fingerprint,
            notes=(*notes, *((left,) if self.choices.left_out else ())),
            margins=audit.frame,
            backing=self._backing(self.frame.hangs(draw)[0][:, 0], solved.chosen).assign(
                vm_pu=self._output_vm_pu(demand, end)
            ),
        )


def _status(solved: Solved, complete: bool, report: CheckReport) -> Status:
    if any(issue.severity == "error" for issue in report.issues) or not complete:
        return "failed"
    return "optimal" if solved.proved else "feasible"
