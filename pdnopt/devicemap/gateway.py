"""A gateway's own file: where it listens, who may command, and the plain Modbus devices behind it.

::

    pdnopt: gateway
    version: 1
    listen: {host: 10.1.0.5, port: 7001}
    security: {ca: ca.pem, certificate: gateway-a.pem, key: gateway-a.key, controller_key: signing.pub}
    controllers: [controller]       # common names of certificates that may command
    state: state                    # a folder on a disk that keeps what is written
    mqtt: {host: 10.2.0.5, port: 8883, prefix: pdnopt}     # a second way in, if there is one
    guard: {select_s: 10, watchdog_s: 60}
    devices:
      "transfer:T1":
        {host: 192.168.7.3, port: 502, unit: 1, positions: ["switch:T1-A", "switch:T1-B"], topic: T1}
      "storage:B1": {host: 192.168.7.4, port: 502, unit: 1, limits: {power: [-20, 20]}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdnopt.devicemap.common import (
    BROKER,
    FORMAT,
    GUARD,
    MAPPING,
    OPTIONAL,
    PORT,
    TOPIC,
    check_name,
    check_positions,
    check_sections,
    in_folder,
    open_map,
    read_controller_key,
)
from pdnopt.devicemap.limits import Limits, read_limits
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.documents import Document
from pdnopt.protocols.fields import Field, check_fields, number, text, whole

__all__ = ["GatewayEntry", "GatewayMap", "read_gateway_map"]

TITLE = "gateway"

_TEXTS = Field(
    "a list of at least one name",
    lambda value: isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value),
)
_TOP = {
    "pdnopt": text(one_of=(TITLE,)),
    "version": whole(FORMAT, FORMAT),
    "listen": MAPPING,
    "security": MAPPING,
    "controllers": _TEXTS,
    "state": text(),
    "mqtt": OPTIONAL,
    "guard": OPTIONAL,
    "devices": MAPPING,
}
_LISTEN = {"host": text(), "port": whole(0, 65535)}
_DEVICE = {
    "host": text(),
    "port": PORT,
    "unit": whole(1, 247),
    "positions": Field("a list of switches", required=False),
    "limits": Field("a mapping", required=False),
    "timeout_s": number(0.05, 60.0, False),
    "topic": Field(TOPIC.allowed, TOPIC.test, required=False),
}


@dataclass(frozen=True)
class GatewayEntry:
    """One plain Modbus device. ``topic``: its name on the broker; the device's own without its table by default."""

    name: str
    host: str
    port: int
    unit: int
    positions: tuple[str, ...] = ()
    limits: Limits = field(default_factory=dict)
    timeout_s: float = 1.0
    topic: str = ""


@dataclass(frozen=True)
class GatewayMap:
    """All of a gateway's file. ``guard``: keywords of `GuardSettings`; ``mqtt``: None, or host, port, prefix, publish_s."""

    path: Path
    host: str
    port: int
    identity: Identity
    controller_key: Path
    controllers: tuple[str, ...]
    state: Path
    devices: dict[str, GatewayEntry]
    guard: dict[str, float] = field(default_factory=dict)
    mqtt: dict[str, Any] | None = None


def read_gateway_map(path: Path) -> GatewayMap:
    """Return a gateway's file.

    Raises
    ------
    InputError
        Everything that is wrong with it, at once, each with its line.
    """
    document, data, issues = open_map(path, _TOP)
    issues += check_sections(document, {"listen": _LISTEN, "mqtt": BROKER, "guard": GUARD})
    security = read_controller_key(document, issues)
    devices = _devices(document, data.get("devices"), issues)
    if issues or security is None:
        raise InputError(issues)
    return GatewayMap(
        path,
        data["listen"]["host"],
        data["listen"]["port"],
        *security,
        tuple(data["controllers"]),
        in_folder(document, data["state"]),
        devices,
        data.get("guard", {}),
        data.get("mqtt"),
    )


def _devices(document: Document, data: Any, issues: list[Issue]) -> dict[str, GatewayEntry]:
    found: dict[str, GatewayEntry] = {}
    units: dict[tuple[str, int, int], str] = {}
    for name, entry in data.items() if isinstance(data, dict) else ():
        place = f"devices.{name}"
        faults = check_fields(entry, _DEVICE, place, name, document.where)
        faults += check_name(document, name, place)
        if isinstance(entry, dict):
            limits = read_limits(document, entry.get("limits"), f"{place}.limits", name, faults)
            positions = check_positions(
                document, entry.get("positions", []), f"{place}.positions", name, faults
            )
        issues += faults
        if faults:
            continue
        unit = (entry["host"], entry["port"], entry["unit"])
        if units.setdefault(unit, name) != name:
            at, allowed = document.where(f"{place}.unit"), f"not that of {units[unit]}"
            issues.append(Issue("NotUnique", at, name, entry["unit"], allowed, "Correct the unit."))
        found[name] = GatewayEntry(
            name,
            *unit,
            positions,
            limits,
            entry.get("timeout_s", 1.0),
            entry.get("topic", name.partition(":")[2]),
        )
    return found
