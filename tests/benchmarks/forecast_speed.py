"""Forecasts of 1,000 circuits from a saved LSTM: ``python -m tests.benchmarks.forecast_speed``.

24 steps, 9 quantiles. Each run is a new process on one core: it imports, loads the folder, forecasts, and forecasts again.
Judged is loading and the first forecast, 1 s at most: processor time, the median of the runs, so that what else the machine
does counts for little; the clock stands beside. The network has the default settings and few training steps: its weights do
not change what it costs. The circuits are synthetic; only their number counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pdnopt.forecast.lstm.forecaster import LSTMForecaster
from pdnopt.forecast.lstm.settings import Settings
from tests.benchmarks._reporting import Aims, Table, machine
from tests.forecast.synthetic import daily

AIM_S = 1.0
CHILD = """
import json, os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
from pathlib import Path

def now():
    return time.process_time(), time.perf_counter()

stamps = [now()]
from pdnopt.forecast.lstm.forecaster import LSTMForecaster
stamps.append(now())
model = LSTMForecaster.load(Path(sys.argv[1]))
stamps.append(now())
first = model.predict(24)
stamps.append(now())
model.predict(24)
stamps.append(now())
assert first.shape[0] == 24
assert "torch" not in sys.modules
parts = {"import": (0, 1), "load": (1, 2), "first forecast": (2, 3), "load and first forecast": (1, 3),
         "import, load and first forecast": (0, 3), "next forecast": (3, 4)}
print(json.dumps({name: [stamps[b][k] - stamps[a][k] for k in (0, 1)] for name, (a, b) in parts.items()}))
"""


def main() -> int:
    """Print the table; return 1 where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--circuits", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        LSTMForecaster(Settings(steps=5, batch=16)).fit(daily(30, given.circuits)).save(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        command = [sys.executable, "-c", CHILD, folder]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(given.runs)
        ]
    table = Table("part", "processor s, median", "worst", "clock s, median", "best")
    for part in runs[0]:
        processor, clock = np.array([run[part] for run in runs]).T
        figures = (np.median(processor), max(processor), np.median(clock), min(clock))
        table.row(part, *(f"{figure:.3f}" for figure in figures))
    median_s = float(np.median([run["load and first forecast"][0] for run in runs]))
    print(f"\nThe saved model and four weeks of history take {size / 1e6:.1f} MB\n")
    aims = Aims()
    what = f"{given.circuits} circuits x 24 steps x 9 quantiles from the saved model, one core"
    aims.add(what, f"{median_s:.2f} s", f"{AIM_S:g} s", median_s <= AIM_S)
    return 0 if aims.met else 1


if __name__ == "__main__":
    sys.exit(main())
