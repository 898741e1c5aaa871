"""Device maps: a good one of each kind, and every fault of a bad one at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdnopt.devicemap import outside, read_device_map, read_gateway_map
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.documents import read_document

pytest.importorskip("yaml", reason="the extra 'devices' is not installed")

GOOD = """\
pdnopt: device map
version: 1
security: {ca: ca.pem, certificate: c.pem, key: c.key, signing_key: s.key}
connections:
  gateway-a: {kind: gateway, host: 10.1.0.5, port: 7001}
  broker: {kind: mqtt, host: 10.2.0.5, port: 8883}
  meters: {kind: modbus, host: 10.1.0.9, port: 502, timeout_s: 0.5}
areas:
  hall-1: {mode: manual}
devices:
  transfer:T1:
    area: hall-1
    paths:
      - {via: gateway-a}
      - {via: broker, topic: T1}
      - {via: meters, unit: 3, positions: ["switch:A", "switch:B"]}
    takes_s: 0.1
  storage:B1:
    paths: [{via: gateway-a}]
    limits: {power: [-20, 20]}
"""

GATEWAY = """\
pdnopt: gateway
version: 1
listen: {host: 127.0.0.1, port: 0}
security: {ca: ca.pem, certificate: c.pem, key: c.key, controller_key: s.pub}
controllers: [controller]
state: state
guard: {watchdog_s: 30}
devices:
  "transfer:T1": {host: 127.0.0.1, port: 502, unit: 1, positions: ["switch:A", "switch:B"]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "c.pem", "c.key", "s.key", "s.pub"):
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[Issue]:
    read = read_gateway_map if "pdnopt: gateway" in text else read_device_map
    with pytest.raises(InputError) as caught:
        read(write(folder, text))
    return caught.value.issues


def test_a_controllers_map(folder: Path) -> None:
    found = read_device_map(write(folder, GOOD))
    device = found.devices["transfer:T1"]
    assert [way.via for way in device.paths] == ["gateway-a", "broker", "meters"]
    assert device.paths[2].positions == ("switch:A", "switch:B")
    assert (device.area, device.takes_s) == ("hall-1", 0.1)
    assert found.connections["meters"].timeout_s == 0.5
    assert found.areas["hall-1"].mode == "manual"
    assert found.signing_key == folder / "s.key"
    limits = found.devices["storage:B1"].limits
    assert outside(limits, "power", 20.0) == ""
    assert outside(limits, "power", -20.5) == "power -20.5 is outside -20 to 20"
    assert outside(limits, "form", True) == ""


def test_a_gateways_map(folder: Path) -> None:
    found = read_gateway_map(write(folder, GATEWAY))
    assert found.devices["transfer:T1"].positions == ("switch:A", "switch:B")
    assert found.devices["transfer:T1"].topic == "T1"
    assert found.guard == {"watchdog_s": 30}
    assert found.state == folder / "state"


def test_everything_at_once_with_lines(folder: Path) -> None:
    text = (
        GOOD.replace("version: 1", "version: 2")
        .replace("s.key", "lost.key")
        .replace("port: 8883", "port: 0")
        .replace("mode: manual", "mode: auto")
        .replace("area: hall-1", "area: hall-2")
        .replace("unit: 3, ", "unit: 300, ")
        .replace("takes_s: 0.1", "takes_s: -1\n    colour: red")
        .replace("[-20, 20]", "[20, -20]")
    )
    found = {(issue.kind, issue.path) for issue in faults(folder, text)}
    assert found >= {
        ("Range", "map.yaml:2 version"),
        ("File", "map.yaml:3 security.signing_key"),
        ("Range", "map.yaml:6 connections.broker.port"),
        ("Enum", "map.yaml:9 areas.hall-1.mode"),
        ("InvalidId", "map.yaml:12 devices.transfer:T1.area"),
        ("Range", "map.yaml:16 devices.transfer:T1.paths[2].unit"),
        ("Range", "map.yaml:17 devices.transfer:T1.takes_s"),
        ("UnknownField", "map.yaml:18 devices.transfer:T1.colour"),
        ("Range", "map.yaml:21 devices.storage:B1.limits.power"),
    }


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("transfer:T1:", "T1:", "InvalidId"),
        ("topic: T1", "topic: a/b", "Type"),
        (
            "via: gateway-a}\n      - {via: broker, topic: T1}",
            "via: gateway-a}\n      - {via: gateway-a}",
            "SameWay",
        ),
        ("via: broker", "via: brocker", "InvalidId"),
        (', positions: ["switch:A", "switch:B"]', "", "Positions"),
        ('"switch:B"', '"switch:A"', "Positions"),
        ("paths: [{via: gateway-a}]", "paths: []", "Type"),
        ("paths: [{via: gateway-a}]", "paths: [gateway-a]", "Type"),
        (
            "storage:B1:\n    paths: [{via: gateway-a}]",
            "storage:B1:\n    paths: [{via: broker, topic: T1}]",
            "NotUnique",
        ),
        ("power:", "close:", "Range"),
        ("security: {ca", "secrets: {ca", "UnknownField"),
        ("devices:", "device:", "Missing"),
        ("pdnopt: device map", "pdnopt: scenario", "Enum"),
    ],
)
def test_each_fault(folder: Path, old: str, new: str, kind: str) -> None:
    assert old in GOOD
    assert kind in {issue.kind for issue in faults(folder, GOOD.replace(old, new))}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("port: 502", "port: 70000", "Range"),
        ("controllers: [controller]", "controllers: []", "Type"),
        ("{watchdog_s: 30}", "{watchdog: 30}", "UnknownField"),
        ('"transfer:T1"', '"switch:Q1"', "Positions"),
        (
            "devices:\n",
            "devices:\n  'switch:Q': {host: 127.0.0.1, port: 502, unit: 1}\n",
            "NotUnique",
        ),
        ("s.pub", "none.pub", "File"),
    ],
)
def test_each_fault_of_a_gateways_file(folder: Path, old: str, new: str, kind: str) -> None:
    assert old in GATEWAY
    assert kind in {issue.kind for issue in faults(folder, GATEWAY.replace(old, new))}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "Empty"),
        ("a: [1", "Format"),
        ("a: 1\nb: 2\na: 3\n", "NotUnique"),
        ("? [1, 2]\n: 3\n", "NotUnique"),
        ("a: &x [1]\nb: [*x, *x]\n", "Alias"),
        ("a: !!python/object/apply:os.system ['true']\n", "Tag"),
        ("a: " + "[" * 50 + "]" * 50, "TooDeep"),
        ("a: " + "[" * 100_000, "Format"),  # libyaml has a limit of its own
        ("a: 1\n---\nb: 2\n", "Format"),
        ("a: \x00", "Format"),
        ("x" * (9 << 20), "TooLarge"),
    ],
)
def test_yaml_that_is_not_plain(tmp_path: Path, text: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        read_document(write(tmp_path, text))
    assert {issue.kind for issue in caught.value.issues} == {kind}


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Name a file that can be read"):
        read_document(tmp_path / "none.yaml")


def test_values_and_lines(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a:\n  - 1\n  - {b: 2026-01-01, c: 9999-99-99}\nd: ~\n"))
    assert document.data == {"a": [1, {"b": "2026-01-01", "c": "9999-99-99"}], "d": None}
    assert document.where("a[1].c") == "map.yaml:3 a[1].c"
    assert document.where("a[1].nothing.here") == "map.yaml:3 a[1].nothing.here"
