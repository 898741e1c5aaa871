"""The files by which a controller and a gateway find an emulated plant: keys, a gateway's file, a device map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pdnopt.emulator.modbus import ModbusServers
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.certificates import Authority
from pdnopt.protocols.signing import make_keys

__all__ = ["Deployment", "write_deployment"]

GATEWAY = "gateway"


@dataclass(frozen=True)
class Deployment:
    """What was written: for `pdnopt gateway` and for `pdnopt run --devices`."""

    gateway: Path
    devices: Path


def write_deployment(
    folder: Path,
    servers: ModbusServers,
    gateway_port: int,
    host: str = "127.0.0.1",
    mode: str = "automatic",
    broker: tuple[str, int] | None = None,
) -> Deployment:
    """Write the files of a deployment on this machine into a folder; keys that are there are kept.

    Parameters
    ----------
    servers : ModbusServers
    gateway_port : int
        Where the gateway will listen for the controller.
    mode : str
        Of the only area: disabled, manual or automatic.
    broker : (host, port), optional
        An MQTT broker with TLS: the second way to every device, through the same guards.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _make_keys(folder)
        gateway, devices = folder / "gateway.yaml", folder / "devices.yaml"
        gateway.write_text(_gateway_text(servers, host, gateway_port, broker), encoding="utf-8")
        devices.write_text(_devices_text(servers, host, gateway_port, mode, broker), encoding="utf-8")
    except OSError as error:
        allowed, todo = f"a folder to write into ({error.strerror})", "Choose another folder."
        raise InputError(Issue("File", "devices-out", "", str(folder), allowed, todo)) from None
    return Deployment(gateway, devices)


def _make_keys(folder: Path) -> None:
    authority = Authority(folder)
    for name in ("controller", GATEWAY, "broker"):
        if not (folder / f"{name}.key").exists():
            authority.issue(name)
    if not (folder / "signing.key").exists():
        make_keys(folder / "signing.key", folder / "signing.pub")


def _gateway_text(servers: ModbusServers, host: str, port: int, broker: tuple[str, int] | None) -> str:
    lines = [
        "pdnopt: gateway",
        "version: 1",
        f"listen: {{host: {host}, port: {port}}}",
        f"security: {{ca: ca.pem, certificate: {GATEWAY}.pem, key: {GATEWAY}.key, controller_key: signing.pub}}",
        "controllers: [controller]",
        "state: state",
    ]
    if broker is not None:
        lines.append(f"mqtt: {{host: {broker[0]}, port: {broker[1]}}}")
    lines.append("devices:")
    for station in servers.stations:
        for device in station.devices:
            entry = f"host: {servers.host}, port: {servers.ports[station.name]}, unit: {station.unit(device)}"
            positions = servers.live.positions(device)
            if positions:
                entry += f", positions: {_quoted(positions)}"
            lines.append(f"  {json.dumps(device)}: {{{entry}, topic: {json.dumps(_topic(device))}}}")
    return "\n".join(lines) + "\n"


def _devices_text(
    servers: ModbusServers, host: str, port: int, mode: str, broker: tuple[str, int] | None
) -> str:
    lines = [
        "pdnopt: device map",
        "version: 1",
        "security: {ca: ca.pem, certificate: controller.pem, key: controller.key, signing_key: signing.key}",
        "connections:",
        f"  {GATEWAY}: {{kind: gateway, host: {host}, port: {port}}}",
        *([] if broker is None else [f"  broker: {{kind: mqtt, host: {broker[0]}, port: {broker[1]}}}"]),
        f"areas: {{plant: {{mode: {mode}}}}}",
        "devices:",
    ]
    for station in servers.stations:
        for device in station.devices:
            ways = f"{{via: {GATEWAY}}}"
            if broker is not None:
                ways += f", {{via: broker, topic: {json.dumps(_topic(device))}}}"
            lines.append(f"  {json.dumps(device)}: {{area: plant, paths: [{ways}]}}")
    return "\n".join(lines) + "\n"


def _topic(device: str) -> str:
    """Return a name for the broker that no two devices share."""
    return device.replace(":", ".").replace("/", ".").replace("+", ".").replace("#", ".")


def _quoted(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(json.dumps(name) for name in names) + "]"
