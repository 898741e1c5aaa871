"""The live view of a run: it fits a terminal and says what the loop knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

import pdnopt
from pdnopt.cli.live import LiveView
from pdnopt.emulator.scenario import load_scenario
from pdnopt.journal import Journal
from pdnopt.loop import LoopSettings
from pdnopt.runs import Simulation

WIDTH, HEIGHT = 100, 40


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what the view shows before a failure, right after it, and later."""
    journal = Journal(tmp_path_factory.mktemp("live") / "journal.db")
    settings = LoopSettings(interval_s=60.0)
    made = Simulation(
        pdnopt.load_case("two_feed"), journal, load_scenario("two_feed_storm"), settings=settings
    )
    pages = []
    with (Path(journal.path).parent / "out").open("w") as sink:
        view = LiveView(made.loop, made.plant.start_utc_s, Console(file=sink, width=WIDTH, height=HEIGHT))
        with view:
            made.loop.start()
            for until_s in (590.0, 600.5, 640.0):
                made.loop.run(until_s)
                page = Console(width=WIDTH, height=HEIGHT, record=True, file=sink)
                page.print(view.render())
                pages.append(page.export_text())
    journal.close()
    return pages


def test_it_fits_a_terminal(shown: list[str]) -> None:
    for page in shown:
        lines = page.splitlines()
        assert len(lines) <= HEIGHT
        assert max(map(len, lines)) <= WIDTH


def test_it_says_what_is_lost_and_what_is_done(shown: list[str]) -> None:
    before, at, after = shown
    assert "all of it served" in before
    assert "UPS-A" in before
    assert "acts (lost ups:UPS-A)" in at
    assert "kW not served" in after
    assert "ups:UPS-A has failed" in after
    assert "off" in after


def test_an_overload_shows_in_the_bar_and_in_the_clock(shown: list[str]) -> None:
    at = shown[1]
    line = next(line for line in at.splitlines() if "UPS-B" in line and "█" in line)
    percent = float(line.split("%")[0].split()[-1])
    assert percent > 100.0 or "not served" in at
    assert "prepared" in at
