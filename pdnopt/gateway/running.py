"""A gateway process: the plain Modbus devices of a file, each behind its guard, and the doors to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pdnopt.devicemap.gateway import GatewayMap
from pdnopt.errors import InputError, Issue
from pdnopt.gateway.desk import Desk
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import Book
from pdnopt.gateway.modbus import ModbusEquipment, ModbusLine, ModbusUnit
from pdnopt.gateway.mqtt import MqttDoor, MqttSettings
from pdnopt.gateway.server import GatewayServer
from pdnopt.protocols.certificates import server_context
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.readings import Reading
from pdnopt.protocols.signing import Verifier

__all__ = ["Gateway", "open_gateway"]


@dataclass(frozen=True)
class Gateway:
    """What runs; ``close`` ends it."""

    desk: Desk
    server: GatewayServer
    door: MqttDoor | None
    lines: tuple[ModbusLine, ...]
    book: Book

    def close(self) -> None:
        """End all connections, the controller's first."""
        self.server.close()
        if self.door is not None:
            self.door.close()
        for line in self.lines:
            line.close()
        self.book.close()


def open_gateway(settings: GatewayMap, clock: Clock) -> Gateway:
    """Start a gateway.

    Raises
    ------
    InputError
        A key or certificate is wrong, the port is taken, the state folder cannot be written, a guard's memory is damaged.
    """
    verify = Verifier(settings.controller_key)
    context = server_context(settings.identity)
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        allowed, todo = (
            f"a folder that can be written ({error.strerror})",
            "Correct the path or its permissions.",
        )
        raise InputError(
            Issue("File", f"{settings.path.name} state", "", str(settings.state), allowed, todo)
        ) from None
    lines: dict[tuple[str, int], ModbusLine] = {}
    units: dict[str, ModbusUnit] = {}
    guards: dict[str, Guard] = {}
    book = Book(settings.state / "guards.sqlite")
    times = GuardSettings(**settings.guard)
    for name, entry in settings.devices.items():
        key = (entry.host, entry.port)
        if key not in lines:
            lines[key] = ModbusLine(entry.host, entry.port, entry.timeout_s, clock)
        units[name] = ModbusUnit(name, lines[key], entry.unit, entry.positions)
        equipment = ModbusEquipment(units[name], entry.limits)
        guards[name] = Guard(name, equipment, clock, book.of(name), verify, settings=times)

    def read(devices: Sequence[str]) -> list[Reading]:
        return [item for name in devices for item in units[name].readings("")]

    desk = Desk(guards, read, book.together)
    door = None
    if settings.mqtt is not None:
        topics = {name: entry.topic for name, entry in settings.devices.items()}
        door = MqttDoor(desk, topics, settings.identity, clock, MqttSettings(**_mqtt(settings.mqtt)))
    try:
        server = GatewayServer(desk, settings.host, settings.port, context, settings.controllers)
    except InputError:
        if door is not None:
            door.close()
        book.close()
        raise
    return Gateway(desk, server, door, tuple(lines.values()), book)


def _mqtt(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
