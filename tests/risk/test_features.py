"""Features of a window, against signals whose features are known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pdnopt.risk.features import velocity_mm_per_s, vibration_features, vibration_zone, voltage_fluctuation
from tests.risk.data import need


def test_a_sine_has_crest_factor_root_two_and_kurtosis_three_halves() -> None:
    x = 5.0 + 2.0 * np.sin(2 * np.pi * np.arange(10000) / 100.0)
    found = vibration_features(x)
    assert found.rms == pytest.approx(2.0 / np.sqrt(2.0))
    assert found.crest_factor == pytest.approx(np.sqrt(2.0))
    assert found.kurtosis == pytest.approx(1.5)


def test_knocks_raise_kurtosis_and_crest_factor() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.standard_normal(20000)
    knocking = quiet.copy()
    knocking[::200] += 12.0
    assert vibration_features(quiet).kurtosis == pytest.approx(3.0, abs=0.15)
    assert vibration_features(knocking).kurtosis > 10
    assert vibration_features(knocking).crest_factor > 1.5 * vibration_features(quiet).crest_factor


def test_velocity_of_a_harmonic_acceleration() -> None:
    """v = a / omega: 10 m/s2 of amplitude at 50 Hz is 10 / (2 pi 50) m/s, RMS 22.5 mm/s."""
    t = np.arange(0, 1.0, 1 / 5000.0)
    a = 10.0 * np.sin(2 * np.pi * 50.0 * t) + 30.0 * np.sin(2 * np.pi * 2.0 * t)  # 2 Hz lies outside the band
    assert velocity_mm_per_s(a, 5000.0) == pytest.approx(
        1e3 * 10.0 / (2 * np.pi * 50.0) / np.sqrt(2.0), rel=1e-3
    )


@pytest.mark.parametrize(("v", "zone"), [(0.5, "A"), (1.2, "B"), (3.0, "C"), (7.2, "D")])
def test_zones_of_a_medium_machine(v: float, zone: str) -> None:
    assert vibration_zone(v, "II") == zone


def test_voltage_fluctuation_leaves_out_what_the_grid_does_slowly() -> None:
    time = pd.date_range("2026-01-01", periods=7200, freq="1s", tz="UTC")
    noise = np.random.default_rng(0).standard_normal(7200) * 0.25
    slow = 5.0 * np.sin(2 * np.pi * np.arange(7200) / 7200)
    found = voltage_fluctuation(pd.Series(230.0 + slow + noise, index=time))
    assert len(found) == 8
    np.testing.assert_allclose(found, 0.27, atol=0.04)


def test_real_mains_is_what_the_generator_takes_it_for() -> None:
    from pdnopt.risk.synthetic import GRID_CORRELATION, GRID_LOG_SD, GRID_V

    mains = pd.read_parquet(need("linc_mains_voltage_3ph_1s.parquet")).set_index("time")
    found = pd.DataFrame({name: voltage_fluctuation(mains[name]) for name in ("V_L1", "V_L2", "V_L3")})
    logs = np.log(found)
    assert float(found.median().mean()) == pytest.approx(GRID_V, abs=0.03)
    assert float(logs.std().mean()) == pytest.approx(GRID_LOG_SD, abs=0.03)
    assert float(np.mean([logs[c].autocorr(1) for c in logs])) == pytest.approx(GRID_CORRELATION, abs=0.15)


def test_imbalance_of_a_real_fan_shows_at_equal_speed() -> None:
    """Two weights on opposite blades (3) balance each other; on neighbouring ones (1) they do not."""
    fan = pd.read_parquet(need("uci846_fan_vibration.parquet"))
    fan.columns = ["weights", "speed", "x", "y", "z"]
    for speed in range(60, 101, 5):
        rms = [
            vibration_features(fan.query(f"weights == {k} and speed == {speed}")["x"].to_numpy()).rms
            for k in (3, 2, 1)
        ]
        assert rms[1] > 2 * rms[0]
        assert rms[2] > rms[1]
