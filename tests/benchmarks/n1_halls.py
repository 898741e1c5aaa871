"""Every single failure of a hall at several load levels: verified, bounded, timed.

``python -m tests.benchmarks.n1_halls [--case hall_4n3] [--levels 0.6 0.75 0.9 0.95] [--major]`` prints one line a failure
and a Markdown table: failures, verified, largest gap, priority-1 load beyond an independent LP bound, p50 and p99 of the
session's total time, and its ratio to one bare LP of the same arrays (cold, in a HiGHS of its own, same run). With
``--prove`` a failure whose gap the default time limit leaves above 0.1 % is solved again with PROOF_S seconds and a
smaller gap; the times stay those of the first solve, the time of the longest proof is printed beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.sparse import lil_array

import cases
from cases.hall import load_level_kw
from pdnopt.plant.names import component_names
from pdnopt.result import Result
from pdnopt.session import Session
from tests.benchmarks._reporting import Table, machine

LEVELS = (0.60, 0.75, 0.90, 0.95)
TABLES = ("ext_grid", "ups", "trafo", "transfer", "bus", "line", "switch")
LP_EVERY = 10
"""One failure in so many is followed by a bare LP."""

PROOF_S, PROOF_GAP, AIM_GAP = 120.0, 3e-4, 1e-3
MAJOR = ("ext_grid", "ups", "trafo", "transfer")


def failures(net: Any, major: bool = False) -> list[str]:
    """Return the single failures: final rack circuits and companions of UPSs left out."""
    own = {
        f"ext_grid:{name}"
        for name, kind in zip(net.ext_grid["name"], net.ext_grid["kind"], strict=True)
        if kind in ("utility", "genset")
    }
    names = [n for table in (MAJOR if major else TABLES) for n in component_names(net, table)]
    return [n for n in names if not n.startswith("ext_grid:") or n in own]


def least_unserved_kw(net: Any, failed: str, p_load_kw: pd.Series, priority: int = 1) -> float:
    """Return a lower bound in kW on the unserved load of one priority, from a network-flow LP of its own.

    Every rack may draw from any UPS over any switch, in any split and without loss; a UPS gives at most 1.5 times
    its rating, a line, switch or cord's breaker what its rating (or its overload curve, for an hour) lets through at
    the best power factor of any load. Nothing of the product's model is used: the arrays are the tables', the LP is scipy's.
    """
    table, _, name = failed.partition(":")
    dead = set(net.bus.index[net.bus["name"] == name]) if table == "bus" else set()
    bus = [b for b in net.bus.index if b not in dead]
    node = {b: k for k, b in enumerate(bus)}
    vn_kv = net.bus["vn_kv"]
    real = net.load[net.load["q_mvar"] > 0]
    factor = float((real["p_mw"] / np.hypot(real["p_mw"], real["q_mvar"])).max())
    hour = net.overload_curve[net.overload_curve["max_s"] >= 3600.0].groupby("name")["ratio"].max()

    def cap_kw(i_ka: float, at: int, curve: Any) -> float:
        most = 1e9 if pd.isna(i_ka) or i_ka > 9e4 else np.sqrt(3.0) * vn_kv[at] * i_ka * 1000.0 * factor
        return float(most * hour.get(curve, 1.0))

    edges = []
    for row in net.line.itertuples():
        if not (table == "line" and row.name == name):
            i_ka = row.max_i_ka * row.df * row.parallel
            edges.append(
                (row.from_bus, row.to_bus, cap_kw(i_ka, row.from_bus, getattr(row, "overload_curve", "")))
            )
    for row in net.switch.itertuples():
        if row.et == "b" and pd.isna(row.ups) and not (table == "switch" and row.name == name):
            edges.append(
                (row.bus, row.element, cap_kw(row.in_ka, row.bus, getattr(row, "overload_curve", "")))
            )
    edges = [(a, b, cap) for a, b, cap in edges if a in node and b in node]
    ups = [(row.out_bus, 1500.0 * row.p_rated_mw) for row in net.ups.itertuples()
           if not (table == "ups" and row.name == name) and row.out_bus in node]  # fmt: skip
    rows = net.load.loc[p_load_kw.index]
    mine = rows[(rows["priority"] == priority) & rows["bus"].isin(node)]
    total = float(p_load_kw[rows.index[rows["priority"] == priority]].sum())
    racks = {rack: k for k, rack in enumerate(mine["rack"].unique())}
    demand = p_load_kw[rows.index].groupby(rows["rack"]).sum()
    n_e, n_u, n_c = len(edges), len(ups), len(mine)
    ends = [(node[a], node[b]) for a, b, _ in edges]
    balance = lil_array((len(bus), n_e + n_u + n_c))
    for k, (a, b) in enumerate(ends):
        balance[a, k], balance[b, k] = -1.0, 1.0
    for k, (at, _) in enumerate(ups):
        balance[node[at], n_e + k] = 1.0
    share = lil_array((len(racks), n_e + n_u + n_c))
    for k, (at, rack) in enumerate(zip(mine["bus"], mine["rack"], strict=True)):
        balance[node[at], n_e + n_u + k] = -1.0
        share[racks[rack], n_e + n_u + k] = 1.0
    cords = [cap_kw(a / 1000.0, at, "") for a, at in zip(mine["breaker_a"], mine["bus"], strict=True)]
    bounds = [(-cap, cap) for *_, cap in edges] + [(0.0, cap) for *_, cap in (*ups, *((0, c) for c in cords))]
    cost = np.r_[np.zeros(n_e + n_u), -np.ones(n_c)]
    most = [float(demand[rack]) for rack in racks]
    solved = linprog(cost, share.tocsr(), most, balance.tocsr(), np.zeros(len(bus)), bounds, method="highs")
    assert solved.status == 0, solved.message
    return float(total + solved.fun)


@dataclass(frozen=True)
class Row:
    """One failure at one level."""

    failed: str
    level: float
    result: Result
    bound_kw: float
    bare_lp_s: float
    proof: Result | None = None

    @property
    def worst_gap(self) -> float:
        return worst_gap(self.proof or self.result)

    @property
    def proof_s(self) -> float:
        return self.proof.timings["total_s"] if self.proof else 0.0


def worst_gap(result: Result) -> float:
    """Return the largest gap of a priority, part of its demand; infinite without a plan."""
    gaps = [gap for term, gap in result.gap.items() if term.startswith("unserved_p")]
    return max(gaps) if gaps else float("inf")


def bare_lp_s(session: Session, failed: str, p_load_kw: pd.Series) -> float:
    """Time one cold LP of the arrays of this failure: the first term, nothing held, nothing tightened."""
    from pdnopt.engine.highs import HighsModel
    from pdnopt.plant.demand import with_load_kw
    from pdnopt.plant.failures import parse_failed
    from pdnopt.response import respond

    runner = session._runner
    prepared, formulation = runner.optimiser.models[0], runner.formulation
    demand = with_load_kw(runner.demand, p_load_kw, None)
    response = respond(runner.grid, demand, parse_failed(runner.net, [failed]))
    limits = formulation.limits(response.grid, runner.curves, 3600.0, {})
    prepared.updater.write(formulation.numbers(prepared.sets, demand, response, limits, 3600.0))
    model = prepared.model
    begun = time.perf_counter()
    solver = HighsModel(relax=True)
    solver.load(model.matrix, model.row_low, model.row_high, model.col_low, model.col_high, model.integer)
    solver.set_cost(sum(cost for name, cost in model.cost.items() if name.startswith("unserved_p")))
    solver.solve()
    return time.perf_counter() - begun


def run(
    case: str, levels: tuple[float, ...], major: bool, prove: bool, only: tuple[str, ...] = ("",)
) -> Iterator[Row]:
    """Solve every failure whose name begins with one of ``only`` at every level in one session."""
    net = cases.build(case)
    session = Session(net, validate=False)
    for level in levels:
        p_load_kw = load_level_kw(net, level)
        chosen = [failed for failed in failures(net, major) if failed.startswith(only)]
        for number, failed in enumerate(chosen):
            result = session.solve(failed=[failed], p_load_kw=p_load_kw, explain=False)
            bare_s = bare_lp_s(session, failed, p_load_kw) if number % LP_EVERY == 0 else float("nan")
            proof = None
            if prove and worst_gap(result) > AIM_GAP:
                proof = session.solve(
                    failed=[failed], p_load_kw=p_load_kw, explain=False, time_limit_s=PROOF_S, gap=PROOF_GAP
                )
            yield Row(failed, level, result, least_unserved_kw(net, failed, p_load_kw), bare_s, proof)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="*", default=["hall_2n", "hall_4n3"])
    parser.add_argument("--levels", nargs="*", type=float, default=list(LEVELS))
    parser.add_argument(
        "--major", action="store_true", help="sources, UPSs, transformers and transfer devices only"
    )
    parser.add_argument("--prove", action="store_true", help="give gaps above 0.1 %% more time")
    parser.add_argument(
        "--only", nargs="*", default=[""], help="failures whose names begin so, for instance ups:"
    )
    options = parser.parse_args()
    heads = "case, level, failures, verified, worst gap %, p1 beyond bound kW, p50 ms, p99 ms, p50 / LP, proofs, longest s"
    summary = []
    for case in options.case:
        for level in options.levels:
            rows = []
            for row in run(case, (level,), options.major, options.prove, tuple(options.only)):
                rows.append(row)
                r = row.result
                print(f"{case} {level:.2f} {row.failed:24s} {r.status:9s} unserved {r.unserved_kw:8.1f} kW "
                      f"gap {100 * row.worst_gap:.3f} % "
                      f"{len(r.plan.actions):4d} actions {1e3 * r.timings['total_s']:8.0f} ms "
                      f"{' '.join(i.kind + ' ' + i.id for i in r.issues[:2])}", flush=True)  # fmt: skip
            times = 1e3 * np.array([row.result.timings["total_s"] for row in rows])
            bare = 1e3 * np.nanmedian([row.bare_lp_s for row in rows])
            beyond = max(row.result.unserved_by_priority.get(1, 0.0) - row.bound_kw for row in rows)
            verified = sum(row.result.ok for row in rows)
            p50, p99 = np.percentile(times, [50, 99])
            worst = f"{100 * max(row.worst_gap for row in rows):.3f}"
            proofs = (sum(row.proof is not None for row in rows), f"{max(row.proof_s for row in rows):.0f}")
            times_ms = (f"{p50:.0f}", f"{p99:.0f}", f"{p50 / bare:.1f}")
            summary.append(
                (case, f"{level:.2f}", len(rows), verified, worst, f"{beyond:.2f}", *times_ms, *proofs)
            )
    print(f"\n{machine()}\n")
    table = Table(*heads.split(", "))
    for cells in summary:
        table.row(*cells)


if __name__ == "__main__":
    main()
