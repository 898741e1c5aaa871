"""How late an answer is: one MIP of the whole plant under ever shorter deadlines, in this process and in a worker.

``python -m tests.benchmarks.deadlines [--case hall_4n3] [--failed ups:UPS-A] [--level 0.9] [--limits 0.1 0.3 1 3]`` prints a
Markdown table: the time left, how late HiGHS alone and the worker are, what they found. The first line of a worker
includes its start. Then, for the same arrays: what the reduction takes and leaves with the devices held, and the LP.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

import cases
from cases.hall import load_level_kw
from pdnopt.engine.highs import HighsModel, Outcome
from pdnopt.engine.reduction import Arrays, Reduction, reduce_arrays
from pdnopt.engine.remote import RemoteModel, Worker
from pdnopt.plant.demand import with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.response import respond
from pdnopt.session import Session

RUNS = 9


def arrays_of(
    case: str, failed: str, level: float
) -> tuple[Arrays, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the arrays of a failure, the cost of all unserved load, and the devices where they stand."""
    net = cases.build(case)
    runner = Session(net, validate=False)._runner
    prepared, formulation = runner.optimiser.models[0], runner.formulation
    demand = with_load_kw(runner.demand, load_level_kw(net, level), None)
    response = respond(runner.grid, demand, parse_failed(net, [failed]))
    limits = formulation.limits(response.grid, runner.curves, 3600.0, {})
    prepared.updater.write(formulation.numbers(prepared.sets, demand, response, limits, 3600.0))
    m = prepared.model
    cost = np.sum([c for name, c in m.cost.items() if name.startswith("unserved_p")], axis=0)
    arrays = Arrays(m.matrix, m.row_low, m.row_high, m.col_low, m.col_high, m.integer)
    return arrays, cost, prepared.updater.position(response.state)


def timed(solver: Any, left: Reduction, cost: np.ndarray, limit_s: float) -> tuple[float, Outcome]:
    """Return by how much one MIP was late, s, and what it found."""
    a = left.arrays
    solver.load(a.matrix, a.row_low, a.row_high, a.col_low, a.col_high, a.integer)
    solver.set_cost(left.cost(cost)[0])
    begun = time.perf_counter()
    outcome = solver.solve(begun + limit_s, gap_abs=1e-3)
    return time.perf_counter() - begun - limit_s, outcome


def median_ms(call: Any) -> tuple[float, Any]:
    """Return the median CPU time of some runs, ms, and what the last returned."""
    times, answer = [], None
    for _ in range(RUNS):
        begun = time.process_time()
        answer = call()
        times.append(1e3 * (time.process_time() - begun))
    return float(np.median(times)), answer


def lp(arrays: Arrays, cost: np.ndarray) -> Outcome:
    """Solve one cold LP."""
    a, solver = arrays, HighsModel(relax=True)
    solver.load(a.matrix, a.row_low, a.row_high, a.col_low, a.col_high, a.integer)
    solver.set_cost(cost)
    return solver.solve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="hall_4n3")
    parser.add_argument("--failed", default="ups:UPS-A")
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--limits", nargs="*", type=float, default=[0.1, 0.3, 1.0, 3.0])
    options = parser.parse_args()
    whole, cost, (columns, values) = arrays_of(options.case, options.failed, options.level)
    left = reduce_arrays(whole)
    assert left is not None
    worker = Worker()
    print(f"{options.case}, {options.failed}, {left.arrays.matrix.nnz} entries, cores: {os.cpu_count()}\n")
    print("| limit s | HiGHS late ms | worker late ms | HiGHS | worker |\n|---|---|---|---|---|")
    for limit_s in options.limits:
        cells = []
        for solver in (HighsModel(relax=False), RemoteModel(worker, 0, relax=False)):
            late_s, found = timed(solver, left, cost, limit_s)
            cells.append(
                (f"{1e3 * late_s:.0f}", f"{found.status} {found.objective:.1f} >= {found.bound:.1f}")
            )
        (here, a), (there, b) = cells
        print(f"| {limit_s:g} | {here} | {there} | {a} | {b} |", flush=True)
    worker.stop()
    held = whole.held(columns, values, values)
    reduce_ms, part = median_ms(lambda: reduce_arrays(held))
    whole_ms, before = median_ms(lambda: lp(held, cost))
    part_ms, after = median_ms(lambda: lp(part.arrays, part.cost(cost)[0]))
    print("\n| devices held | rows | columns | entries | LP ms | kW |\n|---|---|---|---|---|---|")
    for name, a, ms, kw in (
        ("whole", held, whole_ms, before.objective),
        (
            f"reduced in {reduce_ms:.1f} ms",
            part.arrays,
            part_ms,
            after.objective + part.cost(cost)[1],
        ),
    ):
        print(
            f"| {name} | {a.matrix.shape[0]} | {a.matrix.shape[1]} | {a.matrix.nnz} | {ms:.1f} | {kw:.3f} |"
        )


if __name__ == "__main__":
    main()
