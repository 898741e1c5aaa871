"""A sweep against a plain loop: every single failure of ``hall_4n3``, at 90 % load.

``python -m tests.benchmarks.sweep_throughput [--sample 6] [--limit-s 30]`` runs ``pdnopt.sweep`` once and, on a sample of
the contingencies that need a decision, the loop that anyone would write: build the Pyomo model, solve it by appsi_highs to
the same gap, ``pandapower.runpp`` on the network that results. The loop is given only the contingencies that need a decision
(a plan with actions, or none), and does less: it minimises the unserved load alone and neither orders nor checks a plan. Its
total is extrapolated from the sample: mean time of one x contingencies that need a decision; runs that the time limit ends
count with the limit, so the total is then a lower bound (">"). The sweep is charged for all contingencies.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec

import numpy as np
import pandapower as pp
import pandas as pd

import cases
import pdnopt
from cases.hall import with_load
from tests.benchmarks._opponents import ColdPyomo, Plant
from tests.benchmarks._reporting import Aims, Table, machine

AIM_RATIO = 50.0


def main() -> int:
    """Print the table; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default="hall_4n3")
    parser.add_argument("--level", type=float, default=0.9, help="load, part of installed UPS kW")
    parser.add_argument("--components", nargs="*", help="what may fail; default: all but final rack circuits")
    parser.add_argument("--sample", type=int, default=6, help="contingencies for the loop")
    parser.add_argument("--limit-s", type=float, default=30.0, help="time limit of one solve in the loop")
    options = parser.parse_args()
    net = with_load(cases.build(options.case), options.level)
    print(f"{options.case} at {100 * options.level:.0f} %, N-1; {machine()}\n")
    begun = time.perf_counter()
    frame = pdnopt.sweep(net, k=1, components=options.components, validate=False)
    sweep_s = time.perf_counter() - begun
    decide = frame[(frame["n_actions"] > 0) | ~frame["status"].isin(["optimal", "feasible"])]
    print(f"  sweep: {len(frame)} contingencies in {sweep_s:.1f} s", file=sys.stderr, flush=True)
    if not len(decide):
        print("no contingency needs a decision: take a higher --level")
        return 0
    chosen = decide["contingency"].sample(min(options.sample, len(decide)), random_state=0).tolist()
    loop = pd.DataFrame([_loop_s(net, failed, options.limit_s) for failed in chosen])
    cut = int(loop["cut_off"].sum())
    one_s = float(loop[["solve_s", "flow_s"]].sum(axis=1).mean())
    loop_s = one_s * len(decide)
    mark = "> " if cut else ""
    ours = decide["total_s"].to_numpy(dtype=float)
    table = Table("way", "contingencies", "seconds", "one with a decision: mean s", "median s", "longest s")
    table.row("pdnopt.sweep", f"{len(frame)}, {len(decide)} need a decision", f"{sweep_s:.1f}",
              f"{ours.mean():.3f}", f"{np.median(ours):.3f}", f"{ours.max():.3f}")  # fmt: skip
    table.row(f"plain loop, from {len(loop)} ({cut} cut off at {options.limit_s:g} s)", f"{len(decide)}",
              f"{mark}{loop_s:.1f}", f"{mark}{one_s:.3f}", f"{loop['solve_s'].median():.3f}",
              f"{mark}{loop['solve_s'].max():.3f}")  # fmt: skip
    print()
    aims, ratio = Aims(), loop_s / sweep_s
    aims.add(
        "plain loop over sweep, whole", f"{mark}{ratio:.1f}", f"at least {AIM_RATIO:g}", ratio >= AIM_RATIO
    )
    verified = int(frame["status"].isin(["optimal", "feasible"]).sum())
    aims.add(
        "contingencies with a verified plan", f"{verified} of {len(frame)}", "all", verified == len(frame)
    )
    return int(not aims.met)


def _loop_s(net: object, failed: str, limit_s: float) -> dict[str, float | bool]:
    """Answer one contingency as a plain loop would: from the network to the power flow of the end state."""
    plant = Plant(net)
    plant.write(failed, None)
    run = ColdPyomo(plant, limit_s).run()
    cut = not np.isfinite(run.time_s)
    after = pdnopt.solve(net, failed=[failed], explain=False, validate=False).plan.apply(net)
    begun = time.perf_counter()
    pp.runpp(after, numba=find_spec("numba") is not None)
    flow_s = time.perf_counter() - begun
    print(f"  loop: {failed}: solve {run.time_s:.2f} s, runpp {flow_s:.2f} s", file=sys.stderr, flush=True)
    return {"solve_s": limit_s if cut else run.time_s, "flow_s": flow_s, "cut_off": cut}


if __name__ == "__main__":
    sys.exit(main())
