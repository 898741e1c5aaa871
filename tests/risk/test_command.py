"""``pdnopt risk``: what it prints, what it writes, how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from pdnopt.cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["risk", *arguments])


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    time = pd.date_range("2026-01-01", periods=24 * 20, freq="1h", tz="UTC")
    noise = np.random.default_rng(0).standard_normal(len(time)) * 0.1
    heat = 40.0 + noise
    heat[-72:] += 12.0
    table = pd.DataFrame(
        {"time": time, "component": "ups:UPS-A", "sensor": "temperature", "value": heat, "unit": "degC"}
    )
    path = tmp_path_factory.mktemp("risk") / "readings.csv"
    table.to_csv(path, index=False)
    return path


def test_readings_of_a_plant(readings: Path, tmp_path: Path) -> None:
    done = run("two_feed", "--sensors", str(readings), "--out", str(tmp_path / "risk.csv"))
    assert done.exit_code == 0, done.output
    assert "ups:UPS-A" in done.stdout
    assert "temperature +12.0" in done.stdout
    assert "SYNTHETIC" not in done.stdout
    frame = pd.read_csv(tmp_path / "risk.csv", index_col=0)
    assert frame.shape == (1, 12)
    assert frame.index[0] == "ups:UPS-A"


def test_json_is_all_there_is_on_stdout(readings: Path) -> None:
    found = json.loads(run("two_feed", "--sensors", str(readings), "--json", "--horizon", "3").stdout)
    assert found["status"] == "ok"
    assert found["synthetic"] is False
    assert len(found["components"][0]["probability"]) == 3


def test_the_demo_says_that_it_is_synthetic() -> None:
    done = run("demo")
    assert done.exit_code == 0, done.output
    assert "SYNTHETIC" in done.stdout.splitlines()[1]
    assert "sigma above its reference at equal load" in done.stdout


def test_bad_input_exits_with_2_and_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "time,component,sensor,value,unit\n2026-01-01 00:00,ups:NOBODY,heat,1,furlong\n", encoding="utf-8"
    )
    done = run("two_feed", "--sensors", str(path))
    assert done.exit_code == 2
    for kind in ("TimezoneRequired", "InvalidId", "UnknownSensor"):
        assert kind in done.stderr
    for arguments in (
        ["two_feed"],
        ["demo", "--sensors", str(path)],
        ["two_feed", "--sensors", str(tmp_path / "no.csv")],
    ):
        assert run(*arguments).exit_code == 2
