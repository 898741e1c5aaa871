"""Judging states by AC power flow, against ``pandapower.runpp`` on the same states, side by side in one run.

``python -m tests.benchmarks.ac_check [--case hall_4n3] [--level 0.9] [--states 50] [--runs 15]`` prints a Markdown table.
The states are those that plans of the breadth-first rule pass through, one failure after another. pdnopt's time is that of
all its work from states to loadings over limits (`AcJudge.ratios`), finding what UPSs draw included, with nothing
remembered. pandapower's is that of ``runpp`` alone, with its defaults: the networks are written beforehand, UPS inputs
already right. Fails where the two differ by more than `MAX_VM_PU` or `MAX_LOADING`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np
import pandapower as pp

import cases
from cases.hall import load_level_kw
from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.baselines import breadth_first_reroute
from pdnopt.endstate import write_state
from pdnopt.plant.actions import Actuator
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.state import State
from pdnopt.response import flow_case, respond, settle
from pdnopt.sweeps import contingencies

NUMBA = find_spec("numba") is not None
MAX_VM_PU = 1e-6
MAX_LOADING = 1e-3
"""Per cent of the rating; sources and links of power-grid-model are nearly, not quite, without impedance."""


def states_on_the_way(net: Any, grid: Grid, demand: Demand, loads: Any) -> Iterator[State]:
    """Yield the state after each failure and after each step of its plan, except where modules of a UPS are lost."""
    engine = FlowEngine(net)
    for failed in contingencies(net):
        plan = breadth_first_reroute(net, failed, loads, shed=True, engine=engine)
        response = respond(grid, demand, parse_failed(net, [failed]))
        actuator, state = Actuator(response.grid, demand), response.state
        yield state
        for _, batch in groupby(plan.actions, key=lambda item: item.step):
            state = settle(response, actuator.act(state, batch))
            yield state


def written(net: Any, grid: Grid, demand: Demand, state: State) -> Any:
    """Return a network in a state, for runpp: it knows no standing genset, so those are taken out of service."""
    one = write_state(net, grid, demand, state)
    one.ext_grid.loc[grid.sources.index[~state.source_on], "in_service"] = False
    return one


def run_pandapower(nets: list[Any]) -> None:
    """Run every network with pandapower's defaults, on numba where that is installed."""
    for one in nets:
        pp.runpp(one, numba=NUMBA)


def median_s(work: Callable[[], object], runs: int) -> float:
    """Return the median time of some runs, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def differences(net: Any, nets: list[Any], flow: Any) -> tuple[float, float]:
    """Return the largest difference of bus voltages, pu, and of line and transformer loadings, per cent."""
    vm = np.array([one.res_bus["vm_pu"].to_numpy(float) for one in nets])
    live = np.isfinite(vm) & np.isfinite(flow.vm_pu)
    assert (np.isfinite(vm) == np.isfinite(flow.vm_pu)).all(), (
        "the two disagree about which buses have voltage"
    )
    loading = 0.0
    for table, ours in (("line", flow.line_loading_percent), ("trafo", flow.trafo_loading_percent)):
        if len(net[table]):
            theirs = np.array([one[f"res_{table}"]["loading_percent"].to_numpy(float) for one in nets])
            loading = max(loading, float(np.abs(np.nan_to_num(theirs) - ours).max()))
    return float(np.abs(vm - flow.vm_pu)[live].max()), loading


def main() -> int:
    """Print the table; return 1 where the two do not agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default="hall_4n3")
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--states", type=int, default=50)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    net = cases.build(options.case)
    loads = load_level_kw(net, options.level)
    grid = read_grid(net)
    demand = with_load_kw(read_demand(net, grid), loads)
    way = states_on_the_way(net, grid, demand, loads)
    states = list({(s.position, s.draw): s for s in (next(way) for _ in range(4 * options.states))}.values())
    states = states[: options.states]
    engine = FlowEngine(net)
    judge = AcJudge(net, grid, engine)
    nets = [written(net, grid, demand, state) for state in states]
    run_pandapower(nets)
    vm_pu, loading = differences(net, nets, engine.run(flow_case(net, grid, demand, states)))
    size = f"{len(grid.nodes.bus)} nodes, {len(demand.cord_unit)} cords, {len(states)} different states"
    print(
        f"{options.case} at {100 * options.level:g} %: {size}; medians of {options.runs} runs on one of",
        end=" ",
    )
    print(f"{os.cpu_count()} cores; pandapower {'with' if NUMBA else 'without'} numba\n")
    print("| states | pdnopt ms | ms a state | runpp ms | ms a state | ratio |\n|---|---|---|---|---|---|")
    for n in sorted({1, len(states)}):
        some, theirs = states[-n:], nets[-n:]
        fresh = lambda some=some: judge.ratios(grid, replace(demand), some)  # noqa: E731 - a new demand remembers nothing
        ours_s = median_s(fresh, options.runs)
        runpp_s = median_s(lambda theirs=theirs: run_pandapower(theirs), max(options.runs // 5, 3))
        cells = (1e3 * ours_s, 1e3 * ours_s / n, 1e3 * runpp_s, 1e3 * runpp_s / n)
        print(f"| {n} | " + " | ".join(f"{cell:.2f}" for cell in cells) + f" | {runpp_s / ours_s:.0f} |")
    agreed = vm_pu <= MAX_VM_PU and loading <= MAX_LOADING
    print(f"\nlargest difference: {vm_pu:.1e} pu of voltage (aim {MAX_VM_PU:g}), ", end="")
    print(f"{loading:.1e} per cent of loading (aim {MAX_LOADING:g}): {'met' if agreed else 'MISSED'}")
    return int(not agreed)


if __name__ == "__main__":
    sys.exit(main())
