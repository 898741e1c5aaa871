"""``kill -9`` of a node at any moment of a command: a plain Modbus device in another process counts what moved it.

A command is sent, the node is killed a random moment later and started again, and the *same* command is sent again, as a
controller does that has read back that nothing moved. The device must have been told at most once, and exactly once where
the node has said yes.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("pymodbus", reason="the extra 'devices' is not installed")
pytest.importorskip("paho.mqtt.client", reason="the extra 'devices' is not installed")

from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.gateway.modbus import ModbusLine, ModbusUnit
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Refusal
from pdnopt.protocols.registers import Header
from tests.node.site import Site, reading, until
from tests.security.processes import Process, python

SEED = 20261130
SWITCH = "switch:S0"


def told(port: int) -> int:
    """Return how often the device says that it was told to move."""
    line = ModbusLine("127.0.0.1", port, 5.0, SystemClock())
    header = ModbusUnit(SWITCH, line, 1).header()
    line.close()
    assert isinstance(header, Header), header
    return header.actuations


def answers(driver: MqttDriver, command: Command) -> bool:
    return driver.select(command).refusal is not Refusal.UNREACHABLE


def node_file(site: Site, port: int) -> Path:
    path = site.config()
    text = path.read_text(encoding="utf-8").partition("devices:")[0]
    text += (
        f'devices:\n  "{SWITCH}":\n    modbus: {{host: 127.0.0.1, port: {port}, unit: 1}}\n    topic: L1\n'
    )
    path.write_text(text, encoding="utf-8")
    return path


def run(folder: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    site = Site(folder)
    wire = python("tests.security.plant_process", "1")
    port = int(wire.said["port"])
    config = node_file(site, port)
    driver = site.controller({SWITCH: "L1"}, timeout_s=1.0)
    node: Process | None = None
    closed, moves, cut = False, 0, 0
    try:
        for _ in range(kills):
            node = node or python("pdnopt", "node", "--config", str(config))
            until(lambda closed=closed: reading(driver, SWITCH, "closed") is closed, "a reading")
            action = "open" if closed else "close"
            command = site.command(SWITCH, action, not closed)
            chosen = driver.select(command)
            assert chosen.accepted, chosen
            pause_s = draw.uniform(0.0, 0.03)
            killer = threading.Timer(pause_s, node.child.send_signal, (signal.SIGKILL,))
            killer.start()
            first = driver.operate(command, chosen.ticket)
            killer.join()
            node.end(signal.SIGKILL)
            cut += first.refusal is Refusal.UNREACHABLE
            before = told(port)
            assert before - moves == 1 if first.accepted else before - moves in (0, 1)
            node = python("pdnopt", "node", "--config", str(config))
            until(lambda told=command: answers(driver, told), "the node is back")
            ticket = driver.select(command)
            again = driver.operate(command, ticket.ticket)
            after = told(port)
            assert after - moves in (0, 1)
            if again.accepted:
                assert after - moves == 1
            elif again.refusal is Refusal.UNREACHABLE:  # it cannot know: the device is read, nothing is sent
                assert after == before
            if after == moves:  # neither: a new command is free to go, once
                fresh = site.command(SWITCH, action, not closed)
                ticket = driver.select(fresh)
                assert driver.operate(fresh, ticket.ticket).accepted
                assert told(port) == moves + 1
            moves, closed = moves + 1, not closed
            time.sleep(0.1)  # the switch's own time
        print(f"{kills} kills, {cut} of them before the answer, {moves} moves")
    finally:
        if node is not None:
            node.end(signal.SIGKILL)
        driver.close()
        wire.end(signal.SIGKILL)
        site.broker.end()


def test_node_is_killed(tmp_path: Path) -> None:
    run(tmp_path, 2, SEED)


@pytest.mark.soak
def test_node_is_killed_forty_times(tmp_path: Path) -> None:
    run(tmp_path, 40, SEED + 1)
