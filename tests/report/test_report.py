"""The report: one file, complete, safe, and right in its numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandapower as pp
import pytest

import pdnopt
from pdnopt.diagram import read_situation
from pdnopt.report import fingerprint, render_html, write_report
from pdnopt.report.loadings import read_loadings
from pdnopt.report.view import read_view
from pdnopt.words import compact_names, kw, number, percent, plural, seconds, short

WHEN = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
VOID = {"meta", "br", "rect", "line", "circle", "path", "link", "img", "hr", "input"}


class Tags(HTMLParser):
    """Checks that tags nest, and collects them with their attributes and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def parse(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    return tags


def plain(tags: Tags) -> str:
    return re.sub(r"[\s\u00a0\u202f]+", " ", tags.text)


@pytest.fixture(scope="module")
def solved() -> tuple[Any, pdnopt.Result]:
    net = pdnopt.load_case("two_feed")
    return net, pdnopt.solve(net, "reroute", failed=["ups:UPS-A"])


@pytest.fixture(scope="module")
def page(solved: tuple[Any, pdnopt.Result]) -> str:
    net, result = solved
    return render_html(result, net, WHEN)


def test_it_is_one_self_contained_file(page: str) -> None:
    tags = parse(page)
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "img", "iframe", "object"}
    links = [value for _, attrs in tags.seen for key, value in attrs.items() if key in ("href", "src")]
    assert all(str(link).startswith("#") for link in links)
    loaded = page.replace(' xmlns="http://www.w3.org/2000/svg"', "")  # a name, not an address
    assert not re.search(r"url\(|@import|https?://", loaded)


def test_it_says_what_a_person_needs(page: str, solved: tuple[Any, pdnopt.Result]) -> None:
    net, result = solved
    text = plain(parse(page))
    for said in (
        "Loss of UPS-A on two_feed",
        "Verified plan.",
        "1 March 2025, 12:30 UTC",
        "What to do",
        "3 commands in 1 step",
        "One-line diagram",
        "As the failure left it",
        "After the plan",
        "Load served at the end",
        "Loadings against limits",
        "80 of 60 kW (134 %)",
        "trips at 60 s",
        "relieved at 0.5 s",
        "80.0 kW would be lost in the end",
        "UPS-B is at its limit",
        "Independent checker: no findings",
        "unserved load, priority 3",
        fingerprint(net),
    ):
        assert said in text
    assert f"{number(result.unserved_kw)} kW not served at the end" in text


def test_loadings_before_and_after_the_plan(solved: tuple[Any, pdnopt.Result]) -> None:
    """80 kW and 0.2 kW of losses on a 60 kVA UPS before; at its rating after."""
    net, result = solved
    rows = {row.component: row for row in read_loadings(read_situation(net, result.plan))}
    ups = rows["ups:UPS-B"]
    assert ups.before == pytest.approx(100 * 80.2 / 60.0, abs=0.1)
    assert 99.0 < ups.after <= 100.0 + 1e-6
    assert rows["line:feeder B"].before == pytest.approx(115.8 / 200.0 * 100.0, abs=0.1)
    assert rows["line:feeder B"].rating == "200\u00a0A"
    assert rows["ext_grid:Utility-B"].before == pytest.approx(100 * 83.56 / 200.0, abs=0.1)
    assert "ups:UPS-A" not in rows
    assert not any(name.startswith("ext_grid:UPS") for name in rows)


def test_loadings_are_those_of_the_networks_that_the_plan_leaves(solved: tuple[Any, pdnopt.Result]) -> None:
    net, result = solved
    rows = {row.component: row for row in read_loadings(read_situation(net, result.plan))}
    for plan, moment in ((replace(result.plan, actions=()), "before"), (result.plan, "after")):
        judged = pdnopt.powerflow(plan.apply(net))
        for table in ("line", "ups"):
            for name, percent_ in zip(
                judged[table]["name"], judged[f"res_{table}"]["loading_percent"], strict=True
            ):
                found = getattr(rows[f"{table}:{name}"], moment) if f"{table}:{name}" in rows else 0.0
                assert found == pytest.approx(percent_ if percent_ == percent_ else 0.0, abs=1e-3)


def test_a_lost_module_lowers_the_rating() -> None:
    net = pdnopt.load_case("two_feed")
    net.ups["n_modules"] = 4
    whole = {row.component: row for row in read_loadings(read_situation(net, pdnopt.Plan()))}
    lost = pdnopt.Plan(failed=("ups:UPS-A@module",))
    derated = {row.component: row for row in read_loadings(read_situation(net, lost))}
    assert derated["ups:UPS-A"].after == pytest.approx(whole["ups:UPS-A"].after * 4 / 3)
    assert (whole["ups:UPS-A"].rating, derated["ups:UPS-A"].rating) == ("60\u00a0kVA", "45\u00a0kVA")
    assert derated["ups:UPS-B"] == whole["ups:UPS-B"]


def test_limits_other_than_100_percent_count() -> None:
    net = pdnopt.load_case("two_feed")

    def feeder_percent() -> float:
        rows = read_loadings(read_situation(net, pdnopt.Plan()))
        return next(row.after for row in rows if row.component == "line:feeder A")

    free = feeder_percent()
    net.line["max_loading_percent"] = 50.0
    assert feeder_percent() == pytest.approx(2 * free)


def test_names_are_escaped(solved: tuple[Any, pdnopt.Result]) -> None:
    net, result = solved
    evil = replace(result, network="<script>alert(1)</script>", notes=("<b onclick=x>",))
    tags = parse(render_html(evil, net, WHEN))
    assert not [tag for tag, attrs in tags.seen if tag == "script" or "onclick" in attrs]
    assert "<script>alert(1)</script>" in tags.text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("feasible", "The search stopped early"),
        ("infeasible", "No plan exists under the limits given. Hold."),
        ("no_incumbent", "None was found in the time given"),
        ("failed", "The independent checker refused"),
    ],
)
def test_every_status_is_put_in_words(solved: tuple[Any, pdnopt.Result], status: Any, said: str) -> None:
    net, result = solved
    assert said in plain(parse(render_html(replace(result, status=status), net, WHEN)))


def test_a_refused_plan_is_never_headed_what_to_do(solved: tuple[Any, pdnopt.Result]) -> None:
    net, result = solved
    text = plain(parse(render_html(replace(result, status="failed"), net, WHEN)))
    assert "What to do" not in text
    assert "What the refused plan would do" in text
    assert "Do not carry them out" in text


@pytest.mark.parametrize(("status", "said"), [("feasible", "lasts to the end"), ("failed", "not relieved")])
def test_a_clock_that_is_not_relieved(solved: tuple[Any, pdnopt.Result], status: Any, said: str) -> None:
    """A verified plan may leave a little overload that the budget carries; without a plan it just runs out."""
    net, result = solved
    clock = replace(result.clocks[0], relieved_s=float("inf"))
    text = plain(parse(render_html(replace(result, status=status, clocks=(clock,)), net, WHEN)))
    assert f"trips at 60 s {said}" in text


def test_findings_of_the_checker_are_shown(solved: tuple[Any, pdnopt.Result]) -> None:
    net, result = solved
    issue = pdnopt.Issue("Overload", "plan.end", "ups:UPS-B", "120 %", "100 %", "Take more load off it.")
    text = plain(parse(render_html(replace(result, status="failed", issues=[issue]), net, WHEN)))
    assert "Independent checker: 1 finding" in text
    assert "Overload at ups:UPS-B plan.end found 120 %; allowed: 100 %. Take more load off it." in text


def test_a_result_without_plan_numbers_or_power_flow(solved: tuple[Any, pdnopt.Result]) -> None:
    """As after no_incumbent: nothing to count, nothing to draw; still a page."""
    net, result = solved
    empty = replace(
        result,
        status="no_incumbent",
        objective={},
        bound={},
        gap={},
        plan=replace(result.plan, actions=(), failed=("ups:UPS-Z",)),
        losses_kw=float("nan"),
        worst_component="",
        worst_loading_percent=float("nan"),
        clocks=(),
        cascade=(),
        reasons=(),
        notes=(),
    )
    text = plain(parse(render_html(empty, net, WHEN)))
    assert "There are no commands" in text
    assert "No AC power flow of the network as the failure left it" in text


def test_many_actions_are_grouped_and_listed_in_the_annex(solved: tuple[Any, pdnopt.Result]) -> None:
    _, result = solved
    many = tuple(pdnopt.Action(1, 0.5, f"rack:R{k:03d}", "cap", 10.0, 6.0, "") for k in range(1, 301))
    one = pdnopt.Action(2, 0.6, "switch:QT", "close", False, True, "")
    crowded = replace(result, plan=replace(result.plan, actions=(*many, one)))
    view = read_view(crowded, [], "", "", (), WHEN)
    assert [row.step for row in view.actions] == ["1", "2"]
    assert view.actions[0].devices == "R001\u2013R300"
    assert "Cap 300 racks from 3\u202f000.0 to 1\u202f800.0\u00a0kW" in view.actions[0].what
    assert view.actions[1].what == "Close QT"
    assert len(view.annex) == 301


def test_write_report_makes_folders_and_returns_the_path(
    tmp_path: Path, solved: tuple[Any, pdnopt.Result]
) -> None:
    net, result = solved
    path = write_report(result, net, tmp_path / "a" / "b" / "report.html", WHEN)
    assert path == (tmp_path / "a" / "b" / "report.html").resolve()
    assert path.read_text(encoding="utf-8") == render_html(result, net, WHEN)


def test_fingerprint_survives_a_file_and_sees_every_change(tmp_path: Path) -> None:
    net = pdnopt.load_case("two_feed")
    before = fingerprint(net)
    pp.to_json(net, str(tmp_path / "net.json"))
    assert fingerprint(pdnopt.load_case(tmp_path / "net.json")) == before
    assert fingerprint(pdnopt.powerflow(net)) != ""
    for table, column, value in (
        ("load", "p_mw", 0.0051),
        ("switch", "closed", False),
        ("ups", "name", "UPS-X"),
    ):
        other = pdnopt.load_case("two_feed")
        other[table].loc[other[table].index[0], column] = value
        assert fingerprint(other) != before


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["rack:R1", "rack:R2", "rack:R3", "rack:R5"], "R1\u2013R3, R5"),
        (["rack:R9", "rack:R10", "rack:R11"], "R9\u2013R11"),
        (["rack:R099", "rack:R100", "rack:R101"], "R099\u2013R101"),
        (["rack:R1", "rack:R2"], "R1, R2"),
        (["switch:QA", "switch:QB"], "QA, QB"),
        (["bus:3", "bus:4", "bus:5"], "bus 3\u2013bus 5"),
        ([], ""),
    ],
)
def test_compact_names(names: list[str], said: str) -> None:
    assert compact_names(names) == said


def test_compact_names_stop_somewhere() -> None:
    assert compact_names([f"rack:R{2 * k}" for k in range(20)], 3) == "R0, R2, R4 and 17 more"


def test_words() -> None:
    assert kw(12345.67) == "12\u202f345.7\u00a0kW"
    assert number(-0.01) == "0.0"
    assert number(-2.0) == "\u22122.0"
    assert number(float("inf")) == "\u2013"
    assert percent(99.96) == "100\u00a0%"
    assert plural(1, "switch") == "1 switch"
    assert plural(2, "switch") == "2 switches"
    assert plural(3, "rack") == "3 racks"
    assert short("ups:UPS-A") == "UPS-A"
    assert short("bus:12") == "bus 12"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0.0 s"),
        (0.004, "4 ms"),
        (0.5, "0.5 s"),
        (0.85, "0.85 s"),
        (60.0, "60 s"),
        (600.0, "10 min"),
        (7200.0, "2.0 h"),
        (float("inf"), "never"),
    ],
)
def test_seconds(value: float, said: str) -> None:
    assert seconds(value).replace("\u00a0", " ") == said
