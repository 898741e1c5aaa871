"""From loads to verified set-points: flow, programme at its point, again until both agree, commands, checker."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.allocation.inputs import read_max_moves
from pdnopt.balancing.checks import check_call, check_inputs, check_pairs, check_terms
from pdnopt.balancing.data import INSCRIBED, S_BASE_KW
from pdnopt.balancing.flow import PHASES, Injections, PhaseFlow
from pdnopt.balancing.harmonics import Filtered, Filtering, Fundamental, as_checked
from pdnopt.balancing.inverters import (
    Bounds,
    nearer,
    read_bounds,
    read_inverters,
)
from pdnopt.balancing.link import taken
from pdnopt.balancing.loads import Loads, loads_kw
from pdnopt.balancing.network import read_phase_network
from pdnopt.balancing.phases import Move, Selection, better, moved
from pdnopt.balancing.points import Sight, look, point_of, read_area
from pdnopt.balancing.programme import Answer, Programme
from pdnopt.checker import Checker, CheckReport
from pdnopt.errors import InputError
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.result import Result, Status

__all__ = ["BalanceRunner"]

ROUNDS = 12
FREE_ROUNDS = 3
"""After so many rounds set-points move at most half an inverter's rating, then a quarter ...: what swings comes to rest."""
SELECTIONS = 3
"""How often racks that change their phase are chosen, each time at the point of the last choice."""
AGREED_PU = 1e-4
"""Voltages of the programme and of the flow at its set-points agree within this."""
AGREED_PART = 4e-3
"""Powers on the DC link agree within this part of an inverter's rating: losses are tangents. The checker takes 5e-3."""
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
        issues = check_inputs(net, formulation.terms, options)
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
        self._selection: Selection | None = None
        self._courses: dict[tuple[int, ...], Any] = {}
        self._filtering: Filtering | None = None
        if options.spectra is not None:
            self.filtering.read(options.spectra)  # refuses what is wrong before anything is solved
        self._prime()

    @property
    def filtering(self) -> Filtering:
        """What answers harmonics."""
        if self._filtering is None:
            self._filtering = Filtering(self.base, self.network, self.inverters, self.formulation.harmonics)
        return self._filtering

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
        if check_pairs(options):
            raise InputError(check_call(self.net, self.formulation.terms, options))
        if options.loads is not None:
            from pdnopt.balancing.course import Course, read_vectors, solve_course

            vectors = read_vectors(self.net, options)
            shape = tuple(vectors.step.tolist())
            if shape not in self._courses:
                self._courses[shape] = Course(self, vectors.step)
            return solve_course(self._courses[shape], vectors, options, started, build_s)
        deadline_s = started + options.time_limit_s
        begun = time.perf_counter()
        try:
            terms = self._terms(options)
            most = 0.0 if options.max_moves is None else read_max_moves(options.max_moves)
            told = self._loads(options)
            ramp = options.max_ramp_kva
            bounds = read_bounds(self.base, self.inverters, options.failed, options.stale, ramp)
        except InputError as error:  # the first fault found: look for all others
            issues = check_call(self.net, self.formulation.terms, options)
            raise InputError(issues or error.issues) from error
        before = self._sight(told, self.inverters.now_kva)
        update_s, begun = time.perf_counter() - begun, time.perf_counter()
        answer, s_kva, after, rounds = self.search(told, bounds, terms, deadline_s)
        moves: list[Move] = []
        if most and s_kva is not None:
            found = self._with_moves(options, bounds, (answer, s_kva, after, rounds), terms, deadline_s)
            moves, (answer, s_kva, after, rounds) = found
        solve_s, begun = time.perf_counter() - begun, time.perf_counter()
        if s_kva is None:
            s_kva, after = np.where(np.repeat(bounds.failed, 3), 0.0, self.inverters.now_kva), before
        plan = self._plan(options, bounds, s_kva)
        plan = replace(
            plan, actions=(*(m.action(options.latency_s + COMMAND_S) for m in moves), *plan.actions)
        )
        filtered = None
        if options.spectra is not None:
            filtered = self._filtered(options, told, bounds, after, s_kva, deadline_s)
            plan = replace(plan, actions=(*plan.actions, *filtered.actions))
            solve_s, begun = solve_s + time.perf_counter() - begun, time.perf_counter()
        report = self.checker.report(plan)
        if filtered is not None:
            report = as_checked(self.net, plan, options.spectra, filtered, report)
        check_s = time.perf_counter() - begun
        status = self._status(answer, report)
        result = self._result(options, answer, plan, report, status, before, after, rounds, terms)
        if filtered is not None:
            result = filtered.added_to(result)
        times = {"build_s": build_s, "update_s": update_s, "solve_s": solve_s, "check_s": check_s}
        return replace(result, timings={**times, "total_s": time.perf_counter() - started})

    def search(
        self, told: Injections, bounds: Bounds, terms: tuple[str, ...], deadline_s: float
    ) -> tuple[Answer, np.ndarray | None, Sight, int]:
        """Solve at a point, go there, and again until programme and flow agree."""
        inverters = self.inverters
        s_kva = self.start_kva(bounds)
        sight = self._sight(told, s_kva)
        self.programme.rewind()
        best: np.ndarray | None = None
        answer = Answer("no_incumbent", {}, {})
        for count in range(1, ROUNDS + 1):
            near = self.near(bounds, s_kva, count)
            point = point_of(self.area, inverters, near, sight, s_kva)
            new = self.programme.solve(point, terms, deadline_s)
            if best is not None and new.status != "optimal":  # cut off: the answer before it is whole
                return replace(answer, status="feasible"), best, sight, count - 1
            if not new.values:
                return new, None, sight, count
            answer = new
            kva = (new.values["p"] + 1j * new.values["q"]) * S_BASE_KW
            kva = np.where(np.repeat(bounds.told, 3), kva, s_kva)
            change = new.values["dj_re"] + 1j * new.values["dj_im"]
            expected = sight.v[self.area.rows] + self.area.structure.reach.voltage @ change
            s_kva = best = kva
            sight = self._sight(told, s_kva)
            even = self.link_agrees(s_kva, new.values["b"] * S_BASE_KW, bounds)
            if self.agree(sight, expected) and even and as_told(answer, self.seen(sight)):
                break
        else:
            answer = replace(answer, status="feasible")
        return answer, best, sight, count

    def _with_moves(
        self,
        options: Any,
        bounds: Bounds,
        found: tuple[Answer, np.ndarray, Sight, int],
        terms: tuple[str, ...],
        deadline_s: float,
    ) -> tuple[list[Move], Any]:
        """Return the racks that change their phase, and what a search finds then; nothing where that is no better."""
        if self._selection is None:
            self._selection = Selection(self)
        told, owners = self.loads.owned(loads_kw(self.net, options))
        owner = owners.get("asymmetric_load", np.full(len(told.s_pu), -1))
        counted = int(self.area.structure.counts.sum())
        best: tuple[list[Move], Any] = ([], found)
        moves: list[Move] = []
        seen = {frozenset(moves)}
        at: Any = found
        for _ in range(SELECTIONS):
            moves = self._selection.choose(
                told, owner, bounds, at[2], at[1], terms, options.max_moves, moves, deadline_s
            )
            if frozenset(moves) in seen:
                break
            seen.add(frozenset(moves))
            at = self.search(moved(told, owner, moves), bounds, terms, deadline_s)
            if at[1] is None:
                break
            if better(at[0], best[1][0], counted):
                best = moves, at
        return best

    def near(self, bounds: Bounds, s_kva: np.ndarray, count: int) -> Bounds:
        """Return the bounds of a round."""
        if count <= FREE_ROUNDS:
            return bounds
        return nearer(bounds, s_kva, 0.5 ** (count - FREE_ROUNDS) * np.repeat(self.inverters.s_max_kva, 3))

    def agree(self, sight: Sight, expected: np.ndarray) -> bool:
        """Whether the voltages of a flow are those that the programme expected."""
        return bool(np.abs(sight.v[self.area.rows] - expected).max(initial=0.0) <= AGREED_PU)

    def link_agrees(self, s_kva: np.ndarray, b_kw: np.ndarray, bounds: Bounds) -> bool:
        """Whether the powers on the DC links are those of the programme."""
        apart = np.abs(self.link_kw(s_kva) - b_kw)[bounds.told]
        return bool((apart <= AGREED_PART * self.inverters.s_max_kva[bounds.told]).all())

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

    def start_kva(self, bounds: Bounds) -> np.ndarray:
        """Return the set-points from which a search starts: those of the table's loads, where they may be told."""
        s_kva = np.where(np.repeat(bounds.told, 3), self._start_kva, self.inverters.now_kva)
        return np.where(np.repeat(bounds.failed, 3), 0.0, s_kva)

    def _filtered(
        self,
        options: Any,
        told: Injections,
        bounds: Bounds,
        sight: Sight,
        s_kva: np.ndarray,
        deadline_s: float,
    ) -> Filtered:
        """Return what the filters do about harmonics, with what the set-points leave of their ratings."""
        replaced = loads_kw(self.net, options)
        net = self.base if not replaced else Plan("balance", loads_kw=replaced).apply(self.net)
        rows = self.inverters.rows
        flow = self.flow.solve(told, rows, s_kva, sight.v)
        sources = self.flow.source_current(told, rows, s_kva, flow)
        state = Fundamental(net, flow.v, sight.current, sources, flow.ups_in_kw, s_kva, bounds.told)
        spectra = self.filtering.read(options.spectra)
        return self.filtering.solve(spectra, state, options.latency_s + COMMAND_S, deadline_s)

    def link_kw(self, s_kva: np.ndarray) -> np.ndarray:
        """Return what each inverter takes from its DC link: powers and losses of its phases, kW, (I,)."""
        return taken(s_kva.reshape(-1, 3), self.inverters.loss)

    def _terms(self, options: Any) -> tuple[str, ...]:
        issues = check_terms(self.formulation.terms, options)
        if issues:
            raise InputError(issues)
        return tuple(options.minimize or self.formulation.terms)

    def _loads(self, options: Any) -> Injections:
        """Return the loads now, with those that replace the tables'."""
        return self.loads.at(loads_kw(self.net, options))

    def _sight(self, told: Injections, s_kva: np.ndarray) -> Sight:
        v = self.flow.solve(told, self.inverters.rows, s_kva).v
        return look(self.flow, told, self.inverters, v, s_kva)

    # --- what is returned

    def _plan(
        self,
        options: Any,
        bounds: Bounds,
        s_kva: np.ndarray,
        loads: dict[str, dict[int, float]] | None = None,
    ) -> Plan:
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
            loads_kw=loads_kw(self.net, options) if loads is None else loads,
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


def as_told(answer: Answer, seen: dict[str, float]) -> bool:
    """Whether the leading terms of a flow are those of the programme."""
    return all(
        value <= answer.terms[name] / INSCRIBED + AS_TOLD[name]
        for name, value in seen.items()
        if name in answer.terms
    )


def _words(kva: np.ndarray) -> dict[str, list[float]]:
    """Return a set-point as plain values: kW and kvar of phases a, b, c."""
    return {"p_kw": [float(x) for x in kva.real], "q_kvar": [float(x) for x in kva.imag]}
