"""Solve the programme of a shift: an LP for the bound, what is whole in it held, a small MIP, the whole MIP if need be."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.shifting.matrix import Matrix

__all__ = ["Solved", "WarmLp", "least", "solve_matrix", "with_limit"]

WHOLE = 1e-6
"""So near a whole number an LP's column counts as whole."""


@dataclass(frozen=True)
class Solved:
    """A point, its cost and a bound that is proved. ``x`` is None without a point; ``status`` as of an Outcome."""

    status: str
    x: np.ndarray | None
    value: float
    bound: float


class WarmLp:
    """The LP of a session: the next one of the same shape starts from the last basis."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._basis: object = None

    def solve(self, matrix: Matrix, deadline_s: float) -> Outcome:
        """Solve the relaxation."""
        model = _load(matrix, relax=True)
        shape = (*matrix.a.shape, matrix.a.nnz)
        if self._basis is not None and shape == self._shape:
            model.start_from(self._basis)
        outcome = model.solve(deadline_s)
        if outcome.status == "optimal":
            self._shape, self._basis = shape, model.basis()
        return outcome


def solve_matrix(
    matrix: Matrix, gap: float, constant: float, deadline_s: float, warm: WarmLp | None = None
) -> Solved:
    """Minimise.

    Parameters
    ----------
    gap : float
        Proved if value - bound is at most this part of value (with ``constant``).
    deadline_s : float
        On the clock of time.perf_counter.
    warm : WarmLp, optional
        Of the session.
    """
    lp = (warm or WarmLp()).solve(matrix, deadline_s)
    if lp.x is None or lp.status != "optimal":
        return Solved(lp.status if lp.status == "infeasible" else "no_incumbent", None, inf, -inf)
    bound = lp.objective
    whole = np.flatnonzero(matrix.integer)
    near = np.abs(lp.x[whole] - np.round(lp.x[whole])) <= WHOLE
    best: Outcome | None = lp if near.all() else None
    if best is None:
        held = whole[near]
        low, high = matrix.col_low.copy(), matrix.col_high.copy()
        low[held] = high[held] = np.round(lp.x[held])
        trial = _run(replace(matrix, col_low=low, col_high=high), gap, constant, bound, deadline_s, None)
        best = trial if trial.x is not None else None
    if best is None or not _proved(best.objective, bound, gap, constant):
        start = None if best is None else best.x
        found = _run(matrix, gap, constant, bound, deadline_s, start)
        bound = max(bound, found.bound) if np.isfinite(found.bound) else bound
        if found.x is not None and (best is None or found.objective < best.objective):
            best = found
        if best is None:
            return Solved("infeasible" if found.status == "infeasible" else "no_incumbent", None, inf, bound)
    assert best.x is not None
    proved = _proved(best.objective, bound, gap, constant)
    x = best.x.copy()
    x[whole] = np.round(x[whole])
    return Solved("optimal" if proved else "feasible", x, best.objective, min(bound, best.objective))


def least(matrix: Matrix, fixed: np.ndarray, at: np.ndarray, deadline_s: float) -> Solved:
    """Minimise with some columns held: an LP where these are all that must be whole."""
    low, high = matrix.col_low.copy(), matrix.col_high.copy()
    low[fixed] = high[fixed] = at
    outcome = _load(replace(matrix, col_low=low, col_high=high), relax=True).solve(deadline_s)
    if outcome.x is None:
        return Solved(outcome.status, None, inf, -inf)
    return Solved(outcome.status, outcome.x, outcome.objective, outcome.bound)


def with_limit(matrix: Matrix, weights: np.ndarray, most: float) -> Matrix:
    """Return the programme with one row more: weights @ x <= most."""
    row = csr_array(weights[None])
    return replace(
        matrix,
        a=csr_array(vstack([matrix.a, row], format="csr")),
        row_low=np.r_[matrix.row_low, -inf],
        row_high=np.r_[matrix.row_high, most],
        blocks=(*matrix.blocks, ("no_higher", 1)),
    )


def _proved(value: float, bound: float, gap: float, constant: float) -> bool:
    return value - bound <= gap * max(abs(value + constant), 1e-3)


def _run(
    matrix: Matrix, gap: float, constant: float, bound: float, deadline_s: float, start: np.ndarray | None
) -> Outcome:
    """Run the MIP until it is within the gap."""
    if time.perf_counter() >= deadline_s:
        return Outcome("no_incumbent", None, inf, -inf)
    allowed = gap * max(abs(bound + constant), 1e-3)
    return _load(matrix, relax=False).solve(deadline_s, gap_abs=allowed, start=start, believe=True)


def _load(matrix: Matrix, relax: bool) -> HighsModel:
    model = HighsModel(relax=relax)
    model.load(
        matrix.a,
        matrix.row_low,
        matrix.row_high,
        matrix.col_low,
        matrix.col_high,
        matrix.integer & (not relax),
    )
    model.set_cost(matrix.cost)
    return model
