"""Places that are alike for the UPSs, gathered: the assignment then has few columns, and stays a relaxation.

Two places are of one class if a rack puts the same on every UPS and source, whatever fails. A row that is the same for all
members of each class is kept as it is. All others (a panel's own cable, its switch) are summed over the panels that play
the same part, and of each class the member counts that puts least on the sum: whatever fits the places fits the classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.placement.places import Places
from pdnopt.placement.room import Room

__all__ = ["Classes", "read_classes"]

FEW = 24
"""With at most this many places each is a class of its own, and the relaxation is exact."""


@dataclass(frozen=True)
class Classes:
    """C classes of places, with rows of their own.

    Attributes
    ----------
    of_place : int, shape (J,)
    members : list of int arrays
        Places of each class.
    cords : int, shape (C,)
    allowed : bool, shape (C, 2)
        As in Permissions.
    at : float, shape (C, rows)
    full : bool, shape (rows,)
    parts : list of int arrays
        Rows of the room that each row sums.
    """

    of_place: np.ndarray
    members: list[np.ndarray]
    cords: np.ndarray
    allowed: np.ndarray
    at: np.ndarray
    full: np.ndarray
    parts: list[np.ndarray]

    @property
    def n(self) -> int:
        """Number of classes."""
        return len(self.members)

    def left(self, room: Room) -> np.ndarray:
        """Return the right-hand sides under a room's scales."""
        left = room.left
        return np.array([left[part].sum() for part in self.parts])


def read_classes(room: Room, places: Places, allowed: np.ndarray) -> Classes:
    """Gather places of one kind."""
    of_place = _alike(room, places, allowed)
    members = [np.flatnonzero(of_place == c) for c in range(int(of_place.max()) + 1)]
    firsts = np.array([mine[0] for mine in members])
    order = np.argsort(of_place, kind="stable")
    starts = np.searchsorted(of_place[order], np.arange(len(members)))
    low = np.minimum.reduceat(room.at[order], starts, axis=0)
    high = np.maximum.reduceat(room.at[order], starts, axis=0)
    same = (high - low <= 1e-9 * np.maximum(high, 1e-12) + 1e-15).all(axis=0)
    rows = [low[:, same]]
    parts = [np.array([r]) for r in np.flatnonzero(same)]
    full = [room.full[same]]
    groups: dict[tuple[int, bytes, str], list[int]] = {}
    for r in np.flatnonzero(~same):
        key = (int(room.moment[r]), (high[:, r] > 0).tobytes(), str(room.component[r]).partition(":")[0])
        groups.setdefault(key, []).append(int(r))
    for group in groups.values():
        total = room.at[:, group].sum(axis=1)
        rows.append(np.minimum.reduceat(total[order], starts)[:, None])
        parts.append(np.array(group))
        full.append(room.full[group[:1]])
    at = np.concatenate(rows, axis=1)
    used = np.flatnonzero((at > 0).any(axis=0))
    return Classes(
        of_place=of_place,
        members=members,
        cords=places.cords[firsts],
        allowed=allowed[firsts],
        at=at[:, used],
        full=np.concatenate(full)[used],
        parts=[parts[r] for r in used],
    )


def _alike(room: Room, places: Places, allowed: np.ndarray) -> np.ndarray:
    if places.n <= FEW:
        return np.arange(places.n)
    table = np.array([str(name).partition(":")[0] for name in room.component])
    wide = np.isin(table, ("ups", "ext_grid"))
    look = np.column_stack([places.cords, allowed, np.round(room.at[:, wide] * room.limit_kw[wide], 6)])
    _, first, label = np.unique(look, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # classes in the order of their first place
    return np.asarray(rank[label.ravel()])
