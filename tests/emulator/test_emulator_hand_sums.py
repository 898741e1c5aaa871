"""two_feed by hand: racks of 10 kW, two UPSs of 60 kW, 125 % for 600 s and 150 % for 60 s, batteries of 10 kWh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pytest

import pdnopt
from pdnopt.emulator import EmulatedPlant

CABLE_LOSS_KW = 0.3
"""Of 80 kW through one feeder of 20 m, 70 mm2: 3 I^2 R = 3 * 115.5^2 * 5.36 mohm = 0.215 kW; voltage falls a little."""


@pytest.fixture
def net() -> Any:
    return pdnopt.load_case("two_feed")


def times(plant: EmulatedPlant, what: str) -> dict[str, float]:
    return {item.component: item.t_s for item in plant.ledger.happenings if item.what == what}


def test_overloaded_ups_trips_after_a_minute(net: Any) -> None:
    """80 kW on UPS-B is 134 % of its 60 kW (cable losses included): the row of 150 % holds, 60 s."""
    plant = EmulatedPlant(net)
    plant.advance(100.0)
    plant.fail("ups:UPS-A")
    plant.advance(159.99)
    assert plant.state_of("ups:UPS-B", "mode") == "online"
    assert not plant.ledger.trips
    plant.advance(160.01)
    assert plant.state_of("ups:UPS-B", "mode") == "bypass"
    assert [item.component for item in plant.ledger.trips] == ["ups:UPS-B"]
    assert plant.ledger.trips[0].t_s == pytest.approx(160.0, abs=1e-6)
    assert plant.ledger.interrupted_kw == {}
    # the static bypass has the same curve: another minute, and it opens for good; all is dark 20 ms later
    plant.advance(221.0)
    assert [item.component for item in plant.ledger.trips] == ["ups:UPS-B", "switch:UPS-B bypass"]
    shown = {r.quantity: r.value for r in plant.readings("ups:UPS-B")}
    assert (shown["mode"], shown["bypass_ok"], shown["inverter_ok"], shown["available"]) == (
        "off",
        False,
        True,
        True,
    )
    assert sum(plant.ledger.interrupted_kw.values()) == pytest.approx(80.0)


def test_a_budget_carries_over_from_one_overload_to_the_next(net: Any) -> None:
    """30 s at 134 % use half of 60 s; then 7 racks = 70 kW = 117 %: half of 600 s are left, 300 s."""
    plant = EmulatedPlant(net)
    plant.fail("ups:UPS-A")
    plant.advance(30.0)
    assert plant.command("rack:R8", "shed", 0.0).accepted
    plant.advance(329.9)
    assert not plant.ledger.trips
    plant.advance(330.1)
    assert plant.ledger.trips[0].t_s == pytest.approx(330.0, abs=1e-6)


def test_a_budget_recovers(net: Any) -> None:
    """Half used, then 55 kW of 60: nothing is over, and it recovers by 1/3600 a second: 0.5 - 900/3600 = 0.25."""
    plant = EmulatedPlant(net)
    plant.fail("ups:UPS-A")
    plant.advance(30.0)
    for name in ("R6", "R7", "R8"):
        plant.command(f"rack:{name}", "shed", 0.0)
    plant.advance(930.0)
    used = {r.quantity: r.value for r in plant.readings("ups:UPS-B")}["overload_used"]
    assert used == pytest.approx(0.25, abs=1e-6)


def test_unserved_energy_and_interruption(net: Any) -> None:
    """UPS-A lost, R6..R8 (priority 3) shed 30 s later for 15 min: 30 kW * 0.25 h = 7.5 kWh; nobody loses voltage."""
    plant = EmulatedPlant(net)
    plant.fail("ups:UPS-A")
    plant.advance(30.0)
    for name in ("R6", "R7", "R8"):
        plant.command(f"rack:{name}", "shed", 0.0)
    plant.advance(930.0)
    for name in ("R6", "R7", "R8"):
        plant.command(f"rack:{name}", "restore", 10.0)
    plant.advance(931.0)
    assert plant.ledger.unserved_kwh == pytest.approx({1: 0.0, 2: 0.0, 3: 7.5}, abs=1e-9)
    assert plant.ledger.interrupted_kw == {}


def test_both_mains_lost_until_the_batteries_are_empty(net: Any) -> None:
    """Each UPS gives 40 kW (and 0.05 kW of cable loss) from 10 kWh: 900 s less 0.1 %; then all is dark after 20 ms."""
    plant = EmulatedPlant(net)
    plant.fail("ext_grid:Utility-A")
    plant.fail("ext_grid:Utility-B")
    assert plant.state_of("ups:UPS-A", "mode") == "battery"
    plant.advance(1800.0)
    empty = times(plant, "battery empty")
    assert set(empty) == {"ups:UPS-A", "ups:UPS-B"}
    assert all(895.0 < t_s < 900.0 for t_s in empty.values())
    assert sum(plant.ledger.interrupted_kw.values()) == pytest.approx(80.0)
    dark_s = 1800.0 - max(empty.values())
    assert sum(plant.ledger.unserved_kwh.values()) == pytest.approx(80.0 * dark_s / 3600.0, rel=1e-3)
    down = [item.t_s for item in plant.ledger.happenings if item.what == "interrupted"]
    assert min(down) == pytest.approx(max(empty.values()) + 0.02, abs=1e-6)


def test_genset_takes_ten_seconds_and_the_ups_recharges(net: Any) -> None:
    """Utility-A lost 36 s: 40 kW * 0.01 h = 0.4 kWh from UPS-A's battery; recharged at 8 kW it is full 180 s later."""
    net.ups["p_charge_max_mw"] = 0.008
    plant = EmulatedPlant(net)
    plant.fail("ext_grid:Utility-A")
    assert plant.command("ext_grid:G", "start", True).accepted
    plant.advance(9.9)
    assert plant.state_of("ext_grid:G", "start") is False
    plant.advance(35.9)
    assert plant.state_of("ext_grid:G", "start") is True
    assert plant.command("switch:QG", "close", True).accepted
    plant.advance(36.0)
    assert plant.state_of("ups:UPS-A", "mode") == "online"
    seen = {r.quantity: r.value for r in plant.readings("ups:UPS-A")}
    assert seen["soc_percent"] == pytest.approx(96.0, abs=0.02)
    assert seen["p_in_kw"] == pytest.approx(40.05 / 0.96 + 8.0, abs=0.05)
    plant.advance(36.0 + 178.0)
    assert {r.quantity: r.value for r in plant.readings("ups:UPS-A")}["soc_percent"] < 100.0
    plant.advance(36.0 + 182.0)
    assert {r.quantity: r.value for r in plant.readings("ups:UPS-A")}["soc_percent"] == pytest.approx(100.0)


def test_the_present_truth_as_a_network_agrees_with_pandapower(net: Any) -> None:
    """Plain ``runpp`` on it gives what the meters show."""
    plant = EmulatedPlant(net)
    plant.fail("ups:UPS-A")
    plant.command("rack:R8", "shed", 0.0)
    plant.command("rack:R3", "cap", 6.0)
    plant.advance(5.0)
    after = plant.network()
    pp.runpp(after, numba=False)
    companion = int(after.ext_grid.index[after.ext_grid["ups"] == 1][0])
    shown = {r.quantity: r.value for r in plant.readings("ups:UPS-B")}
    assert after.res_ext_grid.at[companion, "p_mw"] * 1e3 == pytest.approx(shown["p_kw"], rel=1e-5)
    assert shown["p_kw"] == pytest.approx(66.0 + 0.15, abs=CABLE_LOSS_KW / 2)
    assert after.load.loc[
        after.load["in_service"] & (after.load["kind"] != "ups_input"), "p_mw"
    ].sum() == pytest.approx(0.066)
    assert after.ups.at[1, "overload_used"] == pytest.approx(5.0 / 600.0, rel=1e-3)
    assert np.isfinite(after.res_bus.vm_pu[after.bus.name == "PDU B"]).all()


def test_a_load_profile_moves_the_sums(net: Any) -> None:
    """Half an hour at half load serves everything; what is asked for is what is drawn."""
    plant = EmulatedPlant(net)
    plant.scale_loads(0.5)
    plant.advance(60.0)
    assert sum(plant.snapshot().served_kw) == pytest.approx(40.0)
    plant.scale_loads(1.6)
    plant.advance(120.0)
    assert {r.quantity: r.value for r in plant.readings("ups:UPS-A")}["p_kw"] == pytest.approx(64.0, abs=0.3)
