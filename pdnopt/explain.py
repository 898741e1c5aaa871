"""Why is it dark? For every unit that is not served in full: the limit that forces it, found by solving.

The plan's switches and everybody else's service are held; the unit is forced on in full; every rating, source
limit, battery energy and voltage limit may be exceeded at a price of 1 per kVA or kW (a pu of voltage costs as
much as a large rating). What the cheapest such answer exceeds is what binds, and by how much is the smallest
relaxation under this switching. Where no cord of the unit lives in the plan, the switches are set free. One
more solve, with all switches free, finds the cheapest relaxation that serves *everyone*.
"""

from __future__ import annotations

import time
from math import inf
from typing import Any

import numpy as np

from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.engine.lexicographic import Ladder
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State
from pdnopt.response import Response
from pdnopt.result import Reason

__all__ = ["explain"]

VOLTAGE_PRICE = 1e4
NEGLIGIBLE_KW = 1e-3
EVERYONE_S = 2.0
"""Longest search for the cheapest relaxation that serves everyone."""


class _Prices:
    """The model with its limits made elastic, and a price on exceeding them."""

    def __init__(self, prepared: Any, ladder: Ladder, solvers: tuple[HighsModel, HighsModel]) -> None:
        assert ladder.x is not None
        self.model, self.updater = prepared.model, prepared.updater
        self.x = np.where(self.model.integer, np.round(ladder.x), ladder.x)
        self.lp, self.mip = solvers
        self.limits = self.updater.relaxable()
        self.columns = np.array([item.column for item in self.limits], dtype=int)
        self.allowed = np.array([item.allowed for item in self.limits])
        self.cost = np.zeros(self.model.n_columns)
        self.cost[self.columns] = [VOLTAGE_PRICE if item.unit == "pu^2" else 1.0 for item in self.limits]
        model = self.model
        for solver in solvers:
            solver.load(
                model.matrix, model.row_low, model.row_high, model.col_low, model.col_high, model.integer
            )
            solver.set_cost(self.cost)
            solver.set_col_bounds(self.columns, np.zeros(len(self.columns)), np.full(len(self.columns), inf))
            for row in self.updater.elastic_rows():
                solver.set_row_bounds(int(row), -inf, inf)

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
    hold = _held_columns(prices, demand)
    prices.lp.set_col_bounds(hold, prices.x[hold], prices.x[hold])
    for u in short:
        if time.perf_counter() >= deadline_s:
            reasons.append(
                Reason(
                    demand.name[u], float(missing_kw[u]), "", "not explained in the time given", 0.0, False
                )
            )
            continue
        reasons.append(_reason(prices, demand.name[u], int(u), float(missing_kw[u]), deadline_s))
    return tuple(reasons), _everyone(prices, short, demand, float(missing_kw[short].sum()), deadline_s)


def _held_columns(prices: _Prices, demand: Demand) -> np.ndarray:
    """Columns that a reason holds: every switch, every unit's service."""
    model, updater = prices.model, prices.updater
    service = np.concatenate([updater.cap, updater.on_unit])
    return np.unique(np.r_[np.flatnonzero(model.integer), service[service >= 0]])


def _reason(prices: _Prices, name: str, unit: int, missing_kw: float, deadline_s: float) -> Reason:
    on_unit, cap, _ = prices.updater.service_columns(unit)
    free = np.array([on_unit] + ([cap] if cap >= 0 else []), dtype=int)
    low = np.array([1.0, 0.0])[: len(free)]
    high = low
    prices.lp.set_col_bounds(free, low, high)
    outcome = prices.lp.solve(deadline_s, believe=True)
    prices.lp.set_col_bounds(free, prices.x[free], prices.x[free])
    if outcome.x is None:
        prices.mip.set_col_bounds(free, low, high)
        outcome = prices.mip.solve(min(deadline_s, time.perf_counter() + EVERYONE_S), 0.01)
        prices.mip.set_col_bounds(free, prices.model.col_low[free], prices.model.col_high[free])
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
    """Find the cheapest relaxation that serves every servable unit in full, switches free."""
    deadline_s = min(deadline_s, time.perf_counter() + EVERYONE_S)
    columns, low = [], []
    for u in range(demand.n):
        on_unit, cap, _ = prices.updater.service_columns(u)
        if prices.model.col_high[on_unit] < 0.5:
            continue
        columns += [on_unit] + ([cap] if cap >= 0 else [])
        low += [1.0] + ([0.0] if cap >= 0 else [])
    high = low
    prices.mip.set_col_bounds(np.array(columns, dtype=int), np.array(low), np.array(high))
    outcome = prices.mip.solve(deadline_s, 0.01 * max(missing_kw, 1.0))
    if outcome.x is None:
        return ()
    excess = prices.excess(outcome)
    if not excess:
        return ()
    parts = [
        f"{beyond:.1f} {limit.unit} more {limit.limit} of {limit.component}" for limit, beyond in excess[:4]
    ]
    more = f" and {len(excess) - 4} more" if len(excess) > 4 else ""
    return (f"cheapest relaxation that serves all {len(short)}: " + ", ".join(parts) + more,)
