"""The programme as arrays on one persistent HiGHS model: compiled by cvxpy once, then only numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel

__all__ = ["Answer", "Programme"]

SLACK = {
    "violations": 1e-6, "vuf": 2e-5, "spread": 5e-4, "spread_sum": 5e-4, "neutral": 1e-3, "losses": 1e-3,
    "excess": 1e-5, "thd_v": 1e-4, "tdd": 1e-3,
}  # fmt: skip
"""How much worse a term may be, in its own unit, for the sake of those after it; ``PART`` of its value comes on top."""
PART = 1e-3


@dataclass(frozen=True)
class Answer:
    """The values of the terms, and of the variables by name; ``status`` of the stage that ended worst."""

    status: str
    terms: dict[str, float]
    values: dict[str, np.ndarray]


class Programme:
    """A convex model compiled to ``A x + b`` in a cone of zeros and of nonnegatives."""

    def __init__(self, model: Any) -> None:
        import cvxpy as cp

        self.model = model
        for parameter in model.parameters.values():
            parameter.value = np.ones(parameter.shape)
        data, _, _ = model.problem.get_problem_data(cp.CLARABEL)
        self._cone = data["param_prob"]
        self._equal = int(data["dims"].zero)
        at = self._cone.var_id_to_col
        self._column = {
            name: np.arange(at[variable.id], at[variable.id] + variable.size)
            for name, variable in model.variables.items()
        }
        self._highs = HighsModel(relax=True)
        self._basis: Any = None
        self._kept: Any = None

    def keep(self) -> None:
        """Keep the last basis: `rewind` goes back to it."""
        self._kept = self._basis

    def rewind(self) -> None:
        """Forget what was solved since `keep`, so that an answer does not depend on it."""
        self._basis = self._kept

    def solve(self, point: Any, terms: tuple[str, ...], deadline_s: float = inf) -> Answer:
        """Solve term after term at a point; successive calls start from the last basis until `rewind`."""
        self._load(point)
        n = self._n
        found: dict[str, float] = {}
        x, status = None, "optimal"
        for term in terms:
            column = self._column[f"t_{term}"]
            if x is not None and x[column].item() <= SLACK.get(
                term, 0.0
            ):  # no term is below 0: it is settled
                found[term] = max(x[column].item(), 0.0)
                self._highs.set_col_bounds(column, np.array([-inf]), np.array([SLACK.get(term, 0.0)]))
                continue
            cost = np.zeros(n)
            cost[column] = 1.0
            self._highs.set_cost(cost)
            outcome = self._highs.solve(deadline_s)
            if outcome.x is None:
                return Answer(outcome.status if x is None else "feasible", found, self._values(x))
            x = outcome.x
            if outcome.status != "optimal":
                return Answer("feasible", found | {term: outcome.objective}, self._values(x))
            found[term] = max(outcome.objective, 0.0)
            most = outcome.objective + PART * abs(outcome.objective) + SLACK.get(term, 0.0)
            self._highs.set_col_bounds(column, np.array([-inf]), np.array([most]))
        self._basis = self._highs.basis()
        return Answer(status, found, self._values(x))

    def _load(self, point: Any) -> None:
        for field in fields(point):
            self.model.parameters[field.name].value = getattr(point, field.name)
        _, _, a, b = self._cone.apply_parameters()
        matrix = csr_array(a)
        high = np.full(len(b), inf)
        high[: self._equal] = -b[: self._equal]
        self._n = matrix.shape[1]
        free = np.full(self._n, inf)
        self._highs.load(matrix, -b, high, -free, free, np.zeros(self._n, dtype=bool))
        if self._basis is not None:
            self._highs.start_from(self._basis)

    def _values(self, x: np.ndarray | None) -> dict[str, np.ndarray]:
        return {} if x is None else {name: x[at] for name, at in self._column.items()}
