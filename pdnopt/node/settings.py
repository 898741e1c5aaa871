"""A node's file: who it is, who may command it, what hangs on it, and what it does when nobody commands.

::

    pdnopt: node
    version: 1
    name: node-17                   # the common name of its certificate
    security: {ca: ca.pem, certificate: node-17.pem, key: node-17.key, controller_key: signing.pub}
    broker: {host: 10.2.0.5, port: 8883, prefix: pdnopt, publish_s: 1}
    state: state                    # a folder on a disk that keeps what is written
    guard: {select_s: 10, watchdog_s: 60}
    times: {step_s: 1, setpoint_s: 600, status_s: 10}
    devices:
      "asymmetric_sgen:MIM-1":
        modbus: {host: 192.168.7.3, port: 502, unit: 1}
        s_max_kva: 5.0              # each phase
        rule: {kind: hold}
        topic: MIM-1                # on the broker; the device's name without its table by default
      "load:OUT-1":
        simulated: {p_kw: 4.0}      # not there: to try a node out
        limits: {cap: [0, 4.6], restore: [0, 4.6]}
    forecast:
      model: models                 # what `pdnopt forecast train` deploys to
      circuits: ["load:OUT-1"]      # those of the model: devices with p_kw
      step_s: 900                   # of the model
      horizon: 24
      quantiles: [0.1, 0.5, 0.9]
"""

from __future__ import annotations

from collections.abc import Mapping
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
    check_positions,
    check_sections,
    device_field,
    in_folder,
    open_map,
    read_controller_key,
)
from pdnopt.devicemap.limits import Limits, read_limits
from pdnopt.errors import InputError, Issue
from pdnopt.node.device import ACTIONS, LENT
from pdnopt.node.rules import check_rule
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.documents import Document
from pdnopt.protocols.fields import Field, check_fields, number, text, whole

__all__ = ["DeviceSettings", "ForecastSettings", "NodeSettings", "read_node_settings"]

TITLE = "node"
DAY_S = 86400

_TOP = {
    "pdnopt": text(one_of=(TITLE,)),
    "version": whole(FORMAT, FORMAT),
    "name": TOPIC,
    "security": MAPPING,
    "broker": MAPPING,
    "state": text(),
    "guard": OPTIONAL,
    "times": OPTIONAL,
    "devices": Field(
        "a mapping of at least one device", lambda value: isinstance(value, dict) and bool(value)
    ),
    "forecast": OPTIONAL,
}
_TIMES = {
    "step_s": number(0.05, 60.0, False),
    "setpoint_s": number(1.0, 86400.0, False),
    "status_s": number(0.1, 3600.0, False),
}
_DEVICE = {
    "modbus": OPTIONAL,
    "simulated": OPTIONAL,
    "s_max_kva": number(1e-3, 1e5, False),
    "rule": OPTIONAL,
    "topic": Field(TOPIC.allowed, TOPIC.test, required=False),
    "positions": Field("a list of switches", required=False),
    "limits": Field("a mapping", required=False),
}
_MODBUS = {"host": text(), "port": PORT, "unit": whole(1, 247), "timeout_s": number(0.05, 60.0, False)}
_SIMULATED = {"p_kw": number(1e-6, 1e5)}
_NAMES = Field(
    "a list of devices, each once",
    lambda value: (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, str) for item in value)
        and len(set(value)) == len(value)
    ),
)
_LEVELS = Field(
    "rising numbers between 0 and 1",
    lambda value: (
        isinstance(value, list)
        and bool(value)
        and all(number(1e-6, 1 - 1e-6).test(item) for item in value)
        and sorted(set(value)) == value
    ),
    required=False,
)
_FORECAST = {
    "model": text(),
    "circuits": _NAMES,
    "step_s": whole(1, DAY_S),
    "horizon": whole(1, 1000),
    "quantiles": _LEVELS,
    "deadline_s": number(1.0, 3600.0, False),
    "keep_days": number(0.01, 1000.0, False),
    "allow_negative": Field("true or false", lambda value: isinstance(value, bool), required=False),
}


@dataclass(frozen=True)
class DeviceSettings:
    """One device of a node.

    Attributes
    ----------
    name, topic : str
    modbus : dict or None
        host, port, unit, timeout_s.
    simulated_kw : float or None
        Of a device that is made up.
    s_max_kva : float or None
        Of an inverter, each phase.
    rule : dict
        ``kind`` and the rule's own fields.
    positions : tuple of str
    limits : Limits
    """

    name: str
    topic: str
    modbus: dict[str, Any] | None = None
    simulated_kw: float | None = None
    s_max_kva: float | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    limits: Limits = field(default_factory=dict)


@dataclass(frozen=True)
class ForecastSettings:
    """What is forecast, by which model; see the module's docstring. A forecast is made after every step of the model."""

    model: Path
    circuits: tuple[str, ...]
    step_s: int
    horizon: int
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    deadline_s: float = 60.0
    keep_days: float = 35.0
    allow_negative: bool = False


@dataclass(frozen=True)
class NodeSettings:
    """All of a node's file. ``guard``: keywords of `GuardSettings`; ``broker``: host, port, prefix, publish_s."""

    path: Path
    name: str
    identity: Identity
    controller_key: Path
    broker: dict[str, Any]
    state: Path
    devices: dict[str, DeviceSettings]
    guard: dict[str, float] = field(default_factory=dict)
    step_s: float = 1.0
    setpoint_s: float = 600.0
    status_s: float = 10.0
    forecast: ForecastSettings | None = None


def read_node_settings(path: Path) -> NodeSettings:
    """Return a node's file.

    Raises
    ------
    InputError
        Everything that is wrong with it, at once, each with its line.
    """
    document, data, issues = open_map(path, _TOP)
    issues += check_sections(document, {"broker": BROKER, "guard": GUARD, "times": _TIMES})
    security = read_controller_key(document, issues)
    devices = _devices(document, data.get("devices"), issues)
    forecast = _forecast(document, data.get("forecast"), data.get("devices"), issues)
    if issues or security is None:
        raise InputError(issues)
    return NodeSettings(
        path,
        data["name"],
        *security,
        data["broker"],
        in_folder(document, data["state"]),
        devices,
        data.get("guard", {}),
        **data.get("times", {}),
        forecast=forecast,
    )


def _devices(document: Document, data: Any, issues: list[Issue]) -> dict[str, DeviceSettings]:
    found: dict[str, DeviceSettings] = {}
    topics: dict[str, str] = {}
    for name, entry in data.items() if isinstance(data, dict) else ():
        place = f"devices.{name}"
        faults = check_fields(entry, _DEVICE, place, name, document.where)
        table = name.partition(":")[0]
        if not device_field(name) or table not in ACTIONS:
            allowed = f"table:name, of one of {', '.join(ACTIONS)}"
            todo = "Write it as `pdnopt validate` writes it."
            faults.append(Issue("InvalidId", document.where(place), name, name, allowed, todo))
        elif isinstance(entry, dict):
            made = _device(document, name, entry, faults)
            if not faults and topics.setdefault(made.topic, name) != name:
                allowed = f"not that of {topics[made.topic]}"
                at = document.where(f"{place}.topic")
                faults.append(
                    Issue("NotUnique", at, name, made.topic, allowed, "Give it a topic of its own.")
                )
            found[name] = made
        issues += faults
    return found


def _device(document: Document, name: str, entry: dict[str, Any], faults: list[Issue]) -> DeviceSettings:
    place, table = f"devices.{name}", name.partition(":")[0]
    where = document.where
    for kind, fields in (("modbus", _MODBUS), ("simulated", _SIMULATED)):
        if isinstance(entry.get(kind), dict):
            faults += check_fields(entry[kind], fields, f"{place}.{kind}", name, where)
    if ("modbus" in entry) == ("simulated" in entry):
        value = sorted(set(entry) & {"modbus", "simulated"})
        todo = "Say how it is wired."
        faults.append(Issue("Conflict", where(place), name, value, "either modbus or simulated", todo))
    if table == "asymmetric_sgen" and "s_max_kva" not in entry:
        allowed, todo = "kVA of a phase", "Add it, from the inverter's data sheet."
        faults.append(Issue("Missing", where(f"{place}.s_max_kva"), name, None, allowed, todo))
    if "rule" in entry and table not in LENT:
        allowed, todo = f"only of {', '.join(LENT)}", "Remove it: nothing else has set-points that run out."
        faults.append(Issue("Conflict", where(f"{place}.rule"), name, str(entry["rule"])[:80], allowed, todo))
    elif isinstance(entry.get("rule"), dict):
        faults += check_rule(table, entry["rule"], f"{place}.rule", name, where)
    limits = read_limits(document, entry.get("limits"), f"{place}.limits", name, faults)
    positions = check_positions(document, entry.get("positions", []), f"{place}.positions", name, faults)
    simulated = entry.get("simulated")
    return DeviceSettings(
        name,
        entry.get("topic", name.partition(":")[2]),
        entry.get("modbus"),
        simulated.get("p_kw") if isinstance(simulated, dict) else None,
        entry.get("s_max_kva"),
        entry.get("rule", {}),
        positions,
        limits,
    )


def _forecast(document: Document, data: Any, devices: Any, issues: list[Issue]) -> ForecastSettings | None:
    if not isinstance(data, dict):
        return None
    faults = check_fields(data, _FORECAST, "forecast", "", document.where)
    if not faults:
        known = set(devices) if isinstance(devices, dict) else set()
        strange = [name for name in data["circuits"] if name not in known]
        if strange:
            at, todo = document.where("forecast.circuits"), "Name devices of this node."
            faults.append(Issue("InvalidId", at, "", strange[:5], ", ".join(sorted(known)[:5]), todo))
        if not in_folder(document, data["model"]).is_dir():
            at, todo = document.where("forecast.model"), "Train one: pdnopt forecast train."
            faults.append(Issue("File", at, "", data["model"], "a folder with a model", todo))
    issues += faults
    if faults:
        return None
    listed = {name: tuple(data[name]) for name in ("circuits", "quantiles") if name in data}
    return ForecastSettings(**{**data, **listed, "model": in_folder(document, data["model"])})
