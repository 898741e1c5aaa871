"""Each rule of the guard: one command that is taken, one that is not, and the device's own count of what moved it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdnopt.errors import InputError
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import Book, FileMemory, GuardMemory, Remembered, VolatileMemory
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat
from tests.clocks import Hand


class Breaker:
    """A device that counts what moves it."""

    def __init__(self) -> None:
        self.closed, self.moves, self.reverts, self.is_local = True, 0, 0, False
        self.objects: Reply | None = None

    def local(self) -> bool:
        return self.is_local

    def present(self, action: str) -> bool:
        return self.closed

    def objection(self, command: Command) -> Reply | None:
        return self.objects

    def actuate(self, command: Command) -> Reply:
        self.moves += 1
        self.closed = command.value
        return Reply(True)

    def revert(self) -> None:
        self.reverts += 1


class Bench:
    """One guard before one breaker."""

    def __init__(self, memory: GuardMemory | None = None) -> None:
        self.clock, self.breaker = Hand(), Breaker()
        self.memory = memory or VolatileMemory()
        self.start()

    def start(self) -> None:
        self.guard = Guard("switch:Q1", self.breaker, self.clock, self.memory, settings=GuardSettings())

    def command(self, number: int = 1, value: bool = False, **other: object) -> Command:
        now_s = self.clock.utc_s()
        plain = Command(
            f"c{number}", "switch:Q1", "open", value, None, number, now_s, now_s + 30, "hash", fencing=1
        )
        return replace(plain, **other)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_selected_then_operated_moves_once(bench: Bench) -> None:
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    assert bench.breaker.moves == 0
    first = bench.guard.operate(command, ticket)
    again = bench.guard.operate(command, ticket)
    assert first.accepted
    assert again == first
    assert bench.breaker.moves == 1 == bench.guard.remembered.actuations


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issued_s": 1.7e9 + 1003, "expires_s": 1.7e9 + 1033}, Refusal.FUTURE),
        ({"issued_s": 1.7e9 + 900, "expires_s": 1.7e9 + 1000}, Refusal.EXPIRED),
        ({"expires_s": 1.7e9 + 1000 + 3600}, Refusal.MALFORMED),  # valid for an hour
        ({"expires_s": float("nan")}, Refusal.MALFORMED),
        ({"value": float("nan")}, Refusal.MALFORMED),
        ({"value": object()}, Refusal.MALFORMED),
        ({"id": ""}, Refusal.MALFORMED),
        ({"device": "switch:Q2"}, Refusal.MALFORMED),
        ({"sequence": 0}, Refusal.MALFORMED),
        ({"expects": False}, Refusal.PRECONDITION),
    ],
)
def test_refused_at_selection(bench: Bench, change: dict[str, object], why: Refusal) -> None:
    reply = bench.guard.select(bench.command(**change))
    assert (reply.accepted, reply.refusal) == (False, why)
    assert bench.guard.refused[why] == 1
    assert bench.breaker.moves == 0


def test_altered_swapped_and_late_operations_move_nothing(bench: Bench) -> None:
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    assert bench.guard.operate(replace(command, value=True), ticket).refusal is Refusal.NOT_SELECTED
    assert bench.guard.operate(command, ticket).refusal is Refusal.NOT_SELECTED  # the wrong one ended it
    ticket = bench.guard.select(command).ticket
    assert bench.guard.operate(command, ticket + 1).refusal is Refusal.NOT_SELECTED
    ticket = bench.guard.select(command).ticket
    bench.clock.sleep(10.0)
    assert bench.guard.operate(command, ticket).refusal is Refusal.NOT_SELECTED
    assert bench.breaker.moves == 0


def test_a_clock_that_jumps_does_not_make_a_selection_live_longer(bench: Bench) -> None:
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    bench.clock.sleep(11.0)
    bench.clock.offset_s -= 11.0  # by UTC no time has passed
    assert bench.guard.operate(command, ticket).refusal is Refusal.NOT_SELECTED
    assert bench.breaker.moves == 0


@pytest.mark.parametrize(("jump_s", "why"), [(3600.0, Refusal.EXPIRED), (-3600.0, Refusal.FUTURE)])
def test_an_hour_off_is_refused(bench: Bench, jump_s: float, why: Refusal) -> None:
    command = bench.command()
    bench.clock.offset_s += jump_s
    assert bench.guard.select(command).refusal is why


def test_one_selection_at_a_time(bench: Bench) -> None:
    first, second = bench.command(1), bench.command(2)
    ticket = bench.guard.select(first).ticket
    assert bench.guard.select(second).refusal is Refusal.SELECTED_BY_OTHER
    assert bench.guard.select(first).ticket == ticket  # asked twice: the same selection
    for wrong in ((first, ticket + 1), (second, ticket)):
        assert bench.guard.cancel(*wrong).refusal is Refusal.NOT_SELECTED
    assert bench.guard.select(first).ticket == ticket  # it still lives
    assert bench.guard.cancel(first, ticket).accepted
    assert bench.guard.select(second).accepted


def a_file(folder: Path) -> GuardMemory:
    return FileMemory(folder / "guard.json")


def a_book(folder: Path) -> GuardMemory:
    return Book(folder / "guards.sqlite").of("switch:Q1")


@pytest.mark.parametrize("memory", [a_file, a_book])
def test_numbers_and_tokens_rise_across_restarts(
    tmp_path: Path, memory: Callable[[Path], GuardMemory]
) -> None:
    bench = Bench(memory(tmp_path))
    old = bench.command(5)
    bench.guard.operate(old, bench.guard.select(old).ticket)
    bench.guard.select(bench.command(1, fencing=3, id="new leader"))
    bench.memory = memory(tmp_path)
    bench.start()
    assert bench.guard.remembered.last_reply == Reply(True)
    assert bench.guard.select(bench.command(9)).refusal is Refusal.OLD_LEADER
    assert bench.guard.select(bench.command(4, fencing=1)).refusal is Refusal.OLD_LEADER
    new = bench.command(1, fencing=3, id="new leader")
    assert bench.guard.operate(new, bench.guard.select(new).ticket).accepted
    bench.start()
    assert bench.guard.select(bench.command(1, fencing=3, id="other")).refusal is Refusal.OLD_SEQUENCE
    assert bench.guard.operate(new, 1).accepted  # answered as before
    assert bench.breaker.moves == 2


def test_a_new_leader_ends_the_old_ones_selection(bench: Bench) -> None:
    old = bench.command(1)
    ticket = bench.guard.select(old).ticket
    assert bench.guard.select(bench.command(1, fencing=2, id="b")).accepted
    assert bench.guard.operate(old, ticket).refusal is Refusal.OLD_LEADER
    assert bench.breaker.moves == 0


def test_the_same_id_with_other_content_is_refused(bench: Bench) -> None:
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    bench.guard.operate(command, ticket)
    assert bench.guard.operate(replace(command, value=True), ticket).refusal is Refusal.NOT_SELECTED
    assert bench.breaker.moves == 1


def test_local_mode_and_the_devices_own_objection(bench: Bench) -> None:
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    bench.breaker.is_local = True
    assert bench.guard.operate(command, ticket).refusal is Refusal.LOCAL
    bench.breaker.is_local = False
    bench.breaker.objects = Reply(False, Refusal.NOT_IN_SYNC, "31 degrees")
    assert bench.guard.select(command).refusal is Refusal.NOT_IN_SYNC
    assert bench.breaker.moves == 0


def test_moved_between_selection_and_operation(bench: Bench) -> None:
    command = bench.command(expects=True)
    ticket = bench.guard.select(command).ticket
    bench.breaker.closed = False  # an operator was faster
    assert bench.guard.operate(command, ticket).refusal is Refusal.PRECONDITION
    assert bench.breaker.moves == 0


class Dying(VolatileMemory):
    """A disk that fails at the n-th write, counted from 1."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.left = fails_at

    def save(self, remembered: Remembered) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        super().save(remembered)


def test_nothing_moves_where_it_cannot_be_remembered() -> None:
    bench = Bench(Dying(2))  # 1: the token, 2: the start of the operation
    command = bench.command()
    reply = bench.guard.operate(command, bench.guard.select(command).ticket)
    assert reply.refusal is Refusal.NOT_AVAILABLE
    assert bench.breaker.moves == 0


def test_killed_while_the_device_was_being_told_is_uncertain_and_moves_nothing_again() -> None:
    bench = Bench(Dying(3))  # 3: how it ended
    command = bench.command()
    ticket = bench.guard.select(command).ticket
    assert bench.guard.operate(command, ticket).accepted
    bench.start()
    assert bench.guard.operate(command, ticket).refusal is Refusal.UNREACHABLE
    assert bench.guard.select(command).refusal is Refusal.OLD_SEQUENCE
    assert bench.breaker.moves == 1


def test_damaged_memory_stops_the_guard(tmp_path: Path) -> None:
    path = tmp_path / "guard.json"
    for text in ('{"fencing": 3', "{}", "[]", '{"fencing": "3", "last_reply": null}'):
        path.write_text(text)
        with pytest.raises(InputError, match="Look at the devices"):
            Bench(FileMemory(path))
    book = Book(tmp_path / "guards.sqlite")
    Bench(book.of("switch:Q1"))
    book.close()
    book.path.write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="Look at the devices"):
        Book(book.path)


def test_a_new_token_is_one_write_for_all(tmp_path: Path) -> None:
    book = Book(tmp_path / "guards.sqlite")
    with book.together():
        book.of("switch:A").save(Remembered(fencing=3))
        book.of("switch:B").save(Remembered(fencing=3))
        other = Book(tmp_path / "guards.sqlite")
        assert other.load("switch:A").fencing == 0  # not yet
    assert [other.load(name).fencing for name in ("switch:A", "switch:B")] == [3, 3]
    for each in (book, other):
        each.close()
    with pytest.raises(OSError, match="closed"):
        book.save("switch:A", Remembered())


def test_silence_ends_external_set_points_once(bench: Bench) -> None:
    beat = Heartbeat(1, 1, bench.clock.utc_s())
    bench.clock.sleep(59.0)
    assert bench.guard.heartbeat(replace(beat, issued_s=bench.clock.utc_s())).accepted
    bench.clock.sleep(59.0)
    bench.guard.tick()
    assert not bench.guard.silent
    assert bench.guard.heartbeat(replace(beat, issued_s=bench.clock.utc_s())).refusal is Refusal.OLD_SEQUENCE
    bench.clock.sleep(1.0)
    for _ in range(3):
        bench.guard.tick()
    assert bench.guard.silent
    assert bench.breaker.reverts == 1
    assert bench.guard.heartbeat(Heartbeat(2, 1, bench.clock.utc_s())).accepted
    assert not bench.guard.silent


def test_unsigned_commands_and_beats_count_for_nothing() -> None:
    bench = Bench()
    guard = Guard("switch:Q1", bench.breaker, bench.clock, VolatileMemory(), verify=lambda text, sign: False)
    command = bench.command()
    assert guard.select(command).refusal is Refusal.BAD_SIGNATURE
    assert guard.operate(command, 1).refusal is Refusal.BAD_SIGNATURE
    assert guard.cancel(command, 1).refusal is Refusal.BAD_SIGNATURE
    assert guard.heartbeat(Heartbeat(1, 1, bench.clock.utc_s())).refusal is Refusal.BAD_SIGNATURE
    assert guard.remembered == Remembered()


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["select", "operate", "wait", "jump", "restart"]),
        st.integers(1, 4),  # which command
        st.integers(1, 3),  # which token
        st.booleans(),  # the right ticket
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(MESSAGES)
def test_whatever_comes_in_whatever_order(messages: list[tuple[str, int, int, bool]]) -> None:
    """No command moves the device twice, and what moved it rose by (token, number)."""
    bench, tickets = Bench(), {}
    start_s = bench.clock.utc_s()
    moved: list[tuple[int, int]] = []
    for what, number, token, right in messages:
        command = Command(
            f"{token}.{number}", "switch:Q1", "open", False, None, number, start_s, start_s + 60, "h", token
        )
        before = bench.breaker.moves
        if what == "select":
            reply = bench.guard.select(command)
            if reply.accepted:
                tickets[command.id] = reply.ticket
        elif what == "operate":
            bench.guard.operate(command, tickets.get(command.id, 7) + (not right))
        elif what == "wait":
            bench.clock.sleep(4.0 * number)
        elif what == "jump":
            bench.clock.offset_s += 10.0 * (number - 2)
        else:
            bench.start()
        if bench.breaker.moves > before:
            assert bench.breaker.moves == before + 1
            moved.append((token, number))
    assert moved == sorted(set(moved))
