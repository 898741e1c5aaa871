"""Racks in their places so far: what each row carries, whether one more fits, and why it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import FITS, Room
from pdnopt.plant.memory import Memory

__all__ = ["Filling", "Tightest"]

KEPT = 4096
"""Sets of places whose rows are kept gathered."""


@dataclass(frozen=True)
class Tightest:
    """What stands in the way of a rack where least does: a place, the row, and how much its component lacks."""

    place: int
    row: int
    lacks_kw: float


class Filling:
    """Places racks one by one under all rows of a room.

    Attributes
    ----------
    place : int, shape (R,)
        Where each rack is, -1: nowhere.
    load : float, shape (rows,)
        What the racks put on each row, as a part of the limit at scale 1.
    """

    def __init__(self, room: Room, racks: NewRacks, place: np.ndarray | None = None) -> None:
        self.room, self.racks = room, racks
        at = csr_array(room.at)
        self._data, self._row, self._start = at.data, at.indices, at.indptr
        self.left = room.left
        self._known = Memory(KEPT)
        self.place = np.full(len(racks.name), -1)
        self.load = np.zeros(len(self.left))
        if place is not None:
            self.place = place.copy()
            put = np.flatnonzero(place >= 0)
            full = np.where(room.full, 1.0, 0.0)
            demand = np.bincount(place[put], weights=racks.p_kw[put], minlength=len(room.at))
            floor = np.bincount(place[put], weights=racks.floor_kw[put], minlength=len(room.at))
            self.load = (demand @ room.at) * full + (floor @ room.at) * (1.0 - full)

    def put(self, rack: int, place: int) -> None:
        """Place a rack, whether it fits or not."""
        self.place[rack] = place
        self._add(rack, place, 1.0)

    def take(self, rack: int) -> None:
        """Take a rack out again."""
        self._add(rack, int(self.place[rack]), -1.0)
        self.place[rack] = -1

    def excess(self, rack: int, places: np.ndarray) -> np.ndarray:
        """Return by how much the worst row of each place would be over its limit, as a part of it; fits if <= 0."""
        return self._tried(rack, places)[0]

    def best(self, rack: int, places: np.ndarray) -> int:
        """Return the place that fits and stays emptiest (sum of squares of its rows' use), -1 if none fits."""
        excess, use = self._tried(rack, places)
        use = np.where(excess <= 0.0, np.round(use, 9), np.inf)
        best = int(np.argmin(use)) if len(use) else -1
        return int(places[best]) if best >= 0 and use[best] < np.inf else -1

    def _tried(self, rack: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the excess of each place with a rack on it, and how full it would be."""
        row, data, starts, some = self._rows_of(places)
        excess, use = np.full(len(places), -1.0), np.zeros(len(places))
        if len(row):
            after = self.load[row] + data * self._power(rack)[row]
            left = self.left[row]
            excess[some] = np.maximum.reduceat(after - left, starts) - FITS
            use[some] = np.add.reduceat((after / np.maximum(left, 1e-9)) ** 2, starts)
        return excess, use

    def put_all(self, racks: np.ndarray, places: np.ndarray) -> bool:
        """Place all of some racks at some of the places, the largest first, or none of them."""
        done: list[int] = []
        for rack in racks[np.argsort(-self.racks.p_kw[racks], kind="stable")]:
            place = self.best(int(rack), places)
            if place < 0:
                for other in done:
                    self.take(other)
                return False
            self.put(int(rack), place)
            done.append(int(rack))
        return True

    def tightest(self, rack: int, places: np.ndarray) -> Tightest:
        """Return what lacks least for a rack that does not fit."""
        best = int(places[int(np.argmin(self.excess(rack, places)))])
        row, data, *_ = self._rows_of(np.array([best]))
        over = self.load[row] + data * self._power(rack)[row] - self.left[row]
        worst = int(np.argmax(over))
        return Tightest(best, int(row[worst]), float(over[worst] * self.room.limit_kw[row[worst]]))

    def _power(self, rack: int) -> np.ndarray:
        return self.room.power_of(float(self.racks.p_kw[rack]), float(self.racks.floor_kw[rack]))

    def _rows_of(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return rows and coefficients of some places, one after another, where each begins, and which have any."""
        return self._known.recall(places.tobytes(), lambda: self._gathered(places))

    def _gathered(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        count = self._start[places + 1] - self._start[places]
        some = np.flatnonzero(count)
        places, count = places[some], count[some]
        starts = np.cumsum(count) - count
        index = np.arange(int(count.sum())) + np.repeat(self._start[places] - starts, count)
        return self._row[index], self._data[index], starts, some

    def _add(self, rack: int, place: int, sign: float) -> None:
        row, data, *_ = self._rows_of(np.array([place]))
        self.load[row] += sign * data * self._power(rack)[row]
