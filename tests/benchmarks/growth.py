"""How build and fault-to-plan grow: ``campus`` of 1,000 to 50,000 rack circuits, each size in a fresh process.

``python -m tests.benchmarks.growth [--sizes 1000 20000] [--repeat 3]`` prints for each size the circuits that it has;
seconds to read the network, to build the Pyomo model and to compile it; median ms to respond to a failure and write its
numbers, and from the failure to the verified plan (a UPS, a transformer, a main board and a cable of a ring that fail: the
median and the longest of the four); ms of the check; and the largest memory of the process. Exponents are those of a
least-squares line through the logarithms of all sizes. The figure goes to ``out/bench/growth.png`` (extra ``plot``).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._reporting import OUT, Aims, Table, machine

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
CIRCUITS_PER_HALL = 840  # about 853; so that 20,000 circuits are the 24 halls of the case
FAILURES = ("ups:UPS-01A", "trafo:TX-01A", "bus:main 01A", "line:ring 1a0")
SECONDS = ("read_s", "build_s", "compile_s", "update_s", "solve_s", "longest_s", "check_s")
AIM_EXPONENT, AIM_SIZE, AIM_S = 1.2, 20_000, 1.5
TIMEOUT_S = 3600.0
UPDATES = 9


def measure(halls: int, repeat: int) -> dict[str, Any]:
    """Build one campus and answer its failures, in this process."""
    from cases.campus import campus
    from pdnopt.session import Session
    from tests.benchmarks._opponents import Plant

    net = campus(halls=halls)
    circuits = int((net.load["rack"] != "").sum())
    begun = time.perf_counter()
    session = Session(net, validate=False, explain=False, time_limit_s=60.0)
    session_s = time.perf_counter() - begun
    walls: dict[str, list[float]] = {}
    checks, verified = [], True
    for failed in FAILURES:
        session.solve(failed=[failed])  # warm
        for _ in range(repeat):
            begun = time.perf_counter()
            result = session.solve(failed=[failed])
            walls.setdefault(failed, []).append(time.perf_counter() - begun)
            checks.append(result.timings["check_s"])
            verified &= result.ok
    peak_mb = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    )  # before the model is built once more
    plant = Plant(net)
    updates = []
    for _ in range(UPDATES):
        begun = time.perf_counter()
        plant.write(FAILURES[0], None)
        updates.append(time.perf_counter() - begun)
    medians = [float(np.median(times)) for times in walls.values()]
    return {
        "circuits": circuits,
        "rows": int(plant.model.matrix.shape[0]),
        "columns": plant.model.n_columns,
        "session_s": session_s,
        "read_s": plant.read_s,
        "build_s": plant.build_s,
        "compile_s": plant.compile_s,
        "update_s": float(np.median(updates)),
        "solve_s": float(np.median(medians)),
        "longest_s": max(medians),
        "check_s": float(np.median(checks)),
        "by_failure": dict(zip(walls, medians, strict=True)),
        "verified": verified,
        "peak_mb": peak_mb,
    }


def in_fresh_process(halls: int, repeat: int) -> dict[str, Any]:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.growth"]
    done = subprocess.run(
        [*command, "--one", str(halls), "--repeat", str(repeat)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def exponent(circuits: list[float], times_s: list[float]) -> float:
    """Return b of the least-squares fit time = a circuits^b; NaN with fewer than two sizes."""
    if len(circuits) < 2:
        return float("nan")
    return float(np.polyfit(np.log(circuits), np.log(times_s), 1)[0])


def plot(rows: list[dict[str, Any]], path: Path) -> bool:
    """Draw times against circuits on logarithmic axes; return whether matplotlib is there to do it."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    circuits = [row["circuits"] for row in rows]
    lines = (
        ("build_s", "build of the Pyomo model (once a network)", "tab:gray", "s"),
        ("compile_s", "compilation to arrays (once a network)", "tab:brown", "^"),
        ("longest_s", "fault to verified plan, longest of four failures", "tab:red", "D"),
        ("solve_s", "fault to verified plan, median of four failures", "tab:blue", "o"),
        ("check_s", "check by AC power flow", "tab:green", "v"),
        ("update_s", "response to the failure, update of the numbers", "tab:purple", "P"),
    )
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.5, 5.2), width_ratios=(2.2, 1), layout="constrained"
    )
    for key, label, colour, marker in lines:
        times = [row[key] for row in rows]
        slope = exponent(circuits, times)
        left.loglog(circuits, times, marker=marker, color=colour, label=f"{label}: $n^{{{slope:.2f}}}$")
    left.axhline(AIM_S, color="0.6", linestyle="--", linewidth=1)
    left.annotate(
        f"aim at {AIM_SIZE:,} circuits: {AIM_S:g} s",
        (circuits[0], AIM_S),
        textcoords="offset points",
        xytext=(0, 4),
        fontsize=8,
        color="0.35",
    )
    left.set_ylabel("time, s")
    left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
    right.loglog(circuits, [row["peak_mb"] for row in rows], marker="o", color="tab:orange")
    right.set_ylabel("largest memory of the process, MB")
    right.yaxis.set_major_formatter("{x:,.0f}")
    right.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ticks = [2**k * 100 for k in range(12) if rows[0]["peak_mb"] / 2 < 2**k * 100 < 2 * rows[-1]["peak_mb"]]
    right.set_yticks(ticks)
    for axes in (left, right):
        axes.set_xticks(circuits, [f"{n / 1000:.1f}" if n < 10_000 else f"{n / 1000:.0f}" for n in circuits])
        axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axes.tick_params(axis="x", which="minor", bottom=False)
        axes.set_xlabel("rack circuits, thousands")
        axes.grid(alpha=0.3)
    figure.suptitle("How pdnopt grows with the size of a campus")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return True


def main() -> int:
    """Print the table and draw the figure; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="rack circuits, about")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options.repeat)))
        return 0
    print(f"campus, each size in a process of its own; {machine()}\n")
    heads = "circuits, rows, columns, read s, build s, compile s, update ms, fault to plan ms, longest ms, check ms, "
    table = Table(*(heads + "verified, memory MB").split(", "))
    rows = []
    for size in options.sizes:
        print(f"  about {size} circuits ...", file=sys.stderr, flush=True)
        row = in_fresh_process(max(1, round(size / CIRCUITS_PER_HALL)), options.repeat)
        rows.append(row)
        times = [f"{row[key]:.2f}" for key in SECONDS[:3]] + [f"{1e3 * row[key]:.1f}" for key in SECONDS[3:]]
        verdict = "all" if row["verified"] else "**not all**"
        table.row(
            f"{row['circuits']:,}", row["rows"], row["columns"], *times, verdict, f"{row['peak_mb']:.0f}"
        )
        print(f"  by failure: { {k: round(v, 3) for k, v in row['by_failure'].items()} }", file=sys.stderr)
    circuits = [row["circuits"] for row in rows]
    slopes = {key: exponent(circuits, [row[key] for row in rows]) for key in (*SECONDS, "peak_mb")}
    table.row("exponent", "", "", *(f"{slopes[key]:.2f}" for key in SECONDS), "", f"{slopes['peak_mb']:.2f}")
    print()
    aims = Aims()
    growing = {
        "solve_s": "fault to plan, median failure",
        "longest_s": "fault to plan, longest failure",
        "build_s": "the build",
    }
    for key, what in growing.items() if len(rows) > 1 else ():
        met = slopes[key] <= AIM_EXPONENT
        aims.add(f"exponent of {what}", f"{slopes[key]:.2f}", f"at most {AIM_EXPONENT}", met)
    for row in rows:
        if abs(row["circuits"] - AIM_SIZE) < 0.1 * AIM_SIZE:
            aims.add(f"fault to plan at {row['circuits']:,} circuits, longest",
                     f"{row['longest_s']:.2f} s", f"{AIM_S} s", row["longest_s"] <= AIM_S)  # fmt: skip
    aims.add(
        "plans verified", all(row["verified"] for row in rows), True, all(row["verified"] for row in rows)
    )
    path = OUT / "growth.png"
    print(f"\n{path}" if plot(rows, path) else "\nno figure: pip install 'pdnopt[plot]' for it")
    return int(not aims.met)


if __name__ == "__main__":
    sys.exit(main())
