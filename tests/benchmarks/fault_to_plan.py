"""From the failure to a verified, ordered plan: every single failure of ``hall_4n3`` x 20 load draws of 70 to 95 %.

``python -m tests.benchmarks.fault_to_plan [--sample 300] [--opponents 6] [--limit-s 30]`` prints

* p50, p99 and worst of the session's whole time and of each of its spans, over all answers and over those that need a
  decision (a plan with actions, or none); how many are verified; the gap of the plan returned: unserved (plan - proven
  bound) over served kW;
* the worst overshoot of small time limits, against 10 % + 20 ms;
* side by side on the same failures that need a decision: one bare LP, plain HiGHS, Pyomo's appsi_highs cold and persistent
  (what is and is not timed: `tests.benchmarks._opponents`).

A load draw spreads each rack by 10 % around its nominal (`cases.hall.load_level_kw`, seeded), and respects the racks' own
limits. ``--sample 0`` runs all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import cases
from cases.hall import load_level_kw
from pdnopt.result import Result
from pdnopt.session import Session
from tests.benchmarks._opponents import GAP, ColdPyomo, PersistentPyomo, Plant, Run, bare_lp, plain_mip
from tests.benchmarks._reporting import Aims, Table, machine, milliseconds, ratio
from tests.benchmarks.n1_halls import failures

DRAWS, LOWEST, HIGHEST = 20, 0.70, 0.95
SMALL_LIMITS_S = (0.05, 0.1, 0.5, 1.0)
OVERSHOOT_PART, OVERSHOOT_S = 0.10, 0.020
AIM_P99_S, AIM_GAP, AIM_LP, AIM_COLD = 0.100, 1e-3, 5.0, 20.0
WARM_UP = 3


@dataclass(frozen=True)
class Job:
    """One failure under one draw of the loads."""

    failed: str
    draw: int
    p_load_kw: pd.Series


@dataclass(frozen=True)
class Answer:
    """What the session returned, and the wall time of the call."""

    job: Job
    result: Result
    wall_s: float

    @property
    def decides(self) -> bool:
        """Whether something had to be decided: there are actions, or no usable plan was found."""
        return bool(self.result.plan.actions) or not self.result.ok

    @property
    def gap(self) -> float:
        """Unserved load above the proven bound, part of the served load; infinite where nothing is proved."""
        r = self.result
        beyond = sum(max(r.objective[t] - r.bound[t], 0.0) for t in r.objective if t.startswith("unserved_p"))
        demand_kw = float(self.job.p_load_kw.sum())
        return beyond / max(demand_kw - r.unserved_kw, 1e-9) if r.objective else float("inf")


def draw_kw(net: Any, level: float, seed: int) -> pd.Series:
    """Return a draw of the loads at a level; no rack above what its own cords carry together."""
    kw = load_level_kw(net, level, seed)
    rows = net.load.loc[kw.index]
    kva = rows["breaker_a"] * np.sqrt(3.0) * net.bus["vn_kv"].reindex(rows["bus"]).to_numpy()
    factor = rows["p_mw"] / np.hypot(rows["p_mw"], rows["q_mvar"])
    return kw.clip(upper=(kva * factor).fillna(np.inf))


def jobs_of(net: Any, sample: int, seed: int) -> list[Job]:
    """Return all failures under all draws, or a sample of them."""
    levels = np.linspace(LOWEST, HIGHEST, DRAWS)
    draws = [draw_kw(net, float(level), k) for k, level in enumerate(levels)]
    pairs = [(failed, k) for k in range(DRAWS) for failed in failures(net)]
    if 0 < sample < len(pairs):
        chosen = np.random.default_rng(seed).choice(len(pairs), size=sample, replace=False)
        pairs = [pairs[k] for k in sorted(chosen.tolist())]
    return [Job(failed, k, draws[k]) for failed, k in pairs]


def answer(session: Session, job: Job, **keywords: Any) -> Answer:
    """Let the session answer one job."""
    begun = time.perf_counter()
    result = session.solve(failed=[job.failed], p_load_kw=job.p_load_kw, explain=False, **keywords)
    return Answer(job, result, time.perf_counter() - begun)


def print_times(answers: list[Answer]) -> bool:
    """Print times, verified plans and gaps; return whether the aims are met."""
    decided = [a for a in answers if a.decides]
    table = Table("answers", "span", "count", "p50 ms", "p99 ms", "worst ms")
    for name, some in (("all", answers), ("need a decision", decided)):
        table.row(name, "**whole call**", len(some), *milliseconds(a.wall_s for a in some))
        spans = [
            s
            for s in (some[0].result.timings if some else ())
            if s not in ("total_s", "build_s", "first_plan_s")
        ]
        for span in spans:
            times = milliseconds(a.result.timings[span] for a in some)
            table.row(name, span.removesuffix("_s"), len(some), *times)
        table.row(
            name,
            "first verified plan",
            len(some),
            *milliseconds(a.result.timings["first_plan_s"] for a in some if a.result.ok),
        )
        rest = (a.wall_s - sum(a.result.timings[span] for span in spans) for a in some)
        table.row(name, "all else (response of the devices, result)", len(some), *milliseconds(rest))
    gaps = np.array([a.gap for a in answers])
    verified = sum(a.result.ok for a in answers)
    p99_s = float(np.percentile([a.wall_s for a in answers], 99, method="higher"))
    worst = float(gaps.max())
    within = f"{(gaps <= AIM_GAP).sum()} of {len(gaps)} within"
    print()
    aims = Aims()
    aims.add("verified plans", f"{verified} of {len(answers)}", "all", verified == len(answers))
    aims.add(
        "p99 of the whole call", f"{1e3 * p99_s:.0f} ms", f"{1e3 * AIM_P99_S:.0f} ms", p99_s <= AIM_P99_S
    )
    aims.add(
        "worst gap, part of the served load",
        f"{100 * worst:.3f} % ({within})",
        f"{100 * AIM_GAP:.1f} %",
        worst <= AIM_GAP,
    )
    return aims.met


def print_overshoot(session: Session, jobs: list[Job]) -> bool:
    """Print how far small time limits are exceeded; return whether the aim is met."""
    if not jobs:
        return True
    table = Table("time limit s", "calls", "verified", "worst overshoot ms", "allowed ms", "met")
    good = True
    for limit_s in SMALL_LIMITS_S:
        answers = [answer(session, job, time_limit_s=limit_s) for job in jobs]
        worst_s = max(a.wall_s - limit_s for a in answers)
        allowed_s = OVERSHOOT_PART * limit_s + OVERSHOOT_S
        met = worst_s <= allowed_s
        good &= met
        verified = sum(a.result.ok for a in answers)
        cells = (f"{1e3 * max(worst_s, 0.0):.1f}", f"{1e3 * allowed_s:.0f}", "yes" if met else "**no**")
        table.row(limit_s, len(answers), verified, *cells)
    return good


def print_opponents(net: Any, answers: list[Answer], limit_s: float) -> bool:
    """Time the others on the failures of some answers; return whether the aims are met."""
    if not answers:
        return True
    plant = Plant(net)
    ours_s = [a.wall_s for a in answers]
    found: dict[str, list[Run]] = {}
    names = (
        "one bare LP",
        "plain HiGHS, same arrays",
        "Pyomo appsi_highs, cold",
        "Pyomo appsi_highs, persistent",
    )
    cold, kept = ColdPyomo(plant, limit_s), PersistentPyomo(plant, limit_s)
    for number, a in enumerate(answers, start=1):
        plant.write(a.job.failed, a.job.p_load_kw)
        runs = (bare_lp(plant), plain_mip(plant, limit_s), cold.run(), kept.run())
        for name, run in zip(names, runs, strict=True):
            found.setdefault(name, []).append(run)
        exact = [run.objective for run in runs[1:] if np.isfinite(run.time_s)]
        if exact and max(exact) - min(exact) > 2.0 * GAP * plant.value:
            raise RuntimeError(f"{a.job.failed}: the solvers disagree: {exact}")
        print(f"  {number} of {len(answers)}: {a.job.failed}, ours {a.wall_s:.2f} s, "
              f"others {', '.join(f'{run.time_s:.2f}' for run in runs)} s", file=sys.stderr, flush=True)  # fmt: skip
    table = Table("who", "does", "runs", "cut off", "p50 ms", "p99 ms", "its time / ours, median")
    table.row("pdnopt", "plan, ordered, verified", len(ours_s), 0, *milliseconds(ours_s, (50, 99)), "1")
    for name, runs in found.items():
        times = [run.time_s for run in runs]
        does = "a bound" if name == names[0] else "unserved load to the same gap"
        cut = sum(not np.isfinite(t) for t in times)
        table.row(name, does, len(runs), cut, *milliseconds(times, (50, 99)), ratio(times, ours_s, limit_s))
    lp = float(np.median(np.array(ours_s) / [run.time_s for run in found[names[0]]]))
    colds = np.minimum([run.time_s for run in found[names[2]]], limit_s)
    times = float(np.percentile(colds / np.array(ours_s), 50, method="lower"))
    print()
    aims = Aims()
    aims.add("ours over one bare LP, median", f"{lp:.1f}", f"at most {AIM_LP:g}", lp <= AIM_LP)
    aims.add("cold Pyomo over ours, median", f"{times:.1f}", f"at least {AIM_COLD:g}", times >= AIM_COLD)
    return aims.met


def spread(answers: list[Answer], count: int) -> list[Answer]:
    """Return up to ``count`` answers, spread evenly over the list."""
    at = np.unique(np.linspace(0, len(answers) - 1, min(count, len(answers))).round().astype(int))
    return [answers[k] for k in at] if answers else []


def main() -> int:
    """Print the tables; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default="hall_4n3")
    parser.add_argument("--sample", type=int, default=300, help="answers to time; 0: every one")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--time-limit-s", type=float, default=10.0, help="of pdnopt's own solves")
    parser.add_argument("--overshoot", type=int, default=10, help="failures to cut short at small limits")
    parser.add_argument("--opponents", type=int, default=6, help="failures to give to the others")
    parser.add_argument("--limit-s", type=float, default=30.0, help="time limit of the others")
    options = parser.parse_args()
    net = cases.build(options.case)
    jobs = jobs_of(net, options.sample, options.seed)
    session = Session(net, validate=False, time_limit_s=options.time_limit_s)
    for job in jobs[:WARM_UP]:  # what is imported and compiled once
        answer(session, job)
    answers = []
    for number, job in enumerate(jobs, start=1):
        answers.append(answer(session, job))
        if number % 50 == 0:
            print(f"  {number} of {len(jobs)}", file=sys.stderr, flush=True)
    decided = [a for a in answers if a.decides]
    print(
        f"{options.case}, {len(jobs)} of {DRAWS * len(failures(net))} answers, "
        f"loads {100 * LOWEST:.0f} to {100 * HIGHEST:.0f} % of installed UPS kW; {machine()}\n"
    )
    met = print_times(answers)
    print()
    met &= print_overshoot(session, [a.job for a in spread(decided, options.overshoot)])
    print()
    met &= print_opponents(net, spread(decided, options.opponents), options.limit_s)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
