"""Naive forecasters by hand, across gaps and daylight saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.catalogue import load_forecaster
from pdnopt.forecast.estimator import DECILES, Forecaster, quantile_array
from pdnopt.forecast.naive import LastValue, Naive, SeasonalNaive

NORMAL_90 = 1.2815515655446004


def hourly(values: np.ndarray, start: str = "2024-01-01", tz: str = "UTC") -> pd.DataFrame:
    index = pd.date_range(pd.Timestamp(start, tz=tz), periods=len(values), freq="h")
    return pd.DataFrame({"a": values}, index=index)


def test_last_value_by_hand() -> None:
    found = LastValue().fit(hourly(np.array([5.0, 6.0, 8.0, 7.0]))).predict(4, (0.1, 0.5, 0.9))
    sigma = np.sqrt((1.0 + 4.0 + 1.0) / 3)
    assert found["a", 0.5].tolist() == [7.0] * 4
    assert found["a", 0.9].tolist() == pytest.approx(
        [7 + NORMAL_90 * sigma * np.sqrt(h) for h in (1, 2, 3, 4)]
    )
    assert found["a", 0.1].tolist() == pytest.approx(
        [7 - NORMAL_90 * sigma * np.sqrt(h) for h in (1, 2, 3, 4)]
    )


def test_the_last_value_may_lie_back() -> None:
    found = LastValue().fit(hourly(np.array([5.0, 6.0, 8.0, np.nan, np.nan]))).predict(1, (0.5, 0.9))
    sigma = np.sqrt((1.0 + 4.0) / 2)
    assert found["a", 0.5].tolist() == [8.0]
    assert found["a", 0.9].tolist() == pytest.approx([8 + NORMAL_90 * sigma * np.sqrt(3)])


def test_seasonal_naive_takes_an_older_season_where_the_last_has_a_gap() -> None:
    values = np.r_[np.arange(24.0), np.arange(24.0) + 100]
    values[24 + 5] = np.nan
    found = SeasonalNaive().fit(hourly(values)).predict(30, (0.5,))["a", 0.5].to_numpy()
    assert found[4] == 104.0
    assert found[5] == 5.0
    assert found[24 + 4] == 104.0
    assert found[29] == 5.0


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_a_load_that_follows_the_wall_clock_is_forecast_over_daylight_saving(day: str, hours: int) -> None:
    """Berlin changes its clocks on these days; the load is the hour on the wall."""
    begin = pd.Timestamp(day, tz="Europe/Berlin") - pd.DateOffset(days=4)
    end = pd.Timestamp(day, tz="Europe/Berlin") + pd.DateOffset(days=3)
    index = pd.date_range(begin, end, freq="h", inclusive="left")
    load = pd.DataFrame({"a": index.hour.astype(float)}, index=index)
    midnight = pd.Timestamp(day, tz="Europe/Berlin")
    on_the_day = index[(index >= midnight) & (index < midnight + pd.DateOffset(days=1))]
    assert len(on_the_day) == hours
    for origin in (midnight, midnight + pd.DateOffset(days=1)):
        known = load[load.index < origin]
        ahead = load[load.index >= origin].iloc[:24]
        found = SeasonalNaive().fit(known).predict(24, (0.5,))
        off = (found["a", 0.5] - ahead["a"]).abs()
        on_the_clock = off[~ahead.index.hour.isin([2, 3])]  # the hour that is left out or comes twice
        assert on_the_clock.max() == 0.0
        assert off.max() <= 1.0
        in_utc = SeasonalNaive().fit(known.tz_convert("UTC")).predict(24, (0.5,))
        assert (in_utc["a", 0.5].to_numpy() - ahead["a"].to_numpy()).any()  # the clock matters


def test_quantiles_do_not_go_below_zero_unless_told() -> None:
    values = np.array([5.0, 0.0, 5.0, 0.1])
    assert LastValue().fit(hourly(values)).predict(5).to_numpy().min() == 0.0
    assert LastValue(allow_negative=True).fit(hourly(values)).predict(5).to_numpy().min() < 0.0


def test_a_circuit_that_was_never_measured_has_no_forecast() -> None:
    frame = hourly(np.arange(48.0)).assign(b=np.nan)
    for make in (LastValue, SeasonalNaive):
        found = make().fit(frame).predict(3)
        assert np.isfinite(found["a"].to_numpy()).all()
        assert np.isnan(found["b"].to_numpy()).all()


@pytest.mark.parametrize("make", [LastValue, SeasonalNaive])
def test_saved_and_updated_forecasters_say_the_same(make: type[Naive], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = hourly(rng.uniform(1, 2, 24 * 10), tz="Europe/Berlin")
    one = make().fit(frame)
    other = make().fit(frame.iloc[:100]).update(frame.iloc[100:])
    one.save(tmp_path)
    again = make.load(tmp_path)
    anything = load_forecaster(tmp_path)
    assert isinstance(one, Forecaster)
    for each in (other, again, anything):
        pd.testing.assert_frame_equal(each.predict(30), one.predict(30))
    assert one.predict(30).index.tz is not None


def test_what_predict_answers() -> None:
    found = LastValue().fit(hourly(np.arange(1.0, 9.0)).assign(b=2.0)).predict(3)
    kw, circuits, q = quantile_array(found)
    assert kw.shape == (3, 2, 9)
    assert circuits == ["a", "b"]
    assert q.tolist() == list(DECILES)
    assert (np.diff(kw, axis=2) >= 0).all()
    assert list(found.columns.names) == ["circuit", "quantile"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ((0,), "HorizonError"),
        ((2.5,), "HorizonError"),
        ((True,), "HorizonError"),
        ((3, (0.5, 0.1)), "Range"),
        ((3, (0.0,)), "Range"),
        ((3, ()), "Range"),
        ((3, ("x",)), "Range"),
    ],
)
def test_bad_arguments_are_told(arguments: tuple[object, ...], kind: str) -> None:
    with pytest.raises(InputError, match=kind):
        LastValue().fit(hourly(np.arange(5.0))).predict(*arguments)  # type: ignore[arg-type]


def test_a_forecaster_that_was_not_fitted_says_so() -> None:
    with pytest.raises(InputError, match="NotFitted"):
        LastValue().predict(1)


def test_folders_that_hold_no_forecaster_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File"):
        load_forecaster(tmp_path)
    (tmp_path / "forecaster.json").write_text('{"name": "os.system"}')
    with pytest.raises(InputError, match="Enum"):
        load_forecaster(tmp_path)
    with pytest.raises(InputError, match="File"):
        LastValue.load(tmp_path / "nowhere")
