"""A way from one state to another: device moves in an order, and what every unit may draw in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand
from pdnopt.sequence.moves import load_moves

__all__ = ["Batch", "Course"]


@dataclass(frozen=True)
class Batch:
    """Actions that are sent together, and the row of the course's states that they lead to."""

    actions: tuple[Action, ...]
    row: int


@dataclass(frozen=True)
class Course:
    """Stages of device moves, and the load allowed around them.

    Attributes
    ----------
    stages : tuple of tuples of Action
        Device moves in order; those of one stage are sent together.
    served : float, shape (stages + 1, D)
        Row k: power that each unit may draw, over its demand, in the state after k stages (row 0: before the
        first). Load goes down before the stage that leads to a lower row and up after the one that leads to a
        higher row, so that no stage ever carries more than the rows on both sides of it allow.
    """

    stages: tuple[tuple[Action, ...], ...]
    served: np.ndarray

    def batches(self, demand: Demand, start: np.ndarray, end: np.ndarray) -> list[Batch]:
        """Return everything that is sent, in order, from the service ``start`` to the service ``end``."""
        out: list[Batch] = []
        now = self._change(out, demand, start, np.minimum(start, self.served[0]), 0)
        now = self._change(out, demand, now, self.served[0], 0)
        for k, stage in enumerate(self.stages, start=1):
            now = self._change(out, demand, now, np.minimum(now, self.served[k]), k - 1)
            out.append(Batch(stage, k))
            now = self._change(out, demand, now, self.served[k], k)
        self._change(out, demand, now, end, len(self.stages))
        return out

    def _change(
        self, out: list[Batch], demand: Demand, now: np.ndarray, then: np.ndarray, row: int
    ) -> np.ndarray:
        """Append the load commands between two services of which one is nowhere above the other."""
        moves = load_moves(demand, now, then)
        if moves:
            out.append(Batch(moves, row))
        return then
