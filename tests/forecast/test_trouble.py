"""Meters that lie, circuits without a past, forecasters that fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.catalogue import load_forecaster
from pdnopt.forecast.cleaning import Finding, clean
from pdnopt.forecast.conformal import Calibrated
from pdnopt.forecast.estimator import quantile_array
from pdnopt.forecast.fallback import WithFallback
from pdnopt.forecast.history import read_history
from pdnopt.forecast.naive import LastValue, SeasonalNaive
from pdnopt.forecast.newcomers import WithNewcomers
from tests.forecast import series
from tests.forecast.made import hourly, profile


def noisy_day(seed: int = 1, hours: int = 24 * 40) -> np.ndarray:
    return profile(hours) + 0.2 * np.random.default_rng(seed).standard_normal(hours)


def cleaned(values: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    history, findings = clean(read_history(hourly(values)))
    return history.kw[:, 0], findings


def test_a_meter_that_stands_still_is_found() -> None:
    values = noisy_day()
    values[300:330] = values[300]
    kept, findings = cleaned(values)
    assert [(each.kind, each.count) for each in findings] == [("flat_line", 30)]
    assert np.flatnonzero(np.isnan(kept)).tolist() == list(range(301, 330))
    assert findings[0].start == pd.Timestamp("2024-01-13 12:00", tz="UTC")


def test_a_steady_load_and_one_that_is_off_are_no_faults() -> None:
    always = np.full(900, 7.0)
    off = noisy_day()
    off[100:300] = 0.0
    rng = np.random.default_rng(2)
    stepped = np.repeat(
        rng.integers(3, 30, 60).astype(float), 15
    )  # holds each level for 15 h: that is its habit
    for values in (always, off, stepped):
        kept, findings = cleaned(values)
        assert findings == []
        assert np.array_equal(kept, values)


def test_a_reading_that_cannot_be_is_found_and_a_job_is_not() -> None:
    values = noisy_day()
    values[[200, 500]] = [90.0, 95.0]
    values[400:410] += 12.0  # ten hours of more load: long enough to be a job
    kept, findings = cleaned(values)
    assert [(each.kind, each.value_kw) for each in findings] == [("outlier", 90.0), ("outlier", 95.0)]
    assert np.flatnonzero(np.isnan(kept)).tolist() == [200, 500]


def test_what_is_planted_in_real_series_is_found_and_little_else() -> None:
    """GPU servers: a day of a stuck meter and a reading of 2 kW where a GPU draws 0.35 kW at most."""
    frame = series.gpu_servers()[["cbsugpu05"]].dropna().iloc[:9000].reset_index(drop=True)
    values = frame["cbsugpu05"].to_numpy()
    begin = 4000
    values[begin : begin + 200] = 0.1234
    values[6000] = 2.0
    history = hourly(values, ["gpu"])
    _, findings = clean(read_history(history))
    planted = [each for each in findings if each.value_kw in (0.1234, 2.0)]
    assert sorted(each.kind for each in planted) == ["flat_line", "outlier"]
    rest = sum(each.count for each in findings if each not in planted)
    assert rest <= 0.01 * len(values)


@pytest.mark.parametrize("make", [LastValue, SeasonalNaive, lambda: Calibrated(SeasonalNaive, windows=8)])
def test_gaps_do_not_spread_into_the_forecast(make: Callable[[], Any]) -> None:
    rng = np.random.default_rng(4)
    values = np.stack([noisy_day(1), noisy_day(2)], axis=1)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[-30:, 0] = np.nan
    found, _, _ = quantile_array(make().fit(hourly(values)).predict(24))
    assert np.isfinite(found).all()
    assert np.abs(found[:, :, 4] - 10.0).max() < 5.0


def test_a_newcomer_is_forecast_from_peers_by_its_rating_and_wider() -> None:
    """Four peers draw half their rating; so will the newcomer, as far as anybody knows."""
    rated = {"p1": 10.0, "p2": 20.0, "p3": 30.0, "p4": 40.0, "new": 60.0}
    shape = profile(24 * 30) / 10.0
    rng = np.random.default_rng(6)
    values = np.stack(
        [
            *(
                0.5 * kw * shape * (1 + 0.02 * rng.standard_normal(len(shape)))
                for kw in list(rated.values())[:4]
            ),
            np.full(len(shape), np.nan),
        ],
        axis=1,
    )
    found = WithNewcomers(SeasonalNaive, rated).fit(hourly(values, list(rated))).predict(24)
    middle = found["new", 0.5].to_numpy()
    assert middle == pytest.approx(30.0 * shape[:24], rel=0.05)
    relative = [(found[name, 0.9] - found[name, 0.1]) / found[name, 0.5] for name in rated]
    assert all((relative[-1] > each).all() for each in relative[:-1])
    assert "new" in found.attrs["warnings"][0]


def test_what_is_measured_of_a_newcomer_counts_more_and_more_until_it_is_none() -> None:
    shape = profile(24 * 30) / 10.0
    values = np.stack([4.0 * shape, 5.0 * shape, np.full(len(shape), np.nan)], axis=1)
    off = []
    for hours in (1, 12, 60):
        values[:, 2] = np.nan
        values[-hours:, 2] = 20.0 * shape[-hours:]
        forecaster = WithNewcomers(SeasonalNaive).fit(hourly(values, ["a", "b", "new"]))
        assert forecaster.newcomers == ["new"]
        off.append(float(np.abs(forecaster.predict(24)["new", 0.5].to_numpy() - 20.0 * shape[:24]).mean()))
    assert off == sorted(off, reverse=True)
    values[-72:, 2] = 20.0 * shape[-72:]
    assert WithNewcomers(SeasonalNaive).fit(hourly(values, ["a", "b", "new"])).newcomers == []


def test_newcomers_survive_saving_and_new_rows(tmp_path: Path) -> None:
    values = np.stack([noisy_day(1), noisy_day(2), np.full(960, np.nan)], axis=1)
    frame = hourly(values, ["a", "b", "new"])
    one = WithNewcomers(SeasonalNaive, {"a": 20.0, "new": 10.0}).fit(frame.iloc[:900])
    one.save(tmp_path)
    again = load_forecaster(tmp_path)
    for each in (one, again):
        each.update(frame.iloc[900:])
    pd.testing.assert_frame_equal(one.predict(12), again.predict(12))
    with pytest.raises(InputError, match="TooShort"):
        WithNewcomers(SeasonalNaive).fit(frame.iloc[:5])
    with pytest.raises(InputError, match="NotGreater"):
        WithNewcomers(SeasonalNaive, {"a": 0.0})


class Faulty(SeasonalNaive):
    """Fails in one of several ways."""

    name = "faulty"

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Faulty:
        if self.way == "fit":
            raise MemoryError("no room")
        return super().fit(history)

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Faulty:
        if self.way == "update":
            raise OSError("disk")
        return super().update(new)

    def predict(self, horizon: int, *arguments: Any, **keywords: Any) -> pd.DataFrame:
        if self.way == "predict":
            raise ValueError("singular")
        if self.way == "late":
            time.sleep(0.5)
        found = super().predict(horizon, *arguments, **keywords)
        if self.way == "nan":
            found.loc[:, "c0"] = np.nan
        if self.way == "shape":
            found = found.iloc[:-1]
        if self.way == "nonsense":
            return "hello"  # type: ignore[return-value]
        return found


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("fit", "training failed: MemoryError"),
        ("update", "new rows failed: OSError"),
        ("predict", "it failed: ValueError: singular"),
        ("late", "longer than 0.05 s"),
        ("nan", "for c0: it gave no number"),
        ("shape", "other steps"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_forecaster_that_fails_is_stood_in_for_and_that_is_said(way: str, says: str) -> None:
    frame = hourly(np.stack([noisy_day(1), noisy_day(2)], axis=1))
    forecaster = WithFallback(lambda: Faulty(way), time_limit_s=0.05 if way == "late" else None)
    forecaster.fit(frame.iloc[:-24]).update(frame.iloc[-24:])
    found = forecaster.predict(12, (0.1, 0.5, 0.9))
    said = found.attrs["warnings"]
    assert len(said) == 1
    assert says in said[0]
    assert "the last value stands in" in said[0]
    last = LastValue().fit(frame).predict(12, (0.1, 0.5, 0.9))
    assert found["c0", 0.5].tolist() == last["c0", 0.5].tolist()
    upper = found["c0", 0.9] - found["c0", 0.5]
    assert upper.to_numpy() == pytest.approx(1.5 * (last["c0", 0.9] - last["c0", 0.5]).to_numpy())
    if way == "nan":
        assert found["c1"].equals(SeasonalNaive().fit(frame).predict(12, (0.1, 0.5, 0.9))["c1"])


def test_nothing_is_said_where_nothing_is_wrong(tmp_path: Path) -> None:
    frame = hourly(noisy_day())
    forecaster = WithFallback(SeasonalNaive, time_limit_s=60.0).fit(frame)
    found = forecaster.predict(12)
    assert found.attrs["warnings"] == []
    pd.testing.assert_frame_equal(found, SeasonalNaive().fit(frame).predict(12))
    forecaster.save(tmp_path)
    pd.testing.assert_frame_equal(load_forecaster(tmp_path).predict(12), found)


def test_a_late_forecaster_comes_back_with_the_rows_it_missed() -> None:
    frame = hourly(noisy_day())
    forecaster = WithFallback(lambda: Faulty("late"), time_limit_s=0.05).fit(frame.iloc[:-24])
    assert forecaster.predict(6).attrs["warnings"]
    forecaster.update(frame.iloc[-24:])
    assert "still busy" in forecaster.predict(6).attrs["warnings"][0]
    forecaster.time_limit_s = None
    deadline = time.monotonic() + 30
    while (found := forecaster.predict(6)).attrs["warnings"] and time.monotonic() < deadline:
        time.sleep(0.05)
    pd.testing.assert_frame_equal(found, SeasonalNaive().fit(frame).predict(6))


def test_bad_input_is_no_reason_to_fall_back() -> None:
    forecaster = WithFallback(SeasonalNaive).fit(hourly(noisy_day()))
    with pytest.raises(InputError, match="HorizonError"):
        forecaster.predict(0)
    with pytest.raises(InputError, match="TimeOrder"):
        forecaster.update(hourly(noisy_day()))
