"""The report of a run: what it says is what the journal and the emulated plant say."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli.app import app
from pdnopt.emulator.scenario import load_scenario
from pdnopt.errors import InputError
from pdnopt.journal import Journal, Past, read_past
from pdnopt.loop import LoopSettings
from pdnopt.report import render_run_html, write_run_report
from pdnopt.report.run_view import read_run
from pdnopt.runs import simulate

LOOK = LoopSettings(interval_s=30.0, playbook=False)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    path = tmp_path_factory.mktemp("run") / "journal.db"
    simulate(pdnopt.load_case("two_feed"), path, load_scenario("two_feed_storm"), hours=0.2, settings=LOOK)
    return read_past(path)


def test_figures_are_the_plants_own(past: Past) -> None:
    view = read_run(past)
    truth = next(body for _, kind, body in past.events() if kind == "truth")
    shown = {figure.label: figure.value for figure in view.figures}
    assert float(shown["other load not served"]) == pytest.approx(truth["unserved_kwh"]["3"], abs=0.05)
    assert shown["trips on overload"] == str(len(truth["trips"]))
    done = past.connection.execute("SELECT count(*) FROM outcome WHERE outcome = 'done'").fetchone()[0]
    assert shown["commands confirmed"] == str(done)
    assert done > 0


def test_story_is_in_order_and_names_the_failure_and_every_command(past: Past) -> None:
    rows = read_run(past).rows
    assert [row.t_s for row in rows] == sorted(row.t_s for row in rows)
    assert any(row.what == "UPS-A fails" and row.tone == "bad" for row in rows)
    told = [row for row in rows if row.who == "command"]
    devices = {r[0].partition(":")[2] for r in past.connection.execute("SELECT device FROM command")}
    assert all(any(device in row.what for row in told) for device in devices)
    failed_s = next(row.t_s for row in rows if row.what == "UPS-A fails")
    assert all(row.t_s > failed_s for row in told)


def test_ups_that_takes_all_over_is_drawn_above_its_limit(past: Past) -> None:
    panel = next(panel for panel in read_run(past).panels if panel.title == "UPS loading")
    survivor = next(line for line in panel.lines if line.name == "UPS-B")
    assert survivor.most > 100.0 > survivor.last
    assert panel.limit_y is not None
    assert 0 < panel.limit_y < 90


def test_page_is_whole_and_asks_nothing_of_the_network(past: Past, tmp_path: Path) -> None:
    text = write_run_report(past, tmp_path / "deep" / "run.html").read_text()
    assert text == render_run_html(past)
    assert not re.search(r"(src|href)=.https?:", text)
    assert "emulated" in text
    assert text.count("<svg") == text.count("</svg>")


def test_figures_of_a_real_plant_say_that_they_are_beliefs(past: Past, tmp_path: Path) -> None:
    path = tmp_path / "real.db"
    with closing(sqlite3.connect(path)) as copy:
        past.connection.backup(copy)
        copy.execute("DELETE FROM event WHERE kind = 'truth'")
        copy.commit()
    believed = read_past(path)
    view = read_run(believed)
    assert not view.simulated
    assert "what the controller believed" in render_run_html(believed)
    assert "trips on overload" not in {figure.label for figure in view.figures}
    true_kwh = next(body for _, kind, body in past.events() if kind == "truth")["unserved_kwh"]["3"]
    shown = next(f.value for f in view.figures if f.label == "other load not served")
    assert float(shown) == pytest.approx(true_kwh, rel=0.1)


def test_replay_writes_it_and_a_journal_without_a_scan_says_so(past: Past, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["replay", str(past.path), "--report", str(tmp_path / "run.html")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "run.html").stat().st_size > 5000
    Journal(tmp_path / "empty.db").close()
    with pytest.raises(InputError, match="no scan"):
        read_run(read_past(tmp_path / "empty.db"))
