"""Which limits the states of a sequence break, beyond what time allows (rules 8 and 13)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, islands, living_cords

if TYPE_CHECKING:
    from pdnopt.acjudge import Ratios

__all__ = ["VOLTAGE", "CordLimits", "Limited", "broken_limits", "too_large_steps"]

VOLTAGE = ("voltage", -1)
"""Stands for a state below its voltage limits, or without an AC solution."""

OVER = 1e-4
"""Beyond its limit by more than this part; the checker allows 5e-4."""

SPENT = 0.98
"""A budget that is used up to this part counts as gone: times are told to a few milliseconds."""

Limited = tuple[str, int]
"""Table of the Grid ("branch", "switch", "ups", "source"), "cord", or "step" for a source; and position; or VOLTAGE."""


class CordLimits:
    """What cords draw against their limit (rules 10 and 11): the living ones take what the dead ones leave."""

    def __init__(self, grid: Grid, demand: Demand, horizon_s: float) -> None:
        self.grid, self.demand = grid, demand
        self.limit_kw = demand.cord_limit_kw(horizon_s)
        given = initial_state(grid, demand)
        self.as_given = living_cords(demand, given, islands(grid, given).energised)

    def ratio(self, states: list[State]) -> np.ndarray:
        """Return draw over limit, shape (states, cords)."""
        draw = [self._draw_kw(state) for state in states]
        return np.asarray(np.array(draw) / np.maximum(self.limit_kw, 1e-9))

    def _draw_kw(self, state: State) -> np.ndarray:
        living = living_cords(self.demand, state, islands(self.grid, state).energised)
        draw = cord_draw_kw(self.demand, living, self.as_given)
        return np.asarray(draw * state.served[self.demand.cord_unit])

    def broken(self, states: list[State]) -> list[set[Limited]]:
        """Return, for each state, the cords beyond their limit where the failure alone does not excuse it."""
        found: list[set[Limited]] = [set() for _ in states]
        if not np.isfinite(self.limit_kw).any():
            return found
        ratio = self.ratio(states)
        for k in range(1, len(states) - 1):
            over = ratio[k] > 1.0 + OVER
            over &= ~((ratio[k - 1] > 1.0 + OVER) & (ratio[k] <= ratio[k - 1] * (1.0 + OVER)))
            found[k] = {("cord", int(c)) for c in np.flatnonzero(over)}
        return found


def broken_limits(
    grid: Grid, curves: CurveBook, ratios: Ratios, states: list[State], until_s: np.ndarray
) -> list[set[Limited]]:
    """Return, for each state, the components that must be relieved in it.

    A limit without a curve must hold in every state but those that only inherit the overload of the failure; one
    with a curve until its budget is gone, and then in no state that uses it up. The first state is the one that
    the failure left (nothing can be done in it), the last one stays: it is the optimisation's business.

    Parameters
    ----------
    ratios : Ratios
        Of the states, in order.
    until_s : float, shape (states,)
        Seconds after the failure at which each state ends.
    """
    found: list[set[Limited]] = [set() for _ in states]
    for table in ("branch", "switch", "ups", "source"):
        ratio = getattr(ratios, table)
        for m in np.flatnonzero((ratio > 1.0 + OVER).any(axis=0)):
            for k in _broken_states(grid, curves, table, int(m), ratio[:, m], states, until_s):
                found[k].add((table, int(m)))
    short = np.where(ratios.converged, ratios.under_v_pu.max(axis=1, initial=0.0), inf)
    for k in range(1, len(states) - 1):
        if short[k] > max(OVER, short[k - 1]):
            found[k].add(VOLTAGE)
    return found


def too_large_steps(grid: Grid, ratios: Ratios) -> dict[int, dict[int, float]]:
    """Return, by state, the gensets that take more than their load step there, and what they may give, kW."""
    found: dict[int, dict[int, float]] = {}
    step_kw = grid.sources.step_kw
    for m in np.flatnonzero(np.isfinite(step_kw)):
        p_kw = ratios.source_kw[:, m]
        for k in np.flatnonzero(np.diff(p_kw) > step_kw[m] * (1.0 + OVER)) + 1:
            found.setdefault(int(k), {})[int(m)] = float(p_kw[k - 1] + step_kw[m])
    return found


def _broken_states(
    grid: Grid,
    curves: CurveBook,
    table: str,
    m: int,
    ratio: np.ndarray,
    states: list[State],
    until_s: np.ndarray,
) -> list[int]:
    over = ratio > 1.0 + OVER
    made = range(1, len(states) - 1)
    allowed_s = np.array(
        [_allowed_s(grid, curves, table, m, r, s) for r, s in zip(ratio, states, strict=True)]
    )
    if _timeless(grid, table, m):
        inherited = np.r_[False, over[:-1] & (ratio[1:] <= ratio[:-1] * (1.0 + OVER))]
        return [k for k in made if over[k] and not inherited[k]]
    lasts_s = np.diff(np.r_[0.0, until_s])
    with np.errstate(divide="ignore", invalid="ignore"):
        use = np.where(over & (lasts_s > 0), lasts_s / allowed_s, 0.0)
    used = _budget_used(grid, table, m) + np.cumsum(use[:-1])
    if not (used > SPENT).any():
        return []
    return [k for k in made if over[k]]


def _timeless(grid: Grid, table: str, m: int) -> bool:
    return _curve_name(grid, table, m) == ""


def _curve_name(grid: Grid, table: str, m: int) -> str:
    column = {"branch": grid.branches.curve, "switch": grid.switches.curve, "ups": grid.upss.curve}.get(table)
    name = "" if column is None else column[m]
    return name if isinstance(name, str) else ""


def _budget_used(grid: Grid, table: str, m: int) -> float:
    br, sw, ups = grid.branches, grid.switches, grid.upss
    return float({"branch": br.budget_used, "switch": sw.budget_used, "ups": ups.budget_used}[table][m])


def _allowed_s(grid: Grid, curves: CurveBook, table: str, m: int, ratio: float, state: State) -> float:
    warm, battery = 25.0, False
    if table == "ups":
        warm, battery = float(grid.upss.temperature_c[m]), state.ups_mode[m] == "battery"
    curve = curves.curve(_curve_name(grid, table, m), warm, battery)
    return curve.max_time_s(float(ratio))
