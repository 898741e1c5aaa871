"""Reserve allocation: how long, how near the bound, and how it grows.

``python -m tests.benchmarks.reserve [--sizes 250 500 1000] [--repeat 3]``: synthetic rooms (`tests.reserve.rooms`) of
one tap a rack and 8 reserve systems that each tap reaches, every single failure, 5 load vectors beside the load now.
"first" is the first solve of a session from taps that stand at random; "again" the median of solves with other loads.
Only the numbers and the search are timed (update + solve): ordering hundreds of moves and checking every state on the
way is given in a column of its own, with ``--plan``.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from tests.benchmarks._reporting import Aims, Table, machine

SIZES = (250, 500, 1_000)
RESERVES, PRIMARIES, VECTORS = 8, 12, 5
AIMS = {1_000: (1.0, 0.2), 5_000: (4.0, float("inf"))}
AIM_GAP = 0.005


def measure(racks: int, repeat: int, plan: bool) -> dict[str, Any]:
    """Build one room, allocate it, and allocate it again for other loads."""
    from pdnopt.allocation.inputs import read_vectors
    from pdnopt.allocation.search import Search
    from pdnopt.session import Session
    from tests.reserve.rooms import load_vectors, room

    net = room(racks, RESERVES, PRIMARIES, RESERVES, reserve_part=0.85)
    begun = time.perf_counter()
    session = Session(net, "reserve", validate=False, explain=False, minimize=("margin",), time_limit_s=600.0)
    build_s = time.perf_counter() - begun
    runner: Any = session._runner
    times, gaps = [], []
    for seed in range(1 + repeat):
        loads = load_vectors(net, VECTORS, seed=seed)
        begun = time.perf_counter()
        vectors = read_vectors(runner.demand, loads, None, 3600.0)
        core = runner.frame.exposure(vectors.cord_kw, *runner.limits(3600.0)).core()
        goals = runner._goals(core, session.options)
        solved = Search(runner.formulation, core, runner.frame.allowed).solve(goals)
        times.append(time.perf_counter() - begun)
        gaps.append((solved.value["margin"] - solved.bound["margin"]) / abs(solved.bound["margin"]))
    plan_s = float("nan")
    if plan:
        result = session.solve(loads=load_vectors(net, VECTORS, seed=0))
        plan_s = result.timings["sequence_s"] + result.timings["check_s"]
    return {
        "contingencies": len(runner.locals) + sum(len(one.names) for one in runner.scenarios) - 1,
        "build_s": build_s,
        "first_s": times[0],
        "again_s": float(np.median(times[1:])),
        "gap": max(gaps),
        "plan_s": plan_s,
    }


def main() -> int:
    """Print the table and the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--plan", action="store_true")
    asked = parser.parse_args()
    print(machine(), end="\n\n")
    table = Table(
        "racks", "contingencies", "build, s", "first, s", "again, s", "worst gap, %", "order and check, s"
    )
    found = {}
    for racks in asked.sizes:
        row = found[racks] = measure(racks, asked.repeat, asked.plan)
        table.row(
            racks,
            row["contingencies"],
            f"{row['build_s']:.1f}",
            f"{row['first_s']:.2f}",
            f"{row['again_s']:.2f}",
            f"{100 * row['gap']:.2f}",
            f"{row['plan_s']:.1f}",
        )
    print()
    aims = Aims()
    for racks, row in found.items():
        if racks in AIMS:
            first, again = AIMS[racks]
            aims.add(
                f"{racks} racks, first", f"{row['first_s']:.2f} s", f"{first} s", row["first_s"] <= first
            )
            aims.add(
                f"{racks} racks, again", f"{row['again_s']:.2f} s", f"{again} s", row["again_s"] <= again
            )
            aims.add(f"{racks} racks, gap", f"{100 * row['gap']:.2f} %", "0.5 %", row["gap"] <= AIM_GAP)
    return 0 if aims.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
