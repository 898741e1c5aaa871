"""An own authority, keys, and a gateway on loopback before machines that count what moves them."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from pdnopt.executor.drivers.gateway import GatewayDriver
from pdnopt.gateway.desk import Desk
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import FileMemory
from pdnopt.gateway.server import GatewayServer
from pdnopt.protocols.certificates import Authority, Identity, client_context, server_context
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.signing import Signer, Verifier, make_keys


class Machine:
    """Does at once what it is told, and counts."""

    def __init__(self, **values: Any) -> None:
        self.values, self.told, self.reverts = values, 0, 0

    def local(self) -> bool:
        return False

    def present(self, action: str) -> Any:
        return self.values.get(READ_BACK[action])

    def objection(self, command: Command) -> Reply | None:
        return None

    def actuate(self, command: Command) -> Reply:
        self.told += 1
        self.values[READ_BACK[command.action]] = command.value
        return Reply(True)

    def revert(self) -> None:
        self.reverts += 1


class Place:
    """Keys and certificates in a folder; a gateway where it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, SystemClock()
        self.authority = Authority(folder)
        self.controller = self.authority.issue("controller")
        self.gateway_identity = self.authority.issue("gateway")
        make_keys(folder / "sign.key", folder / "sign.pub")
        self.sign, self.verify = Signer(folder / "sign.key"), Verifier(folder / "sign.pub")
        self.machines = {"switch:A": Machine(closed=True), "switch:B": Machine(closed=False)}
        self._number = int(time.time())

    def guards(self, settings: GuardSettings | None = None) -> dict[str, Guard]:
        return {
            name: Guard(
                name,
                machine,
                self.clock,
                FileMemory(self.folder / f"{name.replace(':', '_')}.json"),
                self.verify,
                settings or GuardSettings(),
            )
            for name, machine in self.machines.items()
        }

    def desk(self, settings: GuardSettings | None = None) -> Desk:
        return Desk(self.guards(settings), self.read)

    def read(self, devices: Any) -> list[Reading]:
        now_s = self.clock.utc_s()
        return [
            Reading(device, quantity, value, Quality.GOOD, now_s, now_s)
            for device in devices
            for quantity, value in self.machines[device].values.items()
        ]

    def serve(self, settings: GuardSettings | None = None) -> GatewayServer:
        context = server_context(self.gateway_identity)
        return GatewayServer(self.desk(settings), "127.0.0.1", 0, context, {"controller"})

    def driver(self, port: int, identity: Identity | None = None, sign: Any = None) -> GatewayDriver:
        context = client_context(identity or self.controller)
        return GatewayDriver(
            "first", self.clock, sign or self.sign, "127.0.0.1", port, context, timeout_s=2.0
        )

    def command(
        self, device: str = "switch:B", value: bool = True, valid_s: float = 30.0, **other: Any
    ) -> Command:
        self._number += 1
        now_s = self.clock.utc_s()
        fields: dict[str, Any] = {
            "id": f"c{self._number}",
            "device": device,
            "action": "close" if value else "open",
            "value": value,
            "expects": None,
            "sequence": self._number,
            "issued_s": now_s,
            "expires_s": now_s + valid_s,
            "plan_hash": "h",
            "fencing": 1,
        }
        return Command(**(fields | other))

    @property
    def told(self) -> int:
        return sum(machine.told for machine in self.machines.values())


EXPIRED = timedelta(days=-1)
