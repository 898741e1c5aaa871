"""`pdnopt forecast train | promote | rollback | list | federate` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from pdnopt.cli.training import add_commands
from tests.forecast.synthetic import daily

app = typer.Typer()
add_commands(app)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A load that stays where it is: the last value is better than yesterday's."""
    index = pd.date_range("2025-01-01", periods=480, freq="h", tz="UTC")
    rng = np.random.default_rng(0)
    jumps = rng.normal(0, 5, 480) * (rng.uniform(size=480) < 0.02)
    frame = pd.DataFrame({"a": 50 + np.cumsum(jumps) + rng.normal(0, 0.01, 480)}, index=index)
    frame.to_csv(tmp_path / "loads.csv")
    return tmp_path / "loads.csv"


def test_train_list_promote_roll_back(data: Path, tmp_path: Path) -> None:
    where = ["--registry", tmp_path / "models"]
    assert "no versions yet" in run("list", *where).stdout
    quick = ["--horizon", 6, "--windows", 10, *where]
    first = run("train", data, "--model", "last_value", *quick)
    assert first.exit_code == 0, first.output
    assert "version 0001" in first.stdout
    assert "deployed; better: SQL" in first.stdout
    second = run("train", data, "--model", "seasonal_naive", *quick, "--json")
    told = json.loads(second.stdout)
    assert (told["version"], told["promoted"], told["opponent"]) == ("0002", False, "0001")
    refused = run("promote", "0002", *where)
    assert refused.exit_code == 2
    assert "NotBetter" in refused.stderr
    assert json.loads(run("promote", "0002", "--force", *where, "--json").stdout) == {"deployed": "0002"}
    lines = run("list", *where).stdout.splitlines()
    assert [line[:6] for line in lines[1:3]] == ["  0001", "* 0002"]
    listed = json.loads(run("list", *where, "--json").stdout)
    assert listed["deployed"] == "0002"
    assert [each["model"] for each in listed["versions"]] == ["last_value", "seasonal_naive"]
    assert "version 0001" in run("rollback", *where).stdout
    again = run("rollback", *where)
    assert again.exit_code == 2
    assert "Nothing was deployed before" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "prophet"], "Enum"),
        (["--set", "hidden"], "NAME=VALUE"),
        (["--set", "hidden=wide"], "a whole number from 1 to 512"),
        (["--windows", 1000], "HorizonError"),
        (["--covariates", "nowhere.csv"], "File"),
        (["--timezone", "Mars/Olympus"], "TimeOrder"),
    ],
)
def test_bad_input_is_told_in_a_line(data: Path, tmp_path: Path, arguments: list[object], says: str) -> None:
    found = run("train", data, "--registry", tmp_path / "models", *arguments)
    assert found.exit_code == 2, found.output
    assert says in found.stderr
    assert "Traceback" not in found.output
    assert not (tmp_path / "models").exists()


def test_times_without_a_timezone_need_one_named(tmp_path: Path) -> None:
    frame = daily(20, 1)
    frame.tz_localize(None).to_csv(tmp_path / "naive.csv")
    quick = ["--model", "last_value", "--horizon", 6, "--windows", 10, "--registry", tmp_path / "models"]
    found = run("train", tmp_path / "naive.csv", *quick)
    assert found.exit_code == 2
    assert "TimezoneRequired" in found.stderr
    assert run("train", tmp_path / "naive.csv", *quick, "--timezone", "UTC").exit_code == 0


def test_offsets_that_change_with_daylight_saving_are_understood(tmp_path: Path) -> None:
    index = pd.date_range("2025-03-20", periods=480, freq="h", tz="Europe/Berlin")
    pd.DataFrame({"a": np.arange(480.0)}, index=index).to_csv(tmp_path / "offsets.csv")
    quick = [
        "--model",
        "last_value",
        "--horizon",
        6,
        "--windows",
        10,
        "--registry",
        tmp_path / "models",
        "--json",
    ]
    assert run("train", tmp_path / "offsets.csv", *quick, "--timezone", "Europe/Berlin").exit_code == 0
    manifest = json.loads((tmp_path / "models" / "versions" / "0001" / "manifest.json").read_text())
    assert manifest["data"]["begin"] == "2025-03-20T00:00:00+01:00"
    assert manifest["data"]["end"] == index[-1].isoformat()


def test_federate_refuses_what_makes_no_sense_before_it_starts_a_process(data: Path, tmp_path: Path) -> None:
    found = run("federate", data, "nowhere.csv", "--out", tmp_path / "agreed", "--rounds", 0, "--noise", 1)
    assert found.exit_code == 2
    for says in ("federation.rounds", "federation.noise", "nowhere.csv"):
        assert says in found.stderr
    twice = run("federate", data, data, "--out", tmp_path / "agreed")
    assert twice.exit_code == 2
    assert "NotUnique" in twice.stderr


def test_what_is_wrong_with_a_nodes_file_is_told(tmp_path: Path) -> None:
    daily(20, 1).tz_localize(None).to_csv(tmp_path / "naive.csv")
    found = run(
        "federate", tmp_path / "naive.csv", "--out", tmp_path / "agreed", "--fewest", 1, "--rounds", 4
    )
    assert found.exit_code == 1
    assert "rounds one after another had fewer than 1 answers" in found.stderr
    assert "naive: error: TimezoneRequired at nodes.naive.index" in found.stderr


def test_federate(tmp_path: Path) -> None:
    for k in range(2):
        daily(20, 2, seed=k).to_csv(tmp_path / f"node{k}.csv")
    quick = ["--horizon", 6, "--windows", 2, "--rounds", 2, "--local-steps", 2, "--deadline-s", 200]
    small = [text for each in ("context=12", "hidden=4", "batch=8") for text in ("--set", each)]
    files = [tmp_path / f"node{k}.csv" for k in range(2)]
    found = run("federate", *files, "--out", tmp_path / "agreed", *quick, *small)
    assert found.exit_code == 0, found.output
    assert "round 2 of 2: 2 nodes, loss" in found.stdout
    assert "node1: SQL" in found.stdout
    assert {path.name for path in (tmp_path / "agreed").iterdir()} == {"node0", "node1"}
