"""The report of a sweep: one file, right at 0, 8, 300 and 3,000 rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pdnopt
from pdnopt.report import render_sweep_html, write_sweep_report
from pdnopt.report.sweep_view import read_sweep_view
from pdnopt.sweeps import COLUMNS

WHEN = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
FACTS = {"Network": "two_feed", "Fail together": "1", "Fingerprint": "ab" * 32}


def row(name: str, **values: Any) -> dict[str, Any]:
    plain = {
        "contingency": name,
        "status": "optimal",
        "unserved_kw": 0.0,
        "unserved_p1_kw": 0.0,
        "interrupted_kw": 0.0,
        "worst_component": "ups:UPS-B",
        "worst_loading_percent": 60.0,
        "margin_kw": 24.0,
        "deadline_s": inf,
        "plan_s": 0.0,
        "n_actions": 0,
        "total_s": 0.1,
    }
    return {**plain, **values}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def table(n: int) -> pd.DataFrame:
    return frame(
        [row(f"switch:Q{k}", unserved_kw=float(k % 7), worst_loading_percent=50.0 + k % 60) for k in range(n)]
    )


def test_load_cases_answers_and_crashes_are_told() -> None:
    """What a sweep has beside its first columns: the load case, rows that were not solved, workers that died."""
    rows = [
        {**row("ups:UPS-A"), "load_case": 0.7, "answer": "shared"},
        {
            **row("ups:UPS-B", status="crashed", unserved_kw=nan, deadline_s=nan, total_s=nan),
            "load_case": 0.9,
        },
    ]
    table = pd.DataFrame(rows)
    table.attrs["load_case"] = ["load_case"]
    view = read_sweep_view(table, FACTS, WHEN)
    told = {item.name: (item.note, item.status) for item in view.rows}
    assert told["UPS-A"] == ("ups, load case 0.7, same plant as another one", "verified, proved")
    assert told["UPS-B"] == ("ups, load case 0.9", "ended every worker process")
    assert "1 of 2" in [figure.value for figure in view.figures]


class Rows(HTMLParser):
    """Counts the rows of the list, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("meta", "br", "input", "circle", "path"):
            return
        self.open.append(tag)
        if tag == "table":
            self.classes.append(dict(attrs).get("class") or "")
        self.rows += tag == "tr" and "tbody" in self.open and "list" in self.classes[-1]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing is left open."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("n", [0, 8, 300, 3000])
def test_every_contingency_has_a_row(n: int) -> None:
    page = render_sweep_html(table(n), FACTS, WHEN)
    rows = Rows()
    rows.feed(page)
    assert rows.open == []
    assert rows.rows == n
    assert ("Show all" in page) == (n > 100)


def test_the_worst_come_first_and_without_a_plan_before_all() -> None:
    view = read_sweep_view(
        frame(
            [
                row("bus:good"),
                row("bus:dark", unserved_kw=12.0, n_actions=3),
                row("bus:refused", status="failed"),
                row("bus:darker", unserved_kw=40.0),
            ]
        ),
        FACTS,
        WHEN,
    )
    assert [item.name for item in view.rows] == ["refused", "darker", "dark", "good"]
    assert view.tone == "bad"
    assert view.verdict.startswith("1 of 4")
    assert view.figures[0].value == "3 of 4"
    assert view.figures[2].value == "40.0"


def test_the_heat_map_shows_the_worst_of_each_kind() -> None:
    view = read_sweep_view(
        frame(
            [
                row("ups:A", worst_loading_percent=125.0, deadline_s=60.0),
                row("ups:B", worst_loading_percent=80.0, deadline_s=600.0, unserved_kw=9.0),
                row("line:1", worst_loading_percent=40.0),
            ]
        ),
        FACTS,
        WHEN,
    )
    upss, lines = view.kinds
    columns = [m.column for m in view.measures]
    assert (upss.name, upss.status) == ("UPSs", "2 of 2")
    assert upss.cells[columns.index("unserved_kw")].words == "9.0"
    assert upss.cells[columns.index("unserved_kw")].heat == 9
    assert upss.cells[columns.index("worst_loading_percent")].heat == 9
    assert upss.cells[columns.index("deadline_s")].words.replace("\u00a0", " ") == "60 s"
    assert lines.cells[columns.index("worst_loading_percent")].heat == 0
    assert lines.cells[columns.index("deadline_s")].words == "none"


def test_pairs_and_missing_numbers() -> None:
    view = read_sweep_view(
        frame([row("ups:A + trafo:1", worst_loading_percent=nan, worst_component="", status="no_incumbent")]),
        {},
        WHEN,
    )
    assert view.rows[0].name == "A + trafo 1"
    assert view.rows[0].note == "ups + trafo"
    assert view.title == "What every failure does"
    assert "nan" not in render_sweep_html(frame([row("ups:A", worst_loading_percent=nan)]), {}, WHEN).lower()


def test_it_is_one_self_contained_file_without_live_names() -> None:
    page = render_sweep_html(
        frame([row("bus:<b onclick=x>")]), {"Network": "<script>alert(1)</script>"}, WHEN
    )
    assert "<b onclick" not in page
    assert "alert(1)</script>" not in page
    assert not re.search(r"https?://|@import|url\(|src=", page)


def test_a_real_sweep_is_written(tmp_path: Path) -> None:
    found = pdnopt.sweep(pdnopt.load_case("two_feed"), components=["ups"])
    path = write_sweep_report(found, FACTS, tmp_path / "a" / "sweep.html", WHEN)
    text = path.read_text(encoding="utf-8")
    assert "What every failure does to two_feed" in text
    assert "UPS-A" in text
    assert "ab" * 32 in text
    assert "1 March 2025, 12:30 UTC" in text
