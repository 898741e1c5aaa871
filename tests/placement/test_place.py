"""What `place` does where the answer can be worked out by hand, and what it says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from cases.deployments import KINDS, deployments, pdus, vacated
from cases.hall import hall
from tests.placement.small_hall import empty_room, random_racks


def _racks(p_kw: list[float], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"N{k}" for k in range(len(p_kw))], "p_kw": p_kw, **columns})


def test_two_feed_by_hand() -> None:
    """Eight racks of 10 kW on two UPSs of 60 kW; the curve carries 150 % for a minute, and no more than 100 % for long.

    Without a failure a UPS has 60 - 40 = 20 kW left, 40 kW of new racks. When one is lost the other carries 80 kW at
    once, and may carry 90: 10 kW of new racks. Floors of the eight racks sum to less than 60 - 10.
    """
    net = pdnopt.load_case("two_feed")
    found = pdnopt.place(net, _racks([9.5, 3.0], min_p_kw=[0.0, 0.0]), power_factor=1.0)
    assert list(found.placed) == ["N0"]
    refusal = found.refused[0]
    assert (refusal.rack, refusal.moment) == ("N1", "at once")
    assert {refusal.component, refusal.contingency} == {"ups:UPS-A", "ups:UPS-B"}
    assert refusal.lacks_kw == pytest.approx(80.0 + 9.5 + 3.0 - 90.0, abs=0.5)
    assert found.bound_kw == pytest.approx(10.0, abs=1e-6)
    assert found.placed_kw == 9.5
    assert found.stranded_percent == pytest.approx(100.0 * 3.0 / 120.0)


def test_what_is_asked_for_and_fits_strands_nothing() -> None:
    net, panels = empty_room()
    found = pdnopt.place(net, _racks([10.0, 20.0]), places=panels)
    assert found.status == "optimal"
    assert (found.placed_kw, found.stranded_percent, found.refused) == (30.0, 0.0, ())


def test_fixed_racks_alone_fill_a_room_to_the_part_that_a_failure_leaves() -> None:
    """4N/3: three UPSs carry what four did, 105 % of 3 x 99 kW = 311.85 kW; so 31 racks of 10 kW, but for balance."""
    net, panels = empty_room()
    found = pdnopt.place(net, _racks([10.0] * 40), places=panels)
    assert found.bound_kw == pytest.approx(311.85, abs=0.01)
    assert 300.0 <= found.placed_kw <= 310.0
    assert {refusal.moment for refusal in found.refused} == {"held"}
    assert found.stranded_percent == pytest.approx((400.0 - found.placed_kw) / 4.0)


def test_hold_s_forever_means_the_rating_itself() -> None:
    net, panels = empty_room()
    found = pdnopt.place(net, _racks([10.0] * 40), places=panels, hold_s=float("inf"))
    assert found.bound_kw == pytest.approx(297.0, abs=0.01)


def test_a_rack_of_one_cord_needs_a_transfer_switch_unless_it_is_redundant() -> None:
    net = hall("4N/3", 0.8, 48)
    panel, behind = "PDU-A01", next(str(b) for b in net.bus["name"] if str(b).startswith("STS out"))
    table = _racks([2.0, 2.0], cords=1, redundant=[False, True])
    found = pdnopt.place(net, table, places=[(panel,)])
    assert list(found.placed) == ["N1"]
    assert "loses its voltage" in found.refused[0].reason
    assert found.refused[0].contingency
    found = pdnopt.place(net, table, places=[(behind,)])
    assert list(found.placed) == ["N0", "N1"]
    assert f"bus:{behind}" in found.exposed["N0"]


def test_two_panels_of_one_ups_are_no_place() -> None:
    net, _ = empty_room()
    found = pdnopt.place(net, _racks([5.0]), places=[("PDU-A01", "PDU-A02")])
    assert not found.placed
    assert "every place for 2 cords loses its voltage" in found.refused[0].reason


def test_deployments_are_placed_whole_on_one_pair_of_upss() -> None:
    net = vacated(hall("4N/3", 2.4, 60))
    table = deployments(1.1 * 2400.0, 2)
    found = pdnopt.place(net, table, places=pdus(net), time_limit_s=2.0)
    where = {
        name: tuple(feed.removeprefix("PDU-")[0] for feed in feeds) for name, feeds in found.placed.items()
    }
    sizes = table.groupby("deployment")["name"].agg(list)
    for names in sizes:
        pairs = {where.get(name) for name in names}
        assert len(pairs) == 1
    assert found.verified
    assert found.refused


def test_the_same_input_gives_the_same_placement() -> None:
    net, panels = empty_room()
    table = random_racks(11, 12, 10.0, 60.0)
    first, second = (pdnopt.place(net, table, places=panels) for _ in range(2))
    assert first.placed == second.placed


def test_weights_prefer_priority() -> None:
    net, panels = empty_room()
    table = _racks([50.0] * 8, priority=[3, 3, 3, 3, 1, 1, 1, 1])
    found = pdnopt.place(net, table, places=panels, weights={1: 10.0, 3: 1.0})
    kept = {name for name in found.placed if int(name[1:]) >= 4}
    assert kept == {"N4", "N5", "N6", "N7"}


def test_the_network_is_not_changed_and_apply_adds_the_racks() -> None:
    net, panels = empty_room()
    before = len(net.load)
    table = _racks([10.0, 20.0], redundant=[True, False], min_p_kw=[np.nan, 12.0], priority=[3, 1])
    found = pdnopt.place(net, table, places=panels)
    after = found.apply(net)
    assert len(net.load) == before
    new = after.load[after.load["rack"].isin(["N0", "N1"])].groupby("rack")
    assert new["p_mw"].sum().to_dict() == pytest.approx({"N0": 0.01, "N1": 0.02})
    assert new["min_p_mw"].sum()["N1"] == pytest.approx(0.012)
    assert new["sheddable"].first().to_dict() == {"N0": True, "N1": False}
    assert not pdnopt.validate(after) or all(issue.severity == "warning" for issue in pdnopt.validate(after))


def test_what_it_prints_and_its_tables() -> None:
    net, panels = empty_room()
    found = pdnopt.place(net, _racks([10.0] * 40), places=panels)
    text = str(found)
    assert "stranded" in text
    assert "refused" in text
    frame = found.to_frame()
    assert len(frame) == 40
    assert (frame["status"] == "refused").sum() == len(found.refused)
    assert found.margins()["use_percent"].max() <= 100.01
    assert json.loads(json.dumps(found.to_dict(), default=str))["placed_kw"] == found.placed_kw
    found.raise_for_status()


def test_what_is_over_already_is_named_and_gets_nothing_more() -> None:
    """ring_bus with reserve systems of 60 %: any one lost, the others have 163 % of their rating, more than for a minute."""
    net = pdnopt.load_case("ring_bus")
    net.ups.loc[net.ups["name"].str.startswith("R"), ["p_rated_mw", "s_rated_mva"]] *= 0.6
    found = pdnopt.place(net, _racks([1.0, 1.0]), contingencies=[f"ups:R{k}" for k in range(1, 6)])
    assert not found.placed
    assert any("R2" in text for text in found.already_over)
    assert found.verified


def test_deployments_are_of_the_kinds_told() -> None:
    table = deployments(200_000.0, 1)
    by = table.groupby("deployment").agg(
        redundant=("redundant", "first"),
        floor=("min_p_kw", "first"),
        p_kw=("p_kw", "first"),
        n=("name", "size"),
    )
    assert by["p_kw"].between(5.0, 20.0).all()
    assert set(by["n"]) == {5, 10, 20}
    assert by["redundant"].mean() == pytest.approx(KINDS["redundant"], abs=0.02)
    assert by["floor"].notna().mean() == pytest.approx(KINDS["capable"], abs=0.03)
    part = (by["floor"] / by["p_kw"]).dropna()
    assert part.between(0.69, 0.86).all()


def test_the_breaker_of_a_cord_carries_80_percent_for_good() -> None:
    """32 A at 400 V are 22.17 kVA, 80 % of it 17.74: the floor of what hangs on one cord; power factor 1."""
    net, panels = empty_room()
    table = pd.DataFrame(
        {
            "name": ["fits", "for good", "at once", "without a failure"],
            "p_kw": [17.5, 18.0, 22.5, 36.0],
            "min_p_kw": [np.nan, np.nan, 17.0, 10.0],
            "breaker_a": [32.0, 32.0, 32.0, 32.0],
        }
    )
    found = pdnopt.place(net, table, places=panels, power_factor=1.0)
    assert list(found.placed) == ["fits"]
    assert found.verified
    for refusal in found.refused:
        assert "its own breaker of 32 A lacks" in refusal.reason
        assert refusal.rack in refusal.reason
    after = found.apply(net)
    assert set(after.load.loc[after.load["rack"] == "fits", "breaker_a"]) == {32.0}
