"""The programme of filters on one persistent HiGHS model: compiled by cvxpy once, whole, term after term."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.balancing.compilation import Compilation
from pdnopt.engine.highs import HighsModel

__all__ = ["FilterAnswer", "FilterProgramme"]

SLACK = {"excess": 1e-5, "thd_v": 1e-4, "tdd": 1e-3}
"""How much worse a term may be, in its own unit, for the sake of those after it; ``PART`` of its value comes on top."""
PART = 1e-3
DISTORTION = ("thd_v", "tdd")
"""Where nothing is left of these, all currents are settled: the last term has nothing to choose."""


@dataclass(frozen=True)
class FilterAnswer:
    """The values of the terms, and of the variables by name (none: no answer); ``status`` of the stage that ended worst."""

    status: str
    terms: dict[str, float]
    values: dict[str, np.ndarray]


class FilterProgramme:
    """A `HarmonicsModel`, solved at one point after another.

    By the interior-point method: on these trees of polygons the simplex method is three times slower from nothing, and from
    an old basis no faster. So no answer depends on those before it.
    """

    def __init__(self, model: Any) -> None:
        self.compilation, self.terms = Compilation(model), model.terms
        self._highs = HighsModel(relax=True, interior=True)

    def solve(self, point: Any, deadline_s: float = inf) -> FilterAnswer:
        """Solve term after term at a point."""
        linear = self.compilation.at(point)
        matrix, floor = linear.rows(np.arange(len(linear.floor)))
        whole = csr_array(vstack([linear.equal, matrix]))
        low, high = np.r_[linear.level, floor], np.r_[linear.level, np.full(len(floor), inf)]
        n = whole.shape[1]
        self._highs.load(whole, low, high, linear.low, linear.high, np.zeros(n, dtype=bool))
        found: dict[str, float] = {}
        x: np.ndarray | None = None

        def answer(status: str) -> FilterAnswer:
            return FilterAnswer(status, found, {} if x is None else self.compilation.values(linear, x))

        for term in self.terms:
            column, slack = self.compilation.column[f"t_{term}"], SLACK.get(term, 0.0)
            if term not in SLACK and all(found[name] <= SLACK[name] for name in DISTORTION):
                break
            if x is not None and x[column].item() <= slack:  # no term is below 0: it is settled
                found[term] = max(x[column].item(), 0.0)
                self._highs.set_col_bounds(column, np.array([-inf]), np.array([slack]))
                continue
            cost = np.zeros(n)
            cost[column] = 1.0
            self._highs.set_cost(cost)
            outcome = self._highs.solve(deadline_s)
            if outcome.x is None:
                return answer(outcome.status if x is None else "feasible")
            x = outcome.x
            found[term] = max(x[column].item(), 0.0)
            if outcome.status != "optimal":
                return answer("feasible")
            most = (1.0 + PART) * found[term] + slack
            self._highs.set_col_bounds(column, np.array([-inf]), np.array([most]))
        return answer("optimal")
