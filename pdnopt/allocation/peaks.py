"""A budget of simultaneous peaks: the allocation holds while at most k racks draw their peak, whichever they are.

Bertsimas and Sim, "The Price of Robustness", Operations Research 52 (2004): with deviations a_u >= 0 of which at most k
occur together, a row is protected by its protection function (their eq. 4 for whole k)

    beta_cr(x, k) = max { sum_{u in S} a_cru(x) : |S| <= k },

the sum of the k largest; here a_cru is what the peak of rack u adds to component r in contingency c, all its cords together
as they share then. Instead of their dual (their eq. 6, two more columns a row and rack) the sets S are found: for given
choices the worst set of every row is exact by sorting, and becomes a load vector more. Each vector is one of those to be
protected against, so that the bound of every round is valid; once no row has less margin than the last answer claims,
the answer is protected against all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.allocation.exposure import Exposure, Frame
from pdnopt.allocation.inputs import Vectors
from pdnopt.errors import InputError, Issue

__all__ = ["Budget", "protect", "read_budget"]

MAX_ROUNDS = 40
A_ROUND = 24
"""Sets that become load vectors in one round: of the rows that lack most."""

LACK = 0.2
"""Part of the margin's tolerance by which a row may lack and count as protected."""


@dataclass(frozen=True)
class Budget:
    """At most ``k`` racks draw ``peak_kw`` instead of ``usual_kw``; both by cord, (cords,)."""

    usual_kw: np.ndarray
    peak_kw: np.ndarray
    k: int

    def vector(self, units: np.ndarray, cord_unit: np.ndarray) -> np.ndarray:
        """Return the load of every cord with these units at their peak, (cords,)."""
        return np.asarray(np.where(np.isin(cord_unit, units), self.peak_kw, self.usual_kw))


def read_budget(vectors: Vectors, k: int) -> tuple[Budget, Vectors]:
    """Return the budget that the two columns of ``loads`` give, and the vectors without the peak column.

    Raises
    ------
    InputError
        Not two columns; a peak below what is usual.
    """
    given = vectors.cord_kw.shape[1] - 1
    if given != 2:
        todo = "Give two columns, what each load draws usually and at its peak; or leave peaks out."
        raise InputError(Issue("Columns", "loads", "", given, "two columns with peaks=...", todo))
    usual, peak = vectors.cord_kw[:, 1], vectors.cord_kw[:, 2]
    below = np.flatnonzero(peak < usual - 1e-9)
    if len(below):
        found = f"{len(below)} rows, for instance {peak[below[0]]:g} kW below {usual[below[0]]:g} kW"
        todo = "Exchange the columns, or correct the rows."
        raise InputError(
            Issue("BoundsCrossed", "loads", "", found, "a peak of at least the usual load", todo)
        )
    return Budget(usual, peak, k), Vectors(vectors.cord_kw[:, :2], vectors.labels[:2])


def protect(
    budget: Budget,
    vectors: Vectors,
    frame: Frame,
    once: Callable[[Vectors], tuple[Exposure, Any]],
    tolerance_kw: float,
    deadline_s: float,
) -> tuple[Vectors, Exposure, Any]:
    """Solve with more and more sets of peaks until the answer is protected against all.

    Parameters
    ----------
    once : callable
        Solves for load vectors; returns their numbers and a `Solved`.
    tolerance_kw : float
        Of the margin.

    Returns
    -------
    vectors, data, solved
        With the worst set of every contingency that lacks most of it; the margin of ``solved`` is that of all sets.
    """
    seen: set[bytes] = set()
    for _ in range(MAX_ROUNDS):
        data, solved = once(vectors)
        found = worst_sets(budget, frame, data, solved.chosen)
        exact_kw = min((margin for margin, _ in found), default=np.inf)
        claimed_kw = -solved.value["margin"] if "margin" in solved.value else _margin_kw(data, solved.chosen)
        fresh = []
        for margin_kw, units in found:
            if margin_kw < claimed_kw - LACK * tolerance_kw and units.tobytes() not in seen:
                seen.add(units.tobytes())
                fresh.append(units)
            if len(fresh) == A_ROUND:
                break
        if not fresh or time.perf_counter() > deadline_s:
            break
        vectors = _with(budget, vectors, frame, fresh)
    if "margin" in solved.value:
        solved.value["margin"] = max(solved.value["margin"], -exact_kw)
        solved.proved &= solved.value["margin"] - solved.bound["margin"] <= tolerance_kw + 1e-9
    rest = [units for _, units in found if units.tobytes() not in seen]
    vectors = _with(budget, vectors, frame, list({units.tobytes(): units for units in rest}.values()))
    return vectors, data, solved


def worst_sets(
    budget: Budget, frame: Frame, data: Exposure, chosen: np.ndarray
) -> list[tuple[float, np.ndarray]]:
    """Return of every scenario its tightest row's margin in kW under the worst set of peaks, and the set; tightest first.

    Only rows that choices can load count.
    """
    demand, reader = frame.demand, frame.reader
    rows = np.flatnonzero(data.open_row)
    scale = 1.0 / frame.sense[data.row[rows]]
    both = np.column_stack([budget.usual_kw, budget.peak_kw])
    out = []
    for c, one in enumerate(frame.scenarios):
        draw = frame.draw_kw(frame.sharing[c], both)
        more = draw[:, 1] - draw[:, 0]
        station = data.station_of(chosen, c)
        column = np.where(
            reader.cord_device >= 0, station[np.maximum(reader.cord_device, 0)], reader.cord_board
        )
        live = np.flatnonzero((column >= 0) & (more > 1e-12))
        gain_p, gain_s = (gain[data.row[rows]] * scale[:, None] for gain in (one.p, one.s))
        gain_p, gain_s = gain_p.toarray(), gain_s.toarray()
        adds = (
            gain_p[:, column[live]] * more[live] + gain_s[:, column[live]] * (more * frame.kva_per_kw)[live]
        )
        units, place = np.unique(demand.cord_unit[live], return_inverse=True)
        by_unit = np.zeros((len(rows), len(units)))
        for r in range(len(rows)):
            by_unit[r] = np.bincount(place, weights=adds[r], minlength=len(units))
        k = min(budget.k, len(units))
        largest = np.argsort(-by_unit, axis=1, kind="stable")[:, :k]
        beta = np.take_along_axis(by_unit, largest, axis=1).sum(axis=1) if k else np.zeros(len(rows))
        usual = _hung_kw(frame, draw[:, 0], column, gain_p, gain_s) + one.fixed[data.row[rows]] * scale
        margin = data.limit_kw[c, rows] - usual - beta
        if not len(margin):
            continue
        r = int(margin.argmin())
        out.append((float(margin[r]), np.sort(units[largest[r]]) if k else np.zeros(0, dtype=int)))
    return sorted(out, key=lambda item: item[0])


def _hung_kw(
    frame: Frame, draw_kw: np.ndarray, column: np.ndarray, gain_p: np.ndarray, gain_s: np.ndarray
) -> np.ndarray:
    """Return what the cords' draws put on the rows, kW."""
    live = column >= 0
    n = gain_p.shape[1]
    kw = np.bincount(column[live], weights=draw_kw[live], minlength=n)
    kva = np.bincount(column[live], weights=(draw_kw * frame.kva_per_kw)[live], minlength=n)
    return np.asarray(gain_p @ kw + gain_s @ kva)


def _margin_kw(data: Exposure, chosen: np.ndarray) -> float:
    slack = data.limit_kw[:, :, None] - data.load_kw(chosen)
    return float(slack[:, data.open_row].min(initial=np.inf))


def _with(budget: Budget, vectors: Vectors, frame: Frame, sets: list[np.ndarray]) -> Vectors:
    """Return the vectors and one more for each set of units at their peak."""
    if not sets:
        return vectors
    demand = frame.demand
    more = [budget.vector(units, demand.cord_unit) for units in sets]
    labels = []
    for units in sets:
        names = [demand.name[u] for u in units[:3]]
        labels.append(
            f"peaks of {', '.join(names)}" + (f" and {len(units) - 3} more" if len(units) > 3 else "")
        )
    return Vectors(np.column_stack([vectors.cord_kw, *more]), (*vectors.labels, *labels))
