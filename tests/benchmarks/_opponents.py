"""What pdnopt is timed against on the same failure: a bare LP, plain HiGHS, the Pyomo model cold and persistent.

All of them get less to do than pdnopt: they minimise the unserved load only (a priority weighs ten times the next), stop at
pdnopt's gap, and neither order nor check anything. Writing a failure's numbers into their model is not timed, except what
the solver must be told of. All run on one thread. A run that the time limit ends counts as infinite.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.appsi.base import TerminationCondition
from pyomo.contrib.appsi.solvers import Highs as AppsiHighs
from pyomo.core.expr.numeric_expr import LinearExpression

from formulations.reroute import REROUTE, TERMS
from pdnopt.engine.compiled import CompiledModel, compile_model
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond

__all__ = ["GAP", "ColdPyomo", "PersistentPyomo", "Plant", "Run", "bare_lp", "plain_mip"]

GAP = 9e-4
"""Part of the demand's value: pdnopt's own default gap."""

HORIZON_S = 3600.0


@dataclass(frozen=True)
class Run:
    """One run of one opponent: wall time, infinite where it was cut off, and the value of the load not served."""

    time_s: float
    objective: float


class Plant:
    """A network's compiled model with the numbers of one failure in it, made apart from any session.

    ``read_s``, ``build_s`` and ``compile_s`` are what the network, the Pyomo model and its arrays took.
    """

    def __init__(self, net: Any) -> None:
        begun = time.perf_counter()
        self.net, self.grid = net, read_grid(net)
        self.demand, self.curves = read_demand(net, self.grid), read_curves(net)
        self.data = REROUTE.data(self.grid, self.demand, TERMS)
        self.read_s = time.perf_counter() - begun
        begun = time.perf_counter()
        algebra = REROUTE.build(self.data)
        self.build_s = time.perf_counter() - begun
        begun = time.perf_counter()
        self.model: CompiledModel = compile_model(algebra)
        self.updater = REROUTE.updater(self.model, self.data)
        self.compile_s = time.perf_counter() - begun

    def write(self, failed: str, p_load_kw: Any) -> None:
        """Write the numbers of a failure under some loads."""
        demand = with_load_kw(self.demand, p_load_kw)
        response = respond(self.grid, demand, parse_failed(self.net, [failed]))
        limits = REROUTE.limits(response.grid, self.curves, HORIZON_S, {})
        self.updater.write(REROUTE.numbers(self.data.sets, demand, response, limits, HORIZON_S))

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every priority's term."""
        priorities = self.data.priorities
        return {f"unserved_p{p}": 10.0 ** (len(priorities) - 1 - k) for k, p in enumerate(priorities)}

    @property
    def cost(self) -> np.ndarray:
        """Cost of the columns: minus the value of what is served."""
        return np.sum([w * self.model.cost[name] for name, w in self.weights.items()], axis=0)

    @property
    def value(self) -> float:
        """The value of the whole demand."""
        return sum(w * self.model.offset[name] for name, w in self.weights.items())


def _solver(plant: Plant, integer: bool) -> highspy.Highs:
    """Return a new HiGHS with a plant's arrays, as anyone would load them."""
    model, highs, lp = plant.model, highspy.Highs(), highspy.HighsLp()
    for option, setting in (("output_flag", False), ("threads", 1)):
        highs.setOptionValue(option, setting)
    lp.num_row_, lp.num_col_ = model.matrix.shape
    lp.col_cost_, lp.offset_ = plant.cost, plant.value
    lp.col_lower_, lp.col_upper_ = model.col_low, model.col_high
    lp.row_lower_, lp.row_upper_ = model.row_low, model.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = model.matrix.indptr, model.matrix.indices
    lp.a_matrix_.value_ = model.matrix.data
    if integer:
        kinds = np.array([highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger], dtype=object)
        lp.integrality_ = list(kinds[model.integer.astype(int)])
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS refused the model")
    return highs


def _run(highs: highspy.Highs, begun: float) -> Run:
    highs.run()
    took_s = time.perf_counter() - begun
    done = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return Run(took_s if done else inf, float(highs.getInfo().objective_function_value))


def bare_lp(plant: Plant) -> Run:
    """Time one cold LP: loading the arrays and solving their relaxation."""
    begun = time.perf_counter()
    return _run(_solver(plant, integer=False), begun)


def plain_mip(plant: Plant, limit_s: float) -> Run:
    """Time one cold MIP with HiGHS's own settings but for the thread and the gap."""
    begun = time.perf_counter()
    highs = _solver(plant, integer=True)
    for option, setting in (
        ("time_limit", limit_s),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", GAP * plant.value),
    ):
        highs.setOptionValue(option, setting)
    return _run(highs, begun)


class _Pyomo:
    """The Pyomo model of a plant, which takes the numbers that the plant's arrays hold."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        begun = time.perf_counter()
        self.model = REROUTE.build(plant.data)
        self.build_s = time.perf_counter() - begun
        self.now = compile_model(self.model)  # what the Pyomo model holds now
        for term in self.model.component_objects(pyo.Objective, active=True):
            term.deactivate()
        self.model.value = pyo.Objective(expr=0.0)
        self.columns = _elements(self.model, self.now._columns, self.now.n_columns)
        self.rows = _elements(self.model, self.now._rows, len(self.now.row_names))

    def take(self) -> tuple[list[Any], list[Any]]:
        """Take the numbers of the plant's arrays; return the variables and constraints that changed."""
        old, new = self.now, self.plant.model
        entries = old.matrix.data != new.matrix.data
        starts = old.matrix.indptr
        by_row = np.r_[0, np.cumsum(entries)]
        changed = by_row[starts[1:]] > by_row[starts[:-1]]
        changed |= (old.row_low != new.row_low) | (old.row_high != new.row_high)
        rows = [int(r) for r in np.flatnonzero(changed)]
        columns = np.flatnonzero((old.col_low != new.col_low) | (old.col_high != new.col_high))
        for column in columns:
            low, high = float(new.col_low[column]), float(new.col_high[column])
            self.columns[column].setlb(low if low > -inf else None)
            self.columns[column].setub(high if high < inf else None)
        for row in rows:
            low, high = float(new.row_low[row]), float(new.row_high[row])
            expression = self._linear(starts[row], starts[row + 1])
            limits = (low if low > -inf else None, expression, high if high < inf else None)
            self.rows[row].set_value(expression == low if low == high else limits)
        cost = np.flatnonzero(self.plant.cost)
        self.model.value.set_value(
            LinearExpression(
                constant=self.plant.value,
                linear_coefs=self.plant.cost[cost].tolist(),
                linear_vars=[self.columns[c] for c in cost],
            )
        )
        for name in ("row_low", "row_high", "col_low", "col_high"):
            getattr(old, name)[:] = getattr(new, name)
        old.matrix.data[:] = new.matrix.data
        return [self.columns[c] for c in columns], [self.rows[r] for r in rows]

    def _linear(self, first: int, last: int) -> LinearExpression:
        matrix = self.plant.model.matrix
        return LinearExpression(
            constant=0.0,
            linear_coefs=matrix.data[first:last].tolist(),
            linear_vars=[self.columns[c] for c in matrix.indices[first:last]],
        )


def _elements(model: Any, index: dict[str, dict[Any, int]], n: int) -> list[Any]:
    """Return Pyomo's variables or constraints in the order of the arrays."""
    found: list[Any] = [None] * n
    for name, where in index.items():
        component = model.component(name)
        for key, position in where.items():
            found[position] = component[key]
    return found


def _appsi(plant: Plant, limit_s: float) -> AppsiHighs:
    solver = AppsiHighs()
    solver.config.time_limit, solver.config.load_solution = limit_s, False
    solver.config.mip_gap = 0.0
    solver.highs_options = {"threads": 1, "mip_abs_gap": GAP * plant.value}
    return solver


def _outcome(solver: AppsiHighs, model: Any, begun: float) -> Run:
    results = solver.solve(model)
    took_s = time.perf_counter() - begun
    done = results.termination_condition == TerminationCondition.optimal
    objective = results.best_feasible_objective
    return Run(took_s if done else inf, inf if objective is None else float(objective))


class ColdPyomo:
    """A new Pyomo model and a new appsi_highs for every failure: build and solve are timed."""

    def __init__(self, plant: Plant, limit_s: float) -> None:
        self.plant, self.limit_s = plant, limit_s

    def run(self) -> Run:
        """Build, give it the failure's numbers (not timed), translate and solve."""
        cold = _Pyomo(self.plant)
        cold.take()
        begun = time.perf_counter()
        found = _outcome(_appsi(self.plant, self.limit_s), cold.model, begun)
        return Run(found.time_s + cold.build_s, found.objective)


class PersistentPyomo:
    """One Pyomo model and one appsi_highs that keeps it: what changed is passed on, and the solve is timed."""

    def __init__(self, plant: Plant, limit_s: float) -> None:
        self.plant, self.limit_s = plant, limit_s
        self.kept = _Pyomo(plant)
        self.kept.take()
        self.solver = _appsi(plant, limit_s)
        self.solver.set_instance(self.kept.model)
        checks = self.solver.update_config  # it is told what changed, and need not look for it
        for name in (
            "check_for_new_or_removed_constraints",
            "check_for_new_or_removed_vars",
            "check_for_new_or_removed_params",
            "check_for_new_objective",
            "update_constraints",
            "update_vars",
            "update_params",
            "update_named_expressions",
            "update_objective",
        ):
            setattr(checks, name, False)

    def run(self) -> Run:
        """Take the failure's numbers (not timed), pass on what changed, solve."""
        variables, constraints = self.kept.take()
        self.solver.highs_options["mip_abs_gap"] = GAP * self.plant.value
        begun = time.perf_counter()
        self.solver.remove_constraints(constraints)
        self.solver.add_constraints(constraints)
        self.solver.update_variables(variables)
        self.solver.set_objective(self.kept.model.value)
        return _outcome(self.solver, self.kept.model, begun)
