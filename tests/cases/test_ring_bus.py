"""``ring_bus``: what is built, and what its failures ask for, by hand.

The sums
--------
A row draws 96 kW, a group 32 kW, half of it on each cord; power factor 0.97.

* Primary UPS (90 kVA): 48 / 0.97 = 49.5 kVA, 55 %. For good it carries 94.5 kVA: two groups on it alone and one half
  (80 kW, 82.5 kVA), not all three (96 kW, 99 kVA).
* Reserve UPS (120 kVA): two rows' cords B are 96 kW, 82.5 % of its kVA, and its choke (5 % of 120 kVA at 82 % of its
  current: 4.1 kvar) makes it 83.5 %.
* P1 lost: row 1 stands on R1 alone: 96 + 48 = 144 kW, 36.1 kvar and 3 x (214 A)^2 x 66.7 mOhm = 9.2 kvar of the choke:
  151 kVA, 126 %. That is above the 125 % row of the curve: one minute. For good it carries 126 kVA: about
  sqrt(126^2 - (0.2506 P + 6.6)^2) = 120.6 kW. So 23.4 kW of the zone's taps must leave; a tap of row 2 has 16 kW (its
  racks then stand on P2 alone, 48 + 16 kW), a tap of row 1 has 32 kW and would lift its new reserve UPS to
  96 + 32 = 128 kW: too much. So two taps must move, and nobody goes dark.
* R1 lost: its six taps move by themselves, three to R4 and three to R2: each 96 + 48 = 144 kW, as above. Four taps.
* Board RB1 lost: the same, but R1's choke ends there, so all of its zone is gone: RB2 has no other feed until a breaker
  of the ring closes; its taps have moved to RB3.
* Utility 1 lost: all on side A is on battery: R at 96 kW of 12 kWh lasts 12 / 96.3 h = 449 s; the tie needs 0.2 s.
* Board of row 1 and a tap of row 1 lost: both cords of four racks, 32 kW, are dead and no path is left.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.ring_bus import ring_bus
from pdnopt.session import Session
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
    return Session(net, validate=False, explain=False)


def test_counts(net: Any) -> None:
    assert len(net.ups) == 8 + 4
    assert len(net.transfer) == 8 * 3
    assert set(net.transfer["kind"]) == {"IBT"}
    assert len(net.load) == 2 * 96 + 12
    assert len(net.line) == 2 + 8 + 8 + 4  # feeders, cables, pieces of the ring, chokes
    table = racks_of(net)
    assert len(table) == 96
    assert table["kw"].sum() == pytest.approx(768.0)
    assert (table["cords"] == 2).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx(
        [0.30, 0.40, 0.30], abs=0.011
    )
    part = (table["floor_kw"] / table["kw"])[table["priority"] == 3]
    assert part.between(0.5, 0.6).all()


def test_a_group_has_its_32_kw_and_both_sides_of_the_plant(net: Any) -> None:
    rows = net.load[net.load["rack"] != ""]
    kw = 1000.0 * rows.groupby("bus")["p_mw"].sum()
    name = net.bus["name"]
    assert kw[[b for b in kw.index if name[b].startswith("tap out")]].to_numpy() == pytest.approx(16.0)
    assert kw[[b for b in kw.index if name[b].startswith("row")]].to_numpy() == pytest.approx(48.0)
    # the primary of a row and the reserve of its taps hang on different transformers
    main = dict(zip(net.ups["name"], name[net.ups["bypass_bus"].astype(int)], strict=True))
    for row in range(1, 9):
        assert main[f"P{row}"] != main[f"R{(row + 1) // 2}"]


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    loading = dict(zip(net.ups["name"], flow.res_ups["loading_percent"], strict=True))
    assert [loading[f"P{k}"] for k in range(1, 9)] == pytest.approx([55.0] * 8, abs=0.1)
    assert [loading[f"R{k}"] for k in range(1, 5)] == pytest.approx([83.5] * 4, abs=0.2)
    assert_engines_agree(net)


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, ring_bus(), ring_bus(seed=1))
    assert_kept_by_json(net, tmp_path / "ring_bus.json")


def taps_moved(result: Any) -> set[str]:
    return {action.device for action in result.plan.actions if action.device.startswith("transfer:")}


@pytest.mark.parametrize("row", [1, 4])
def test_a_primary_lost_overloads_its_reserve_for_a_minute(session: Session, row: int) -> None:
    result = session.solve(failed=[f"ups:P{row}"])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0
    (clock,) = result.clocks
    assert clock.component == f"ups:R{(row + 1) // 2}"
    assert clock.ratio == pytest.approx(1.26, abs=0.01)
    assert clock.deadline_s == pytest.approx(60.0)
    assert clock.relieved_s < 1.0
    assert len(taps_moved(result)) == len(result.plan.actions) == 2


def test_a_reserve_lost_moves_its_taps_and_overloads_both_neighbours(session: Session) -> None:
    result = session.solve(failed=["ups:R1"])
    assert result.status == "optimal"
    assert sum(action.action == "transfer" for action in result.plan.automatic) == 6
    assert {clock.component for clock in result.clocks} == {"ups:R2", "ups:R4"}
    assert [clock.ratio for clock in result.clocks] == pytest.approx([1.26, 1.26], abs=0.01)
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert len(taps_moved(result)) == 4


def test_a_utility_lost_is_bridged_by_batteries_and_ended_by_the_tie(session: Session) -> None:
    result = session.solve(failed=["ext_grid:Utility-1"])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0
    clocks = {clock.component: clock for clock in result.clocks}
    assert set(clocks) == {f"ups:{name}" for name in ("P3", "P4", "P7", "P8", "R1", "R3")}
    assert clocks["ups:R1"].deadline_s == pytest.approx(12.0 / 96.2 * 3600.0, rel=5e-3)
    assert clocks["ups:P3"].deadline_s == pytest.approx(9.0 / 48.0 * 3600.0, rel=5e-3)
    assert all(clock.relieved_s < 1.0 for clock in result.clocks)
    assert any(action.device == "switch:QT-MV" for action in result.plan.actions)


def test_both_cords_of_a_group_lost_is_32_kw_without_a_path(session: Session) -> None:
    result = session.solve(failed=["bus:row 1 A", "transfer:IBT-1-1"])
    assert result.ok
    assert len(result.unservable) == 4
    assert result.unserved_kw == pytest.approx(32.0)


def test_a_tap_is_static_and_no_rack_loses_voltage(net: Any) -> None:
    assert (net.transfer["transfer_ms"] < net.load.loc[net.load["rack"] != "", "holdup_ms"].min()).all()
    assert np.isfinite(net.transfer["preferred"]).all()
