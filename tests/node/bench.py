"""A node without a network: a clock that the test turns, wires that count, and a controller that has no need to sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pdnopt.gateway.desk import Desk
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import FileMemory, GuardMemory, VolatileMemory
from pdnopt.node.agent import Forecasting, Node
from pdnopt.node.device import NodeDevice
from pdnopt.node.hardware import Seen
from pdnopt.node.rules import Hold, Rule, Zero
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import Value
from tests.clocks import Hand

INVERTER, BATTERY, LOAD = "asymmetric_sgen:M1", "storage:B1", "load:L1"
ZERO = {"p_kw": [0.0] * 3, "q_kvar": [0.0] * 3}
WATCHDOG_S, SETPOINT_S = 10.0, 40.0
TIMES = GuardSettings(select_s=5.0, skew_s=2.0, validity_s=60.0, watchdog_s=WATCHDOG_S)


def phases(*p_kw: float) -> dict[str, list[float]]:
    return {"p_kw": list(p_kw), "q_kvar": [0.0, 0.0, 0.0]}


class Wire:
    """A device that does what it is told, remembers all of it, and can be made to do less."""

    simulated = False

    def __init__(self, **state: Any) -> None:
        self.state, self.written = state, list[tuple[str, Any]]()
        self.available, self.is_local, self.silent = True, False, False

    def read(self) -> Seen:
        if not self.available:
            return Seen()
        values = {name: Value(name, value, Quality.GOOD) for name, value in self.state.items()}
        return Seen(True, self.is_local, values)

    def write(self, action: str, value: Any) -> Reply:
        if not self.available:
            return Reply(False, Refusal.UNREACHABLE, "nothing")
        self.written.append((action, value))
        self.state[READ_BACK[action]] = value
        return Reply(False, Refusal.UNREACHABLE, "lost") if self.silent else Reply(True)

    def close(self) -> None:
        self.available = False


class Bench:
    """An inverter (rule: zero), a battery (rule: hold) and a load behind their guards."""

    def __init__(self, folder: Path | None = None) -> None:
        """Without a folder the guards' memories are objects that outlive a restart."""
        self.folder, self.clock = folder, Hand()
        self.memories: dict[str, GuardMemory] = {}
        self.wires = {
            INVERTER: Wire(setpoint=ZERO, vm_pu=[1.0, 0.98, 1.01]),
            BATTERY: Wire(setpoint_kw=0.0, soc_percent=50.0),
            LOAD: Wire(p_kw=3.0, limit_kw=None),
        }
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.online = True
        self.sequence, self.beats = 0, 0
        self.forecasting: Forecasting | None = None
        self.start()

    def start(self) -> None:
        """Start the node; again: a restart that keeps only what is on the disk."""
        rules: dict[str, Rule | None] = {
            INVERTER: Zero("asymmetric_sgen"),
            BATTERY: Hold("storage"),
            LOAD: None,
        }
        devices = {
            name: NodeDevice(
                name,
                wire,
                self.clock,
                {"cap": (0.0, 5.0), "power": (-10.0, 10.0)},
                s_max_kva=5.0,
                rule=rules[name],
                setpoint_s=SETPOINT_S,
            )
            for name, wire in self.wires.items()
        }
        guards = {
            name: Guard(name, device, self.clock, self.memory(name), settings=TIMES)
            for name, device in devices.items()
        }
        self.node = Node("n", devices, guards, self.clock, self.tell, 10.0, self.forecasting)
        self.desk = Desk(guards, self.node.read)

    def memory(self, name: str) -> GuardMemory:
        if self.folder is not None:
            return FileMemory(self.folder / f"{name.replace(':', '-')}.json")
        return self.memories.setdefault(name, VolatileMemory())

    def tell(self, what: str, raw: bytes) -> bool:
        if self.online:
            self.told.append((what, json.loads(raw)))
        return self.online

    def step(self, duration_s: float = 1.0) -> None:
        """Let time pass, and the node do what is due."""
        self.clock.sleep(duration_s)
        self.node.step()

    def command(self, device: str, action: str, value: Any, **changes: Any) -> Command:
        self.sequence += 1
        now_s = self.clock.utc_s()
        given = {
            "id": f"c/{self.sequence}",
            "device": device,
            "action": action,
            "value": value,
            "expects": None,
            "sequence": self.sequence,
            "issued_s": now_s,
            "expires_s": now_s + 30.0,
            "plan_hash": "0",
            "fencing": 1,
        }
        return Command(**{**given, **changes})

    def carry_out(self, command: Command) -> Reply:
        guard = self.node.guards[command.device]
        reply = guard.select(command)
        return guard.operate(command, reply.ticket) if reply.accepted else reply

    def beat(self) -> None:
        self.beats += 1
        beat = Heartbeat(self.beats, 1, self.clock.utc_s())
        for guard in self.node.guards.values():
            guard.heartbeat(beat)
