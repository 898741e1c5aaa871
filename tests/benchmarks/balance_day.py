"""Balance over days: corrections ahead of a forecast, after a threshold is crossed, and none.

``python -m tests.benchmarks.balance_day [--days 2]``. The loads are REAL series of three parallel zones of a distribution
network (Tetouan 2017, every 10 minutes, CC BY 4.0), scaled to kW: zones stand in for the phases of two PDUs, they are no
racks. The forecast is plain: the load now, and what it did at this time yesterday. Every rule has the same information:
what was measured until the interval begins. The threshold rule is `pdnopt.balancing.rules`; the forecast-led one solves
over three intervals ahead and carries out the first. The spread is that of the three-phase AC flow at the loads that came.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from tests.benchmarks._reporting import Aims, Table, machine
from tests.outside import outside

DAY = 144
FIRST = 155 * DAY
"""From here on: 5 June 2017, chosen before anything was run on it."""
AHEAD = 3
LIMITS = (1.0, 2.0)
SCALE = 9.0 / 32_000.0
"""kW for each kW of a zone: zone 1 draws 9 kW on average."""
ORDER = ((0, 1, 2), (2, 0, 1))
"""Which zone hangs on which phase, by PDU; the second draws 80 % of the first."""


def plant() -> Any:
    """Return the small pod with one single-phase load for each phase of each PDU."""
    from tests.balance.pods import pod

    net = pod()
    net.asymmetric_load = net.asymmetric_load.iloc[:0]
    for pdu in range(2):
        for phase in "abc":
            power = {f"p_{phase}_mw": 0.005, f"q_{phase}_mvar": 0.00125}
            pp.create_asymmetric_load(net, 2 + pdu, name=f"load {pdu}{phase}", **power)
    return net


def run(days: int) -> dict[tuple[str, float], tuple[float, float]]:
    """Print what each rule comes to; return hours outside and kVAh of the inverters by rule and limit."""
    from pdnopt.balancing.rules import correct_after_threshold
    from pdnopt.session import Session

    zones = pd.read_parquet(outside("load") / "tetouan_3zones_10min.parquet")[
        ["Zone1", "Zone2", "Zone3"]
    ].to_numpy(float)
    kw = SCALE * np.concatenate(
        [zones[:, order] * part for order, part in zip(ORDER, (1.0, 0.8), strict=True)], axis=1
    )
    net = plant()
    session = Session(net, "balance", validate=False)
    runner: Any = session._runner

    def spread(loads: np.ndarray, s_kva: np.ndarray) -> float:
        told = runner._loads(session.options.but({"p_asymmetric_kw": pd.Series(loads)}))
        return 100.0 * float(runner.seen(runner._sight(told, s_kva))["spread"])

    def ahead(t: int) -> np.ndarray:
        loads = pd.DataFrame({h: kw[t - 1] + kw[t + h - DAY] - kw[t - 1 - DAY] for h in range(AHEAD)})
        after = session.solve(loads=loads.clip(lower=0.0), step_s=600.0).plan.apply(net).asymmetric_sgen
        p, q = (
            after[[f"{x}_{k}_{u}" for k in "abc"]].to_numpy(float) for x, u in (("p", "mw"), ("q", "mvar"))
        )
        return np.asarray(1e3 * (p + 1j * q)).ravel()

    steps = range(FIRST, FIRST + days * DAY)
    table = Table(
        "rule", "limit, % of a feeder's rating", "hours outside", f"of {24 * days}", "inverter energy, kVAh",
        "worst spread, %", "corrections", "CPU s",
    )  # fmt: skip
    found = {}
    led: tuple[list[float], float, float] | None = None
    for limit in LIMITS:
        for rule in ("none", "threshold", "forecast"):
            begun = time.process_time()
            if rule == "forecast" and led is not None:
                spreads, used, spent = led
                changes = len(spreads)
            else:
                s_kva, spreads, used, changes = np.zeros(6, dtype=complex), [], 0.0, 0
                for t in steps:
                    before = s_kva
                    if rule == "forecast":
                        s_kva = ahead(t)
                    elif rule == "threshold":
                        s_kva = correct_after_threshold(
                            session, s_kva, limit, p_asymmetric_kw=pd.Series(kw[t - 1])
                        )
                    changes += s_kva is not before
                    spreads.append(spread(kw[t], s_kva))
                    used += float(np.abs(s_kva).sum()) / 6.0
                spent = time.process_time() - begun
                led = (spreads, used, spent) if rule == "forecast" else led
            hours = sum(value > limit for value in spreads) / 6.0
            found[rule, limit] = hours, used
            table.row(
                rule, f"{limit:g}", f"{hours:.2f}", f"{100 * hours / (24 * days):.1f} %", f"{used:.0f}",
                f"{max(spreads):.2f}", changes, f"{spent:.0f}",
            )  # fmt: skip
    print()
    return found


def main() -> int:
    """Print the table and the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=2)
    asked = parser.parse_args()
    print(machine(), end="\n\n")
    if not outside("load").is_dir():
        print(f"no load series at {outside('load')}: set PDNOPT_TEST_DATA")
        return 0
    found = run(asked.days)
    aims = Aims()
    for limit in LIMITS:
        ours, theirs = found["forecast", limit], found["threshold", limit]
        figure = f"{ours[0]:.2f} / {theirs[0]:.2f} h"
        aims.add(f"outside {limit:g} %, forecast / threshold", figure, "not more", ours[0] <= theirs[0])
    return 0 if aims.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
