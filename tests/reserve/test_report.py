"""The report and the command line of an allocation."""

from __future__ import annotations

import json
from pathlib import Path

import pandapower as pp
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli.app import app
from pdnopt.report import write_report
from tests.reserve.rooms import room


def test_the_report_shows_who_backs_whom_and_the_margins(tmp_path: Path) -> None:
    net = room(6, 3, 2, 3, seed=4, reserve_part=1.5)
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0)
    text = write_report(result, net, tmp_path / "report.html").read_text()
    assert "Who backs whom" in text
    assert "Margins" in text
    worst = result.margins.iloc[0]
    assert str(worst["contingency"]) in text
    assert f"{worst['margin_kw']:.1f}" in text


def test_the_one_line_diagram_says_where_every_device_goes_first(tmp_path: Path) -> None:
    net = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0)
    text = write_report(result, net, tmp_path / "report.html").read_text()
    for name in set(result.backing["next"]) - {""}:
        assert f"then {name.partition(':')[2]}" in text


def test_solve_reserve_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "room.json"
    pp.to_json(room(4, 2, 2, 2, seed=1, reserve_part=2.0), str(file))
    done = CliRunner().invoke(app, ["solve", str(file), "reserve", "--out", str(tmp_path / "plan.json")])
    assert done.exit_code == 0, done.output
    assert "margin" in done.output
    assert json.loads((tmp_path / "plan.json").read_text())["problem"] == "reserve"


@pytest.mark.parametrize("words", [["--failed", "ups:R1"]])
def test_a_failure_is_no_input_of_an_allocation(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "room.json"
    pp.to_json(room(4, 2, 2, 2, seed=1, reserve_part=2.0), str(file))
    done = CliRunner().invoke(app, ["solve", str(file), "reserve", *words])
    assert done.exit_code == 2
    assert "no such keyword for reserve" in done.output + str(done.stderr)
