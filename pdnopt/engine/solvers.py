"""Who solves what: HiGHS in this process, or in a worker that can be killed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.engine.reduction import Arrays
from pdnopt.engine.remote import RemoteModel, Worker

__all__ = ["Found", "Solver", "Solvers"]

LARGE = 20_000
"""Models of at least so many entries are solved by a worker, where there is a deadline."""


class Solver(Protocol):
    """A HiGHS model, in this process or in a worker."""

    def load(
        self,
        matrix: csr_array,
        row_low: np.ndarray,
        row_high: np.ndarray,
        col_low: np.ndarray,
        col_high: np.ndarray,
        integer: np.ndarray,
    ) -> None:
        """Pass a whole model."""

    def set_cost(self, cost: np.ndarray) -> None:
        """Replace the whole objective."""

    def set_row_bounds(self, row: int, low: float, high: float) -> None:
        """Change the bounds of one row."""

    def set_col_bounds(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Change bounds of some columns."""

    def solve(
        self,
        deadline_s: float = inf,
        gap_abs: float = 0.0,
        start: np.ndarray | None = None,
        max_nodes: int | None = None,
        believe: bool = False,
    ) -> Outcome:
        """Run once."""


Found = Callable[[float, float], None]
"""Called with (objective, bound) of every better point and bound that a worker tells."""


class Solvers:
    """Who solves what: small models in this process, those that can overshoot a deadline in a worker that can be killed.

    Parameters
    ----------
    whole, mip : HighsModel
        The first keeps the LP of all that is open between terms: it starts from the last basis.
    worker : Worker, optional
    limited : bool
        There is a deadline.
    """

    def __init__(self, whole: HighsModel, mip: HighsModel, worker: Worker | None, limited: bool) -> None:
        self._whole, self._mip, self._trial = whole, mip, HighsModel(relax=True)
        self._worker = worker if limited else None

    def expect(self, n_entries: int) -> None:
        """Start the worker if a model of this size will need it: it gets ready in the meantime."""
        if self._worker is not None and n_entries >= LARGE:
            self._worker.start()

    def whole(self, arrays: Arrays) -> Solver:
        """Return what keeps the LP of all that is open."""
        if self._worker is not None and self._sends(arrays):
            return RemoteModel(self._worker, 0, relax=True)
        return self._whole

    def trial(self, arrays: Arrays, relax: bool, found: Found | None = None) -> Solver:
        """Return what solves one LP or MIP."""
        if self._worker is not None and self._sends(arrays):
            return RemoteModel(self._worker, 1 if relax else 2, relax, found)
        return self._trial if relax else self._mip

    def _sends(self, arrays: Arrays) -> bool:
        return self._worker is not None and self._worker.usable and arrays.matrix.nnz >= LARGE
