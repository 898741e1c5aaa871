"""Draws that nothing explains: scenes whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from pdnopt.errors import InputError
from pdnopt.risk import judge_circuit
from pdnopt.risk.circuits import _tail

N = 4 * 72  # three days of quarters of an hour
TIME = pd.date_range("2026-01-08", periods=N, freq="15min", tz="UTC")
PAST = pd.date_range("2026-01-01", periods=4 * 168, freq="15min", tz="UTC")
IDLE_KW, PER_UTILISATION_KW, NOISE_KW = 3.0, 5.0, 0.1


def night_jobs(time: pd.DatetimeIndex, seed: int) -> pd.Series:
    """Return utilisation: busy 8 h a day, idle else."""
    hour = time.hour.to_numpy()
    rng = np.random.default_rng(seed)
    used = np.where((hour >= 8) & (hour < 16), 0.8, 0.08) + 0.03 * rng.standard_normal(len(time))
    return pd.Series(used.clip(0, 1), index=time)


def power(used: pd.Series, seed: int) -> pd.Series:
    noise = NOISE_KW * np.random.default_rng(seed).standard_normal(len(used))
    return IDLE_KW + PER_UTILISATION_KW * used + noise


def quantiles(used: pd.Series) -> pd.DataFrame:
    middle = IDLE_KW + PER_UTILISATION_KW * used.where(used < 0.5, 0.8).where(used >= 0.5, 0.08)
    return pd.DataFrame({0.1: middle - 0.25, 0.5: middle, 0.9: middle + 0.25})


USED, PAST_USED = night_jobs(TIME, 1), night_jobs(PAST, 2)
REFERENCE = (power(PAST_USED, 3), PAST_USED)
NORMAL = power(USED, 4)


def test_what_the_forecast_expects_is_explained() -> None:
    for seed in range(10):
        used = night_jobs(TIME, 100 + seed)
        found = judge_circuit("c1", power(used, 200 + seed), quantiles(used), used, REFERENCE)
        assert found.suspicion == "none"


def test_a_steady_draw_while_machines_idle_may_be_an_intrusion() -> None:
    extra = pd.Series(np.where(np.arange(N) >= 48, 1.5, 0.0), index=TIME)
    found = judge_circuit("c1", NORMAL + extra, quantiles(USED), USED, REFERENCE)
    assert found.suspicion == "possible intrusion"
    assert found.draw_kw == pytest.approx(1.5, abs=0.15)
    assert abs(found.since - TIME[48]) <= pd.Timedelta("1h")
    assert "steady" in str(found)
    assert "utilisation" in str(found)


def test_a_draw_that_comes_and_goes_while_machines_idle() -> None:
    extra = pd.Series(
        np.where(np.arange(N) // 8 % 2 == 0, 2.0, 0.0), index=TIME
    )  # two hours on, two hours off
    found = judge_circuit("c1", NORMAL + extra, quantiles(USED), USED, REFERENCE)
    assert found.suspicion == "possible intrusion"
    assert "every 4.0 h" in str(found)


def test_losses_that_rise_with_the_load_are_a_component_that_fails() -> None:
    found = judge_circuit("c1", NORMAL + 0.35 * PER_UTILISATION_KW * USED, quantiles(USED), USED, REFERENCE)
    assert found.suspicion == "failing component"
    assert "rises with the load" in str(found)


def test_a_draw_that_grows_is_a_component_that_fails() -> None:
    extra = pd.Series(0.4 + 0.6 * np.arange(N) / N, index=TIME)
    found = judge_circuit("c1", NORMAL + extra, quantiles(USED))
    assert found.suspicion == "failing component"
    assert "grows" in str(found)


def test_more_work_is_no_anomaly_but_without_workload_nobody_can_tell() -> None:
    """Machines that are busy all day: the forecast does not expect it, the workload explains it."""
    busy = pd.Series(0.8, index=TIME)
    explained = judge_circuit("c1", power(busy, 5), quantiles(USED), busy, REFERENCE)
    assert explained.suspicion == "none"
    blind = judge_circuit("c1", power(busy, 5), quantiles(USED))
    assert blind.suspicion == "unexplained"
    assert "cannot be told apart" in str(blind)


def test_tail_is_the_binomial_of_hours() -> None:
    exceed = np.zeros(96, bool)
    exceed[:48] = True
    index = TIME[:96]
    assert _tail(index, exceed, 0.1) == pytest.approx(binom.sf(11, 24, 0.1))


def test_faults_are_told_together() -> None:
    naive = NORMAL.tz_localize(None)
    with pytest.raises(InputError) as caught:
        judge_circuit("c1", naive, quantiles(USED)[[0.1, 0.5]], USED * 100)
    assert {issue.kind for issue in caught.value.issues} == {"TimezoneRequired", "Range", "Missing"}
    with pytest.raises(InputError, match="HorizonError"):
        judge_circuit("c1", NORMAL, quantiles(PAST_USED))
