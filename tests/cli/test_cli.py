"""The command line: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandapower as pp
import pytest
from typer.testing import CliRunner, Result

import pdnopt
from pdnopt.cli import app, solving
from pdnopt.cli.guard import working

LOSS = ["--failed", "ups:UPS-A"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_help_shows_commands_examples_and_exit_codes() -> None:
    done = run("--help")
    assert done.exit_code == 0
    for text in ("cases", "validate", "solve", "pdnopt solve hall_4n3 --failed ups:UPS-A", "2  bad input"):
        assert text in done.stdout


@pytest.mark.parametrize("command", ["cases", "validate", "solve", "sweep", "place", "risk", "report"])
def test_every_command_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"pdnopt {command} " in done.stdout.partition("Examples:")[2]


def test_version() -> None:
    assert run("--version").stdout == f"pdnopt {pdnopt.__version__}\n"


def test_cases_lists_every_case_with_a_line() -> None:
    from cases import CASES

    lines = run("cases").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert all(len(line.split()) > 1 for line in lines)


def test_cases_json() -> None:
    listed = json.loads(run("cases", "--json").stdout)
    assert {"two_feed", "hall_4n3"} <= {item["name"] for item in listed}
    assert all(item["about"] for item in listed)


def test_validate_a_sound_case() -> None:
    done = run("validate", "two_feed")
    assert (done.exit_code, done.stdout) == (0, "two_feed: 0 errors, 0 warnings\n")


@pytest.fixture
def bad_file(tmp_path: Path) -> Path:
    """A two_feed with two faults."""
    net = pdnopt.load_case("two_feed")
    net.ups["p_rated_mw"] = [-1.0, 0.06]
    net.load.loc[net.load.index[-1], "bus"] = 999
    path = tmp_path / "bad.json"
    pp.to_json(net, str(path))
    return path


def test_validate_prints_every_fault_one_a_line(bad_file: Path) -> None:
    done = run("validate", str(bad_file))
    assert done.exit_code == 2
    lines = done.stdout.splitlines()
    assert all(line.startswith(("error: ", "warning: ")) for line in lines[:-1])
    assert any("net.ups.p_rated_mw" in line for line in lines)
    assert any("999" in line for line in lines)


def test_validate_json(bad_file: Path) -> None:
    done = run("validate", str(bad_file), "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["errors"] == sum(issue["severity"] == "error" for issue in found["issues"]) >= 2


def test_solve_on_a_bad_network_lists_the_same_faults(bad_file: Path) -> None:
    done = run("solve", str(bad_file), *LOSS)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "net.ups.p_rated_mw" in done.stderr
    assert "999" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "See `pdnopt cases`"),
        (["two_fed"], "Did you mean two_feed?"),
        (["missing.json"], "missing.json"),
        (["two_feed", "--failed", "ups:UPS-Z"], "Did you mean ups:UPS-"),
        (["two_feed", "--failed", "ups:UPS-A@sideways"], "@rectifier"),
        (["two_feed", "resolve"], "reroute, reserve"),
        (["two_feed", *LOSS, "--horizon-s", "-1"], "solve(horizon_s=...)"),
        (["two_feed", *LOSS, "--load-level", "90"], "Write 0.9 for 90 %"),
        (["two_feed", *LOSS, "--minimize", " , "], "--minimize"),
        (["two_feed", *LOSS, "--load-level", "much"], "--load-level"),
        (["two_feed", *LOSS, "--colour"], "No such option"),
    ],
)
def test_bad_input_exits_2_with_a_hint(arguments: list[str], said: str) -> None:
    done = run("solve", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_all_bad_names_are_told_at_once() -> None:
    done = run("solve", "two_feed", "--failed", "ups:X", "--failed", "switch:Y")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 2


def test_bad_input_as_json() -> None:
    done = run("solve", "two_feed", "--failed", "ups:X", "--json")
    assert done.exit_code == 2
    told = json.loads(done.stdout)
    assert told["status"] == "bad_input"
    assert [issue["path"] for issue in told["issues"]] == ["failed[0]"]


def test_solve_prints_the_screen_and_writes_report_and_plan(tmp_path: Path) -> None:
    report, plan = tmp_path / "new" / "report.html", tmp_path / "new" / "plan.json"
    done = run("solve", "two_feed", *LOSS, "--report", str(report), "--out", str(plan))
    assert done.exit_code == 0, done.output
    assert "OPTIMAL" in done.stdout
    assert f"report: {report.resolve()}" in done.stdout
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    read = pdnopt.Plan.from_json(plan.read_text(encoding="utf-8"))
    assert read.failed == ("ups:UPS-A",)
    assert read.actions


def test_solve_json_is_nothing_but_json(tmp_path: Path) -> None:
    done = run("solve", "two_feed", *LOSS, "--no-explain", "--json", "--report", str(tmp_path / "r.html"))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["status"] == "optimal"
    assert told["issues"] == []
    assert told["reasons"] == []
    assert told["plan"]["failed"] == ["ups:UPS-A"]


def test_several_outages_reach_the_plan() -> None:
    done = run("solve", "two_feed", *LOSS, "--failed", "load:0@psu", "--json", "--no-explain")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["plan"]["failed"] == ["ups:UPS-A", "load:0@psu"]


def test_load_level_scales_the_demand() -> None:
    done = run("solve", "two_feed", *LOSS, "--load-level", "0.5", "--json", "--no-explain")
    assert done.exit_code == 0, done.output
    loads = json.loads(done.stdout)["plan"]["loads_kw"]["load"]
    assert sum(loads.values()) == pytest.approx(0.5 * 120.0, rel=1e-3)


def test_load_level_needs_a_ups(tmp_path: Path) -> None:
    net = pp.create_empty_network()
    bus = pp.create_bus(net, 0.4)
    pp.create_ext_grid(net, bus)
    path = tmp_path / "plain.json"
    pp.to_json(net, str(path))
    done = run("solve", str(path), "--load-level", "0.9")
    assert done.exit_code == 2
    assert "a network with a UPS" in done.stderr


def test_minimize_takes_terms_in_order() -> None:
    done = run("solve", "two_feed", *LOSS, "--minimize", "unserved, losses", "--json", "--no-explain")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["objective"])[-1] == "losses"


def test_an_unusable_status_exits_1_and_writes_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    solve = pdnopt.Session.solve

    def refused(session: pdnopt.Session, **keywords: Any) -> pdnopt.Result:
        return replace(solve(session, **keywords), status="failed")

    monkeypatch.setattr(pdnopt.Session, "solve", refused)
    plan = tmp_path / "plan.json"
    done = run("solve", "two_feed", *LOSS, "--out", str(plan))
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    assert "not written" in done.stderr
    assert not plan.exists()


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run("solve", "two_feed", *LOSS, "--no-explain", "--out", str(tmp_path / "file" / "plan.json"))
    assert done.exit_code == 2
    assert "a writable path" in done.stderr


def test_an_internal_error_is_one_line_unless_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str | None) -> None:
        raise ZeroDivisionError("one by nought\nand more")

    monkeypatch.setattr(solving, "_terms", broken)
    done = run("solve", "two_feed", *LOSS)
    assert done.exit_code == 3
    assert done.stderr.splitlines() == [
        "internal error: ZeroDivisionError: one by nought - please report it, "
        "with the output of the same command and --debug"
    ]
    assert isinstance(run("solve", "two_feed", *LOSS, "--debug").exception, ZeroDivisionError)


def test_a_power_flow_without_solution_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(text: str | None) -> None:
        raise pdnopt.PowerFlowError("no solution")

    monkeypatch.setattr(solving, "_terms", diverging)
    done = run("solve", "two_feed", *LOSS, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["message"] == "no solution"


def test_as_a_process(tmp_path: Path) -> None:
    """The whole way, from outside, in another folder: no traceback, no library chatter on stderr."""
    arguments = ["solve", "two_feed", *LOSS, "--report", "out/report.html"]
    done = subprocess.run(
        [sys.executable, "-m", "pdnopt", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "after losing ups:UPS-A" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_spinner_shows_only_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with working("thinking"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with working("thinking"):
        pass
    assert capsys.readouterr().out == ""


def test_report_writes_the_page_of_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "report.html"
    done = run("report", "two_feed", str(file), "--failed", "ups:UPS-A")
    assert done.exit_code == 0
    assert f"report: {file}" in done.stdout
    text = file.read_text(encoding="utf-8")
    assert "Loss of UPS-A on two_feed" in text
    assert "One-line diagram" in text


def test_report_of_an_unknown_component_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    done = run("report", "two_feed", str(file), "--failed", "ups:UPS-Z")
    assert done.exit_code == 2
    assert not file.exists()


def test_sweep_report(tmp_path: Path) -> None:
    file = tmp_path / "sweep.html"
    done = run("sweep", "two_feed", "--components", "ups", "--report", str(file))
    assert done.exit_code == 0
    assert "What every failure does to two_feed" in file.read_text(encoding="utf-8")


RACKS = "name,p_kw,cords,min_p_kw\nN0,9.5,2,0\nN1,3.0,2,\n"


@pytest.fixture
def racks(tmp_path: Path) -> Path:
    file = tmp_path / "racks.csv"
    file.write_text(RACKS, encoding="utf-8")
    return file


def test_place_prints_the_screen_and_writes_report_table_and_network(tmp_path: Path, racks: Path) -> None:
    page, table, saved = (tmp_path / name for name in ("place.html", "placed.csv", "after.json"))
    done = run(
        *("place", "two_feed", str(racks), "--report", str(page), "--out", str(table), "--save", str(saved))
    )
    assert done.exit_code == 1  # one is refused
    assert "N1 (3.0 kW): ups:UPS-" in done.stdout
    assert "2 new racks on two_feed" in page.read_text(encoding="utf-8")
    assert [line.split(",")[2] for line in table.read_text(encoding="utf-8").splitlines()] == [
        "status",
        "placed",
        "refused",
    ]
    assert "N0" in set(pdnopt.load_case(saved).load["rack"])


def test_place_json_and_options(racks: Path) -> None:
    done = run("place", "two_feed", str(racks), "--online", "balanced", "--place", "PDU A + PDU B", "--json")
    told = json.loads(done.stdout)
    assert told["rule"] == "balanced"
    assert [row["status"] for row in told["racks"]] == ["placed", "refused"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--online", "luck"], "lookahead"),
        (["--place", "nowhere"], "InvalidId"),
        (["--emergency-s", "-1"], "emergency_s"),
    ],
)
def test_place_bad_input_exits_2(racks: Path, arguments: list[str], said: str) -> None:
    done = run("place", "two_feed", str(racks), *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_place_a_table_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    done = run("place", "two_feed", str(tmp_path / "none.csv"))
    assert done.exit_code == 2
    assert "readable file" in done.stderr
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    done = run("place", "two_feed", str(empty))
    assert done.exit_code == 2
    assert "name and p_kw" in done.stderr
