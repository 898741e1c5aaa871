"""The loop on two_feed, whose answers are known by hand: UPS-B alone carries 60 kW of the 80 kW (docs of the case)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdnopt.control.desk import Answer, Ask
from pdnopt.control.foresight import Foresight
from pdnopt.control.lease import Lease
from pdnopt.emulator.driver import SimulatedClock
from pdnopt.executor import Mode, procedure_of
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from tests.control.rig import SETTINGS, Rig


def lost_ups(rig: Rig, until_s: float = 30.0) -> None:
    rig.run(3.0)
    rig.plant.fail("ups:UPS-A")
    rig.run(until_s)


def kinds(rig: Rig) -> set[str]:
    return {alarm.kind for alarm in rig.loop.board.up}


def test_a_failure_does_not_wait_for_the_tick() -> None:
    rig = Rig("two_feed", 0, settings=replace(SETTINGS, interval_s=30.0))
    lost_ups(rig, 5.0)
    first = rig.plant.ledger.to_frame().query("what in ('cap', 'shed')").t_s.min()
    assert first < 3.0 + 0.25 + 0.2 + 0.5 + 0.1  # seen by polling, at rest, the plan's own latency
    assert sum(rig.unserved().values()) == pytest.approx(20.1, abs=0.1)
    assert rig.unserved()[1] == pytest.approx(0.0, abs=1e-6)
    assert rig.plant.ledger.trips == []
    rig.close()


def test_what_returns_is_served_again() -> None:
    rig = Rig("two_feed", 0)
    lost_ups(rig, 15.0)
    rig.plant.restore("ups:UPS-A")
    rig.run(40.0)
    assert sum(rig.unserved().values()) == pytest.approx(0.0, abs=1e-6)
    assert "failed" not in kinds(rig)
    rig.close()


def test_a_disabled_area_is_not_commanded_and_a_manual_one_asks() -> None:
    rig = Rig("two_feed", 0)
    rig.loop.modes.default = Mode.DISABLED
    lost_ups(rig, 20.0)
    assert rig.operated == []
    assert "stopped" in kinds(rig)
    rig.close()
    rig = Rig("two_feed", 0)
    rig.loop.modes.default = Mode.MANUAL
    asked: list[Any] = []
    rig.loop.carrier.confirm = lambda step: asked.append(step) or "ann"
    lost_ups(rig, 20.0)
    assert len(asked) >= 1
    assert rig.unserved()[1] == pytest.approx(0.0, abs=1e-6)
    rig.close()


def test_the_playbook_answers_where_the_solver_does_not() -> None:
    rig = Rig("two_feed", 0, settings=replace(SETTINGS, playbook=True))
    rig.loop.playbook.components = ["ups:UPS-A", "ups:UPS-B"]
    rig.run(17.0)
    assert rig.loop.playbook.missing(rig.loop.ticks[-1].picture) == []
    rig.planner.spoil = lambda ask, answer: Answer("late", why="test")
    rig.plant.fail("ups:UPS-A")
    rig.run(25.0)
    assert any("from the playbook" in tick.did for tick in rig.loop.ticks)
    assert "fallback" in kinds(rig)
    assert rig.unserved()[1] == pytest.approx(0.0, abs=1e-6)
    rig.run(90.0)
    assert rig.plant.ledger.trips == []
    rig.close()


def test_without_solver_and_playbook_the_least_critical_is_shed() -> None:
    rig = Rig("two_feed", 0)
    rig.run(3.0)
    rig.planner.spoil = lambda ask, answer: Answer("died", why="test")
    rig.plant.fail("ups:UPS-A")
    rig.run(90.0)
    assert rig.plant.ledger.trips == []
    unserved = rig.unserved()
    assert unserved[1] == unserved[2] == pytest.approx(0.0, abs=1e-6)
    assert unserved[3] == pytest.approx(
        30.0, abs=1e-6
    )  # whole racks of 10 kW: 20 kW more than 60 kW would not do
    rig.close()


def test_a_plan_that_lies_is_refused() -> None:
    rig = Rig("two_feed", 0)
    rig.run(3.0)

    def spoil(ask: Ask, answer: Answer) -> Answer:
        assert answer.plan is not None
        close = Action(1, 1.0, "switch:QT", "close", False, True)
        return replace(answer, plan=replace(answer.plan, actions=(close,)))

    rig.planner.spoil = spoil
    rig.plant.fail("ups:UPS-A")
    rig.run(10.0)
    assert not any(command.device == "switch:QT" for command in rig.operated)
    assert any("checker refuses" in alarm.text for alarm in rig.loop.board.up)
    rig.close()


def test_two_leaders_the_one_that_slept_is_refused_by_every_device(tmp_path: Path) -> None:
    rig = Rig("two_feed", 0)
    rig.run(3.0)
    first = rig.new_loop(Lease(tmp_path / "lease", "north", SimulatedClock(rig.plant)))
    first.run(8.0)
    assert rig.side.guard("rack:R1") is not None  # a guard hears heartbeats from its first breath
    rig.plant.fail("ups:UPS-A")
    first.tick()  # it has a plan, and is stopped (SIGSTOP, a frozen machine) before it sends anything
    assert first.carrier.busy
    second = rig.new_loop(Lease(tmp_path / "lease", "south", SimulatedClock(rig.plant)))
    second.run(rig.plant.t_s + 20.0)
    assert second.fencing > first.fencing
    assert rig.operated
    late = Plan("reroute", (), (), (Action(1, 0.0, "rack:R1", "shed", 10.0, 0.0),))
    execution = first.executor.begin(procedure_of(late, first.fencing))  # nothing but the token stops it
    while not execution.final:
        execution.poll()
        rig.clock.sleep(0.2)
    assert rig.actuations()["rack:R1"] == 0
    assert "fencing" in execution.reason
    rig.close()


def test_a_controller_that_is_gone_leaves_batteries_to_their_local_rule() -> None:
    rig = Rig("micro_ats_row", 0)
    rig.run(3.0)
    given_kw = rig.plant.meters.truth("storage:DES-1")["setpoint_kw"]
    plan = Plan("reroute", (), (), (Action(1, 0.0, "storage:DES-1", "power", given_kw, -5.0),))
    execution = rig.loop.executor.begin(procedure_of(plan, rig.loop.fencing))
    while not execution.final:
        execution.poll()
        rig.clock.sleep(0.2)
    rig.run(60.0)  # the loop goes on, and so do its heartbeats
    rig.side.tick()
    assert not rig.side.guards["storage:DES-1"].silent
    assert rig.plant.meters.truth("storage:DES-1")["setpoint_kw"] == -5.0
    for _ in range(61):  # nobody beats any more
        rig.clock.sleep(1.0)
        rig.side.tick()
    assert rig.side.guards["storage:DES-1"].silent
    assert rig.plant.meters.truth("storage:DES-1")["setpoint_kw"] == given_kw
    rig.close()


def test_an_ac_power_flow_that_diverges_lets_nothing_out() -> None:
    """Meters that tell of a hundred times the load: no state of that plant exists."""
    from pdnopt.emulator import Lie

    rig = Rig("two_feed", 0)
    rig.run(3.0)
    for name in rig.loop.pictures.demand.cord_name:
        rig.plant.meters.lie(name, Lie("biased", 400.0, "p_kw"))
    rig.plant.fail("ups:UPS-A")
    rig.run(12.0)
    switched = [command for command in rig.operated if command.action not in ("cap", "shed")]
    assert switched == []
    assert kinds(rig) & {"no plan", "fallback"} or rig.operated
    rig.close()


class Wearing(Foresight):
    """An ATS is likely to fail in the next hour."""

    def risk(self, picture: Any, seen: Any, t_s: float) -> Any:
        return {"index": ["ups:UPS-A"], "columns": list(range(12)), "values": [[0.02] * 12]}

    def advice(self) -> Any:
        return [("ups:UPS-A", "temperature rises", "renew the fans")]


def test_risk_is_told_and_asked_about_and_a_failure_has_precedence() -> None:
    rig = Rig("two_feed", 0, settings=replace(SETTINGS, shift_s=10.0))
    rig.loop.ahead.foresight = Wearing()
    asked: list[str] = []
    plain = rig.planner.inner

    class Listening:
        def answer(self, ask: Ask, hard_s: float) -> Answer:
            asked.append(ask.problem)
            return plain.answer(ask, hard_s)

        def begin(self, ask: Ask, hard_s: float) -> None:
            asked.append(ask.problem)
            plain.begin(ask, hard_s)

        def result(self) -> Answer | None:
            return plain.result()

    rig.planner.inner = Listening()  # type: ignore[assignment]
    rig.run(22.0)
    assert "shift" in asked
    assert any(alarm.kind == "wear" and alarm.recommended == "renew the fans" for alarm in rig.loop.board.up)
    rig.plant.fail("ups:UPS-B")
    rig.run(24.0)
    assert asked[-1] == "reroute"
    assert rig.unserved()[1] == pytest.approx(0.0, abs=1e-6)
    rig.close()


def test_a_restart_goes_on_with_the_journal_and_sends_nothing_twice() -> None:
    rig = Rig("two_feed", 0)
    rig.run(3.0)
    rig.plant.fail("ups:UPS-A")
    rig.kill_in = 3
    rig.run(30.0)
    assert rig.kills == 1
    assert rig.journal.open_commands() == []
    ids = [command.id for command in rig.operated]
    assert all(count <= 1 for count in rig.actuations().values()), ids
    assert rig.unserved()[1] == pytest.approx(0.0, abs=1e-6)
    rig.close()
