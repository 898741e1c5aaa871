"""What devices take and refuse, how long they need, and what they do wrong when they are told to."""

from __future__ import annotations

from typing import Any

import pytest

import pdnopt
from pdnopt.emulator import EmulatedPlant, Lie
from pdnopt.emulator.driver import NetworkFaults, PlantDriver, SimulatedClock
from pdnopt.emulator.equipment import GuardedSide
from pdnopt.errors import InputError
from pdnopt.protocols.commands import Command, Refusal
from pdnopt.protocols.readings import Quality


@pytest.fixture
def plant() -> EmulatedPlant:
    return EmulatedPlant(pdnopt.load_case("two_feed"), seed=1)


@pytest.fixture
def hall() -> EmulatedPlant:
    return EmulatedPlant(pdnopt.load_case("hall_catcher"), seed=1)


def shown(plant: EmulatedPlant, device: str) -> dict[str, Any]:
    return {r.quantity: r.value for r in plant.readings(device)}


@pytest.mark.parametrize(
    ("device", "action", "value", "refusal"),
    [
        ("switch:nothing", "open", False, Refusal.MALFORMED),
        ("switch:QT", "fly", True, Refusal.MALFORMED),
        ("switch:QT", "close", False, Refusal.MALFORMED),
        ("switch:QT", "close", True, Refusal.NOT_IN_SYNC),
        ("switch:QG", "close", True, Refusal.INTERLOCK),
        ("switch:UPS-A bypass", "close", True, Refusal.NOT_AVAILABLE),
        ("ups:UPS-A", "mode", "sideways", Refusal.MALFORMED),
        ("ext_grid:Utility-A", "stop", False, Refusal.NOT_AVAILABLE),
        ("rack:R1", "cap", -1.0, Refusal.MALFORMED),
        ("rack:R1", "cap", float("nan"), Refusal.MALFORMED),
        ("rack:R1", "cap", True, Refusal.MALFORMED),
    ],
)
def test_devices_refuse_what_real_ones_refuse(
    plant: EmulatedPlant, device: str, action: str, value: Any, refusal: Refusal
) -> None:
    before = plant.world.s.copy()
    reply = plant.command(device, action, value)
    assert not reply.accepted
    assert reply.refusal is refusal
    assert reply.detail
    plant.advance(1.0)
    assert (plant.world.s.closed == before.closed).all()
    assert plant.ledger.commands == {str(refusal): 1}


def test_a_failed_device_takes_nothing_until_it_is_restored(plant: EmulatedPlant) -> None:
    plant.fail("ups:UPS-A")
    assert plant.command("ups:UPS-A", "mode", "online").refusal is Refusal.NOT_AVAILABLE
    assert shown(plant, "ups:UPS-A")["available"] is False
    plant.restore("ups:UPS-A")
    assert plant.command("ups:UPS-A", "mode", "online").accepted
    plant.advance(1.0)
    assert plant.state_of("ups:UPS-A", "mode") == "online"
    with pytest.raises(InputError, match="what has failed: nothing"):
        plant.restore("ups:UPS-A")


def test_a_switch_looks_again_when_it_closes(plant: EmulatedPlant) -> None:
    """Allowed when it was told (main A was dead), not any more when its contacts arrive: the mains came back."""
    plant.fail("ext_grid:Utility-A")
    assert plant.command("switch:QT", "close", True).accepted  # 100 ms
    plant.restore("ext_grid:Utility-A")
    plant.command("switch:QA", "close", True)  # its contacts arrive at the same time, after QT's
    plant.advance(1.0)
    assert plant.state_of("switch:QT", "close") is True
    assert plant.state_of("switch:QA", "close") is False
    assert [h.component for h in plant.ledger.happenings if h.what == "inhibits"] == ["switch:QA"]


def test_local_mode_refuses_and_an_operator_does_not_ask(plant: EmulatedPlant) -> None:
    plant.local.add("switch:FA")
    assert plant.command("switch:FA", "open", False).refusal is Refusal.LOCAL
    assert shown(plant, "switch:FA")["available"] is False
    assert plant.operator("switch:FA", "open", False).accepted
    plant.advance(1.0)
    assert plant.state_of("switch:FA", "open") is False
    assert plant.command("switch:FA", "close", True).refusal is Refusal.LOCAL


def test_open_transition_is_dark_for_its_transfer_time(hall: EmulatedPlant) -> None:
    device = next(name for name in hall.devices if name.startswith("transfer:"))
    v = hall.world.view
    k = v.at["transfer"][device]
    v.tr_closed_transition[k] = False
    v.tr_s[k] = 0.1
    here = hall.state_of(device, "transfer")
    there = next(v.names["switch"][row] for row in v.tr_positions[k] if v.names["switch"][row] != here)
    assert hall.command(device, "transfer", there).accepted
    assert hall.state_of(device, "transfer") is None
    hall.advance(0.05)
    assert shown(hall, device)["moving"] is True
    assert hall.command(device, "transfer", here).refusal is Refusal.NOT_AVAILABLE
    hall.advance(0.11)
    assert hall.state_of(device, "transfer") == there
    assert sum(hall.ledger.interrupted_kw.values()) == 0.0  # its racks have two cords


def test_a_stalled_transfer_stays_open_and_takes_the_next_command(hall: EmulatedPlant) -> None:
    device = next(name for name in hall.devices if name.startswith("transfer:"))
    v = hall.world.view
    k = v.at["transfer"][device]
    v.tr_closed_transition[k] = False
    here = hall.state_of(device, "transfer")
    there = next(v.names["switch"][row] for row in v.tr_positions[k] if v.names["switch"][row] != here)
    hall.misbehave(device, "stall_open")
    assert hall.command(device, "transfer", there).accepted
    hall.advance(5.0)
    assert hall.state_of(device, "transfer") is None
    assert hall.command(device, "transfer", here).accepted
    hall.advance(10.0)
    assert hall.state_of(device, "transfer") == here


def test_a_device_that_says_yes_and_stays(plant: EmulatedPlant) -> None:
    plant.misbehave("switch:FA", "no_move")
    assert plant.command("switch:FA", "open", False).accepted
    plant.advance(1.0)
    assert plant.state_of("switch:FA", "open") is True
    assert plant.command("switch:FA", "open", False).accepted
    plant.advance(2.0)
    assert plant.state_of("switch:FA", "open") is False
    with pytest.raises(InputError, match="no_move or stall_open"):
        plant.misbehave("switch:FA", "dance")


def test_hold_up_and_restart(plant: EmulatedPlant) -> None:
    """A gap of 10 ms is nothing to a rack that rides through 20; one of 30 ms costs it its restart."""
    plant.world.restart_s[:] = 120.0
    for name in ("FA", "FB"):
        plant.operator(f"switch:{name}", "open", False)
    for name in ("FA", "FB"):  # both open after 100 ms; told to close at once, they are closed 100 ms later
        plant.at(0.1001, lambda name=name: plant.command(f"switch:{name}", "close", True))
    plant.advance(1.0)
    assert sum(plant.ledger.interrupted_kw.values()) == pytest.approx(80.0)
    assert sum(plant.snapshot().served_kw) == 0.0
    plant.advance(119.9)
    assert sum(plant.snapshot().served_kw) == 0.0
    plant.advance(121.0)
    assert sum(plant.snapshot().served_kw) == pytest.approx(80.0)
    assert sum(plant.ledger.unserved_kwh.values()) == pytest.approx(80.0 * 120.1 / 3600.0, rel=1e-3)


def test_an_inverter_takes_a_phase_off_its_ups() -> None:
    """3 kW into one phase, 1 and 2 kW out of the others: the UPS gives as much as before, its worst phase less."""
    net = pdnopt.load_case("mim_pod")
    net.asymmetric_sgen["s_max_mva"] = 0.005  # larger than the case's, so that the UPS shows it
    net.storage[["max_p_mw", "max_e_mwh"]], net.storage["min_p_mw"] = 0.01, -0.01
    plant = EmulatedPlant(net)

    def worst() -> tuple[float, float]:
        group = next(g for g in plant.snapshot().groups if g.names[0].startswith("ups:"))
        return float(group.ratio[0, 0]), float(plant.snapshot().flow.ups_p_out_kw[0, 0])

    before = worst()
    spread = {"p_kw": [3.0, -1.0, -2.0], "q_kvar": [0.0, 0.0, 0.0]}
    assert plant.command("asymmetric_sgen:MIM-A1", "setpoint", spread).accepted
    plant.advance(0.05)
    assert worst() == before  # its current loop takes 100 ms
    plant.advance(0.2)
    # a phase of 150 kVA: 3 kW less of it is 2 %
    assert worst()[0] == pytest.approx(before[0] - 3.0 / 150.0, abs=1e-3)
    assert worst()[1] == pytest.approx(before[1], rel=1e-4)
    assert shown(plant, "asymmetric_sgen:MIM-A1")["setpoint"] == spread
    delivers = {"p_kw": [3.0, 3.0, 3.0], "q_kvar": [0.0, 0.0, 0.0]}
    plant.command("asymmetric_sgen:MIM-A1", "setpoint", delivers)
    plant.advance(1.0)
    assert worst()[1] == pytest.approx(before[1] - 9.0, abs=0.1)
    too_much = {"p_kw": [5.0, 0.0, 0.0], "q_kvar": [1.0, 0.0, 0.0]}
    assert plant.command("asymmetric_sgen:MIM-A1", "setpoint", too_much).refusal is Refusal.MALFORMED
    plant.revert("asymmetric_sgen:MIM-A1")
    assert worst()[1] == pytest.approx(before[1], rel=1e-6)
    plant.fail("asymmetric_sgen:MIM-A1")
    assert plant.command("asymmetric_sgen:MIM-A1", "setpoint", spread).refusal is Refusal.NOT_AVAILABLE


# --- meters that lie


def test_lies(plant: EmulatedPlant) -> None:
    true = {name: shown(plant, f"load:{name}/A")["p_kw"] for name in ("R1", "R2", "R3", "R4")}
    plant.meters.lie("load:R1/A", Lie("missing"))
    plant.meters.lie("load:R2/A", Lie("frozen"))
    plant.meters.lie("load:R3/A", Lie("biased", 0.2))
    plant.meters.lie("load:R4/A", Lie("noisy", 0.05))
    plant.meters.lie("load:R5/A", Lie("disagreeing", 0.3, path="second"))
    plant.meters.skew_s["load:R6/A"] = 3600.0
    plant.scale_loads(0.5)
    plant.advance(10.0)
    missing = plant.readings("load:R1/A")
    assert all(r.quality is Quality.MISSING and r.value is None for r in missing)
    frozen = {r.quantity: r for r in plant.readings("load:R2/A")}["p_kw"]
    assert frozen.value == true["R2"]
    assert frozen.stamp_s == plant.utc_s  # a fresh stamp
    assert shown(plant, "load:R3/A")["p_kw"] == pytest.approx(2.5 * 1.2)
    noisy = [shown(plant, "load:R4/A")["p_kw"] for _ in range(50)]
    assert len(set(noisy)) == 50
    assert sum(noisy) / 50 == pytest.approx(2.5, rel=0.03)
    first, second = (
        {r.quantity: r.value for r in plant.readings("load:R5/A", path)}["p_kw"]
        for path in ("first", "second")
    )
    assert second == pytest.approx(first * 1.3)
    assert plant.readings("load:R6/A")[0].stamp_s == plant.utc_s + 3600.0
    for name in ("R1", "R2", "R3", "R4", "R5", "R6"):
        plant.meters.tell_the_truth(f"load:{name}/A")
        assert shown(plant, f"load:{name}/A")["p_kw"] == pytest.approx(2.5)


def test_an_unknown_device_does_not_answer(plant: EmulatedPlant) -> None:
    (reading,) = plant.readings("ups:nobody")
    assert reading.quality is Quality.MISSING


# --- the way to them


def command(plant: EmulatedPlant, number: int, device: str, action: str, value: Any) -> Command:
    return Command(f"c{number}", device, action, value, None, number, plant.utc_s, plant.utc_s + 30.0, "h", 1)


def test_a_lost_reply_moves_once(plant: EmulatedPlant) -> None:
    driver = PlantDriver(plant, timeout_s=1.0)
    order = command(plant, 1, "rack:R8", "shed", 0.0)
    ticket = driver.select(order).ticket
    driver.faults = NetworkFaults(lose_reply=1.0)
    reply = driver.operate(order, ticket)
    assert reply.refusal is Refusal.UNREACHABLE
    assert plant.t_s == pytest.approx(1.0)  # it has waited for the answer
    driver.faults = NetworkFaults()
    assert {r.quantity: r.value for r in driver.read(["rack:R8"])}["limit_kw"] == 0.0
    assert driver.operate(order, ticket).accepted  # answered as before
    assert plant.ledger.commands == {"accepted": 1}


def test_duplicates_and_late_copies_move_once(plant: EmulatedPlant) -> None:
    driver = PlantDriver(plant, faults=NetworkFaults(duplicate=1.0, late=1.0, late_s=3.0, delay_s=0.05))
    order = command(plant, 1, "rack:R8", "shed", 0.0)
    assert driver.operate(order, driver.select(order).ticket).accepted
    plant.advance(1.0)
    back = command(plant, 2, "rack:R8", "restore", 10.0)
    driver.faults = NetworkFaults()
    assert driver.operate(back, driver.select(back).ticket).accepted
    plant.advance(20.0)
    assert plant.state_of("rack:R8", "shed") == 10.0
    assert plant.ledger.commands["accepted"] == 2


def test_two_paths_share_the_guards(plant: EmulatedPlant) -> None:
    """What was operated by one path is old on the other."""
    side = GuardedSide(plant, SimulatedClock(plant))
    first, second = PlantDriver(plant, side, path="first"), PlantDriver(plant, side, path="second")
    order = command(plant, 1, "rack:R8", "shed", 0.0)
    ticket = first.select(order).ticket
    assert second.operate(order, ticket).accepted
    assert first.select(order).refusal is Refusal.OLD_SEQUENCE
    second.faults = NetworkFaults(down=True)
    assert all(r.quality is Quality.MISSING for r in second.read(["rack:R8", "ups:UPS-A"]))


def test_the_same_seed_gives_the_same_hour() -> None:
    def run() -> tuple[list[Any], list[float]]:
        plant = EmulatedPlant(pdnopt.load_case("two_feed"), seed=5)
        plant.meters.lie("load:R4/A", Lie("noisy", 0.05))
        driver = PlantDriver(plant, faults=NetworkFaults(jitter_s=0.2, lose_reply=0.3), seed=9)
        out = []
        for k in range(10):
            order = command(plant, k + 1, "rack:R8", "cap", 4.0 + 0.1 * k)
            out.append(driver.operate(order, driver.select(order).ticket))
        plant.fail("ups:UPS-B")
        plant.advance(3600.0)
        noise = [r.value for r in driver.read(["load:R4/A"]) if r.quantity == "p_kw"]
        return [out, plant.ledger.to_frame().to_dict()], noise

    assert run() == run()
