"""How good is the LSTM alone, beside what is published for the same windows? ``python -m tests.benchmarks.lstm_scores``

The tasks, windows and scores are those of `forecast_scores`. Default settings but for the horizon, and what is said in the
table; they were chosen on the 20 windows before the scored ones. Trained once, on what lies before the first window. An aim
is set for what the forecasters reach together (`forecast_scores`), none for one alone.
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd
import pytest

from pdnopt.forecast.backtest import Windows
from pdnopt.forecast.lstm.forecaster import LSTMForecaster
from pdnopt.forecast.lstm.settings import Settings
from tests.benchmarks._reporting import Table, machine
from tests.benchmarks.forecast_scores import TASK, Data, data_of, row, run
from tests.forecast import series

PUBLISHED = ("Seasonal Naive", "DeepAR", "TFT", "Chronos-2")


def settings(data: Data) -> Settings:
    """Return what was chosen for a task on earlier windows: a short history of one circuit is learnt in fewer steps."""
    if data.task == "ETT_1H":
        return Settings(horizon=168)
    if "2006" in data.what:
        return Settings(horizon=168, context=72, steps=1_200, holidays=data.holidays)
    return Settings(horizon=168, context=168, steps=400, holidays=data.holidays, time_of_year=True)


def main() -> int:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=list(TASK), action="append", help="only this one; may be repeated")
    tasks = parser.parse_args().task or list(TASK)
    try:
        series.folder()
    except pytest.skip.Exception as absent:
        print(absent)
        return 0
    print(f"{machine()}\n")
    published = pd.read_csv(series.folder() / "fev_bench_published.csv")
    for task in tasks:
        print(f"\n{task}\n")
        table = Table(
            "model", "told", "SQL", "MASE", "WQL", "WAPE", "80 % interval covers", "fit s", "forecasts s"
        )
        for data in data_of(task):
            found = run(LSTMForecaster(settings(data), allow_negative=True), data, Windows())
            row(table, "lstm", data.what, found)
        rows = published[(published.dataset_config == TASK[task]) & published.model_name.isin(PUBLISHED)]
        for line in rows.sort_values("SQL").itertuples():
            figures = (f"{value:.4f}" for value in (line.SQL, line.MASE, line.WQL, line.WAPE))
            table.row(f"published: {line.model_name}", "as published", *figures, "", "", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
