"""The least loss of a plain feeder, exact: search on AC power flow from the MILP's answer, and a proven lower bound.

The MILP decides who is served; its losses are straight lines. Where ``minimize`` asks for losses right after unserved load
and the network is a plain feeder (:func:`pdnopt.feeder.reading.is_plain`), the switches are searched again with AC losses
for the same service or a better one, and confirmed by power-grid-model. The bound is over all radial configurations that
serve the same load; a network that is given with loops and keeps them has no bound (0), because a loop may lose less.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge, Ratios
from pdnopt.engine.lexicographic import TermResult
from pdnopt.feeder.bound import prove
from pdnopt.feeder.network import Feeder, NotRadialError
from pdnopt.feeder.reading import is_plain, read_feeder, switches_of
from pdnopt.feeder.search import Found, find_least_loss
from pdnopt.optimiser import Answer
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, islands, living_cords
from pdnopt.response import Response

__all__ = ["LossRefiner"]

SEARCH_SHARE, PROOF_SHARE = 0.45, 0.7
"""Parts of the time left that the search, and then the proof, may use; the rest orders and checks."""

OVER = 1e-6
UNDER_V_PU = 1e-6
SAME = 1e-7
"""Losses that differ by less than this part are equal: the state with fewer moves is taken."""


@dataclass(frozen=True)
class _Candidate:
    """A state to end in, and the feeder it was found on (None: not by the search)."""

    state: State
    feeder: Feeder | None


class LossRefiner:
    """Improves and bounds the losses of answers on one network.

    Parameters
    ----------
    net : pandapowerNet
    grid, demand : Grid, Demand
        Of the network as given.
    engine, judge : FlowEngine, AcJudge
    """

    def __init__(self, net: Any, grid: Grid, demand: Demand, engine: FlowEngine, judge: AcJudge) -> None:
        self.net, self.engine, self.judge = net, engine, judge
        self.declined = is_plain(grid, demand)

    def applies(self, terms: tuple[str, ...], extended: bool) -> bool:
        """Return whether losses are refined: asked for right after unserved load, on a plain feeder, nothing added."""
        return terms[:2] == ("unserved", "losses") and not self.declined and not extended

    def refine(
        self,
        answer: Answer,
        response: Response,
        demand: Demand,
        held: Collection[str],
        gap: float,
        deadline_s: float,
    ) -> Answer:
        """Return the answer with the least loss found, its AC value and its bound; ``gap`` is relative.

        ``held`` names switches that must stay where they stand.
        """
        if answer.target is None:
            return answer
        grid = response.grid
        start = response.state
        fixed = np.array([name in held for name in grid.switches.name], dtype=bool)
        asked = answer.target
        locked = start.but(locked=start.locked | fixed)
        full = asked.but(served=np.where(response.unservable, asked.served, 1.0))
        services = [full.served] if self._short(demand, asked, full) else []
        candidates: list[_Candidate] = []
        found: Found | None = None
        feeder: Feeder | None = None
        for served in [*services, asked.served]:
            begun = time.perf_counter()
            until_s = begun + SEARCH_SHARE * (deadline_s - begun)
            feeder, found = self._search(grid, demand, locked.but(served=served), asked, until_s)
            if feeder is not None and found is not None:
                closed = switches_of(feeder, found.best.tree.closed, locked)
                candidates.append(_Candidate(start.but(closed=closed, served=served), feeder))
                if found.best.excess == 0 and self._sound(grid, demand, candidates[-1].state):
                    break
        candidates += [_Candidate(asked, None), _Candidate(start.but(served=asked.served), None)]
        best = self._choose(grid, demand, candidates, start)
        if best is None:
            return answer
        chosen, ratios = best
        loss_kw = float(ratios.losses_kw[0])
        bound_kw = 0.0
        if chosen.feeder is not None and found is not None and chosen.feeder is feeder:
            begun = time.perf_counter()
            until_s = begun + PROOF_SHARE * (deadline_s - begun)
            bound_kw = min(prove(chosen.feeder, found.best, gap, until_s), loss_kw)
        return self._answer(answer, chosen.state, ratios, demand, grid, loss_kw, bound_kw, gap)

    def _search(
        self, grid: Grid, demand: Demand, state: State, asked: State, until_s: float
    ) -> tuple[Feeder | None, Found | None]:
        try:
            feeder = read_feeder(self.net, self.engine, grid, demand, state)
        except NotRadialError:
            return None, None
        target = np.array([bool(asked.closed[own].all()) for own in feeder.switches], dtype=bool)
        return feeder, find_least_loss(feeder, [feeder.given, target], until_s)

    def _short(self, demand: Demand, asked: State, full: State) -> bool:
        return bool((demand.d_kw * (full.served - asked.served)).sum() > 1e-6)

    def _sound(self, grid: Grid, demand: Demand, state: State) -> bool:
        return bool(_sound(self.judge.ratios(grid, demand, [state]))[0])

    def _choose(
        self, grid: Grid, demand: Demand, candidates: list[_Candidate], start: State
    ) -> tuple[_Candidate, Ratios] | None:
        """Return the sound candidate that serves most, loses least, and needs fewest moves, in this order."""
        states = [item.state for item in candidates]
        ratios = self.judge.ratios(grid, demand, states)
        sound = _sound(ratios)
        ranked = []
        for k in np.flatnonzero(sound):
            missing = _missing_kw(grid, demand, states[k])
            by_priority = [
                round(float(missing[demand.priority == p].sum()), 3) for p in np.unique(demand.priority)
            ]
            ranked.append(
                (by_priority, float(ratios.losses_kw[k]), int((states[k].closed != start.closed).sum()), k)
            )
        if not ranked:
            return None
        least = min(item[0] for item in ranked)
        ranked = [item for item in ranked if item[0] == least]
        lowest = min(item[1] for item in ranked)
        k = min((item for item in ranked if item[1] <= lowest * (1.0 + SAME) + 1e-9), key=lambda i: i[2])[3]
        return candidates[k], self.judge.ratios(grid, demand, [states[k]])

    def _answer(
        self,
        answer: Answer,
        state: State,
        ratios: Ratios,
        demand: Demand,
        grid: Grid,
        loss_kw: float,
        bound_kw: float,
        gap: float,
    ) -> Answer:
        missing = _missing_kw(grid, demand, state)
        terms = []
        for term in answer.ladder.terms:
            if term.name.startswith("unserved_p"):
                mine = demand.priority == int(term.name[10:])
                terms.append(replace(term, value=float(missing[mine].sum())))
            elif term.name == "losses":
                terms.append(TermResult("losses", loss_kw, bound_kw))
            else:
                terms.append(term)
        proved = loss_kw - bound_kw <= gap * loss_kw
        status = answer.ladder.status if proved else "feasible"
        ladder = replace(answer.ladder, terms=terms, status=status)
        bounds = {**answer.bounds, "losses": bound_kw}
        return replace(answer, ladder=ladder, target=state, ratios=ratios, bounds=bounds, refined=True)


def _missing_kw(grid: Grid, demand: Demand, state: State) -> np.ndarray:
    """Return what each unit goes without, kW."""
    living = living_cords(demand, state, islands(grid, state).energised)
    fed = demand.sum_by_unit(living.astype(float)) > 0
    return np.asarray(demand.d_kw * (1.0 - np.where(fed & state.unit_ok, state.served, 0.0)))


def _sound(ratios: Ratios) -> np.ndarray:
    """Return which states converge within all limits."""
    over = [part.max(axis=1, initial=0.0) for part in (ratios.branch, ratios.switch, ratios.source)]
    low = ratios.under_v_pu.max(axis=1, initial=0.0)
    return np.asarray(ratios.converged & (np.maximum.reduce(over) <= 1.0 + OVER) & (low <= UNDER_V_PU))
