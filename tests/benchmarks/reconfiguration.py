"""Minimum-loss reconfiguration of the published systems: AC loss, proven bound, time.

``python -m tests.benchmarks.reconfiguration [--case dnr_33_baran_wu] [--limit 60]`` prints one line a system. It fails where
a plan is not verified, leaves load dark or loses more than 0.05 % above the best known loss (README of the data
folder), or where a bound lies above it.
"""

from __future__ import annotations

import argparse
import sys
import time

import pdnopt
from tests.benchmarks._reporting import Table
from tests.feeder.systems import SYSTEMS, best_known_kw, data_folder, system

AIM_PERCENT = 0.05
HEAD = "system, loss kW, best known kW, difference %, bound kW, gap %, moves, time s, met"


def main() -> int:
    """Print the table; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--case", choices=SYSTEMS, action="append", help="only this system; may be repeated")
    parser.add_argument("--limit", type=float, default=60.0, help="time limit of one solve, s")
    wanted = parser.parse_args()
    if data_folder() is None:
        print("no outside data: set PDNOPT_TEST_DATA")
        return 0
    table = Table(*HEAD.split(", "))
    missed = 0
    for name in wanted.case or SYSTEMS:
        net, best = system(name), best_known_kw(name)
        begun = time.perf_counter()
        result = pdnopt.solve(
            net, "reroute", minimize=("unserved", "losses"), time_limit_s=wanted.limit, explain=False
        )
        took_s = time.perf_counter() - begun
        loss, bound = result.losses_kw, result.bound["losses"]
        difference = 100.0 * (loss / best - 1.0)
        good = result.ok and result.unserved_kw < 1e-6 and difference <= AIM_PERCENT
        good &= bound <= best * (1.0 + 1e-4)  # published to four figures
        missed += not good
        figures = (
            f"{loss:.4f}",
            f"{best:g}",
            f"{difference:+.4f}",
            f"{bound:.4f}",
            f"{100.0 * result.gap['losses']:.3f}",
        )
        met = "yes" if good else "**no**"
        table.row(name, *figures, len(result.plan.actions), f"{took_s:.1f}", met)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
