"""Naive forecasters score what was published for them: protocol, metrics and quantiles are the published ones."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from pdnopt.forecast.backtest import Backtest, Windows, run_backtest
from pdnopt.forecast.naive import LastValue, Naive, SeasonalNaive
from tests.forecast import series

PUBLISHED = {
    ("ETT_1H", "seasonal_naive"): (1.3227158902, 1.2068899293, 0.2597090183, 0.2864224587),
    ("ETT_1H", "last_value"): (1.7184141817, 2.3136589095, 0.4903424451, 0.338907016),
    ("gfc14", "seasonal_naive"): (1.1988543805, 1.0750756471, 0.0529491741, 0.0586917949),
    ("gfc14", "last_value"): (3.7072504224, 3.2096156537, 0.158759622, 0.1831386411),
}
"""MASE, SQL, WQL, WAPE as in fev_bench_published.csv (models Seasonal Naive and Naive)."""


def run(task: str, make: Callable[..., Naive]) -> Backtest:
    frame, groups = series.ett() if task == "ETT_1H" else (series.gfc14(), None)
    return run_backtest(
        lambda: make(allow_negative=True), frame, Windows(), groups=groups, allow_negative=True
    )


@pytest.mark.parametrize("make", [SeasonalNaive, LastValue])
@pytest.mark.parametrize("task", ["ETT_1H", "gfc14"])
def test_scores_are_the_published_ones(task: str, make: type[Naive]) -> None:
    found = run(task, make).scores
    assert (found.mase, found.sql, found.wql, found.wape) == pytest.approx(
        PUBLISHED[task, make.name], rel=2e-7
    )


def test_the_published_file_says_so() -> None:
    table = pd.read_csv(series.folder() / "fev_bench_published.csv")
    names = {"seasonal_naive": "Seasonal Naive", "last_value": "Naive"}
    for (task, name), scores in PUBLISHED.items():
        row = table[table["dataset_config"].str.endswith(task) & (table["model_name"] == names[name])]
        assert row[["MASE", "SQL", "WQL", "WAPE"]].iloc[0].tolist() == pytest.approx(scores, rel=1e-8)


def test_a_window_is_never_seen_before_it_is_scored() -> None:
    """What the forecaster has been given at each prediction ends right before the window."""
    seen: list[tuple[pd.Timestamp, int]] = []

    class Spy(SeasonalNaive):
        def predict(self, horizon: int, *args: object, **keywords: object) -> pd.DataFrame:
            seen.append((self.history.index[-1], len(self.history)))
            return super().predict(horizon, *args, **keywords)  # type: ignore[arg-type]

    frame = series.gfc14()
    done = run_backtest(Spy, frame, Windows())
    assert [start - pd.Timedelta(hours=1) for start in done.starts] == [last for last, _ in seen]
    assert [rows for _, rows in seen] == [len(frame) - 168 * (20 - k) for k in range(20)]
    assert done.starts[-1] == frame.index[-168]
