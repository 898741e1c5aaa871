"""Plain Modbus TCP: one connection to one server, and one device as a unit of it. What comes back is never trusted.

Nothing here raises for what a network or a device does: frames that make no sense, late and lost answers are readings of
quality BAD or MISSING. A write whose answer is lost has perhaps been done; it is never sent again.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Sequence
from typing import Any

from pdnopt.devicemap.limits import Limits, outside
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.extras import need
from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.registers import (
    COMMAND_ADDRESS,
    READ_WORDS,
    RESULT_ADDRESS,
    Header,
    command_words,
    decode_block,
    decode_header,
    layout,
    reply_of,
)
from pdnopt.protocols.values import wrong_value

__all__ = ["ModbusEquipment", "ModbusLine", "ModbusUnit"]

log = logging.getLogger(__name__)

PAUSE_S = 1.0
HEADER_WORDS = 16


class ModbusLine:
    """One connection; units share it. It is made when it is needed, at most once a second, and ends with any fault."""

    def __init__(self, host: str, port: int, timeout_s: float, clock: Clock) -> None:
        client = need("pymodbus.client")
        faults = need("pymodbus.exceptions")
        self.host, self.port, self.clock = host, port, clock
        self._client = client.ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)
        # struct.error, IndexError: what pymodbus lets through for frames whose length lies
        self._faults = (faults.ModbusException, OSError, ValueError, IndexError, struct.error)
        self._lock = threading.Lock()
        self._not_before_s = float("-inf")

    def read(self, unit: int, address: int, count: int) -> list[int] | str:
        """Return registers, exactly as many as were asked for, or why there are none."""
        answer = self._ask("read_holding_registers", address, count=count, device_id=unit)
        if isinstance(answer, str):
            return answer
        if answer.isError():
            return f"exception {getattr(answer, 'exception_code', '?')}"
        words = list(answer.registers)
        return words if len(words) == count else f"DecodeError: {len(words)} words, asked for {count}"

    def write(self, unit: int, address: int, words: list[int]) -> str:
        """Write registers in one request; "" where the device has confirmed it, otherwise what went wrong."""
        answer = self._ask("write_registers", address, words, device_id=unit)
        if isinstance(answer, str):
            return answer
        return f"exception {getattr(answer, 'exception_code', '?')}" if answer.isError() else ""

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._client.close()

    def _ask(self, what: str, *args: Any, **keywords: Any) -> Any:
        with self._lock:
            if not self._client.connected and self.clock.monotonic_s() < self._not_before_s:
                return "no answer"
            try:
                return getattr(self._client, what)(*args, **keywords)
            except self._faults as error:
                log.info("Modbus %s:%s: %s", self.host, self.port, error)
                self._client.close()  # what is late must not answer the next question
                self._not_before_s = self.clock.monotonic_s() + PAUSE_S
                return "no answer"


class ModbusUnit:
    """One device: what it shows and what it can be told."""

    def __init__(self, device: str, line: ModbusLine, unit: int, positions: Sequence[str] = ()) -> None:
        self.device, self.line, self.unit, self.positions = device, line, unit, tuple(positions)
        self.table = device.partition(":")[0]

    def readings(self, path: str) -> list[Reading]:
        """Return every quantity of the device."""
        words = self.line.read(self.unit, 0, READ_WORDS)
        now_s = self.line.clock.utc_s()
        if isinstance(words, str):
            names = ["available", *(cell.quantity for cell in layout(self.table))]
            quality = Quality.BAD if words.startswith("DecodeError") else Quality.MISSING
            return [Reading(self.device, name, None, quality, now_s, now_s, path, words) for name in names]
        header, values = decode_block(self.table, words, self.positions)
        stamp_s = now_s if header is None else header.stamp_s
        return [
            Reading(self.device, item.quantity, item.value, item.quality, stamp_s, now_s, path, item.detail)
            for item in values
        ]

    def header(self) -> Header | str:
        """Return the device's header, or why there is none."""
        words = self.line.read(self.unit, 0, HEADER_WORDS)
        return words if isinstance(words, str) else decode_header(words)

    def tell(self, action: str, value: Any) -> Reply:
        """Write a command, and ask what came of it."""
        try:
            words = command_words(action, value, self.positions)
        except (ValueError, TypeError, KeyError) as error:
            return Reply(False, Refusal.MALFORMED, str(error)[:200])
        wrong = self.line.write(self.unit, COMMAND_ADDRESS, words)
        if wrong.startswith("exception"):
            return Reply(False, Refusal.NOT_AVAILABLE, f"Modbus {wrong}")
        if wrong:
            return Reply(False, Refusal.UNREACHABLE, "written, perhaps; the device did not answer")
        result = self.line.read(self.unit, RESULT_ADDRESS, 1)
        if isinstance(result, str):
            return Reply(False, Refusal.UNREACHABLE, "written; the device does not say what came of it")
        return reply_of(result[0])


class ModbusEquipment:
    """A plain Modbus device as a guard knows it (`pdnopt.gateway.guard.Equipment`), within limits that a person has set."""

    def __init__(self, unit: ModbusUnit, limits: Limits | None = None) -> None:
        self.unit, self.limits = unit, limits or {}

    def local(self) -> bool:
        header = self.unit.header()
        return isinstance(header, Header) and header.local

    def present(self, action: str) -> Any:
        quantity = READ_BACK.get(action, "")
        for item in self.unit.readings(""):
            if item.quantity == quantity and item.quality == Quality.GOOD:
                return item.value
        return None

    def objection(self, command: Command) -> Reply | None:
        wrong = wrong_value(command.action, command.value)
        wrong = wrong or outside(self.limits, command.action, command.value)
        if wrong:
            return Reply(False, Refusal.MALFORMED, wrong)
        try:
            command_words(command.action, command.value, self.unit.positions)
        except (ValueError, TypeError, KeyError) as error:
            return Reply(False, Refusal.MALFORMED, str(error)[:200])
        header = self.unit.header()
        if isinstance(header, str):
            return Reply(False, Refusal.NOT_AVAILABLE, header)
        return None if header.available else Reply(False, Refusal.NOT_AVAILABLE, "it says so itself")

    def actuate(self, command: Command) -> Reply:
        return self.unit.tell(command.action, command.value)

    def revert(self) -> None:
        reply = self.unit.tell("revert", None)
        if not reply.accepted:
            log.warning("%s: could not go back to its local rule: %s", self.unit.device, reply.detail)
