"""Stranded power of the 4N/3 room: deployments arrive until the room is full; how much of its UPS kW stays unused?

``python -m tests.benchmarks.stranded_power [--traces 30] [--single]`` prints Markdown tables, and draws the distribution
where matplotlib is installed. The room is `hall_4n3` without its racks (4 x 2.4 MW of UPS, 48 PDUs). Each trace is a table
of deployments that asks for 115 % of the UPS kW: 5, 10 or 20 racks of 5..20 kW, of one kind each - redundant, cap-able or
neither (`cases.deployments`: synthetic, in the shape that Flex, ISCA 2021, publishes). ``--single`` places every rack for
itself. After a failure UPSs carry their rating for good (no use of the 105 % of their curve), 150 % for 10 s.

* batch: all deployments of the trace known; the proven bound beside it;
* the others: one deployment at a time in the order of the trace, nobody moved again.

Every placement is verified by AC power flow, every single failure. ``--reroute`` has `pdnopt.solve` and the independent
checker answer the loss of each UPS in the room of the first trace as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import pdnopt
from cases.deployments import deployments, pdus, vacated
from cases.hall import hall_4n3
from pdnopt.placement.heuristics import RULES
from tests.benchmarks._reporting import OUT, Aims, Table, machine

ASKED = 1.15
"""Power asked for over installed UPS kW."""
WAYS = ("batch", *RULES)
AIM_PERCENT = 5.0
AIM_S = 2.0


def strand(net: Any, places: list[str], seed: int, grouped: bool) -> dict[str, pdnopt.Placement]:
    """Place one trace in every way."""
    racks = deployments(ASKED * 1000.0 * float(net.ups["p_rated_mw"].sum()), seed, grouped)
    keywords = {"places": places, "hold_s": float("inf")}
    found = {"batch": pdnopt.place(net, racks, **keywords)}
    for rule in RULES:
        found[rule] = pdnopt.place(net, racks, online=True, rule=rule, **keywords)
    return found


def draw(stranded: dict[str, list[float]], bounds: list[float], path: Path) -> bool:
    """Draw the distributions; return whether matplotlib is there to do it."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8.0, 4.0), layout="constrained")
    ways = [way for way in reversed(WAYS) if stranded[way]]
    axes.boxplot(
        [stranded[way] for way in ways],
        orientation="horizontal",
        widths=0.5,
        medianprops={"color": "#16202a", "linewidth": 2},
        flierprops={"marker": "none"},
    )
    rng = np.random.default_rng(0)
    for k, way in enumerate(ways, start=1):
        spread = k + rng.uniform(-0.16, 0.16, len(stranded[way]))
        axes.plot(stranded[way], spread, "o", markersize=3.5, alpha=0.6, color="#2a6f97")
    axes.axvline(AIM_PERCENT, color="#9a5b00", linestyle="--", linewidth=1, label="5 %")
    axes.axvline(float(np.median(bounds)), color="#14724f", linewidth=1.5, label="proven bound, median")
    axes.set_yticks(range(1, len(ways) + 1), [way.replace("_", " ") for way in ways])
    axes.set_xscale("log")
    ticks = [1, 2, 3, 5, 10, 20, 40]
    axes.set_xticks(ticks, [f"{tick} %" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("stranded power, share of installed UPS kW (logarithmic)")
    axes.set_title(f"4N/3 room, {len(bounds)} random demand traces", loc="left")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return True


def rerouted(net: Any, found: pdnopt.Placement) -> int:
    """Return how many losses of a UPS end in a plan that the checker verified and that sheds nobody who must run."""
    after = found.apply(net)
    stays = {
        f"rack:{name}" for name, may in zip(found.racks.name, found.racks.redundant, strict=True) if not may
    }
    good = 0
    for name in after.ups["name"]:
        result = pdnopt.solve(
            after, failed=[f"ups:{name}"], horizon_s=10_800.0, time_limit_s=20.0, explain=False
        )
        shed = {action.device for action in result.plan.actions if action.action == "shed"}
        good += result.ok and not shed & stays
    return good


def speed(net: Any, places: list[str], asked_kw: float) -> float:
    """Return the median CPU time in s of a batch of 500 racks, each of a power of its own."""
    rng = np.random.default_rng(0)
    racks = deployments(1.6 * 9600.0, 0, grouped=False).sample(500, random_state=1).reset_index(drop=True)
    p_kw = rng.uniform(12.0, 25.0, len(racks))
    racks["p_kw"] = np.round(p_kw * (asked_kw / p_kw.sum()), 2)
    racks["min_p_kw"] = np.where(racks["min_p_kw"].isna(), np.nan, np.round(0.8 * racks["p_kw"], 2))
    times = []
    for _ in range(5):
        begun = time.process_time()
        pdnopt.place(net, racks, places=places)
        times.append(time.process_time() - begun)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=30)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--reroute", action="store_true")
    options = parser.parse_args()
    net = vacated(hall_4n3())
    places = pdus(net)
    print(machine())
    stranded: dict[str, list[float]] = {way: [] for way in WAYS}
    bounds: list[float] = []
    verified, first = True, None
    table = Table("trace", "racks", *WAYS, "bound", "batch s")
    for seed in range(options.traces):
        found = strand(net, places, seed, not options.single)
        first = first or found["batch"]
        verified &= all(one.verified for one in found.values())
        for way, one in found.items():
            stranded[way].append(one.stranded_percent)
        bounds.append(found["batch"].stranded_bound_percent)
        cells = [f"{found[way].stranded_percent:.2f}" for way in WAYS]
        table.row(
            seed,
            len(found["batch"].racks.name),
            *cells,
            f"{bounds[-1]:.2f}",
            f"{found['batch'].timings['total_s']:.1f}",
        )
    print()
    summary = Table("way", "median %", "10th", "90th", "worst")
    for way in WAYS:
        summary.row(way, *(f"{v:.2f}" for v in np.percentile(stranded[way], (50, 10, 90, 100))))
    summary.row("proven bound", *(f"{v:.2f}" for v in np.percentile(bounds, (50, 10, 90, 100))))
    print()
    aims = Aims()
    middle = float(np.median(stranded["batch"]))
    aims.add(
        "stranded power, median of the batch", f"{middle:.2f} %", f"< {AIM_PERCENT:g} %", middle < AIM_PERCENT
    )
    aims.add("every placement verified by AC power flow", "yes" if verified else "no", "yes", verified)
    for part in (0.9, 1.1):
        time_s = speed(net, places, part * 9600.0)
        what = f"500 different racks that ask for {100 * part:.0f} % of the room, CPU time"
        aims.add(what, f"{time_s:.2f} s", f"{AIM_S:g} s", time_s <= AIM_S)
    if options.reroute and first is not None:
        good = rerouted(net, first)
        aims.add(
            "loss of a UPS answered by a verified plan",
            f"{good} of {len(net.ups)}",
            "all",
            good == len(net.ups),
        )
    path = OUT / ("stranded_power_single.png" if options.single else "stranded_power.png")
    if draw(stranded, bounds, path):
        print(f"\nplot: {path}")
    sys.exit(0 if aims.met else 1)


if __name__ == "__main__":
    main()
