"""One HiGHS model in memory, driven with arrays and never trusted.

Every return code is read, every number is checked for being finite, a solution counts only if HiGHS says that
it is valid *and* primal feasible, and "infeasible" is believed only after a second run with presolve off.
Traps seen: a NaN coefficient gives "Optimal"; a rejected row vanishes; without an incumbent the solution is a
vector of zeros.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

import highspy
import numpy as np

from pdnopt.errors import PdnoptError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from pdnopt.engine.worker import Rows

__all__ = [
    "STATUSES",
    "HighsModel",
    "Outcome",
    "SolverError",
    "extended",
    "refuse_nan",
]

NO_LIMIT = 2**31 - 1

STALLED = 2
"""Iterations for each row after which a warm start counts as stalled."""

Status = Literal["optimal", "feasible", "infeasible", "no_incumbent"]
STATUSES: tuple[Status, ...] = get_args(Status)


class SolverError(PdnoptError, RuntimeError):
    """HiGHS refused the model or returned something that cannot be believed."""


SAME = 1e-5
"""Part by which the objective told and that of the point may differ: rounding."""

STDOUT = 1

_greeted = False
"""Whether HiGHS has written its banner in this process."""

BROKEN = (
    highspy.HighsModelStatus.kLoadError,
    highspy.HighsModelStatus.kModelError,
    highspy.HighsModelStatus.kPresolveError,
    highspy.HighsModelStatus.kSolveError,
)
"""A run that ended by an error inside HiGHS."""


@dataclass(frozen=True)
class Outcome:
    """Result of one run. ``x`` is None without an incumbent; ``bound`` is a valid lower bound (or -inf)."""

    status: Status
    x: np.ndarray | None
    objective: float
    bound: float


def _ok(status: highspy.HighsStatus, what: str) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS refused {what}")


def refuse_nan(data: np.ndarray, bounds: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise SolverError where coefficients are not finite or bounds are NaN: HiGHS would call that optimal."""
    if not np.isfinite(data).all():
        raise SolverError("a coefficient is NaN or infinite")
    for name, (low, high) in bounds.items():
        if np.isnan(low).any() or np.isnan(high).any():
            raise SolverError(f"a {name} bound is NaN")


def _quiet_highs() -> highspy.Highs:
    """Return a new HiGHS; the first of a process writes a banner (since 1.16) before any option can forbid it."""
    global _greeted
    if _greeted:
        return highspy.Highs()
    _greeted = True
    sys.stdout.flush()
    kept, nowhere = os.dup(STDOUT), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDOUT)
        return highspy.Highs()
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)
        os.close(nowhere)


def extended(basis: Any, n_rows: int) -> Any:
    """Return a basis with rows added below that hold nothing."""
    present = list(basis.row_status)
    if len(present) == n_rows:
        return basis
    out = highspy.HighsBasis()
    out.valid = True
    out.col_status = list(basis.col_status)
    out.row_status = present + [highspy.HighsBasisStatus.kBasic] * (n_rows - len(present))
    return out


def held_rows(basis: Any) -> np.ndarray:
    """Return which rows are at a bound in a basis: the others hold nothing."""
    basic = highspy.HighsBasisStatus.kBasic
    return np.array([status != basic for status in basis.row_status], dtype=bool)


def restricted(basis: Any, rows: np.ndarray) -> Any:
    """Return a basis without the rows that are not ``rows`` (boolean); it stays one if these hold nothing."""
    out = highspy.HighsBasis()
    out.valid = True
    out.col_status = list(basis.col_status)
    out.row_status = [status for status, stay in zip(basis.row_status, rows, strict=True) if stay]
    return out


class HighsModel:
    """A persistent HiGHS instance on one thread. Load once, then change bounds and costs.

    Parameters
    ----------
    relax : bool
        Solve the LP relaxation; successive runs start from the last basis.
    interior : bool
        Solve it by the interior-point method without crossover: no basis, for LPs on which the simplex method is slow.
    primal : bool
        Solve it by the primal simplex method without presolve: for LPs in which nothing at all is a feasible start.
    """

    def __init__(self, relax: bool, interior: bool = False, primal: bool = False) -> None:
        self._highs = _quiet_highs()
        self._relax = self._lp = relax
        self._primal = primal
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("mip_feasibility_tolerance", 1e-7),
            ("mip_heuristic_run_feasibility_jump", False),
            *((("solver", "ipm"), ("run_crossover", "off")) if interior else ()),
            *((("presolve", "off"),) if primal else ()),
        ):
            _ok(self._highs.setOptionValue(name, value), f"option {name}")

    def load(
        self,
        matrix: csr_array | Rows,
        row_low: np.ndarray,
        row_high: np.ndarray,
        col_low: np.ndarray,
        col_high: np.ndarray,
        integer: np.ndarray,
    ) -> None:
        """Pass a whole model. Raises SolverError where data are not finite or HiGHS refuses it."""
        refuse_nan(matrix.data, {"row": (row_low, row_high), "column": (col_low, col_high)})
        keep = np.abs(matrix.data) > 1e-9  # HiGHS drops such entries with a warning; drop them knowingly
        start = np.r_[0, np.cumsum(keep)][matrix.indptr].astype(np.int32)  # rows may be empty, the last too
        n_rows, n_columns = matrix.shape
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n_columns, n_rows
        lp.col_cost_ = np.zeros(n_columns)
        lp.col_lower_, lp.col_upper_ = col_low, col_high
        lp.row_lower_, lp.row_upper_ = row_low, row_high
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = start
        lp.a_matrix_.index_ = matrix.indices[keep].astype(np.int32)
        lp.a_matrix_.value_ = matrix.data[keep]
        self._lp = (
            self._relax or not integer.any()
        )  # to HiGHS a MIP without integers is an LP, clock and bound too
        if not self._lp:
            kinds = [
                highspy.HighsVarType.kInteger if flag else highspy.HighsVarType.kContinuous
                for flag in integer
            ]
            lp.integrality_ = kinds
        _ok(self._highs.passModel(lp), "the model")
        if self._highs.getNumRow() != n_rows or self._highs.getNumCol() != n_columns:
            raise SolverError("HiGHS dropped rows or columns of the model")
        self._columns = np.arange(n_columns, dtype=np.int32)
        self._cost = np.zeros(n_columns)
        self._rows, self._warm, self._based = n_rows, False, False

    def watch(self, found: Callable[[np.ndarray | None, float, float], None]) -> None:
        """Have ``found(x, objective, bound)`` called with every better point of a MIP; with None where only time passed."""

        def better(event: Any) -> None:
            data = event.data_out
            found(
                np.array(data.mip_solution), float(data.objective_function_value), float(data.mip_dual_bound)
            )

        def waiting(event: Any) -> None:
            found(None, inf, float(event.data_out.mip_dual_bound))

        self._highs.cbMipImprovingSolution.subscribe(better)
        self._highs.cbMipInterrupt.subscribe(waiting)

    @property
    def n_rows(self) -> int:
        """Number of rows now."""
        return int(self._highs.getNumRow())

    def basis(self) -> Any:
        """Return the basis of the LP solved last, for `start_from`."""
        return self._highs.getBasis()

    def start_from(self, basis: Any) -> None:
        """Begin the next LP at a basis of another model of the same shape. One that does not fit is ignored."""
        self._warm = self._based = self._highs.setBasis(basis) != highspy.HighsStatus.kError

    def forget(self) -> None:
        """Drop the last basis: the next LP starts with presolve, which pays once many columns are fixed."""
        _ok(self._highs.clearSolver(), "clearing")
        self._warm = self._based = False

    def set_cost(self, cost: np.ndarray) -> None:
        """Replace the whole objective."""
        if not np.isfinite(cost).all():
            raise SolverError("a cost is NaN or infinite")
        _ok(self._highs.changeColsCost(len(cost), self._columns, cost), "the costs")
        self._cost = cost.copy()

    def set_row_bounds(self, row: int, low: float, high: float) -> None:
        """Change the bounds of one row."""
        _ok(self._highs.changeRowBounds(row, low, high), "a row's bounds")

    def add_rows(self, matrix: csr_array, low: np.ndarray, high: np.ndarray) -> None:
        """Add rows below the others; the next LP starts from the last basis. Raises SolverError where they are refused."""
        if not np.isfinite(matrix.data).all() or np.isnan(low).any() or np.isnan(high).any():
            raise SolverError("a row to be added is not finite")
        before, n = self._highs.getNumRow(), matrix.shape[0]
        start, index = matrix.indptr[:-1].astype(np.int32), matrix.indices.astype(np.int32)
        _ok(self._highs.addRows(n, low, high, matrix.nnz, start, index, matrix.data), "more rows")
        if self._highs.getNumRow() != before + n:
            raise SolverError("HiGHS dropped rows that were added")
        self._rows += n
        self._warm = False  # the last basis is dual feasible now

    def set_col_bounds(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Change bounds of some columns."""
        if len(columns):
            _ok(
                self._highs.changeColsBounds(len(columns), columns.astype(np.int32), low, high),
                "column bounds",
            )

    def solve(
        self,
        deadline_s: float = inf,
        gap_abs: float = 0.0,
        start: np.ndarray | None = None,
        max_nodes: int | None = None,
        believe: bool = False,
        dual: bool = False,
    ) -> Outcome:
        """Run once.

        Parameters
        ----------
        deadline_s : float
            On the clock of ``time.perf_counter``.
        gap_abs : float
            A MIP may stop when objective - bound is at most this.
        start : ndarray, optional
            A full feasible point to start a MIP from.
        max_nodes : int, optional
            Nodes of the search tree of a MIP; deterministic, unlike seconds.
        believe : bool
            Take "infeasible" at its word: for trials whose failure costs nothing but the trial.
        dual : bool
            Only bounds have changed since the last LP, not costs: its basis is dual feasible.
        """
        if not self._lp:
            _ok(
                self._highs.setOptionValue("mip_max_nodes", NO_LIMIT if max_nodes is None else max_nodes),
                "the nodes",
            )
        outcome = self._run(deadline_s, gap_abs, start, dual)
        if (
            outcome.status == "infeasible" and not believe
        ):  # false infeasibilities exist: believe the second opinion only
            _ok(self._highs.setOptionValue("presolve", "off"), "option presolve")
            _ok(self._highs.clearSolver(), "clearing")
            outcome = self._run(deadline_s, gap_abs, start, dual)
            _ok(self._highs.setOptionValue("presolve", "choose"), "option presolve")
        return outcome

    def row_dual(self) -> np.ndarray:
        """Return the duals of the rows of the LP solved last: by how much its value grows with a row's bound."""
        dual = np.array(self._highs.getSolution().row_dual)
        if not self._highs.getSolution().dual_valid or not np.isfinite(dual).all():
            raise SolverError("HiGHS returned no valid duals")
        return dual

    def _run(self, deadline_s: float, gap_abs: float, start: np.ndarray | None, dual: bool) -> Outcome:
        left = deadline_s - time.perf_counter()
        if left <= 0:
            return Outcome("no_incumbent", None, inf, -inf)
        highs = self._highs
        spent = (
            highs.getRunTime() if self._lp else 0.0
        )  # an LP counts all runs of the instance, a MIP its own
        _ok(highs.setOptionValue("time_limit", spent + left if left < 1e6 else inf), "the time limit")
        # after a change of costs or bounds the last basis is primal feasible, or nearly so; not new rows
        primal = self._lp and (self._primal or (self._warm and not dual))
        _ok(highs.setOptionValue("simplex_strategy", 4 if primal else 1), "the strategy")
        _ok(highs.setOptionValue("simplex_iteration_limit", self._patience()), "the iterations")
        if not self._lp:
            _ok(highs.setOptionValue("mip_rel_gap", 0.0), "the gap")
            _ok(highs.setOptionValue("mip_abs_gap", max(gap_abs, 1e-9)), "the gap")
            if start is not None:
                highs.setSolution(len(start), self._columns, start)  # refused: it starts without one
        self._warm = self._based = True
        if highs.run() == highspy.HighsStatus.kError or highs.getModelStatus() in BROKEN:
            return self._again()
        if self._lp and highs.getModelStatus() == highspy.HighsModelStatus.kIterationLimit:
            self.forget()  # a warm start that stalls: seen to run for seconds where a cold one takes 0.1 s
            return self._run(deadline_s, gap_abs, start, dual)
        outcome = self._read()
        return outcome if self._agrees(outcome) else self._again()

    def _agrees(self, outcome: Outcome) -> bool:
        """Whether the point has the objective that HiGHS tells.

        Seen on 1.16.0: a MIP that presolve ends tells the optimum's objective and returns the point it was started from.
        """
        if outcome.x is None:
            return True
        return abs(float(self._cost @ outcome.x) - outcome.objective) <= SAME * max(
            abs(outcome.objective), 1.0
        )

    def _patience(self) -> int:
        """Return the iterations that an LP may take: few from a basis, as many as it needs from nothing.

        After new rows too: the dual simplex was seen to go round for minutes where it takes 300 iterations from nothing.
        """
        return STALLED * self._rows if self._lp and self._based else NO_LIMIT

    def _again(self) -> Outcome:
        """Run once more from nothing after an error inside HiGHS; a second error proves nothing and finds nothing."""
        highs = self._highs
        self.forget()
        for name, value in (("presolve", "off"), ("random_seed", 1)):
            _ok(highs.setOptionValue(name, value), f"option {name}")
        status = highs.run()
        for name, value in (("presolve", "choose"), ("random_seed", 0)):
            _ok(highs.setOptionValue(name, value), f"option {name}")
        if status == highspy.HighsStatus.kError or highs.getModelStatus() in BROKEN:
            self.forget()
            return Outcome("no_incumbent", None, inf, -inf)
        outcome = self._read()
        if self._agrees(outcome):
            return outcome
        assert outcome.x is not None
        return Outcome("feasible", outcome.x, float(self._cost @ outcome.x), -inf)

    def _read(self) -> Outcome:
        highs = self._highs
        status, info, solution = highs.getModelStatus(), highs.getInfo(), highs.getSolution()
        kind = highspy.HighsModelStatus
        if status in (kind.kInfeasible, kind.kUnboundedOrInfeasible):
            return Outcome("infeasible", None, inf, inf)
        has_point = bool(solution.value_valid) and info.primal_solution_status == 2
        x = np.array(solution.col_value) if has_point else None
        if x is not None and not np.isfinite(x).all():
            raise SolverError("HiGHS returned a solution that is not finite")
        if status == kind.kUnbounded:
            raise SolverError(f"HiGHS stopped with {highs.modelStatusToString(status)}")
        objective = float(info.objective_function_value) if x is not None else inf
        if status == kind.kOptimal and x is not None:
            bound = objective if self._lp else min(float(info.mip_dual_bound), objective)
            return Outcome("optimal", x, objective, bound)
        bound = -inf if self._lp else float(info.mip_dual_bound)
        if x is None:
            return Outcome("no_incumbent", None, inf, bound)
        return Outcome("feasible", x, objective, bound)
