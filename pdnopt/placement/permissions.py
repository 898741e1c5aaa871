"""Which racks may hang where at all: nobody that must run may lose its voltage while a path to it survives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.placement.effects import NORMAL, Effect
from pdnopt.placement.places import Places

__all__ = ["Permissions", "read_permissions"]


@dataclass(frozen=True)
class Permissions:
    """Per place of J.

    Attributes
    ----------
    allowed : bool, shape (J, 2)
        For a rack that must be carried (0), and for one that is redundant (1): with one cord it may go dark.
    exposed : list of tuple of str
        The failures in which no plan could feed it.
    stops : list of str
        The failure in which it is dark although a path survives; "" for none.
    """

    allowed: np.ndarray
    exposed: list[tuple[str, ...]]
    stops: list[str]

    def only(self, places: np.ndarray) -> Permissions:
        """Return the permissions of some places."""
        rows = places.tolist()
        return Permissions(
            self.allowed[places], [self.exposed[j] for j in rows], [self.stops[j] for j in rows]
        )


def read_permissions(places: Places, effects: Sequence[Effect]) -> Permissions:
    """Return who may hang where, what a place is exposed to and what forbids it."""
    first, second = places.pair.T
    dead, dark = np.zeros(places.n, dtype=bool), np.zeros(places.n, dtype=bool)
    exposed: list[list[str]] = [[] for _ in range(places.n)]
    stops = [""] * places.n
    for effect in effects:
        if effect.name == NORMAL:
            dead = ~effect.living[first] | ~effect.living[second]
            out, lost = dead, np.zeros(places.n, dtype=bool)
        else:
            out = effect.dark[first] & effect.dark[second]
            lost = effect.unservable[first] & effect.unservable[second]
        for j in np.flatnonzero(out & ~lost).tolist():
            stops[j] = stops[j] or effect.name
        dark |= out & ~lost
        for j in np.flatnonzero(lost).tolist():
            if not exposed[j] or exposed[j][-1] != effect.name:
                exposed[j].append(effect.name)
    allowed = np.column_stack([~dark, ~dead & (~dark | (places.cords == 1))])
    return Permissions(allowed, [tuple(names) for names in exposed], stops)
