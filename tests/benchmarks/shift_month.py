"""A simulated month of the micro-ATS row on a real load shape: actions a day, refusals, batteries, recharge.

``python -m tests.benchmarks.shift_month [--days 30] [--peak]``. The loads follow three distribution zones of Tetouan in July
2017 (`tetouan_3zones_10min.parquet` of the reference data, CC BY 4.0), hourly means, a third of the row each; the month's
peak is the row's nominal load. The risk of UPS-A and UPS-B is drawn (seed 0), not measured: episodes of 6 to 24 hours with
0.002 to 0.05 an hour. Every hour `Session.solve` looks 12 hours ahead (the forecast is what comes), the first step is
carried out, and the rest is decided anew. Needs pyarrow and ``PDNOPT_TEST_DATA``.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

import pdnopt
from tests.benchmarks._reporting import Aims, Table, machine
from tests.outside import outside
from tests.shift.replay import follow

HORIZON, STEP_S = 12, 3600.0
MOST_TRANSFERS, MOST_COMMANDS = 4.0, 60.0
"""Aims: transfers, and commands of all kinds, a day on average. 12 batteries that change their power twice are 24."""


def shape(hours: int) -> pd.DataFrame | None:
    """Return hourly means of three zones over the month's peak of their sum, (hours, 3); None without the data."""
    path = outside("load") / "tetouan_3zones_10min.parquet"
    if not path.exists():
        return None
    frame = pd.read_parquet(path)
    zones = [name for name in frame.columns if "zone" in name.lower()][:3]
    when = next((name for name in frame.columns if "date" in name.lower() or "time" in name.lower()), None)
    if when is not None:
        frame = frame.set_index(pd.to_datetime(frame[when]))
    hourly = frame[zones].resample("1h").mean().loc["2017-07-01":].iloc[:hours]
    own = hourly / hourly.mean()
    return own / own.sum(axis=1).max() * 3.0


def episodes(hours: int, seed: int = 0) -> pd.DataFrame:
    """Return the drawn risk by hour."""
    rng = np.random.default_rng(seed)
    p = np.full((2, hours), 1e-6)
    for row in p:
        for day in range(hours // 24):
            if rng.random() < 0.25:
                start, length = 24 * day + int(rng.integers(24)), int(rng.integers(6, 25))
                row[start : start + length] = np.exp(rng.uniform(np.log(0.002), np.log(0.05)))
    return pd.DataFrame(p, index=["ups:UPS-A", "ups:UPS-B"])


def main() -> int:
    """Print what the month was like, and the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument(
        "--peak", action="store_true", help="shave the grid's peak, too, where it costs no safety"
    )
    asked = parser.parse_args()
    hours = 24 * asked.days
    zones = shape(hours + HORIZON)
    if zones is None:
        print("skipped: the reference data are not here; set PDNOPT_TEST_DATA")
        return 0
    print(machine(), end="\n\n")
    net = pdnopt.load_case("micro_ats_row")
    net.storage["p_mw"] = 0.0
    rows = net.load.index[net.load["rack"] != ""]
    third = np.array([int(name[1:]) for name in net.load.loc[rows, "rack"]])
    third = (third - 1) * 3 // third.max()
    kw = 1000.0 * net.load.loc[rows, "p_mw"].to_numpy(float)
    loads = pd.DataFrame(kw[:, None] * zones.to_numpy().T[third], index=rows, columns=range(len(zones)))
    soc: list[np.ndarray] = []

    def watch(step: int, state: Any) -> None:
        soc.append(state.storage["soc_percent"].to_numpy(float).copy())

    keywords: dict[str, Any] = {
        "horizon": HORIZON,
        "horizon_s": 7200.0,
        "components": ["ups"],
        "explain": False,
    }
    if asked.peak:
        keywords["minimize"] = ("cost", "grid_peak")
    course = follow(
        net,
        "pdnopt",
        episodes(hours + HORIZON),
        hours,
        STEP_S,
        keywords,
        loads=loads,
        keep=False,
        watch=watch,
    )
    moved = np.array([len(one) for one in course.moved]).reshape(asked.days, 24).sum(axis=1)
    commands = np.array(course.commands).reshape(asked.days, 24).sum(axis=1)
    charge = np.array(soc)
    table = Table("figure", "mean a day", "largest")
    table.row("transfers", f"{moved.mean():.2f}", moved.max())
    table.row("commands of all kinds", f"{commands.mean():.2f}", commands.max())
    table.row("state of charge, %", f"{charge.mean():.1f}", f"{charge.min():.2f} to {charge.max():.2f}")
    table.row(
        "highest loading, %", f"{np.mean(course.worst_percent):.1f}", f"{np.max(course.worst_percent):.1f}"
    )
    print()
    aims = Aims()
    aims.add("plans refused by the checker", course.refused, 0, course.refused == 0)
    aims.add(
        "transfers a day", f"{moved.mean():.2f}", f"<= {MOST_TRANSFERS:g}", moved.mean() <= MOST_TRANSFERS
    )
    aims.add(
        "commands a day", f"{commands.mean():.2f}", f"<= {MOST_COMMANDS:g}", commands.mean() <= MOST_COMMANDS
    )
    inside = bool(charge.min() >= 10.0 - 1e-3 and charge.max() <= 100.0 + 1e-3)
    aims.add("batteries inside 10..100 %", f"{charge.min():.2f}..{charge.max():.2f}", "inside", inside)
    worst = float(np.max(course.worst_percent))
    aims.add(
        "highest loading of any component, recharge included", f"{worst:.1f} %", "<= 100 %", worst <= 100.2
    )
    return 0 if aims.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
