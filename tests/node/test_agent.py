"""What a node does when all is well, when nobody leads, and when things break; by a clock that the test turns."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pdnopt.gateway import memory
from pdnopt.protocols.commands import Command, Refusal
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.wire import parse
from tests.node.bench import BATTERY, INVERTER, LOAD, SETPOINT_S, WATCHDOG_S, ZERO, Bench, phases


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def set_by(bench: Bench, device: str) -> Any:
    return next(item.value for item in bench.node.read([device]) if item.quantity == "set_by")


def test_obeys_and_says_who_sets(bench: Bench) -> None:
    bench.step()
    assert set_by(bench, INVERTER) == "local rule"
    assert bench.node.status()["controller"] == "silent"  # nobody has been heard yet
    assert bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3))).accepted
    bench.beat()
    bench.step()
    assert bench.node.status()["controller"] == "heard"
    assert bench.wires[INVERTER].state["setpoint"] == phases(1, 2, -3)
    assert set_by(bench, INVERTER) == "controller"


def test_set_points_run_out_unless_they_are_renewed(bench: Bench) -> None:
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    for _ in range(int(SETPOINT_S) - 5):
        bench.beat()
        bench.step()
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 1, 1)))
    for _ in range(int(SETPOINT_S) - 1):
        bench.beat()
        bench.step()
    assert bench.wires[INVERTER].state["setpoint"] == phases(1, 1, 1)
    bench.beat()
    bench.step(2.0)
    assert bench.wires[INVERTER].state["setpoint"] == ZERO
    assert bench.node.status()["expired"] == 1
    assert bench.node.status()["controller"] == "heard"


def test_silent_controller(bench: Bench) -> None:
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    bench.carry_out(bench.command(BATTERY, "power", -4.0))
    bench.carry_out(bench.command(LOAD, "cap", 2.0))
    for _ in range(int(WATCHDOG_S) - 1):
        bench.step()
    assert bench.wires[INVERTER].state["setpoint"] == phases(1, 2, -3)
    bench.step(2.0)
    assert bench.wires[INVERTER].state["setpoint"] == ZERO
    assert bench.wires[BATTERY].state["setpoint_kw"] == -4.0  # its rule: hold
    assert bench.wires[LOAD].state["limit_kw"] == 2.0  # a verified limit does not fall away
    assert bench.told[-1][1]["controller"] == "silent"
    bench.beat()
    bench.step()
    assert bench.told[-1][1]["controller"] == "heard"
    assert bench.wires[INVERTER].state["setpoint"] == ZERO  # a heartbeat alone brings no set-point back


def test_restart_lends_nothing_and_lets_nothing_old_in(bench: Bench) -> None:
    old = bench.command(INVERTER, "setpoint", phases(1, 2, -3))
    ticket = bench.node.guards[INVERTER].select(old).ticket
    bench.node.guards[INVERTER].operate(old, ticket)
    bench.step()
    bench.start()
    bench.step()
    assert bench.wires[INVERTER].state["setpoint"] == ZERO
    moves = len(bench.wires[INVERTER].written)
    guard = bench.node.guards[INVERTER]
    assert guard.select(old).refusal is Refusal.OLD_SEQUENCE
    assert guard.operate(old, ticket).accepted  # answered as before
    assert len(bench.wires[INVERTER].written) == moves  # and nothing moved


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_clock_jump(bench: Bench, jump_s: float) -> None:
    """Set-points run out by monotonic time; commands of another time are refused, and the node says why."""
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    bench.step()
    stale = bench.command(INVERTER, "setpoint", phases(3, 3, 3))
    bench.clock.offset_s += jump_s
    bench.step()
    assert bench.wires[INVERTER].state["setpoint"] == phases(1, 2, -3)
    wanted = Refusal.EXPIRED if jump_s > 0 else Refusal.FUTURE
    assert bench.carry_out(stale).refusal is wanted
    bench.step(WATCHDOG_S)
    assert bench.wires[INVERTER].state["setpoint"] == ZERO
    assert bench.node.status()["refused"] == {str(wanted): 1}


def test_disk_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be remembered is not done; the local rule needs no disk."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    monkeypatch.setattr(memory.os, "fsync", full)
    reply = bench.carry_out(bench.command(INVERTER, "setpoint", phases(3, 3, 3)))
    assert reply.refusal is Refusal.NOT_AVAILABLE
    assert "disk" in reply.detail
    assert bench.wires[INVERTER].state["setpoint"] == phases(1, 2, -3)
    bench.step(WATCHDOG_S + 1)
    assert bench.wires[INVERTER].state["setpoint"] == ZERO
    monkeypatch.undo()
    assert bench.carry_out(bench.command(INVERTER, "setpoint", phases(2, 2, 2))).accepted


def test_lost_answer_of_a_device_counts_as_set(bench: Bench) -> None:
    """It may have been taken: so it must run out like one that was."""
    bench.wires[INVERTER].silent = True
    reply = bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    assert reply.refusal is Refusal.UNREACHABLE
    bench.wires[INVERTER].silent = False
    bench.step(WATCHDOG_S + 1)
    assert bench.wires[INVERTER].state["setpoint"] == ZERO


def test_rule_leaves_a_person_and_a_dead_device_alone(bench: Bench) -> None:
    wire = bench.wires[INVERTER]
    wire.is_local = True
    wire.state["setpoint"] = phases(4, 4, 4)
    bench.step()
    assert wire.state["setpoint"] == phases(4, 4, 4)
    assert bench.carry_out(bench.command(INVERTER, "setpoint", ZERO)).refusal is Refusal.LOCAL
    assert bench.told[-1][1]["local"] == [INVERTER]
    wire.is_local, wire.available = False, False
    bench.step()
    assert bench.told[-1][1]["silent_devices"] == [INVERTER]
    wire.available = True
    bench.step()
    assert wire.state["setpoint"] == ZERO


@pytest.mark.parametrize(
    ("device", "action", "value"),
    [
        (INVERTER, "setpoint", phases(6, 0, 0)),
        (INVERTER, "setpoint", {"p_kw": [4.0, 0, 0], "q_kvar": [4.0, 0, 0]}),  # 5.7 kVA
        (INVERTER, "setpoint", {"p_kw": [1.0], "q_kvar": [1.0]}),
        (INVERTER, "setpoint", None),
        (INVERTER, "power", 1.0),
        (BATTERY, "power", 10.5),
        (BATTERY, "power", "1"),
        (LOAD, "cap", 5.1),
        (LOAD, "cap", -1.0),
        (LOAD, "open", False),
    ],
)
def test_what_a_device_cannot_or_may_not(bench: Bench, device: str, action: str, value: Any) -> None:
    reply = bench.carry_out(bench.command(device, action, value))
    assert reply.refusal in (Refusal.MALFORMED, Refusal.NOT_AVAILABLE)
    assert not bench.wires[device].written


def test_status_at_once_when_something_changes_and_again_after_an_outage(bench: Bench) -> None:
    for _ in range(5):
        bench.step()
    assert len(bench.told) == 1  # nothing has changed
    bench.carry_out(bench.command(INVERTER, "setpoint", phases(1, 2, -3)))
    bench.step()
    assert len(bench.told) == 2
    bench.online = False
    bench.step(WATCHDOG_S + 1)
    bench.online = True
    bench.step()
    assert bench.told[-1][1]["controller"] == "silent"
    assert not bench.node.status()["simulated"]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes(seed: int) -> None:
    """A set-point is in force only while it is lent, nothing moves twice, and the node lives: against a second book."""
    run_chaos(seed, 150)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_whatever_comes_at_length(seed: int) -> None:
    run_chaos(seed, 600)


WILD = ["command"] * 4 + ["beat"] * 6 + ["replay"] * 2 + ["garbage", "jump", "restart", "wait"]
CALM = (
    ["beat"] * 80 + ["command"] * 2 + ["replay", "garbage"]
)  # long enough in touch for set-points to run out


def run_chaos(seed: int, events: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    bench = Bench()
    wire = bench.wires[INVERTER]
    sent: list[tuple[Command, int]] = []  # operated or tried, with the tickets
    lent: Any = None  # the second book: what the controller has lent
    lent_until = heard = bench.clock.now_s
    offset_s = bench.clock.offset_s
    jumped = False
    for _ in range(events):
        event = draw.choice(CALM if seed % 2 else WILD)
        written = len(wire.written)
        if event == "command":
            value = phases(*(round(draw.uniform(-3, 3), 2) for _ in range(3)))
            command = bench.command(INVERTER, "setpoint", value)
            guard = bench.node.guards[INVERTER]
            ticket = guard.select(command)
            reply = guard.operate(command, ticket.ticket)
            sent.append((command, ticket.ticket))
            assert reply.accepted == ticket.accepted, reply
            if reply.accepted:
                assert wire.written[written:] == [("setpoint", value)]
                lent, lent_until = value, bench.clock.now_s + SETPOINT_S
                heard = bench.clock.now_s
            assert reply.accepted, (reply, bench.clock.offset_s)  # stamped by the node's own UTC here
        elif event == "beat":
            if not jumped:
                heard = bench.clock.now_s
            bench.beats += 1
            beat_s = bench.clock.now_s + offset_s  # the controller's clock has not jumped
            for guard in bench.node.guards.values():
                assert guard.heartbeat(Heartbeat(bench.beats, 1, beat_s)).accepted is not jumped
        elif event == "replay" and sent:
            command, ticket_number = draw.choice(sent)
            guard = bench.node.guards[INVERTER]
            ticket = guard.select(command)
            guard.operate(command, ticket_number)
            assert not ticket.accepted
            assert len(wire.written) == written
        elif event == "garbage":
            raw = bytes(draw.randrange(256) for _ in range(draw.randrange(200)))
            answer = parse(bench.desk.answer(raw))
            assert "error" in answer
            assert len(wire.written) == written
        elif event == "jump":
            jumped = not jumped
            bench.clock.offset_s = offset_s + (draw.choice([-7200.0, 7200.0]) if jumped else 0.0)
        elif event == "restart":
            bench.start()
            lent, heard = None, bench.clock.now_s
        bench.step(draw.choice([0.5, 1.0, 3.0]) if event != "wait" else WATCHDOG_S)
        now_s = bench.clock.now_s
        if lent is not None and (now_s >= lent_until or now_s - heard >= WATCHDOG_S):
            lent = None
        assert wire.state["setpoint"] == (ZERO if lent is None else lent), (event, now_s)
    moved = [value for action, value in wire.written if value != ZERO]
    assert len(moved) <= len(sent)
