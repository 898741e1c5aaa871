"""MQTT over mutual TLS through a real mosquitto: who may what, and what becomes of old, repeated and overtaken messages."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.gateway.mqtt import MqttDoor, MqttSettings
from pdnopt.protocols.certificates import Authority, Identity, client_context
from pdnopt.protocols.commands import Refusal
from pdnopt.protocols.messages import Heartbeat, operate_text, select_text
from pdnopt.protocols.mqtt import numbered
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.wire import readings_bytes, request_bytes
from tests.security.place import Place
from tests.security.processes import Broker

mqtt = pytest.importorskip("paho.mqtt.client", reason="the extra 'devices' is not installed")
pytest.importorskip("cryptography", reason="the extra 'devices' is not installed")

TOPICS = {"switch:A": "A", "switch:B": "B"}
WAIT_S = 60.0


class Hall:
    """A broker, a gateway's door and the controller's driver."""

    def __init__(self, folder: Path, retain: bool = False) -> None:
        self.place = Place(folder)
        self.broker = Broker(folder, self.place.authority, {"gateway": ["A", "B"]}, retain)
        self.desk = self.place.desk()
        settings = MqttSettings("127.0.0.1", self.broker.port, publish_s=0.05)
        self.door = MqttDoor(self.desk, TOPICS, self.place.gateway_identity, self.place.clock, settings)
        self.driver = self.connect(self.place.controller)
        assert self.door.link.wait_ready(WAIT_S)
        assert self.driver.link.wait_ready(WAIT_S)

    def connect(self, identity: Identity, sign: Any = None) -> MqttDriver:
        place = self.place
        return MqttDriver(
            "second",
            place.clock,
            sign or place.sign,
            TOPICS,
            "127.0.0.1",
            self.broker.port,
            identity,
            timeout_s=1.0,
            stale_s=1.0,
        )

    def close(self) -> None:
        self.driver.close()
        self.door.close()
        self.broker.end()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path)
    yield hall
    hall.close()


class Stranger:
    """A client by hand. ``settled`` waits until the broker has answered everything so far."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.tls_set_context(context)
        self.heard: list[tuple[str, bytes]] = []
        self.connected = False
        self.client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, message.payload)
        )
        self.client.on_connect = self._on_connect
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(lambda: self.connected)

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected = not reason.is_failure

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s, "it does not happen"
        time.sleep(0.01)


def value(hall: Hall, device: str) -> Any:
    return {item.quantity: item.value for item in hall.driver.read([device])}.get("closed")


def test_reads_selects_operates(hall: Hall) -> None:
    until(lambda: value(hall, "switch:B") is False)
    command = hall.place.command()
    reply = hall.driver.select(command)
    assert reply.accepted
    assert hall.driver.operate(command, reply.ticket).accepted
    until(lambda: value(hall, "switch:B") is True)
    assert hall.place.told == 1
    assert hall.driver.heartbeat(Heartbeat(1, 1, hall.place.clock.utc_s()))
    assert {item.path for item in hall.driver.read(["switch:A"])} == {"second"}


def test_wrong_and_expired_certificates_do_not_get_in(hall: Hall, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = replace(Authority(tmp_path / "other").issue("controller"), ca=hall.place.authority.ca)
    expired = hall.place.authority.issue("late", valid=timedelta(days=-1))
    for identity in (stranger, expired):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.tls_set_context(client_context(identity))
        entered = []
        client.on_connect = lambda *args, entered=entered: entered.append(args)
        try:
            client.connect("127.0.0.1", hall.broker.port)
            client.loop_start()
            time.sleep(0.3)
        except OSError:
            pass
        client.loop_stop()
        assert not entered
        client.disconnect()
    assert hall.place.told == 0


def test_a_node_has_its_own_topics_only(hall: Hall) -> None:
    """It has a good certificate, and even the controller's signature: the broker does not let it speak or listen."""
    node = Stranger(hall.broker.port, client_context(hall.place.authority.issue("N7")))
    node.client.subscribe([("pdnopt/A/ask", 1), ("pdnopt/+/status", 1), ("pdnopt/N7/ask", 1)])
    command = hall.place.command()
    ask = request_bytes("select", command=command, signature=hall.place.sign(select_text(command)))
    node.publish("pdnopt/B/ask", numbered(1, ask))
    node.publish(
        "pdnopt/heartbeat", request_bytes("heartbeat", beat=Heartbeat(9, 9, hall.place.clock.utc_s()))
    )
    lie = hall.place.read(["switch:A"])
    node.publish("pdnopt/A/status", numbered(10**15, readings_bytes([replace(lie[0], value=False)])))
    reply = hall.driver.select(command)  # nothing of the node's came before it
    assert reply.accepted
    time.sleep(0.2)
    assert value(hall, "switch:A") is True
    assert not [topic for topic, _ in node.heard if topic != "pdnopt/N7/ask"]
    assert all(guard.remembered.fencing <= 1 for guard in hall.desk.guards.values())
    node.close()


def test_replayed_altered_late_and_swapped(hall: Hall) -> None:
    """Somebody with the controller's certificate, but not its signing key, has recorded everything."""
    thief = Stranger(hall.broker.port, client_context(hall.place.controller))
    place = hall.place
    first, second = place.command(), place.command(value=False)
    ticket = hall.driver.select(first).ticket
    operate = request_bytes(
        "operate", command=first, ticket=ticket, signature=place.sign(operate_text(first, ticket))
    )
    thief.publish("pdnopt/B/ask", numbered(1, operate.replace(b'"value":true', b'"value":false')))
    thief.publish("pdnopt/B/ask", numbered(2, operate.replace(b"c", b"d", 1)))
    thief.publish("pdnopt/A/ask", numbered(3, operate.replace(b"switch:B", b"switch:A")))
    until(lambda: hall.desk.guards["switch:A"].refused[Refusal.BAD_SIGNATURE] == 1)
    assert place.told == 0
    assert hall.driver.operate(first, ticket).accepted
    for k in range(5):
        thief.publish("pdnopt/B/ask", numbered(10 + k, operate))  # replayed
    ticket = hall.driver.select(second).ticket
    assert hall.driver.operate(second, ticket).accepted
    for k in range(5):
        thief.publish("pdnopt/B/ask", numbered(20 + k, operate))  # overtaken: an older one after a newer
    late = place.command(valid_s=0.3)
    ticket = hall.driver.select(late).ticket
    time.sleep(0.35)
    assert hall.driver.operate(late, ticket).refusal is Refusal.EXPIRED
    until(lambda: hall.desk.guards["switch:B"].refused[Refusal.NOT_SELECTED] == 5)
    assert place.told == 2
    assert place.machines["switch:B"].values["closed"] is False
    thief.close()


def test_old_readings_are_not_believed(hall: Hall) -> None:
    """Repeated and overtaken ones have lower numbers."""
    until(lambda: value(hall, "switch:A") is True)
    hall.door._ended.set()
    hall.door._changed.set()
    hall.door._publisher.join()
    gateway = Stranger(hall.broker.port, client_context(hall.place.gateway_identity))
    lie = readings_bytes([replace(item, value=False) for item in hall.place.read(["switch:A"])])
    for number in (0, 1, hall.door._number - 10):
        gateway.publish("pdnopt/A/status", numbered(number, lie))
    gateway.publish("pdnopt/A/status", lie)  # without a number
    time.sleep(0.2)
    assert value(hall, "switch:A") is True
    gateway.close()
    time.sleep(1.0)  # nothing new: stale
    assert {item.quality for item in hall.driver.read(["switch:A"])} == {Quality.MISSING}


def test_what_a_broker_has_retained_is_of_another_time(tmp_path: Path) -> None:
    """pdnopt's own broker settings retain nothing; somebody else's may."""
    hall = Hall(tmp_path, retain=True)
    hall.door.close()
    gateway = Stranger(hall.broker.port, client_context(hall.place.gateway_identity))
    lie = readings_bytes([replace(item, value=False) for item in hall.place.read(["switch:A"])])
    gateway.publish("pdnopt/A/status", numbered(10**15, lie), retain=True)
    thief = Stranger(hall.broker.port, client_context(hall.place.controller))
    command = hall.place.command()
    ask = request_bytes("select", command=command, signature=hall.place.sign(select_text(command)))
    thief.publish("pdnopt/B/ask", numbered(1, ask), retain=True)
    late = hall.connect(hall.place.controller)
    settings = MqttSettings("127.0.0.1", hall.broker.port)
    hall.door = MqttDoor(
        hall.desk, {"switch:B": "B"}, hall.place.gateway_identity, hall.place.clock, settings
    )
    until(lambda: late.link.dropped["retained"] == 1 == hall.door.link.dropped["retained"])
    assert late.read(["switch:A"])[0].quality is Quality.MISSING
    other = hall.place.command()  # nothing is selected
    assert hall.desk.guards["switch:B"].select(other, hall.place.sign(select_text(other))).accepted
    for end in (late, thief, gateway, hall):
        end.close()


def test_a_flood_and_garbage_disturb_nobody(hall: Hall) -> None:
    thief = Stranger(hall.broker.port, client_context(hall.place.controller))
    for k in range(1500):
        thief.client.publish("pdnopt/A/ask", numbered(k, b"\x00" * (k % 700)), qos=0)
        thief.client.publish("pdnopt/B/ask", b"[" * (k % 3000), qos=0)
    thief.publish("pdnopt/B/ask", numbered(1, b'{"ask":' + b"[" * 30000 + b"]" * 30000 + b"}"))
    end_s = time.monotonic() + WAIT_S
    while True:  # through what is still waiting
        command = hall.place.command()
        reply = hall.driver.select(command)
        if reply.accepted:
            break
        assert time.monotonic() < end_s
    assert hall.driver.operate(command, reply.ticket).accepted
    assert hall.place.told == 1
    thief.close()


def test_the_broker_goes_and_comes_back(hall: Hall) -> None:
    until(lambda: value(hall, "switch:A") is True)
    hall.broker.end()
    command = hall.place.command()
    until(lambda: not hall.driver.link.ready)
    assert hall.driver.select(command).refusal is Refusal.UNREACHABLE
    time.sleep(1.0)
    assert {item.quality for item in hall.driver.read(["switch:A"])} == {Quality.MISSING}
    hall.broker.start()
    until(lambda: hall.driver.link.ready and hall.door.link.ready)
    until(lambda: value(hall, "switch:A") is True)
    assert hall.place.told == 0  # what could not go does not go later
    command = hall.place.command()
    assert hall.driver.operate(command, hall.driver.select(command).ticket).accepted
    assert hall.place.told == 1
