"""Every single failure of a reserve allocation, by the plant's own devices alone and by `pdnopt.sweep`; two rules beside.

``python -m tests.benchmarks.reserve_sweeps [--case ring_bus] [--levels 0.75 0.85 0.95] [--major]``. At each load level (of
installed UPS kW) three allocations of the same network: that of ``reserve``, that of the average-seeking rule, the taps as
given. The first table says what each failure comes to within an hour if nobody acts (`pdnopt.response.cascade`: overload
curves, batteries, transfers): *carried*; *battery*: nothing is overloaded, but a battery ends and load is dark then;
*overload*: something is loaded beyond its time budget and trips; *dark*: load with a surviving path is dark at once. Load
without a surviving path is left out of these and named. The second table is the sweep of the reserve allocation: plans
that the checker has verified, how many of them are empty, what is unserved beyond the load without a path.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pdnopt
from cases.hall import load_level_kw
from pdnopt.acflow import FlowEngine
from pdnopt.allocation.average_seeking import average_seeking
from pdnopt.candidates import contingencies
from pdnopt.plant.demand import read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import cascade, respond
from tests.benchmarks._reporting import Aims, Table, machine

LEVELS = (0.75, 0.85, 0.95)
ALONE = 0.75
"""Up to this level the plant's own devices shall carry every single failure."""

MAJOR = ("ext_grid", "ups", "trafo", "transfer")
HOUR_S = 3600.0
KW = 0.1
OVERLOADED = "of its limit for too long"
"""What `cascade` gives as the reason of a trip."""


@dataclass(frozen=True)
class Outcome:
    """What one failure comes to if nobody acts; ``lost_kw`` and ``trips`` within an hour, without the unservable."""

    failed: str
    kind: str
    lost_kw: float
    trips: int
    first_s: float
    unservable: tuple[str, ...]
    unservable_kw: float


def left_alone(net: Any, names: Sequence[str], p_load_kw: pd.Series) -> list[Outcome]:
    """Return what every failure comes to by the plant's own devices alone."""
    grid = read_grid(net)
    demand = with_load_kw(read_demand(net, grid), p_load_kw, None)
    engine = FlowEngine(net)
    out = []
    for name in names:
        response = respond(grid, demand, parse_failed(net, [name]))
        gone = response.unservable
        dark = ~(demand.sum_by_unit(response.living.astype(float)) > 0) & ~gone
        events = cascade(net, response.grid, demand, response, engine, HOUR_S)
        trips = [event for event in events if OVERLOADED in event.reason]
        lost_kw = sum(event.lost_kw for event in events) + float(demand.d_kw[dark].sum())
        empty_s = min((event.t_s for event in events if event.what == "battery empty"), default=np.inf)
        trip_s = min((event.t_s for event in trips), default=np.inf)
        kind = "carried"
        if dark.any():
            kind = "dark"
        elif trips and trip_s < empty_s:
            kind = "overload"
        elif trips or lost_kw > KW:
            kind = "battery"
        first_s = {"carried": np.inf, "dark": 0.0, "overload": trip_s, "battery": empty_s}[kind]
        names_gone = tuple(demand.name[u] for u in np.flatnonzero(gone))
        out.append(
            Outcome(name, kind, lost_kw, len(trips), first_s, names_gone, float(demand.d_kw[gone].sum()))
        )
    return out


def allocations(net: Any, p_load_kw: pd.Series, time_limit_s: float = 60.0) -> dict[str, Any]:
    """Return the network under each allocation."""
    result = pdnopt.solve(
        net, "reserve", p_load_kw=p_load_kw, time_limit_s=time_limit_s, explain=False
    ).raise_for_status()
    ruled = average_seeking(net, p_load_kw)
    return {
        "reserve": result.plan.apply(net) if result.plan.actions else net,
        "average-seeking": ruled.apply(net) if ruled.actions else net,
        "as given": net,
    }


def swept(net: Any, components: Any, p_load_kw: pd.Series, alone: Sequence[Outcome]) -> pd.DataFrame:
    """Return the sweep of every single failure, with what is unserved beyond the load without a path."""
    frame = pdnopt.sweep(net, 1, components, p_load_kw=p_load_kw, workers=1)
    gone_kw = {outcome.failed: outcome.unservable_kw for outcome in alone}
    frame["beyond_kw"] = frame["unserved_kw"] - frame["contingency"].map(gone_kw)
    frame["in_time"] = frame["plan_s"] < frame["deadline_s"]
    return frame


def judge(
    case: str, level: float, major: bool, tables: tuple[Table, Table]
) -> tuple[pd.DataFrame, list[Outcome]]:
    """Print the rows of one case and level; return the sweep and what the failures come to if nobody acts."""
    net = pdnopt.load_case(case)
    p_load_kw = load_level_kw(net, level)
    components = MAJOR if major else None
    names = contingencies(net, components)
    found: dict[int, list[Outcome]] = {}
    nets = allocations(net, p_load_kw)
    for way, after in nets.items():
        alone = found.setdefault(
            id(after), left_alone(after, names, p_load_kw) if id(after) not in found else []
        )
        count = Counter(outcome.kind for outcome in alone)
        worst = max(alone, key=lambda outcome: outcome.lost_kw)
        first_s = min((o.first_s for o in alone if o.kind in ("overload", "battery")), default=np.inf)
        tables[0].row(
            *(case, f"{level:.2f}", way, len(alone)),
            *(count[kind] for kind in ("carried", "battery", "overload", "dark")),
            sum(outcome.trips for outcome in alone),
            f"{worst.lost_kw:.0f} ({worst.failed})" if worst.lost_kw > KW else "0",
            f"{first_s:.0f}" if np.isfinite(first_s) else "-",
        )
    alone = found[id(nets["reserve"])]
    frame = swept(nets["reserve"], components, p_load_kw, alone)
    ok = frame["status"].isin(["optimal", "feasible"])
    gone = [outcome for outcome in alone if outcome.unservable]
    tables[1].row(
        *(case, f"{level:.2f}", len(frame), int(ok.sum()), int((frame["n_actions"] == 0).sum())),
        int((frame["beyond_kw"] > KW).sum()),
        *(f"{frame['beyond_kw'].max():.1f}", f"{frame['worst_loading_percent'].max():.1f}"),
        int((~frame["in_time"]).sum()),
        f"{len(gone)}: at most {max((o.unservable_kw for o in gone), default=0.0):.1f} kW",
    )
    return frame, alone


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="*", default=["ring_bus", "hall_4n3"])
    parser.add_argument("--levels", nargs="*", type=float, default=list(LEVELS))
    parser.add_argument("--major", action="store_true", help=f"only {', '.join(MAJOR)} fail")
    asked = parser.parse_args()
    print(f"{machine()}\n")
    heads = (
        "case, level, allocation, failures, carried, battery, overload, dark, trips, most kW lost, first after s",
        "case, level, failures, verified, no command, unserved beyond, most kW, worst %, late, without a path",
    )
    found = []
    for case in asked.case:
        for level in asked.levels:
            tables = tuple(Later(*head.split(", ")) for head in heads)
            frame, alone = judge(case, level, asked.major, tables)  # type: ignore[arg-type]
            found.append((case, level, frame, alone, tables))
    for k, title in enumerate(("If nobody acts, within an hour", "`pdnopt.sweep` of the reserve allocation")):
        print(f"\n{title}\n")
        table = Table(*heads[k].split(", "))
        for *_, tables in found:
            for cells in tables[k].cells:
                table.row(*cells)
    print()
    for case, level, _, alone, _ in found:
        named = "; ".join(f"{o.failed}: {', '.join(o.unservable)}" for o in alone if o.unservable)
        print(f"{case} {level:.2f}, without a path: {named or 'nobody'}")
        waiting = [o for o in alone if o.kind != "carried"]
        print(
            f"{case} {level:.2f}, not carried by devices alone: {', '.join(o.failed for o in waiting) or 'none'}\n"
        )
    aims = Aims()
    for case, level, frame, alone, _ in found:
        ok = int(frame["status"].isin(["optimal", "feasible"]).sum())
        aims.add(f"{case} {level:.2f}, verified plans in time", ok, len(frame),
                 ok == len(frame) and bool(frame["in_time"].all()))  # fmt: skip
        if level <= ALONE + 1e-9:
            over = sum(o.kind in ("overload", "dark") for o in alone)
            most = frame["beyond_kw"].max()
            aims.add(f"{case} {level:.2f}, overloads or dark load by devices alone", over, 0, over == 0)
            aims.add(f"{case} {level:.2f}, kW unserved beyond the unservable", f"{most:.1f}", 0, most <= KW)
    return 0 if aims.met else 1


class Later:
    """Rows that are printed once all of them are there; the last one is shown on the way."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.cells: list[tuple[object, ...]] = []

    def row(self, *cells: object) -> None:
        self.cells.append(cells)
        print("; ".join(f"{name} {cell}" for name, cell in zip(self.columns, cells, strict=True)), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
