"""Everything at once, each a process of its own: an emulated plant on Modbus TCP, its gateway, the agent of a power node
for the racks, a mosquitto with TLS, and ``pdnopt run``. One UPS fails; the plant itself says what became of it.

`two_feed` by hand: UPS-B alone has 80 kW on 60 kW and would trip after 60 s. Racks of priority 3 must give way, and racks
are reached by MQTT through the node only.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pdnopt.protocols.certificates import Authority
from tests.node.site import until
from tests.security.processes import Broker, Process, free_port, python

for module in ("pymodbus", "cryptography", "paho.mqtt.client"):
    pytest.importorskip(module, reason="the extra 'devices' is not installed")
yaml = pytest.importorskip("yaml", reason="the extra 'devices' is not installed")

NODE = "node-racks"
RACKS = [f"rack:R{k}" for k in range(1, 9)]
FAILS_AT_S = 15.0
SCENARIO = f"""\
name: one failure
duration_s: 36000
events:
  - {{at_s: {FAILS_AT_S}, fail: "ups:UPS-A"}}
"""


def topic(device: str) -> str:
    return device.replace(":", ".")


def divide(plant: Path, broker: Broker) -> Path:
    """Take the racks from the gateway and give them to a node; return the node's file."""
    given = yaml.safe_load((plant / "gateway.yaml").read_text(encoding="utf-8"))
    wires = {name: given["devices"].pop(name) for name in RACKS}
    given.pop("mqtt")
    (plant / "gateway.yaml").write_text(json.dumps(given), encoding="utf-8")  # JSON is YAML
    devices = yaml.safe_load((plant / "devices.yaml").read_text(encoding="utf-8"))
    for name, entry in devices["devices"].items():
        way: dict[str, Any] = {"via": "broker", "topic": topic(name)} if name in RACKS else {"via": "gateway"}
        entry["paths"] = [way]
    (plant / "devices.yaml").write_text(json.dumps(devices), encoding="utf-8")
    node = {
        "pdnopt": "node",
        "version": 1,
        "name": NODE,
        "security": {
            "ca": "ca.pem",
            "certificate": f"{NODE}.pem",
            "key": f"{NODE}.key",
            "controller_key": "signing.pub",
        },
        "broker": {"host": "127.0.0.1", "port": broker.port, "publish_s": 0.5},
        "state": "node-state",
        "devices": {
            name: {
                "modbus": {key: wire[key] for key in ("host", "port", "unit")},
                "topic": topic(name),
                "limits": {"cap": [0, 10], "shed": [0, 10], "restore": [0, 10]},
            }
            for name, wire in wires.items()
        },
    }
    path = plant / "node.yaml"
    path.write_text(json.dumps(node), encoding="utf-8")
    return path


def outcomes(journal: Path) -> dict[str, str | None]:
    """Return the journal's commands and how they ended."""
    if not journal.exists():
        return {}
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10.0)
    try:
        query = "SELECT id, outcome FROM command LEFT JOIN outcome ON outcome.command = command.id"
        return dict(db.execute(query).fetchall())
    except sqlite3.OperationalError:  # it has no tables yet
        return {}
    finally:
        db.close()


def test_one_failure_with_racks_behind_a_node(tmp_path: Path) -> None:
    plant, journal = tmp_path / "plant", tmp_path / "journal.db"
    plant.mkdir()
    authority = Authority(plant)
    authority.issue(NODE)
    broker = Broker(plant, authority, {NODE: [topic(name) for name in RACKS]})
    (tmp_path / "one.yaml").write_text(SCENARIO, encoding="utf-8")
    started: list[Process] = []

    def start(*command: str, wait: bool = True) -> Process:
        started.append(
            python("pdnopt", *command)
            if wait
            else Process(sys.executable, "-m", "pdnopt", *command, wait=False)
        )
        return started[-1]

    try:
        emulator = start(
            *("emulate", "two_feed", "--devices-out", str(plant), "--scenario", str(tmp_path / "one.yaml")),
            *("--gateway-port", str(free_port()), "--broker", f"127.0.0.1:{broker.port}", "--json"),
        )
        node_file = divide(plant, broker)
        start("gateway", str(plant / "gateway.yaml"))
        node = start("node", "--config", str(node_file))
        assert node.said == {"node": NODE, "devices": len(RACKS)}
        controller = start(
            *("run", "two_feed", "--devices", str(plant / "devices.yaml"), "--interval-s", "2"),
            *("--journal", str(journal), "--json"),
            wait=False,
        )
        until(lambda: outcomes(journal), "commands after the failure", 120.0)
        until(lambda: all(outcomes(journal).values()), "their read-back", 60.0)
        time.sleep(2.0)
        ended = outcomes(journal)
        controller.child.send_signal(signal.SIGINT)
        controller.child.communicate(timeout=30.0)
        truth = json.loads(emulator.end())
    finally:
        for process in started:
            if process.child.poll() is None:
                process.end()
        broker.end()
    assert "unknown" not in ended.values(), ended
    done = [name for name, outcome in ended.items() if outcome == "done"]
    assert [name for name in done if "/rack:" in name]
    assert truth["trips"] == []
    assert truth["unserved_kwh"].get("1", 0.0) == 0.0
    told = {name: count for name, count in truth["actuations"].items() if count}
    assert set(told) & set(RACKS)
    assert sum(told.values()) == len(done)  # each once, and by nobody else
