"""What a UPS on battery can carry to the end: as many of its feeders as the energy allows, the others fed elsewhere.

A UPS whose input cannot be fed again is no loss as long as its battery gives something: over an hour a battery of a quarter
MWh carries 240 kW. Too much hangs on it, though, and racks with two cords cannot be told which one to use. But their
feeders can be opened: they then draw all they need from their other cord, and are served by another UPS.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdnopt.acjudge import Allowed
from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.state import State, initial_state, islands, living_cords
from pdnopt.repairs import Repair
from pdnopt.response import Response, settle
from pdnopt.service import SWITCH, UPS, Forest, grow_forest
from pdnopt.units import S_PER_H

__all__ = ["trims"]

MAX_CHOICES = 3
"""Sets of feeders looked at further: which of them is best depends on who can be capped."""

MAX_FEEDERS = 14
"""Feeders of which every set is looked at; of more, the largest are left out until the rest is so few."""


def trims(
    demand: Demand, response: Response, repair: Repair, allowed: Allowed, horizon_s: float, battery_use: float
) -> Iterator[State]:
    """Yield states in which UPSs that a repair switched off keep the feeders that their batteries carry.

    Parameters
    ----------
    repair : Repair
        One that is not complete.
    allowed : Allowed
        Of UPSs, the largest loading over rating that may last.
    horizon_s : float
        How long the batteries must last.
    battery_use : float
        Part of their energy that may be counted on.

    Yields
    ------
    State : at rest; the sets of feeders first by which the least is too much for any UPS.
    """
    ups = response.grid.upss
    able = (
        response.state.inverter_ok & (response.state.ups_mode == "battery") & (repair.state.ups_mode == "off")
    )
    for j in np.flatnonzero(able).tolist():
        mode = repair.state.ups_mode.copy()
        mode[j] = "battery"
        held = settle(response, repair.state.but(ups_mode=mode))
        forest = grow_forest(response.grid, held)
        if held.ups_mode[j] != "battery" or forest is None:
            continue
        limit_kw = allowed.ups * np.minimum(ups.p_rated_kw, ups.s_rated_kva * _power_factor(demand))
        limit_kw[j] = min(limit_kw[j], battery_use * float(ups.e_kwh[j]) * S_PER_H / horizon_s)
        board = _Board(demand, response, held, forest, j)
        for dropped in board.choices(limit_kw):
            closed = held.closed.copy()
            closed[dropped] = False
            yield settle(response, held.but(closed=closed))


def _power_factor(demand: Demand) -> float:
    """Return the power factor of all load together."""
    p, q = float(demand.cord_kw.sum()), float((demand.cord_kw * demand.cord_tan_phi).sum())
    return p / max(float(np.hypot(p, q)), 1e-9)


class _Board:
    """The feeders of one UPS: what each carries, and which UPSs carry it instead once it is open."""

    def __init__(self, demand: Demand, response: Response, state: State, forest: Forest, j: int) -> None:
        grid = response.grid
        given = initial_state(grid, demand)
        as_given = living_cords(demand, given, islands(grid, given).energised)
        living = living_cords(demand, state, islands(grid, state).energised)
        self.draw_kw = cord_draw_kw(demand, living, as_given) * state.served[demand.cord_unit]
        self.forest, self.demand, self.j = forest, demand, j
        n = len(forest.parent)
        self.ups_of = np.full(n, -1)  # the UPS nearest above each node
        self.ups_of[grid.upss.out_node[j]] = j
        for level in forest.levels:
            self.ups_of[level] = self.ups_of[forest.parent[level]]
            crossing = forest.kind[level] == UPS
            self.ups_of[level[crossing]] = forest.position[level[crossing]]
        self.at = self.ups_of[demand.cord_node]
        mine = living & (self.at == j)
        elsewhere = demand.sum_by_unit(np.where(living & ~mine, demand.cord_share, 0.0))
        self.captive = self._into(mine & (elsewhere[demand.cord_unit] <= 0.0))
        into_kw = self._into(self.draw_kw)
        plain = ~state.locked & (grid.switches.transfer < 0) & (grid.switches.ups < 0)
        self.nodes = self._feeders(into_kw, plain)
        self.kw = into_kw[self.nodes]
        last = demand.priority[demand.cord_unit] == demand.priority.max()
        self.firm_kw = self._into(np.where(last, 0.0, self.draw_kw))[self.nodes]
        self.moved_kw = self._moved(len(grid.upss.index), living & ~mine, elsewhere)
        carried = np.bincount(
            self.at[self.at >= 0], weights=self.draw_kw[self.at >= 0], minlength=len(grid.upss.index)
        )
        self.carried_kw = carried

    def _into(self, drawn: np.ndarray) -> np.ndarray:
        """Sum a quantity of cords over each node's subtree; what a UPS adds is left out."""
        into = np.bincount(self.demand.cord_node, weights=drawn, minlength=len(self.forest.parent))
        for level in reversed(self.forest.levels):
            np.add.at(into, self.forest.parent[level], into[level])
        return into

    def _feeders(self, into_kw: np.ndarray, plain: np.ndarray) -> np.ndarray:
        """Return the nodes below the first switches that part the board's load and leave nobody without voltage."""
        forest, whole_kw = self.forest, into_kw[self.forest.grid.upss.out_node[self.j]]
        found: list[int] = []
        below = np.zeros(len(forest.parent), dtype=bool)
        for level in forest.levels:
            below[level] |= below[forest.parent[level]]
            feeds = (self.ups_of[level] == self.j) & ~below[level] & (forest.kind[level] == SWITCH)
            feeds &= (
                (into_kw[level] > 0.0)
                & (into_kw[level] < whole_kw * (1.0 - 1e-9))
                & (self.captive[level] == 0.0)
            )
            chosen = level[feeds]
            chosen = chosen[plain[forest.position[chosen]]]
            below[chosen] = True
            found += chosen.tolist()
        return np.array(found, dtype=int)

    def _moved(self, n_upss: int, others: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
        """Return what each UPS takes over from each feeder, kW, shape (feeders, U)."""
        demand, forest = self.demand, self.forest
        feeder = np.full(len(forest.parent), -1)
        feeder[self.nodes] = np.arange(len(self.nodes))
        for level in forest.levels:
            above = feeder[forest.parent[level]]
            feeder[level] = np.where(feeder[level] < 0, above, feeder[level])
        cords = np.flatnonzero(feeder[demand.cord_node] >= 0)
        given_up = np.zeros((len(self.nodes), demand.n))
        np.add.at(given_up, (feeder[demand.cord_node[cords]], demand.cord_unit[cords]), self.draw_kw[cords])
        taking = np.flatnonzero(others & (self.at >= 0))
        unit = demand.cord_unit[taking]
        part = demand.cord_share[taking] / np.maximum(elsewhere[unit], 1e-12)
        takes = np.zeros((demand.n, n_upss))
        np.add.at(takes, (unit, self.at[taking]), part)
        return np.asarray(given_up @ takes)

    def choices(self, limit_kw: np.ndarray) -> list[np.ndarray]:
        """Return sets of feeders to open, as switches; those first that leave the least beyond the UPSs' limits."""
        if not len(self.nodes) or limit_kw[self.j] <= 0.0:
            return []
        always = np.argsort(-self.kw, kind="stable")[: max(len(self.nodes) - MAX_FEEDERS, 0)]
        free = np.setdiff1d(np.arange(len(self.nodes)), always)
        open_ = np.zeros((2 ** len(free), len(self.nodes)), dtype=bool)
        open_[:, always] = True
        open_[:, free] = (np.arange(2 ** len(free))[:, None] >> np.arange(len(free))) & 1
        loads_kw = self.carried_kw + open_ @ self.moved_kw
        loads_kw[:, self.j] -= open_ @ self.kw
        firm_kw = (~open_) @ self.firm_kw
        excess_kw = np.maximum(loads_kw - limit_kw, 0.0).sum(axis=1) + np.maximum(
            firm_kw - limit_kw[self.j], 0.0
        )
        best = np.lexsort((open_.sum(axis=1), np.round(excess_kw, 3)))[:MAX_CHOICES]
        return [np.asarray(self.forest.position[self.nodes[open_[k]]]) for k in best.tolist()]
