"""Plain Modbus devices in a process of their own: switches and a transfer device that take 50 ms, and count their moves.

``python -m tests.security.plant_process 5`` prints its port; it ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from pdnopt.protocols.commands import Refusal, Reply
from pdnopt.protocols.registers import (
    COMMAND_ADDRESS,
    COMMAND_WORDS,
    READ_WORDS,
    Header,
    decode_command,
    encode_block,
    result_code,
)

TAKES_S = 0.05
POSITIONS = ("switch:T1", "switch:T2")
REGISTERS = 128


class PlainDevice:
    """Does what it is told, whoever tells it: that is what plain Modbus is like."""

    def __init__(self, table: str, values: dict[str, Any]) -> None:
        self.table, self.values = table, values
        self.told = self.result = 0

    def block(self) -> list[int]:
        header = Header(True, False, time.time(), self.told, self.result)
        return encode_block(self.table, header, self.values, POSITIONS)

    def tell(self, words: list[int]) -> None:
        try:
            action, value = decode_command(words, POSITIONS)
        except ValueError:
            self.result = result_code(Reply(False, Refusal.MALFORMED))
            return
        self.result = result_code(Reply(True))
        if action == "revert":
            return
        self.told += 1
        quantity = "position" if self.table == "transfer" else "closed"
        asyncio.get_running_loop().call_later(TAKES_S, self.values.__setitem__, quantity, value)

    async def action(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: Any
    ) -> ExcCodes | None:
        if written is None:
            registers[-start : READ_WORDS - start] = self.block()
        elif address == COMMAND_ADDRESS and len(written) == COMMAND_WORDS:
            self.tell([int(word) for word in written])
        else:
            return ExcCodes.ILLEGAL_ADDRESS
        return None


async def serve(switches: int) -> None:
    devices = [PlainDevice("switch", {"closed": False, "p_kw": 0.0}) for _ in range(switches)]
    devices.append(
        PlainDevice("transfer", {"position": POSITIONS[0], "preferred": POSITIONS[0], "moving": False})
    )
    units = [
        SimDevice(
            id=unit,
            simdata=[SimData(0, values=0, count=REGISTERS, datatype=DataType.REGISTERS)],
            action=device.action,
        )
        for unit, device in enumerate(devices, 1)
    ]
    server = ModbusTcpServer(units, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    print(json.dumps({"port": port}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
