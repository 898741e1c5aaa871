"""Balance by zones: how long thousands of inverters take, and how far from the whole programme's optimum they end.

``python -m tests.benchmarks.balance_zones [--inverters 5000] [--workers 2] [--repeat 5] [--central 5000]``.
The hall is drawn
(`tests.balance.zoned_halls`, seed 0): pods of 100 inverters behind a UPS each, 10 PDUs of 10 rows; every tenth
pod's UPS is overloaded on phase a. A re-solve has loads that are each up to 5 % off.

"Processor" is the processor time of this process and of the busiest worker: what a re-solve takes on cores that
nobody else uses.

The central optimum is that of the same linear programme at the same point, not cut into zones: pods have a
source of their own, and share the caps on unbalance and spread, so that it is one programme of 100 inverters
for each pod. First the least violations and unbalance of all pods, then the least spread with that unbalance,
then the rest. The zones' answer is put into the same programmes. The bound is what zones reach if nobody limits
what they exchange, and shared feeders cost nothing: no answer is better.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pdnopt.balancing.levels.coordination import _eased
from pdnopt.balancing.levels.exchange import unlimited
from pdnopt.balancing.levels.partial import FREE, OPEN_PU, REST, PartAnswer, PartProgramme
from pdnopt.balancing.levels.slices import Part, Picker, cut
from tests.benchmarks._reporting import Aims, Table, machine

PDUS, ROWS = 10, 10
TRIES = 1e-6
"""Set-points of the zones are put into the whole programme within this, pu."""


def prepared(inverters: int, workers: int) -> tuple[Any, float]:
    """Return a session of a hall by zones of one PDU, and how long it took to build."""
    from pdnopt.session import Session
    from tests.balance.zoned_halls import pods

    n = max(inverters // (PDUS * ROWS), 1)
    net = pods(n, PDUS, ROWS, tight=max(n // 10, 1))
    begun = time.perf_counter()
    session = Session(net, "balance", validate=False, zones=ROWS, workers=workers, time_limit_s=600.0)
    return session, time.perf_counter() - begun


def swayed(runner: Any, seed: int) -> Any:
    """Return the loads, each up to 5 % off."""
    told = runner.loads.at({})
    return replace(told, s_pu=told.s_pu * np.random.default_rng(seed).uniform(0.95, 1.05, len(told.s_pu)))


def times(session: Any, repeat: int) -> dict[str, float]:
    """Print and return times of re-solves, of one zone, and of the AC check."""
    from pdnopt.balancing.inverters import read_bounds
    from pdnopt.balancing.points import point_of

    runner = session._runner
    bounds = read_bounds(runner.base, runner.inverters, (), (), None)
    wall, own, busiest, rounds = [], [], [], []
    workers = [child.pid for child in runner.levels.crew.children]
    for seed in range(repeat):
        told = swayed(runner, seed)
        before, cpu = [_cpu_s(pid) for pid in workers], time.process_time()
        begun = time.perf_counter()
        _, _, _, count = runner.search(told, bounds, runner.formulation.terms, np.inf)
        wall.append(time.perf_counter() - begun)
        own.append(time.process_time() - cpu)
        spent = [_cpu_s(pid) - was for pid, was in zip(workers, before, strict=True)]
        busiest.append(own[-1] + max(spent, default=0.0))
        rounds.append(count)
    point = point_of(
        runner.area, runner.inverters, bounds, runner._sight(told, runner._start_kva), runner._start_kva
    )
    exchange = unlimited(runner.levels.whole, FREE, FREE)
    zonal = []
    for z in range(min(20, len(runner.zones))):
        begun = time.perf_counter()
        runner.levels.zonal(point, exchange, [z])
        zonal.append(1e3 * (time.perf_counter() - begun))
    result = session.solve()
    table = Table(
        "inverters", "zones", "re-solve, s: best", "median", "processor, s: best", "of it this process",
        "rounds", "one zone, ms", "AC check, s", "findings",
    )  # fmt: skip
    table.row(
        len(runner.inverters.index), len(runner.zones), f"{min(wall):.2f}", f"{np.median(wall):.2f}",
        f"{min(busiest):.2f}", f"{np.median(own):.2f}",
        max(rounds), f"{np.median(zonal):.1f}", f"{result.timings['check_s']:.1f}", len(result.issues),
    )  # fmt: skip
    print()
    return {
        "best": min(wall),
        "processor": min(busiest),
        "zonal": float(np.median(zonal)),
        "rounds": max(rounds),
        "findings": len(result.issues),
    }


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far (Linux; 0 elsewhere)."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gap(session: Any, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Print the terms by zones, of the whole programme, and the bound."""
    from pdnopt.balancing.inverters import read_bounds
    from pdnopt.balancing.points import point_of

    runner = session._runner
    levels, area, network = runner.levels, runner.area, runner.network
    bounds = read_bounds(runner.base, runner.inverters, (), (), None)
    told = swayed(runner, seed)
    s = runner._start_kva
    point = point_of(area, runner.inverters, bounds, runner._sight(told, s), s)
    found = levels.round(point, s / 100.0, None, None)
    free = levels.zonal(point, unlimited(levels.whole, found.exchange.vuf_cap, found.exchange.spread_cap))
    parts = _islands(runner)
    picker = Picker(area.structure, parts)
    whole = [PartProgramme(cut(area.structure, part), np.zeros(0, dtype=int), whole=True) for part in parts]
    numbers = picker.pick(point)
    first = [p.least(_with(x, 0.0, 0.0), ("violations", "vuf")) for p, x in zip(whole, numbers, strict=True)]
    vuf = max(a.terms["vuf"] for a in first)
    cap = _eased(vuf, 0.0)[0]
    second = [p.least(_with(x, cap, 0.0), ("over",)) for p, x in zip(whole, numbers, strict=True)]
    spread = max(a.terms["spread"] for a in second)
    caps = cap, _eased(0.0, spread)[1]
    best = [p.solve(_with(x, *caps)) for p, x in zip(whole, numbers, strict=True)]
    fixed = picker.pick(_held(point, found.s_pu))
    ours = [p.least(_with(x, 0.0, 0.0), ("over", "rest")) for p, x in zip(whole, fixed, strict=True)]
    names = ("violations", "vuf", "spread")
    out = {
        name: (
            _worst(ours, name),
            {"violations": _worst(first, name), "vuf": vuf, "spread": spread}[name],
            np.nan,
        )
        for name in names
    }
    out["rest"] = (_rest(ours), _rest(best), _rest(list(free.values())))
    for name in REST:
        out[name] = (sum(a.terms[name] for a in ours), sum(a.terms[name] for a in best), np.nan)
    assert network is not None
    table = Table("term", "by zones", "whole programme", "worse by, %", "bound from zones alone")
    for name, (zones, central, bound) in out.items():
        worse = 100.0 * (zones - central) / central if central > 1e-9 else 0.0
        table.row(
            name, f"{zones:.5f}", f"{central:.5f}", f"{worse:.2f}", "" if bound != bound else f"{bound:.5f}"
        )
    print()
    return out


def _islands(runner: Any) -> list[Part]:
    """Return one part for each source."""
    area, network = runner.area, runner.network
    node = network.island[area.nodes]
    from pdnopt.balancing.levels.tree import read_tree

    below = read_tree(network, area, runner.inverters).below
    source = network.feeders.node[area.feeders]
    feeder = network.island[np.where(below >= 0, below, source)]
    inverter = network.island[runner.inverters.rows[::3] // 3]
    return [
        Part(np.flatnonzero(node == k), np.flatnonzero(feeder == k), np.flatnonzero(inverter == k))
        for k in np.unique(inverter)
    ]


def _with(numbers: np.ndarray, vuf_cap: float, spread_cap: float) -> np.ndarray:
    return np.r_[numbers, [OPEN_PU] * 4, vuf_cap, spread_cap, 0.0]


def _held(point: Any, s_pu: np.ndarray) -> Any:
    p, q = s_pu.real, s_pu.imag
    return replace(point, p_low=p - TRIES, p_high=p + TRIES, q_low=q - TRIES, q_high=q + TRIES)


def _worst(answers: list[PartAnswer], name: str) -> float:
    values = [a.terms[name] for a in answers]
    return float(sum(values) if name == "violations" else max(values))


def _rest(answers: list[PartAnswer]) -> float:
    return sum(weight * a.terms[name] for a in answers for name, weight in REST.items())


def main() -> int:
    """Print the tables and the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inverters", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--central", type=int, default=1000, help="inverters of the hall that is solved whole, too"
    )
    asked = parser.parse_args()
    print(machine(), end="\n\n")
    session, build_s = prepared(asked.inverters, asked.workers)
    print(f"built in {build_s:.0f} s\n")
    spent = times(session, asked.repeat)
    if asked.central != asked.inverters:
        session._runner.levels.crew.close()
        session, _ = prepared(asked.central, 1)
    found = gap(session)
    session._runner.levels.crew.close()
    aims = Aims()
    name, took = (
        f"{asked.inverters} inverters, best re-solve",
        min(spent["best"], spent["processor"] or np.inf),
    )
    aims.add(name, f"{spent['best']:.2f} s, of processor {spent['processor']:.2f} s", "2 s", took <= 2.0)
    aims.add("findings of the checker", spent["findings"], "0", spent["findings"] == 0)
    for name in ("vuf", "spread", "rest"):
        zones, central, _ = found[name]
        worse = 100.0 * (zones - central) / central if central > 1e-9 else 0.0
        slack = {"vuf": 5e-5, "spread": 5e-4, "rest": 0.0}[name]
        met = zones <= 1.01 * central + slack
        aims.add(f"{name}: worse than the whole programme by", f"{worse:.2f} %", f"1 % (or {slack:g})", met)
    return 0 if aims.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
