"""Small parts of deciding, each against a case by hand."""

import pytest

from pdnopt.control.arbiter import Arbiter, Proposal
from pdnopt.control.standing import worse
from pdnopt.control.timekeeping import SteadyClock
from pdnopt.control.verifying import as_carried_out
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action


def cap(device: str, kw: float, step: int = 1, action: str = "cap") -> Action:
    return Action(step, 0.5 * step, device, action, 10.0, kw)


def moves(*actions: Action) -> Plan:
    return Plan("reroute", (), (), actions)


def test_limits_that_stand_are_not_sent_again() -> None:
    plan = moves(cap("rack:1", 4.0), cap("rack:2", 0.0, action="shed"))
    sent = as_carried_out(plan, {"rack:1": 4.0}, {"rack:1": 10.0, "rack:2": 10.0})
    assert [(item.device, item.action, item.after) for item in sent.actions] == [("rack:2", "shed", 0.0)]


def test_limits_that_are_not_needed_any_more_are_lifted_last() -> None:
    plan = moves(Action(1, 0.6, "switch:Q", "close", False, True), cap("rack:1", 6.0))
    sent = as_carried_out(plan, {"rack:1": 4.0, "rack:3": 0.0}, {"rack:1": 10.0, "rack:3": 8.0})
    assert [(item.step, item.device, item.action, item.after) for item in sent.actions] == [
        (1, "switch:Q", "close", True),
        (2, "rack:1", "restore", 6.0),
        (2, "rack:3", "restore", 12.0),
    ]
    assert sent.actions[-1].t_s > 0.6


def test_a_lower_limit_is_sent_at_its_place() -> None:
    sent = as_carried_out(moves(cap("rack:1", 2.0)), {"rack:1": 4.0}, {"rack:1": 10.0})
    assert [(item.step, item.after) for item in sent.actions] == [(1, 2.0)]


@pytest.mark.parametrize(
    ("one", "other", "is_worse"),
    [
        ({1: 5.0}, {1: 0.0}, True),
        ({1: 0.0, 3: 50.0}, {1: 5.0, 3: 0.0}, False),
        ({1: 0.2, 3: 9.0}, {1: 0.0, 3: 5.0}, True),
        ({3: 5.0}, {1: 0.0, 3: 5.2}, False),
    ],
)
def test_the_most_critical_priority_decides(
    one: dict[int, float], other: dict[int, float], is_worse: bool
) -> None:
    assert worse(one, other) is is_worse


def proposal(problem: str, device: str = "transfer:1", finger: str = "now") -> Proposal:
    return Proposal(problem, moves(Action(1, 0.5, device, "transfer", "switch:a", "switch:b")), finger)


def test_a_lower_rank_does_not_undo_a_higher_one() -> None:
    arbiter = Arbiter(hold_s=900.0)
    arbiter.moved("shift", proposal("shift").plan, 100.0)
    assert "moved for shift" in arbiter.objection(proposal("reserve"), 200.0, "now")
    assert arbiter.objection(proposal("reserve", "transfer:2"), 200.0, "now") == ""
    assert arbiter.objection(proposal("reroute"), 200.0, "now") == ""
    assert arbiter.objection(proposal("shift"), 200.0, "now") == ""
    assert arbiter.objection(proposal("reserve"), 1001.0, "now") == ""


def test_nothing_goes_out_over_a_sequence_a_change_a_failure_or_a_doubt() -> None:
    arbiter = Arbiter()
    assert "on its way" in arbiter.objection(proposal("reroute"), 0.0, "now", busy=True)
    assert "changed" in arbiter.objection(proposal("shift"), 0.0, "other")
    assert arbiter.objection(proposal("shift"), 0.0, "now", wrong="ups:A is lost") == "ups:A is lost"
    assert arbiter.objection(proposal("reroute"), 0.0, "now", wrong="ups:A is lost") == ""
    assert "relied" in arbiter.objection(proposal("shift"), 0.0, "now", doubtful={"transfer:1"})


class Jumping:
    now_s, wall_s = 0.0, 1e9

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return self.wall_s + self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def test_wall_time_does_not_jump_with_the_machine_but_follows_a_slewed_clock() -> None:
    machine = Jumping()
    clock = SteadyClock(machine)
    machine.now_s, machine.wall_s = 10.0, 1e9 + 0.3
    assert clock.utc_s() == pytest.approx(1e9 + 10.3)
    machine.wall_s += 3600.0
    assert clock.utc_s() == pytest.approx(1e9 + 10.3)
    assert clock.jump_s == pytest.approx(3600.0)
    machine.wall_s -= 3600.0
    assert clock.utc_s() == pytest.approx(1e9 + 10.3)
    assert clock.jump_s == 0.0
