"""From loads to verified set-points: flow, programme at its point, again until both agree, commands, checker."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.data import INSCRIBED, S_BASE_KW
from pdnopt.balancing.flow import PHASES, Injections, PhaseFlow
from pdnopt.balancing.inverters import (
    Bounds,
    check_phases,
    read_bounds,
    read_inverters,
)
from pdnopt.balancing.loads import Loads, loads_kw
from pdnopt.balancing.link import evened
from pdnopt.balancing.network import read_phase_network
from pdnopt.balancing.points import Sight, look, point_of, read_area
from pdnopt.balancing.programme import Answer, Programme
from pdnopt.checker import Checker, CheckReport
from pdnopt.errors import InputError, Issue
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.result import Result, Status

__all__ = ["BalanceRunner"]

ROUNDS = 8
AGREED_PU = 1e-4
"""Voltages of the programme and of the flow at its set-points agree within this."""
AS_TOLD = {"violations": 1e-5, "vuf": 5e-5, "spread": 5e-4}
"""The flow's terms are not more than this, and what a polygon understates, above those of the programme."""
DIGITS = 4
"""Of kW and kvar that are sent: 0.1 W."""
UNMOVED_KW = 1e-3
KEPT = 1e-4
"""Violations (T1) up to this sum count as none."""
COMMAND_S = 1.0
POWERS = ("losses", "effort")


class BalanceRunner:
    """A network prepared for many balances.

    Parameters
    ----------
    net : pandapowerNet
    formulation : Balance
    options : Options
    """

    def __init__(self, net: Any, formulation: Any, options: Any) -> None:
        self.net, self.formulation = net, formulation
        issues = check_phases(net)
        if issues:
            raise InputError(issues)
        self.base = Plan(problem="balance").apply(net)
        self.network = read_phase_network(self.base)
        self.flow = PhaseFlow(self.network)
        self.inverters = read_inverters(self.base, self.network, options.horizon_s)
        self.loads = Loads(net, self.base, self.network, self.inverters)
        self.checker = Checker(net)
        self.fingerprint = fingerprint(net)
        told = self._loads(options)
        start = self._sight(told, self.inverters.now_kva)
        self.area = read_area(self.base, self.network, self.inverters, start)
        self._compile(options)
        self._start_kva = self.inverters.now_kva
        self._prime()

    def updated(self, net: Any, options: Any) -> BalanceRunner:
        """Return a runner of the same plant at another moment."""
        return type(self)(net, self.formulation, options)

    def _compile(self, options: Any) -> None:
        """Build what is solved: here one programme of the whole plant."""
        self.programme = Programme(self.formulation.build(self.area.structure))

    def _prime(self) -> None:
        """Solve for the table's loads: every solve starts from there, so that none depends on those before it."""
        bounds = read_bounds(self.base, self.inverters, (), (), None)
        told = self.loads.at({})
        _, found, _, _ = self.search(told, bounds, self.formulation.terms, np.inf)
        if found is not None:
            self._start_kva = found
        self.programme.keep()

    # --- one solve

    def solve(self, options: Any, started: float, build_s: float) -> Result:
        """Solve once; ``started`` is on the clock of time.perf_counter."""
        deadline_s = started + options.time_limit_s
        begun = time.perf_counter()
        terms = self._terms(options)
        told = self._loads(options)
        ramp = options.max_ramp_kva
        bounds = read_bounds(self.base, self.inverters, options.failed, options.stale, ramp)
        before = self._sight(told, self.inverters.now_kva)
        update_s, begun = time.perf_counter() - begun, time.perf_counter()
        answer, s_kva, after, rounds = self.search(told, bounds, terms, deadline_s)
        solve_s, begun = time.perf_counter() - begun, time.perf_counter()
        if s_kva is None:
            s_kva, after = np.where(np.repeat(bounds.failed, 3), 0.0, self.inverters.now_kva), before
        plan = self._plan(options, bounds, s_kva)
        report = self.checker.report(plan)
        check_s = time.perf_counter() - begun
        status = self._status(answer, report)
        result = self._result(options, answer, plan, report, status, before, after, rounds, terms)
        times = {"build_s": build_s, "update_s": update_s, "solve_s": solve_s, "check_s": check_s}
        return replace(result, timings={**times, "total_s": time.perf_counter() - started})

    def search(
        self, told: Injections, bounds: Bounds, terms: tuple[str, ...], deadline_s: float
    ) -> tuple[Answer, np.ndarray | None, Sight, int]:
        """Solve at a point, go there, and again until programme and flow agree."""
        inverters = self.inverters
        s_kva = np.where(np.repeat(bounds.told, 3), self._start_kva, inverters.now_kva)
        s_kva = np.where(np.repeat(bounds.failed, 3), 0.0, s_kva)
        sight = self._sight(told, s_kva)
        self.programme.rewind()
        best: np.ndarray | None = None
        answer = Answer("no_incumbent", {}, {})
        for count in range(1, ROUNDS + 1):
            point = point_of(self.area, inverters, bounds, sight, s_kva)
            new = self.programme.solve(point, terms, deadline_s)
            if best is not None and new.status != "optimal":  # cut off: the answer before it is whole
                return replace(answer, status="feasible"), best, sight, count - 1
            if not new.values:
                return new, None, sight, count
            answer = new
            kva = (new.values["p"] + 1j * new.values["q"]) * S_BASE_KW
            even = evened(
                kva.reshape(-1, 3), inverters.s_max_kva, inverters.loss, bounds.b_low, bounds.b_high
            )
            kva = np.where(np.repeat(bounds.told, 3), even.ravel(), s_kva)
            change = new.values["dj_re"] + 1j * new.values["dj_im"]
            expected = sight.v[self.area.rows] + self.area.structure.reach.voltage @ change
            s_kva = best = kva
            sight = self._sight(told, s_kva)
            apart = np.abs(sight.v[self.area.rows] - expected).max(initial=0.0)
            if apart <= AGREED_PU and self._as_told(answer, sight):
                break
        else:
            answer = replace(answer, status="feasible")
        return answer, best, sight, count

    def _as_told(self, answer: Answer, sight: Sight) -> bool:
        """Whether the flow is as even as the programme says."""
        seen = self.seen(sight)
        return all(
            value <= answer.terms[name] / INSCRIBED + AS_TOLD[name]
            for name, value in seen.items()
            if name in answer.terms
        )

    def seen(self, sight: Sight) -> dict[str, float]:
        """Return the leading terms of a flow: how far beyond limits, worst unbalance, worst spread."""
        area, s = self.area, self.area.structure
        size = np.abs(sight.current).reshape(-1, 3)[area.feeders]
        v = np.abs(sight.v[area.rows])
        with np.errstate(invalid="ignore"):
            over = np.nan_to_num(size / s.limit[:, None] - 1.0, nan=-1.0)
        beyond = [over.ravel(), v - s.v_max, s.v_min - v]
        spread = (size.max(axis=1) - size.min(axis=1))[s.counts] / s.scale[s.counts]
        return {
            "violations": max(0.0, *(float(part.max(initial=0.0)) for part in beyond)),
            "vuf": float(sight.unbalance[area.nodes].max(initial=0.0)),
            "spread": float(spread.max(initial=0.0)),
        }

    def _terms(self, options: Any) -> tuple[str, ...]:
        terms = tuple(options.minimize or self.formulation.terms)
        wrong = [name for name in terms if name not in self.formulation.terms]
        if wrong or len(set(terms)) != len(terms):
            allowed = f"each at most once: {', '.join(self.formulation.terms)}"
            raise InputError(Issue("Enum", "minimize", "", list(terms), allowed, "Correct the terms."))
        return terms

    def _loads(self, options: Any) -> Injections:
        """Return the loads now, with those that replace the tables'."""
        return self.loads.at(loads_kw(self.net, options))

    def _sight(self, told: Injections, s_kva: np.ndarray) -> Sight:
        v = self.flow.solve(told, self.inverters.rows, s_kva).v
        return look(self.flow, told, self.inverters, v, s_kva)

    # --- what is returned

    def _plan(self, options: Any, bounds: Bounds, s_kva: np.ndarray) -> Plan:
        inverters = self.inverters
        rounded = np.round(s_kva.real, DIGITS) + 1j * np.round(s_kva.imag, DIGITS)
        actions = []
        for k in np.flatnonzero(bounds.told):
            now, then = (kva[3 * k : 3 * k + 3] for kva in (inverters.now_kva, rounded))
            if np.abs(then - now).max() > UNMOVED_KW:
                why = "takes from the phases that carry less, gives to those that carry more"
                t_s = options.latency_s + COMMAND_S
                actions.append(Action(1, t_s, inverters.name[k], "setpoint", _words(now), _words(then), why))
        return Plan(
            problem="balance",
            failed=tuple(options.failed),
            actions=tuple(actions),
            horizon_s=options.horizon_s,
            latency_s=options.latency_s,
            loads_kw=loads_kw(self.net, options),
        )

    def _status(self, answer: Answer, report: CheckReport) -> Status:
        if not answer.values:
            return "infeasible" if answer.status == "infeasible" else "no_incumbent"
        if answer.terms.get("violations", 0.0) > KEPT:
            return "infeasible"
        if any(issue.severity == "error" for issue in report.issues):
            return "failed"
        return "optimal" if answer.status == "optimal" else "feasible"

    def _result(
        self,
        options: Any,
        answer: Answer,
        plan: Plan,
        report: CheckReport,
        status: Status,
        before: Sight,
        after: Sight,
        rounds: int,
        terms: tuple[str, ...],
    ) -> Result:
        objective = {
            name: value * (S_BASE_KW if name in POWERS else 1.0)
            for name, value in ((n, answer.terms[n]) for n in terms if n in answer.terms)
        }
        proved = dict(objective) if answer.status == "optimal" else {}
        return Result(
            problem="balance",
            status=status,
            objective=objective,
            bound=proved,
            gap=dict.fromkeys(proved, 0.0),
            unserved_kw=0.0,
            unserved_by_priority={},
            demand_by_priority={},
            unservable=(),
            interrupted_kw=0.0,
            losses_kw=report.losses_kw,
            plan=plan,
            issues=list(report.issues),
            timings={},
            worst_component=report.worst_component,
            worst_loading_percent=report.worst_loading_percent,
            network=str(self.net.name or ""),
            fingerprint=self.fingerprint,
            notes=(self._note(answer, rounds),),
            phases=self.phases(before, after),
            unbalance=self.unbalance(before, after),
        )

    def _note(self, answer: Answer, rounds: int) -> str:
        if answer.status == "optimal":
            return f"programme and flow agree after {rounds} round{'' if rounds == 1 else 's'}"
        return f"stopped after {rounds} rounds, before programme and flow agreed"

    def phases(self, before: Sight, after: Sight) -> pd.DataFrame:
        """Return one row a feeder: currents by phase and of the neutral (A), spread (percent of the rating)."""
        feeders = self.network.feeders
        own, scale = self.area.shown, self.area.shown_scale
        amps = feeders.base_ka[own] * 1e3
        columns: dict[str, Any] = {"component": [feeders.name[f] for f in own]}
        for word, sight in (("before", before), ("after", after)):
            size = np.abs(sight.current).reshape(-1, 3)[own]
            for k, phase in enumerate(PHASES):
                columns[f"i_{phase}_{word}_a"] = size[:, k] * amps
            columns[f"i_n_{word}_a"] = np.abs(sight.neutral)[own] * amps
            columns[f"spread_{word}_percent"] = 100.0 * (size.max(axis=1) - size.min(axis=1)) / scale
        return pd.DataFrame(columns)

    def unbalance(self, before: Sight, after: Sight) -> pd.DataFrame:
        """Return one row a bus: |V2| / |V1| in percent, voltages by phase in pu as magnitudes and angles (degrees)."""
        mine = np.isin(self.network.island[self.network.node], self.network.island[self.area.nodes])
        mine &= self.network.node >= 0
        node = self.network.node[mine]
        columns: dict[str, Any] = {"bus": [f"bus:{name}" for name in self.net.bus["name"][mine]]}
        for word, sight in (("before", before), ("after", after)):
            columns[f"vuf_{word}_percent"] = 100.0 * sight.unbalance[node]
            for k, phase in enumerate(PHASES):
                v = sight.v[3 * node + k]
                columns[f"vm_{phase}_{word}_pu"] = np.abs(v)
                columns[f"va_{phase}_{word}_degree"] = np.degrees(np.angle(v))
        return pd.DataFrame(columns)


def _words(kva: np.ndarray) -> dict[str, list[float]]:
    """Return a set-point as plain values: kW and kvar of phases a, b, c."""
    return {"p_kw": [float(x) for x in kva.real], "q_kvar": [float(x) for x in kva.imag]}
