"""Plain Modbus TCP, to read only: a second, independent look at devices. Commands go through a gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdnopt.executor.drivers.asking import missing
from pdnopt.gateway.modbus import ModbusLine, ModbusUnit
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.readings import Reading

__all__ = ["ModbusDriver"]

NO_COMMANDS = Reply(
    False, Refusal.UNREACHABLE, "plain Modbus checks no command; give the device a path through a gateway"
)


class ModbusDriver:
    """Reads the units of one Modbus server.

    Parameters
    ----------
    name : str
        Of the path.
    line : ModbusLine
    units : mapping
        Device -> (unit, positions of a transfer device).
    """

    def __init__(self, name: str, line: ModbusLine, units: Mapping[str, tuple[int, tuple[str, ...]]]) -> None:
        self.name, self.line = name, line
        self.clock: Clock = line.clock
        self._units = {
            device: ModbusUnit(device, line, unit, positions) for device, (unit, positions) in units.items()
        }

    def read(self, devices: Iterable[str]) -> list[Reading]:
        found: list[Reading] = []
        for device in devices:
            if device in self._units:
                found += self._units[device].readings(self.name)
            else:
                found += missing([device], self.clock.utc_s(), self.name, "not on this line")
        return found

    def select(self, command: Command) -> Reply:
        return NO_COMMANDS

    def operate(self, command: Command, ticket: int) -> Reply:
        return NO_COMMANDS

    def cancel(self, command: Command, ticket: int) -> None:
        pass

    def close(self) -> None:
        self.line.close()
