"""Real models, held as the search holds them: the reduced has the optimum that scipy finds for the whole."""

from typing import Any

import numpy as np
import pytest

import cases
from pdnopt.engine.reduction import Arrays, reduce_arrays
from pdnopt.plant.failures import parse_failed
from pdnopt.response import respond
from pdnopt.session import Session
from tests.engine.test_reduction import breaks, optimum
from tests.plants import random_plant

HORIZON_S = 3600.0


def models(
    net: Any, failed: list[str]
) -> tuple[Arrays, np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return the arrays of a failure, a cost, and what the search may hold."""
    runner = Session(net, validate=False)._runner
    prepared, formulation = runner.optimiser.models[0], runner.formulation
    response = respond(runner.grid, runner.demand, parse_failed(net, failed))
    limits = formulation.limits(response.grid, runner.curves, HORIZON_S, {})
    numbers = formulation.numbers(prepared.sets, runner.demand, response, limits, HORIZON_S)
    prepared.updater.write(numbers)
    model = prepared.model
    arrays = Arrays(model.matrix, model.row_low, model.row_high, model.col_low, model.col_high, model.integer)
    weights = {"unserved_p1": 1e4, "unserved_p2": 1e3, "unserved_p3": 1e2, "interrupted": 1.0, "losses": 0.1}
    cost = np.sum([weights.get(name, 1e-2) * c for name, c in model.cost.items()], axis=0)
    blocks = np.zeros(runner.grid.n_blocks, dtype=bool)
    blocks[::2] = True
    holds = {
        "nothing": (np.zeros(0, dtype=int), np.zeros(0)),
        "structure": prepared.updater.structure(numbers),
        "position": prepared.updater.position(response.state),
        "outside": prepared.updater.outside(blocks, response.state),
    }
    return arrays, cost, holds


def assert_same_optimum(net: Any, failed: list[str], which: tuple[str, ...]) -> None:
    whole, cost, holds = models(net, failed)
    for name in which:
        columns, values = holds[name]
        held = whole.held(columns, values, values)
        left = reduce_arrays(held)
        for relax in (True, False):
            status, value, best = optimum(held, cost, relax)
            if left is None:
                # an LP may have a point where no integer one is; the reduction rounds
                assert relax or status == "infeasible", name
                continue
            part, constant = left.cost(cost)
            found, less, x = optimum(left.arrays, part, relax)
            if relax:  # rounding of integers may only raise the LP's value
                assert (
                    status == "infeasible"
                    or found == "infeasible"
                    or less + constant >= value - 1e-4 * (1 + abs(value))
                )
                continue
            assert found == status, name
            if best is not None and x is not None:
                assert less + constant == pytest.approx(value, rel=1e-6, abs=1e-2), name
                scale = 1.0 + np.abs(held.matrix).max() * 1e-3
                assert breaks(held, left.lift(x)) < 1e-5 * scale, name


@pytest.mark.parametrize("seed", range(12))
def test_random_plants(seed: int) -> None:
    assert_same_optimum(*random_plant(seed), which=("nothing", "structure", "position", "outside"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 80))
def test_random_plants_soak(seed: int) -> None:
    assert_same_optimum(*random_plant(seed), which=("nothing", "structure", "position", "outside"))


@pytest.mark.parametrize(
    ("case", "failed", "which"),
    [
        ("two_feed", "ups:UPS-A", ("structure", "position")),
        ("micro_ats_row", "ext_grid:0", ("structure", "position")),
        ("ring_bus", "ups:0", ("position",)),  # its 40 taps free, scipy needs minutes for a gap of 0
    ],
)
def test_small_cases(case: str, failed: str, which: tuple[str, ...]) -> None:
    net = cases.build(case)
    table, _, number = failed.partition(":")
    if number.isdigit():
        failed = f"{table}:{net[table]['name'].iloc[int(number)]}"
    assert_same_optimum(net, [failed], which)


def test_a_hall_with_its_devices_held_is_mostly_gone() -> None:
    """One LP each, by scipy, of 11,151 rows: what is left must be less than half, with the same optimum."""
    whole, cost, holds = models(cases.build("hall_4n3"), ["ups:UPS-A"])
    columns, values = holds["position"]
    held = whole.held(columns, values, values)
    left = reduce_arrays(held)
    assert left is not None
    assert left.arrays.matrix.nnz < 0.5 * whole.matrix.nnz
    part, constant = left.cost(cost)
    (status, value, _), (found, less, x) = optimum(held, cost, True), optimum(left.arrays, part, True)
    assert status == found == "optimal"
    assert x is not None
    assert less + constant >= value - 1e-6 * abs(value)
    assert breaks(held, left.lift(x)) < 1e-4
