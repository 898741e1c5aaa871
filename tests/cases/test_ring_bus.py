"""``ring_bus``: what is built, and what its failures ask for, by hand.

The sums
--------
A row draws 180 kW, a group 45 kW, half of it on each cord; power factor 0.97.

* Primary UPS (120 kVA): 90 / 0.97 = 92.8 kVA, 77.3 %. With one tap of its row lost 112.5 kW, 116 kVA, 96.6 %.
* Reserve UPS (240 kVA): two rows' cords B are 180 kW, 45.1 kvar, and its choke (5 % of 240 kVA at 78 % of its current:
  7.3 kvar): 187.5 kVA, 78.1 %.
* P1 lost: row 1 stands on R1 alone: 180 + 90 = 270 kW, 67.7 kvar and 3 x (400 A)^2 x 33.3 mOhm = 16 kvar of the choke:
  283 kVA, 118 %. That is in the 125 % row of the curve: ten minutes. For an hour it carries 264 kVA, so one tap of row 1
  (45 kW) must leave: 225 kW, 98 %, on R1 and on the reserve UPS where it goes.
* R1 lost: its eight taps move by themselves, two to each other reserve UPS: 180 + 45 = 225 kW, 56.4 kvar and 11.6 kvar of
  the choke: 235 kVA, 98 %. Nothing is left to decide.
* Board RB1 lost: the same, for R1's choke ends there: RB2 has no other feed until a breaker of the ring closes.
* A utility, a transformer or a main board lost: the ATSs before the UPSs move within 0.1 s. Nothing is left to decide.
* The input of P1 lost: 12 kWh of battery at 90 kW last 12 / 90 h = 480 s.
* Board of row 1 and a tap of row 1 lost: both cords of three racks, 45 kW, are dead and no path is left.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cases.ring_bus import ring_bus
from pdnopt.session import Session
from pdnopt.validation import validate
from tests.cases.soundness import (
    assert_engines_agree,
    assert_kept_by_json,
    assert_same_each_time,
    assert_sound,
    racks_of,
)


@pytest.fixture(scope="module")
def net() -> Any:
    return ring_bus()


@pytest.fixture(scope="module")
def session(net: Any) -> Session:
    return Session(net, validate=False, explain=False, time_limit_s=None)


def test_counts(net: Any) -> None:
    assert len(net.ups) == 10 + 5
    assert net.transfer["kind"].value_counts().to_dict() == {"IBT": 10 * 4, "ATS": 10 + 5}
    assert len(net.load) == 2 * 120 + 15
    assert len(net.line) == 2 + 10 + 10 + 5  # feeders, cables, pieces of the ring, chokes
    table = racks_of(net)
    assert len(table) == 120
    assert table["kw"].sum() == pytest.approx(0.75 * 1000.0 * net.ups["p_rated_mw"].sum())
    assert (table["cords"] == 2).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx(
        [0.30, 0.40, 0.30], abs=0.011
    )
    part = (table["floor_kw"] / table["kw"])[table["priority"] == 3]
    assert part.between(0.5, 0.6).all()


def test_a_group_has_its_45_kw_and_both_sides_of_the_plant(net: Any) -> None:
    rows = net.load[net.load["rack"] != ""]
    kw = 1000.0 * rows.groupby("bus")["p_mw"].sum()
    name = net.bus["name"]
    assert kw[[b for b in kw.index if name[b].startswith("tap out")]].to_numpy() == pytest.approx(22.5)
    assert kw[[b for b in kw.index if name[b].startswith("row")]].to_numpy() == pytest.approx(90.0)
    # the primary of a row and the reserve of its taps hang on different transformers
    main = dict(zip(net.ups["name"], name[net.ups["bypass_bus"].astype(int)], strict=True))
    for row in range(1, 11):
        assert main[f"P{row}"] != main[f"R{(row + 1) // 2}"]


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    loading = dict(zip(net.ups["name"], flow.res_ups["loading_percent"], strict=True))
    assert [loading[f"P{k}"] for k in range(1, 11)] == pytest.approx([77.3] * 10, abs=0.2)
    assert [loading[f"R{k}"] for k in range(1, 6)] == pytest.approx([78.1] * 5, abs=0.2)
    assert_engines_agree(net)


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, ring_bus(), ring_bus(seed=1))
    assert_kept_by_json(net, tmp_path / "ring_bus.json")


def taps_moved(result: Any) -> set[str]:
    return {action.device for action in result.plan.actions if action.device.startswith("transfer:")}


def test_every_tap_of_a_row_reaches_another_zone(net: Any) -> None:
    rows = net.switch[net.switch["transfer"].isin(net.transfer.index[net.transfer["kind"] == "IBT"])]
    board = net.bus["name"][rows["bus"].astype(int)].str.removeprefix("RB").astype(int).to_numpy()
    zone = pd.DataFrame({"tap": rows["transfer"].to_numpy(int), "zone": (board - 1) // 2, "row": board})
    for row, taps in zone.groupby(zone.groupby("tap")["row"].transform("first")):
        own = (row - 1) // 2
        assert sorted(taps["zone"].tolist()) == sorted([own] * 4 + [z for z in range(5) if z != own])


def test_a_primary_lost_overloads_its_reserve_for_ten_minutes(session: Session) -> None:
    result = session.solve(failed=["ups:P1"])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0
    (clock,) = result.clocks
    assert clock.component == "ups:R1"
    assert clock.ratio == pytest.approx(1.18, abs=0.01)
    assert clock.deadline_s == pytest.approx(600.0)
    assert clock.relieved_s < 1.0
    (moved,) = taps_moved(result)
    assert moved.startswith("transfer:IBT-1-")
    assert len(result.plan.actions) == 1


@pytest.mark.parametrize("failed", ["ups:R1", "bus:RB1"])
def test_a_reserve_lost_moves_its_taps_in_equal_parts(session: Session, failed: str) -> None:
    result = session.solve(failed=[failed])
    assert result.status == "optimal"
    moves = [action for action in result.plan.automatic if action.action == "transfer" and action.after]
    assert len(moves) == 8
    assert result.clocks == ()
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.plan.actions == ()
    assert result.worst_loading_percent == pytest.approx(98.0, abs=0.3)


@pytest.mark.parametrize("failed", ["ext_grid:Utility-1", "trafo:TX-B", "bus:main A"])
def test_the_supply_of_one_side_lost_needs_no_command(session: Session, failed: str) -> None:
    result = session.solve(failed=[failed])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0
    moved = {action.device for action in result.plan.automatic if action.action == "transfer"}
    on = {
        "A": ("P3", "P4", "P7", "P8", "R1", "R3", "R5"),
        "B": ("P1", "P2", "P5", "P6", "P9", "P10", "R2", "R4"),
    }
    assert moved == {f"transfer:ATS-{name}" for name in on["B" if failed.endswith("B") else "A"]}
    assert result.clocks == ()
    assert result.plan.actions == ()


def test_the_input_of_a_primary_lost_is_a_battery_that_runs_down(session: Session) -> None:
    result = session.solve(failed=["bus:P1 in"])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    (clock,) = result.clocks
    assert clock.component == "ups:P1"
    assert clock.deadline_s == pytest.approx(12.0 / 90.0 * 3600.0, rel=5e-3)
    assert clock.relieved_s < 1.0


def test_both_cords_of_a_group_lost_is_45_kw_without_a_path(session: Session) -> None:
    result = session.solve(failed=["bus:row 1 A", "transfer:IBT-1-1"])
    assert result.ok
    assert len(result.unservable) == 3
    assert result.unserved_kw == pytest.approx(45.0)


def test_a_tap_is_static_and_no_rack_loses_voltage(net: Any) -> None:
    taps = net.transfer[net.transfer["kind"] == "IBT"]
    assert (taps["transfer_ms"] < net.load.loc[net.load["rack"] != "", "holdup_ms"].min()).all()
    assert np.isfinite(net.transfer["preferred"]).all()


def test_taps_on_one_main_board_are_a_common_mode_only_if_the_transfer_switches_wait(net: Any) -> None:
    waiting = deepcopy(net)
    waiting.transfer.loc[waiting.transfer["kind"] == "ATS", "auto"] = False
    assert {issue.id for issue in validate(waiting)} == {"bus:main A", "bus:main B"}
    assert {issue.kind for issue in validate(waiting)} == {"CommonModeWarning"}
    assert validate(net) == []
