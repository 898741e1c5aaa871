"""Term after term against enumeration, and HiGHS's traps."""

import itertools
import time
from math import inf

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.sparse import csr_array

from pdnopt.engine import solvers
from pdnopt.engine.compiled import CompiledModel, compile_model
from pdnopt.engine.highs import HighsModel, SolverError
from pdnopt.engine.lexicographic import Question, solve_in_order
from pdnopt.engine.remote import Worker


def random_knapsack(seed: int, n: int = 9) -> tuple[CompiledModel, np.ndarray, np.ndarray, np.ndarray]:
    """Two knapsack rows, three terms with small integer costs (so that ties happen and the order matters)."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 9, size=(2, n)).astype(float)
    costs = rng.integers(0, 4, size=(3, n)).astype(float)
    need = np.floor(weights.sum(axis=1) * rng.uniform(0.3, 0.6, 2))
    m = pyo.ConcreteModel()
    m.z = pyo.Var(range(n), domain=pyo.Binary)
    for t in range(3):
        m.add_component(
            f"t{t}", pyo.Objective(expr=sum(costs[t, k] * m.z[k] for k in range(n)) + 0.0 * m.z[0])
        )
    m.need = pyo.Constraint(
        [0, 1], rule=lambda _, r: sum(weights[r, k] * m.z[k] for k in range(n)) >= need[r]
    )
    return compile_model(m), weights, costs, need


@pytest.mark.parametrize("seed", range(25))
def test_lexicographic_optimum_equals_enumeration(seed: int) -> None:
    model, weights, costs, need = random_knapsack(seed)
    best = min(
        tuple(costs @ np.array(z))
        for z in itertools.product((0, 1), repeat=costs.shape[1])
        if (weights @ np.array(z) >= need).all()
    )
    gaps = {f"t{t}": 1e-6 for t in range(3)}
    ladder = solve_in_order(Question(model, gaps, {"t0": 100.0, "t1": 10.0, "t2": 1.0}))
    assert ladder.status == "optimal"
    assert [term.value for term in ladder.terms] == pytest.approx(best, abs=1e-5)
    assert all(term.bound <= term.value + 1e-6 for term in ladder.terms)


def test_infeasible_is_told() -> None:
    m = pyo.ConcreteModel()
    m.z = pyo.Var([0, 1], domain=pyo.Binary)
    m.t0 = pyo.Objective(expr=m.z[0])
    m.c = pyo.Constraint(expr=m.z[0] + m.z[1] >= 3)
    ladder = solve_in_order(Question(compile_model(m), {"t0": 1e-6}, {"t0": 1.0}))
    assert ladder.status == "infeasible"
    assert ladder.x is None


def test_no_time_gives_no_incumbent_and_no_zero_vector() -> None:
    model, *_ = random_knapsack(0)
    gaps = {f"t{t}": 1e-6 for t in range(3)}
    ladder = solve_in_order(Question(model, gaps, {"t0": 1.0}, deadline_s=time.perf_counter() - 1.0))
    assert ladder.status == "no_incumbent"
    assert ladder.x is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_coefficient_that_is_not_finite_is_refused(bad: float) -> None:
    solver = HighsModel(relax=False)
    one = np.ones(1)
    with pytest.raises(SolverError, match="NaN or infinite"):
        solver.load(csr_array(np.array([[bad]])), -one, one, 0 * one, one, np.array([True]))


def test_a_cost_that_is_not_finite_is_refused() -> None:
    solver = HighsModel(relax=True)
    one = np.ones(1)
    solver.load(csr_array(np.ones((1, 1))), -one, one, 0 * one, one, np.array([False]))
    with pytest.raises(SolverError, match="cost"):
        solver.set_cost(np.array([np.nan]))


def test_tiny_coefficients_are_dropped_knowingly_and_rows_stay() -> None:
    solver = HighsModel(relax=True)
    matrix = csr_array(np.array([[1e-12, 1.0], [1.0, 0.0]]))
    solver.load(
        matrix, np.array([1.0, -inf]), np.array([inf, 2.0]), np.zeros(2), np.full(2, 5.0), np.zeros(2, bool)
    )
    solver.set_cost(np.array([-1.0, 1.0]))
    outcome = solver.solve()
    assert outcome.status == "optimal"
    assert outcome.x is not None
    assert outcome.x.tolist() == pytest.approx([2.0, 1.0])


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_gives_the_same_answer_and_its_finds_are_in_the_trace(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is sent to the worker here, however small; times aside the ladder is the same to the last bit."""
    model, *_ = random_knapsack(seed, n=30)
    gaps, weights = {f"t{t}": 1e-6 for t in range(3)}, {"t0": 100.0, "t1": 10.0, "t2": 1.0}
    question = Question(model, gaps, weights, deadline_s=time.perf_counter() + 300.0)
    here = solve_in_order(question)
    monkeypatch.setattr(solvers, "LARGE", 0)
    worker = Worker()
    there = solve_in_order(question, worker=worker)
    assert worker.pid is not None
    worker.stop()
    assert here.status == there.status == "optimal"
    assert here.terms == there.terms
    assert here.x is not None
    assert there.x is not None
    assert here.x.tolist() == there.x.tolist()
    assert len(there.trace) >= len(here.trace)


def test_empty_rows_are_rows() -> None:
    """Rows without coefficients, the last too, stay where they are."""
    matrix = csr_array(np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    solver = HighsModel(relax=True)
    solver.load(
        matrix,
        np.array([-1.0, 1.0, -1.0]),
        np.array([1.0, inf, 1.0]),
        np.zeros(2),
        np.ones(2),
        np.zeros(2, bool),
    )
    solver.set_cost(np.array([1.0, 2.0]))
    assert solver.solve().objective == pytest.approx(1.0)
