"""The generator obeys its own equations, and everything that it makes says that it is synthetic."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.risk import ats_fleet, read_sensors
from pdnopt.risk.synthetic import (
    R_BODY_OHM,
    R_NEW_OHM,
    R_TH_K_PER_W,
    SOFTENING_V,
    STEP_S,
    THERMAL_S,
    Fleet,
    _heating,
)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return ats_fleet(60, 100.0, seed=11)


def test_the_same_seed_is_the_same_fleet(fleet: Fleet) -> None:
    again, other = ats_fleet(60, 100.0, seed=11), ats_fleet(60, 100.0, seed=12)
    np.testing.assert_array_equal(fleet.temperature, again.temperature)
    assert not np.array_equal(fleet.failure_s, other.failure_s)


def test_heating_is_a_first_order_lag_of_the_loss() -> None:
    loss = np.concatenate([np.full(10, 10.0), np.full(200, 30.0)])[None, :]
    rise = _heating(loss)[0]
    assert rise[9] == pytest.approx(10.0 * R_TH_K_PER_W)
    after = rise[10:] - 30.0 * R_TH_K_PER_W
    time = STEP_S * np.arange(1, len(after) + 1)
    np.testing.assert_allclose(after, -20.0 * R_TH_K_PER_W * np.exp(-time / THERMAL_S), atol=1e-9)


def test_worn_ones_fail_at_the_softening_voltage(fleet: Fleet) -> None:
    assert fleet.worn.sum() > 5
    for k in np.flatnonzero(fleet.worn):
        at = int(fleet.failure_s[k] / STEP_S)
        drop_v = fleet.current[k, at - 1] * R_NEW_OHM * fleet.resistance[k, at - 1]
        assert 0.4 * SOFTENING_V < drop_v < 2.5 * SOFTENING_V  # scatter of a quarter between contacts
        assert np.isnan(fleet.temperature[k, at:]).all()
        assert np.isfinite(fleet.temperature[k, :at]).all()


def test_new_ones_are_as_warm_as_their_loss_says(fleet: Fleet) -> None:
    k = int(np.flatnonzero(~np.isfinite(fleet.onset_s) & ~np.isfinite(fleet.failure_s))[0])
    rise = (fleet.temperature[k] - fleet.ambient[k]).mean()
    loss = (fleet.current[k] ** 2 * (R_BODY_OHM + R_NEW_OHM)).mean()
    assert rise == pytest.approx(R_TH_K_PER_W * loss, abs=1.0)


def test_wear_is_mostly_ended_by_wear(fleet: Fleet) -> None:
    ended = np.isfinite(fleet.failure_s)
    assert (fleet.onset_s[fleet.worn] < fleet.failure_s[fleet.worn]).all()
    assert 0 < (ended & ~fleet.worn).sum() < fleet.worn.sum()


def test_tables_say_that_they_are_synthetic(fleet: Fleet) -> None:
    table = fleet.to_frame([0, 1], until_s=86400.0)
    assert table["synthetic"].all()
    assert table.attrs["synthetic"]
    table.attrs.clear()
    assert read_sensors(table).synthetic
