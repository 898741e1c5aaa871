"""Calibrated quantiles hold what they promise, also where the series drifts, and joint scenarios keep what they must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from pdnopt.errors import InputError
from pdnopt.forecast.backtest import Windows, run_backtest
from pdnopt.forecast.catalogue import load_forecaster
from pdnopt.forecast.conformal import Calibrated
from pdnopt.forecast.distribution import Distribution, resample
from pdnopt.forecast.estimator import DECILES, quantile_array
from pdnopt.forecast.naive import LastValue, SeasonalNaive
from pdnopt.forecast.scenarios import Template, sample_scenarios
from pdnopt.forecast.tracking import LEVELS, bands_of, between_bands, rank_quantiles
from tests.forecast import series
from tests.forecast.made import hourly, profile

DAYS = 160


def noisy(sd: np.ndarray | float, circuits: int = 2) -> pd.DataFrame:
    """Return days with exponential errors, which no normal quantile fits."""
    rng = np.random.default_rng(7)
    hours = 24 * DAYS
    noise = rng.exponential(1.0, (hours, circuits)) - 1.0
    return hourly(profile(hours)[:, None] + np.broadcast_to(sd, (hours,))[:, None] * noise)


def test_coverage_of_a_skewed_load_is_the_nominal_one() -> None:
    found = run_backtest(lambda: Calibrated(SeasonalNaive), noisy(1.0), Windows(24, 60)).scores
    naive = run_backtest(SeasonalNaive, noisy(1.0), Windows(24, 60)).scores
    assert found.coverage[0.8] == pytest.approx(0.8, abs=0.03)
    for q, part in found.below.items():
        assert part == pytest.approx(q, abs=0.04)
    assert found.sql < naive.sql


def test_coverage_holds_when_the_spread_changes() -> None:
    """The spread trebles at the begin of the scored windows; without following, half of the values would be outside."""
    sd = np.where(np.arange(24 * DAYS) < 24 * (DAYS - 80), 0.5, 1.5)
    windows = Windows(24, 80)

    class Fixed(LastValue):
        """A forecaster whose quantiles never change: 1 kW around the day's shape would be right before the change."""

        def _forecast(self, history, future):  # type: ignore[no-untyped-def]
            hour = (future.hour.to_numpy())[:, None]
            middle = 10.0 + 3.0 * np.sin(2 * np.pi * hour / 24)
            middle = np.repeat(middle, history.kw.shape[1], axis=1)
            return middle, np.full_like(middle, 0.5)

    alone = run_backtest(Fixed, noisy(sd), windows).scores
    found = run_backtest(lambda: Calibrated(Fixed), noisy(sd), windows).scores
    assert alone.coverage[0.8] < 0.6
    assert found.coverage[0.8] == pytest.approx(0.8, abs=0.05)


def test_quantiles_never_cross_and_stay_at_or_above_zero() -> None:
    found = Calibrated(LastValue, horizon=24, windows=10).fit(noisy(4.0)).predict(48)
    kw, _, _ = quantile_array(found)
    assert (np.diff(kw, axis=2) >= 0).all()
    assert kw.min() >= 0.0


def test_gpu_servers_are_covered_as_promised() -> None:
    """Real servers, a day ahead, the last 60 days, on the average over servers."""
    frame = series.gpu_servers().iloc[-24 * 400 :]
    test = run_backtest(lambda: Calibrated(LastValue), frame, Windows(24, 60))
    alone = run_backtest(LastValue, frame, Windows(24, 60))
    assert 0.77 <= test.by_circuit()["coverage"].mean() <= 0.83
    assert test.by_circuit()["coverage"].between(0.72, 0.88).all()
    assert test.scores.wql < 0.9 * alone.scores.wql


def test_scores_do_not_depend_on_who_asks_for_forecasts() -> None:
    frame = noisy(1.0)
    quiet, asked = (Calibrated(SeasonalNaive, windows=8).fit(frame.iloc[:2400]) for _ in range(2))
    for day in range(5):
        new = frame.iloc[2400 + 24 * day : 2424 + 24 * day]
        quiet.update(new)
        asked.predict(24)
        asked.predict(30)
        asked.update(new)
    pd.testing.assert_frame_equal(quiet.predict(24), asked.predict(24))
    hour_by_hour = Calibrated(SeasonalNaive, windows=8).fit(frame.iloc[:2400])
    for k in range(120):
        if k % 24 == 0:
            hour_by_hour.predict(24)
        hour_by_hour.update(frame.iloc[2400 + k : 2401 + k])
    pd.testing.assert_frame_equal(quiet.predict(24), hour_by_hour.predict(24))


def test_saved_and_loaded_it_says_the_same_now_and_later(tmp_path: Path) -> None:
    frame = noisy(1.0)
    one = Calibrated(SeasonalNaive, windows=8).fit(frame.iloc[:2400])
    one.save(tmp_path)
    for again in (Calibrated.load(tmp_path), load_forecaster(tmp_path)):
        pd.testing.assert_frame_equal(
            again.predict(24, (0.05, 0.5, 0.95)), one.predict(24, (0.05, 0.5, 0.95))
        )
    later = Calibrated.load(tmp_path).update(frame.iloc[2400:2448])
    pd.testing.assert_frame_equal(later.predict(24), one.update(frame.iloc[2400:2448]).predict(24))


def test_a_history_too_short_to_calibrate_is_told() -> None:
    with pytest.raises(InputError, match=r"TooShort.*144 rows"):
        Calibrated(LastValue).fit(noisy(1.0).iloc[:100])


def test_rank_quantiles_by_hand() -> None:
    # ranks (n + 1) q = 0.4, 2, 3.6 of 1, 3, 7: below the first it is the first
    values = np.array([[3.0], [np.nan], [1.0], [7.0]])
    found = rank_quantiles(values, np.array([[0.1, 0.5, 0.9]]))
    assert found[0].tolist() == [1.0, 3.0, 7.0]
    assert np.isnan(rank_quantiles(np.full((3, 1), np.nan), np.array([[0.5]]))).all()


def test_bands_double_and_steps_lie_between_their_middles() -> None:
    assert bands_of(9).tolist() == [0, 1, 1, 2, 2, 2, 2, 3, 3]
    found = between_bands(np.array([0.0, 1.0, 2.0]), 40)
    assert found[0] == 0.0
    assert (np.diff(found) >= 0).all()
    assert found[-1] == 2.0
    assert between_bands(np.array([5.0]), 1).tolist() == [5.0]


def test_a_distribution_is_exact_for_a_normal_one() -> None:
    from scipy.stats import norm

    kw = norm.ppf(LEVELS, loc=20.0, scale=3.0)[None, None]
    wanted = [0.01, 0.25, 0.5, 0.975]
    assert resample(kw, DECILES, wanted)[0, 0] == pytest.approx(norm.ppf(wanted, loc=20.0, scale=3.0))
    score = Distribution.of(kw, DECILES, 0.0).score(np.array([[11.0]]))
    assert score[0, 0] == pytest.approx(-3.0, abs=1e-6)


def test_scenarios_keep_marginals_and_correlation() -> None:
    """Two circuits whose errors go together (0.8), one of its own; errors of an hour and the next go together (0.7)."""
    rng = np.random.default_rng(3)
    hours = 24 * 240
    shocks = rng.standard_normal((hours, 2))
    steady = np.zeros((hours, 2))
    for t in range(1, hours):
        steady[t] = 0.7 * steady[t - 1] + np.sqrt(1 - 0.49) * shocks[t]
    own = rng.standard_normal((hours, 3)) * 0.5
    common = np.stack([steady[:, 0], steady[:, 0], steady[:, 1]], axis=1)
    frame = hourly(profile(hours)[:, None] + 0.3 * (common + own), ["a", "b", "c"])

    class Shape(LastValue):
        def _forecast(self, history, future):  # type: ignore[no-untyped-def]
            middle = 10.0 + 3.0 * np.sin(2 * np.pi * future.hour.to_numpy() / 24)
            middle = np.repeat(middle[:, None], 3, axis=1)
            return middle, np.full_like(middle, 0.3)

    forecaster = Calibrated(Shape, horizon=24, windows=100, memory=100).fit(frame)
    forecast = forecaster.predict(24)
    paths = sample_scenarios(forecast, forecaster.template(), count=500, seed=1)
    kw, circuits, _ = quantile_array(paths)
    assert circuits == ["a", "b", "c"]
    for c, name in enumerate(circuits):
        for q in DECILES:
            part = (kw[:, c] <= forecast[name, q].to_numpy()[:, None]).mean(axis=1)
            assert part == pytest.approx(np.full(24, q), abs=3e-3)
    truth = frame.to_numpy() - profile(hours)[:, None]

    def together(x: np.ndarray, y: np.ndarray) -> float:
        return float(spearmanr(x, y).statistic)

    drawn = np.mean([together(kw[h, 0], kw[h, 1]) for h in range(24)])
    real = together(truth[:, 0], truth[:, 1])
    assert real == pytest.approx(0.8, abs=0.03)
    assert drawn == pytest.approx(real, abs=0.12)
    apart = np.mean([together(kw[h, 0], kw[h, 2]) for h in range(24)])
    assert apart == pytest.approx(0.0, abs=0.1)
    drawn_next = np.mean([together(kw[h, 0], kw[h + 1, 0]) for h in range(23)])
    real_next = together(truth[:-1, 0], truth[1:, 0])
    assert drawn_next == pytest.approx(real_next, abs=0.12)
    again = sample_scenarios(forecast, forecaster.template(), count=500, seed=1)
    pd.testing.assert_frame_equal(paths, again)
    other = sample_scenarios(forecast, forecaster.template(), count=500, seed=2)
    assert not np.allclose(paths, other)


def test_scenarios_that_cannot_be_drawn_are_told() -> None:
    forecast = LastValue().fit(noisy(1.0)).predict(3, (0.5,))
    with pytest.raises(InputError) as caught:
        sample_scenarios(forecast, Template(np.zeros((2, 24, 1)), ("z",)), count=0)
    assert {issue.kind for issue in caught.value.issues} == {"TooShort", "InvalidId", "Range"}
