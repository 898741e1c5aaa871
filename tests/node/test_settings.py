"""A node's file: a good one, and every fault of a bad one at once, with its line."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pdnopt.errors import InputError, Issue
from pdnopt.node.settings import read_node_settings

yaml = pytest.importorskip("yaml", reason="the extra 'devices' is not installed")

GOOD = """\
pdnopt: node
version: 1
name: node-17
security: {ca: ca.pem, certificate: n.pem, key: n.key, controller_key: s.pub}
broker: {host: broker, port: 8883}
state: state
guard: {watchdog_s: 30}
times: {setpoint_s: 300}
devices:
  "asymmetric_sgen:M1":
    modbus: {host: 192.168.7.3, port: 502, unit: 1}
    s_max_kva: 5.0
    rule: {kind: hold}
  "storage:B1":
    simulated: {p_kw: 10.0}
    limits: {power: [-5, 5]}
  "load:L1":
    simulated: {p_kw: 4.0}
    topic: outlet-1
forecast:
  model: models
  circuits: ["load:L1"]
  step_s: 900
  horizon: 24
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "n.pem", "n.key", "s.pub"):
        (tmp_path / name).touch()
    (tmp_path / "models").mkdir()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "node.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[Issue]:
    with pytest.raises(InputError) as caught:
        read_node_settings(write(folder, text))
    return caught.value.issues


def test_good(folder: Path) -> None:
    found = read_node_settings(write(folder, GOOD))
    assert found.name == "node-17"
    assert found.setpoint_s == 300
    assert found.status_s == 10
    assert found.guard == {"watchdog_s": 30}
    inverter = found.devices["asymmetric_sgen:M1"]
    assert (inverter.topic, inverter.s_max_kva, inverter.rule) == ("M1", 5.0, {"kind": "hold"})
    assert found.devices["load:L1"].topic == "outlet-1"
    assert found.forecast is not None
    assert found.forecast.quantiles == (0.1, 0.5, 0.9)
    assert found.forecast.model == folder / "models"


@pytest.mark.parametrize(
    ("before", "after", "kind", "place"),
    [
        ("version: 1", "version: 2", "Range", "node.yaml:2 version"),
        ("name: node-17", "name: a/b", "Type", "node.yaml:3 name"),
        ("controller_key: s.pub", "controller_key: none.pub", "File", "controller_key"),
        ("port: 8883", "port: 0", "Range", "broker.port"),
        ("watchdog_s: 30", "watchdog_s: .nan", "Range", "guard.watchdog_s"),
        ("setpoint_s: 300", "setpoint: 300", "UnknownField", "times.setpoint"),
        ("    s_max_kva: 5.0\n", "", "Missing", "s_max_kva"),
        ("kind: hold", "kind: dance", "Enum", "rule.kind"),
        ("unit: 1", "unit: 300", "Range", "modbus.unit"),
        ("    topic: outlet-1", "    topic: B1", "NotUnique", "node.yaml:19 devices.load:L1.topic"),
        ("    topic: outlet-1", "    rule: {kind: zero}", "Conflict", "devices.load:L1.rule"),
        ("    topic: outlet-1", "    modbus: {host: a, port: 1, unit: 1}", "Conflict", "devices.load:L1"),
        ("simulated: {p_kw: 4.0}", "limits: {}", "Conflict", "devices.load:L1"),
        ('"load:L1":', '"ups:L1":', "InvalidId", "devices.ups:L1"),
        ("power: [-5, 5]", "power: [5, -5]", "Range", "limits.power"),
        ("circuits: [", "circuits: [load:L9, ", "InvalidId", "forecast.circuits"),
        ("model: models", "model: nowhere", "File", "forecast.model"),
        ("step_s: 900", "step_s: 900.5", "Range", "forecast.step_s"),
        ("horizon: 24", "horizon: 24\n  quantiles: [0.9, 0.1]", "Type", "forecast.quantiles"),
    ],
)
def test_one_fault(folder: Path, before: str, after: str, kind: str, place: str) -> None:
    assert before in GOOD
    found = faults(folder, GOOD.replace(before, after, 1))
    assert any(issue.kind == kind and place in issue.path for issue in found), found


def test_all_at_once(folder: Path) -> None:
    text = GOOD.replace("version: 1", "version: 9").replace("unit: 1", "unit: -1").replace("hold", "dance")
    found = faults(folder, text.replace("horizon: 24", "horizon: 0"))
    assert {"version", "unit", "kind", "horizon"} <= {
        issue.path.rpartition(".")[2].split()[-1] for issue in found
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "pdnopt: node", "a: &x 1\nb: *x", "{" * 50, "devices: 5\nforecast: []"]
)
def test_what_is_no_such_file(folder: Path, text: str) -> None:
    assert faults(folder, text)


def test_command(folder: Path) -> None:
    """From the command line: 0 for a good file, 2 and one line a fault for a bad one, no traceback."""

    def run(text: str, *more: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "pdnopt", "node", "--config", str(write(folder, text)), *more]
        return subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, timeout=60.0, check=False
        )

    good = run(GOOD, "--check", "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["devices"] == 3
    bad = run(GOOD.replace("version: 1", "version: 2").replace("unit: 1", "unit: 0"))
    assert bad.returncode == 2
    assert b"Traceback" not in bad.stderr
    assert len(bad.stderr.splitlines()) == 2
    no_key = run(GOOD)  # the key is an empty file
    assert no_key.returncode == 2
    assert b"Ed25519" in no_key.stderr


JUNK = [None, True, 0, -1, 1e308, "", "x" * 300, "a/b", [], [1], [[]], {}, {"a": 1}, {"": None}]


def test_junk_anywhere_is_told_and_never_a_crash(folder: Path) -> None:
    read, refused = 0, 0
    for seed in range(200):
        path = write(folder, json.dumps(spoilt(random.Random(seed))))
        try:
            read_node_settings(path)
            read += 1
        except InputError as error:
            refused += len(error.issues) > 0
    assert read + refused == 200
    assert refused > 150


def spoilt(draw: random.Random) -> Any:
    """Return the good file with junk in one to three places, or a key that is junk."""
    data = yaml.safe_load(GOOD)
    data["devices"]["asymmetric_sgen:M1"]["rule"] = {"kind": "droop", "p_gain_kw": 1.0, "q_gain_kvar": 1.0}
    for _ in range(draw.randint(1, 3)):
        place, key = data, draw.choice(list(data))
        while isinstance(place[key], dict) and place[key] and draw.random() < 0.8:
            place, key = place[key], draw.choice(list(place[key]))
        if draw.random() < 0.2:
            place[str(copy.deepcopy(draw.choice(JUNK)))] = place.pop(key)
        else:
            place[key] = copy.deepcopy(draw.choice(JUNK))
    return data
