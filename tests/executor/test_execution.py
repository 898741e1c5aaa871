"""Sequences over real guards: what is sent, in which order, and what happens at every kind of surprise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pdnopt.errors import InputError, PdnoptError
from pdnopt.executor import Executor, Mode, Procedure, State, Step, procedure_of
from pdnopt.executor.execution import Settings
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.protocols.commands import Command
from tests.executor.bench import Bench, Notes, act

CLOSE_B = act(1, "switch:B", "close", False, True)
OPEN_A = act(2, "switch:A", "open", True, False)
MOVE_T = act(1, "transfer:T", "transfer", "switch:T1", "switch:T2")
CAP_R = act(1, "rack:R", "cap", 8.0, 5.0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def run(bench: Bench, *actions: Action, **keywords: Any) -> Any:
    execution = bench.executor.begin(procedure_of(Plan(actions=actions), fencing=1, **keywords))
    bench.executor.run(execution)
    return execution


def test_steps_in_order_each_read_back(bench: Bench) -> None:
    execution = run(bench, CLOSE_B, CAP_R, OPEN_A)
    assert execution.state is State.DONE
    assert bench.told == {"switch:A": 1, "switch:B": 1, "rack:R": 1}
    assert set(bench.notes.outcomes.values()) == {"done"}
    # both of step 1 are selected before either is operated; step 2 comes after their read-back
    assert [what for what, _ in bench.first.sent] == [
        "select",
        "select",
        "operate",
        "operate",
        "select",
        "operate",
    ]
    assert bench.clock.now_s >= 1.0  # step 2 is planned for 1.0 s
    assert not bench.alarms


def test_nothing_is_sent_before_it_is_written(bench: Bench) -> None:
    class Full(Notes):
        def record(self, command: Command) -> None:
            if command.device == "switch:A":
                raise PdnoptError("disk full")
            super().record(command)

    bench.notes = Full()
    bench.start()
    execution = bench.executor.begin(procedure_of(Plan(actions=(CLOSE_B, OPEN_A)), fencing=1))
    with pytest.raises(PdnoptError, match="disk full"):
        bench.executor.run(execution)
    assert execution.state is State.HELD
    assert bench.told == {"switch:B": 1}
    assert ("", "journal") in bench.alarms


def test_a_refusal_moves_nothing_of_its_step(bench: Bench) -> None:
    bench.guards["rack:R"].equipment.local = lambda: True  # type: ignore[method-assign]
    execution = run(bench, CLOSE_B, CAP_R, OPEN_A)
    assert execution.state is State.HELD
    assert "device is in local mode" in execution.reason
    assert bench.told == {}
    assert sorted(bench.notes.outcomes.values()) == ["not taken", "refused"]


def test_a_state_that_is_not_as_expected_stops_before_anything_is_sent(bench: Bench) -> None:
    bench.machines["transfer:T"].values["position"] = "switch:T3"
    execution = run(bench, MOVE_T)
    assert execution.state is State.HELD
    assert "expected 'switch:T1'" in execution.reason
    assert not bench.notes.commands


def test_what_is_so_already_is_not_sent(bench: Bench) -> None:
    bench.machines["switch:B"].values["closed"] = True
    assert run(bench, CLOSE_B, OPEN_A).state is State.DONE
    assert bench.told == {"switch:A": 1}


def test_accepted_but_not_moved(bench: Bench) -> None:
    bench.machines["switch:B"].stuck = True
    execution = run(bench, CLOSE_B, OPEN_A)
    assert execution.state is State.HELD
    assert bench.told == {"switch:B": 1}
    assert list(bench.notes.outcomes.values()) == ["not taken"]
    assert ("switch:B", "not moved") in bench.alarms
    assert not bench.second.sent  # its guard has said yes: there is nothing to ask for again


@pytest.mark.parametrize("lost", ["operate reply", "select reply"])
def test_a_lost_reply_is_read_back_and_moves_once(bench: Bench, lost: str) -> None:
    bench.first.lose = [lost]
    assert run(bench, CLOSE_B, OPEN_A).state is State.DONE
    assert bench.told == {"switch:A": 1, "switch:B": 1}


def test_a_lost_request_goes_by_the_other_path_only_after_a_read_back(bench: Bench) -> None:
    bench.first.lose = ["operate request"]
    assert run(bench, CLOSE_B).state is State.DONE
    assert bench.told == {"switch:B": 1}
    assert [what for what, _ in bench.second.sent] == ["select", "operate"]
    assert bench.clock.now_s > 2.0  # the patience of the first


def test_reply_lost_and_device_stuck_moves_once_and_is_told(bench: Bench) -> None:
    bench.first.lose = ["operate reply"]
    bench.machines["switch:B"].stuck = True
    execution = run(bench, CLOSE_B)
    assert execution.state is State.HELD
    assert bench.told == {"switch:B": 1}  # the other path asked; the guard had done it and answered as before
    assert bench.second.sent


def test_the_first_path_is_down(bench: Bench) -> None:
    bench.first.down = True
    assert run(bench, CLOSE_B, OPEN_A).state is State.DONE
    assert bench.told == {"switch:A": 1, "switch:B": 1}


def test_all_paths_down_sends_nothing_blindly(bench: Bench) -> None:
    bench.first.down = bench.second.down = True
    execution = run(bench, CLOSE_B)
    assert execution.state is State.HELD
    assert "blindly" in execution.reason
    assert not bench.notes.commands


def test_device_goes_silent_after_it_was_told(bench: Bench) -> None:
    bench.clock.after.append((0.55, lambda: setattr(bench.machines["switch:B"], "silent", True)))
    execution = run(bench, CLOSE_B, OPEN_A)
    assert execution.state is State.UNKNOWN
    assert execution.unknown == ("switch:B",)
    assert ("switch:B", "unknown state") in bench.alarms
    assert list(bench.notes.outcomes.values()) == ["unknown"]


def test_where_it_is_not_known_the_other_path_is_not_asked_to_move_it(bench: Bench) -> None:
    bench.first.lose = ["operate request"]
    bench.clock.after.append((0.55, lambda: setattr(bench.machines["switch:B"], "silent", True)))
    execution = run(bench, CLOSE_B)
    assert execution.state is State.UNKNOWN
    assert not bench.second.sent
    assert bench.told == {}


def test_stalled_open_takes_the_verified_way_back(bench: Bench) -> None:
    bench.machines["transfer:T"].stalls_at = None
    back = act(2, "transfer:T", "transfer", None, "switch:T1")
    execution = run(bench, MOVE_T, OPEN_A, recovery={1: (back,)})
    assert execution.state is State.HELD
    assert execution.recovered
    assert execution.unknown == ()
    assert bench.machines["transfer:T"].values["position"] == "switch:T1"
    assert bench.told == {"transfer:T": 2}


def test_in_manual_mode_a_person_leads_back() -> None:
    bench = Bench(mode=Mode.MANUAL)
    bench.machines["transfer:T"].stalls_at = None
    back = act(2, "transfer:T", "transfer", None, "switch:T1")
    procedure = procedure_of(Plan(actions=(MOVE_T,)), fencing=1, recovery={1: (back,)})
    execution = bench.executor.begin(procedure)
    assert bench.executor.run(execution, confirm=lambda step: "Ada") is State.UNKNOWN
    assert bench.told == {"transfer:T": 1}


def test_an_expired_command_is_not_asked_for_again(bench: Bench) -> None:
    bench.executor = Executor(
        bench.executor.paths,
        bench.notes,
        bench.clock,
        bench.modes,
        settings=Settings(command_s=1.0, patience_s=2.0, poll_s=0.1),
    )
    bench.first.lose = ["operate request"]
    assert run(bench, CLOSE_B).state is State.HELD
    assert not bench.second.sent
    assert bench.told == {}


def test_stalled_open_without_a_way_back_is_told(bench: Bench) -> None:
    bench.machines["transfer:T"].stalls_at = None
    execution = run(bench, MOVE_T, OPEN_A)
    assert execution.state is State.UNKNOWN
    assert execution.unknown == ("transfer:T",)
    assert bench.told == {"transfer:T": 1}


def test_the_way_back_fails_too(bench: Bench) -> None:
    machine = bench.machines["transfer:T"]
    machine.stalls_at = None
    bench.clock.after.append((1.0, lambda: setattr(machine, "stuck", True)))
    back = act(2, "transfer:T", "transfer", None, "switch:T1")
    execution = run(bench, MOVE_T, recovery={1: (back,)})
    assert not execution.recovered
    assert execution.final
    assert ("", "not led back") in bench.alarms
    assert bench.told == {"transfer:T": 2}


def test_an_operator_moves_back_what_was_achieved(bench: Bench) -> None:
    later = act(2, "switch:A", "open", True, False, t_s=5.0)
    bench.clock.after.append((2.0, lambda: bench.machines["switch:B"].values.update(closed=False)))
    execution = run(bench, CLOSE_B, later)
    assert execution.state is State.HELD
    assert "by somebody else" in execution.reason
    assert bench.told == {"switch:B": 1}


def test_a_failure_on_the_way_aborts(bench: Bench) -> None:
    later = act(2, "switch:A", "open", True, False, t_s=5.0)
    execution = bench.executor.begin(procedure_of(Plan(actions=(CLOSE_B, later)), fencing=1))
    state = bench.executor.run(execution, watch=lambda: "ups:U failed" if bench.clock.now_s > 2 else None)
    assert (state, execution.reason) == (State.HELD, "ups:U failed")
    assert bench.told == {"switch:B": 1}


def test_a_genset_that_starts_holds_up_only_what_needs_it(bench: Bench) -> None:
    start = act(1, "ext_grid:G", "start", False, True, t_s=10.5)
    early = act(2, "switch:B", "close", False, True, t_s=1.0)
    needs_it = act(3, "switch:A", "open", True, False, t_s=10.6)
    sent_s: dict[str, float] = {}
    for name in ("switch:A", "switch:B"):
        machine = bench.machines[name]
        inner = machine.actuate
        machine.actuate = lambda command, inner=inner: (  # type: ignore[method-assign]
            sent_s.setdefault(command.device, bench.clock.now_s),
            inner(command),
        )[1]
    takes_s = {"ext_grid:G": 10.0, "switch:A": 0.1, "switch:B": 0.1}
    assert run(bench, start, early, needs_it, takes_s=takes_s).state is State.DONE
    assert sent_s["switch:B"] < 2.0
    assert sent_s["switch:A"] >= 10.5


def test_a_plan_too_old_or_too_late_is_dropped(bench: Bench) -> None:
    procedure = procedure_of(Plan(actions=(CLOSE_B,)), fencing=1, valid_s=60.0)
    bench.clock.sleep(100.0)
    execution = bench.executor.begin(procedure, origin_s=0.0)
    assert bench.executor.run(execution) is State.HELD
    assert "valid for 60 s" in execution.reason
    late = procedure_of(Plan(actions=(CLOSE_B,)), fencing=1, slack_s=2.0)
    execution = bench.executor.begin(late, origin_s=90.0)
    assert bench.executor.run(execution) is State.HELD
    assert "later than verified" in execution.reason
    assert bench.told == {}


def test_disabled_area_lets_nothing_out(bench: Bench) -> None:
    bench.modes.set("", "disabled")
    execution = run(bench, CLOSE_B)
    assert execution.state is State.HELD
    assert "disabled" in execution.reason
    assert not bench.notes.commands
    with pytest.raises(InputError, match="one of disabled, manual, automatic"):
        bench.modes.set("", "auto")


def test_manual_waits_for_each_step() -> None:
    bench = Bench(mode=Mode.MANUAL)
    shown: list[int] = []

    def confirm(step: Step) -> str | None:
        shown.append(step.number)
        bench.clock.sleep(20.0)  # a person takes their time
        return "Ada" if step.number == 1 else None

    execution = bench.executor.begin(procedure_of(Plan(actions=(CLOSE_B, OPEN_A)), fencing=1, slack_s=1.0))
    assert bench.executor.run(execution, confirm=confirm) is State.HELD
    assert shown == [1, 2]
    assert bench.told == {"switch:B": 1}
    assert ("confirmed", "Ada") in [(kind, body.get("who")) for kind, body in bench.notes.events]
    assert "not confirmed" in execution.reason


def test_old_leader_is_refused_everywhere(bench: Bench) -> None:
    assert run(bench, CLOSE_B).state is State.DONE
    newer = Procedure("h", 7, (Step(1, (CAP_R,), 0.0, 0.5),))
    bench.executor.run(bench.executor.begin(newer))
    back = act(1, "rack:R", "restore", 5.0, 8.0)
    execution = run(bench, back)  # with the old token
    assert execution.state is State.HELD
    assert "old fencing token" in execution.reason
    assert bench.told == {"switch:B": 1, "rack:R": 1}


@pytest.mark.parametrize("killed_after", range(14))
def test_killed_at_every_boundary_then_settled_then_resumed(killed_after: int) -> None:
    """The controller dies before its n-th word to journal or device; the next life reads back, then goes on."""

    class KilledError(BaseException):
        pass

    bench = Bench()
    left = [killed_after]

    def mortal(call: Any) -> Any:
        def wrapped(*args: Any, **keywords: Any) -> Any:
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return call(*args, **keywords)

        return wrapped

    for owner, names in (
        (bench.notes, ("record", "answered", "ended")),
        (bench.first, ("select", "operate")),
    ):
        for name in names:
            setattr(owner, name, mortal(getattr(owner, name)))
    procedure = procedure_of(Plan(actions=(CLOSE_B, OPEN_A)), fencing=1)
    try:
        bench.executor.run(bench.executor.begin(procedure))
        died = False
    except KilledError:
        died = True
    assert died == (killed_after < 12)  # 2 x (record, select, answered, operate, answered, ended)
    left[0] = -1
    bench.start()
    settled = bench.executor.settle()
    procedure = replace(procedure, fencing=2)  # every life leads with a token of its own
    assert {item.outcome for item in settled} <= {"done", "not taken"}
    assert not bench.notes.open_commands()
    assert bench.executor.run(bench.executor.begin(procedure)) is State.DONE
    assert bench.told == {"switch:A": 1, "switch:B": 1}
    assert not [kind for _, kind in bench.alarms if kind == "unknown state"]


def test_settle_alarms_what_it_cannot_tell(bench: Bench) -> None:
    command = bench.executor._sender.write([CLOSE_B], "h", 1, lambda device: "")[0]
    bench.machines["switch:B"].silent = True
    settled = bench.executor.settle()
    assert [(item.command, item.outcome) for item in settled] == [(command, "unknown")]
    assert bench.alarms == [("switch:B", "unknown state")]
    assert bench.told == {}


def test_beyond_the_limits_of_the_device_map_nothing_is_sent(bench: Bench) -> None:
    bench.executor.paths._limits = {"rack:R": {"cap": (6.0, 10.0)}}
    execution = run(bench, CAP_R)
    assert execution.state is State.HELD
    assert "cap 5 is outside 6 to 10" in execution.reason
    assert not bench.notes.commands


def test_readings_that_are_kept_longer_than_the_patience_are_refused(bench: Bench) -> None:
    """What a path has kept since before a command would say that the device has not moved."""
    bench.first.stale_s = 5.0  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"connections\.first\.stale_s.*at most 2 s"):
        bench.start()
