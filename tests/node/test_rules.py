"""Local rules: nothing, what was, and droop by hand sums around even and uneven states."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pdnopt.node.device import NodeDevice
from pdnopt.node.rules import Hold, Zero, check_rule, make_rule
from pdnopt.node.simulated import SimulatedHardware
from tests.node.bench import INVERTER, WATCHDOG_S, ZERO, Bench, phases

DROOP = {"kind": "droop", "p_gain_kw": 100.0, "q_gain_kvar": 50.0, "loss": 0.0, "dead_band_pu": 0.002}


def droop(**changes: Any) -> Any:
    return make_rule("asymmetric_sgen", {**DROOP, **changes}, 5.0)


def test_zero_and_hold() -> None:
    assert Zero("asymmetric_sgen")({}, phases(1, 2, 3)) == ZERO
    assert Zero("storage")({}, 5.0) == 0.0
    assert Hold("storage")({}, 5.0) == 5.0
    assert Hold("storage")({}, None) == 0.0


def test_droop_around_the_even_state() -> None:
    """Phases at 0.98, 1.00 and 1.02 pu: 0.02 off the mean, 0.018 beyond the dead band; 1.8 kW, and half of the way there.

    Reactive power goes by each phase's own voltage: 0.9 kvar on the low phase, half of it.
    """
    found = droop()({"vm_pu": [0.98, 1.0, 1.02]}, ZERO)
    assert found["p_kw"] == pytest.approx([0.9, 0.0, -0.9], abs=1e-6)
    assert found["q_kvar"] == pytest.approx([0.45, 0.0, -0.45], abs=1e-6)
    assert droop()({"vm_pu": [0.9985, 1.0, 1.0015]}, ZERO)["p_kw"] == pytest.approx([0, 0, 0], abs=1e-9)


def test_droop_keeps_to_what_the_controller_had_set_until_something_changes() -> None:
    rule = droop()
    told, seen = phases(2.0, -1.0, -1.0), {"vm_pu": [0.97, 1.0, 1.01]}
    rule.follow(seen, told)
    assert rule(seen, told)["p_kw"] == pytest.approx(told["p_kw"], abs=1e-6)
    # Phase a falls by 0.03: 0.02 below the mean of the changes, the others 0.01 above. Beyond the dead band that is 0.018
    # and 0.008, so 1.8 - 0.8 - 0.8 kW, half of it at once; the 0.1 kW too many comes from all three phases alike.
    found = rule({"vm_pu": [0.94, 1.0, 1.01]}, told)["p_kw"]
    assert found == pytest.approx([2.9 - 0.1 / 3, -1.4 - 0.1 / 3, -1.4 - 0.1 / 3], abs=1e-6)


def test_droop_follows_its_circuit() -> None:
    """A circuit that draws 3 kW more on one phase: 2 kW above the mean of the phases, half of the way at once."""
    rule = droop()
    before = {"vm_pu": [1.0] * 3, "circuit_p_kw": [4.0] * 3, "circuit_q_kvar": [0.0] * 3}
    rule.follow(before, ZERO)
    found = rule({**before, "circuit_p_kw": [7.0, 4.0, 4.0]}, ZERO)
    assert found["p_kw"] == pytest.approx([1.0, -0.5, -0.5], abs=1e-6)


def test_droop_without_voltages_changes_nothing() -> None:
    rule = droop()
    rule.follow({}, phases(1, 1, 1))  # nothing was measured: no state to go around
    assert rule({}, ZERO)["p_kw"] == pytest.approx([0.0] * 3, abs=1e-9)
    assert not any(math.isnan(value) for value in rule({}, None)["p_kw"])


def test_droop_never_beyond_the_rating() -> None:
    found = droop(p_gain_kw=1e5, smoothing=1.0)({"vm_pu": [0.8, 1.0, 1.2]}, ZERO)
    assert max(map(math.hypot, found["p_kw"], found["q_kvar"])) <= 5.0 + 1e-9


def test_node_with_droop_takes_over_without_a_jump() -> None:
    """Silence: the set-point stays where it was, and follows the voltages from there."""
    bench = Bench()
    device = bench.node.devices[INVERTER]
    device.rule = droop()
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(2.0, -1.0, -1.0)))
    bench.step()
    bench.step(WATCHDOG_S + 1)
    assert device.by_rule
    assert bench.wires[INVERTER].state["setpoint"] == phases(2.0, -1.0, -1.0)
    bench.wires[INVERTER].state["vm_pu"] = [0.95, 0.98, 1.01]
    bench.step()
    assert bench.wires[INVERTER].state["setpoint"]["p_kw"][0] > 2.5


def test_rules_of_a_file() -> None:
    def kinds(table: str, data: dict[str, Any]) -> list[str]:
        return [issue.kind for issue in check_rule(table, data, "rule", "", str)]

    assert kinds("asymmetric_sgen", DROOP) == []
    assert "Enum" in kinds("storage", DROOP)
    assert kinds("asymmetric_sgen", {"kind": "droop"}) == ["Missing", "Missing"]
    assert kinds("asymmetric_sgen", {**DROOP, "smoothing": 0.0}) == ["Range"]
    assert kinds("asymmetric_sgen", {**DROOP, "v_pu": [1.0, 1.0]}) == ["Type"]


def test_droop_settles_where_the_sums_say() -> None:
    """A made-up feeder of 4 mpu a kW that draws 2.6, 2.0 and 1.4 kW, gain 100 kW a pu, no dead band.

    Phase a lies 2.4 mpu below the mean; p = 100 (0.0024 - 0.004 p), so p = 0.24 / 1.4.
    """
    bench = Bench()
    bench.clock.offset_s = -bench.clock.now_s  # midnight: the day's swing is 0
    wire = SimulatedHardware(INVERTER, bench.clock, 6.0)
    device = NodeDevice(
        INVERTER, wire, bench.clock, s_max_kva=5.0, rule=droop(q_gain_kvar=0.0, dead_band_pu=0.0)
    )
    for _ in range(60):
        bench.clock.sleep(0.3)
        device.step()
    now = device.look().values["setpoint"].value["p_kw"]
    assert now == pytest.approx([0.24 / 1.4, 0.0, -0.24 / 1.4], abs=0.02)  # what is not sent: 0.01 kW
