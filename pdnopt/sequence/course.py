"""A way from one state to another: device moves in an order, and what every unit may draw in between."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand
from pdnopt.sequence.moves import LoadMoves, load_moves

__all__ = ["Batch", "Course"]


@dataclass(frozen=True)
class Batch:
    """What is sent together - device moves, or load commands - and the row of the course's states that it leads to.

    ``wait_s``: so long after the batch before. ``late``: just before the next batch, however long that waits.
    """

    actions: tuple[Action, ...]
    row: int
    loads: LoadMoves | None = None
    wait_s: float = 0.0
    late: bool = False


RESTORE_INTERVAL_S = 5.0
"""Between two blocks of load put on a genset: it recovers from a load step in 5 s (ISO 8528-5, class G2)."""


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
    portion_kw : float
        Load comes back in portions of at most this, for the sake of gensets that take load in steps.
    """

    stages: tuple[tuple[Action, ...], ...]
    served: np.ndarray
    portion_kw: float = inf

    def batches(self, demand: Demand, start: np.ndarray, end: np.ndarray) -> list[Batch]:
        """Return everything that is sent, in order, from the service ``start`` to the service ``end``."""
        out: list[Batch] = []
        now = self._change(out, demand, start, np.minimum(start, self.served[0]), 0)
        now = self._change(out, demand, now, self.served[0], 0)
        for k, stage in enumerate(self.stages, start=1):
            now = self._change(out, demand, now, np.minimum(now, self.served[k]), k - 1, late=True)
            out.append(Batch(stage, k))
            now = self._change(out, demand, now, self.served[k], k)
        self._change(out, demand, now, end, len(self.stages))
        return out

    def _change(
        self,
        out: list[Batch],
        demand: Demand,
        now: np.ndarray,
        then: np.ndarray,
        row: int,
        late: bool = False,
    ) -> np.ndarray:
        """Append the load commands between two services of which one is nowhere above the other."""
        for some in self._portions(demand, now, then):
            moves = load_moves(demand, now, some)
            if moves is not None:
                before = out[-1].loads if out else None
                again = self.portion_kw < inf and before is not None and before.up
                out.append(Batch((), row, moves, RESTORE_INTERVAL_S if again else 0.0, late))
            now = some
        return then

    def _portions(self, demand: Demand, now: np.ndarray, then: np.ndarray) -> list[np.ndarray]:
        """Return the services on the way up, the most critical load first; downwards there is one."""
        more_kw = np.maximum(then - now, 0.0) * demand.d_kw
        if not more_kw.sum() > self.portion_kw:
            return [then]
        ways, level, filled_kw = [], now.copy(), 0.0
        for unit in np.lexsort((np.arange(demand.n), demand.priority)):
            if filled_kw > 0 and filled_kw + more_kw[unit] > self.portion_kw:
                ways.append(level.copy())
                filled_kw = 0.0
            level[unit] = then[unit]
            filled_kw += more_kw[unit]
        return [*ways, then]
