"""The control loop on a hall of about 1,000 rack circuits: from readings to a checked plan, and a simulated day.

``python -m tests.benchmarks.loop [--hours H] [--failures N]``

*Sense to plan*: the wall time of a tick in which something has failed: read and judge every meter, make the picture, solve
in the worker process, check, begin. Failures are drawn from all UPSs, sources, transformers and transfer devices at a fixed
seed, at 85 to 95 % of the installed UPS kW; after each the plant is as it was before.

*The day*: ticks of 5 s of simulated time. Loads follow a daily curve with noise, one UPS fails at the peak and returns. Most
ticks only look; they are counted as what they are. A deadline is missed where a tick takes longer than the interval.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import pdnopt
from cases import hall
from pdnopt.candidates import contingencies
from pdnopt.control.planner import WorkerPlanner
from pdnopt.emulator.scenario import Event, LoadProfile, Scenario
from pdnopt.journal import Journal
from pdnopt.loop import LoopSettings
from pdnopt.runs import Simulation
from tests.benchmarks._reporting import Aims, Table, machine, milliseconds

CASE, SEED, INTERVAL_S = "hall_4n3", 11, 5.0
KINDS = ("ups", "ext_grid", "trafo", "transfer")
DAY = tuple((3600.0 * h, 0.78 + 0.12 * float(np.sin(np.pi * h / 24.0))) for h in range(25))
SETTINGS = LoopSettings(interval_s=INTERVAL_S, shift_s=None, playbook=False)


def loaded(level: float) -> Any:
    """Return the hall with all load at a part of the installed UPS kW."""
    net = pdnopt.load_case(CASE)
    wanted_kw = hall.load_level_kw(net, level)
    rows = wanted_kw.index
    factor = wanted_kw.sum() / (
        1e3 * float((net.load.loc[rows, "p_mw"] * net.load.loc[rows, "scaling"]).sum())
    )
    net.load.loc[rows, ["p_mw", "q_mvar"]] *= factor
    return net


def sense_to_plan(failures: int, folder: Path) -> list[float]:
    """Return the wall time of every first tick after a failure, s."""
    rng = np.random.default_rng(SEED)
    times: list[float] = []
    for number, level in enumerate((0.85, 0.90, 0.95)):
        net = loaded(level)
        names = [name for name in contingencies(net) if name.partition(":")[0] in KINDS]
        planner = WorkerPlanner(net)
        planner.wait_ready(120.0)
        made = Simulation(net, Journal(folder / f"plans{number}.db"), settings=SETTINGS, planner=planner)
        loop, plant = made.loop, made.plant
        loop.start()
        loop.run(plant.t_s + 2 * INTERVAL_S)
        for name in rng.choice(names, size=failures // 3):
            plant.fail(str(name))
            made.clock.sleep(0.25)
            times.append(loop.tick().wall_s)
            loop.carrier.drop()  # the plan is not carried out: every failure meets the same plant
            plant.restore(str(name))
            _put_back(made, net)
        loop.close()
        made.journal.close()
    return times


def _put_back(made: Simulation, net: Any) -> None:
    """Put every device back where the network as given has it."""
    from pdnopt.emulator.world import World

    world = made.plant.world
    world.s = World(net).s
    made.plant.clocks.used = {table: np.zeros_like(used) for table, used in made.plant.clocks.used.items()}
    made.plant._react()
    made.loop._know.settled = None
    made.loop.tick()
    made.loop.carrier.drop()


def day(hours: float, folder: Path) -> tuple[dict[str, list[float]], list[float], Any]:
    """Run the day; return wall times by what a tick did, memory (MB) every simulated half hour, the truth."""
    scenario = Scenario(
        "a day",
        CASE,
        SEED,
        3600.0 * hours,
        LoadProfile(DAY, 60.0, 0.01),
        (
            Event(0.5 * 3600.0 * hours, "fail", "ups:UPS-C"),
            Event(0.6 * 3600.0 * hours, "restore", "ups:UPS-C"),
        ),
    )
    net = pdnopt.load_case(CASE)
    planner = WorkerPlanner(net)
    planner.wait_ready(120.0)
    journal = Journal(folder / "day.db")
    made = Simulation(net, journal, scenario, settings=SETTINGS, planner=planner)
    times: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []

    def note(tick: Any) -> None:
        times[tick.did.split(":")[0].split(" (")[0]].append(tick.wall_s)
        if sum(map(len, times.values())) % 360 == 0:
            memory.append(_resident_mb())

    made.loop.on_tick = note
    made.run(scenario.duration_s)
    journal.close()
    return dict(times), memory, made.truth()


def _resident_mb() -> float:
    """Return this process's memory now; where the system does not tell it, its highest."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0, help="simulated hours of the day")
    parser.add_argument("--failures", type=int, default=150, help="failures for sense to plan")
    asked = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as place:
        folder = Path(place)
        began = time.perf_counter()
        plans = sense_to_plan(asked.failures, folder)
        times, memory, truth = day(asked.hours, folder)
        size_mb = (folder / "day.db").stat().st_size / 2**20
    table = Table("tick", "count", "median ms", "p99 ms", "worst ms")
    table.row("after a failure, to a checked plan", len(plans), *milliseconds(plans))
    for what, values in sorted(times.items(), key=lambda pair: -len(pair[1])):
        table.row(f"day: {what}", len(values), *milliseconds(values))
    every = [value for values in times.values() for value in values]
    missed = sum(value > INTERVAL_S for value in every)
    took_s = time.perf_counter() - began
    print(
        f"\njournal of {asked.hours:g} h: {size_mb:.1f} MB; trips {len(truth['trips'])}; {took_s:.0f} s in all\n"
    )
    aims = Aims()
    p99_s = float(np.percentile(plans, 99))
    aims.add("sense to plan, p99", f"{1e3 * p99_s:.0f} ms", "1000 ms", p99_s <= 1.0)
    aims.add(f"deadlines missed in {len(every)} ticks", missed, 0, missed == 0)
    half = len(memory) // 2
    growth = memory[-1] - memory[half] if half else 0.0
    aims.add(
        "memory, from the middle of the day to its end",
        f"{growth:+.1f} MB of {memory[-1]:.0f} MB" if memory else "-",
        "at most 20 MB",
        growth <= 20.0,
    )
    return 0 if aims.met else 1


if __name__ == "__main__":
    sys.exit(main())
