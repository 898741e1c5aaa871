"""Placing one item at a time, in the order in which they come, never moving one again.

Each rule says in which order to try the classes of places (pairs of UPSs); the first in which the item fits takes it,
under the same rows as the batch. "round_robin" takes the classes in turn, "first_fit" always in the same order,
"balanced" the one that carries least kW so far: they do not look ahead. "lookahead" takes the class that leaves most
room: how much more power of the mix seen so far could still be placed, by a linear programme.
"""

from __future__ import annotations

from math import inf

import numpy as np
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel
from pdnopt.placement.classes import Classes
from pdnopt.placement.filling import Filling
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import NORMALLY, Room

__all__ = ["RULES", "place_online"]

RULES = ("lookahead", "round_robin", "first_fit", "balanced")
SAME_KW = 1e-3


def place_online(room: Room, racks: NewRacks, classes: Classes, rule: str, barred: np.ndarray) -> Filling:
    """Place the items in the order of the table by a rule, but for those that are barred; return what came of it."""
    filling = Filling(room, racks)
    chooser = _Chooser(room, racks, classes)
    for item, members in enumerate(racks.members()):
        if barred[item]:
            continue
        for c in chooser.order(rule, item):
            if filling.put_all(members, classes.members[c]):
                chooser.took(item, c)
                break
    return filling


class _Chooser:
    """Orders classes; keeps what each row of the classes carries, and the mix that came so far."""

    def __init__(self, room: Room, racks: NewRacks, classes: Classes) -> None:
        self.classes = classes
        self.left = classes.left(room)
        self.load = np.zeros(len(self.left))
        self.p_kw, self.floor_kw = racks.sum_by_item(racks.p_kw), racks.sum_by_item(racks.floor_kw)
        self.cords = racks.first_of_item(racks.cords)
        self.redundant = racks.first_of_item(racks.redundant).astype(int)
        self.placed_kw = np.zeros(classes.n)
        self.last = -1
        self.mix: dict[tuple[int, int, float], float] = {}
        names = [str(room.component[part[0]]) for part in classes.parts]
        normal = np.array(
            [room.moment[part[0]] == NORMALLY and len(part) == 1 for part in classes.parts], dtype=bool
        )
        ups = np.array([name.startswith("ups:") for name in names], dtype=bool)
        self.watched = np.flatnonzero(normal & (ups if ups.any() else True))
        self.base = np.array([1.0 - room.free[part[0]] for part in classes.parts])

    def order(self, rule: str, item: int) -> list[int]:
        """Return the classes to try, the best first."""
        fits = (self.classes.cords == self.cords[item]) & self.classes.allowed[:, self.redundant[item]]
        able = np.flatnonzero(fits)
        if rule == "first_fit":
            return [int(c) for c in able]
        if rule == "round_robin":
            return [int(c) for c in sorted(able, key=lambda c: (c <= self.last, c))]
        if rule == "balanced":
            return [int(c) for c in sorted(able, key=lambda c: (round(float(self.placed_kw[c]), 6), c))]
        loads = [self._peak(item, int(c)) for c in able]
        self._seen(item)
        room_kw = np.array([self._room_after(item, int(c)) for c in able])
        rank = np.lexsort((np.round(loads, 9), -np.round(room_kw / SAME_KW)))
        return [int(able[k]) for k in rank]

    def took(self, item: int, c: int) -> None:
        """Remember where an item went."""
        self.load += self._adds(item, c)
        self.placed_kw[c] += self.p_kw[item]
        self.last = c

    def _adds(self, item: int, c: int) -> np.ndarray:
        power = np.where(self.classes.full, self.p_kw[item], self.floor_kw[item])
        return np.asarray(self.classes.at[c] * power)

    def _peak(self, item: int, c: int) -> float:
        after = (self.base + self.load + self._adds(item, c))[self.watched]
        return float(after.max()) if len(after) else 0.0

    def _seen(self, item: int) -> None:
        part = round(float(self.floor_kw[item] / self.p_kw[item]), 1)
        key = (int(self.cords[item]), int(self.redundant[item]), part)
        self.mix[key] = self.mix.get(key, 0.0) + float(self.p_kw[item])

    def _room_after(self, item: int, c: int) -> float:
        """Return how many kW of the mix could still be placed after this item goes to a class; -inf if it does not fit."""
        left = self.left - self.load - self._adds(item, c)
        if (left < -1e-9).any():
            return -inf
        total = sum(self.mix.values())
        kinds = sorted(self.mix)
        columns, owner = [], []
        for k, (cords, redundant, part) in enumerate(kinds):
            for d in np.flatnonzero((self.classes.cords == cords) & self.classes.allowed[:, redundant]):
                columns.append(self.classes.at[d] * np.where(self.classes.full, 1.0, part))
                owner.append(k)
        if not columns:
            return 0.0
        n = len(columns)
        share = np.zeros((len(kinds), n + 1))  # of each kind its part of the whole, the last column
        share[owner, np.arange(n)] = 1.0
        share[:, n] = [-self.mix[kind] / total for kind in kinds]
        table = np.array(columns).T
        used = np.flatnonzero(table.any(axis=1))
        left, rows = left[used], np.column_stack([table[used], np.zeros(len(used))])
        model = HighsModel(relax=True)
        model.load(
            csr_array(np.vstack([rows, share])),
            np.r_[np.full(len(left), -inf), np.zeros(len(kinds))],
            np.r_[np.maximum(left, 0.0), np.zeros(len(kinds))],
            np.zeros(n + 1),
            np.full(n + 1, inf),
            np.zeros(n + 1, dtype=bool),
        )
        model.set_cost(np.r_[np.zeros(n), -1.0])
        out = model.solve()
        return -out.objective if out.x is not None else 0.0
