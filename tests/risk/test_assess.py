"""From readings to a decision: what `assess` says, what it does not, and that `solve` takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.errors import InputError
from pdnopt.risk import assess, ats_fleet
from pdnopt.risk.assessment import MODEL, READINGS, Assessment
from pdnopt.risk.maintenance import advise
from pdnopt.risk.rates import PRIORS
from tests.reserve.rooms import room
from tests.risk.data import need

DAY_S = 86400.0


@pytest.fixture(scope="module")
def worn() -> Assessment:
    """Return a switch three days before it wears out, beside one that does not wear."""
    fleet = ats_fleet(8, 100.0, seed=7)
    first = int(np.argmin(np.where(fleet.worn, fleet.failure_s, np.inf)))
    well = int(np.flatnonzero(~np.isfinite(fleet.failure_s) & ~np.isfinite(fleet.onset_s))[0])
    return assess(fleet.to_frame([well, first], until_s=fleet.failure_s[first] - 3 * DAY_S))


def hourly(component: str, days: int, shift_k: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Return load and temperature of a component by the hour; the temperature shifts in the last days."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2026-01-01", periods=24 * days, freq="1h", tz="UTC")
    load = 100 * (
        0.6 + 0.2 * np.sin(2 * np.pi * np.arange(len(time)) / 24) + 0.02 * rng.standard_normal(len(time))
    )
    heat = 25 + 20 * (load / 100) ** 2 + 0.1 * rng.standard_normal(len(time))
    heat[-24 * 3 :] += shift_k
    wide = pd.DataFrame({(component, "current"): load, (component, "temperature"): heat}, index=time)
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    return wide


def test_the_worn_switch_comes_first_with_reasons_and_advice(worn: Assessment) -> None:
    first, second = worn.components
    assert first.weekly > 0.1
    assert first.weekly > 100 * second.weekly
    assert set(first.contributions) == {"temperature", "voltage_fluctuation"}
    parts = list(first.contributions.values())
    assert parts == sorted(parts, reverse=True)
    assert "sigma above its reference at equal load" in first.reasons[0]
    assert "retorque" in first.advice.action
    assert first.advice.within_h <= 24
    assert second.advice.action == "none"
    assert second.health > 0.99 > first.health


def test_synthetic_is_said_everywhere(worn: Assessment) -> None:
    assert worn.synthetic
    assert worn.frame.attrs["synthetic"]
    assert worn.to_dict()["synthetic"]
    assert worn.to_frame().attrs["synthetic"]
    assert (worn.to_frame()["synthetic"] != "").all()
    for component in worn.components:
        assert component.synthetic == (READINGS, MODEL)
        assert component.component + "*" in str(worn)
    assert "SYNTHETIC" in str(worn)


def test_the_frame_adds_up_to_the_horizon(worn: Assessment) -> None:
    assert worn.frame.shape == (2, 12)
    assert (worn.frame >= 0).to_numpy().all()
    np.testing.assert_allclose(worn.frame.sum(axis=1), [c.within_horizon for c in worn.components])


def test_six_kelvin_on_a_ups_by_the_rule() -> None:
    """Life halves per 10 K: 2^0.6 times the hazard of a unit as new, and its prior's rate."""
    (found,) = assess(hourly("ups:A", 20, shift_k=6.0)).components
    assert found.signs[0].level == pytest.approx(6.0, abs=0.2)
    assert found.health == pytest.approx(2**-0.6, abs=0.02)
    assert "temperature +6.0" in found.reasons[0]
    year = PRIORS["ups"].probability(1 / 8760)
    assert found.within_horizon == pytest.approx(2**0.6 * year, rel=0.1)
    assert found.synthetic == ()
    assert "fans" in found.advice.action


def test_without_sensors_the_prior_speaks() -> None:
    found = assess(hourly("ups:A", 20), components=["trafo:T1"])
    prior = next(c for c in found.components if c.component == "trafo:T1")
    assert prior.within_horizon == pytest.approx(PRIORS["trafo"].probability(1 / 8760), rel=0.02)
    assert prior.signs == ()


def test_own_experience_moves_the_prior() -> None:
    history = pd.DataFrame({"kind": ["ups"], "failures": [4], "unit_years": [20.0]})
    before, after = assess(hourly("ups:A", 20)), assess(hourly("ups:A", 20), history=history)
    ratio = after.components[0].within_horizon / before.components[0].within_horizon
    assert ratio == pytest.approx((5 / 227.4) / (1 / 207.4), rel=0.02)
    assert "updated with 4 failures" in after.components[0].base_rate


def test_a_short_record_is_no_reference() -> None:
    (found,) = assess(hourly("ups:A", 5, shift_k=20.0)).components
    assert found.signs == ()
    assert "still being learnt" in found.reasons[0]


def test_a_sensor_that_stands_still_is_left_out() -> None:
    table = hourly("ups:A", 20)
    table.iloc[-60:, 1] = 80.0
    (found,) = assess(table).components
    assert "the sensor is suspect" in found.reasons[-1]
    assert found.health > 0.3
    assert not found.contributions or found.signs[0].level < 15


def test_a_battery_near_its_end() -> None:
    time = pd.date_range("2026-01-01", periods=60, freq="1D", tz="UTC")
    fading = pd.DataFrame({("storage:B", "state_of_health"): 100 - 0.3 * np.arange(60)}, index=time)
    fading.columns = pd.MultiIndex.from_tuples(fading.columns)
    (found,) = assess(fading).components
    assert found.battery is not None
    assert found.battery.health == pytest.approx(0.823, abs=0.005)
    assert found.battery.within[50] > 0.8
    assert "capacity test" in found.advice.action
    assert "chance of falling to 80%" in found.reasons[0]


def test_solve_takes_the_frame() -> None:
    """The unit that is about to fail is evacuated first."""
    net = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    found = assess(hourly("ups:R2", 20, shift_k=60.0), net, components=["ups:R1"])
    assert found.frame.loc["ups:R2"].sum() > 10 * found.frame.loc["ups:R1"].sum()
    result = pdnopt.solve(net, "reserve", risk=found.frame, time_limit_s=60.0).raise_for_status()
    assert "evacuated" in result.objective


def test_faults_of_arguments_and_readings_are_told_together() -> None:
    net: Any = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    bad = hourly("ups:NOBODY", 1)
    with pytest.raises(InputError) as caught:
        assess(bad, net, horizon=0, step_s=-1.0, end_of_life_at=80, machine="V", components=["ups:R9"],
               history=pd.DataFrame({"kind": ["ups"], "failures": [-1], "unit_years": [1.0]}))  # fmt: skip
    issues = caught.value.issues
    assert {issue.path for issue in issues} >= {
        "horizon", "step_s", "end_of_life_at", "machine", "components", "sensors.component", "history.failures",
    }  # fmt: skip


@pytest.mark.parametrize(("weekly", "hours"), [(0.5, 4), (0.1, 24), (0.02, 168), (1e-4, np.inf)])
def test_urgency_follows_the_probability(weekly: float, hours: float) -> None:
    assert advise("transfer", ("temperature",), weekly).within_h == hours
    assert "thermography" in advise("transfer", ("temperature",), weekly).action
    assert advise("strange", ("humidity",), weekly).action.startswith("check for condensation")
    assert advise("transfer", (), weekly).action == "none"


@pytest.mark.parametrize(("health", "hours"), [(0.1, 24), (0.4, 168), (0.9, np.inf)])
def test_a_component_much_worse_than_it_was_does_not_wait(health: float, hours: float) -> None:
    assert advise("ups", ("temperature",), 1e-4, health).within_h == hours


def test_a_dense_voltage_is_judged_by_its_fluctuation() -> None:
    """One day of real mains, the first half learnt; then the same with a loose contact put in (synthetic)."""
    mains = pd.read_parquet(need("linc_mains_voltage_3ph_1s.parquet")).set_index("time")["V_L1"]
    loose = mains.copy()
    late = np.arange(len(mains)) > 0.6 * len(mains)
    loose[late] -= 0.12 * np.random.default_rng(0).poisson(20.0, late.sum())
    levels = []
    for voltage in (mains, loose):
        wide = pd.DataFrame({("switch:S", "voltage"): voltage})
        wide.columns = pd.MultiIndex.from_tuples(wide.columns)
        (found,) = assess(wide, learn_s=0.5 * DAY_S).components
        (sign,) = found.signs
        assert sign.sensor == "voltage_fluctuation"
        levels.append(sign.level)
    assert abs(levels[0]) < 0.5
    assert levels[1] > levels[0] + 0.5
