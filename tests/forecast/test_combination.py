"""A combination learns for each circuit whom to believe, and follows when that changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.backtest import Windows, run_backtest
from pdnopt.forecast.catalogue import load_forecaster
from pdnopt.forecast.combination import Combination
from pdnopt.forecast.conformal import Calibrated
from pdnopt.forecast.estimator import Forecaster
from pdnopt.forecast.naive import LastValue, SeasonalNaive
from tests.forecast import series
from tests.forecast.made import hourly, profile


def both() -> Combination:
    return Combination([LastValue, SeasonalNaive], horizon=24)


def two_habits(days: int = 120) -> pd.DataFrame:
    """Return one circuit that repeats its day and one that wanders: each has another best forecaster."""
    rng = np.random.default_rng(5)
    hours = 24 * days
    daily = profile(hours) + 0.1 * rng.standard_normal(hours)
    walk = 50.0 + np.cumsum(0.3 * rng.standard_normal(hours))
    return hourly(np.stack([daily, walk], axis=1), ["daily", "walk"])


def test_each_circuit_believes_who_is_right_for_it() -> None:
    weights = both().fit(two_habits()).weights()
    assert weights.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert weights.loc["daily", "seasonal_naive"] > 0.9
    assert weights.loc["walk", "last_value"] > 0.6


def test_the_whole_is_at_least_as_good_as_its_best_member() -> None:
    frame, windows = two_habits(), Windows(24, 30)
    members = [run_backtest(make, frame, windows).scores.sql for make in (LastValue, SeasonalNaive)]
    assert run_backtest(both, frame, windows).scores.sql <= 1.01 * min(members)


def test_weights_follow_when_a_circuit_changes_its_habit() -> None:
    frame = two_habits(200)
    swapped = frame.copy()
    swapped.iloc[24 * 100 :] = frame.iloc[24 * 100 :, ::-1].to_numpy()
    found = both().fit(swapped.iloc[: 24 * 100])
    assert found.weights().loc["daily", "seasonal_naive"] > 0.9
    for day in range(100, 200):
        found.update(swapped.iloc[24 * day : 24 * day + 24])
    assert found.weights().loc["daily", "last_value"] > 0.5
    assert found.weights().loc["walk", "seasonal_naive"] > 0.9


def test_on_real_servers_and_a_utility_it_is_near_the_best_member_that_only_hindsight_knows() -> None:
    """Calibrated members; which of them is better changes on the servers, and nobody says when."""
    cases = [
        (series.gpu_servers().iloc[-24 * 100 :], 24, 30, False),
        (series.gfc14().iloc[-24 * 100 :], 24, 30, True),
    ]
    for frame, horizon, windows, negative in cases:

        def of(kind: type, horizon: int = horizon, negative: bool = negative) -> Calibrated:
            return Calibrated(
                lambda: kind(allow_negative=negative),
                horizon=horizon,
                windows=20,
                allow_negative=negative,
                refit=False,
            )

        def member(kind: type) -> Forecaster:
            return of(kind)

        def whole(horizon: int = horizon, negative: bool = negative) -> Forecaster:
            makes = [lambda: of(LastValue), lambda: of(SeasonalNaive)]
            return Combination(makes, horizon=horizon, windows=20, refit=False, allow_negative=negative)

        protocol = Windows(horizon, windows)
        sql = [
            run_backtest(make, frame, protocol, allow_negative=negative).scores.sql
            for make in (lambda: of(LastValue), lambda: of(SeasonalNaive), whole)
        ]
        assert sql[2] <= 1.05 * min(sql[:2])
        assert sql[2] <= 0.97 * max(sql[:2])


def test_a_member_that_knows_nothing_of_a_circuit_is_left_out() -> None:
    class Silent(LastValue):
        name = "silent"

        def _forecast(self, history, future):  # type: ignore[no-untyped-def]
            middle, spread = super()._forecast(history, future)
            middle = middle.copy()
            middle[:, 0] = np.nan
            return middle, spread

    found = Combination([Silent, SeasonalNaive], horizon=24, windows=10).fit(two_habits())
    assert np.isfinite(found.predict(24).to_numpy()).all()


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    frame = two_habits()
    one = both().fit(frame.iloc[:-48])
    one.save(tmp_path)
    again = load_forecaster(tmp_path)
    pd.testing.assert_frame_equal(again.predict(24), one.predict(24))
    later = again.update(frame.iloc[-48:]).predict(24)
    pd.testing.assert_frame_equal(later, one.update(frame.iloc[-48:]).predict(24))


def test_two_of_a_name_cannot_be_told_apart() -> None:
    with pytest.raises(InputError, match="NotUnique"):
        Combination([LastValue, LastValue])
