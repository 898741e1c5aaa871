"""The page of a placement: what it says, and that it needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

import pdnopt
from pdnopt.report import render_placement_html, write_placement_report

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_the_page_names_what_is_placed_refused_and_why(tmp_path: Path) -> None:
    net = pdnopt.load_case("two_feed")
    racks = pd.DataFrame({"name": ["N<0>", "N1"], "p_kw": [9.5, 3.0]})
    found = pdnopt.place(net, racks, shed_priorities=[3])
    page = write_placement_report(found, net, tmp_path / "out" / "page.html", WHEN).read_text(
        encoding="utf-8"
    )
    assert "2 new racks on two_feed" in page
    assert "N&lt;0&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert "2 January 2026" in page
    for section in ("Who backs whom", "Margins", "Refused", "Where they go", "What went in"):
        assert section in page
    assert "UPS-A + UPS-B" in page


def test_a_page_without_any_placed_rack() -> None:
    net = pdnopt.load_case("two_feed")
    found = pdnopt.place(net, pd.DataFrame({"name": ["big"], "p_kw": [500.0]}))
    page = render_placement_html(found, net, WHEN)
    assert "0 of 1 rack placed" in page
    assert "Who backs whom" not in page
