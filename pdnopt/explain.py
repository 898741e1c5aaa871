"""Why is it dark? For every unit that is not served in full: the limit that forces it, found by solving.

The plan's switches and everybody else's service are held; the unit is forced on in full; every rating, source
limit, battery energy and voltage limit may be exceeded at a price of 1 per kVA or kW (a pu of voltage costs as
much as a large rating). What the cheapest such answer exceeds is what binds, and by how much is the smallest
relaxation under this switching. Where no cord of the unit lives in the plan, the switches are set free. One
more solve, with all switches free, finds the cheapest relaxation that serves *everyone*.
"""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.engine.lexicographic import Ladder
from pdnopt.engine.reduction import Arrays, reduce_arrays
from pdnopt.engine.space import lifted
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State, islands
from pdnopt.response import Response
from pdnopt.result import Reason

__all__ = ["explain"]

VOLTAGE_PRICE = 1e4
NEGLIGIBLE_KW = 1e-3
INTEGRAL = 1e-6
NOTHING = Outcome("infeasible", None, inf, inf)
UNEXPLAINED = "not explained in the time given"

LEAST_S = 0.3
"""The relaxation for everyone has at least this long, after the deadline too: it is what a planner asks first."""

EVERYONE_S = 2.0
"""Longest search for the cheapest relaxation that serves everyone."""


class _Prices:
    """The model with its limits made elastic, and a price on exceeding them.

    With the plan's switches held most of it follows: reasons are LPs over what is left (`engine.reduction`).
    """

    def __init__(self, prepared: Any, ladder: Ladder, solvers: tuple[HighsModel, HighsModel]) -> None:
        assert ladder.x is not None
        self.model, self.updater = prepared.model, prepared.updater
        self.x = np.where(self.model.integer, np.round(ladder.x), ladder.x)
        self.lp, self._mip = solvers
        self._loaded = False
        self.limits = self.updater.relaxable()
        self.columns = np.array([item.column for item in self.limits], dtype=int)
        self.allowed = np.array([item.allowed for item in self.limits])
        self.cost = np.zeros(self.model.n_columns)
        self.cost[self.columns] = [VOLTAGE_PRICE if item.unit == "pu^2" else 1.0 for item in self.limits]
        self.service = np.concatenate([self.updater.cap, self.updater.on_unit])
        self.service = np.unique(self.service[self.service >= 0])
        whole = self._elastic()
        held = np.setdiff1d(np.flatnonzero(self.model.integer), self.service)
        left = reduce_arrays(whole.held(held, self.x[held], self.x[held])) or reduce_arrays(whole)
        assert left is not None  # with every limit elastic something is feasible
        self.left = left
        a = self.left.arrays
        self.lp.load(a.matrix, a.row_low, a.row_high, a.col_low, a.col_high, a.integer)
        self.lp.set_cost(self.left.cost(self.cost)[0])
        self.hold(self.service, self.x[self.service])

    def _elastic(self) -> Arrays:
        model = self.model
        row_low, row_high = model.row_low.copy(), model.row_high.copy()
        rows = self.updater.elastic_rows()
        row_low[rows], row_high[rows] = -inf, inf
        whole = Arrays(model.matrix, row_low, row_high, model.col_low, model.col_high, model.integer)
        return whole.held(self.columns, np.zeros(len(self.columns)), np.full(len(self.columns), inf))

    def hold(self, columns: np.ndarray, values: np.ndarray) -> bool:
        """Hold columns of the LP at values; False where the plan's switches leave one no such choice."""
        at = self.left.places[columns]
        self.lp.set_col_bounds(at[at >= 0], values[at >= 0], values[at >= 0])
        return bool((np.abs(self.left.point[columns[at < 0]] - values[at < 0]) <= INTEGRAL).all())

    def under_the_plan(self, until_s: float) -> Outcome:
        """Solve the LP with the plan's switches."""
        return lifted(self.left, self.cost, self.lp.solve(until_s, believe=True, dual=True))

    @property
    def mip(self) -> HighsModel:
        """The whole model, its switches free; loaded when it is asked for."""
        if not self._loaded:
            a = self._elastic()
            self._mip.load(a.matrix, a.row_low, a.row_high, a.col_low, a.col_high, a.integer)
            self._mip.set_cost(self.cost)
            self._loaded = True
        return self._mip

    def excess(self, outcome: Outcome) -> list[tuple[Any, float]]:
        """Return the limits that an answer exceeds beyond what is allowed, largest first."""
        assert outcome.x is not None
        beyond = np.maximum(outcome.x[self.columns] - self.allowed, 0.0)
        order = np.argsort(-beyond, kind="stable")
        return [(self.limits[k], float(beyond[k])) for k in order if beyond[k] > NEGLIGIBLE_KW]


def explain(
    prepared: Any,
    ladder: Ladder,
    response: Response,
    demand: Demand,
    target: State,
    solvers: tuple[HighsModel, HighsModel],
    deadline_s: float,
) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """Return the reason of every unit not served in full, and notes on the whole.

    ``deadline_s`` is on the clock of time.perf_counter; units that the clock leaves unexplained say so.
    """
    missing_kw = demand.d_kw * (1.0 - target.served)
    lost = np.flatnonzero(response.unservable)
    reasons = [
        Reason(demand.name[u], float(demand.d_kw[u]), "", "no surviving path from any source", 0.0, True)
        for u in lost
    ]
    short = np.flatnonzero((missing_kw > NEGLIGIBLE_KW) & ~response.unservable)
    if not len(short):
        return tuple(reasons), ()
    prices = _Prices(prepared, ladder, solvers)
    alike = _alike(response, demand, target)
    every = _every_unit(prices, demand, short, missing_kw, alike, deadline_s)
    reasons += [every[int(u)] for u in short]
    return tuple(reasons), _everyone(prices, short, demand, float(missing_kw[short].sum()), deadline_s)


def _alike(response: Response, demand: Demand, target: State) -> list[tuple[int, ...]]:
    """Return what each unit has in common with others: the islands, at the end, that its cords hang on."""
    island = islands(response.grid, target).island[demand.cord_node]
    kinds: list[set[int]] = [set() for _ in range(demand.n)]
    for unit, number in zip(demand.cord_unit.tolist(), island.tolist(), strict=True):
        kinds[unit].add(number)
    return [tuple(sorted(kind)) for kind in kinds]


def _every_unit(
    prices: _Prices,
    demand: Demand,
    short: np.ndarray,
    missing_kw: np.ndarray,
    alike: list[tuple[int, ...]],
    deadline_s: float,
) -> dict[int, Reason]:
    """Return the reason of each unit: solved for the largest of each kind first, then for the others one by one.

    Those that the clock leaves take over the reason of their kind, in proportion, and say that it is not proved.
    """
    found: dict[int, Reason] = {}
    first: dict[tuple[int, ...], int] = {}
    order = sorted((int(u) for u in short), key=lambda u: (-missing_kw[u], u))
    for u in order:
        first.setdefault(alike[u], u)
    for u in [*first.values(), *(u for u in order if first[alike[u]] != u)]:
        kw = float(missing_kw[u])
        found[u] = _reason(prices, demand.name[u], u, kw, deadline_s)
        model = found[first[alike[u]]]
        if not found[u].proved and model.proved:
            relaxation_kw = model.relaxation_kw * kw / model.unserved_kw
            found[u] = replace(
                model, unit=demand.name[u], unserved_kw=kw, relaxation_kw=relaxation_kw, proved=False
            )
    return found


def _reason(prices: _Prices, name: str, unit: int, missing_kw: float, deadline_s: float) -> Reason:
    if time.perf_counter() >= deadline_s:
        return Reason(name, missing_kw, "", UNEXPLAINED, 0.0, False)
    on_unit, cap, _ = prices.updater.service_columns(unit)
    free = np.array([on_unit] + ([cap] if cap >= 0 else []), dtype=int)
    full = np.array([1.0, 0.0])[: len(free)]
    able = prices.hold(free, full)
    outcome = prices.under_the_plan(deadline_s) if able else NOTHING
    prices.hold(free, prices.x[free])
    if outcome.x is None:
        prices.mip.set_col_bounds(free, full, full)
        outcome = prices.mip.solve(min(deadline_s, time.perf_counter() + EVERYONE_S), 0.01)
        prices.mip.set_col_bounds(free, prices.model.col_low[free], prices.model.col_high[free])
    if outcome.x is None and time.perf_counter() >= deadline_s:
        return Reason(name, missing_kw, "", UNEXPLAINED, 0.0, False)
    if outcome.x is None:
        return Reason(name, missing_kw, "", "its own cords or devices cannot carry it", 0.0, True)
    excess = prices.excess(outcome)
    if not excess:
        return Reason(name, missing_kw, "", "within the gap that the search was given", 0.0, True)
    limit, beyond = excess[0]
    return Reason(name, missing_kw, limit.component, f"{limit.limit}, {limit.unit}", beyond, True)


def _everyone(
    prices: _Prices, short: np.ndarray, demand: Demand, missing_kw: float, deadline_s: float
) -> tuple[str, ...]:
    """Find a cheapest relaxation that serves every servable unit in full: with the plan's switches, then with all free."""
    columns, low = [], []
    for u in range(demand.n):
        on_unit, cap, _ = prices.updater.service_columns(u)
        if prices.model.col_high[on_unit] < 0.5:
            continue
        columns += [on_unit] + ([cap] if cap >= 0 else [])
        low += [1.0] + ([0.0] if cap >= 0 else [])
    served, at = np.array(columns, dtype=int), np.array(low)
    now = time.perf_counter()
    outcome = prices.under_the_plan(max(deadline_s, now + LEAST_S)) if prices.hold(served, at) else NOTHING
    if now < deadline_s:
        prices.mip.set_col_bounds(served, at, at)
        until_s = min(deadline_s, now + EVERYONE_S)
        searched = prices.mip.solve(until_s, 0.01 * max(missing_kw, 1.0), outcome.x, believe=True)
        if searched.x is not None and searched.objective < outcome.objective:
            outcome = searched
    if outcome.x is None:
        return ()
    excess = prices.excess(outcome)
    if not excess:
        return ()
    parts = [
        f"{beyond:.1f} {limit.unit} more {limit.limit} of {limit.component}" for limit, beyond in excess[:4]
    ]
    more = f" and {len(excess) - 4} more" if len(excess) > 4 else ""
    return (f"cheapest relaxation found that serves all {len(short)}: " + ", ".join(parts) + more,)
