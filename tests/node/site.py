"""A place to try a node out: an own authority, keys, a broker that is a real mosquitto, a controller that signs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.protocols.certificates import Authority, Identity
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.signing import Signer, make_keys
from tests.security.processes import Broker

NODE = """\
pdnopt: node
version: 1
name: node-1
security: {{ca: ca.pem, certificate: node-1.pem, key: node-1.key, controller_key: signing.pub}}
broker: {{host: localhost, port: {port}, publish_s: 0.2}}
state: state
guard: {{watchdog_s: {watchdog_s}}}
times: {{step_s: 0.1, setpoint_s: {setpoint_s}, status_s: 1}}
devices:
  "asymmetric_sgen:M1":
    simulated: {{p_kw: 6.0}}
    s_max_kva: 5.0
  "load:L1":
    simulated: {{p_kw: 4.0}}
"""
SETPOINT = {"p_kw": [1.0, 0.0, -1.0], "q_kvar": [0.0, 0.0, 0.0]}
ZERO = {"p_kw": [0.0] * 3, "q_kvar": [0.0] * 3}
INVERTER, LOAD = "asymmetric_sgen:M1", "load:L1"
TOPICS = {INVERTER: "M1", LOAD: "L1"}


def until(condition: Callable[[], Any], what: str, limit_s: float = 20.0) -> Any:
    """Wait for something that another process does; its time is not what is tested."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {limit_s:g} s: {what}")


class Site:
    """Keys, files and a broker in a folder; controllers where they are asked for."""

    def __init__(self, folder: Path, nodes: dict[str, list[str]] | None = None) -> None:
        self.folder, self.clock = folder, SystemClock()
        self.authority = Authority(folder)
        for name in ("controller", "node-1", "node-2"):
            self.authority.issue(name)
        make_keys(folder / "signing.key", folder / "signing.pub")
        self.sign = Signer(folder / "signing.key")
        self.broker = Broker(folder, self.authority, nodes or {"node-1": ["M1", "L1"], "node-2": ["M2"]})
        self.port = self.broker.port
        self._sequence = 0

    def identity(self, name: str) -> Identity:
        return Identity(self.folder / "ca.pem", self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def config(self, more: str = "", watchdog_s: float = 60.0, setpoint_s: float = 600.0) -> Path:
        path = self.folder / "node.yaml"
        text = NODE.format(port=self.port, watchdog_s=watchdog_s, setpoint_s=setpoint_s)
        path.write_text(text + more, encoding="utf-8")
        return path

    def controller(self, topics: dict[str, str] | None = None, timeout_s: float = 3.0) -> MqttDriver:
        found = MqttDriver(
            "broker",
            self.clock,
            self.sign,
            topics or TOPICS,
            "localhost",
            self.port,
            self.identity("controller"),
            timeout_s=timeout_s,
        )
        assert found.link.wait_ready(20.0)
        return found

    def command(self, device: str, action: str, value: Any, **changes: Any) -> Command:
        self._sequence += 1
        now_s = self.clock.utc_s()
        given = {
            "id": f"c/{self._sequence}",
            "device": device,
            "action": action,
            "value": value,
            "expects": None,
            "sequence": self._sequence,
            "issued_s": now_s,
            "expires_s": now_s + 30.0,
            "plan_hash": "0",
            "fencing": 1,
        }
        return Command(**{**given, **changes})

    def beat(self) -> Heartbeat:
        self._sequence += 1
        return Heartbeat(self._sequence, 1, self.clock.utc_s())


def carry_out(driver: MqttDriver, command: Command) -> Reply:
    """Select and operate."""
    reply = driver.select(command)
    return driver.operate(command, reply.ticket) if reply.accepted else reply


def reading(driver: MqttDriver, device: str, quantity: str) -> Any:
    """Return what the controller knows of a quantity; None where it knows nothing good."""
    for item in driver.read([device]):
        if item.quantity == quantity and item.quality == "good":
            return item.value
    return None
