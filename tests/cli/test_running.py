"""``pdnopt run``, ``replay`` and ``alarms`` as a person calls them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pdnopt.cli.app import app

SCENARIO = """
case: two_feed
seed: 3
duration_s: 60
events:
  - {at_s: 20, fail: "ups:UPS-A"}
"""


def call(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    return found.exit_code, found.output


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "storm.yaml").write_text(SCENARIO)
    path = folder / "journal.db"
    code, told = call("run", "two_feed", "--simulate", "--scenario", folder / "storm.yaml", "--journal", path)
    assert code == 0, told
    assert "acts (lost ups:UPS-A): 3 actions" in told
    assert "trips 0" in told
    return path


def test_replay_tells_what_happened(journal: Path) -> None:
    code, told = call("replay", journal)
    assert code == 0
    assert "rack:R8: shed 0.0: done" in told
    code, told = call("replay", journal, "--at", 50, "--json")
    moment = json.loads(told)
    assert moment["failed"] == ["ups:UPS-A"]
    assert moment["unserved_kw"]["1"] == 0.0
    assert moment["unserved_kw"]["3"] == pytest.approx(20.1, abs=0.1)


def test_replay_compares_decisions_on_three_plants(journal: Path) -> None:
    """By hand: 80 kW on 60 kW of UPS-B trip it after a minute; 20.1 kW less do not."""
    code, told = call("replay", journal, "--at", 20.5, "--instead", "reroute", "--json")
    assert code == 0, told
    found = json.loads(told)
    trips = {course["name"]: course["trips"] for course in found["courses"]}
    assert trips["nothing"] > 0
    assert trips["what was sent"] == trips["reroute instead"] == 0
    dark = {course["name"]: course["unserved_kwh"]["1"] for course in found["courses"]}
    assert dark["nothing"] > 1.0
    assert dark["what was sent"] == dark["reroute instead"] == 0.0


def test_alarms_are_shown_and_acknowledged(journal: Path) -> None:
    code, told = call("alarms", journal)
    assert code == 0
    assert "ups:UPS-A has failed" in told
    number = json.loads(call("alarms", journal, "--json")[1])["alarms"][0]["id"]
    assert call("alarms", journal, "--acknowledge", number)[0] == 2  # by whom?
    assert "seen by ann" in call("alarms", journal, "--acknowledge", number, "--who", "ann")[1]
    assert call("alarms", journal, "--acknowledge", number, "--who", "bob")[0] == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["run", "two_feed"], "--simulate"),
        (["run", "two_feed", "--simulate", "--hours", "-1"], "--hours"),
        (["run", "two_feed", "--simulate", "--mode", "perhaps", "--hours", "0.001"], "mode"),
        (["run", "two_feed", "--simulate", "--scenario", "no_such"], "scenario"),
        (["replay", "no_such.db"], "journal"),
        (["alarms", "no_such.db"], "journal"),
    ],
)
def test_bad_input_is_told_without_a_traceback(words: list[str], what: str, tmp_path: Path) -> None:
    more = ["--journal", tmp_path / "j.db"] if words[0] == "run" else []
    code, told = call(*words, *more)
    assert code == 2
    assert what in told
    assert "Traceback" not in told


def test_a_moment_that_was_not_recorded(journal: Path) -> None:
    code, told = call("replay", journal, "--at", 1, "--instead", "reroute")
    assert code == 0, told
    assert call("replay", journal, "--instead", "reroute")[0] == 2
    assert call("replay", journal, "--at", -100)[0] == 2
