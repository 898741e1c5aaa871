"""Every single failure of every case: what the plant's devices do alone, what the baseline rules do, what pdnopt does.

``python -m tests.benchmarks.against_baselines [--case two_feed hall_4n3@0.9 ...]`` prints a Markdown table. ``case@level``
puts a hall at a load level (part of installed UPS kW); ``--sample 150`` takes so many failures of each case, drawn at
random with a fixed seed. All plans are judged by the same checker. For each way:

* verified: failures whose plan the checker accepts;
* unserved p1, p2, p3: kW not fed at the end of the plan, summed over all failures. For a plan that is not verified it is
  what the plan means to leave dark, before what it overloads trips: such sums look better than they are;
* overloads: failures with a component beyond its limit, or beyond its time at a load, or a battery or fuel run down;
* other: failures refused for another reason (a loop, sources that meet, voltage, a unit dark longer than it may be, ...);
* actions: summed over all failures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import cases
from cases.hall import load_level_kw
from pdnopt.acflow import FlowEngine
from pdnopt.baselines import breadth_first_reroute
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.session import Session
from pdnopt.sweeps import contingencies
from tests.benchmarks._reporting import Table

OVERLOADS = {"Overload", "BudgetExceeded", "BatteryEnergy", "FuelEnergy"}
WAYS = ("devices alone", "breadth first", "breadth first, then shed", "pdnopt")
DEFAULT = [name for name in cases.CASES if name != "campus"] + ["hall_2n@0.9", "hall_4n3@0.9"]


@dataclass
class Tally:
    """Sums over the failures of one case, for one way of answering them."""

    failures: int = 0
    verified: int = 0
    overloads: int = 0
    other: int = 0
    actions: int = 0
    unserved_kw: dict[int, float] = field(default_factory=dict)

    def add(self, checker: Checker, plan: Plan) -> None:
        """Let the checker judge one plan."""
        report = checker.report(plan)
        kinds = {issue.kind for issue in report.issues if issue.severity == "error"}
        self.failures += 1
        self.verified += not kinds
        self.overloads += bool(kinds & OVERLOADS)
        self.other += bool(kinds - OVERLOADS)
        self.actions += len(plan.actions)
        for priority, kw in report.unserved_by_priority.items():
            self.unserved_kw[priority] = self.unserved_kw.get(priority, 0.0) + kw


def answers(net: Any, session: Session, engine: FlowEngine, failed: str, p_load_kw: Any) -> Iterator[Plan]:
    """Yield the plan of every way, in the order of WAYS."""
    result = session.solve(failed=[failed], p_load_kw=p_load_kw)
    loads = {} if p_load_kw is None else {"load": {int(k): float(v) for k, v in p_load_kw.items()}}
    yield Plan(problem="reroute", failed=(failed,), automatic=result.plan.automatic, loads_kw=loads)
    for shed in (False, True):
        yield breadth_first_reroute(net, failed, p_load_kw, shed=shed, engine=engine)
    yield result.plan


def chosen(net: Any, sample: int) -> list[str]:
    """Return the failures to answer: all, or a sample in the order of the network's tables."""
    names = contingencies(net)
    if not 0 < sample < len(names):
        return names
    return [names[k] for k in sorted(np.random.default_rng(0).choice(len(names), sample, replace=False))]


def compare(name: str, sample: int) -> dict[str, Tally]:
    """Answer single failures of one case in every way."""
    case, _, level = name.partition("@")
    net = cases.build(case)
    p_load_kw = load_level_kw(net, float(level)) if level else None
    engine = FlowEngine(net)
    session, checker = Session(net, validate=False, explain=False), Checker(net, engine)
    tallies = {way: Tally() for way in WAYS}
    for failed in chosen(net, sample):
        for tally, plan in zip(
            tallies.values(), answers(net, session, engine, failed, p_load_kw), strict=True
        ):
            tally.add(checker, plan)
    return tallies


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="*", default=DEFAULT)
    parser.add_argument("--sample", type=int, default=0, help="failures of each case (0: all)")
    options = parser.parse_args()
    heads = "case, way, failures, verified, unserved p1 kW, p2 kW, p3 kW, overloads, other, actions"
    table = Table(*heads.split(", "))
    for name in options.case:
        for way, tally in compare(name, options.sample).items():
            unserved = [f"{tally.unserved_kw.get(priority, 0.0):.1f}" for priority in (1, 2, 3)]
            counts = [tally.overloads, tally.other, tally.actions]
            table.row(name, way, tally.failures, tally.verified, *unserved, *counts)


if __name__ == "__main__":
    main()
