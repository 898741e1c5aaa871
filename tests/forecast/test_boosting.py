"""Boosted trees: what they are told, what they learn, and that what is saved is what was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from pdnopt.errors import InputError
from pdnopt.forecast.boosting.features import LAST, MONTH, WEEK, choose_anchor, features
from pdnopt.forecast.boosting.forecaster import LightGBMForecaster
from pdnopt.forecast.boosting.panel import Panel
from pdnopt.forecast.boosting.rows import Rows, all_ahead, sample
from pdnopt.forecast.boosting.settings import Settings, read_settings
from pdnopt.forecast.estimator import DECILES, Forecaster, quantile_array

DAY = 24
SMALL = Settings(horizon=DAY, rows=6_000, rounds=60, rate=0.15)
NOISE_KW = 0.5


def normal_days(days: int, seed: int = 0) -> pd.DataFrame:
    """Return 10 kW + 3 kW sin(hour, a phase for each of three circuits) + normal noise: its quantiles are known."""
    index = pd.date_range("2025-01-01", periods=DAY * days, freq="h", tz="UTC")
    noise = np.random.default_rng(seed).normal(0, NOISE_KW, (len(index), 3))
    return pd.DataFrame(middle_kw(index) + noise, index=index, columns=["a", "b", "c"])


def middle_kw(index: pd.DatetimeIndex) -> np.ndarray:
    turn = index.hour.to_numpy()[:, None] / DAY + np.array([0.0, 0.2, 0.5])
    return np.asarray(10 + 3 * np.sin(2 * np.pi * turn))


def panel_of(
    value: np.ndarray, zone: str = "UTC", known: np.ndarray | None = None, start: str = "2025-01-01"
) -> Panel:
    """Return a panel of hours whose values are given; what is known ahead may be longer."""
    steps = len(value) if known is None else len(known)
    index = pd.date_range(start, periods=steps, freq="h", tz=zone)
    known = np.zeros((steps, 0)) if known is None else known
    return Panel(value, index, known, np.zeros(0), 3600.0)


def row(origin: int, *ahead: int) -> Rows:
    """Return forecasts of circuit 0 from one origin."""
    n = len(ahead)
    return Rows(np.array([origin]), np.array([0]), np.zeros(n, dtype=int), np.array(ahead))


def told(panel: Panel, rows: Rows, kind: int = WEEK) -> dict[str, np.ndarray]:
    found = features(panel, rows, np.full(panel.value.shape[1], kind), True)
    columns = {name: found.matrix[:, k] for k, name in enumerate(found.names)}
    return {**columns, "the anchor": found.anchor[:, 4]}


@pytest.fixture(scope="module")
def trained() -> LightGBMForecaster:
    return LightGBMForecaster(SMALL).fit(normal_days(120))


# What they are told


def test_a_forecast_knows_nothing_of_what_comes_after_its_origin() -> None:
    rng = np.random.default_rng(3)
    value = rng.normal(size=(DAY * 60, 2))
    changed = value.copy()
    origin = DAY * 50 + 7
    changed[origin + 1 :] = 1e3 * rng.normal(size=changed[origin + 1 :].shape)
    rows = all_ahead(origin, 2, 168)
    first, second = told(panel_of(value), rows), told(panel_of(changed), rows)
    for name, column in first.items():
        np.testing.assert_array_equal(column, second[name], err_msg=name)


def test_days_and_weeks_are_those_before_the_target_at_its_hour() -> None:
    value = np.arange(DAY * 60, dtype=float)[:, None]  # a value is its own row
    origin = DAY * 40 + 5
    found = told(panel_of(value), row(origin, 1, 24, 25, 168))
    target = origin + np.array([1, 24, 25, 168])
    days = np.array([1, 1, 2, 7])  # before the target, to be at or before the origin
    np.testing.assert_array_equal(found["day_0"] + found["the anchor"], target - DAY * days)
    np.testing.assert_array_equal(found["day_3"] + found["the anchor"], target - DAY * (days + 3))
    np.testing.assert_array_equal(found["week_0"] + found["the anchor"], target - 168)
    np.testing.assert_array_equal(found["the anchor"], target - DAY * (days + 3))  # the mean of seven days
    np.testing.assert_array_equal(found["last"] + found["the anchor"], origin)
    np.testing.assert_array_equal(found["level_6h_0.9"] + found["the anchor"], origin - 1)  # 4.5 of 0..5 is 4


def test_the_same_hour_is_that_of_the_wall_clock_across_daylight_saving() -> None:
    steps = DAY * 30
    index = pd.date_range("2025-03-01", periods=steps, freq="h", tz="Europe/Berlin")
    value = index.hour.to_numpy(float)[:, None]  # the clocks go forward on 30 March
    panel = panel_of(value, "Europe/Berlin", np.zeros((steps + DAY, 1)), "2025-03-01")
    assert panel.index[steps - 1] == pd.Timestamp("2025-03-30 23:00", tz="Europe/Berlin") + pd.Timedelta("1h")
    rows = row(steps - 1, *range(1, DAY + 1))
    found = told(panel, rows)
    np.testing.assert_array_equal((found["day_3"] + found["the anchor"])[3:], panel.hour[rows.target][3:])


def test_a_covariate_is_seen_at_the_target_and_smoothed_up_to_it() -> None:
    steps = DAY * 40
    known = np.arange(steps + DAY, dtype=float)[:, None] ** 2
    found = told(panel_of(np.zeros((steps, 1)), known=known), row(steps - 1, 1, 24))
    for k, target in enumerate((steps, steps + 23)):
        assert found["known_0"][k] == target**2
        assert found["known_0_mean_3h"][k] == pytest.approx(
            np.mean([target**2, (target - 1) ** 2, (target - 2) ** 2])
        )
        assert found["known_0_against_day_0"][k] == pytest.approx(target**2 - (target - DAY) ** 2)


def test_a_circuit_that_stands_still_is_anchored_at_its_last_value_and_gaps_are_told_as_gaps() -> None:
    rng = np.random.default_rng(5)
    steps = DAY * 200
    on = np.repeat(rng.integers(0, 2, steps // 60 + 1), 60)[:steps]  # jobs of two and a half days
    hour = np.arange(steps)
    day = np.sin(2 * np.pi * hour / DAY)
    value = np.stack([on + 0.0, 3 * day + 0.02 * hour / DAY, day + rng.normal(0, 1, steps)], axis=1)
    panel = panel_of(value)
    np.testing.assert_array_equal(
        choose_anchor(panel, sample(panel, DAY, 5_000, 0), WEEK), [LAST, WEEK, WEEK]
    )
    value[-3:] = np.nan
    found = told(panel_of(value, known=np.zeros((steps + DAY, 0))), row(steps - 1, 1, 22), kind=LAST)
    assert found["the anchor"][0] == value[-4, 0]
    assert np.isnan(found["day_0"][1])


def test_quantiles_of_a_month_are_those_of_numpy_moved_by_half_of_the_last_days_change() -> None:
    rng = np.random.default_rng(4)
    days = rng.normal(size=(40, DAY))
    days[-3:] += 2.0
    days[-10, 5] = np.nan
    panel = panel_of(days.reshape(-1, 1), known=np.zeros((41 * DAY, 0)))
    found = features(panel, row(40 * DAY - 1, 6), np.array([MONTH]), True)
    month = days[-28:]
    moved = 0.5 * (days[-3:].mean() - np.nanmean(month))
    np.testing.assert_allclose(found.anchor[0], np.nanquantile(month[:, 5], DECILES) + moved)


def test_rows_to_learn_from_are_spread_over_time_and_circuits_and_have_an_outcome() -> None:
    value = np.zeros((DAY * 100, 7))
    value[::5, 3] = np.nan
    panel = panel_of(value)
    rows = sample(panel, 48, 6_000, 0)
    assert 4_500 < len(rows.ahead) <= 6_000
    assert np.isfinite(value[rows.target, rows.circuit[rows.pair]]).all()
    assert rows.origin.min() >= 28 * DAY
    assert np.bincount(rows.circuit, minlength=7).min() > 100
    parts = np.histogram(rows.origin, bins=8, range=(28 * DAY, 100 * DAY))[0]
    assert parts.min() > 0.9 * parts.max()


# What they learn


def test_quantiles_of_a_known_law_are_found(trained: LightGBMForecaster) -> None:
    kw, _, levels = quantile_array(trained.predict(DAY))
    law = middle_kw(trained.history.future(DAY))[:, :, None] + NOISE_KW * ndtri(levels)
    assert np.abs(kw - law).mean() < 0.3 * NOISE_KW
    error = (kw - law).mean(axis=(0, 1))
    assert np.abs(error).max() < 0.25 * NOISE_KW


def test_other_quantiles_lie_between_and_none_cross(trained: LightGBMForecaster) -> None:
    levels = (0.05, 0.1, 0.15, 0.2, 0.5, 0.95)
    answer = trained.predict(6, levels)
    kw, circuits, _ = quantile_array(answer)
    assert circuits == ["a", "b", "c"]
    assert (np.diff(kw, axis=2) >= 0).all()
    deciles = quantile_array(trained.predict(6))[0]
    np.testing.assert_allclose(kw[:, :, [1, 3, 4]], deciles[:, :, [0, 1, 4]])
    assert (kw[:, :, 0] < kw[:, :, 1]).all()


def test_a_load_that_follows_a_covariate_is_forecast_from_it() -> None:
    index = pd.date_range("2025-01-01", periods=DAY * 150, freq="h", tz="UTC")
    rng = np.random.default_rng(1)
    temperature = np.repeat(rng.uniform(0, 30, 150), DAY)  # anew every day: the past says nothing
    load = 20 + temperature + rng.normal(0, 0.3, len(index))
    history = pd.DataFrame({"cooling": load}, index=index)
    known = pd.DataFrame({"temperature": temperature}, index=index)
    past = slice(0, -DAY)
    with_it = LightGBMForecaster(SMALL).fit(history.iloc[past], known.iloc[past])
    without = LightGBMForecaster(SMALL).fit(history.iloc[past])
    actual = load[-DAY:]
    error = {
        name: np.abs(answer.xs(0.5, axis=1, level="quantile").to_numpy()[:, 0] - actual).mean()
        for name, answer in {
            "with": with_it.predict(DAY, covariates=known.iloc[-DAY:]),
            "without": without.predict(DAY),
        }.items()
    }
    assert error["with"] < 3.0  # what knows only the law of the temperature is off by 7.5 kW on average
    assert error["with"] < 0.4 * error["without"]
    with pytest.raises(InputError, match="covariates"):
        with_it.predict(DAY)


# What is kept


def test_it_is_a_forecaster_and_the_same_history_gives_the_same_answer() -> None:
    history = normal_days(40)
    small = Settings(horizon=6, rows=2_000, rounds=5)
    first, second = (LightGBMForecaster(small).fit(history).predict(6) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert isinstance(LightGBMForecaster(), Forecaster)


def test_what_is_saved_is_what_was_trained(trained: LightGBMForecaster, tmp_path: Path) -> None:
    trained.save(tmp_path)
    loaded = LightGBMForecaster.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(DAY), trained.predict(DAY), check_exact=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["forecaster.json", "forecaster.npz", *(f"trees_{q:g}.txt" for q in DECILES)]
    assert loaded.settings == SMALL


def test_newer_rows_move_the_origin_and_train_nothing(tmp_path: Path) -> None:
    history = normal_days(60)
    longer = normal_days(62)
    made = LightGBMForecaster(Settings(horizon=12, rows=2_000, rounds=10)).fit(history)
    made.save(tmp_path)
    trees = made._trees
    made.update(longer.iloc[len(history) :])
    assert made._trees is trees
    assert made.predict(12).index[0] == longer.index[-1] + pd.Timedelta(hours=1)
    loaded = LightGBMForecaster.load(tmp_path).update(longer.iloc[len(history) :])
    pd.testing.assert_frame_equal(loaded.predict(12), made.predict(12), check_exact=True)


def test_a_circuit_that_was_never_measured_has_no_forecast() -> None:
    history = normal_days(40).assign(new=np.nan)
    answer = LightGBMForecaster(Settings(horizon=6, rows=2_000, rounds=5)).fit(history).predict(6)
    assert answer["new"].isna().all(axis=None)
    assert answer.drop(columns="new").notna().all(axis=None)


# What is refused


def test_settings_out_of_range_are_told_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Settings(horizon=0, rows=2.5, rounds=True, holidays="Mars")  # type: ignore[arg-type]
    paths = {issue.path for issue in caught.value.issues}
    assert paths == {"settings.horizon", "settings.rows", "settings.rounds", "settings.holidays"}
    with pytest.raises(InputError, match="UnknownField"):
        read_settings({"horizon": 24, "code": "os"})
    with pytest.raises(InputError, match="Format"):
        read_settings([1])
    assert LightGBMForecaster({"horizon": 24, "rounds": 60}).settings == Settings(horizon=24, rounds=60)


def test_more_steps_than_were_trained_for_are_refused(trained: LightGBMForecaster) -> None:
    with pytest.raises(InputError, match="HorizonError"):
        trained.predict(DAY + 1)
    with pytest.raises(InputError, match="NotFitted"):
        LightGBMForecaster().predict(1)


def test_a_history_too_short_to_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match="TooShort"):
        LightGBMForecaster(SMALL).fit(normal_days(1))


def test_altered_files_are_refused(trained: LightGBMForecaster, tmp_path: Path) -> None:
    trained.save(tmp_path)
    path = tmp_path / "trees_0.5.txt"
    text = path.read_text()
    for wrong in ("no trees", text.replace("max_feature_idx=", "max_feature_idx=1", 1)):
        path.write_text(wrong)
        with pytest.raises(InputError, match="File"):
            LightGBMForecaster.load(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="File"):
        LightGBMForecaster.load(tmp_path)
    path.write_text(text)
    says = json.loads((tmp_path / "forecaster.json").read_text())
    (tmp_path / "forecaster.json").write_text(json.dumps({**says, "settings": {"horizon": -1}}))
    with pytest.raises(InputError, match="Range"):
        LightGBMForecaster.load(tmp_path)


def test_without_lightgbm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"pdnopt\[forecast\]"):
        LightGBMForecaster(SMALL).fit(normal_days(40))
