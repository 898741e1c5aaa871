"""A lower bound on unserved load that no switching can beat: power that may flow anywhere within ratings.

Where a plan is at hand, this relaxation of the whole model says how much better any other could be. It is an LP over the
rows that matter for unserved load, taken from the compiled model as they stand:

* the switches are free: rows of the structure are left out, and where another row holds a column that is left out, that
  column is at the bound that favours the row;
* a unit may draw in any split from any of its cords that can live, and be served in any part;
* of ratings and loss tangents only those are kept that the plan at hand comes near: leaving a row out only lowers the
  bound;
* nodes joined by what carries power without loss and without a rating that is kept are one node, and units that draw
  from the same nodes at the same power factor are one class: that changes nothing, and makes the LP small.

Every solution of the model is one of the relaxation with the same service, so its optimum is a lower bound (Geoffrion and
Marsten, "Integer programming algorithms: a framework and state-of-the-art survey", Management Science 18(9), 1972).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack, vstack

from formulations.blocks.flow import ANGLES_DEG
from pdnopt.engine.compiled import CompiledModel
from pdnopt.engine.highs import HighsModel
from pdnopt.plant.demand import Demand
from pdnopt.plant.graph import connected_parts

if TYPE_CHECKING:
    from formulations.reroute import RerouteData

__all__ = ["UnservedRelaxation"]

CARRIERS = ("p_branch_kw", "q_branch_kvar", "p_switch_kw", "q_switch_kvar")
OTHERS = (
    "loss_kw",
    "p_source_kw",
    "q_source_kvar",
    "p_online_kw",
    "p_battery_kw",
    "q_ups_kvar",
    "p_form_kw",
    "q_form_kvar",
    "p_store_kw",
    "u_online",
    "u_battery",
    "over_branch_kva",
    "over_switch_kva",
    "over_ups_kva",
    "over_source_kw",
    "over_battery_kw",
    "y_live",
)
"""Columns that the relaxation keeps, besides the static bypasses' ``z_closed``."""

KEPT_ROWS = (
    "ups_rating",
    "ups_active",
    "ups_beyond",
    "ups_one_mode",
    "ups_input",
    "ups_on_mains",
    "ups_energy",
    "ups_online_p",
    "ups_battery_p",
    "source_high",
)
RATING_ROWS = ("branch_rating", "switch_rating")

NEAR = 0.3
"""A rating is kept where the plan at hand leaves less room than this part of it."""

N_TANGENTS = 4
"""Tangents kept of each branch, the closest to a plan's flow."""

TAN_DIGITS = 6
SAME_KW = 1e-6

WEIGHT = 1.25
"""Weight of a kW over one of the next less critical priority in an LP that bounds the latter.

Any weight gives a valid bound: the weighted sum of the terms is at least its minimum, and the more critical ones are no
larger than in the plan. It is tight where one kW of a priority never costs more than this of the next.
"""


@dataclass(frozen=True)
class _Draws:
    """What units draw, by class: one priority, the same nodes, the same power factors."""

    node: np.ndarray  # (draws,) node of the relaxation
    tan_phi: np.ndarray  # (draws,)
    owner: np.ndarray  # (draws,) class
    most_kw: np.ndarray  # (classes,)
    priority: np.ndarray  # (classes,)


class UnservedRelaxation:
    """The relaxation of one compiled model; `bound` reads the numbers that were written last.

    Parameters
    ----------
    model : CompiledModel
    data : RerouteData
    """

    def __init__(self, model: CompiledModel, data: RerouteData) -> None:
        self.model, self.grid = model, data.grid
        grid = data.grid
        switches, branches = range(len(grid.switches.index)), range(len(grid.branches.index))
        nodes = range(len(grid.nodes.bus))
        column_of, row_of = _families(model.col_names), _families(model.row_names)
        self.z = model.columns("z_closed", switches)
        others = np.isin(column_of, OTHERS)
        others[self.z[grid.upss.bypass[grid.upss.bypass >= 0]]] = True
        self.others = np.flatnonzero(others)
        self.p_switch, self.q_switch = (
            model.columns("p_switch_kw", switches),
            model.columns("q_switch_kvar", switches),
        )
        self.p_branch, self.q_branch = (
            model.columns("p_branch_kw", branches),
            model.columns("q_branch_kvar", branches),
        )
        self.balances = (model.rows("power_balance", nodes), model.rows("reactive_balance", nodes))
        self.kept_rows = np.flatnonzero(np.isin(row_of, KEPT_ROWS))
        self.ratings = np.flatnonzero(np.isin(row_of, RATING_ROWS))
        self.of_switch = row_of[self.ratings] == "switch_rating"
        self.rated = _first_index(model.row_names, self.ratings)
        self.tangents = np.flatnonzero(row_of == "loss_tangent")
        self.lossy = _first_index(model.row_names, self.tangents)
        upss, half = np.arange(len(grid.upss.index)), len(ANGLES_DEG)
        passing = np.flatnonzero(grid.upss.bypass >= 0)
        bypass = grid.upss.bypass[passing]
        ratings = model.rows("ups_rating", [(int(j), 0) for j in upss])
        modes = [model.columns(name, upss.tolist()) for name in ("u_online", "u_battery")]
        ways = [model.rows("switch_rating", [(int(s), a) for s in bypass]) for a in (0, half)]
        rows, columns = np.r_[(ratings, ratings, *ways)], np.r_[(*modes, self.z[bypass], self.z[bypass])]
        known = (rows >= 0) & (columns >= 0)
        self.upright_rows, self.upright_columns = rows[known], columns[known]
        order = np.lexsort((data.demand.cord_node, data.demand.cord_unit))
        first = np.searchsorted(data.demand.cord_unit[order], np.arange(data.demand.n))
        rank = np.arange(len(order)) - first[data.demand.cord_unit[order]]
        self.cords = np.full((data.demand.n, int(rank.max(initial=-1)) + 1), -1)
        self.cords[data.demand.cord_unit[order], rank] = order

    def bound(
        self,
        demand: Demand,
        may_serve: np.ndarray,
        point: np.ndarray,
        unserved_kw: Mapping[int, float],
        deadline_s: float,
    ) -> dict[int, float]:
        """Return a lower bound in kW on the unserved load of every priority, those more critical held as in a plan.

        Parameters
        ----------
        demand : Demand
        may_serve : bool, shape (D,)
            Units with a surviving path.
        point : float, shape (columns,)
            The flows of the plan at hand, losses at zero, blocks that live at one.
        unserved_kw : mapping
            Unserved load of every priority under that plan.
        deadline_s : float
            On the clock of time.perf_counter; what is not solved by then has the bound of what has no path.
        """
        total_kw = {p: float(demand.d_kw[demand.priority == p].sum()) for p in unserved_kw}
        able_kw = {p: float(demand.d_kw[(demand.priority == p) & may_serve].sum()) for p in unserved_kw}
        bounds = {p: total_kw[p] - able_kw[p] for p in unserved_kw}
        short = [p for p in sorted(unserved_kw) if unserved_kw[p] > bounds[p] + SAME_KW]
        if not short:
            return bounds
        solver, served, columns = self._load(demand, may_serve, point)
        for p in short:
            cost = np.zeros(columns)
            held_kw = 0.0
            for rank, other in enumerate(sorted((q for q in unserved_kw if q <= p), reverse=True)):
                weight = WEIGHT**rank
                cost[: len(served)] -= weight * (served == other)
                held_kw += weight * (total_kw[other] - (unserved_kw[other] if other < p else 0.0))
            solver.set_cost(cost)
            outcome = solver.solve(deadline_s, believe=True)
            if outcome.status == "optimal":
                bounds[p] = max(bounds[p], held_kw + outcome.objective)
        return bounds

    def _load(
        self, demand: Demand, may_serve: np.ndarray, point: np.ndarray
    ) -> tuple[HighsModel, np.ndarray, int]:
        """Put the relaxation near a plan into a solver.

        Its columns are the draws of the classes, then carriers, then all others. Returns it, the priority of each draw,
        and the number of columns.
        """
        near, active = self._near(point), self._active(point)
        branches, switches = (
            np.zeros(len(self.p_branch), dtype=bool),
            np.zeros(len(self.p_switch), dtype=bool),
        )
        branches[self.rated[near & ~self.of_switch]] = True
        branches[self.lossy[active]] = True
        switches[self.rated[near & self.of_switch]] = True
        label, switches = self._merged(branches, switches)
        carriers = np.r_[
            self.p_branch[branches], self.q_branch[branches], self.p_switch[switches], self.q_switch[switches]
        ]
        columns = np.r_[carriers[carriers >= 0], self.others]
        rows = np.r_[self.kept_rows, self.ratings[near], self.tangents[active]]
        limits, low, high = self._favoured(rows, columns)
        self._lean(limits, rows, columns, self._least_tan_phi(demand, may_serve))
        draws = self._draws(demand, may_serve, label)
        n_draws, n_classes, n_nodes = len(draws.node), len(draws.most_kw), int(label.max(initial=-1)) + 1
        at = np.arange(n_draws)
        drawn = [
            coo_array((-part, (draws.node, at)), shape=(n_nodes, n_draws))
            for part in (np.ones(n_draws), draws.tan_phi)
        ]
        gather = csr_array((np.ones(len(label)), (label, np.arange(len(label)))), shape=(n_nodes, len(label)))
        flows, given = [], []
        for balance in self.balances:
            some = balance >= 0
            mine = csr_array(gather[:, some])
            flows.append(mine @ self.model.matrix[balance[some], :][:, columns])
            given.append(mine @ self.model.row_low[balance[some]])
        total = coo_array((np.ones(n_draws), (draws.owner, at)), shape=(n_classes, n_draws))
        matrix = vstack(
            [
                hstack([drawn[0], flows[0]]),
                hstack([drawn[1], flows[1]]),
                hstack([coo_array((len(rows), n_draws)), limits]),
                hstack([total, coo_array((n_classes, len(columns)))]),
            ],
            format="csr",
        )
        solver, model = HighsModel(relax=True, primal=True), self.model
        solver.load(
            csr_array(matrix),
            np.r_[(*given, low, np.full(n_classes, -inf))],
            np.r_[(*given, high, draws.most_kw)],
            np.r_[np.zeros(n_draws), model.col_low[columns]],
            np.r_[np.full(n_draws, inf), model.col_high[columns]],
            np.zeros(n_draws + len(columns), dtype=bool),
        )
        return solver, draws.priority[draws.owner], n_draws + len(columns)

    def _favoured(self, rows: np.ndarray, columns: np.ndarray) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """Return some rows over some columns, and their bounds with all other columns where they favour each row."""
        model = self.model
        part = csr_array(model.matrix[rows, :])
        left_out = np.ones(model.n_columns, dtype=bool)
        left_out[columns] = False
        entries = left_out[part.indices]
        at = np.repeat(np.arange(len(rows)), np.diff(part.indptr))[entries]
        value, column = part.data[entries], part.indices[entries]
        ends = np.stack([value * model.col_low[column], value * model.col_high[column]])
        least = np.bincount(at, weights=ends.min(axis=0), minlength=len(rows))
        most = np.bincount(at, weights=ends.max(axis=0), minlength=len(rows))
        return csr_array(part[:, columns]), model.row_low[rows] - most, model.row_high[rows] - least

    def _least_tan_phi(self, demand: Demand, may_serve: np.ndarray) -> float:
        """Return what every UPS gives in reactive power for its active power at least; 0 where that is not known.

        In an island that a UPS feeds, loads, the inputs of other UPSs and the losses of branches are all there is.
        """
        grid = self.grid
        if len(grid.storages.index) or grid.injection_q_kvar.any() or not len(grid.upss.index):
            return 0.0
        drawn = demand.cord_tan_phi[may_serve[demand.cord_unit] & (demand.cord_kw > 0)]
        lossy = np.unique(self.lossy)
        ratios = grid.branches.x_pu[lossy] / np.maximum(grid.branches.r_pu[lossy], 1e-12)
        return max(float(np.r_[drawn, grid.upss.input_tan_phi, ratios].min(initial=inf)), 0.0)

    def _lean(self, limits: csr_array, rows: np.ndarray, columns: np.ndarray, tan_phi: float) -> None:
        """Let a UPS or its bypass give only the power that its rating leaves at the least reactive power: P <= S cos phi."""
        row_at, column_at = np.full(self.model.matrix.shape[0], -1), np.full(self.model.n_columns, -1)
        row_at[rows], column_at[columns] = np.arange(len(rows)), np.arange(len(columns))
        for row, column in zip(row_at[self.upright_rows], column_at[self.upright_columns], strict=True):
            span = np.arange(limits.indptr[row], limits.indptr[row + 1])
            limits.data[span[limits.indices[span] == column]] /= float(np.hypot(1.0, tan_phi))

    def _near(self, point: np.ndarray) -> np.ndarray:
        """Return which rating rows a plan comes near, bool, (ratings,); those of static bypasses always count."""
        flows = np.r_[self.p_branch, self.q_branch, self.p_switch, self.q_switch]
        flows = flows[flows >= 0]
        part, _, high = self._favoured(self.ratings, flows)
        bypass = self.of_switch & (self.grid.switches.ups[np.where(self.of_switch, self.rated, 0)] >= 0)
        return np.asarray((high - part @ point[flows] < NEAR * high) | bypass)

    def _active(self, point: np.ndarray) -> np.ndarray:
        """Return the tangents that matter near a plan's flows, positions in ``tangents``.

        Of each branch the one that holds at its flow and, so that no way around is free of losses, the first both ways.
        """
        part = csr_array(self.model.matrix[self.tangents, :])
        at_point = part @ point
        low, high = self.model.row_low[self.tangents], self.model.row_high[self.tangents]
        lost = np.maximum(
            np.where(np.isfinite(low), low - at_point, -inf),
            np.where(np.isfinite(high), at_point - high, -inf),
        )
        order = np.lexsort((-lost, self.lossy))
        rank = np.arange(len(order)) - np.searchsorted(self.lossy[order], self.lossy[order])
        return np.asarray(order[rank < N_TANGENTS])

    def _merged(self, branches: np.ndarray, switches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the node of the relaxation of each node, and which switches remain between two of them.

        ``branches`` and ``switches`` are kept for a rating or a loss; a static bypass always is; an open switch that
        cannot be closed joins nothing.
        """
        br, sw = self.grid.branches, self.grid.switches
        joined = ~branches & br.in_service & (self.p_branch >= 0)
        able = (self.p_switch >= 0) & (self.z >= 0) & (self.model.col_high[self.z] > 0.5)
        kept = able & (switches | (sw.ups >= 0))
        shut = able & ~kept
        tail, head = np.r_[br.tail[joined], sw.tail[shut]], np.r_[br.head[joined], sw.head[shut]]
        return connected_parts(len(self.grid.nodes.bus), tail, head), kept

    def _draws(self, demand: Demand, may_serve: np.ndarray, label: np.ndarray) -> _Draws:
        """Gather the units that may be served into classes."""
        block, y = self.grid.nodes.block, self.model.columns("y_live", range(self.grid.n_blocks))
        lives = np.where(y >= 0, self.model.col_high[np.maximum(y, 0)], 0.0)[block] > 0.5
        known = self.cords >= 0
        cord = np.maximum(self.cords, 0)
        node = demand.cord_node[cord]
        at = np.where(known & lives[node] & demand.cord_ok[cord], label[node], -1)
        tan = np.where(at >= 0, np.round(demand.cord_tan_phi[cord], TAN_DIGITS), 0.0)
        for later in range(1, at.shape[1]):  # a node counts once for a unit
            for earlier in range(later):
                again = (at[:, later] == at[:, earlier]) & (tan[:, later] == tan[:, earlier])
                at[again, later], tan[again, later] = -1, 0.0
        order = np.argsort(at, axis=1, kind="stable")
        at, tan = np.take_along_axis(at, order, axis=1), np.take_along_axis(tan, order, axis=1)
        units = np.flatnonzero(may_serve & (at >= 0).any(axis=1) & (demand.d_kw > 0))
        keys = np.column_stack([at[units], tan[units], demand.priority[units]])
        kinds, member = np.unique(keys, axis=0, return_inverse=True)
        most_kw = np.bincount(member.ravel(), weights=demand.d_kw[units], minlength=len(kinds))
        width = at.shape[1]
        owner, place = np.nonzero(kinds[:, :width] >= 0)
        return _Draws(
            node=kinds[owner, place].astype(int),
            tan_phi=kinds[owner, width + place],
            owner=owner,
            most_kw=most_kw,
            priority=kinds[:, -1].astype(int),
        )


def _families(names: list[str]) -> np.ndarray:
    """Return the component that each row or column belongs to."""
    return np.array([name.partition("(")[0] for name in names], dtype=object)


def _first_index(names: list[str], rows: np.ndarray) -> np.ndarray:
    """Return the first index of each row's name: ``branch_rating(12,3)`` is 12."""
    return np.array([int(names[r].partition("(")[2].partition(",")[0]) for r in rows], dtype=int)
