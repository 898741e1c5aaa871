"""Every keyword of an allocation on the command line; bad input is told in lines, with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandapower as pp
import pandas as pd
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli.app import app
from tests.reserve.rooms import room


@pytest.fixture(scope="module")
def net() -> Any:
    return room(6, 3, 2, 3, seed=4, reserve_part=1.5)


@pytest.fixture(scope="module")
def file(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("room") / "room.json"
    pp.to_json(net, str(path))
    return path


def loads_of(net: Any) -> pd.DataFrame:
    rows = net.load[net.load["rack"] != ""]
    kw = 1000.0 * rows["p_mw"]
    return pd.DataFrame({"q50": kw, "q95": 1.3 * kw}, index=rows.index)


def solved(file: Path, *words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["solve", str(file), "reserve", "--json", "--no-explain", *words])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_the_options_are_the_keywords(file: Path, net: Any, tmp_path: Path) -> None:
    csv, table = tmp_path / "loads.csv", loads_of(net)
    table.to_csv(csv)
    words = ["--loads", str(csv), "--peaks", "2", "--evacuate", "ups:R2", "--max-moves", "3"]
    words += ["--components", "ups", "--doubles", "ups:R1,ups:P1", "--time-limit-s", "60"]
    told = solved(file, *words)
    asked = pdnopt.solve(
        net, "reserve", loads=table, peaks=2, evacuate=["ups:R2"], max_moves=3, components=["ups"],
        doubles=[("ups:R1", "ups:P1")], explain=False, time_limit_s=60.0,
    )  # fmt: skip
    assert told["objective"] == pytest.approx(asked.objective, rel=1e-4, abs=1e-6)
    assert {row["contingency"] for row in told["margins"]} == set(asked.margins["contingency"])
    assert "ups:R1 + ups:P1" in asked.margins["contingency"].tolist()


def test_risk_and_parquet_are_read(file: Path, net: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    risk, loads = tmp_path / "risk.csv", tmp_path / "loads.parquet"
    pd.DataFrame({"0": [0.4]}, index=["ups:R3"]).to_csv(risk)
    loads_of(net).to_parquet(loads)
    told = solved(file, "--risk", str(risk), "--loads", str(loads), "--components", "ups")
    assert "ups:R3" not in {row["active"] for row in told["backing"]}
    assert {row["loads"] for row in told["margins"]} <= {"now", "q50", "q95"}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["--loads", "{none}"], "File"),
        (["--loads", "{text}"], "Format"),
        (["--loads", "{words}"], "Format"),
        (["--loads", "{names}"], "InvalidId"),
        (["--loads", "{gap}"], "NonFinite"),
        (["--risk", "{none}"], "File"),
        (["--doubles", "ups:R1"], "Format"),
        (["--evacuate", "ups:R9"], "InvalidId"),
        (["--peaks", "2"], "Columns"),
        (["--peaks", "-1"], "Range"),
        (["--max-moves", "-1"], "Range"),
        (["--components", "fan"], "InvalidName"),
    ],
)
def test_bad_input_is_told(file: Path, net: Any, tmp_path: Path, words: list[str], kind: str) -> None:
    row = loads_of(net).index[0]
    files = {
        "none": tmp_path / "no.csv",
        "text": tmp_path / "a.txt",
        "words": tmp_path / "words.csv",
        "names": tmp_path / "names.csv",
        "gap": tmp_path / "gap.csv",
    }
    files["text"].write_text("x")
    files["words"].write_text(f"load,kw\n{row},many\n")
    files["names"].write_text("load,kw\nrack,3.0\n")
    files["gap"].write_text(f"load,kw\n{row},\n")
    asked = [word.format(**files) for word in words]
    done = CliRunner().invoke(app, ["solve", str(file), "reserve", *asked])
    assert done.exit_code == 2, done.output
    told = done.output + str(done.stderr)
    assert kind in told
    assert "Traceback" not in told


def test_an_allocation_s_options_are_refused_elsewhere() -> None:
    done = CliRunner().invoke(app, ["solve", "two_feed", "--failed", "ups:UPS-A", "--max-moves", "2"])
    assert done.exit_code == 2
    assert "no such keyword for reroute" in done.output + str(done.stderr)


def test_help_has_a_line_for_each() -> None:
    text = CliRunner().invoke(app, ["solve", "--help"], env={"COLUMNS": "200"}).output
    for option in ("loads", "peaks", "components", "doubles", "evacuate", "risk", "max-moves", "corrective"):
        assert f"--{option}" in text
