"""Boosted trees on real series, against the scores that are published for the same windows."""

from __future__ import annotations

import pytest

from pdnopt.forecast.backtest import Windows, run_backtest
from pdnopt.forecast.boosting import LightGBMForecaster, Settings
from tests.forecast import series

pytestmark = pytest.mark.soak


def test_transformers_are_forecast_better_than_by_the_published_deepar() -> None:
    history, groups = series.ett()
    made = LightGBMForecaster(allow_negative=True)
    found = run_backtest(lambda: made, history, Windows(), groups=groups, allow_negative=True)
    assert found.scores.sql <= 0.99  # DeepAR 0.992, seasonal naive 1.207


def test_a_utility_is_forecast_as_well_as_by_published_models_that_know_the_temperature() -> None:
    made = LightGBMForecaster(Settings(holidays="US"))
    found = run_backtest(lambda: made, series.gfc14(), Windows(), covariates=series.gfc14_temperature())
    assert found.scores.sql <= 0.45  # TS-ICL 0.450, AutoARIMA 0.947
