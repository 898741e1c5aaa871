"""A balance over a course: the first step is the plan, verified for each of its load vectors; later steps are an outlook."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pdnopt.balancing.course.inputs import Vectors
from pdnopt.balancing.course.stack import CoursePoint, Stack, nothing_of
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import PHASES, Injections
from pdnopt.balancing.inverters import Bounds, read_bounds
from pdnopt.balancing.loads import loads_kw
from pdnopt.balancing.points import Sight, point_of
from pdnopt.balancing.programme import Answer, Programme
from pdnopt.balancing.runner import as_told

if TYPE_CHECKING:
    from pdnopt.balancing.runner import BalanceRunner
    from pdnopt.result import Result

__all__ = ["Course", "solve_course"]

ROUNDS = 10
S_PER_H = 3600.0


class Course:
    """The programme of one shape of course: T steps, and of each its load vectors."""

    def __init__(self, runner: BalanceRunner, steps: np.ndarray) -> None:
        self.runner, self.steps = runner, steps
        base = runner.programme.compilation
        model = base.model
        self.stack = Stack(base, steps, tuple(model.terms))
        self.programme = Programme(model, self.stack, nothing_of(model.nothing, len(steps)))
        free = read_bounds(runner.base, runner.inverters, (), (), None)
        now = runner.loads.at({})
        told = [now] * len(steps)
        self.search(told, [free] * self.stack.n_steps, tuple(model.terms), inf, 1.0, inf)
        self.programme.keep()  # as a session: every course starts from the same place

    def search(
        self,
        told: list[Injections],
        bounds: list[Bounds],
        terms: tuple[str, ...],
        ramp_kva: float,
        step_h: float,
        deadline_s: float,
    ) -> tuple[Answer, np.ndarray, list[Sight], int]:
        """Solve at points, go there, and again until programme and flows agree; set-points are (T, 3I), kVA."""
        runner = self.runner
        at = [runner.start_kva(bounds[t]) for t in range(self.stack.n_steps)]
        s_kva = np.array(at)
        self.programme.rewind()
        sights = self._look(told, s_kva)
        answer, best = Answer("no_incumbent", {}, {}), s_kva
        for count in range(1, ROUNDS + 1):
            points = tuple(
                point_of(
                    runner.area,
                    runner.inverters,
                    runner.near(bounds[t], s_kva[t], count),
                    sights[k],
                    s_kva[t],
                )
                for k, t in enumerate(self.steps)
            )
            new = self.programme.solve(self._point(points, bounds, ramp_kva, step_h), terms, deadline_s)
            if new.status != "optimal":
                kept = new if count == 1 else replace(answer, status="feasible")
                return kept, best, sights, count - 1
            answer = new
            kva = (new.values["p"] + 1j * new.values["q"]) * S_BASE_KW
            s_kva = best = np.array(
                [np.where(np.repeat(b.told, 3), x, y) for b, x, y in zip(bounds, kva, s_kva, strict=True)]
            )
            expected = self._expected(sights, new)
            sights = self._look(told, s_kva)
            if self._agree(answer, sights, expected, s_kva, bounds):
                return answer, best, sights, count
        return replace(answer, status="feasible"), best, sights, ROUNDS

    def _look(self, told: list[Injections], s_kva: np.ndarray) -> list[Sight]:
        return [self.runner._sight(each, s_kva[t]) for each, t in zip(told, self.steps, strict=True)]

    def _point(self, points: Any, bounds: list[Bounds], ramp_kva: float, step_h: float) -> CoursePoint:
        b = self.runner.inverters.batteries
        follows = b.there & bounds[0].told
        most = 1e3  # without a limit, as in a Point
        return CoursePoint(
            points=points,
            step_h=step_h,
            ramp=ramp_kva / S_BASE_KW,
            follows=follows,
            stored=b.stored_kwh / S_BASE_KW,
            least=np.minimum(b.least_kwh, b.stored_kwh) / S_BASE_KW,
            most=b.most_kwh / S_BASE_KW,
            charge=np.minimum(b.charge_kw / S_BASE_KW, most),
            discharge=np.minimum(b.discharge_kw / S_BASE_KW, most),
            eta_charge=b.eta_charge,
            eta_discharge=b.eta_discharge,
        )

    def _expected(self, sights: list[Sight], answer: Answer) -> list[np.ndarray]:
        area, blocks = self.runner.area, len(sights)
        change = answer.values["dj_re"] + 1j * answer.values["dj_im"]
        return [
            sight.v[area.rows] + area.structure.reach.voltage @ part
            for sight, part in zip(sights, np.split(change, blocks), strict=True)
        ]

    def _agree(
        self,
        answer: Answer,
        sights: list[Sight],
        expected: list[np.ndarray],
        s_kva: np.ndarray,
        bounds: list[Bounds],
    ) -> bool:
        runner = self.runner
        exact = all(runner.agree(sight, v) for sight, v in zip(sights, expected, strict=True))
        even = all(
            runner.link_agrees(s_kva[t], answer.values["b"][t] * S_BASE_KW, bounds[t])
            for t in range(len(bounds))
        )
        seen = [runner.seen(sight) for sight in sights]
        mean = {term: float(np.mean([each[term] for each in seen])) for term in seen[0]}
        return exact and even and as_told(answer, mean)


def solve_course(course: Course, vectors: Vectors, options: Any, started: float, build_s: float) -> Result:
    """Solve a course; ``started`` is on the clock of time.perf_counter."""
    begun = time.perf_counter()
    runner = course.runner
    terms = runner._terms(options)
    beside = loads_kw(runner.net, options)
    told = [runner.loads.at(_joined(beside, kw)) for kw in vectors.kw]
    ramp = inf if options.max_ramp_kva is None else options.max_ramp_kva
    free = read_bounds(runner.base, runner.inverters, options.failed, options.stale, None)
    first = read_bounds(runner.base, runner.inverters, options.failed, options.stale, options.max_ramp_kva)
    bounds = [first, *([free] * (len(vectors.step_label) - 1))]
    update_s, begun = time.perf_counter() - begun, time.perf_counter()
    answer, s_kva, after, rounds = course.search(
        told, bounds, terms, ramp, vectors.step_s / S_PER_H, started + options.time_limit_s
    )
    if not answer.values:
        now = np.where(np.repeat(first.failed, 3), 0.0, runner.inverters.now_kva)
        s_kva = np.repeat(now[None], len(bounds), axis=0)
        after = course._look(told, s_kva)
    solve_s, begun = time.perf_counter() - begun, time.perf_counter()
    before = course._look(told, np.repeat(runner.inverters.now_kva[None], len(bounds), axis=0))
    mine = np.flatnonzero(vectors.step == 0)
    shown = int(mine[np.argmax([runner.seen(after[k])["spread"] for k in mine])])
    asked = replace(options, horizon_s=vectors.step_s)
    plans = {k: runner._plan(asked, first, s_kva[0], _joined(beside, vectors.kw[k])) for k in mine.tolist()}
    reports = {k: runner.checker.report(plan) for k, plan in plans.items()}
    worst = max(reports, key=lambda k: (len(reports[k].issues), reports[k].worst_loading_percent))
    check_s = time.perf_counter() - begun
    report = reports[worst]
    status = runner._status(answer, report)
    result = runner._result(
        options, answer, plans[worst], report, status, before[shown], after[shown], rounds, terms
    )
    notes = (*result.notes, _words(vectors))
    timings = {"build_s": build_s, "update_s": update_s, "solve_s": solve_s, "check_s": check_s}
    return replace(
        result,
        notes=notes,
        timeline=_timeline(runner, vectors, before, after, s_kva, answer),
        schedule=_schedule(runner, vectors, s_kva, answer),
        timings={**timings, "total_s": time.perf_counter() - started},
    )


def _joined(
    beside: dict[str, dict[int, float]], kw: dict[str, dict[int, float]]
) -> dict[str, dict[int, float]]:
    """Return the demands of a vector, and those of rows that it lacks."""
    return {table: beside.get(table, {}) | kw.get(table, {}) for table in {*beside, *kw}}


def _words(vectors: Vectors) -> str:
    steps, each = len(vectors.step_label), int(np.bincount(vectors.step).max())
    several = f", each for {each} load vectors" if each > 1 else ""
    return f"{steps} steps of {vectors.step_s:g} s{several}: the first is the plan, terms are means over all"


def _timeline(
    runner: BalanceRunner,
    vectors: Vectors,
    before: list[Sight],
    after: list[Sight],
    s_kva: np.ndarray,
    answer: Answer,
) -> pd.DataFrame:
    """Return one row a step, of its worst load vector; power and energy of the batteries together."""
    rows = []
    for t, label in enumerate(vectors.step_label):
        mine = np.flatnonzero(vectors.step == t)
        row: dict[str, Any] = {"step": label, "t_s": t * vectors.step_s}
        for word, sights in (("before", before), ("after", after)):
            seen = [runner.seen(sights[k]) for k in mine]
            row[f"vuf_{word}_percent"] = 100.0 * max(each["vuf"] for each in seen)
            row[f"spread_{word}_percent"] = 100.0 * max(each["spread"] for each in seen)
        row["beyond_percent"] = 100.0 * max(runner.seen(after[k])["violations"] for k in mine)
        row["inverter_kva"] = float(np.abs(s_kva[t]).sum())
        for name, column in (("battery_kw", "b"), ("stored_kwh", "stored")):
            there = answer.values.get(column)
            row[name] = float("nan") if there is None else float(there[t].sum() * S_BASE_KW)
        rows.append(row)
    return pd.DataFrame(rows)


def _schedule(runner: BalanceRunner, vectors: Vectors, s_kva: np.ndarray, answer: Answer) -> pd.DataFrame:
    """Return one row a step and inverter: set-points by phase, and what its battery holds at the end of the step."""
    stored = answer.values.get("stored")
    rows = []
    for t, label in enumerate(vectors.step_label):
        for i, name in enumerate(runner.inverters.name):
            row: dict[str, Any] = {"step": label, "t_s": t * vectors.step_s, "device": name}
            for k, phase in enumerate(PHASES):
                row[f"p_{phase}_kw"], row[f"q_{phase}_kvar"] = (
                    s_kva[t, 3 * i + k].real,
                    s_kva[t, 3 * i + k].imag,
                )
            there = stored is not None and runner.inverters.batteries.there[i]
            row["stored_kwh"] = (
                float(stored[t, i] * S_BASE_KW) if there and stored is not None else float("nan")
            )
            rows.append(row)
    return pd.DataFrame(rows)
