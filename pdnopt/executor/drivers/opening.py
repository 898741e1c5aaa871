"""From a device map to open ways: every connection that it names, and for each device its paths, best first."""

from __future__ import annotations

from collections.abc import Callable

from pdnopt.devicemap.controller import Connection, DeviceMap
from pdnopt.errors import InputError, Issue
from pdnopt.executor.drivers.gateway import GatewayDriver
from pdnopt.executor.drivers.modbus import ModbusDriver
from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.executor.modes import Mode, Modes
from pdnopt.executor.paths import Paths
from pdnopt.gateway.modbus import ModbusLine
from pdnopt.protocols.certificates import client_context
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.drivers import Driver
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.signing import Signer

__all__ = ["modes_of", "open_paths", "send_heartbeat"]


def open_paths(devices: DeviceMap, clock: Clock) -> Paths:
    """Return the ways to all devices of a map. What does not answer is no error: it is tried again when it is needed.

    Raises
    ------
    InputError
        A key or certificate is wrong or missing, or the extra "devices" is not installed.
    """
    sign = None if devices.signing_key is None else Signer(devices.signing_key)
    drivers = {name: _driver(devices, item, clock, sign) for name, item in devices.connections.items()}
    routes = {name: [way.via for way in entry.paths] for name, entry in devices.devices.items()}
    return Paths(drivers, routes, {name: entry.limits for name, entry in devices.devices.items()})


def modes_of(devices: DeviceMap) -> Modes:
    """Return the modes of the map's areas; a device without an area is Manual."""
    area = {name: entry.area for name, entry in devices.devices.items()}
    by_area = {name: Mode(entry.mode) for name, entry in devices.areas.items()}
    return Modes(by_area, lambda device: area.get(device, ""))


def send_heartbeat(paths: Paths, beat: Heartbeat) -> list[str]:
    """Tell every guard that the leader lives; return the connections by which not all took it.

    A guard that hears it by two ways takes it by the first.
    """
    silent = []
    for name, driver in paths.drivers.items():
        if isinstance(driver, GatewayDriver | MqttDriver) and not driver.heartbeat(beat):
            silent.append(name)
    return silent


def _driver(
    devices: DeviceMap, item: Connection, clock: Clock, sign: Callable[[bytes], bytes] | None
) -> Driver:
    mine = {
        name: next(way for way in entry.paths if way.via == item.name)
        for name, entry in devices.devices.items()
        if any(way.via == item.name for way in entry.paths)
    }
    if item.kind == "modbus":
        line = ModbusLine(item.host, item.port, item.timeout_s, clock)
        return ModbusDriver(item.name, line, {name: (way.unit, way.positions) for name, way in mine.items()})
    if sign is None or devices.identity is None:
        todo = "Add `security` with ca, certificate, key and signing_key."
        raise InputError(
            Issue(
                "Missing", f"{devices.path.name} security", item.name, None, "keys for this connection", todo
            )
        )
    if item.kind == "gateway":
        context = client_context(devices.identity)
        return GatewayDriver(item.name, clock, sign, item.host, item.port, context, item.timeout_s)
    return MqttDriver(
        item.name,
        clock,
        sign,
        {name: way.topic for name, way in mine.items()},
        item.host,
        item.port,
        devices.identity,
        item.prefix,
        item.timeout_s,
        item.stale_s,
    )
