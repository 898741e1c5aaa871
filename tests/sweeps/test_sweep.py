"""Every contingency of a network in one table."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Any

import pandapower.networks as pn
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli import app
from pdnopt.sweeps import COLUMNS, contingencies


def test_two_feed_row_by_row() -> None:
    seen: list[tuple[int, int, str]] = []
    net = pdnopt.load_case("two_feed")
    frame = pdnopt.sweep(net, components=["ups", "ext_grid"], progress=lambda *at: seen.append(at))
    more = ["unserved_p2_kw", "unserved_p3_kw", "answer", "same_as"]
    assert list(frame.columns) == [*COLUMNS, *more]
    assert seen[0] == (0, len(frame), frame["contingency"][0])
    assert [done for done, _, _ in seen] == list(range(len(frame) + 1))
    by_priority = frame[["unserved_p1_kw", "unserved_p2_kw", "unserved_p3_kw"]].sum(axis=1)
    assert by_priority.to_numpy() == pytest.approx(frame["unserved_kw"].to_numpy())
    row = frame.set_index("contingency").loc["ups:UPS-A"]
    one = pdnopt.solve(net, "reroute", failed=["ups:UPS-A"], explain=False)
    assert row["status"] == one.status == "optimal"
    assert row["unserved_kw"] == pytest.approx(one.unserved_kw)
    assert row["unserved_kw"] == pytest.approx(20.2, abs=0.1)  # by hand: 80 kW on 60 kW, less losses
    assert row["deadline_s"] == pytest.approx(60.0)  # 134 % of UPS-B
    assert row["plan_s"] == pytest.approx(0.5)
    assert row["worst_component"] == "ups:UPS-B"
    assert row["margin_kw"] == pytest.approx(60.0 * (1 - row["worst_loading_percent"] / 100.0), abs=1e-6)


def test_pairs() -> None:
    net = pdnopt.load_case("two_feed")
    frame = pdnopt.sweep(net, k=2, components=["ups"])
    assert frame["contingency"].tolist() == ["ups:UPS-A + ups:UPS-B"]
    assert frame["unserved_kw"][0] == pytest.approx(80.0)


def test_final_circuits_are_left_out() -> None:
    net = pdnopt.load_case("two_feed")
    few, all_ = contingencies(net), contingencies(net, "all")
    assert set(few) <= set(all_)
    assert not any(name.startswith(("load:", "rack:")) for name in all_)
    assert not any("bypass" in name or "output" in name for name in all_)


def test_a_plain_network() -> None:
    """A radial feeder's end bus feeds one load only: it is a final circuit; the rest can fail."""
    net = pn.create_cigre_network_mv()
    names = contingencies(net, ["line"])
    assert len(names) == len(net.line)


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"k": 3}, "k"),
        ({"components": ["nonsense"]}, "components"),
        ({"failed": ["ups:UPS-A"]}, "failed"),
        ({"nonsense": 1}, "nonsense"),
        ({"problem": "nonsense"}, "problem"),
        ({"workers": 0}, "workers"),
        ({"workers": 2, "cluster": "tcp://127.0.0.1:1"}, "workers"),
        ({"workers": 2, "extend": print}, "extend"),
        ({"resume": "folder", "extend": print}, "resume"),
        ({"loads": [1.0]}, "loads"),
    ],
)
def test_bad_input(
    keywords: dict[str, Any], field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pdnopt.InputError, match=field):
        pdnopt.sweep(pdnopt.load_case("two_feed"), **keywords)


def test_the_command_line(tmp_path: Any) -> None:
    out = tmp_path / "sub" / "sweep.csv"
    run = CliRunner().invoke(app, ["sweep", "two_feed", "--components", "ups", "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert "2 of 2 contingencies have a verified plan; 2 leave load unserved" in run.output
    assert out.read_text().startswith("contingency,status")
    assert "0 pruned, 0 shared with another one, 2 solved" in run.output
    assert "20.1 kW not served: ups:UPS-A" in run.output
    run = CliRunner().invoke(app, ["sweep", "two_feed", "--components", "ext_grid", "--json"])
    rows = json.loads(run.stdout)
    assert all(row["deadline_s"] is None or row["deadline_s"] < inf for row in rows)
    run = CliRunner().invoke(app, ["sweep", "two_feed", "--components", "nonsense"])
    assert run.exit_code == 2
    assert "nonsense" in run.output
