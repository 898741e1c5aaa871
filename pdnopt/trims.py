"""What a UPS on battery can carry to the end: as many of its feeders as the energy allows, the others fed elsewhere.

A UPS whose input cannot be fed again is no loss as long as its battery gives something: over an hour a battery of a quarter
MWh carries 240 kW. Too much hangs on it, though, and racks with two cords cannot be told which one to use. But their
feeders can be opened: they then draw all they need from their other cord, and are served by another UPS.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.state import State, initial_state, islands, living_cords
from pdnopt.repairs import Repair
from pdnopt.response import Response, settle
from pdnopt.service import SWITCH, Forest, grow_forest
from pdnopt.units import S_PER_H

__all__ = ["trims"]

MAX_FEEDERS = 16
"""Feeders of which every choice is looked at; of more, the largest are left out until the rest fits."""


def trims(
    demand: Demand, response: Response, repair: Repair, horizon_s: float, battery_use: float
) -> Iterator[State]:
    """Yield states in which UPSs that a repair switched off keep the feeders that their batteries carry.

    Parameters
    ----------
    repair : Repair
        One that is not complete.
    horizon_s : float
        How long the batteries must last.
    battery_use : float
        Part of their energy that may be counted on.

    Yields
    ------
    State : at rest; the feeders kept draw just more than the battery gives, so that all of it can be used.
    """
    grid, ups = response.grid, response.grid.upss
    able = (
        (response.state.ups_mode == "battery") & (repair.state.ups_mode == "off") & response.state.inverter_ok
    )
    for j in np.flatnonzero(able).tolist():
        mode = repair.state.ups_mode.copy()
        mode[j] = "battery"
        held = settle(response, repair.state.but(ups_mode=mode))
        forest = grow_forest(grid, held)
        if held.ups_mode[j] != "battery" or forest is None:
            continue
        most_kw = battery_use * float(ups.e_kwh[j]) * S_PER_H / horizon_s
        dropped = _dropped(demand, response, held, forest, int(ups.out_node[j]), most_kw)
        if dropped is None:
            continue
        closed = held.closed.copy()
        closed[dropped] = False
        yield settle(response, held.but(closed=closed))


def _dropped(
    demand: Demand, response: Response, state: State, forest: Forest, root: int, most_kw: float
) -> np.ndarray | None:
    """Return the feeders of a root to open; None where nothing is left to keep."""
    grid = response.grid
    given = initial_state(grid, demand)
    as_given = living_cords(demand, given, islands(grid, given).energised)
    living = living_cords(demand, state, islands(grid, state).energised)
    draw_kw = cord_draw_kw(demand, living, as_given) * state.served[demand.cord_unit]
    n = len(forest.parent)
    into_kw, _ = forest.flows(np.bincount(demand.cord_node, weights=draw_kw, minlength=n), np.zeros(n))
    last = demand.priority[demand.cord_unit] == demand.priority.max()
    firm_kw, _ = forest.flows(
        np.bincount(demand.cord_node, weights=np.where(last, 0.0, draw_kw), minlength=n), np.zeros(n)
    )
    own = np.zeros(n, dtype=bool)
    own[root] = True
    for level in forest.levels:
        own[level] |= own[forest.parent[level]]
    elsewhere = demand.sum_by_unit((living & ~own[demand.cord_node]).astype(float)) > 0
    captive = np.zeros(n)
    stuck = living & own[demand.cord_node] & ~elsewhere[demand.cord_unit]
    np.add.at(captive, demand.cord_node[stuck], 1.0)
    captive, _ = forest.flows(captive, np.zeros(n))
    sw = grid.switches
    plain = ~state.locked & (sw.transfer < 0) & (sw.ups < 0)
    feeders: list[int] = []
    below = np.zeros(n, dtype=bool)
    for level in forest.levels:
        below[level] |= below[forest.parent[level]]
        feeds = own[level] & ~below[level] & (forest.kind[level] == SWITCH)
        feeds &= (
            (into_kw[level] > 0.0) & (into_kw[level] < into_kw[root] * (1.0 - 1e-9)) & (captive[level] == 0.0)
        )
        chosen = level[feeds]
        chosen = chosen[plain[forest.position[chosen]]]
        below[chosen] = True
        feeders += chosen.tolist()
    if not feeders:
        return None
    nodes = np.array(feeders)
    left_kw = most_kw - (float(into_kw[root]) - float(into_kw[nodes].sum()))
    kept = _least_above(into_kw[nodes], firm_kw[nodes], left_kw)
    return None if kept is None else np.asarray(forest.position[nodes[~kept]])


def _least_above(kw: np.ndarray, firm_kw: np.ndarray, most_kw: float) -> np.ndarray | None:
    """Return which feeders to keep: their sum is the least that reaches ``most_kw``, or all of them where none does.

    What of them is not of the least critical priority (``firm_kw``) stays below it, where that is possible.
    """
    if most_kw <= 0.0:
        return None
    if kw.sum() <= most_kw:
        return np.ones(len(kw), dtype=bool)
    order = np.argsort(-kw, kind="stable")
    kept = np.ones(len(kw), dtype=bool)
    for k in order[: max(len(kw) - MAX_FEEDERS, 0)]:
        if kw[kept].sum() - kw[k] >= most_kw:
            kept[k] = False
    free = np.flatnonzero(kept)[:MAX_FEEDERS]
    base_kw = float(kw[kept].sum() - kw[free].sum())
    choices = (np.arange(2 ** len(free))[:, None] >> np.arange(len(free))) & 1
    sums = choices @ kw[free] + base_kw
    firm = choices @ firm_kw[free] + float(firm_kw[kept].sum() - firm_kw[free].sum())
    enough = sums >= most_kw
    fits = enough & (firm <= most_kw)
    best = int(np.argmin(np.where(fits if fits.any() else enough, sums, np.inf)))
    kept[free] = choices[best].astype(bool)
    return kept
