"""``pdnopt devices`` and ``pdnopt gateway`` as a person calls them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pdnopt.cli import app
from tests.security.processes import python

pytest.importorskip("yaml", reason="the extra 'devices' is not installed")
pytest.importorskip("cryptography", reason="the extra 'devices' is not installed")

MAP = """\
pdnopt: device map
version: 1
security: {{ca: k/ca.pem, certificate: k/controller.pem, key: k/controller.key, signing_key: k/signing.key}}
connections:
  gw: {{kind: gateway, host: 127.0.0.1, port: {port}, timeout_s: 0.5}}
devices:
  "ups:UPS-A": {{paths: [{{via: gw}}]}}
  "rack:R1": {{paths: [{{via: gw}}]}}
"""
GATEWAY = """\
pdnopt: gateway
version: 1
listen: {{host: 127.0.0.1, port: {port}}}
security: {{ca: k/ca.pem, certificate: k/gateway.pem, key: k/gateway.key, controller_key: k/signing.pub}}
controllers: [controller]
state: state
devices:
  "ups:UPS-A": {{host: 127.0.0.1, port: 1, unit: 1, timeout_s: 0.1}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = CliRunner().invoke(app, ["devices", "keys", str(tmp_path / "k")])
    assert result.exit_code == 0, result.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "devices.yaml").write_text(MAP.format(port=port))
    (tmp_path / "gateway.yaml").write_text(GATEWAY.format(port=port))
    return tmp_path


def test_good_files(folder: Path) -> None:
    result = CliRunner().invoke(
        app, ["devices", "check", str(folder / "devices.yaml"), "--network", "two_feed"]
    )
    assert result.exit_code == 0, result.output
    assert "a good device map of 2 devices" in result.output
    assert "2 of them have one path only" in result.output
    result = CliRunner().invoke(app, ["devices", "check", str(folder / "gateway.yaml"), "--json"])
    assert json.loads(result.stdout) == {
        "file": str(folder / "gateway.yaml"),
        "kind": "gateway",
        "devices": 1,
    }


def test_faults_are_lines_and_exit_code_2(folder: Path) -> None:
    path = folder / "devices.yaml"
    path.write_text(
        path.read_text().replace("kind: gateway", "kind: telnet").replace("ups:UPS-A", "ups:UPS-Z")
    )
    result = CliRunner().invoke(app, ["devices", "check", str(path)])
    assert result.exit_code == 2
    assert "devices.yaml:5 connections.gw.kind" in result.output
    path.write_text(path.read_text().replace("kind: telnet", "kind: gateway"))
    result = CliRunner().invoke(app, ["devices", "check", str(path), "--network", "two_feed"])
    assert result.exit_code == 2
    assert "UPS-Z" in result.output
    assert "Traceback" not in result.output


def test_connect_says_who_is_silent(folder: Path) -> None:
    result = CliRunner().invoke(app, ["devices", "check", str(folder / "devices.yaml"), "--connect"])
    assert result.exit_code == 1
    assert "ups:UPS-A by gw: no answer" in result.output
    gateway = python("pdnopt", "gateway", str(folder / "gateway.yaml"))
    result = CliRunner().invoke(
        app, ["devices", "check", str(folder / "devices.yaml"), "--connect", "--json"]
    )
    gateway.end()
    assert gateway.child.returncode == 0
    silent = {item["device"]: item["detail"] for item in json.loads(result.stdout)["silent"]}
    assert silent == {"ups:UPS-A": "no answer", "rack:R1": "not behind this gateway"}


def test_a_gateway_that_cannot_start_says_why(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = folder / "gateway.yaml"
        path.write_text(GATEWAY.format(port=taken.getsockname()[1]))
        result = CliRunner().invoke(app, ["gateway", str(path)])
    assert result.exit_code == 2
    assert "Choose a free port" in result.output
    (folder / "k" / "gateway.pem").write_text("no certificate")
    result = CliRunner().invoke(app, ["gateway", str(path)])
    assert result.exit_code == 2
    assert "devices keys" in result.output


def test_keys_are_never_replaced(folder: Path) -> None:
    result = CliRunner().invoke(app, ["devices", "keys", str(folder / "k")])
    assert result.exit_code == 2
    assert "Move the old key away" in result.output
    result = CliRunner().invoke(app, ["devices", "keys", str(folder / "k"), "--name", "gateway-b", "--json"])
    assert json.loads(result.stdout) == {"made": [str(folder / "k" / "gateway-b.pem")]}
