"""A device of a node behind plain Modbus TCP, on the node's own segment (docs/REGISTERS.md)."""

from __future__ import annotations

from typing import Any

from pdnopt.gateway.modbus import ModbusUnit
from pdnopt.node.hardware import Seen
from pdnopt.protocols.commands import Reply
from pdnopt.protocols.registers import READ_WORDS, Value, decode_block

__all__ = ["WiredHardware"]


class WiredHardware:
    """One unit of a Modbus server."""

    simulated = False

    def __init__(self, unit: ModbusUnit) -> None:
        self.unit = unit

    def read(self) -> Seen:
        words = self.unit.line.read(self.unit.unit, 0, READ_WORDS)
        if isinstance(words, str):
            return Seen()
        header, values = decode_block(self.unit.table, words, self.unit.positions)
        found: dict[str, Value] = {item.quantity: item for item in values}
        if header is None:
            return Seen(values=found)
        return Seen(header.available, header.local, found, header.stamp_s)

    def write(self, action: str, value: Any) -> Reply:
        return self.unit.tell(action, value)

    def close(self) -> None:
        self.unit.line.close()
