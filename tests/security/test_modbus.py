"""Plain Modbus: devices that answer nonsense, or not, and strangers who flood the port of a good one."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pdnopt.executor.drivers.modbus import ModbusDriver
from pdnopt.gateway.modbus import ModbusEquipment, ModbusLine, ModbusUnit
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Refusal
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import Header, encode_block
from tests.security.processes import python

pytest.importorskip("pymodbus", reason="the extra 'devices' is not installed")

GOOD = encode_block("switch", Header(True, False, 1.79e9, 3), {"closed": True, "p_kw": 1.5})
COMMAND = Command("c1", "switch:Q", "open", False, None, 1, 0.0, 30.0, "h", 1)


class Rogue:
    """A Modbus server that answers what a test likes: (request) -> bytes, or None to end the connection."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer, self.asked = answer, list[bytes]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                try:
                    while request := line.recv(1000):
                        self.asked.append(request)
                        answer = self.answer(request)
                        if answer is None:
                            break
                        line.sendall(answer)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)


def frame(
    request: bytes, words: list[int], *, unit: int = 1, shift: int = 0, said: int | None = None
) -> bytes:
    """Return an answer to a read request; ``shift``: of its transaction's number; ``said``: bytes that it claims."""
    body = b"".join(word.to_bytes(2, "big") for word in words)
    pdu = bytes([3, len(body) if said is None else said]) + body
    number = (int.from_bytes(request[:2], "big") + shift) % 65536
    return number.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


def asked_for(request: bytes) -> list[int]:
    """Return the registers of a good switch that a request asks for."""
    begin, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
    return (GOOD + [0] * 100)[begin : begin + count]


ANSWERS: dict[str, tuple[Callable[[bytes], bytes | None], Quality]] = {
    "good": (lambda request: frame(request, asked_for(request)), Quality.GOOD),
    "swapped words": (
        lambda request: frame(request, [w for k in range(0, 48, 2) for w in (GOOD[k + 1], GOOD[k])]),
        Quality.BAD,
    ),
    "short frame": (lambda request: frame(request, GOOD[:20]), Quality.BAD),
    "empty frame": (lambda request: frame(request, []), Quality.BAD),
    "long frame": (lambda request: frame(request, [*GOOD, 1, 2]), Quality.BAD),
    "lies about its length": (lambda request: frame(request, GOOD, said=10), Quality.BAD),
    "of another request": (lambda request: frame(request, GOOD, shift=7), Quality.MISSING),
    "of another unit": (lambda request: frame(request, GOOD, unit=9), Quality.MISSING),
    "exception": (
        lambda request: request[:4] + b"\0\x03" + request[6:7] + bytes([request[7] | 0x80, 2]),
        Quality.MISSING,
    ),
    "closes": (lambda request: None, Quality.MISSING),
    "says nothing": (lambda request: b"", Quality.MISSING),
    "garbage": (lambda request: random.Random(1).randbytes(400), Quality.MISSING),
}


@pytest.fixture
def rogue(request: pytest.FixtureRequest) -> Iterator[Rogue]:
    rogue = Rogue(ANSWERS[request.param][0])
    yield rogue
    rogue.close()


@pytest.mark.parametrize(
    ("rogue", "quality"), [(name, quality) for name, (_, quality) in ANSWERS.items()], indirect=["rogue"]
)
def test_answers_that_make_no_sense_have_no_value(rogue: Rogue, quality: Quality) -> None:
    line = ModbusLine("127.0.0.1", rogue.port, 0.2, SystemClock())
    driver = ModbusDriver("meters", line, {"switch:Q": (1, ())})
    found = {item.quantity: item for item in driver.read(["switch:Q"])}
    closed = found["closed"]
    if quality is not Quality.GOOD:  # pymodbus may give up where we could still have told the fault
        assert closed.quality in (Quality.BAD, Quality.MISSING)
        assert closed.value is None
        assert closed.detail
        equipment = ModbusEquipment(ModbusUnit("switch:Q", line, 1))
        asked = len(rogue.asked)
        assert equipment.present("open") is None
        assert equipment.objection(COMMAND) is not None
        assert all(request[7] == 3 for request in rogue.asked[asked:])  # it was read, never written
    else:
        assert closed.value is True
    assert driver.select(COMMAND).refusal is Refusal.UNREACHABLE
    assert driver.operate(COMMAND, 1).refusal is Refusal.UNREACHABLE
    driver.close()


def test_a_write_whose_answer_is_lost_is_not_repeated() -> None:
    rogue = Rogue(lambda request: frame(request, asked_for(request)) if request[7] == 3 else b"")
    line = ModbusLine("127.0.0.1", rogue.port, 0.2, SystemClock())
    reply = ModbusUnit("switch:Q", line, 1).tell("open", False)
    assert (reply.accepted, reply.refusal) == (False, Refusal.UNREACHABLE)
    assert sum(request[7] == 16 for request in rogue.asked) == 1
    line.close()
    rogue.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    line = ModbusLine("127.0.0.1", port, 0.2, SystemClock())
    readings = ModbusUnit("switch:Q", line, 1).readings("x")
    assert {item.quality for item in readings} == {Quality.MISSING}
    assert ModbusUnit("switch:Q", line, 1).tell("open", False).refusal is Refusal.UNREACHABLE
    line.close()


def test_limits_of_the_gateway_are_the_last_word() -> None:
    rogue = Rogue(lambda request: frame(request, asked_for(request)))
    line = ModbusLine("127.0.0.1", rogue.port, 0.2, SystemClock())
    equipment = ModbusEquipment(ModbusUnit("storage:B", line, 1), {"power": (-20.0, 20.0)})
    command = Command("c", "storage:B", "power", 25.0, None, 1, 0.0, 30.0, "h", 1)
    reply = equipment.objection(command)
    assert reply is not None
    assert "outside -20 to 20" in reply.detail
    assert not rogue.asked
    line.close()
    rogue.close()


def test_a_flood_of_a_good_devices_port() -> None:
    """Garbage, half frames and connections without end beside a gateway that goes on reading."""
    devices = python("tests.security.plant_process", "1")
    port = int(devices.said["port"])
    line = ModbusLine("127.0.0.1", port, 2.0, SystemClock())
    unit = ModbusUnit("switch:S0", line, 1)
    ended, chance = threading.Event(), random.Random(3)

    def flood() -> None:
        while not ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=0.5) as enemy:
                    for _ in range(5):
                        enemy.sendall(chance.randbytes(chance.choice((1, 7, 300))))
            except OSError:
                ended.wait(0.005)

    enemy = threading.Thread(target=flood)
    enemy.start()
    for k in range(30):
        header = unit.header()
        assert isinstance(header, Header), header
        if k % 10 == 0:
            assert unit.tell("close", True).accepted
    ended.set()
    enemy.join()
    header = unit.header()
    assert isinstance(header, Header)
    line.close()
    devices.end()
