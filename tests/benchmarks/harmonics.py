"""Harmonics: what filters reach on `mim_pod`, how far from the optimum, how long it takes, how exact the network is.

``python -m tests.benchmarks.harmonics [--orders 3 5 7 9 11 13 15 17 19 21 23 25] [--repeat 3]``. The spectra are
generated (`tests.balance.spectra`), none is measured: odd harmonics that fall with the order, sizes within 30 %, angles
within 30 degrees, seed 0; "light" is near a server power supply with active correction, "heavy" a rectifier without any.
Everything "after" is from the network's voltages with the currents that are sent; the checker finds them again from the
tables. Times are of the processor.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks._reporting import Aims, Table, machine

SCALES = {"light (THD 7 %)": 0.27, "medium (THD 26 %)": 1.0, "heavy (THD 80 %)": 3.0}
FAILED_PART = 0.2


def _worst(frame: pd.DataFrame, kind: str, word: str) -> float:
    own = frame[frame["kind"] == kind]
    return float(own[f"total_{word}_percent"].max())


def reach(orders: tuple[int, ...], repeat: int) -> dict[str, dict[str, float]]:
    """Print distortion before and after, and times; return them."""
    from pdnopt.library import load_case
    from pdnopt.session import Session
    from tests.balance.spectra import generated

    net = load_case("mim_pod")
    table = Table(
        "generated spectra", "THD_V before, %", "after", "TDD before, % of IL", "after", "phases beyond a limit before",
        "after", "status, errors", "build, s", "again, ms",
    )  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, scale in SCALES.items():
        frame = generated(net, orders, scale)
        begun = time.process_time()
        session = Session(net, "balance", validate=False, spectra=frame, time_limit_s=600.0)
        build_s = time.process_time() - begun
        result: Any = session.solve()
        spent = []
        for seed in range(repeat):
            sway = np.random.default_rng(seed).uniform(0.95, 1.05, len(frame))
            other = frame.assign(percent=frame["percent"] * sway)
            begun = time.process_time()
            session.solve(spectra=other)
            spent.append(1e3 * (time.process_time() - begun))
        d = result.distortion
        broken = [int((d[f"broken_{word}"] != "").sum()) for word in ("before", "after")]
        errors = sum(issue.severity == "error" for issue in result.issues)
        values = [_worst(d, kind, word) for kind in ("voltage", "current") for word in ("before", "after")]
        found[name] = dict(zip(("v0", "v1", "i0", "i1"), values, strict=True)) | {
            "broken0": broken[0], "broken": broken[1], "errors": errors, "again": float(np.median(spent)),
        }  # fmt: skip
        table.row(
            name, *(f"{x:.2f}" for x in values), f"{broken[0]} of {len(d)}", broken[1], f"{result.status}, {errors}",
            f"{build_s:.1f}", f"{np.median(spent):.0f}",
        )  # fmt: skip
    print()
    return found


def failures(orders: tuple[int, ...]) -> tuple[float, int]:
    """Print what is reached where a fifth of the filters has failed; return the THD left, and who was told wrongly."""
    from pdnopt.library import load_case
    from pdnopt.session import Session
    from tests.balance.spectra import generated

    net = load_case("mim_pod")
    names = [f"asymmetric_sgen:{name}" for name in net.asymmetric_sgen["name"]]
    session = Session(net, "balance", validate=False, spectra=generated(net, orders), time_limit_s=600.0)
    table = Table(
        "failed, drawn at random",
        "THD_V before, %",
        "after",
        "phases beyond a limit before",
        "after",
        "status",
    )
    worst, wrong = 0.0, 0
    for seed in range(3):
        some = np.random.default_rng(seed).choice(names, size=round(FAILED_PART * len(names)), replace=False)
        result: Any = session.solve(failed=sorted(some))
        d = result.distortion
        before, after = (_worst(d, "voltage", word) for word in ("before", "after"))
        broken = [int((d[f"broken_{word}"] != "").sum()) for word in ("before", "after")]
        table.row(", ".join(sorted(some)), f"{before:.2f}", f"{after:.2f}", *broken, result.status)
        worst = max(worst, after / before)
        wrong += len(set(result.compensation["inverter"]) & set(some))
    print()
    return worst, wrong


def exactness() -> float | None:
    """Print the largest difference to OpenDSS in harmonics mode, percent of the largest voltage; return it."""
    from tests.balance import test_harmonics_network as feeder

    try:
        import opendssdirect  # noqa: F401
    except ImportError:
        print("no OpenDSS: install the extra 'test'\n")
        return None
    table = Table(
        "order, 20 kV, Dyn, board, two PDUs", "largest voltage, V", "difference to OpenDSS, % of it"
    )
    worst = 0.0
    for order in (3, 5, 7, 9, 13):
        theirs = feeder.opendss(order)
        apart = 100.0 * np.abs(feeder.ours(feeder.feeder(), order) - theirs).max() / np.abs(theirs).max()
        table.row(order, f"{np.abs(theirs).max():.3f}", f"{apart:.1e}")
        worst = max(worst, float(apart))
    print()
    return worst


def main() -> int:
    """Print the tables and the aims."""
    from tests.balance.spectra import PERCENT

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, nargs="+", default=list(PERCENT))
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    orders = tuple(asked.orders)
    print(machine(), end="\n\n")
    print(f"Spectra are generated, not measured: orders {', '.join(map(str, orders))}.\n")
    reached, (left, wrong), apart = reach(orders, asked.repeat), failures(orders), exactness()
    aims = Aims()
    for name, row in reached.items():
        better = row["v1"] < row["v0"] and row["broken"] <= row["broken0"]
        aims.add(f"{name}: THD_V, phases beyond", f"{row['v1']:.2f} %, {row['broken']:.0f}", "less", better)
        aims.add(f"{name}: errors of the checker", int(row["errors"]), 0, row["errors"] == 0)
    aims.add("a fifth failed: THD_V left, part", f"{left:.2f}", "below 1", left < 1.0)
    aims.add("a fifth failed: told all the same", wrong, 0, wrong == 0)
    if apart is not None:
        aims.add("difference to OpenDSS", f"{apart:.1e} %", "0.02 %", apart <= 0.02)
    return 0 if aims.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
