"""``pdnopt emulate`` as a process: its files, its last words, its refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pdnopt.cli import app
from pdnopt.devicemap import read_device_map, read_gateway_map


def emulate(*arguments: str, timeout_s: float = 90.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pdnopt", "emulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_an_emulated_minute_leaves_files_and_the_truth(tmp_path: Path) -> None:
    done = emulate(
        *("two_feed", "--devices-out", str(tmp_path / "plant"), "--scenario", "two_feed_storm"),
        *("--speed", "500", "--hours", "0.2", "--broker", "127.0.0.1:8883", "--json"),
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    said = json.loads(first)
    assert said["servers"] == 5
    gateway, devices = read_gateway_map(Path(said["gateway"])), read_device_map(Path(said["map"]))
    assert set(gateway.devices) == set(devices.devices)
    assert len(devices.devices) == said["devices"]
    assert {way.via for way in devices.devices["ups:UPS-A"].paths} == {"gateway", "broker"}
    assert (tmp_path / "plant" / "signing.key").stat().st_mode & 0o077 == 0
    truth = json.loads(rest)
    assert truth["t_s"] >= 720.0
    assert truth["trips"][0][1] == "ups:UPS-B"  # nobody controls it


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["two_feed", "--speed", "0", "--mode", "wild", "--gateway-port", "0"], "Range at --speed"),
        (["two_feed", "--scenario", "nothing.yaml"], "demo_hour"),
        (["two_feet"], "two_feed"),
        (["two_feed", "--load-level", "7"], "--load-level"),
        (["two_feed", "--broker", "nowhere"], "HOST:PORT"),
    ],
)
def test_bad_input_is_told(tmp_path: Path, arguments: list[str], what: str) -> None:
    done = CliRunner().invoke(app, ["emulate", *arguments, "--devices-out", str(tmp_path / "plant")])
    assert done.exit_code == 2
    assert what in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "plant").exists()
