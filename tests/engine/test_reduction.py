"""What is left of a model has the same optimum and the same feasibility as the whole; HiGHS solves both."""

from math import inf

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from pdnopt.engine.reduction import Arrays, reduce_arrays


def random_arrays(seed: int) -> tuple[Arrays, np.ndarray]:
    """A small model of mixed kinds: big-M rows, equalities, free columns, sums of one, columns held."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(4, 14)), int(rng.integers(3, 16))
    integer = rng.random(n) < 0.6
    low = np.where(rng.random(n) < 0.8, 0.0, rng.integers(-3, 1, n)).astype(float)
    high = np.where(integer & (rng.random(n) < 0.8), 1.0, rng.integers(1, 9, n)).astype(float)
    free = ~integer & (rng.random(n) < 0.15)
    low[free], high[free] = -inf, inf
    point = np.where(free, rng.normal(0, 3, n), low + rng.random(n) * np.where(free, 0.0, high - low))
    point = np.where(integer, np.round(point), point)
    matrix = np.where(rng.random((m, n)) < 0.35, rng.integers(-4, 5, (m, n)), 0).astype(float)
    for r in range(m):
        kind = rng.random()
        if kind < 0.3:  # a set of ones
            matrix[r] = (rng.random(n) < 0.4) * (integer | (low >= 0)) * rng.choice([1.0, -1.0])
        elif kind < 0.5 and integer.any():  # a big-M row
            matrix[r] = 0.0
            matrix[r, rng.integers(n)] = 1.0
            matrix[r, rng.choice(np.flatnonzero(integer))] = -rng.choice([7.0, 50.0, 2e4])
    at = matrix @ point
    room = rng.choice([0.0, 0.5, 3.0, 1e4], m)
    side = rng.random(m)
    row_low = np.where(side < 0.6, -inf, at - room)
    row_high = np.where((side > 0.4) & (side < 0.6), inf, at + room)
    if rng.random() < 0.25:  # often infeasible
        r = int(rng.integers(m))
        row_high[r] = min(row_high[r], at[r] - rng.choice([0.3, 2.0]))
        row_low[r] = min(row_low[r], row_high[r])
    held = rng.random(n) < 0.3
    low[held] = high[held] = point[held]
    return Arrays(csr_array(matrix), row_low, row_high, low, high, integer), rng.integers(-5, 6, n).astype(
        float
    )


def optimum(arrays: Arrays, cost: np.ndarray, relax: bool = False) -> tuple[str, float, np.ndarray | None]:
    """Solve with scipy."""
    if not len(cost):
        return "optimal", 0.0, np.zeros(0)
    rows = (
        [LinearConstraint(arrays.matrix, arrays.row_low, arrays.row_high)] if arrays.matrix.shape[0] else []
    )
    solved = milp(
        cost,
        constraints=rows,
        bounds=Bounds(arrays.col_low, arrays.col_high),
        integrality=np.zeros(len(cost)) if relax else arrays.integer.astype(int),
        options={"mip_rel_gap": 0.0},
    )
    if solved.status not in (0, 2):  # "unbounded or infeasible": ask again without costs
        return "infeasible" if optimum(arrays, 0.0 * cost)[0] == "infeasible" else "unbounded", 0.0, None
    return "optimal" if solved.status == 0 else "infeasible", solved.fun, solved.x


def breaks(arrays: Arrays, x: np.ndarray) -> float:
    """Return by how much a point breaks rows and bounds at most."""
    at = arrays.matrix @ x
    parts = (arrays.row_low - at, at - arrays.row_high, arrays.col_low - x, x - arrays.col_high)
    return max(float(part.max(initial=0.0)) for part in parts)


def assert_same(whole: Arrays, cost: np.ndarray) -> None:
    status, value, best = optimum(whole, cost)
    left = reduce_arrays(whole)
    if left is None:
        assert status == "infeasible"
        return
    part, constant = left.cost(cost)
    found, less, x = optimum(left.arrays, part)
    assert found == status
    if status == "optimal":
        assert less + constant == pytest.approx(value, rel=1e-6, abs=1e-5)
        assert breaks(whole, left.lift(x)) < 1e-5
        # no feasible point is cut off, so neither is the optimum that the whole was found to have
        gone = np.setdiff1d(np.arange(len(best)), left.columns)
        assert best[gone] == pytest.approx(left.point[gone], abs=1e-5)
        assert breaks(left.arrays, best[left.columns]) < 1e-5


@pytest.mark.parametrize("block", range(8))
def test_random_models_keep_their_optimum(block: int) -> None:
    for seed in range(60 * block, 60 * block + 60):
        assert_same(*random_arrays(seed))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(8, 100))
def test_random_models_keep_their_optimum_soak(block: int) -> None:
    for seed in range(60 * block, 60 * block + 60):
        assert_same(*random_arrays(seed))


@pytest.mark.parametrize("block", range(4))
def test_no_feasible_point_is_cut_off(block: int) -> None:
    """Every feasible integer point of small models, by enumeration, is one of what is left."""
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        n, m = 8, 6
        matrix = np.where(rng.random((m, n)) < 0.5, rng.integers(-3, 4, (m, n)), 0).astype(float)
        row_high = rng.integers(0, 4, m).astype(float)
        row_low = np.where(rng.random(m) < 0.3, row_high, -inf)
        whole = Arrays(csr_array(matrix), row_low, row_high, np.zeros(n), np.ones(n), np.ones(n, dtype=bool))
        points = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)
        at = points @ matrix.T
        feasible = points[((at <= row_high) & (at >= row_low)).all(axis=1)]
        left = reduce_arrays(whole)
        if left is None:
            assert not len(feasible)
            continue
        for x in feasible:
            assert breaks(left.arrays, x[left.columns]) == 0.0
            assert (left.lift(x[left.columns]) == x).all()


def small(rows: list[list[float]], low: list[float], high: list[float], integer: bool = True) -> Arrays:
    n = len(rows[0])
    return Arrays(
        csr_array(np.array(rows)),
        np.array(low),
        np.array(high),
        np.zeros(n),
        np.ones(n),
        np.full(n, integer),
    )


def test_a_sum_of_one_excludes_who_is_outside_of_it() -> None:
    """m1 + m2 = 1, m0 + m2 = 1, m0 + m1 + m2 <= 1: only m2 can be 1, though the columns are continuous."""
    left = reduce_arrays(small([[0, 1, 1], [1, 0, 1], [1, 1, 1]], [1, 1, -inf], [1, 1, 1], integer=False))
    assert left is not None
    assert left.point.tolist() == [0.0, 0.0, 1.0]
    assert len(left.columns) == 0


def test_a_held_column_that_breaks_a_row_is_infeasible_and_within_tolerance_is_not() -> None:
    whole = small([[1.0, 1.0]], [1.0], [1.0])
    both = np.array([0, 1])
    assert reduce_arrays(whole.held(both, np.array([1.0, 1.0]), np.array([1.0, 1.0]))) is None
    near = np.array([1.0, 5e-8])
    loose = Arrays(whole.matrix, whole.row_low, whole.row_high, near, near, np.zeros(2, dtype=bool))
    assert reduce_arrays(loose) is not None


def test_kept_rows_stay_and_know_what_the_fixed_columns_contribute() -> None:
    whole = small([[2.0, 3.0, 1.0]], [-inf], [inf])
    left = reduce_arrays(whole.held(np.array([1]), np.ones(1), np.ones(1)), keep=[0])
    assert left is not None
    assert left.rows.tolist() == [0]
    assert left.shift.tolist() == [3.0]
    assert left.arrays.matrix.toarray().tolist() == [[2.0, 1.0]]
    assert reduce_arrays(whole.held(np.arange(3), np.ones(3), np.ones(3)), keep=[0]).rows.tolist() == []
