"""A small plant behind real guards, on a clock that a test turns, with a network that loses what it is told to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pdnopt.executor import Executor, Mode, Modes, Paths
from pdnopt.executor.execution import Settings
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import VolatileMemory
from pdnopt.plant.actions import Action
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.readings import Quality, Reading


class Hand:
    """Time, and what is due when it passes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.after: list[tuple[float, Any]] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return 1.7e9 + self.now_s

    def sleep(self, duration_s: float) -> None:
        assert duration_s >= 0
        end_s = self.now_s + max(duration_s, 1e-3)
        for item in sorted(self.after, key=lambda pair: pair[0]):
            if item[0] <= end_s:
                self.now_s = max(self.now_s, item[0])
                self.after.remove(item)
                item[1]()
        self.now_s = end_s


class Machine:
    """One device: its quantities, how long it takes, how it misbehaves, and how often it was told to move."""

    def __init__(self, clock: Hand, takes_s: float = 0.1, **values: Any) -> None:
        self.clock, self.takes_s, self.values = clock, takes_s, values
        self.told = 0
        self.stuck = self.silent = False
        self.stalls_at: Any = "nowhere"

    def local(self) -> bool:
        return False

    def present(self, action: str) -> Any:
        return self.values.get(READ_BACK[action])

    def objection(self, command: Command) -> Reply | None:
        return None

    def revert(self) -> None:
        pass

    def actuate(self, command: Command) -> Reply:
        self.told += 1
        if not self.stuck:
            goal = command.value
            if self.stalls_at != "nowhere":
                goal, self.stalls_at = self.stalls_at, "nowhere"
            self.clock.after.append(
                (
                    self.clock.now_s + self.takes_s,
                    lambda: self.values.__setitem__(READ_BACK[command.action], goal),
                )
            )
        return Reply(True)


@dataclass
class Wire:
    """One path to all machines. ``lose``: names of messages whose next request or reply is lost."""

    machines: dict[str, Machine]
    guards: dict[str, Guard]
    clock: Hand
    name: str
    lose: list[str] = field(default_factory=list)
    down: bool = False
    sent: list[tuple[str, str]] = field(default_factory=list)

    def read(self, devices: Iterable[str]) -> list[Reading]:
        found = []
        for device in devices:
            machine = self.machines[device]
            lost = self.down or machine.silent
            for quantity, value in machine.values.items():
                quality = Quality.MISSING if lost else Quality.GOOD
                now_s = self.clock.utc_s()
                found.append(
                    Reading(device, quantity, None if lost else value, quality, now_s, now_s, self.name)
                )
        return found

    def _exchange(self, what: str, command: Command, ask: Any) -> Reply:
        self.sent.append((what, command.id))
        if self.down or f"{what} request" in self.lose:
            if not self.down:
                self.lose.remove(f"{what} request")
            return Reply(False, Refusal.UNREACHABLE)
        reply: Reply = ask()
        if f"{what} reply" in self.lose:
            self.lose.remove(f"{what} reply")
            return Reply(False, Refusal.UNREACHABLE)
        return reply

    def select(self, command: Command) -> Reply:
        return self._exchange("select", command, lambda: self.guards[command.device].select(command))

    def operate(self, command: Command, ticket: int) -> Reply:
        return self._exchange(
            "operate", command, lambda: self.guards[command.device].operate(command, ticket)
        )

    def cancel(self, command: Command, ticket: int) -> None:
        if not self.down:
            self.guards[command.device].cancel(command, ticket)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Opened:
    command: Command


class Notes:
    """A journal in memory. What is in ``commands`` before a device is told is what the tests ask."""

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {}
        self.stages: list[tuple[str, str, Reply]] = []
        self.outcomes: dict[str, str] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def record(self, command: Command) -> None:
        self.commands[command.id] = command

    def answered(self, command_id: str, t_s: float, stage: str, reply: Reply) -> None:
        assert command_id in self.commands
        self.stages.append((command_id, stage, reply))

    def ended(
        self, command_id: str, t_s: float, outcome: str, observed: Any = None, detail: str = ""
    ) -> None:
        assert command_id in self.commands
        self.outcomes.setdefault(command_id, outcome)

    def event(self, t_s: float, kind: str, **body: Any) -> None:
        self.events.append((kind, body))

    def open_commands(self) -> list[Opened]:
        return [Opened(c) for name, c in self.commands.items() if name not in self.outcomes]

    def last_sequence(self, device: str) -> int:
        return max((c.sequence for c in self.commands.values() if c.device == device), default=0)


class Bench:
    """Two switches, a transfer device, a genset and a rack; two wires to all of them."""

    def __init__(self, mode: Mode = Mode.AUTOMATIC) -> None:
        self.clock = Hand()
        self.machines = {
            "switch:A": Machine(self.clock, closed=True),
            "switch:B": Machine(self.clock, closed=False),
            "transfer:T": Machine(self.clock, position="switch:T1"),
            "ext_grid:G": Machine(self.clock, takes_s=10.0, running=False),
            "rack:R": Machine(self.clock, limit_kw=None, p_kw=8.0),
        }
        self.guards = {
            name: Guard(name, machine, self.clock, VolatileMemory(), settings=GuardSettings())
            for name, machine in self.machines.items()
        }
        self.first, self.second = (
            Wire(self.machines, self.guards, self.clock, name) for name in ("first", "second")
        )
        self.notes = Notes()
        self.alarms: list[tuple[str, str]] = []
        self.modes = Modes(default=mode)
        self.start()

    def start(self) -> None:
        """A new life of the controller: only the journal and the devices remember."""
        self.executor = Executor(
            Paths({"first": self.first, "second": self.second}),
            self.notes,
            self.clock,
            self.modes,
            lambda device, kind, text: self.alarms.append((device, kind)),
            settings=Settings(command_s=30.0, patience_s=2.0, poll_s=0.1),
        )

    @property
    def told(self) -> dict[str, int]:
        return {name: machine.told for name, machine in self.machines.items() if machine.told}


def act(step: int, device: str, action: str, before: Any, after: Any, t_s: float | None = None) -> Action:
    return Action(step, 0.5 * step if t_s is None else t_s, device, action, before, after)
