"""``micro_ats_row``: what is built, and what its failures ask for, by hand.

The sums
--------
The row draws 384 kW at power factor 0.97: q = 0.2506 P.

* Each UPS carries 192 kW, 198 kVA, 66 % of 300 kVA. When one is lost, the other stands at 384 / 0.97 = 396 kVA, 132 %:
  on the 150 % row of its curve, one minute. For good it carries 315 kVA.
* A battery holds (0.9 - 0.1) x 10 kWh x 0.95 = 7.6 kWh for its drop; twelve give 91.2 kW for an hour, 45.6 kW for two.
  Their converters give no reactive power. With b kW from batteries and s kW served the UPS gives s - b kW and 0.2506 s
  kvar, so (s - b)^2 + (0.2506 s)^2 = 315^2:

  ==============================  ======  ========  ==========
  lost                            b       s         not served
  ==============================  ======  ========  ==========
  one UPS, one hour               91.2    391.2     nothing
  one UPS, two hours              45.6    348.3     35.7 kW
  one UPS and 3 batteries, 1 h    68.4    369.4     14.6 kW
  ==============================  ======  ========  ==========

  Cables take about 1 kW more, and a plan keeps 2 % of the batteries in hand (0.9 or 1.4 kW).
* A busway lost beyond its disconnector: six places lose it. Three of them preferred it and move, 96 kW.
"""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from cases.micro_ats_row import micro_ats_row
from pdnopt.session import Session
from tests.cases.soundness import (
    assert_engines_agree,
    assert_kept_by_json,
    assert_same_each_time,
    assert_sound,
    racks_of,
)

BATTERY_KWH = 0.8 * 10.0 * 0.95


@pytest.fixture(scope="module")
def net() -> Any:
    return micro_ats_row()


@pytest.fixture(scope="module")
def session(net: Any) -> Session:
    return Session(net, validate=False, explain=False)


def served_kw(batteries_kw: float) -> float:
    """What a UPS at 315 kVA and the batteries serve together, losses left out: the quadratic of the sums."""
    tan = sqrt(1.0 / 0.97**2 - 1.0)
    a, b, c = 1.0 + tan**2, -2.0 * batteries_kw, batteries_kw**2 - 315.0**2
    return (-b + sqrt(b**2 - 4.0 * a * c)) / (2.0 * a)


def discharge_kw(result: Any) -> float:
    return -float(sum(a.after for a in result.plan.actions if a.device.startswith("storage:")))


def test_counts(net: Any) -> None:
    assert (len(net.ups), len(net.transfer), len(net.storage), len(net.load)) == (2, 12, 12, 96 + 2)
    assert (net.transfer["transfer_ms"] < 5.0).all()
    assert set(net.transfer["kind"]) == {"micro-ATS"}
    assert (1000.0 * net.storage["max_e_mwh"]).between(5.0, 10.0).all()
    assert net.storage["grid_forming"].all()
    table = racks_of(net)
    assert (len(table), table["kw"].sum()) == (48, pytest.approx(384.0))
    assert (table["cords"] == 2).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx(
        [0.30, 0.40, 0.30], abs=0.021
    )


def test_every_other_place_prefers_the_other_busway(net: Any) -> None:
    preferred = net.switch.loc[net.transfer["preferred"].astype(int)]
    assert preferred["closed"].all()
    assert [net.bus.at[bus, "name"][0] for bus in preferred["bus"]] == ["A", "B"] * 6
    rows = net.load[net.load["rack"] != ""]
    drop = net.bus["name"].loc[rows["bus"]].str.removeprefix("drop ").astype(int).to_numpy()
    assert (drop[1::2] == drop[::2] + 1).all()
    assert (drop[::2] % 2 == 1).all()
    assert (1000.0 * rows.groupby(drop)["p_mw"].sum()).to_numpy() == pytest.approx(32.0)


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    assert flow.res_ups["loading_percent"].to_numpy() == pytest.approx([66.1, 66.1], abs=0.1)
    assert_engines_agree(net)


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, micro_ats_row(), micro_ats_row(seed=1))
    assert_kept_by_json(net, tmp_path / "micro_ats_row.json")


@pytest.mark.parametrize(("failed", "moved"), [("ups:UPS-A", 6), ("ups:UPS-B", 6), ("line:feeder A", 6)])
def test_batteries_end_the_overload_that_the_micro_atss_make(
    session: Session, failed: str, moved: int
) -> None:
    result = session.solve(failed=[failed])
    assert result.status == "optimal"
    assert sum(a.action == "transfer" and a.after is not None for a in result.plan.automatic) >= moved
    (clock,) = result.clocks
    assert clock.ratio == pytest.approx(396.0 / 300.0, abs=0.01)
    assert clock.deadline_s == pytest.approx(60.0)
    assert clock.relieved_s == pytest.approx(0.5)
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0
    # without the batteries the UPS could not carry the row: 384 kW need at least 84 kW of them
    assert served_kw(12 * BATTERY_KWH) > 384.0 > served_kw(84.0) - 0.5
    assert 84.0 <= discharge_kw(result) <= 12 * BATTERY_KWH
    assert result.worst_loading_percent < 105.0


@pytest.mark.parametrize(
    ("batteries_lost", "horizon_s", "unserved_kw"), [(0, 7200.0, 35.7), (3, 3600.0, 14.6)]
)
def test_what_the_batteries_cannot_carry_is_capped(
    session: Session, batteries_lost: int, horizon_s: float, unserved_kw: float
) -> None:
    batteries_kw = (12 - batteries_lost) * BATTERY_KWH * 3600.0 / horizon_s
    assert 384.0 - served_kw(batteries_kw) == pytest.approx(unserved_kw, abs=0.1)
    lost = ["ups:UPS-A", *(f"storage:DES-{k + 1}" for k in range(batteries_lost))]
    result = session.solve(failed=lost, horizon_s=horizon_s)
    assert result.ok
    assert unserved_kw <= result.unserved_kw <= unserved_kw + 1.0 + 1.4 + 0.5
    assert result.unserved_by_priority[3] == pytest.approx(result.unserved_kw)
    assert result.interrupted_kw == 0.0
    assert discharge_kw(result) <= batteries_kw


def test_a_fault_beyond_the_disconnector_moves_three_places_only(session: Session) -> None:
    result = session.solve(failed=["line:busway A 9-10"])
    assert result.ok
    moved = {a.device for a in result.plan.automatic if a.device.startswith("transfer:")}
    assert {"transfer:M7", "transfer:M9", "transfer:M11"} <= moved
    assert not {"transfer:M1", "transfer:M3", "transfer:M5"} & moved
    assert result.clocks == ()  # 192 + 96 kW: 297 kVA of 300
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == 0.0


def test_a_utility_lost_is_ended_by_a_tie(session: Session) -> None:
    result = session.solve(failed=["ext_grid:Utility-1"])
    assert result.status == "optimal"
    (clock,) = result.clocks
    assert (clock.component, clock.kind) == ("ups:UPS-A", "battery")
    assert clock.deadline_s == pytest.approx(30.0 / 192.2 * 3600.0, rel=5e-3)
    assert clock.relieved_s < 1.0
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
