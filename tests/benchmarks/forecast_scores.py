"""How good are the forecasts, beside what is published for the same windows?

``python -m tests.benchmarks.forecast_scores [--task ETT_1H ...] [--lstm]`` prints Markdown tables. Every score is over the
last windows of a real series, forecast by a model that is trained once on what lies before the first of them and then only
gets the newer rows; settings were chosen on earlier windows. Published: fev-bench (Shchur et al. 2025), horizon 168,
20 windows, deciles. ``--lstm`` adds a combination with the LSTM, whose training needs the extra lstm and takes minutes: its
weights are learnt on the windows before the first that is scored, and go on being learnt.

* ETT_1H: two transformers, seven variates each; time is all that is known ahead.
* gfc14: a utility; the temperature is known ahead, as in the published task. Beside it: without any temperature, and with
  the load from 2006 on, where the published task begins in 2013.
* GPU servers: 24 h ahead, last 60 days, against the better of the last value and the value a day ago, server by server.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pdnopt.forecast.backtest import Backtest, Windows, run_backtest
from pdnopt.forecast.boosting import LightGBMForecaster, Settings
from pdnopt.forecast.combination import Combination
from pdnopt.forecast.estimator import Forecaster
from pdnopt.forecast.lstm.forecaster import LSTMForecaster
from pdnopt.forecast.lstm.settings import Settings as LSTMSettings
from pdnopt.forecast.metrics import nanmean, pinball
from pdnopt.forecast.naive import LastValue, SeasonalNaive
from tests.benchmarks._reporting import Aims, Table, machine
from tests.forecast import series

PUBLISHED = ("Seasonal Naive", "AutoARIMA", "DeepAR", "TFT", "Chronos-2", "TiRex-2")
TASK = {"ETT_1H": "ETT_1H", "gfc14": "proenfo_gfc14"}
AIM_SQL = {"ETT_1H": 0.99, "gfc14": 0.45}
AIM_GAIN = 0.10
HORIZON, LEARNT_WINDOWS = 168, 8
GPU = Windows(horizon=24, windows=60, step=24)
SERVERS = "GPU servers"


@dataclass(frozen=True)
class Data:
    """One way to tell a forecaster about a task."""

    task: str
    what: str
    history: pd.DataFrame
    covariates: pd.DataFrame | None = None
    groups: list[str] | None = None
    holidays: str | None = None

    @property
    def judged(self) -> bool:
        """Whether this is how the published models were told."""
        return self.what in ("as published", "time alone")


def main() -> int:
    """Print the tables; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--task", choices=[*TASK, SERVERS], action="append", help="only this one; may be repeated"
    )
    parser.add_argument("--lstm", action="store_true", help="combine the trees with the LSTM, too")
    given = parser.parse_args()
    tasks = given.task or [*TASK, SERVERS]
    try:
        series.folder()
    except pytest.skip.Exception as skipped:
        print(skipped)
        return 0
    print(f"{machine()}\n")
    reached: list[tuple[str, str, str, bool]] = []
    for task in tasks:
        print(f"\n{task}\n")
        reached += servers() if task == SERVERS else published(task, given.lstm)
    print()
    aims = Aims()
    for each in reached:
        aims.add(*each)
    return int(not aims.met)


def published(task: str, lstm: bool) -> list[tuple[str, str, str, bool]]:
    """Print our scores of a task and those that are published; return the aims."""
    table = Table(
        "model", "told", "SQL", "MASE", "WQL", "WAPE", "80 % interval covers", "fit s", "forecasts s"
    )
    reached = []
    for data in data_of(task):
        made = LightGBMForecaster(Settings(holidays=data.holidays), allow_negative=True)
        found = run(made, data, Windows())
        row(table, made.name, data.what, found)
        if data.judged:
            sql, aim = found.scores.sql, AIM_SQL[task]
            reached.append((f"{task}: SQL", f"{sql:.3f}", f"{aim:g}", sql <= aim))
    if lstm:
        data = data_of(task)[0]
        row(table, "lightgbm and lstm", data.what, run(combined(data), data, Windows()))
    row(
        table,
        "seasonal_naive",
        "as published",
        run(SeasonalNaive(allow_negative=True), data_of(task)[0], Windows()),
    )
    frame = pd.read_csv(series.folder() / "fev_bench_published.csv")
    frame = frame[(frame.dataset_config == TASK[task]) & frame.model_name.isin(PUBLISHED)]
    for line in frame.sort_values("SQL").itertuples():
        figures = (f"{value:.4f}" for value in (line.SQL, line.MASE, line.WQL, line.WAPE))
        table.row(f"published: {line.model_name}", "as published", *figures, "", "", "")
    return reached


def combined(data: Data) -> Forecaster:
    """Return the trees and the LSTM as one forecaster, not fitted."""

    def trees() -> Forecaster:
        return LightGBMForecaster(Settings(holidays=data.holidays), allow_negative=True)

    def network() -> Forecaster:
        settings = LSTMSettings(horizon=HORIZON, holidays=data.holidays)
        return LSTMForecaster(settings, allow_negative=True)

    return Combination([trees, network], horizon=HORIZON, windows=LEARNT_WINDOWS, allow_negative=True)


def data_of(task: str) -> list[Data]:
    """Return the ways to tell a forecaster about a task, the one that is judged first."""
    if task == "ETT_1H":
        history, groups = series.ett()
        return [Data(task, "time alone", history, groups=groups)]
    history, temperature = series.gfc14(), series.gfc14_temperature()
    return [
        Data(task, "as published", history, temperature, holidays="US"),
        Data(task, "no temperature", history, holidays="US"),
        Data(
            task, "loads from 2006 on", series.gfc14("2006"), series.gfc14_temperature("2006"), holidays="US"
        ),
    ]


def run(made: Forecaster, data: Data, protocol: Windows) -> Backtest:
    """Back-test a forecaster."""
    return run_backtest(
        lambda: made,
        data.history,
        protocol,
        covariates=data.covariates,
        groups=data.groups,
        allow_negative=True,
    )


def row(table: Table, name: str, what: str, found: Backtest) -> None:
    """Print the scores of one back-test."""
    s = found.scores
    figures = (f"{value:.4f}" for value in (s.sql, s.mase, s.wql, s.wape))
    table.row(name, what, *figures, f"{s.coverage[0.8]:.3f}", f"{found.fit_s:.0f}", f"{found.predict_s:.0f}")


def servers() -> list[tuple[str, str, str, bool]]:
    """Print the scores of each GPU server; return the aims: better than the better naive by a tenth, on the average."""
    data = Data(SERVERS, "time alone", series.gpu_servers())
    models = (LastValue(), SeasonalNaive(), LightGBMForecaster(Settings(horizon=GPU.horizon)))
    table = Table("server", "model", "WAPE", "pinball / mean load", "median alone", "80 % interval covers")
    scores = {}
    for made in models:
        found = run(made, data, GPU)
        scores[made.name] = np.array([by_server(found, k) for k in range(len(found.circuits))])
        for name, line in zip(found.circuits, scores[made.name], strict=True):
            table.row(name, made.name, *(f"{value:.3f}" for value in line))
    wape, spread, median = (
        np.minimum(scores["last_value"][:, k], scores["seasonal_naive"][:, k]) for k in (0, 1, 2)
    )
    ours = scores["lightgbm"]
    gains = {
        "WAPE": 1 - (ours[:, 0] / wape).mean(),
        "pinball, against their quantiles": 1 - (ours[:, 1] / spread).mean(),
        "pinball, against their medians for every quantile": 1 - (ours[:, 1] / median).mean(),
    }
    return [
        (f"{SERVERS}: {what}", f"{100 * gain:.1f} % better", f"{100 * AIM_GAIN:.0f} %", gain >= AIM_GAIN)
        for what, gain in gains.items()
    ]


def by_server(found: Backtest, circuit: int) -> tuple[float, float, float, float]:
    """Return WAPE, pinball over mean load, that of the median given for every quantile, and coverage, of all windows."""
    q = np.asarray(found.protocol.quantiles, dtype=float)
    y, f = found.actual_kw[:, :, circuit].ravel(), found.forecast_kw[:, :, circuit].reshape(-1, len(q))
    known = np.isfinite(y)
    y, f = y[known], f[known]
    middle = f[:, [len(q) // 2]]
    mean = np.abs(y).mean()
    inside = (f[:, 0] <= y) & (y <= f[:, -1])
    return (
        float(np.abs(y - middle[:, 0]).mean() / mean),
        float(pinball(y, f, q).mean() / mean),
        float(pinball(y, np.broadcast_to(middle, f.shape), q).mean() / mean),
        float(nanmean(inside.astype(float), axis=0)),
    )


if __name__ == "__main__":
    sys.exit(main())
