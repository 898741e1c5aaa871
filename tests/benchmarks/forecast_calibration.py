"""Do calibrated intervals hold what they promise on real series, and does a combination pay?

``python -m tests.benchmarks.forecast_calibration`` prints Markdown tables: the naive forecasters beside their published
scores, coverage on the GPU servers (a day ahead, last 60 days) and on the published tasks, the combination beside its
members. Settings were chosen on what lies before the scored windows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import pytest

from pdnopt.forecast.backtest import Backtest, Windows, run_backtest
from pdnopt.forecast.catalogue import MEMBERS, maker
from pdnopt.forecast.combination import Combination
from pdnopt.forecast.conformal import Calibrated
from pdnopt.forecast.estimator import Forecaster
from tests.benchmarks._reporting import Aims, Table, machine
from tests.forecast import series

PUBLISHED_MASE = {("ETT_1H", "seasonal_naive"): 1.3227, ("gfc14", "seasonal_naive"): 1.1989}
COVER = (0.77, 0.83)
STEP = 72
"""Between calibration windows of 168 steps."""


@dataclass(frozen=True)
class Task:
    """A series and how it is scored."""

    name: str
    history: pd.DataFrame
    windows: Windows
    groups: Sequence[str] | None
    allow_negative: bool

    def run(self, make: Callable[[], Forecaster]) -> Backtest:
        """Back-test a forecaster."""
        return run_backtest(
            make, self.history, self.windows, groups=self.groups, allow_negative=self.allow_negative
        )

    def alone(self, name: str) -> Callable[[], Forecaster]:
        """Return what makes a forecaster as it is."""
        return maker(name, self.windows.horizon, self.allow_negative)

    def calibrated(self, name: str) -> Callable[[], Forecaster]:
        """Return what makes a calibrated forecaster, trained once."""
        horizon = self.windows.horizon
        return lambda: Calibrated(
            self.alone(name),
            horizon,
            step=min(horizon, STEP),
            refit=False,
            allow_negative=self.allow_negative,
        )

    def combined(self) -> Forecaster:
        """Return a combination of calibrated forecasters."""
        horizon = self.windows.horizon
        makes = [self.calibrated(name) for name in MEMBERS]
        return Combination(
            makes, horizon, step=min(horizon, STEP), refit=False, allow_negative=self.allow_negative
        )


def tasks() -> list[Task]:
    """Return the real series."""
    ett, groups = series.ett()
    return [
        Task("GPU servers", series.gpu_servers(), Windows(24, 60), None, False),
        Task("ETT_1H", ett, Windows(), groups, True),
        Task("gfc14", series.gfc14(), Windows(), None, True),
    ]


def main() -> int:
    """Print the tables; return 1 where an aim is missed."""
    try:
        todo = tasks()
    except pytest.skip.Exception as reason:
        print(reason)
        return 0
    print(f"{machine()}\n")
    table = Table(
        "series", "model", "SQL", "MASE", "WQL", "in the 80 % interval", "by circuit", "60 %", "40 %", "20 %"
    )
    found: dict[tuple[str, str], Backtest] = {}
    for task in todo:
        makes = {name: task.alone(name) for name in MEMBERS}
        makes |= {f"calibrated_{name}": task.calibrated(name) for name in MEMBERS}
        makes["combination"] = task.combined
        for name, make in makes.items():
            test = found[task.name, name] = task.run(make)
            scores, inside = test.scores, test.by_circuit()["coverage"]
            cover = [f"{100 * scores.coverage[p]:.1f} %" for p in (0.8, 0.6, 0.4, 0.2)]
            spread = f"{100 * inside.min():.0f} to {100 * inside.max():.0f} %"
            figures = [f"{value:.4f}" for value in (scores.sql, scores.mase, scores.wql)]
            table.row(task.name, name, *figures, cover[0], spread, *cover[1:])
    print()
    aims = Aims()
    for (task_name, name), mase in PUBLISHED_MASE.items():
        ours = found[task_name, name].scores.mase
        aims.add(
            f"{task_name}: MASE of {name}", f"{ours:.4f}", f"{mase} as published", abs(ours - mase) < 1e-4
        )
    low, high = COVER
    for name in ("calibrated_last_value", "calibrated_lightgbm"):
        part = float(found["GPU servers", name].by_circuit()["coverage"].mean())
        what = f"GPU servers: 80 % interval of {name}, mean of servers"
        aims.add(what, f"{100 * part:.1f} %", "77 to 83 %", low <= part <= high)
    for task in todo:
        members = min(found[task.name, f"calibrated_{name}"].scores.sql for name in MEMBERS)
        ratio = found[task.name, "combination"].scores.sql / members
        what = f"{task.name}: SQL of the combination by that of its best member, known by hindsight"
        aims.add(what, f"{ratio:.3f}", "at most 1.05", ratio <= 1.05)
    return 0 if aims.met else 1


if __name__ == "__main__":
    sys.exit(main())
