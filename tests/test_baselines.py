"""Breadth-first reroute on two_feed, by hand; that the rule sees no ratings; what shedding adds."""

from __future__ import annotations

from typing import Any

import pytest

from cases.two_feed import two_feed
from pdnopt import Plan, check
from pdnopt.baselines import breadth_first_reroute


@pytest.fixture(scope="module")
def net() -> Any:
    return two_feed()


def _words(plan: Plan) -> list[tuple[float, str, str]]:
    return [(round(item.t_s, 3), item.device, item.action) for item in plan.actions]


def test_nothing_dead_nothing_done(net: Any) -> None:
    """Without UPS-A every rack lives on its B cord: 80 kW on 60 kW, which the rule does not see."""
    plan = breadth_first_reroute(net, ["ups:UPS-A"])
    assert plan.actions == ()
    assert {issue.kind for issue in check(net, plan)} == {"Overload"}


def test_shed_variant_relieves_by_priority_the_largest_first(net: Any) -> None:
    """80 kW - 60 kW: two racks of 10 kW of priority 3 go (60 kW and its feeder's losses are within 1e-4)."""
    plan = breadth_first_reroute(net, ["ups:UPS-A"], shed=True)
    assert [action for _, _, action in _words(plan)] == ["shed"] * len(plan.actions)
    assert {item.device for item in plan.actions} <= {"rack:R6", "rack:R7", "rack:R8"}
    assert len(plan.actions) in (2, 3)
    assert [i for i in check(net, plan) if i.severity == "error"] == []


def test_a_ups_on_battery_is_an_affected_output(net: Any) -> None:
    """Utility A lost: UPS-A runs on battery; the first way to its input is QT, closed 0.5 s + 0.1 s after."""
    plan = breadth_first_reroute(net, ["ext_grid:Utility-A"])
    assert _words(plan) == [(0.6, "switch:QT", "close")]
    assert [i for i in check(net, plan) if i.severity == "error"] == []


def test_a_genset_is_started_where_nothing_else_lives(net: Any) -> None:
    """Both utilities lost: G needs 10 s, then QG; QA is open already, so the interlock is free; then QT."""
    plan = breadth_first_reroute(net, ["ext_grid:Utility-A", "ext_grid:Utility-B"])
    assert _words(plan) == [
        (10.5, "ext_grid:G", "start"),
        (10.6, "switch:QG", "close"),
        (10.7, "switch:QT", "close"),
    ]
    assert [i for i in check(net, plan) if i.severity == "error"] == []


def test_a_dead_zone_is_never_entered(net: Any) -> None:
    """PDU A dead: its cords are, the racks live on B; nothing is left to reroute."""
    assert breadth_first_reroute(net, "bus:PDU A").actions == ()


def test_loads_are_taken_over(net: Any) -> None:
    loads = net.load["p_mw"][net.load["kind"] != "ups_input"] * 1000.0 * 0.5
    plan = breadth_first_reroute(net, ["ups:UPS-A"], loads, shed=True)
    assert plan.actions == ()
    assert plan.loads_kw["load"][int(loads.index[0])] == pytest.approx(2.5)
    assert check(net, plan) == []
