"""Which racks go to which class of places: the question a planner asks, as a mixed-integer programme.

*Of these racks, which do I take, and on which feeds, so that most power is placed and every single failure is carried?*

Sets: K kinds of items (racks, or deployments, that are alike), C classes of places, R rows of the room.
Data: n_k how many there are; p_k, f_k demand and floor in kW; w_k value; a_cr part of row r's limit that one kW at
c uses; b_r what is left of it.
Variables: x_kc >= 0 integer, items of kind k in class c (where cords fit and the place is allowed).

    maximise    sum_kc w_k x_kc                                               (1)
    subject to  sum_c x_kc <= n_k                            for all k        (2)
                sum_kc a_cr (p_k or f_k) x_kc <= b_r         for all r        (3)

then, at this value, z as small as possible with z >= (3)'s left side + what was there, on the rows of UPSs   (4)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel
from pdnopt.placement.classes import Classes
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import Room

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Assignment", "Kinds", "read_kinds"]

ROUNDED = 1e-6
BALANCE_GAP = 2e-3
BALANCE_NODES = 200


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
    """

    items: list[np.ndarray]
    p_kw: np.ndarray
    floor_kw: np.ndarray
    value: np.ndarray
    redundant: np.ndarray
    cords: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Items of each kind, shape (K,)."""
        return np.array([len(mine) for mine in self.items])


def read_kinds(racks: NewRacks, weights: Mapping[int, float]) -> Kinds:
    """Gather the items by demand, floor, priority, redundancy and cords."""
    p_kw, floor_kw = racks.sum_by_item(racks.p_kw), racks.sum_by_item(racks.floor_kw)
    priority, cords = racks.first_of_item(racks.priority), racks.first_of_item(racks.cords)
    redundant = racks.first_of_item(racks.redundant)
    size = racks.sum_by_item(np.ones(len(racks.p_kw)))
    look = np.column_stack([np.round(p_kw, 9), np.round(floor_kw, 9), priority, redundant, cords, size])
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
    )


@dataclass(frozen=True)
class Answer:
    """Counts by kind and class, (K, C), and an upper bound of the value."""

    count: np.ndarray
    value: float
    bound: float


class Assignment:
    """The programme, compiled once; a solve changes right-hand sides only."""

    def __init__(self, kinds: Kinds, classes: Classes) -> None:
        self.kinds, self.classes = kinds, classes
        fits = kinds.cords[:, None] == classes.cords[None, :]
        fits &= classes.allowed[:, kinds.redundant.astype(int)].T
        self.kind, self.where = np.nonzero(fits)
        power = np.where(classes.full[:, None], kinds.p_kw[self.kind], kinds.floor_kw[self.kind])
        self._room = classes.at[self.where].T * power  # (3)
        n = len(self.kind)
        once = csr_array((np.ones(n), (self.kind, np.arange(n))), shape=(len(kinds.items), n))  # (2)
        self.matrix = csr_array(np.vstack([once.toarray(), self._room]))
        self.most = kinds.count[self.kind].astype(float)

    def relaxed(self, room: Room, value: np.ndarray | None = None) -> Answer:
        """Solve the linear relaxation; ``value`` by kind, default that of the kinds."""
        value = self.kinds.value if value is None else value
        n_rows = self.matrix.shape[0]
        high = self._high(room)
        model = HighsModel(relax=True)
        n = len(self.kind)
        model.load(self.matrix, np.full(n_rows, -inf), high, np.zeros(n), self.most, np.zeros(n, bool))
        model.set_cost(-value[self.kind])
        out = model.solve()
        assert out.x is not None  # placing nothing is feasible
        return Answer(self._table(out.x), -out.objective, -out.bound)

    def solve(self, room: Room, gap: float, deadline_s: float) -> Answer:
        """Solve (1) to within a part ``gap`` of the value: LP, a rounded start, then the MIP where that is not enough."""
        if not len(self.kind):
            return Answer(np.zeros((len(self.kinds.items), self.classes.n)), 0.0, 0.0)
        loose = self.relaxed(room)
        high = self._high(room)
        start = self._rounded(loose.count[self.kind, self.where], high)
        value = self.kinds.value[self.kind]
        reached = float(value @ start)
        allowed = gap * max(loose.bound, 1e-9)
        if loose.bound - reached <= allowed:
            return Answer(self._table(start), reached, loose.bound)
        model = HighsModel(relax=False)
        n, n_rows = len(start), self.matrix.shape[0]
        model.load(self.matrix, np.full(n_rows, -inf), high, np.zeros(n), self.most, np.ones(n, bool))
        model.set_cost(-value)
        out = model.solve(deadline_s, gap_abs=allowed, start=start)
        bound = min(loose.bound, -out.bound)
        if out.x is None or value @ np.round(out.x) <= reached:
            return Answer(self._table(start), reached, bound)
        best = np.round(out.x)
        return Answer(self._table(best), float(value @ best), bound)

    def balanced(
        self, room: Room, answer: Answer, rows: np.ndarray, there: np.ndarray, deadline_s: float
    ) -> Answer:
        """Return an answer of the same value whose most loaded row of ``rows`` is as low as a short search finds (4).

        ``there`` is what each row carries without new racks.
        """
        n = len(self.kind)
        if not n or not len(rows) or time.perf_counter() >= deadline_s:
            return answer
        x = answer.count[self.kind, self.where]
        value = self.kinds.value[self.kind]
        load = self._room[rows]
        matrix = csr_array(
            np.vstack(
                [
                    np.column_stack([self.matrix.toarray(), np.zeros(self.matrix.shape[0])]),
                    np.column_stack([load, -np.ones(len(rows))]),
                    np.r_[value, 0.0][None],
                ]
            )
        )
        low = np.r_[np.full(self.matrix.shape[0] + len(rows), -inf), answer.value * (1.0 - 1e-9)]
        high = np.r_[self._high(room), -there[rows], inf]
        model = HighsModel(relax=False)
        integer = np.r_[np.ones(n, bool), False]
        model.load(matrix, low, high, np.zeros(n + 1), np.r_[self.most, inf], integer)
        model.set_cost(np.r_[np.zeros(n), 1.0])
        z = float((load @ x + there[rows]).max())
        out = model.solve(deadline_s, BALANCE_GAP, np.r_[x, max(z, 0.0)], max_nodes=BALANCE_NODES)
        if out.x is None:
            return answer
        best = np.round(out.x[:n])
        good = (self.matrix @ best <= self._high(room) + ROUNDED).all()
        return Answer(self._table(best), float(value @ best), answer.bound) if good else answer

    def _high(self, room: Room) -> np.ndarray:
        return np.r_[self.kinds.count.astype(float), self.classes.left(room)]

    def _table(self, x: np.ndarray) -> np.ndarray:
        table = np.zeros((len(self.kinds.items), self.classes.n))
        table[self.kind, self.where] = x
        return table

    def _rounded(self, x: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Round down, then put back whatever still fits, the most valuable first, where most room is left."""
        x = np.floor(x + ROUNDED)
        used = self.matrix @ x
        dense = self.matrix.toarray()
        for k in np.argsort(-self.kinds.value, kind="stable"):
            mine = np.flatnonzero(self.kind == k)
            while len(mine):
                after = (used[:, None] + dense[:, mine] - high[:, None]) / np.maximum(high[:, None], 1e-9)
                worst = after.max(axis=0)
                best = int(np.argmin(worst))
                if worst[best] > 1e-12:
                    break
                x[mine[best]] += 1.0
                used = used + dense[:, mine[best]]
        return np.asarray(x)
