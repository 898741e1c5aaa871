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
from pdnopt.feeder.reading import is_plain, read_feeder, switches_of, units_of
from pdnopt.feeder.search import Found, find_least_loss
from pdnopt.feeder.shedding import shed_least
from pdnopt.optimiser import Answer
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, missing_kw
from pdnopt.response import Response, settle
from pdnopt.result import Reason
from pdnopt.sequence import gentle_visits

__all__ = ["LossRefiner"]

SEARCH_SHARE, PROOF_SHARE, LEAST_SHARE = 0.45, 0.7, 0.3
"""Parts of the time left, less that of ordering, that the search and then the proof may use; the search's least part."""

TRIAL_PART = 3.0
"""What trying one move costs, in times that the plant's devices take to come to rest."""

USUAL_MOVES = 24
MIN_SHED_S = 1.0
OVER = 1e-6
UNDER_V_PU = 1e-6
LESS_KW = 1e-3
SAME = 1e-7
"""Losses that differ by less than this part are equal: the state with fewer moves is taken."""


@dataclass(frozen=True)
class _Candidate:
    """A state to end in, and the feeder and search it comes from, if it does."""

    state: State
    feeder: Feeder | None = None
    found: Found | None = None


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
        final: bool,
        deadline_s: float,
    ) -> Answer:
        """Return the answer with the least loss found, its AC value and its bound; ``gap`` is relative.

        ``held`` names switches that must stay where they stand. An answer that breaks limits on AC power flow is left as
        it is, for the MILP to try again, unless it is ``final`` or all its load can be served within limits.
        """
        if answer.target is None:
            return answer
        grid = response.grid
        start = response.state
        fixed = np.array([name in held for name in grid.switches.name], dtype=bool)
        asked = answer.target
        locked = start.but(locked=start.locked | fixed)
        full = asked.but(served=np.where(response.unservable, asked.served, 1.0))
        services = [full.served]
        if self._short(demand, asked, full):
            services.append(asked.served)
        order_s = self._order_s(min(USUAL_MOVES, len(grid.switches.name)), response)
        candidates: list[_Candidate] = []
        for served in services:
            begun = time.perf_counter()
            left_s = deadline_s - begun
            until_s = begun + max(SEARCH_SHARE * (left_s - order_s), LEAST_SHARE * left_s)
            item = self._search(grid, demand, locked.but(served=served), asked, until_s)
            if item is None or item.feeder is None or item.found is None:
                continue
            candidates.append(item)
            if served is full.served:
                if item.found.best.excess == 0 and self._sound(grid, demand, item.state):
                    break
                if (final or len(services) > 1) and item.found.best.excess > 0:
                    fed = self._shed(item.feeder, item.found, demand, locked.but(served=served), until_s)
                    services += [fed] if fed is not None else []
        candidates += [_Candidate(asked), _Candidate(start.but(served=asked.served))]
        best = self._choose(grid, demand, candidates, start)
        if best is None:
            return answer
        chosen, ratios = best
        less = (missing_kw(grid, demand, chosen.state) - missing_kw(grid, demand, asked)).sum() > LESS_KW
        if less and not final:
            return answer
        loss_kw = float(ratios.losses_kw[0])
        bound_kw = 0.0
        if chosen.feeder is not None and chosen.found is not None:
            begun = time.perf_counter()
            moves = int((chosen.state.closed != start.closed).sum())
            left_s = max(deadline_s - begun - self._order_s(moves, response), 0.0)
            bound_kw = min(
                prove(chosen.feeder, chosen.found.best, gap, begun + PROOF_SHARE * left_s), loss_kw
            )
        return self._answer(answer, chosen.state, ratios, demand, grid, loss_kw, bound_kw, gap)

    def _search(
        self, grid: Grid, demand: Demand, state: State, asked: State, until_s: float
    ) -> _Candidate | None:
        """Return the best configuration found for the service of ``state``; None where the network is not radial."""
        try:
            feeder = read_feeder(self.net, self.engine, grid, demand, state)
        except NotRadialError:
            return None
        target = np.array([bool(asked.closed[own].all()) for own in feeder.switches], dtype=bool)
        found = find_least_loss(feeder, [feeder.given, target], until_s)
        if found is None:
            return None
        closed = switches_of(feeder, found.best.tree.closed, state)
        return _Candidate(asked.but(closed=closed, served=state.served), feeder, found)

    def _shed(
        self, feeder: Feeder, found: Found, demand: Demand, state: State, until_s: float
    ) -> np.ndarray | None:
        """Return who is served (shape (D,)) when the fewest kW go dark to keep all limits; None where none is found."""
        units = units_of(feeder, self.net, demand, state)
        shed = shed_least(feeder, found.best, units, max(until_s, time.perf_counter() + MIN_SHED_S))
        return None if shed is None else np.where(shed.fed, state.served, 0.0)

    def _order_s(self, moves: int, response: Response) -> float:
        """Return about how long it takes to order moves: each visit of that search tries every move that is left.

        Between sources that are not in one sync group load goes over with a gap, which is tried only after the
        searches without one have given up.
        """
        begun = time.perf_counter()
        settle(response, response.state)
        one_s = TRIAL_PART * (time.perf_counter() - begun)
        groups = {str(group) for group in response.grid.sources.sync_group[response.state.source_on]}
        apart = int(response.state.source_on.sum()) > 1 and (len(groups) > 1 or "" in groups)
        return one_s * moves / 2.0 * (moves + (gentle_visits(moves) if apart else 0))

    def reasons(self, answer: Answer, response: Response, demand: Demand) -> tuple[Reason, ...]:
        """Return why each unit of a refined answer is dark: what its load would break, on AC power flow, as switched."""
        assert answer.target is not None
        grid, target = response.grid, answer.target
        missing = missing_kw(grid, demand, target)
        out = []
        for u in np.flatnonzero(missing > LESS_KW):
            name, kw = demand.name[u], float(missing[u])
            if response.unservable[u]:
                out.append(Reason(name, kw, "", "no surviving path from any source", 0.0, True))
                continue
            served = target.served.copy()
            served[u] = 1.0
            ratios = self.judge.ratios(grid, demand, [target.but(served=served)])
            out.append(Reason(name, kw, *_broken(grid, ratios), 0.0, True))
        return tuple(out)

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
            missing = missing_kw(grid, demand, states[k])
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
        missing = missing_kw(grid, demand, state)
        terms, bounds = [], {**answer.bounds, "losses": bound_kw}
        for term in answer.ladder.terms:
            if term.name.startswith("unserved_p"):
                mine = demand.priority == int(term.name[10:])
                value = float(missing[mine].sum())
                if (
                    value < bounds.get(term.name, 0.0) - LESS_KW
                ):  # the straight lines were stricter than AC power flow
                    bounds[term.name] = 0.0
                terms.append(replace(term, value=value, bound=bounds.get(term.name, 0.0)))
            elif term.name == "losses":
                terms.append(TermResult("losses", loss_kw, bound_kw))
            else:
                terms.append(term)
        proved = loss_kw - bound_kw <= gap * loss_kw
        status = answer.ladder.status if proved else "feasible"
        ladder = replace(answer.ladder, terms=terms, status=status)
        return replace(answer, ladder=ladder, target=state, ratios=ratios, bounds=bounds, refined=True)


def _broken(grid: Grid, ratios: Ratios) -> tuple[str, str]:
    """Return the component whose limit the first state breaks most, and what limit that is."""
    if not ratios.converged[0]:
        return "", "the AC power flow has no solution with it"
    loads = (
        ("loading", ratios.branch[0], grid.branches.name),
        ("loading", ratios.switch[0], grid.switches.name),
        ("power", ratios.source[0], grid.sources.name),
    )
    over = [(float(part.max(initial=0.0)) - 1.0, what, names, part) for what, part, names in loads]
    excess, what, names, part = max(over, key=lambda item: item[0])
    low = ratios.under_v_pu[0]
    k = int(np.argmax(low))
    if low[k] > UNDER_V_PU and low[k] >= excess:
        v_min = grid.nodes.v_min_pu[k]
        return grid.nodes.name[k], f"voltage {v_min - low[k]:.4f} pu with it, at least {v_min:.4f} pu"
    if excess <= OVER:
        return "", "could be served as switched; the search did not find it in the time given"
    return names[int(np.argmax(part))], f"{what} {100.0 * (1.0 + excess):.1f} % with it"


def _sound(ratios: Ratios) -> np.ndarray:
    """Return which states converge within all limits."""
    over = [part.max(axis=1, initial=0.0) for part in (ratios.branch, ratios.switch, ratios.source)]
    low = ratios.under_v_pu.max(axis=1, initial=0.0)
    return np.asarray(ratios.converged & (np.maximum.reduce(over) <= 1.0 + OVER) & (low <= UNDER_V_PU))
