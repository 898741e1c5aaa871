"""The rule of one inverter, by hand; and that many of them settle, on AC power flow that the rule knows nothing of."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pdnopt.acflow import powerflow
from pdnopt.balancing.levels import Levels, Measured, RuleSettings, local_setpoint
from pdnopt.balancing.levels.gains import loop_matrix, row_gains, sensitivity
from pdnopt.errors import InputError
from tests.balance.zoned_halls import pods

EVEN_V = np.ones(3)
NOTHING = np.zeros(3, dtype=complex)


def told(rule: RuleSettings, circuit: list[complex], v: Any = EVEN_V, s: Any = NOTHING) -> np.ndarray:
    return local_setpoint(rule, Measured(np.asarray(v), np.asarray(circuit, dtype=complex), np.asarray(s)))


def test_one_evens_its_circuit() -> None:
    """3, 2 and 1 kVA: it gives 1 to the first, takes 1 from the last, so that each draws 2."""
    rule = RuleSettings(s_max_kva=5.0, loss=0.0, smoothing=1.0)
    assert told(rule, [3 + 0.6j, 2 + 0.4j, 1 + 0.2j]) == pytest.approx([1 + 0.2j, 0, -1 - 0.2j])


def test_what_it_gives_already_counts_as_drawn() -> None:
    rule = RuleSettings(s_max_kva=5.0, loss=0.0, smoothing=1.0)
    assert told(rule, [2, 2, 2], s=[1 + 0j, 0j, -1 + 0j]) == pytest.approx([1, 0, -1])


def test_half_of_two_and_half_the_way() -> None:
    rule = RuleSettings(s_max_kva=5.0, loss=0.0, share=0.5, smoothing=0.5)
    assert told(rule, [3, 2, 1]) == pytest.approx([0.25, 0, -0.25])


def test_losses_come_from_the_phases() -> None:
    """p sums to minus 3 % of what flows, 2 kVA: -0.06 kW, a third of it from each phase (to first order)."""
    got = told(RuleSettings(s_max_kva=5.0, loss=0.03, smoothing=1.0), [3, 2, 1])
    assert got.real.sum() + 0.03 * np.abs(got).sum() == pytest.approx(0.0, abs=1e-9)
    assert got.real == pytest.approx([0.98, -0.02, -1.02], abs=1e-3)


def test_a_battery_may_give_them() -> None:
    rule = RuleSettings(s_max_kva=5.0, loss=0.03, smoothing=1.0, b_low_kw=-1.0, b_high_kw=1.0)
    assert told(rule, [3, 2, 1]) == pytest.approx([1, 0, -1])


def test_ratings_hold_and_links_stay_even() -> None:
    rng = np.random.default_rng(0)
    rule = RuleSettings(s_max_kva=1.0, loss=0.05, p_gain_kw=30.0, q_gain_kvar=30.0)
    for _ in range(200):
        circuit = rng.normal(0, 5, 3) + 1j * rng.normal(0, 5, 3)
        got = told(rule, list(circuit), rng.normal(1, 0.05, 3), 0.5 * (rng.normal(0, 1, 3) + 0j))
        assert np.abs(got).max() <= 1.0 + 1e-9
        assert got.real.sum() + 0.05 * np.abs(got).sum() == pytest.approx(0.0, abs=1e-6)


def test_droops_by_hand() -> None:
    """Phase a 2 % low: 1 % beyond the band is lifted by 10 kvar per pu; a - mean is -1.33 %, 0.33 % beyond."""
    rule = RuleSettings(
        s_max_kva=5.0, loss=0.0, p_gain_kw=30.0, q_gain_kvar=10.0, dead_band_pu=0.01, smoothing=1.0
    )
    got = told(rule, [2, 2, 2], [0.98, 1.0, 1.0])
    assert got.imag == pytest.approx([0.1, 0.0, 0.0])
    up = 30.0 * (0.02 * 2 / 3 - 0.01)
    assert got.real == pytest.approx([up - up / 3, -up / 3, -up / 3], abs=1e-6)  # the link takes the mean out
    assert told(rule, [2, 2, 2], [0.995, 1.0, 1.005]) == pytest.approx([0, 0, 0])


def test_at_its_operating_point_it_stays() -> None:
    s = (1 + 0.5j, -0.2 - 0.1j, -0.8612 + 0j)
    rule = RuleSettings(
        s_max_kva=2.0, loss=0.0, b_low_kw=-1.0, b_high_kw=1.0, s_kva=s, v_pu=(0.97, 1.01, 0.99),
        circuit_kva=(5 + 1j, 2 + 0.5j, 1 + 0.1j), p_gain_kw=30.0, q_gain_kvar=30.0, dead_band_pu=0.0,
    )  # fmt: skip
    drawn = np.array(rule.circuit_kva) - np.array(s)
    assert told(rule, list(drawn), rule.v_pu, s) == pytest.approx(np.array(s))


def test_silent_meters_are_no_disaster() -> None:
    rule = RuleSettings(
        s_max_kva=5.0, s_kva=(1 + 0j, 0j, -1 + 0j), b_low_kw=-1.0, b_high_kw=1.0, smoothing=1.0
    )
    nan = [complex(np.nan, np.nan)] * 3
    assert told(rule, nan, [np.nan] * 3) == pytest.approx([1, 0, -1])


def test_it_needs_numpy_only() -> None:
    code = (
        "import sys; from pdnopt.balancing.levels.local import local_setpoint; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'pandas', 'scipy', 'pandapower', 'highspy', 'cvxpy', 'pyomo', 'networkx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def levels() -> Any:
    made = Levels(pods(1, 2, 3), zones=3)
    yield made
    made.close()


def test_sensitivity_is_that_of_ac_power_flow(levels: Levels) -> None:
    """Against power-grid-model: 0.1 kW and 0.1 kvar more from one phase of one inverter."""
    net = pods(1, 2, 3)
    state = levels.state()
    by_p, by_q = sensitivity(levels.area, levels.inverters, state.sight)
    buses = net.asymmetric_sgen["bus"].to_numpy(int)

    def volts(column: str, more: float) -> np.ndarray:
        net.asymmetric_sgen.loc[net.asymmetric_sgen.index[1], column] = more
        flow = powerflow(net, three_phase=True)
        net.asymmetric_sgen.loc[net.asymmetric_sgen.index[1], column] = 0.0
        return flow.res_bus_3ph.loc[buses, ["vm_a_pu", "vm_b_pu", "vm_c_pu"]].to_numpy(float).ravel()

    for column, ours in (("p_b_mw", by_p[:, 4]), ("q_b_mvar", by_q[:, 4])):
        seen = (volts(column, 1e-3) - volts(column, -1e-3)) / 2.0
        # the linear model holds the loads' currents, AC power flow their powers: a tenth, no matter for a bound
        assert ours == pytest.approx(seen, abs=0.12 * np.abs(seen).max())
        assert np.abs(seen).max() > 1e-5


def settled(
    levels: Levels, rules: dict[str, RuleSettings], s: np.ndarray, steps: int = 60
) -> tuple[np.ndarray, float]:
    """Return where the rules come to rest, and how much they still move."""
    for _ in range(steps):
        state = levels.state(s)
        new = levels.local(rules, state)
        moved, s = float(np.abs(new - s).max()), new
    return s, moved


def test_all_together_settle_wherever_they_start(levels: Levels) -> None:
    rules = levels.alone(dead_band_pu=0.0)
    rng = np.random.default_rng(1)
    ends = []
    for _ in range(3):
        start = rng.uniform(-0.2, 0.2, 18) + 1j * rng.uniform(-0.2, 0.2, 18)
        end, moved = settled(levels, rules, start)
        assert moved < 1e-4
        ends.append(end)
    assert np.abs(ends[0]).max() > 0.1
    assert ends[1] == pytest.approx(ends[0], abs=1e-3)
    assert ends[2] == pytest.approx(ends[0], abs=1e-3)


def test_the_loop_is_a_contraction_and_far_larger_gains_are_none(levels: Levels) -> None:
    state = levels.state()
    gains = row_gains(levels.area, levels.inverters, state.sight)

    def radius(times: float) -> float:
        many = (times * gains[0], times * gains[1])
        matrix = loop_matrix(levels.area, levels.inverters, state.sight, many, 1.0)
        return float(np.abs(np.linalg.eigvals(matrix)).max())

    assert radius(1.0) <= 0.5
    assert radius(12.0) > 1.0
    rules = levels.alone(dead_band_pu=0.0, smoothing=1.0)
    wild = {
        name: replace(rule, p_gain_kw=40 * rule.p_gain_kw, q_gain_kvar=40 * rule.q_gain_kvar)
        for name, rule in rules.items()
    }
    assert settled(levels, rules, np.zeros(18, dtype=complex))[1] < 1e-4
    assert settled(levels, wild, np.zeros(18, dtype=complex))[1] > 0.05  # back and forth between limits


def test_settings_out_of_range_are_named_at_once(levels: Levels) -> None:
    with pytest.raises(InputError) as caught:
        levels.rules(levels.state(), stiffness=1.5, smoothing=0.0, dead_band_pu=-1.0)
    assert [issue.path for issue in caught.value.issues] == [
        f"rules({name}=...)" for name in ("stiffness", "smoothing", "dead_band_pu")
    ]
