"""One optimisation: compile once, write numbers, solve in order, judge by AC power flow, tighten, solve again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Any

import numpy as np

from pdnopt.acjudge import AcJudge, Ratios
from pdnopt.engine.compiled import CompiledModel, compile_model
from pdnopt.engine.highs import HighsModel
from pdnopt.engine.lexicographic import Ladder, Question, solve_in_order
from pdnopt.engine.remote import Worker
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, islands
from pdnopt.problem import Formulation, Relaxation, Updater
from pdnopt.response import Response, settle

__all__ = [
    "BATTERY_USE",
    "INDIFFERENT_KW",
    "Answer",
    "Optimiser",
    "Prepared",
    "Task",
    "resting_states",
    "scales",
]

FIRST_ROUND = 0.65
"""Part of the time left for the first solve; the rest is for tightening, ordering and checking."""

NEAR_ROUND = 0.9
"""The same where an answer near the disturbance is looked for: its model is small, and tightening it is quick."""

MAX_ROUNDS = 5
"""Solves with limits tightened where AC power flow disagrees."""

TIGHTEN = 1e-4
"""Extra part by which a limit that AC power flow breaks is lowered, so that the next answer is inside it."""

BATTERY_USE = 0.98
"""Part of a battery's energy that the end state may count on: the rest goes before the plan is carried out."""

INDIFFERENT_KW = 0.1
"""Less unserved power than this, at the least critical priority concerned, is not worth moving a switch."""

SMALL_COLUMNS = 2000
"""A model of at most so many columns is small: the whole of it is searched in a fraction of a second."""

OVER = 1e-6
"""A component counts as over its limit beyond this part."""


@dataclass
class Prepared:
    """The compiled model of one list of terms."""

    model: CompiledModel
    updater: Updater
    relaxation: Relaxation
    sets: Any
    largest_kw: float

    @property
    def small(self) -> bool:
        """Whether a search of the whole model is quick enough to be worth every kW."""
        return self.model.n_columns <= SMALL_COLUMNS


@dataclass(frozen=True)
class Task:
    """What one optimisation is asked: parts of budgets gone, voltages modelled, what stays fed, devices held, battery use.

    It is widened or narrowed by what the checker says of the answers before.
    """

    spent: dict[str, float]
    voltages: bool = False
    firm: bool = True
    held: frozenset[str] = frozenset()
    refusals: int = 0
    holds: int = 0
    battery_use: float = BATTERY_USE

    @property
    def narrowed(self) -> bool:
        """Whether it asks for less than the problem allows."""
        return bool(self.held) or self.refusals > 0 or self.battery_use < BATTERY_USE


@dataclass
class Answer:
    """What the optimisation found, before it is ordered and checked.

    ``refined``: its losses are by AC power flow, and their bound is of AC losses.
    """

    ladder: Ladder
    target: State | None
    bounds: dict[str, float]
    ratios: Ratios | None
    refined: bool = False


class Optimiser:
    """The compiled models of one network and problem.

    Parameters
    ----------
    formulation : Formulation
    grid, demand, curves : Grid, Demand, CurveBook
        Of the network as given.
    judge : AcJudge
    """

    def __init__(
        self, formulation: Formulation, grid: Grid, demand: Demand, curves: CurveBook, judge: AcJudge
    ) -> None:
        self.formulation, self.grid, self.curves, self.judge = formulation, grid, curves, judge
        idle = not demand.d_kw.any()  # loads of a network without any: 1 kW each, for the sizes of the model
        self.demand = replace(demand, d_kw=np.ones(demand.n)) if idle else demand
        self._models: dict[Any, Prepared] = {}
        self.worker = Worker()
        self.solvers: tuple[HighsModel, HighsModel]
        self.renew()

    def adopt(self, other: Optimiser) -> None:
        """Take over the compiled models of an optimiser of the same plant at another moment."""
        self._models, self.demand, self.worker = other._models, other.demand, other.worker

    def renew(self) -> None:
        """Take new solvers (1 ms): a used one remembers, and the same input must give the same plan."""
        self.solvers = (HighsModel(relax=True), HighsModel(relax=False))

    @property
    def models(self) -> list[Prepared]:
        """The models compiled so far."""
        return list(self._models.values())

    def terms(self, options: Any) -> tuple[str, ...]:
        """Return the terms of the objective in their order."""
        return tuple(options.minimize or self.formulation.terms)

    def prepare(self, options: Any, demand: Demand, psu_dead: np.ndarray, voltages: bool) -> Prepared:
        """Return the compiled model for these terms, compiled now if it was not needed before.

        Coarse classes serve as long as their units share alike; voltages are modelled once one is below its limit. A
        model is that of the network's own loads, doubled as often as the loads of this call want it: what was solved
        before has no say in it.
        """
        prepared: Prepared | None = None
        for fine in (False, True):
            prepared = self._model(options, voltages, fine, 0)
            asked_kw = float(demand.d_kw.sum())
            if asked_kw > prepared.largest_kw:
                doubled = ceil(log2(asked_kw / float(self.demand.d_kw.sum())))
                prepared = self._model(options, voltages, fine, doubled)
            if self.formulation.fits(prepared.sets, demand, psu_dead):
                return prepared
        assert prepared is not None
        return prepared

    def _model(self, options: Any, voltages: bool, fine: bool, doubled: int) -> Prepared:
        terms = self.terms(options)
        key = (terms, options.extend, voltages, fine, doubled)
        if key not in self._models:
            more = 2.0**doubled
            own = self.demand
            demand = replace(own, d_kw=own.d_kw * more, min_kw=own.min_kw * more, cord_kw=own.cord_kw * more)
            data = self.formulation.data(self.grid, demand, terms, fine, voltages)
            model = self.formulation.build(data)
            if options.extend is not None:
                options.extend(model, data)
            compiled = compile_model(model)
            updater = self.formulation.updater(compiled, data)
            relaxation = self.formulation.relaxation(compiled, data)
            self._models[key] = Prepared(compiled, updater, relaxation, data.sets, data.flow.m_kw / 1.5)
        return self._models[key]

    def optimise(
        self,
        prepared: Prepared,
        response: Response,
        demand: Demand,
        options: Any,
        task: Task,
        deadline_s: float,
        spans: dict[str, float],
        start: np.ndarray | None = None,
        resting: State | None = None,
        near: Sequence[np.ndarray] = (),
    ) -> Answer:
        """Solve, judge by AC power flow, tighten what it breaks, solve again. Bounds are those of the first round.

        ``start`` is a feasible point of the same prepared model. With ``resting`` all devices stand as in that state, only
        the service is decided, and the bounds hold for that only. With ``near`` (sets of blocks, ever larger) only what lies
        in one of them moves, and the answer is one that serves everybody, or none.
        """
        grid = response.grid
        limits = nominal = self.formulation.limits(grid, self.curves, options.horizon_s, task.spent)
        gaps, weights = scales(demand, options.gap, prepared.small)
        bounds: dict[str, float] = {}
        best: Answer | None = None
        for number in range(MAX_ROUNDS):
            begun = time.perf_counter()
            numbers = self.formulation.numbers(
                prepared.sets,
                demand,
                response,
                limits,
                options.horizon_s,
                task.firm,
                task.held,
                task.battery_use,
            )
            prepared.updater.write(numbers)
            spans["update_s"] += time.perf_counter() - begun
            begun = time.perf_counter()
            share = 1.0 if best is not None else NEAR_ROUND if near else FIRST_ROUND
            until_s = begun + share * (deadline_s - begun)
            hint = prepared.updater.structure(numbers)
            if resting is not None:
                hint = prepared.updater.position(resting)
            elif (
                best is not None and best.ladder.x is not None
            ):  # a tightened limit changes the service, not the switches
                keep = np.setdiff1d(np.flatnonzero(prepared.model.integer), prepared.updater.service())
                hint = (keep, np.round(best.ladder.x[keep]))
            names = list(prepared.model.cost)
            first = best is None
            question = Question(
                prepared.model,
                gaps={name: gaps(name) for name in names},
                weights={name: weights(name) for name in names},
                deadline_s=until_s,
                hint=hint,
                frozen=not first or resting is not None,
                minor=[name for name in names if not name.startswith("unserved_p")],
                indifferent=("unserved_p", INDIFFERENT_KW),
                floors={name: 0.0 for name in names if name != "margin_lost"},
                pinned="actions",
                service=prepared.updater.service(),
                settled=("losses", "margin_lost"),
                start=start if first else None,
                skipped=() if resting is None else ("actions", "losses", "margin_lost"),
                outsides=[prepared.updater.outside(some, response.state) for some in near] if first else (),
            )
            ladder = solve_in_order(question, self.solvers, self.worker)
            spans["solve_s"] += time.perf_counter() - begun
            if number == 0:
                bounds = {term.name: term.bound for term in ladder.terms}
            if ladder.x is None or ladder.status == "no_incumbent":
                return best if best is not None else Answer(ladder, None, bounds, None)
            target = settle(response, prepared.updater.read(ladder.x, response.state))
            ratios = self.judge.ratios(grid, demand, [target])
            best = Answer(ladder, target, bounds, ratios)
            tighter = self.formulation.tighten(limits, nominal, ratios, OVER, TIGHTEN)
            if tighter is None or time.perf_counter() >= deadline_s:
                break
            limits = tighter
        assert best is not None
        return best


def resting_states(grid: Grid, response: Response) -> list[State]:
    """Return where all devices stand now, and where they will once the batteries that nothing charges are empty."""
    state = response.state
    states = [state]
    for _ in range(len(grid.upss.index)):
        energised = islands(response.grid, state).energised
        waiting = (state.ups_mode == "battery") & ~energised[grid.upss.in_node]
        if not waiting.any():
            break
        state = settle(response, state.but(ups_mode=np.where(waiting, "off", state.ups_mode).astype(object)))
    return states if state is states[0] else [*states, state]


def scales(demand: Demand, gap: float, small: bool) -> tuple[Any, Any]:
    """Return (gap of a term, weight of a term in the first blend).

    Unserved load counts as proved within ``gap`` times what the plant must serve of that priority and of more critical
    ones: less is not worth a switch, nor an interruption, in a large plant. A small one is searched until it is within
    that part of the priority alone.
    """
    total = max(float(demand.d_kw.sum()), 1.0)

    def gap_of(name: str) -> float:
        if name.startswith("unserved_p"):
            priority = int(name[10:])
            counted = demand.priority == priority if small else demand.priority <= priority
            return max(gap * float(demand.d_kw[counted].sum()), 1e-3)
        minor = {"interrupted": 2 * gap * total, "actions": 0.5, "losses": gap * total, "overload": 0.01}
        return minor.get(name, 0.005)

    def weight_of(name: str) -> float:
        if name.startswith("unserved_p"):
            return float(10.0 ** (5 - min(int(name[10:]), 4)))
        return {"interrupted": 1.0, "overload": 10.0, "actions": 1.0, "losses": 0.01}.get(name, 1e-3)

    return gap_of, weight_of
