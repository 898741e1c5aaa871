"""Which racks go to which class of places: the question a planner asks, as a mixed-integer programme.

*Of these racks, which do I take, and on which feeds, so that most power is placed and every single failure is carried?*

Sets: K kinds of items (racks, or deployments, that are alike), C classes of places, R rows of the room.
Data: n_k how many there are; p_k, f_k demand and floor in kW; w_k value; a_cr part of row r's limit that one kW at
c uses; b_r what is left of it.
Variables: x_kc >= 0 integer, items of kind k in class c (where cords fit and the place is allowed).

    maximise    sum_kc w_k x_kc                                               (1)
    subject to  sum_c x_kc <= n_k                            for all k        (2)
                sum_kc a_cr (p_k or f_k) x_kc <= b_r         for all r        (3)

then, at this value, z as small as possible:
                z >= left side of (3) + what was there already   for the rows r of UPSs   (4)

The relaxation solves both; rounding keeps most of it, and single moves even out what is left (`balanced`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.placement.classes import Classes
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import FITS, Room

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Assignment", "Kinds", "read_kinds"]

ROUNDED = 1e-6
FREE_KINDS = 30
SMALL_NODES = 300
MOVES = 40
STEEP = 16
"""Loads are compared by the sum of this power of them: nearly their maximum, without its plateaus."""


@dataclass(frozen=True)
class Kinds:
    """K kinds of items that are alike.

    Attributes
    ----------
    items : list of int arrays
        The items of each kind, in order.
    p_kw, floor_kw, value : float, shape (K,)
    redundant : bool, shape (K,)
    cords : int, shape (K,)
    barred : bool, shape (K,)
    """

    items: list[np.ndarray]
    p_kw: np.ndarray
    floor_kw: np.ndarray
    value: np.ndarray
    redundant: np.ndarray
    cords: np.ndarray
    barred: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Items of each kind, shape (K,)."""
        return np.array([len(mine) for mine in self.items])


def read_kinds(racks: NewRacks, weights: Mapping[int, float], barred: np.ndarray) -> Kinds:
    """Gather the items by demand, floor, priority, redundancy and cords; ``barred``, (I,), are not to be placed."""
    p_kw, floor_kw = racks.sum_by_item(racks.p_kw), racks.sum_by_item(racks.floor_kw)
    priority, cords = racks.first_of_item(racks.priority), racks.first_of_item(racks.cords)
    redundant = racks.first_of_item(racks.redundant)
    size = racks.sum_by_item(np.ones(len(racks.p_kw)))
    look = np.column_stack(
        [np.round(p_kw, 9), np.round(floor_kw, 9), priority, redundant, cords, size, barred]
    )
    _, first, label = np.unique(look, axis=0, return_index=True, return_inverse=True)
    label = label.ravel()
    weight = np.array([weights.get(int(p), 1.0) for p in priority[first]])
    return Kinds(
        items=[np.flatnonzero(label == k) for k in range(len(first))],
        p_kw=p_kw[first],
        floor_kw=floor_kw[first],
        value=weight * p_kw[first],
        redundant=redundant[first].astype(bool),
        cords=cords[first].astype(int),
        barred=barred[first],
    )


@dataclass(frozen=True)
class Answer:
    """Counts by kind and class, (K, C), and an upper bound of the value."""

    count: np.ndarray
    value: float
    bound: float


class Assignment:
    """The programme, compiled once; a solve changes right-hand sides only."""

    def __init__(self, kinds: Kinds, classes: Classes, watched: np.ndarray, there: np.ndarray) -> None:
        self.kinds, self.classes = kinds, classes
        fits = (kinds.cords[:, None] == classes.cords[None, :]) & ~kinds.barred[:, None]
        fits &= classes.allowed[:, kinds.redundant.astype(int)].T
        self.kind, self.where = np.nonzero(fits)
        power = np.where(classes.full[:, None], kinds.p_kw[self.kind], kinds.floor_kw[self.kind])
        self._rows = np.flatnonzero((classes.at[self.where] * power.T).any(axis=0))
        room = classes.at[self.where][:, self._rows].T * power[self._rows]  # (3)
        able = np.unique(self.kind)  # kinds that fit somewhere: HiGHS gets no empty rows
        once = (able[:, None] == self.kind[None, :]).astype(float)  # (2)
        self._most_of_kind = kinds.count[able].astype(float)
        self.dense = np.vstack([once, room])
        self.matrix = csr_array(self.dense)
        self.most = kinds.count[self.kind].astype(float)
        mine = np.isin(self._rows, watched)
        self._watched = len(able) + np.flatnonzero(mine)
        self._there = there[self._rows[mine]]

    def relaxed(self, room: Room, value: np.ndarray | None = None) -> Answer:
        """Solve the linear relaxation of (1), then of (4); ``value`` by kind, default that of the kinds."""
        value = (self.kinds.value if value is None else value)[self.kind]
        if not len(self.kind):
            return self._nothing()
        n, high = len(self.kind), self._high(room)
        loads = np.column_stack([self.dense[self._watched], -np.ones(len(self._watched))])  # (4)
        rows = [np.column_stack([self.dense, np.zeros(len(high))]), loads, np.r_[value, 0.0][None]]
        top = np.r_[high, -self._there, inf]
        model = HighsModel(relax=True)
        columns = np.r_[self.most, inf]
        whole = np.zeros(n + 1, dtype=bool)
        model.load(csr_array(np.vstack(rows)), np.full(len(top), -inf), top, np.zeros(n + 1), columns, whole)
        model.set_cost(np.r_[-value, 0.0])
        best = model.solve()
        assert best.x is not None  # placing nothing is feasible
        model.set_row_bounds(len(top) - 1, -best.objective * (1.0 - 1e-9), inf)
        model.set_cost(np.r_[np.zeros(n), 1.0])
        even = model.solve()
        x = best.x if even.x is None else even.x
        return Answer(self._table(x[:n]), max(0.0, -best.objective), max(0.0, -best.bound))

    def quick(self, room: Room) -> Answer:
        """Return the relaxation's bound, and a rounded point without any search."""
        loose = self.relaxed(room)
        best = self._rounded(loose.count[self.kind, self.where], self._high(room))
        return Answer(self._table(best), float(self.kinds.value[self.kind] @ best), loose.bound)

    def solve(self, room: Room, gap: float, deadline_s: float) -> Answer:
        """Solve (1) to within a part ``gap`` of the value.

        The linear relaxation is rounded; then most of it is kept, and the rest is decided by a small MIP. Where that
        leaves a gap, the whole MIP starts from there, if there is time.
        """
        loose = self.relaxed(room)
        value, high = self.kinds.value[self.kind], self._high(room)
        guess = loose.count[self.kind, self.where]
        allowed = gap * max(loose.bound, 1e-9)
        best, bound = self._rounded(guess, high), loose.bound
        none, most = np.zeros(len(best)), self.most
        for low, top, nodes in ((*self._mostly_kept(guess, best), SMALL_NODES), (none, most, None)):
            if bound - value @ best <= allowed or (nodes is None and time.perf_counter() >= deadline_s):
                break
            until = deadline_s if nodes is None else inf
            out = self._searched(low, top, high, best, allowed, until, nodes)
            if out.x is not None and value @ np.round(out.x) > value @ best:
                best = np.round(out.x)
            bound = min(bound, -out.bound) if nodes is None else bound
        return Answer(self._table(best), float(value @ best), bound)

    def _searched(
        self,
        low: np.ndarray,
        top: np.ndarray,
        high: np.ndarray,
        start: np.ndarray,
        allowed: float,
        deadline_s: float,
        nodes: int | None,
    ) -> Outcome:
        """Run the MIP within bounds of its columns, from a start."""
        model = HighsModel(relax=False)
        n = len(start)
        model.load(self.matrix, np.full(len(high), -inf), high, low, top, np.ones(n, dtype=bool))
        model.set_cost(-self.kinds.value[self.kind])
        return model.solve(deadline_s, gap_abs=allowed, start=start, max_nodes=nodes)

    def _mostly_kept(self, guess: np.ndarray, rounded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds of the columns that keep most of what the relaxation says.

        Free are the kinds that it splits, and the FREE_KINDS smallest of those that it places whole and of those that it
        leaves out.
        """
        n_kinds = len(self.kinds.items)
        split = np.bincount(self.kind, weights=np.abs(guess - np.round(guess)), minlength=n_kinds) > ROUNDED
        placed = np.bincount(self.kind, weights=np.round(guess), minlength=n_kinds) > 0
        order = np.argsort(self.kinds.p_kw, kind="stable")
        kept = np.zeros(n_kinds, dtype=bool)
        for group in (order[~split[order] & placed[order]], order[~split[order] & ~placed[order]]):
            kept[group[FREE_KINDS:]] = True
        keep = kept[self.kind]
        return np.where(keep, rounded, 0.0), np.where(keep, rounded, self.most)

    def balanced(self, room: Room, answer: Answer) -> Answer:
        """Return an answer of the same value that loads the UPSs more evenly: single moves while they help (4)."""
        x, high = answer.count[self.kind, self.where].copy(), self._high(room)
        if not x.any() or not len(self._watched):
            return answer
        from_, to = np.nonzero((self.kind[:, None] == self.kind[None, :]) & (x > 0.5)[:, None])
        moved = from_ != to
        a, b = from_[moved], to[moved]
        first = len(self._most_of_kind)  # moves do not touch (2)
        dense, high, watched = self.dense[first:], high[first:], self._watched - first
        step = dense[:, b] - dense[:, a]
        used = dense @ x
        for _ in range(MOVES):
            able = np.flatnonzero(x[a] > 0.5)
            able = able[(used[:, None] + step[:, able] <= high[:, None] + FITS).all(axis=0)]
            if not len(able):
                break
            loads = used[watched, None] + self._there[:, None]
            after = ((loads + step[np.ix_(watched, able)]) ** STEEP).sum(axis=0)
            best = int(np.argmin(after))
            if after[best] >= (loads**STEEP).sum() * (1.0 - 1e-3):
                break
            x[a[able[best]]] -= 1.0
            x[b[able[best]]] += 1.0
            used = used + step[:, able[best]]
        return Answer(self._table(x), answer.value, answer.bound)

    def _nothing(self) -> Answer:
        return Answer(np.zeros((len(self.kinds.items), self.classes.n)), 0.0, 0.0)

    def _high(self, room: Room) -> np.ndarray:
        return np.concatenate([self._most_of_kind, self.classes.left(room)[self._rows]])

    def _table(self, x: np.ndarray) -> np.ndarray:
        table = np.zeros((len(self.kinds.items), self.classes.n))
        table[self.kind, self.where] = x
        return table

    def _rounded(self, guess: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Round down, then put back whatever still fits, the most valuable first, where most room is left."""
        x: np.ndarray = np.floor(guess + ROUNDED)
        used = self.matrix @ x
        dense = self.dense
        for k in np.argsort(-self.kinds.value, kind="stable"):
            mine = np.flatnonzero(self.kind == k)
            while len(mine):
                after: np.ndarray = (used[:, None] + dense[:, mine] - high[:, None]) / np.maximum(
                    high[:, None], 1e-9
                )
                worst = after.max(axis=0)
                best = int(np.argmin(worst))
                if worst[best] > 1e-12:
                    break
                x[mine[best]] += 1.0
                used = used + dense[:, mine[best]]
        return x
