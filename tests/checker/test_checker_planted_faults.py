"""Plans with one planted fault each, refused for that reason, beside a good twin that passes."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest

from cases.two_feed import two_feed
from pdnopt.checker import Checker, check
from pdnopt.plant import (
    create_genset,
    create_overload_curve,
    create_rack,
    create_storage,
    create_switch,
    create_transfer,
)
from pdnopt.plant.actions import Action
from tests.checker.plants_for_checker import (
    A_BATTERY,
    A_OFF,
    DOWN_TO_58,
    FULL,
    act,
    behind_transfer,
    buses,
    caps,
    found,
    fresh,
    line,
    plan,
    rack,
    two_mains,
)

LOSE_A = "ups:UPS-A"


@cache
def checker() -> Checker:
    return Checker(two_feed())


GOOD = caps(1, 0.5, **DOWN_TO_58)


def test_the_good_twin_passes() -> None:
    assert checker().check(plan(LOSE_A, GOOD, [A_OFF])) == []


def added(*more: Action) -> tuple[Action, ...]:
    return (*GOOD, *more)


PLANTED: dict[str, tuple[Any, str, str]] = {
    "unknown rack": (added(act(2, 1.0, "rack:R99", "cap", FULL, 5.0)), "UnknownDevice", "rack:R99"),
    "unknown table": (added(act(2, 1.0, "pump:P", "start", False, True)), "UnknownDevice", "pump:P"),
    "wrong word": (added(act(2, 1.0, "rack:R1", "explode", FULL, 5.0)), "BadAction", "rack:R1"),
    "word and end differ": (added(act(2, 1.0, "switch:QX", "close", False, False)), "BadAction", "switch:QX"),
    "unknown mode": (added(act(2, 1.0, "ups:UPS-B", "mode", "online", "turbo")), "BadAction", "ups:UPS-B"),
    "cap that gives more": (added(act(2, 1.0, "rack:R3", "cap", 6.0, 8.0)), "BadAction", "rack:R3"),
    "restore that takes": (added(act(2, 1.0, "rack:R4", "restore", FULL, 7.0)), "BadAction", "rack:R4"),
    "shed to half": (added(act(2, 1.0, "rack:R4", "shed", FULL, 5.0)), "BadAction", "rack:R4"),
    "before is wrong": (added(act(2, 1.0, "rack:R3", "cap", FULL, 6.0)), "StateMismatch", "rack:R3"),
    "switch stands otherwise": (
        added(act(2, 1.0, "switch:QA", "open", False, False)),
        "StateMismatch",
        "switch:QA",
    ),
    "step left out": (added(act(3, 1.0, "rack:R4", "cap", FULL, 6.0)), "StepOrder", "rack:R4"),
    "two devices in a step": (
        added(act(2, 1.0, "switch:QA", "open", True, False), act(2, 1.0, "switch:QB", "open", True, False)),
        "StepMixed",
        "switch:QB",
    ),
    "down and up in a step": (added(act(1, 0.5, "rack:R3", "restore", 6.0, FULL)), "StepMixed", "rack:R3"),
    "before the latency": (caps(1, 0.2, **DOWN_TO_58), "TimeOrder", "rack:R6"),
    "no device time": (added(act(2, 0.55, "switch:QA", "open", True, False)), "TimeOrder", "switch:QA"),
    "nan time": (added(act(2, math.nan, "rack:R4", "cap", FULL, 6.0)), "NonFinite", "rack:R4"),
    "nan power": (added(act(2, 1.0, "rack:R4", "cap", FULL, math.nan)), "NonFinite", "rack:R4"),
    "failed UPS told": (added(act(2, 1.0, "ups:UPS-A", "mode", "off", "bypass")), "FailedUsed", "ups:UPS-A"),
    "its bypass switched": (
        added(act(2, 1.0, "switch:UPS-A bypass", "close", False, True)),
        "FailedUsed",
        "switch:UPS-A bypass",
    ),
    "bypass as a switch": (
        added(act(2, 1.0, "switch:UPS-B bypass", "close", False, True)),
        "NotOperable",
        "switch:UPS-B bypass",
    ),
    "utility stopped": (
        added(act(2, 1.0, "ext_grid:Utility-A", "stop", True, False)),
        "NotOperable",
        "ext_grid:Utility-A",
    ),
    "below the floor": (added(act(2, 1.0, "rack:R4", "cap", FULL, 5.0)), "CapLimit", "rack:R4"),
    "cap of what has no floor": (added(act(2, 1.0, "rack:R1", "cap", FULL, 9.0)), "CapLimit", "rack:R1"),
    "racks lost": (added(act(2, 1.0, "switch:FB", "open", True, False)), "Unfed", "rack:R1"),
    "cap of a dead rack": (
        added(
            act(2, 1.0, "switch:FB", "open", True, False),
            act(3, 1.0, "rack:R4", "cap", FULL, 6.0),
        ),
        "Unfed",
        "rack:R4",
    ),
    "battery on purpose": (
        added(act(2, 1.0, "ups:UPS-B", "mode", "online", "battery")),
        "BatteryEnergy",
        "ups:UPS-B",
    ),
    "main B cut": (added(act(2, 1.0, "switch:QB", "open", True, False)), "BatteryEnergy", "ups:UPS-B"),
    "restored too much": (added(act(2, 1.0, "rack:R3", "restore", 6.0, FULL)), "Overload", "ups:UPS-B"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str) -> None:
    actions, kind, who = PLANTED[name]
    issues = checker().check(plan(LOSE_A, actions, [A_OFF]))
    assert (kind, who) in found(issues)
    for issue in issues:
        assert issue.todo
        assert issue.path.startswith(("plan", "failed"))


def test_several_faults_are_all_told() -> None:
    actions = added(
        act(2, 0.52, "rack:R99", "cap", FULL, 5.0), act(3, 0.55, "switch:QX", "close", True, True)
    )
    kinds = {kind for kind, _ in found(checker().check(plan(LOSE_A, actions, [A_OFF])))}
    assert {"UnknownDevice", "TimeOrder", "StateMismatch"} <= kinds


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        ("ups:UPS-Z", "InvalidId"),
        ("toaster:T", "InvalidName"),
        ("ups:UPS-A@tired", "InvalidName"),
        ("interlock:QA-QG", "InvalidName"),
    ],
)
def test_failed_names(failed: str, kind: str) -> None:
    assert {i.kind for i in checker().check(plan(failed))} == {kind}


def test_plan_for_another_failure() -> None:
    issues = checker().check(plan(LOSE_A, GOOD, [A_OFF]), ["ups:UPS-B"])
    assert {"PlanNetMismatch", "AutomaticMismatch"} <= {i.kind for i in issues}


def test_loads_of_another_net() -> None:
    issues = checker().check(plan(loads_kw={"load": {999: 1.0}, "pump": {1: 1.0}}))
    assert found(issues) == {("PlanNetMismatch", "load:999"), ("PlanNetMismatch", "pump:1")}
    assert found(checker().check(plan(loads_kw={"load": {2: math.inf}}))) == {("NonFinite", "load:2")}
    assert {i.kind for i in checker().check(plan(horizon_s=math.nan))} == {"NonFinite"}


def test_automatic_list_is_recomputed() -> None:
    assert found(checker().check(plan(LOSE_A, GOOD, []))) == set()  # the failed UPS itself needs no entry
    assert ("AutomaticMismatch", "ups:UPS-A") in found(checker().check(plan("ext_grid:Utility-A")))
    lied = [A_BATTERY, Action(0, 0.0, "switch:QT", "close", False, True)]
    assert ("AutomaticMismatch", "switch:QT") in found(checker().check(plan("ext_grid:Utility-A", [], lied)))


# --- transfers ------------------------------------------------------------------------------------------


def to_b(t_s: float = 0.6, before: str = "switch:T/1") -> Action:
    return act(1, t_s, "transfer:T", "transfer", before, "switch:T/2")


def test_transfer_by_command() -> None:
    report = Checker(behind_transfer(auto=False)).report(plan((), [to_b()]))
    assert report.issues == []
    assert report.interrupted == ("rack:R1",)  # 100 ms without voltage, hold-up 20 ms
    assert [s.transient for s in report.states] == [False, True, False]
    fast = Checker(behind_transfer(auto=False, transfer_ms=15.0)).report(plan((), [to_b(0.515)]))
    assert fast.issues == []
    assert fast.interrupted_kw == 0


def test_transfer_by_itself() -> None:
    net = behind_transfer()
    said = [
        act(0, 0.0, "switch:QA", "open", True, False),
        act(0, 0.1, "transfer:T", "transfer", "switch:T/1", "switch:T/2"),
    ]
    assert check(net, plan("ext_grid:A", [], said)) == []
    assert found(check(net, plan("ext_grid:A"))) == {("AutomaticMismatch", "transfer:T")}
    # a command that expects it where it was
    issues = found(check(net, plan("ext_grid:A", [to_b()], said)))
    assert issues == {("StateMismatch", "transfer:T")}


def test_closed_transition_in_sync_has_no_gap() -> None:
    for group, gap in (("mains", False), ("", True)):
        net, bus = two_mains(group)
        (out,) = buses(net, "out")
        create_transfer(net, out, [bus["main A"], bus["main B"]], "T", transition="closed")
        rack(net, [out])
        report = Checker(net).report(plan((), [to_b()]))
        assert report.issues == []
        assert (report.interrupted_kw > 0) is gap


def test_stuck_dwelling_or_failed_transfer() -> None:
    net = behind_transfer(auto=False)
    assert found(check(net, plan("transfer:T@stuck", [to_b()]))) == {("NotOperable", "transfer:T")}
    opened = [act(0, 0.0, "transfer:T", "transfer", "switch:T/1", None)]
    issues = check(net, plan("transfer:T", [to_b(before=None)], opened))  # type: ignore[arg-type]
    assert ("FailedUsed", "transfer:T") in found(issues)
    net.transfer["dwell_left_s"] = 5.0
    assert found(check(net, plan((), [to_b()]))) == {("Dwell", "transfer:T")}
    assert check(net, plan((), [to_b(5.1)])) == []


def test_position_commanded_as_a_switch() -> None:
    net = behind_transfer(auto=False)
    both = [act(1, 0.6, "switch:T/2", "close", False, True)]
    issues = found(check(net, plan((), both)))
    assert {
        ("NotOperable", "switch:T/2"),
        ("TransferExclusive", "transfer:T"),
        ("NotInSync", "switch:T/2"),
    } <= issues


def test_foreign_position() -> None:
    net = behind_transfer(auto=False)
    wrong = [act(1, 0.6, "transfer:T", "transfer", "switch:T/1", "switch:QT")]
    assert ("BadAction", "transfer:T") in found(check(net, plan((), wrong)))


# --- switches, synchronism ------------------------------------------------------------------------------


def test_make_before_break() -> None:
    steps = [act(1, 0.6, "switch:QT", "close", False, True), act(2, 0.7, "switch:QA", "open", True, False)]
    net, bus = two_mains("mains")
    rack(net, [bus["left"]])
    assert check(net, plan((), steps)) == []
    # not for longer than a step, and never out of synchronism
    assert found(check(net, plan((), steps[:1]))) == {("ParallelSources", "ext_grid:A")}
    apart, bus = two_mains()
    rack(apart, [bus["left"]])
    assert ("NotInSync", "switch:QT") in found(check(apart, plan((), steps)))


def test_parallel_group_may_share() -> None:
    net, _ = two_mains("mains")
    net.ext_grid["parallel"] = True
    assert check(net, plan((), [act(1, 0.6, "switch:QT", "close", False, True)])) == []


def test_switches_that_do_not_move() -> None:
    net, _ = two_mains("mains")
    tie = [act(1, 0.6, "switch:QT", "close", False, True), act(2, 0.7, "switch:QT", "open", True, False)]
    assert check(net, plan((), tie)) == []
    assert ("NotOperable", "switch:QT") in found(check(net, plan("switch:QT@stuck_open", tie)))
    assert ("FailedUsed", "switch:QT") in found(check(net, plan("switch:QT", tie)))
    net.switch.loc[net.switch["name"] == "QT", "operation"] = "manual"
    assert ("NotOperable", "switch:QT") in found(check(net, plan((), tie)))


# --- limits ---------------------------------------------------------------------------------------------


@fresh
def with_line(amps: float, **more: Any) -> tuple[Any, dict[str, int]]:
    """Racks R1 and R2 of 10 kW at the end of a line from "left"; R2 also hangs on "right"."""
    net, bus = two_mains()
    (end,) = buses(net, "end", min_vm_pu=0.95)
    line(net, bus["left"], end, "cable", amps, **more)
    rack(net, [end], "R1", min_p_mw=0.002)
    rack(net, [end, bus["right"]], "R2", min_p_mw=0.002)
    return net, bus


def test_line_without_a_curve() -> None:
    # 15 kW are 21.7 A; when B is lost all 20 kW, 28.9 A, come through the cable
    lose_b = "ext_grid:B"
    net, _ = with_line(25.0)
    assert check(net, plan()) == []
    assert found(check(net, plan(lose_b))) == {("Overload", "line:cable")}
    relief = act(1, 0.5, "rack:R2", "cap", FULL, 5.0)
    assert check(net, plan(lose_b, [relief])) == []
    # what the failure left may stay until it is relieved, but not be made worse
    first = act(1, 0.5, "rack:R1", "cap", FULL, 9.0)
    then = act(2, 5.0, "rack:R2", "cap", FULL, 5.0)
    assert check(net, plan(lose_b, [first, then])) == []
    back = act(2, 5.0, "rack:R1", "restore", 9.0, FULL)
    last = act(3, 6.0, "rack:R2", "cap", FULL, 5.0)
    issues = check(net, plan(lose_b, [first, back, last]))
    assert [(i.kind, i.id, i.path) for i in issues] == [("Overload", "line:cable", "plan.step[2]")]
    assert "W" not in str(issues[0].value)


def test_state_on_the_way_is_judged() -> None:
    net, _ = with_line(25.0)
    steps = [act(1, 0.6, "switch:QR", "open", True, False), act(2, 0.7, "switch:QR", "close", False, True)]
    issues = check(net, plan((), steps))
    assert [(i.kind, i.id, i.path) for i in issues] == [("Overload", "line:cable", "plan.step[1]")]
    assert check(net, plan((), steps), intermediate=False) == []
    create_overload_curve(net, "cable", [(1.25, 10.0)])
    net.line["overload_curve"] = "cable"
    assert check(net, plan((), steps)) == []
    slow = [steps[0], act(2, 11.0, "switch:QR", "close", False, True)]
    assert found(check(net, plan((), slow))) == {("BudgetExceeded", "line:cable")}


def test_line_loading_limit_below_rating() -> None:
    net, _ = with_line(25.0)
    net.line["max_loading_percent"] = 80.0
    assert found(check(net, plan())) == {("Overload", "line:cable")}


def test_switch_rating() -> None:
    net, _ = with_line(100.0)
    net.switch.loc[net.switch["name"] == "QL", "in_ka"] = 0.020
    assert found(check(net, plan())) == {("Overload", "switch:QL")}
    assert check(net, plan((), [act(1, 0.5, "rack:R1", "cap", FULL, 8.0)])) == []


def test_voltage() -> None:
    net, _ = with_line(100.0, r_ohm=0.7)  # 15 kW over 0.7 ohm: about 7 %
    assert found(check(net, plan())) == {("Voltage", "bus:end")}
    assert check(net, plan((), [act(1, 0.5, "rack:R1", "cap", FULL, 3.0)])) == []


def test_no_power_flow() -> None:
    net, _ = with_line(1000.0, r_ohm=5.0)
    assert "Diverged" in {i.kind for i in check(net, plan())}


def test_source_rating() -> None:
    net, bus = two_mains(max_p_mw=0.012)
    rack(net, [bus["left"], bus["right"]], "R1")
    rack(net, [bus["left"], bus["right"]], "R2", min_p_mw=0.001)
    assert check(net, plan()) == []
    assert found(check(net, plan("ext_grid:B"))) == {("Overload", "ext_grid:A")}
    assert check(net, plan("ext_grid:B", [act(1, 0.5, "rack:R2", "cap", FULL, 2.0)])) == []


def test_cord_and_breaker() -> None:
    cap = [act(1, 0.5, "rack:R1", "cap", FULL, 7.0)]
    net, bus = two_mains()
    rack(net, [bus["left"], bus["right"]], min_p_mw=0.002, max_p_mw=0.007)
    assert check(net, plan()) == []
    assert found(check(net, plan("ext_grid:B"))) == {("CordLimit", "load:R1/A")}
    assert check(net, plan("ext_grid:B", cap)) == []
    net, bus = two_mains()
    rack(net, [bus["left"], bus["right"]], min_p_mw=0.002, breaker_a=10.2)  # 7.07 kW
    assert found(check(net, plan("ext_grid:B"))) == {("Breaker", "load:R1/A")}
    assert check(net, plan("ext_grid:B", cap)) == []
    # 80 % of it from three hours on
    assert found(check(net, plan("ext_grid:B", cap, horizon_s=3 * 3600.0))) == {("Breaker", "load:R1/A")}


def test_unsheddable() -> None:
    net, bus = two_mains()
    create_rack(net, [bus["left"]], "R1", 0.01, power_factor=1.0, sheddable=False)
    shed = [act(1, 0.5, "rack:R1", "shed", FULL, 0.0)]
    assert found(check(net, plan((), shed))) == {("Unsheddable", "rack:R1")}
    dark = [act(1, 0.6, "switch:QL", "open", True, False)]
    assert found(check(net, plan((), dark))) == {("Unfed", "rack:R1")}
    assert check(net, plan("switch:QL", shed)) == []  # it is dead already


# --- gensets and batteries ------------------------------------------------------------------------------


@fresh
def with_genset(**more: Any) -> Any:
    """Genset G behind the open switch QG onto main A; R1 and R2 (10 kW each) on the left."""
    net, bus = two_mains()
    (gen,) = buses(net, "gen")
    create_genset(net, gen, "G", max_p_mw=0.05, start_s=10.0, **more)
    create_switch(net, gen, bus["main A"], "QG", closed=False)
    rack(net, [bus["left"]], "R1", min_p_mw=0.002)
    rack(net, [bus["left"]], "R2", min_p_mw=0.002)
    return net


ON = (act(1, 10.5, "ext_grid:G", "start", False, True), act(2, 10.6, "switch:QG", "close", False, True))


def test_genset_takes_over() -> None:
    report = Checker(with_genset()).report(plan("ext_grid:A", ON))
    assert report.issues == []
    assert report.interrupted_kw == pytest.approx(20)


def test_genset_least_power() -> None:
    assert found(check(with_genset(min_p_mw=0.025), plan("ext_grid:A", ON))) == {
        ("SourceMinimum", "ext_grid:G")
    }
    assert check(with_genset(min_p_mw=0.019), plan("ext_grid:A", ON)) == []


def test_genset_load_step() -> None:
    net = with_genset(step_mw=0.015)
    assert found(check(net, plan("ext_grid:A", ON))) == {("LoadStep", "ext_grid:G")}
    light = [
        act(1, 0.5, "rack:R1", "cap", FULL, 4.0),
        act(2, 10.5, "ext_grid:G", "start", False, True),
        act(3, 10.6, "switch:QG", "close", False, True),
        act(4, 15.0, "rack:R1", "restore", 4.0, FULL),
    ]
    assert check(net, plan("ext_grid:A", light)) == []


def test_fuel() -> None:
    net = with_genset(fuel_mwh=0.019)  # 20 kW for the hour
    assert found(check(net, plan("ext_grid:A", ON))) == {("Fuel", "ext_grid:G")}
    assert check(net, plan("ext_grid:A", ON, horizon_s=3400.0)) == []


@fresh
def with_battery(kwh: float = 12.0, **more: Any) -> Any:
    """Rack R1 (10 kW) and a grid-forming battery S of 20 kW on the left."""
    net, bus = two_mains()
    rack(net, [bus["left"]])
    create_storage(net, bus["left"], "S", 0.02, kwh / 1000.0, grid_forming=True, **more)
    return net


def test_battery_holds_its_island() -> None:
    forms = [act(0, 0.0, "storage:S", "form", False, True)]
    report = Checker(with_battery()).report(plan("ext_grid:A", [], forms))
    assert report.issues == []
    assert report.interrupted_kw == 0
    assert found(check(with_battery(), plan("ext_grid:A"))) == {("AutomaticMismatch", "storage:S")}
    # 10 kW for an hour at 95 %: 10.53 kWh
    assert found(check(with_battery(10.4), plan("ext_grid:A", [], forms))) == {("BatteryEnergy", "storage:S")}
    spare = with_battery(12.0, soc_min_percent=20.0)
    assert found(check(spare, plan("ext_grid:A", [], forms))) == {("BatteryEnergy", "storage:S")}


def test_battery_set_point() -> None:
    def power(kw: float) -> list[Action]:
        return [act(1, 0.5, "storage:S", "power", 0.0, kw)]

    net = with_battery()
    assert check(net, plan((), power(-10.0))) == []
    assert found(check(net, plan((), power(-12.0)))) == {("BatteryEnergy", "storage:S")}
    assert found(check(net, plan((), power(-25.0), horizon_s=60.0))) == {("StorageLimit", "storage:S")}
    assert found(check(net, plan((), power(5.0)))) == {("BatteryEnergy", "storage:S")}  # it is full
    assert found(check(net, plan("storage:S", power(-5.0)))) == {("FailedUsed", "storage:S")}


def test_element_that_no_model_holds() -> None:
    import pandapower as pp

    net, bus = two_mains()
    pp.create_gen(net, bus["left"], p_mw=0.01)
    assert {i.kind for i in check(net, plan())} == {"NotHeld"}
