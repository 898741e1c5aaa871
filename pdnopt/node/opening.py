"""From a node's file to a node that runs: its wires, guards, door and disk."""

from __future__ import annotations

import logging
import os
from math import inf
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from pdnopt.errors import InputError, Issue
from pdnopt.gateway.desk import Desk
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import FileMemory
from pdnopt.gateway.modbus import ModbusLine, ModbusUnit
from pdnopt.gateway.mqtt import MqttDoor, MqttSettings
from pdnopt.node.agent import OFFLINE, Forecasting, Node
from pdnopt.node.device import LENT, NodeDevice
from pdnopt.node.forecasting import Forecasts
from pdnopt.node.hardware import Hardware
from pdnopt.node.measurements import Measurements
from pdnopt.node.rules import make_rule
from pdnopt.node.settings import DeviceSettings, NodeSettings
from pdnopt.node.simulated import SimulatedHardware
from pdnopt.node.wired import WiredHardware
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.mqtt import forecast_topic, node_topic
from pdnopt.protocols.signing import Verifier

__all__ = ["RunningNode", "open_node"]

log = logging.getLogger(__name__)

DAY_S = 86400.0


class RunningNode:
    """A node and its door; `run` until it is told to end."""

    def __init__(self, settings: NodeSettings, clock: Clock) -> None:
        self.settings = settings
        mqtt = MqttSettings(**settings.broker)
        self._topics = {
            "node": node_topic(mqtt.prefix, settings.name),
            "forecast": forecast_topic(mqtt.prefix, settings.name),
        }
        self.door: MqttDoor | None = None
        verify = Verifier(settings.controller_key)
        self._lock = _lock(settings)
        try:
            self.node = _node(settings, clock, verify, self._tell)
            desk = Desk(self.node.guards, self.node.read)
            topics = {name: item.topic for name, item in settings.devices.items()}
            will = (self._topics["node"], OFFLINE)
            self.door = MqttDoor(desk, topics, settings.identity, clock, mqtt, will)
        except BaseException:
            os.close(self._lock)
            raise

    def run(self, ended: Event) -> None:
        """Step until ``ended`` is set. A step that fails is logged, and the next one tried: a node does not give up."""
        failed = 0
        while not ended.is_set():
            try:
                self.node.step()
            except Exception:
                failed += 1
                if failed & (failed - 1) == 0:  # 1st, 2nd, 4th, ...
                    log.exception("a step failed (%d so far)", failed)
            ended.wait(self.settings.step_s)

    def close(self) -> None:
        """Say good-bye, end connections and processes; once."""
        if self._lock < 0:
            return
        self._tell("node", OFFLINE)
        if self.door is not None:
            self.door.close()
        self.node.close()
        os.close(self._lock)
        self._lock = -1

    def _tell(self, what: str, raw: bytes) -> bool:
        return self.door is not None and self.door.link.publish(self._topics[what], raw)


def open_node(settings: NodeSettings, clock: Clock) -> RunningNode:
    """Start a node. A broker, a device or a model that is not there is no error: it is tried again.

    Raises
    ------
    InputError
        A key or certificate is wrong, the state folder cannot be used or is in use, a guard's memory is damaged, the extra
        "devices" is not installed.
    """
    return RunningNode(settings, clock)


def _node(settings: NodeSettings, clock: Clock, verify: Any, tell: Any) -> Node:
    lines: dict[tuple[str, int], ModbusLine] = {}
    devices: dict[str, NodeDevice] = {}
    guards: dict[str, Guard] = {}
    times = GuardSettings(**settings.guard)
    for name, item in settings.devices.items():
        devices[name] = _device(item, settings, clock, lines)
        memory = FileMemory(settings.state / f"{quote(name, safe='')}.json")
        guards[name] = Guard(name, devices[name], clock, memory, verify, settings=times)
    forecasting = None
    if settings.forecast is not None:
        wanted = settings.forecast
        kept = Measurements(settings.state / "measurements.db", wanted.step_s, wanted.keep_days * DAY_S)
        forecasting = Forecasting(wanted, kept, Forecasts(wanted.deadline_s))
    return Node(settings.name, devices, guards, clock, tell, settings.status_s, forecasting)


def _device(
    item: DeviceSettings, settings: NodeSettings, clock: Clock, lines: dict[tuple[str, int], ModbusLine]
) -> NodeDevice:
    hardware: Hardware
    if item.modbus is not None:
        wire = item.modbus
        key = (wire["host"], wire["port"])
        if key not in lines:
            lines[key] = ModbusLine(*key, wire.get("timeout_s", 1.0), clock)
        hardware = WiredHardware(ModbusUnit(item.name, lines[key], wire["unit"], item.positions))
    else:
        assert item.simulated_kw is not None
        hardware = SimulatedHardware(item.name, clock, item.simulated_kw)
    table = item.name.partition(":")[0]
    s_max_kva = inf if item.s_max_kva is None else item.s_max_kva
    rule = make_rule(table, item.rule, s_max_kva) if table in LENT else None
    return NodeDevice(item.name, hardware, clock, item.limits, s_max_kva, rule, settings.setpoint_s)


def _lock(settings: NodeSettings) -> int:
    """Make the state folder and take it: two processes of one node would each think that it alone commands."""
    folder: Path = settings.state
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        allowed = f"a folder that can be written ({error.strerror})"
        todo = "Correct the path or its permissions."
        raise InputError(
            Issue("File", f"{settings.path.name} state", "", str(folder), allowed, todo)
        ) from None
    if os.name == "posix":
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            todo = "End the other process, or give this node a state folder of its own."
            raise InputError(
                Issue(
                    "InUse",
                    f"{settings.path.name} state",
                    "",
                    str(folder),
                    "a folder that no other node uses",
                    todo,
                )
            ) from None
    return handle
