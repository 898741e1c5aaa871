"""The programme of the service: who is served, when what each kW loads is known.

Sets        D units, J components that would be over their limit, P priorities
Data        d, floor, top of a unit (kW): demand, power cap floor, what its cords carry; limit_j; a_ju = what 1 kW of unit
            u adds to the load of component j, base_j = what j carries of everything else
Variables   s_kw(u), on(u)
Minimise, strictly one after another
    (S1) unserved_pk = sum over units of priority k of d - s_kw                          [kW], the most critical first
    (S2) shed        = sum of d (1 - on) over units that have had voltage so far          [kW]
subject to
    (1) base_j + sum a_ju s_kw(u) <= limit_j
    (2) floor on <= s_kw <= top on;  on = 1 where a unit may not be shed

Priorities that can be served in full with everything less critical shed need no solver. For the others capping alone is
tried first: where the LP with everybody on serves as much as the LP that may shed anything by parts, it is the optimum,
and nobody is shed. Else the MIP decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.sparse import csr_array, hstack, vstack

from pdnopt.engine.highs import HighsModel

__all__ = ["Programme", "Served"]

SAME_KW = 1e-3
"""Two services count as equal within this."""

FINE, WHOLE = 0.1, 0.3
"""Parts of a gap: how exact a service is found, and what whole units may serve less than parts of units before all of
them are free in the MIP."""

INTEGRAL = 1e-6

SPARE = 6
"""Units on, and units off, that stay free besides those that an LP leaves fractional."""

SHED_GAP = 0.01
"""Part of what may be shed by which an answer may shed more than it must."""

MAX_NODES = 200
"""Nodes of a MIP: it is small, and its first points are good."""


@dataclass(frozen=True)
class Programme:
    """The data of one solve; arrays over units that are fed, (units,), and components, (J,)."""

    priority: np.ndarray
    d_kw: np.ndarray
    floor_kw: np.ndarray
    top_kw: np.ndarray
    must: np.ndarray  # bool: may not be shed
    lit: np.ndarray  # bool: shedding it interrupts it
    load: np.ndarray  # (J, units)
    base: np.ndarray
    limit: np.ndarray

    def solve(self, gap_kw: Callable[[int], float], deadline_s: float) -> Served | None:
        """Return who is served, or None where what may not be shed is too much."""
        least = np.where(self.must, self.floor_kw, 0.0)
        free = np.ones(len(self.d_kw), dtype=bool)
        s_kw = least.copy()
        if (self.base + self.load @ least > self.limit + 1e-9).any():
            return None
        for priority in np.unique(self.priority):  # those that can be served in full need no solver
            mine = self.priority == priority
            trial = np.where(mine, self.top_kw, s_kw)
            if (self.base + self.load @ trial > self.limit).any():
                break
            s_kw = trial
            free &= ~mine
        able = self.top_kw >= self.floor_kw - 1e-9
        if not free.any():
            return Served(s_kw, able)
        part = _Part(self, np.flatnonzero(free), self.base + self.load[:, ~free] @ s_kw[~free])
        found = part.solve(gap_kw, deadline_s)
        if found is None:
            return None
        s_kw[free] = found.s_kw
        on = np.ones(len(s_kw), dtype=bool)
        on[free] = found.on
        return Served(s_kw, on & able)


@dataclass(frozen=True)
class Served:
    """Power of each unit, kW, and whether it is on."""

    s_kw: np.ndarray
    on: np.ndarray


class _Part:
    """The units that are left to decide, with what all others load in the base."""

    def __init__(self, whole: Programme, units: np.ndarray, base: np.ndarray) -> None:
        self.priority, self.d_kw = whole.priority[units], whole.d_kw[units]
        self.floor_kw, self.top_kw = whole.floor_kw[units], whole.top_kw[units]
        self.must, self.lit = whole.must[units], whole.lit[units]
        load = whole.load[:, units]
        scale = np.maximum(np.abs(load).max(axis=1, initial=0.0), 1e-12)
        self.load, self.room = load / scale[:, None], (whole.limit - base) / scale
        self.levels = [int(p) for p in np.unique(self.priority)]

    def solve(self, gap_kw: Callable[[int], float], deadline_s: float) -> Served | None:
        able = self.top_kw >= self.floor_kw - 1e-9
        if (self.must & ~able).any():
            return None
        top = np.where(able, self.top_kw, 0.0)
        parts = self._in_order(np.where(self.must, self.floor_kw, 0.0), top, deadline_s)
        if parts is None:
            return None
        capped = self._in_order(np.where(able, np.minimum(self.floor_kw, top), 0.0), top, deadline_s)
        if capped is not None and self._serves_no_less(capped, parts, gap_kw):
            return Served(capped, able)
        return self._whole_units(top, able, parts, gap_kw, deadline_s)

    def _served_kw(self, s_kw: np.ndarray) -> np.ndarray:
        return np.array([s_kw[self.priority == p].sum() for p in self.levels])

    def _serves_no_less(
        self, one: np.ndarray, other: np.ndarray, gap_kw: Callable[[int], float], part: float = FINE
    ) -> bool:
        """Whether one service is as good as another, priority by priority, within a part of the gaps."""
        slack = [max(part * gap_kw(p), SAME_KW) for p in self.levels]
        return bool((self._served_kw(one) >= self._served_kw(other) - slack).all())

    def _in_order(self, low: np.ndarray, high: np.ndarray, deadline_s: float) -> np.ndarray | None:
        """Serve the most of each priority in turn, every unit between two bounds: LPs."""
        n, rows = len(low), len(self.room)
        totals = np.array([self.priority == p for p in self.levels], dtype=float)
        matrix = csr_array(np.vstack([self.load, totals]))
        lp = HighsModel(relax=True)
        none = np.full(len(self.levels), -inf)
        lp.load(
            matrix,
            np.r_[np.full(rows, -inf), none],
            np.r_[self.room, -none],
            low,
            high,
            np.zeros(n, dtype=bool),
        )
        s_kw: np.ndarray | None = None
        for k in range(len(self.levels)):
            lp.set_cost(-totals[k])
            outcome = lp.solve(deadline_s, believe=True)
            if outcome.x is None:
                return s_kw
            s_kw = np.clip(outcome.x, low, high)
            lp.set_row_bounds(rows + k, float(totals[k] @ outcome.x) - 1e-6, inf)
        return s_kw

    def _whole_units(
        self,
        top: np.ndarray,
        able: np.ndarray,
        parts: np.ndarray,
        gap_kw: Callable[[int], float],
        deadline_s: float,
    ) -> Served | None:
        """Serve whole units: the LP over s_kw and on, then MIPs in which only what it left fractional is free.

        Where those serve less than the LP by more than the gaps, everything is free in them.
        """
        n = len(top)
        whole = _WholeUnits(self, top, able)
        relaxed = whole.in_order(HighsModel(relax=True), gap_kw, deadline_s, None, exact=True)
        held = np.zeros(0, dtype=int) if relaxed is None else self._settled(relaxed[n:])
        for fixed in (held, np.zeros(0, dtype=int)):
            values = np.zeros(0) if relaxed is None else np.round(relaxed[n + fixed])
            mip = HighsModel(relax=False)
            found = whole.in_order(mip, gap_kw, deadline_s, (fixed, values), exact=False)
            if found is not None and (
                self._serves_no_less(found[:n], parts, gap_kw, WHOLE) or not len(fixed)
            ):
                break
        if found is None:
            return None
        on = found[n:] > 0.5
        return Served(
            np.where(on, np.clip(found[:n], self.floor_kw, np.maximum(top, self.floor_kw)), 0.0), on
        )

    def _settled(self, part: np.ndarray) -> np.ndarray:
        """Return the units that an LP leaves on or off, but for some small ones of each: with them sums can be hit."""
        settled = np.flatnonzero(np.abs(part - np.round(part)) <= INTEGRAL)
        small = settled[np.argsort(self.d_kw[settled], kind="stable")]
        on = part[small] > 0.5
        return np.setdiff1d(settled, np.r_[small[on][:SPARE], small[~on][:SPARE]])


class _WholeUnits:
    """The programme over s_kw and on, as arrays: rows (1), one a priority, then (2) twice."""

    def __init__(self, part: _Part, top: np.ndarray, able: np.ndarray) -> None:
        n = len(top)
        self.rows, self.part = len(part.room), part
        self.totals = np.array([part.priority == p for p in part.levels], dtype=float)
        eye, at = csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n)), np.arange(n)
        carried = csr_array(np.vstack([part.load, self.totals]))
        nothing = csr_array(carried.shape)
        self.matrix = csr_array(
            vstack(
                [
                    hstack([carried, nothing]),
                    hstack([eye, csr_array((-top, (at, at)), shape=(n, n))]),
                    hstack([eye, csr_array((-part.floor_kw, (at, at)), shape=(n, n))]),
                ],
                format="csr",
            )
        )
        none = np.full(len(part.levels), -inf)
        self.low = np.r_[np.full(self.rows, -inf), none, np.full(n, -inf), np.zeros(n)]
        self.high = np.r_[part.room, -none, np.zeros(n), np.full(n, inf)]
        self.col_low, self.col_high = (
            np.r_[np.zeros(n), part.must.astype(float)],
            np.r_[top, able.astype(float)],
        )
        self.integer = np.repeat([False, True], n)
        self.shed_kw = np.where(part.lit, part.d_kw, 0.0)

    def in_order(
        self,
        solver: HighsModel,
        gap_kw: Callable[[int], float],
        deadline_s: float,
        held: tuple[np.ndarray, np.ndarray] | None,
        exact: bool,
    ) -> np.ndarray | None:
        """Serve the most of each priority in turn, then shed the least; ``held`` units are on or off as given."""
        n = len(self.shed_kw)
        solver.load(self.matrix, self.low, self.high, self.col_low, self.col_high, self.integer)
        if held is not None:
            solver.set_col_bounds(n + held[0], held[1], held[1])
        best: np.ndarray | None = None
        for k, priority in enumerate(self.part.levels):
            solver.set_cost(np.r_[-self.totals[k], np.zeros(n)])
            gap = 0.0 if exact else max(FINE * gap_kw(priority), SAME_KW)
            outcome = solver.solve(deadline_s, gap, best, None if exact else MAX_NODES, believe=True)
            if outcome.x is None:
                return best
            best = outcome.x
            solver.set_row_bounds(self.rows + k, float(self.totals[k] @ best[:n]) - SAME_KW, inf)
        solver.set_cost(np.r_[np.zeros(n), -self.shed_kw])
        gap = 0.0 if exact else SHED_GAP * max(float(self.shed_kw.sum()), 1.0)
        outcome = solver.solve(deadline_s, gap, best, None if exact else MAX_NODES, believe=True)
        return best if outcome.x is None else outcome.x
