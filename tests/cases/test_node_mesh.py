"""``node_mesh``: what is built, and what its failures ask for, by hand.

The sums
--------
A leaf has 2.3 kW of devices with one cord and 2 x 2.3 / 2 kW of cords A and B: 4.6 kW; power factor 0.97.

* Leaf 4.6 / 0.97 = 4.74 kVA of 10; aggregator 4 x 4.74 = 19.0 of 30; root 3 x 19.0 = 56.9 of 90; a little loss.
* A1 lost: its four leaves are dark. 4 x 2.3 = 9.2 kW have one cord and are interrupted (no switch is ordered within
  15 ms); the others live on the leaves of A4 and A10. Every leaf needs one tie of its own: leaf k of A1 is joined to
  leaf k of A2 and A12, which then pass 9.2 kW, 9.5 kVA of 10. All four at one side would make 18.4 + 4 x 4.6 = 36.8 kW
  on its aggregator, 37.9 kVA of 30; three 33.2 kVA; so two and two: 27.6 kW, 28.5 kVA. Four actions, and nothing unserved.
* Cable A1 lost: A1 itself lives, but has no feed. A2 can give it 29.1 - 18.4 = 10.7 kW, two leaves; so two leaves of
  A1 have to leave it before the tie to A2 closes, and are fed from A12's: two switches opened, three closed, everything
  served. (Closing the tie to A2 first would put 36.8 kW on it.)
* Leaf 1-1 lost: its two devices with one cord have no path: 2.3 kW. The others live on their second cord.
* A feed lost: its two roots move by themselves within 1 ms.
"""

from pathlib import Path
from typing import Any

import pytest

from cases.node_mesh import node_mesh
from pdnopt.acflow import powerflow
from pdnopt.baselines import PlanWriter
from pdnopt.checker import check
from pdnopt.plan import Plan
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond
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
    return node_mesh()


@pytest.fixture(scope="module")
def session(net: Any) -> Session:
    return Session(net, validate=False, explain=False)


def test_counts(net: Any) -> None:
    names = net.bus["name"]
    assert [names.str.startswith(letter).sum() for letter in "NAL"] == [4, 12, 48]
    assert (net.switch["name"].str.startswith("T-") & ~net.switch["closed"]).sum() == 4 + 12 + 48
    table = racks_of(net)
    assert table["kw"].sum() == pytest.approx(48 * 4.6)
    assert table["cords"].value_counts().to_dict() == {1: 96, 2: 96}
    assert (table.loc[table["cords"] == 1, "priority"] >= 2).all()
    assert (table.loc[table["cords"] == 2, "priority"] <= 2).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx(
        [0.30, 0.40, 0.30], abs=0.006
    )
    kw = 1000.0 * net.load.groupby("bus")["p_mw"].sum()
    assert (len(kw), kw.to_numpy()) == (48, pytest.approx(4.6))


def test_two_cords_are_under_different_roots_and_feeds(net: Any) -> None:
    rows = net.load[net.load["rack"].str.startswith("D")]
    aggregator = net.bus["name"].loc[rows["bus"]].str.extract(r"L(\d+)-")[0].astype(int).to_numpy() - 1
    root = aggregator // 3
    assert ((root[1::2] - root[::2]) % 4 == 1).all()


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    loading = (100.0 * flow.res_switch["i_ka"] / net.switch["in_ka"]).set_axis(net.switch["name"])
    for head, kva in (("S-L1-1", 4.742 / 10), ("S-A1", 18.97 / 30), ("S-N1/1", 56.9 / 90)):
        assert loading[head] == pytest.approx(100.0 * kva, rel=0.01), head
    assert_engines_agree(net)


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, node_mesh(), node_mesh(seed=1))
    assert_kept_by_json(net, tmp_path / "node_mesh.json")


@pytest.mark.parametrize("k", [1, 6])
def test_an_aggregator_lost_is_fed_around_by_two_neighbours(session: Session, k: int) -> None:
    result = session.solve(failed=[f"bus:A{k}"])
    assert result.status == "optimal"
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.interrupted_kw == pytest.approx(9.2)
    assert all(action.action == "close" for action in result.plan.actions)
    ties = sorted(action.device.removeprefix("switch:T-L") for action in result.plan.actions)
    before = (k - 2) % 12 + 1
    assert sorted(tie.split("-")[1] for tie in ties) == ["1", "2", "3", "4"]
    assert sorted(int(tie.split("-")[0]) for tie in ties) == sorted([k, k, before, before])
    assert 94.7 < result.worst_loading_percent < 97.0


def by_hand(net: Any, failed: str, moves: list[tuple[str, bool]]) -> Plan:
    """A plan of switch moves in the order given, each after the one before."""
    grid = read_grid(net)
    demand = read_demand(net, grid)
    response = respond(grid, demand, parse_failed(net, [failed]))
    writer = PlanWriter(response, demand, latency_s=0.5)
    for name, closed in moves:
        writer.switch(grid.switches.name.index(f"switch:{name}"), closed)
    return Plan(failed=(failed,), automatic=response.automatic, actions=tuple(writer.actions))


def test_a_cable_lost_needs_room_first(net: Any) -> None:
    room = [("S-L1-1", False), ("S-L1-2", False)]
    ties = [("T-A1", True), ("T-L12-1", True), ("T-L12-2", True)]
    plan = by_hand(net, "line:cable A1", room + ties)
    assert check(net, plan) == []
    after = plan.apply(net)
    served = (after.load["p_mw"] * after.load["scaling"])[after.load["in_service"]]
    assert 1000.0 * served.sum() == pytest.approx(220.8)
    flow = powerflow(after)
    assert flow.res_load["p_mw"].sum() == pytest.approx(0.2208)
    greedy = check(net, by_hand(net, "line:cable A1", ties[:1]))
    assert {issue.kind for issue in greedy} == {"Overload"}


def test_a_leaf_lost_is_dark_for_devices_with_one_cord(session: Session) -> None:
    result = session.solve(failed=["bus:L1-1"])
    assert result.ok
    assert result.plan.actions == ()
    assert result.unserved_kw == pytest.approx(2.3)
    assert len(result.unservable) == 2


def test_a_feed_lost_moves_its_roots_by_itself(session: Session) -> None:
    result = session.solve(failed=["ext_grid:Utility-A"])
    assert result.status == "optimal"
    assert result.plan.actions == ()
    assert {a.device for a in result.plan.automatic if a.action == "transfer"} == {
        "transfer:S-N1",
        "transfer:S-N3",
    }
    assert result.unserved_kw == result.interrupted_kw == 0.0
