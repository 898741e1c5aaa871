"""Sequences through networks that lose messages, devices that stick, stall and fall silent, and controllers that die.

Whatever happens: nothing is sent that is not written, no command moves a device twice, what is called done is done, and a
device of which it is not known where it is has been alarmed.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pdnopt.executor import Execution, State, procedure_of
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.protocols.commands import Command
from tests.executor.bench import Bench, Wire, act

MESSAGES = ("select request", "select reply", "operate request", "operate reply")


class KilledError(BaseException):
    """The controller's process has ended."""


class Storm:
    """One plant, one random history."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = Bench()
        self.moved: Counter[str] = Counter()
        self.deaths = 0
        for wire in (self.bench.first, self.bench.second):
            self._spoil(wire)
        for machine in self.bench.machines.values():
            self._count(machine)

    def _spoil(self, wire: Wire) -> None:
        inner = wire._exchange

        def exchange(what, command, ask):  # type: ignore[no-untyped-def]
            assert command.id in self.bench.notes.commands, "sent before it was written"
            if self.chance.random() < 0.15:
                wire.lose.append(f"{what} {self.chance.choice(('request', 'reply'))}")
            self._perhaps_die()
            reply = inner(what, command, ask)
            self._perhaps_die()
            return reply

        wire._exchange = exchange  # type: ignore[method-assign]

    def _count(self, machine) -> None:  # type: ignore[no-untyped-def]
        inner = machine.actuate

        def actuate(command: Command):  # type: ignore[no-untyped-def]
            self.moved[command.id] += 1
            return inner(command)

        machine.actuate = actuate

    def _perhaps_die(self) -> None:
        if self.chance.random() < 0.02:
            self.deaths += 1
            raise KilledError

    def trouble(self) -> None:
        """Something goes wrong, or right again."""
        machine = self.bench.machines[self.chance.choice(list(self.bench.machines))]
        what = self.chance.random()
        if what < 0.3:
            machine.stuck = not machine.stuck
        elif what < 0.5:
            machine.silent = not machine.silent
        elif what < 0.6 and "position" in machine.values:
            machine.stalls_at = None
        elif what < 0.8:
            wire = self.chance.choice((self.bench.first, self.bench.second))
            wire.down = not wire.down

    def plan(self) -> Plan:
        """Return a plan from what is so now, as far as it can be told."""
        actions: list[Action] = []
        values = {name: machine.values for name, machine in self.bench.machines.items()}
        for name in self.chance.sample(list(values), 3):
            step = self.chance.randint(1, 3)
            if name.startswith("switch:"):
                closed = values[name]["closed"]
                actions.append(act(step, name, "open" if closed else "close", closed, not closed))
            elif name.startswith("transfer:"):
                here = values[name]["position"]
                goal = "switch:T2" if here != "switch:T2" else "switch:T1"
                actions.append(act(step, name, "transfer", here, goal))
            elif name.startswith("rack:"):
                actions.append(act(step, name, "cap", 8.0, round(self.chance.uniform(1, 7), 1)))
            else:
                running = values[name]["running"]
                actions.append(act(step, name, "stop" if running else "start", running, not running))
        return Plan(actions=tuple(sorted(actions, key=lambda item: item.step)))

    def back(self, plan: Plan) -> dict[int, tuple[Action, ...]]:
        moves = [item for item in plan.actions if item.action == "transfer" and item.before is not None]
        return {item.step: (act(9, item.device, "transfer", None, item.before),) for item in moves}


@pytest.mark.parametrize("seed", range(100))
def test_a_storm(seed: int) -> None:
    print(f"seed {seed}")
    brew(seed)


@pytest.mark.soak
def test_ten_thousand_storms() -> None:
    for seed in range(1000, 11000):
        try:
            brew(seed)
        except BaseException:
            print(f"seed {seed}")
            raise


def brew(seed: int) -> None:
    storm = Storm(seed)
    bench, fencing = storm.bench, 1
    for _ in range(6):
        storm.trouble()
        plan = storm.plan()
        takes_s = {"ext_grid:G": 10.0}
        try:
            execution = bench.executor.begin(procedure_of(plan, fencing, takes_s, storm.back(plan)))
            while not execution.final:
                if storm.chance.random() < 0.05:
                    storm.trouble()
                execution.poll()
                bench.clock.sleep(0.1)
            check_end(bench, execution)
        except KilledError:
            fencing += 1
            bench.start()
            bench.executor.settle(takes_s)
        assert not bench.notes.open_commands()
        check_all(storm)


def check_end(bench: Bench, execution: Execution) -> None:
    alarmed = {device for device, kind in bench.alarms if kind == "unknown state"}
    assert set(execution.unknown) <= alarmed
    assert (execution.state is State.UNKNOWN) == bool(execution.unknown)


def check_all(storm: Storm) -> None:
    bench = storm.bench
    assert all(n == 1 for n in storm.moved.values()), "moved twice"
    outcomes, commands = bench.notes.outcomes, bench.notes.commands
    alarmed = {device for device, kind in bench.alarms if kind == "unknown state"}
    for name, outcome in outcomes.items():
        if outcome == "done":
            assert storm.moved[name] == 1 or already_there(storm, commands[name])
        elif outcome == "refused":
            assert storm.moved[name] == 0
        elif outcome == "unknown":
            assert commands[name].device in alarmed


def already_there(storm: Storm, command: Command) -> bool:
    """Say whether an earlier command, late in its effect, had the same goal: then this one's is reached as well."""
    return any(
        other.device == command.device and other.value == command.value and storm.moved[other.id]
        for other in storm.bench.notes.commands.values()
        if other.id != command.id
    )
