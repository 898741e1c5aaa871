"""Hand-written plans for two_feed: what holds passes, its bad twin is refused for the right reason."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from cases.two_feed import two_feed
from pdnopt.checker import Checker, check
from tests.checker.plants_for_checker import (
    A_BATTERY,
    A_OFF,
    B_BATTERY,
    DOWN_TO_58,
    FULL,
    act,
    caps,
    found,
    plan,
)

LOSE_A = "ups:UPS-A"
NO_GRID_A = "ext_grid:Utility-A"


@cache
def checker() -> Checker:
    return Checker(two_feed())


def issues_of(*args: Any, **more: Any) -> set[tuple[str, str]]:
    return found(checker().check(plan(*args, **more)))


def test_nothing_failed_nothing_done() -> None:
    report = checker().report(plan())
    assert report.ok
    assert report.unserved_kw == 0
    assert report.interrupted_kw == 0
    # 40 kW a side: line 20 m * 0.268 ohm/km, 57.8 A; UPS input 40.05/0.96
    assert report.losses_kw == pytest.approx(2 * (0.05374 + 40.0537 * (1 / 0.96 - 1)), rel=1e-3)


def test_caps_within_the_minute_pass() -> None:
    # 80 kW on UPS-B is 133.5 %: within the 150 % row, 60 s
    report = checker().report(plan(LOSE_A, caps(1, 0.5, **DOWN_TO_58), [A_OFF]))
    assert report.issues == []
    assert report.unserved_by_priority == pytest.approx({1: 0, 2: 4, 3: 18})
    assert report.interrupted_kw == 0  # dual cords: nobody lost voltage, capping is no interruption
    assert report.worst_component == "ups:UPS-B"
    assert report.worst_loading_percent == pytest.approx(100 * 58.113 / 60, rel=1e-3)
    assert report.budgets["ups:UPS-B"] == pytest.approx(0.5 / 60)
    assert [s.path for s in report.states] == ["plan.post_fault", "plan.end"]


def test_caps_just_in_time_pass_and_too_late_are_refused() -> None:
    assert issues_of(LOSE_A, caps(1, 59.9, **DOWN_TO_58), [A_OFF]) == set()
    late = checker().check(plan(LOSE_A, caps(1, 70.0, **DOWN_TO_58), [A_OFF]))
    assert found(late) == {("BudgetExceeded", "ups:UPS-B")}
    assert late[0].path == "plan.post_fault"
    assert "60.000 s" in late[0].allowed


def test_too_small_a_cap_is_an_overload_at_the_end() -> None:
    # 62 kW is 103.5 %: on the 125 % row, 600 s, far less than the hour
    three = dict.fromkeys(("R6", "R7", "R8"), 4.0)
    issues = checker().check(plan(LOSE_A, caps(1, 0.5, **three), [A_OFF]))
    assert found(issues) == {("Overload", "ups:UPS-B")}
    assert issues[0].path == "plan.end"
    # ... but it holds for five minutes
    assert issues_of(LOSE_A, caps(1, 0.5, **three), [A_OFF], horizon_s=300) == set()


def test_budget_used_before_counts() -> None:
    net = two_feed()
    net.ups["overload_used"] = 0.995  # 0.3 s of the 150 % row are left
    good = caps(1, 0.5, **DOWN_TO_58)
    assert found(check(net, plan(LOSE_A, good, [A_OFF]))) == {("BudgetExceeded", "ups:UPS-B")}
    assert found(check(net, plan(LOSE_A, caps(1, 0.2, **DOWN_TO_58), [A_OFF], latency_s=0.2))) == set()


def test_shed_counts_as_interrupted() -> None:
    report = checker().report(plan(LOSE_A, caps(1, 0.5, R6=0.0, R7=0.0, R8=0.0), [A_OFF]))
    assert report.issues == []
    assert report.interrupted == ("rack:R6", "rack:R7", "rack:R8")
    assert report.interrupted_kw == pytest.approx(30)
    assert report.unserved_kw == pytest.approx(30)


def test_doing_nothing_after_losing_grid_a_drains_the_battery() -> None:
    # 40 kW from 10 kWh: 15 min
    issues = checker().check(plan(NO_GRID_A, [], [A_BATTERY]))
    assert found(issues) == {("BatteryEnergy", "ups:UPS-A")}
    assert issues_of(NO_GRID_A, [], [A_BATTERY], horizon_s=890) == set()
    assert issues_of(NO_GRID_A, [], [A_BATTERY], horizon_s=910) == {("BatteryEnergy", "ups:UPS-A")}


def test_tie_brings_ups_a_back_online() -> None:
    tie = [act(1, 0.6, "switch:QT", "close", False, True)]
    report = checker().report(plan(NO_GRID_A, tie, [A_BATTERY]))
    assert report.issues == []
    assert report.states[-1].losses_kw == pytest.approx(checker().report(plan()).losses_kw, rel=1e-3)
    # the zone of the dead feed is locked out: its breaker stays open
    again = [*tie, act(2, 0.7, "switch:QA", "close", False, True)]
    assert issues_of(NO_GRID_A, again, [A_BATTERY]) == {("FailedUsed", "switch:QA")}
    late = [act(1, 920.0, "switch:QT", "close", False, True)]
    assert issues_of(NO_GRID_A, late, [A_BATTERY]) == {("BatteryEnergy", "ups:UPS-A")}


def genset_plan(start: float = 10.5, close: float = 10.6) -> Any:
    """Start G, close QG; QA is open already: it borders the zone of the dead feed."""
    steps = [
        act(1, start, "ext_grid:G", "start", False, True),
        act(2, close, "switch:QG", "close", False, True),
    ]
    return plan(NO_GRID_A, steps, [A_BATTERY])


def test_genset_carries_side_a() -> None:
    report = checker().report(genset_plan())
    assert report.issues == []
    assert report.interrupted_kw == 0


def test_genset_start_takes_its_time() -> None:
    early = checker().check(genset_plan(start=5.0, close=5.2))
    assert found(early) == {("TimeOrder", "ext_grid:G")}
    assert {i.path for i in early} == {"plan.step[1]"}


def test_genset_is_not_closed_in_before_it_runs() -> None:
    assert found(checker().check(genset_plan(close=0.6))) == {("GensetNotReady", "switch:QG")}


def test_interlock() -> None:
    steps = [
        act(1, 10.5, "ext_grid:G", "start", False, True),
        act(2, 10.6, "switch:QG", "close", False, True),
    ]
    assert {("Interlock", "interlock:QA-QG"), ("NotInSync", "switch:QG")} <= issues_of((), steps)
    opened = [
        steps[0],
        act(2, 10.6, "switch:QA", "open", True, False),
        act(3, 10.7, "switch:QG", "close", False, True),
    ]
    assert issues_of((), opened) == set()  # UPS-A bridges the 0.1 s


def test_both_grids_lost() -> None:
    both = ("ext_grid:Utility-A", "ext_grid:Utility-B")
    steps = [
        act(1, 10.5, "ext_grid:G", "start", False, True),
        act(2, 10.6, "switch:QG", "close", False, True),
        act(3, 10.7, "switch:QT", "close", False, True),
    ]
    assert issues_of(both, steps, [A_BATTERY, B_BATTERY]) == set()
    # without the tie UPS-B runs dry
    assert issues_of(both, steps[:2], [A_BATTERY, B_BATTERY]) == {("BatteryEnergy", "ups:UPS-B")}


def test_tie_between_live_feeds() -> None:
    issues = checker().check(plan((), [act(1, 0.6, "switch:QT", "close", False, True)]))
    assert {("NotInSync", "switch:QT"), ("ParallelSources", "ext_grid:Utility-A")} <= found(issues)


def test_ups_outputs_never_in_parallel() -> None:
    issues = checker().check(plan((), [act(1, 0.6, "switch:QX", "close", False, True)]))
    assert ("ParallelSources", "ups:UPS-A") in found(issues)


def test_loop_through_the_two_bypasses() -> None:
    # A feeds both mains; both UPSs on bypass and QX closed: main A - out A - out B - main B - QT
    steps = [
        act(1, 0.6, "switch:QB", "open", True, False),
        act(2, 0.7, "switch:QT", "close", False, True),
        act(3, 0.704, "ups:UPS-A", "mode", "online", "bypass"),
        act(4, 0.708, "ups:UPS-B", "mode", "online", "bypass"),
    ]
    assert issues_of((), steps) == set()
    loop = [*steps, act(5, 0.808, "switch:QX", "close", False, True)]
    assert issues_of((), loop) == {("LoopClosed", "switch:QX")}
    # make before break in synchronism: for one step only
    brief = [
        *loop,
        act(6, 0.908, "switch:FA", "open", True, False),
        act(7, 1.008, "switch:FA", "close", False, True),
    ]
    assert ("LoopClosed", "switch:QX") in issues_of((), brief)
    opened = [*loop, act(6, 0.908, "switch:QX", "open", True, False)]
    assert issues_of((), opened) == set()


def test_rectifier_lost_goes_to_bypass() -> None:
    failed = "ups:UPS-A@rectifier"
    go = [act(1, 0.504, "ups:UPS-A", "mode", "battery", "bypass")]
    assert issues_of(failed, go, [A_BATTERY]) == set()
    assert ("UpsMode", "ups:UPS-A") in issues_of(
        failed, [act(1, 0.504, "ups:UPS-A", "mode", "battery", "online")], [A_BATTERY]
    )


def test_to_bypass_needs_no_plan() -> None:
    stay = act(0, 0.0, "ups:UPS-A", "mode", "online", "bypass")
    assert issues_of("ups:UPS-A@to_bypass", [], [stay]) == set()


def test_failed_bus_takes_its_zone_and_locks_the_border() -> None:
    # bus main A dead: QA, QG, QT and the bypass are locked open; UPS-A is on battery
    steps = [act(1, 0.6, "switch:QA", "close", False, True)]
    issues = issues_of("bus:main A", steps, [A_BATTERY])
    assert {("FailedUsed", "switch:QA"), ("BatteryEnergy", "ups:UPS-A")} <= issues


def test_zone_of_the_output_bus() -> None:
    # out A dead: UPS-A off, FA open, all racks on B
    assert issues_of("bus:out A", caps(1, 0.5, **DOWN_TO_58), [A_OFF]) == set()


def test_failed_line_dies_alone() -> None:
    opened = act(0, 0.0, "switch:FA", "open", True, False)
    report = checker().report(plan("line:feeder A", caps(1, 0.5, **DOWN_TO_58), [opened]))
    assert report.issues == []
    assert report.states[-1].served_kw == pytest.approx(58)


def test_dead_cord_hands_its_part_over() -> None:
    report = checker().report(plan("load:R1/A@psu"))
    assert report.issues == []
    assert report.states[-1].served_kw == pytest.approx(80)
    # 45 kW on B
    assert report.worst_loading_percent == pytest.approx(100 * 45.07 / 60, rel=1e-3)


def test_failed_rack_is_interrupted() -> None:
    report = checker().report(plan("rack:R1"))
    assert report.issues == []
    assert report.unserved_kw == pytest.approx(10)
    assert report.interrupted == ("rack:R1",)


def test_lost_module_derates() -> None:
    net = two_feed()
    net.ups["n_modules"] = 3.0  # 40 kW are left of 60: 40.05 kW are just over
    issues = check(net, plan("ups:UPS-A@module"))
    assert found(issues) == {("Overload", "ups:UPS-A")}
    assert found(check(net, plan("ups:UPS-A@module", caps(1, 0.5, R8=9.0)))) == set()


def test_both_upss_lost_leave_nothing_to_serve() -> None:
    off = [A_OFF, act(0, 0.0, "ups:UPS-B", "mode", "online", "off")]
    report = checker().report(plan(("ups:UPS-A", "ups:UPS-B"), [], off))
    assert report.issues == []
    assert report.unserved_kw == pytest.approx(80)
    assert report.interrupted_kw == pytest.approx(80)


def test_loads_of_the_plan_replace_the_tables() -> None:
    net = two_feed()
    light = {int(row): 3.5 for row in net.load.index[net.load["rack"] != ""]}  # 56 kW
    report = checker().report(plan(LOSE_A, [], [A_OFF], loads_kw={"load": light}))
    assert report.issues == []
    assert report.states[-1].served_kw == pytest.approx(56)
    assert ("BudgetExceeded", "ups:UPS-B") in issues_of(LOSE_A, caps(1, 70.0, R8=4.0), [A_OFF])


def test_only_the_end_state() -> None:
    steps = [
        act(1, 0.6, "switch:FA", "open", True, False),
        act(2, 0.7, "switch:FA", "close", False, True),
    ]
    assert issues_of((), steps) == set()  # 133 % for 0.1 s
    tie = [act(1, 0.6, "switch:QT", "close", False, True), act(2, 0.7, "switch:QT", "open", True, False)]
    assert ("ParallelSources", "ext_grid:Utility-A") in issues_of((), tie)
    assert ("ParallelSources", "ext_grid:Utility-A") not in found(
        checker().check(plan((), tie), intermediate=False)
    )


def test_restore_brings_power_back() -> None:
    steps = [*caps(1, 0.5, R8=4.0), act(2, 5.0, "rack:R8", "restore", 4.0, FULL)]
    report = checker().report(plan((), steps))
    assert report.issues == []
    assert report.unserved_kw == 0
