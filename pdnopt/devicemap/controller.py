"""The controller's device map: which devices there are, whose area they are in, and by which ways they are reached.

::

    pdnopt: device map
    version: 1
    security:                       # paths of files, relative to this one
      ca: ca.pem
      certificate: controller.pem
      key: controller.key
      signing_key: signing.key
    connections:
      gateway-a: {kind: gateway, host: 10.1.0.5, port: 7001}
      broker:    {kind: mqtt, host: 10.2.0.5, port: 8883, prefix: pdnopt}
      meters:    {kind: modbus, host: 10.1.0.9, port: 502}
    areas:
      hall-1: {mode: manual}
    devices:
      "transfer:T1":
        area: hall-1
        paths:                      # best first; two where the device has two
          - {via: gateway-a}
          - {via: broker, topic: T1}
          - {via: meters, unit: 3, positions: ["switch:T1-A", "switch:T1-B"]}
        takes_s: 0.1                # own time of the device
      "storage:B1":
        area: hall-1
        paths: [{via: gateway-a}]
        limits: {power: [-20, 20]}  # kW
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdnopt.devicemap.common import (
    FORMAT,
    MAPPING,
    PORT,
    TOPIC,
    check_name,
    check_positions,
    open_map,
    read_identity,
)
from pdnopt.devicemap.limits import Limits, read_limits
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.documents import Document
from pdnopt.protocols.fields import Field, check_fields, number, text, whole

__all__ = ["AreaEntry", "Connection", "DeviceEntry", "DeviceMap", "Way", "read_device_map"]

TITLE = "device map"
KINDS = ("gateway", "mqtt", "modbus")
MODES = ("disabled", "manual", "automatic")

_TOP = {
    "pdnopt": text(one_of=(TITLE,)),
    "version": whole(FORMAT, FORMAT),
    "security": Field("a mapping", MAPPING.test, required=False),
    "connections": MAPPING,
    "areas": Field("a mapping", MAPPING.test, required=False),
    "devices": MAPPING,
}
_CONNECTION = {
    "kind": text(one_of=KINDS),
    "host": text(),
    "port": PORT,
    "timeout_s": number(0.05, 60.0, False),
}
_OF_KIND = {
    "gateway": _CONNECTION,
    "modbus": _CONNECTION,
    "mqtt": {**_CONNECTION, "prefix": text(False), "stale_s": number(0.1, 60.0, False)},
}
_AREA = {"mode": text(one_of=MODES)}
_PATHS = Field("a list of 1 to 4 ways", lambda value: isinstance(value, list) and 1 <= len(value) <= 4)
_DEVICE = {
    "area": text(False),
    "paths": _PATHS,
    "takes_s": number(0.0, 3600.0, False),
    "limits": Field("a mapping", required=False),
}
_WAY = {
    "gateway": {"via": text()},
    "mqtt": {"via": text(), "topic": TOPIC},
    "modbus": {
        "via": text(),
        "unit": whole(1, 247),
        "positions": Field("a list of switches", required=False),
    },
}


@dataclass(frozen=True)
class Connection:
    """One network connection. ``stale_s``: readings that were published longer ago count as missing (MQTT)."""

    name: str
    kind: str
    host: str
    port: int
    timeout_s: float = 2.0
    prefix: str = "pdnopt"
    stale_s: float = 2.5


@dataclass(frozen=True)
class AreaEntry:
    """A part of the plant that has a mode of its own."""

    name: str
    mode: str = "manual"


@dataclass(frozen=True)
class Way:
    """One path to a device: by which connection, under which topic (MQTT), unit and positions (Modbus)."""

    via: str
    topic: str = ""
    unit: int = 0
    positions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeviceEntry:
    """One device. ``takes_s``: its own time to move, None where the network's tables say it."""

    name: str
    area: str
    paths: tuple[Way, ...]
    takes_s: float | None = None
    limits: Limits = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceMap:
    """All of it. ``identity`` and ``signing_key`` are None where no connection needs them."""

    path: Path
    connections: dict[str, Connection]
    areas: dict[str, AreaEntry]
    devices: dict[str, DeviceEntry]
    identity: Identity | None = None
    signing_key: Path | None = None


def read_device_map(path: Path) -> DeviceMap:
    """Return a controller's device map.

    Raises
    ------
    InputError
        Everything that is wrong with it, at once, each with its line.
    """
    document, data, issues = open_map(path, _TOP)
    connections = _connections(document, _mapping(data, "connections"), issues)
    areas = _areas(document, _mapping(data, "areas"), issues)
    devices = _devices(document, _mapping(data, "devices"), connections, areas, issues)
    identity, signing_key = None, None
    secured = any(item.kind != "modbus" for item in connections.values())
    if "security" in data or secured:
        found = read_identity(document, data.get("security"), "security", {"signing_key": text()}, issues)
        if found is not None:
            identity, signing_key = found[0], found[1]["signing_key"]
    if issues:
        raise InputError(issues)
    return DeviceMap(path, connections, areas, devices, identity, signing_key)


def _connections(document: Document, data: dict[str, Any], issues: list[Issue]) -> dict[str, Connection]:
    found = {}
    for name, entry in data.items():
        place = f"connections.{name}"
        kind = entry.get("kind") if isinstance(entry, dict) else None
        fields = _OF_KIND.get(kind, _CONNECTION) if isinstance(kind, str) else _CONNECTION
        faults = check_fields(entry, fields, place, name, document.where)
        issues += faults
        if not faults:
            found[name] = Connection(name=name, **entry)
    return found


def _areas(document: Document, data: dict[str, Any], issues: list[Issue]) -> dict[str, AreaEntry]:
    found = {}
    for name, entry in data.items():
        faults = check_fields(entry, _AREA, f"areas.{name}", name, document.where)
        issues += faults
        if not faults:
            found[name] = AreaEntry(name, entry["mode"])
    return found


def _devices(
    document: Document,
    data: dict[str, Any],
    connections: dict[str, Connection],
    areas: dict[str, AreaEntry],
    issues: list[Issue],
) -> dict[str, DeviceEntry]:
    found = {}
    topics: dict[tuple[str, str, int], str] = {}
    for name, entry in data.items():
        place = f"devices.{name}"
        issues += check_name(document, name, place)
        faults = check_fields(entry, _DEVICE, place, name, document.where)
        issues += faults
        if not isinstance(entry, dict):
            continue
        area = entry.get("area", "")
        if area and isinstance(area, str) and area not in areas:
            at, todo = document.where(f"{place}.area"), "Add it to `areas` with a mode."
            issues.append(Issue("InvalidId", at, name, area, f"one of {', '.join(areas) or 'areas'}", todo))
        limits = read_limits(document, entry.get("limits"), f"{place}.limits", name, issues)
        ways = []
        for k, way in enumerate(entry["paths"] if _PATHS.test(entry.get("paths")) else ()):
            one = _way(document, way, f"{place}.paths[{k}]", name, connections, issues)
            if one is None:
                continue
            ways.append(one)
            target = (one.via, one.topic, one.unit)
            if (one.topic or one.unit) and topics.setdefault(target, name) != name:
                at, todo = document.where(f"{place}.paths[{k}]"), "Correct the topic or the unit."
                allowed = f"not that of {topics[target]}"
                issues.append(Issue("NotUnique", at, name, f"{one.topic or one.unit}", allowed, todo))
        if len({way.via for way in ways}) < len(ways):
            at, todo = document.where(f"{place}.paths"), "A second path goes by another connection."
            issues.append(Issue("SameWay", at, name, [way.via for way in ways], "each connection once", todo))
        if not faults:
            found[name] = DeviceEntry(name, area, tuple(ways), entry.get("takes_s"), limits)
    return found


def _way(
    document: Document,
    data: Any,
    place: str,
    device: str,
    connections: dict[str, Connection],
    issues: list[Issue],
) -> Way | None:
    via = data.get("via") if isinstance(data, dict) else None
    if not isinstance(via, str) or via not in connections:
        known = ", ".join(connections) or "the connections of this map"
        faults = check_fields(data, {"via": text(one_of=tuple(connections))}, place, device, document.where)
        if isinstance(data, dict):
            at = document.where(f"{place}.via")
            faults = [
                Issue("InvalidId", at, device, via, f"one of {known}", "Add the connection, or correct it.")
            ]
        issues += faults
        return None
    kind = connections[via].kind
    faults = check_fields(data, _WAY[kind], place, device, document.where)
    positions: tuple[str, ...] = ()
    if kind == "modbus":
        positions = check_positions(document, data.get("positions", []), f"{place}.positions", device, faults)
    issues += faults
    if faults:
        return None
    return Way(via, data.get("topic", ""), data.get("unit", 0), positions)


def _mapping(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}
