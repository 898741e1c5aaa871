"""The best service under one switching, true to AC power flow: linear programmes around ever better points.

The question an operator asks: *the switches stay as they are - who has to be capped or shed, and by how much?*

Everybody is served; AC power flow says which components are over their limits. What each kW of each unit adds to them
follows from the forest of the state and the AC loadings there (first order, losses included in proportion); the
programme decides; AC power flow at its answer is the next point (successive linear programming: Palacios-Gomez, Lasdon,
Engquist, Management Science 28(10), 1982). Loads and loadings are close to proportional, so two or three rounds do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from pdnopt.acjudge import AcJudge, Allowed, Ratios
from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, islands, living_cords
from pdnopt.problem import Flows
from pdnopt.response import Response
from pdnopt.service.forest import BRANCH, SWITCH, Forest, grow_forest
from pdnopt.service.programme import Programme
from pdnopt.units import S_PER_H

__all__ = ["Question", "Service", "serve"]

MAX_ROUNDS = 6
"""Programmes solved before a state is given up."""

OVER = 1e-6
"""A component counts as over its limit beyond this part."""

INSIDE = 2e-5
"""Part by which an answer stays inside a limit, so that rounding does not break it."""

CLOSE = 1e-4
"""A limit that binds is met when the loading is this close to it."""

LOW_V_PU = 1e-5

NEGLIGIBLE_KW = 0.01
"""A cap below this is rounding, and no command; AC power flow judges the unit in full."""


@dataclass(frozen=True)
class Question:
    """What `serve` is asked besides the state: limits, how long they must hold, how exact, until when."""

    allowed: Allowed
    horizon_s: float
    battery_use: float  # part of a battery's energy that may be counted on
    firm: np.ndarray  # bool (D,): may not be shed
    gap_kw: Callable[[int], float]
    deadline_s: float


@dataclass(frozen=True)
class Service:
    """The state with its best service, its AC loadings, and the flows by which it was found."""

    state: State
    on: np.ndarray  # bool (D,)
    ratios: Ratios
    flows: Flows


@dataclass(frozen=True)
class _Rated:
    """Components that were over a limit: what they are, their limit, and the node below each."""

    kind: np.ndarray  # "branch", "switch", "ups", "source", "battery", "fuel", "storage"
    position: np.ndarray
    top: np.ndarray


class _Units:
    """Who can be served in a state, and how each unit's power splits over its living cords."""

    def __init__(self, demand: Demand, response: Response, state: State, question: Question) -> None:
        grid = response.grid
        given = initial_state(grid, demand)
        as_given = living_cords(demand, given, islands(grid, given).energised)
        living = living_cords(demand, state, islands(grid, state).energised)
        draw_kw = cord_draw_kw(demand, living, as_given)
        d_kw = np.maximum(demand.d_kw, 1e-12)
        self.cords = np.flatnonzero(draw_kw > 0.0)
        self.fraction = draw_kw[self.cords] / d_kw[demand.cord_unit[self.cords]]
        limit_kw = demand.cord_limit_kw(question.horizon_s)
        most = np.ones(demand.n)
        np.minimum.at(most, demand.cord_unit[self.cords], limit_kw[self.cords] / draw_kw[self.cords])
        self.top_kw = np.where(most < 1.0, most * demand.d_kw, demand.d_kw)
        fed = (demand.sum_by_unit(living.astype(float)) > 0) & state.unit_ok & ~response.unservable
        self.units = np.flatnonzero(fed)
        self.unfit = fed & (self.top_kw < demand.min_kw - 1e-9)
        self.demand, self.response = demand, response
        self.by_unit = csr_array(
            (self.fraction, (demand.cord_unit[self.cords], np.arange(len(self.cords)))),
            shape=(demand.n, len(self.cords)),
        )

    def served(self, state: State, s_kw: np.ndarray, on: np.ndarray) -> State:
        """Return the state with a service; units without voltage that may be shed are told to stay off."""
        demand = self.demand
        full = s_kw >= demand.d_kw - NEGLIGIBLE_KW
        part = np.where(full, 1.0, s_kw / np.maximum(demand.d_kw, 1e-12))
        commanded = ~self.response.unservable & state.unit_ok & (demand.sheddable | on)
        return state.but(served=np.where(commanded, np.where(on, part, 0.0), state.served))

    def drawn(self, s_kw: np.ndarray, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return active and reactive power drawn at each node, kW and kvar."""
        demand, cords = self.demand, self.cords
        kw = s_kw[demand.cord_unit[cords]] * self.fraction
        node = demand.cord_node[cords]
        p = np.bincount(node, weights=kw, minlength=n_nodes)
        return p, np.bincount(node, weights=kw * demand.cord_tan_phi[cords], minlength=n_nodes)


def serve(
    demand: Demand, response: Response, state: State, judge: AcJudge, question: Question
) -> Service | None:
    """Return the best service of a state at rest; None where this method cannot tell.

    It cannot where an island has loops or several sources, where a voltage stays below its limit, where something other
    than loads overloads a component, and where what may not be shed is too much.
    """
    forest = grow_forest(response.grid, state)
    if forest is None:
        return None
    who = _Units(demand, response, state, question)
    if (who.unfit & question.firm).any():
        return None
    s_kw = np.where(who.unfit, 0.0, who.top_kw)
    mask = np.zeros(demand.n, dtype=bool)
    mask[who.units] = True
    s_kw = np.where(mask, s_kw, 0.0)
    on = mask & ~who.unfit
    rated = _Rated(np.zeros(0, dtype=object), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    for number in range(MAX_ROUNDS):
        now = who.served(state, s_kw, on)
        ratios = judge.ratios(response.grid, demand, [now])
        if not ratios.converged[0]:
            return None
        p, q = _flows(forest, response, who, s_kw)
        fresh = _over(forest, response, state, ratios, question, rated)
        if fresh is None:
            return None
        values, _ = _loadings(response, ratios, p, q, rated, question)
        met = not len(values) or (values.max() <= 1.0 + OVER and values.max() >= 1.0 - CLOSE)
        if not len(fresh.kind) and met and (number == 0 or len(rated.kind)):
            low = ratios.under_v_pu[0].max(initial=0.0) > LOW_V_PU
            return None if low else Service(now, on, ratios, forest.by_component(p, q))
        rated = _Rated(*(np.r_[a, b] for a, b in zip(_parts(rated), _parts(fresh), strict=True)))
        found = _decide(forest, response, who, s_kw, ratios, p, q, rated, question)
        if found is None:
            return None
        s_kw, on = found
    return None


def _parts(rated: _Rated) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rated.kind, rated.position, rated.top


def _flows(
    forest: Forest, response: Response, who: _Units, s_kw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    grid = response.grid
    p, q = who.drawn(s_kw, len(forest.parent))
    return forest.flows(p - grid.injection_p_kw, q - grid.injection_q_kvar)


def _over(
    forest: Forest, response: Response, state: State, ratios: Ratios, question: Question, known: _Rated
) -> _Rated | None:
    """Return the components over a limit that were not before; None where one carries no load of this forest."""
    grid, allowed = response.grid, question.allowed
    hours = question.horizon_s / S_PER_H
    battery = state.ups_mode == "battery"
    energy_kwh = ratios.ups_kw[0] * hours
    over = (
        ("branch", ratios.branch[0] > allowed.branch * (1 + OVER)),
        ("switch", ratios.switch[0] > allowed.switch * (1 + OVER)),
        ("ups", ratios.ups[0] > allowed.ups * (1 + OVER)),
        ("source", ratios.source[0] > allowed.source * (1 + OVER)),
        ("battery", battery & (energy_kwh > question.battery_use * grid.upss.e_kwh * (1 + OVER))),
        ("fuel", ratios.source_kw[0] * hours > grid.sources.fuel_kwh * (1 + OVER)),
        ("storage", state.storage_on & (ratios.storage_kw[0] > _storage_kw(grid, question) * (1 + OVER))),
    )
    seen = set(zip(known.kind.tolist(), known.position.tolist(), strict=True))
    kinds, positions, tops = [], [], []
    for kind, flags in over:
        for k in np.flatnonzero(flags).tolist():
            if (kind, k) in seen:
                continue
            top = _top(forest, kind, k)
            if top < 0:
                return None
            kinds.append(kind)
            positions.append(k)
            tops.append(top)
    return _Rated(np.array(kinds, dtype=object), np.array(positions, dtype=int), np.array(tops, dtype=int))


def _storage_kw(grid: Grid, question: Question) -> np.ndarray:
    """Return what each battery of the rows may give over the horizon, kW."""
    sto = grid.storages
    energy_kw = question.battery_use * sto.e_usable_kwh * S_PER_H / question.horizon_s
    return np.asarray(np.minimum(sto.p_discharge_max_kw, energy_kw))


def _top(forest: Forest, kind: str, k: int) -> int:
    """Return the node below a component, -1 where it is no edge or root of the forest."""
    grid = forest.grid
    if kind in ("ups", "battery"):
        return int(grid.upss.out_node[k])
    if kind in ("source", "fuel"):
        return int(grid.sources.node[k])
    if kind == "storage":
        return int(grid.storages.node[k])
    return forest.child_of(BRANCH if kind == "branch" else SWITCH, k)


def _loadings(
    response: Response, ratios: Ratios, p: np.ndarray, q: np.ndarray, rated: _Rated, question: Question
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each component carries, over its limit, and the slopes by active and reactive power, (J, 2).

    The slopes are those of apparent power, or of active power where that is what is limited, scaled so that the flows
    of the forest give the loading that AC power flow found.
    """
    grid, allowed, hours = response.grid, question.allowed, question.horizon_s / S_PER_H
    values, slopes = np.zeros(len(rated.kind)), np.zeros((len(rated.kind), 2))
    for row, (kind, k, top) in enumerate(zip(*_parts(rated), strict=True)):
        p_top, q_top = float(p[top]), float(q[top])
        s_top = max(float(np.hypot(p_top, q_top)), 1e-9)
        active = kind in ("source", "fuel", "battery", "storage")
        if kind == "ups":
            active = p_top / grid.upss.p_rated_kw[k] > s_top / grid.upss.s_rated_kva[k]
        if kind in ("branch", "switch", "ups"):
            limit = getattr(allowed, kind)[k]
            values[row] = getattr(ratios, kind)[0, k] / limit
        elif kind == "source":
            values[row] = ratios.source[0, k] / allowed.source[k]
        elif kind == "storage":
            values[row] = ratios.storage_kw[0, k] / max(float(_storage_kw(grid, question)[k]), 1e-9)
        elif kind == "fuel":
            values[row] = ratios.source_kw[0, k] * hours / max(grid.sources.fuel_kwh[k], 1e-9)
        else:
            usable_kwh = max(question.battery_use * grid.upss.e_kwh[k], 1e-9)
            values[row] = ratios.ups_kw[0, k] * hours / usable_kwh
        if active:
            slopes[row] = (values[row] / max(p_top, 1e-9), 0.0)
        else:
            slopes[row] = values[row] / s_top * np.array([p_top / s_top, q_top / s_top])
    return values, slopes


def _decide(
    forest: Forest,
    response: Response,
    who: _Units,
    s_kw: np.ndarray,
    ratios: Ratios,
    p: np.ndarray,
    q: np.ndarray,
    rated: _Rated,
    question: Question,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve the programme around one point; return the power of every unit and whether it is on."""
    demand, cords, units = who.demand, who.cords, who.units
    values, slopes = _loadings(response, ratios, p, q, rated, question)
    active, reactive = forest.share(rated.top, demand.cord_tan_phi[cords], demand.cord_node[cords])
    per_cord = slopes[:, :1] * active + slopes[:, 1:] * reactive
    load = np.asarray((who.by_unit @ per_cord.T).T)
    programme = Programme(
        priority=demand.priority[units],
        d_kw=demand.d_kw[units],
        floor_kw=np.minimum(demand.min_kw[units], demand.d_kw[units]),
        top_kw=np.where(who.unfit[units], 0.0, who.top_kw[units]),
        must=question.firm[units],
        lit=~response.interrupted[units],
        load=load[:, units],
        base=values - load @ s_kw,
        limit=np.full(len(values), 1.0 - INSIDE),
    )
    found = programme.solve(question.gap_kw, question.deadline_s)
    if found is None:
        return None
    new_kw, on = np.zeros(demand.n), np.zeros(demand.n, dtype=bool)
    new_kw[units], on[units] = found.s_kw, found.on
    return new_kw, on
