"""A node as a process of its own, on a real broker over mutual TLS: obeying, left alone, killed, lied to, flooded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho.mqtt.client", reason="the extra 'devices' is not installed")
pytest.importorskip("cryptography", reason="the extra 'devices' is not installed")

from pdnopt.node.opening import RunningNode, open_node
from pdnopt.node.settings import read_node_settings
from pdnopt.protocols.certificates import Authority, client_context
from pdnopt.protocols.commands import Refusal
from pdnopt.protocols.messages import operate_text, select_text
from pdnopt.protocols.mqtt import MqttLink, numbered
from pdnopt.protocols.wire import MAX_BYTES, request_bytes
from tests.node.site import (
    INVERTER,
    LOAD,
    SETPOINT,
    ZERO,
    Site,
    carry_out,
    reading,
    until,
)
from tests.security.processes import python

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.broker.end()


class Listener:
    """Keeps what comes on some topics."""

    def __init__(self, site: Site, *topics: str, who: str = "controller") -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.link = MqttLink(
            "localhost",
            site.port,
            site.identity(who),
            topics,
            lambda topic, raw: self.heard.append((topic, raw)),
            "listener",
        )
        assert self.link.wait_ready(20.0)

    def last(self) -> Any:
        return json.loads(self.heard[-1][1]) if self.heard else {}


class Process:
    """``pdnopt node`` as a process."""

    def __init__(self, site: Site, config: Path) -> None:
        command = [sys.executable, "-m", "pdnopt", "node", "--config", str(config)]
        with open(site.folder / "node.log", "ab") as log:
            self.running = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def end(self, how: int = signal.SIGTERM) -> int:
        self.running.send_signal(how)
        return self.running.wait(timeout=30.0)


class Inside:
    """A node in this process, for tests that count what moved it."""

    def __init__(self, site: Site, config: Path | None = None) -> None:
        self.running: RunningNode = open_node(read_node_settings(config or site.config()), site.clock)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self.running.run, args=(self._ended,), daemon=True)
        self._thread.start()
        door = self.running.door
        assert door is not None
        assert door.link.wait_ready(20.0)

    def actuations(self) -> int:
        return sum(guard.remembered.actuations for guard in self.running.node.guards.values())

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=10.0)
        self.running.close()


@pytest.fixture
def inside(site: Site) -> Iterator[Inside]:
    made = Inside(site)
    yield made
    made.close()


def test_life_of_a_node(site: Site) -> None:
    """Obeys; controller silent; broker gone and back; kill -9 and a restart that lets nothing old in."""
    config = site.config(watchdog_s=2.0)
    node = Process(site, config)
    driver = site.controller()
    status = Listener(site, "pdnopt/node-1/node")
    try:
        until(lambda: reading(driver, INVERTER, "setpoint") == ZERO, "first readings")
        old = site.command(INVERTER, "setpoint", SETPOINT)
        assert carry_out(driver, old).accepted
        until(lambda: reading(driver, INVERTER, "setpoint") == SETPOINT, "read back")
        assert reading(driver, INVERTER, "set_by") == "controller"
        # the controller falls silent: nothing is sent any more
        until(lambda: reading(driver, INVERTER, "set_by") == "local rule", "the local rule")
        until(lambda: reading(driver, INVERTER, "setpoint") == ZERO, "the rule's set-point")
        assert status.last()["controller"] == "silent"

        assert carry_out(driver, site.command(INVERTER, "setpoint", SETPOINT)).accepted
        site.broker.end()
        until(lambda: not driver.link.ready, "the broker is seen to be gone")
        assert carry_out(driver, site.command(LOAD, "cap", 1.0)).refusal is Refusal.UNREACHABLE
        time.sleep(2.5)  # longer than the watchdog
        site.broker.start()
        assert driver.link.wait_ready(20.0)
        until(
            lambda: carry_out(driver, site.command(LOAD, "cap", 2.0)).accepted, "a command after the outage"
        )
        until(lambda: reading(driver, LOAD, "limit_kw") == 2.0, "its read-back")
        assert reading(driver, INVERTER, "setpoint") == ZERO  # it reverted without a broker

        assert status.link.wait_ready(20.0)
        assert node.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: status.last() == {"online": False}, "the last will")
        node = Process(site, config)
        until(lambda: status.last().get("online"), "the node is back")
        until(
            lambda: driver.select(site.command(INVERTER, "setpoint", SETPOINT, fencing=0)).refusal,
            "an answer",
        )
        reply = driver.select(site.command(INVERTER, "setpoint", SETPOINT, fencing=0))
        assert reply.refusal is Refusal.OLD_LEADER  # it has remembered the leader
        assert driver.select(old).refusal is Refusal.OLD_SEQUENCE
        assert node.end() == 0
        until(lambda: status.last() == {"online": False}, "it says good-bye")
    finally:
        if node.running.poll() is None:
            node.end(signal.SIGKILL)
        driver.close()
        status.link.close()


def test_nobody_else_moves_it(site: Site, inside: Inside) -> None:
    """Another node's certificate, another authority's, an expired one: nothing arrives, nothing moves."""
    driver = site.controller()
    stolen = site.command(INVERTER, "setpoint", SETPOINT)
    ask = numbered(7, request_bytes("select", command=stolen, signature=site.sign(select_text(stolen))))
    status = Listener(site, "pdnopt/M1/status", "pdnopt/node-1/node", "pdnopt/M1/reply")
    stranger = Listener(site, who="node-2")
    spy = Listener(site, "pdnopt/M1/ask", "pdnopt/M1/status", who="node-2")
    for topic, raw in (
        ("pdnopt/M1/ask", ask),
        ("pdnopt/M1/status", numbered(10**15, b'{"readings":[]}')),
        ("pdnopt/node-1/node", b'{"online":true,"forged":1}'),
        ("pdnopt/heartbeat", request_bytes("heartbeat", beat=site.beat(), signature=b"x")),
    ):
        assert stranger.link.publish(topic, raw)
    assert carry_out(
        driver, site.command(INVERTER, "setpoint", SETPOINT)
    ).accepted  # and so they had all been there
    assert inside.actuations() == 1
    assert not spy.heard
    assert not [topic for topic, raw in status.heard if b"forged" in raw or raw.startswith(b"1" + b"0" * 15)]
    assert not [raw for topic, raw in status.heard if topic.endswith("reply") and raw.startswith(b"7\n")]
    assert inside.running.node.guards[INVERTER].refused == {}
    for link in (driver.link, status.link, stranger.link, spy.link):
        link.close()
    (site.folder / "other").mkdir()
    other = Authority(site.folder / "other").issue("controller")
    expired = site.authority.issue("late", valid=timedelta(days=-1))
    mqtt = pytest.importorskip("paho.mqtt.client")
    for who in (other, expired):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        context = client_context(who)
        context.load_verify_locations(site.folder / "ca.pem")
        client.tls_set_context(context)
        with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError or a reset, as the system has it
            _knock(client, site.port)


def _knock(client: Any, port: int) -> None:
    """Connect and wait for the broker's word; a certificate that is not taken ends the connection."""
    client.connect("localhost", port, keepalive=5)
    for _ in range(100):
        if client.loop(0.1) != 0:
            raise ConnectionResetError("shown out")
        assert not client.is_connected()


def test_rubbish_moves_nothing(site: Site, inside: Inside) -> None:
    """Garbage, too much, unsigned, wrongly signed, altered, replayed, twice; then one that is good."""
    driver = site.controller()
    link = Listener(site, "pdnopt/M1/reply").link
    good = site.command(INVERTER, "setpoint", SETPOINT)
    signed = site.sign(select_text(good))
    altered = site.command(INVERTER, "setpoint", ZERO, id=good.id, sequence=good.sequence)
    rubbish = [
        b"",
        b"\x00\xff" * 50,
        b"1\n",
        b"2\n{",
        b"3\n" + b"[" * 20000,
        b"x" * 30000,
        b"4\n" + json.dumps({"ask": "select", "command": {}, "signature": 5}).encode(),
        numbered(5, request_bytes("select", command=good)),
        numbered(6, request_bytes("select", command=good, signature=b"y" * 64)),
        numbered(7, request_bytes("select", command=altered, signature=signed)),
        numbered(8, request_bytes("operate", command=good, ticket=1, signature=signed)),
        numbered(
            9, request_bytes("operate", command=good, ticket=1, signature=site.sign(operate_text(good, 1)))
        ),
    ]
    for raw in rubbish:
        assert link.publish("pdnopt/M1/ask", raw)
    assert link.publish("pdnopt/M1/ask", b"z" * (MAX_BYTES + 1))  # the broker drops it
    assert inside.actuations() == 0
    next_one = site.command(INVERTER, "setpoint", SETPOINT)
    until(lambda: driver.link.ready, "the driver is connected")
    until(lambda: carry_out(driver, next_one).accepted, "a good command")
    assert inside.actuations() == 1
    # the same again, and in another order
    reply = driver.select(next_one)
    assert reply.refusal is Refusal.OLD_SEQUENCE
    assert driver.operate(next_one, 0).accepted  # answered as before
    assert driver.select(good).refusal is Refusal.OLD_SEQUENCE
    assert inside.actuations() == 1
    for each in (driver.link, link):
        each.close()


def test_flood_keeps_neither_the_rule_nor_the_controller_out(site: Site, inside: Inside) -> None:
    driver = site.controller(timeout_s=10.0)
    flood = Listener(site).link
    ended = threading.Event()

    def pour() -> None:
        while not ended.is_set():
            flood.publish("pdnopt/L1/ask", b"1\n{}")
            flood.publish("pdnopt/heartbeat", b"nonsense")
            ended.wait(0.0005)

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    try:
        until(lambda: carry_out(driver, site.command(INVERTER, "setpoint", SETPOINT)).accepted, "a command")
        assert inside.actuations() >= 1
        inside.running.node.devices[INVERTER].revert()
        until(lambda: reading(driver, INVERTER, "setpoint") == ZERO, "the rule, and a reading of it")
    finally:
        ended.set()
        thread.join()
        for each in (driver.link, flood):
            each.close()


def test_a_device_on_the_nodes_own_wire(site: Site) -> None:
    """A plain Modbus device in another process: told once, read back, and missed when it goes."""
    wire = python("tests.security.plant_process", "1")
    config = site.config()
    text = config.read_text(encoding="utf-8").partition("devices:")[0]
    text += f"""devices:
  "switch:S0":
    modbus: {{host: 127.0.0.1, port: {wire.said["port"]}, unit: 1, timeout_s: 0.5}}
    topic: L1
"""
    config.write_text(text, encoding="utf-8")
    node = Inside(site, config)
    driver = site.controller({"switch:S0": "L1"})
    status = Listener(site, "pdnopt/node-1/node")
    try:
        until(lambda: reading(driver, "switch:S0", "closed") is False, "first reading")
        assert carry_out(driver, site.command("switch:S0", "close", True, expects=False)).accepted
        until(lambda: reading(driver, "switch:S0", "closed") is True, "read back")
        refused = carry_out(driver, site.command("switch:S0", "open", False, expects=False))
        assert refused.refusal is Refusal.PRECONDITION
        assert node.actuations() == 1
        wire.end(signal.SIGKILL)
        until(lambda: status.last().get("silent_devices") == ["switch:S0"], "the device is missed")
        assert reading(driver, "switch:S0", "closed") is None
        gone = carry_out(driver, site.command("switch:S0", "open", False))
        assert gone.refusal is Refusal.NOT_AVAILABLE
    finally:
        driver.close()
        status.link.close()
        node.close()
        wire.end(signal.SIGKILL)


def test_two_processes_of_one_node(site: Site, inside: Inside) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pdnopt", "node", "--config", str(site.folder / "node.yaml")],
        cwd=ROOT,
        capture_output=True,
        timeout=60.0,
        check=False,
    )
    assert done.returncode == 2
    assert b"InUse" in done.stderr
    assert b"Traceback" not in done.stderr
