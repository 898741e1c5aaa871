"""The matrix of one term: rows (1), (4), (5) and those found to bind of (3), numbered as in `formulations.reserve`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from pdnopt.allocation.goals import Goal
from pdnopt.engine.highs import HighsModel, Outcome

if TYPE_CHECKING:
    from pdnopt.allocation.search import Search

__all__ = ["Programme"]


class Programme:
    """The matrix of one goal. Columns: x of the free devices, margin, spread, high_v, low_v."""

    def __init__(self, search: Search, goal: Goal, free: np.ndarray, fixed: np.ndarray) -> None:
        self.search, self.goal, self.fixed = search, goal, fixed
        self.model: HighsModel | None = None
        data = search.data
        self.at = np.flatnonzero(free[search.device])
        self.device, self.choice = search.device[self.at], search.choice[self.at]
        n, n_vectors = len(self.at), data.n_vectors
        self.margin, self.spread = n, n + 1
        self.high, self.low = n + 2 + np.arange(n_vectors), n + 2 + n_vectors + np.arange(n_vectors)
        self.n_columns = n + 2 + 2 * n_vectors
        self.free = np.flatnonzero(free)
        held = np.flatnonzero(~free)
        place = np.full(search.n, -1)
        place[self.free] = np.arange(len(self.free))
        parts: list[csr_array] = []
        low: list[np.ndarray] = []
        high: list[np.ndarray] = []

        def add(
            rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n_rows: int, least: Any, most: Any
        ) -> None:
            parts.append(csr_array(coo_array((values, (rows, columns)), shape=(n_rows, self.n_columns))))
            low.append(np.broadcast_to(np.asarray(least, dtype=float), n_rows))
            high.append(np.broadcast_to(np.asarray(most, dtype=float), n_rows))

        # (1)
        add(place[self.device], np.arange(n), np.ones(n), len(self.free), 1.0, 1.0)
        self.system_rows = np.array(
            [(0, r, v) for v in range(n_vectors) for r in data.system], dtype=int
        ).reshape(-1, 3)
        wanted = goal.name == "balance" or search.most_spread < inf
        if not wanted:
            self.system_rows = self.system_rows[:0]
        self._spread_rows(add, held, fixed)
        # (5) and the goals before
        limits = [top for _, top in search.held] + ([search.max_moves] if search.max_moves < inf else [])
        for costs, top in zip(search._sums(), limits, strict=True):
            value = np.array([costs[d][k] for d, k in zip(self.device, self.choice, strict=True)])
            spent = sum(costs[d][fixed[d]] for d in held)
            add(np.zeros(n, dtype=int), np.arange(n), value, 1, -inf, top - spent)
        self.at_load = sum(part.shape[0] for part in parts)
        # (3)
        rows = self.load_rows = search.rows
        block = search.block()[:, self.at] if len(rows) else np.zeros((0, n))
        c, r, v = rows[:, 0], rows[:, 1], rows[:, 2]
        rest = data.rest_kw[c, r, v]
        if len(held):
            rest = rest - search.formulation.coefficients(data, held, fixed[held], rows).sum(axis=1)
        i, j = np.nonzero(block)
        add(
            np.r_[i, np.arange(len(rows))],
            np.r_[j, np.full(len(rows), self.margin)],
            np.r_[block[i, j], np.ones(len(rows))],
            len(rows),
            -inf,
            rest,
        )
        self.matrix = csr_array(vstack(parts, format="csr"))
        self.row_low, self.row_high = np.concatenate(low), np.concatenate(high)
        self.col_low, self.col_high = np.zeros(self.n_columns), np.ones(self.n_columns)
        most = float(data.rest_kw[np.isfinite(data.rest_kw)].max(initial=1.0))
        self.col_low[self.margin] = search.least_margin if search.least_margin > -inf else -100.0 * most
        self.col_high[self.margin] = most
        self.col_low[self.spread :] = 0.0
        self.col_high[self.spread :] = 100.0
        self.col_high[self.spread] = min(search.most_spread, 100.0)
        self.cost = np.zeros(self.n_columns)
        self.constant = 0.0
        if goal.name == "margin":
            self.cost[self.margin] = -1.0
        elif goal.name == "balance":
            self.cost[self.spread] = 1.0
        else:
            assert goal.cost is not None
            self.cost[:n] = [goal.cost[d][k] for d, k in zip(self.device, self.choice, strict=True)]
            self.constant = float(sum(goal.cost[d][fixed[d]] for d in held))

    def _spread_rows(self, add: Any, held: np.ndarray, fixed: np.ndarray) -> None:
        """Equation (4)."""
        search, rows = self.search, self.system_rows
        data = search.data
        if not len(rows):
            return
        at = rows[:, 1] - data.system[0]
        scale = 1.0 / data.system_limit_kw[at]
        block = search.formulation.coefficients(data, self.device, self.choice, rows) * scale[:, None]
        base = data.system_base_kw[at, rows[:, 2]] * scale
        if len(held):
            base = base + search.formulation.coefficients(data, held, fixed[held], rows).sum(axis=1) * scale
        i, j = np.nonzero(block)
        m = np.arange(len(rows))
        n_rows, minus = len(rows), -np.ones(len(rows))
        for bound, low, high in ((self.high, -inf, -base), (self.low, -base, inf)):
            add(np.r_[i, m], np.r_[j, bound[rows[:, 2]]], np.r_[block[i, j], minus], n_rows, low, high)
        v = np.arange(data.n_vectors)
        ones = np.ones(len(v))
        add(
            np.r_[v, v, v],
            np.r_[self.high, self.low, np.full(len(v), self.spread)],
            np.r_[ones, -ones, -ones],
            len(v),
            -inf,
            0.0,
        )

    def _load(self, model: HighsModel) -> None:
        integer = np.zeros(self.n_columns, dtype=bool)
        integer[: len(self.at)] = True
        model.load(self.matrix, self.row_low, self.row_high, self.col_low, self.col_high, integer)
        model.set_cost(self.cost)

    def relaxed(self, deadline_s: float, last: Programme | None = None) -> tuple[Outcome, np.ndarray | None]:
        """Solve the LP; return it and the duals of the rows. ``last``: the same but for rows (3) added since."""
        if last is not None and last.model is not None and last.n_columns == self.n_columns:
            self.model = last.model
            before = last.matrix.shape[0]
            self.model.add_rows(self.matrix[before:], self.row_low[before:], self.row_high[before:])
        else:
            self.model = HighsModel(relax=True)
            self._load(self.model)
        outcome = self.model.solve(deadline_s)
        if outcome.status != "optimal":
            return Outcome(outcome.status, None, inf, -inf), None
        return outcome, self.model.row_dual()

    def whole(self, deadline_s: float, gap: float, nodes: int | None) -> Outcome:
        """Solve the MIP over the free devices."""
        model = HighsModel(relax=False)
        self._load(model)
        outcome = model.solve(deadline_s, gap_abs=gap, max_nodes=nodes, believe=True)
        return Outcome(
            outcome.status, outcome.x, outcome.objective + self.constant, outcome.bound + self.constant
        )

    def chosen(self, x: np.ndarray) -> np.ndarray:
        """Return the choice of every device."""
        out = self.fixed.copy()
        on = x[: len(self.at)] > 0.5
        out[self.device[on]] = self.choice[on]
        return np.asarray(out)
