"""One row a contingency and load case."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli import app

PARTS = {"low": 0.6, "high": 1.0}


@pytest.fixture(scope="module")
def net() -> Any:
    return pdnopt.load_case("two_feed")


def racks_kw(net: Any) -> pd.Series:
    """Return what every cord draws, kW."""
    load = net.load[net.load["kind"] != "ups_input"]
    return load["p_mw"] * load["scaling"] * 1000.0


def test_each_case_is_solved_with_its_loads(net: Any) -> None:
    """80 kW of racks: 48 kW fit on the 60 kW of the other UPS, 80 kW do not."""
    loads = pd.DataFrame({name: part * racks_kw(net) for name, part in PARTS.items()})
    frame = pdnopt.sweep(net, components=["ups"], loads=loads, workers=1)
    assert frame["contingency"].tolist() == ["ups:UPS-A"] * 2 + ["ups:UPS-B"] * 2
    assert frame["load_case"].tolist() == ["low", "high"] * 2
    assert frame["unserved_kw"].tolist() == pytest.approx([0.0, 20.2, 0.0, 20.2], abs=0.1)
    for row in frame.to_dict(orient="records"):
        alone = pdnopt.solve(
            net, failed=[row["contingency"]], explain=False, p_load_kw=loads[row["load_case"]]
        )
        assert (row["status"], row["n_actions"]) == (alone.status, len(alone.plan.actions))
        assert row["unserved_kw"] == pytest.approx(alone.unserved_kw, abs=1e-9)


def test_the_order_of_the_cases_changes_no_plan(net: Any) -> None:
    """What was solved before must not matter: a session compiled for high loads is not used for low ones."""
    loads = pd.DataFrame({name: part * racks_kw(net) for name, part in PARTS.items()})
    there, back = (
        pdnopt.sweep(net, components=["ups"], loads=some, workers=1, plans=True)
        for some in (loads, loads[["high", "low"]])
    )
    keys = ["contingency", "load_case"]
    there, back = (
        some.drop(columns=["total_s"]).sort_values(keys, ignore_index=True) for some in (there, back)
    )
    pd.testing.assert_frame_equal(there, back, check_exact=True)


def test_steps_and_scenarios_have_a_column_each(net: Any) -> None:
    columns = pd.MultiIndex.from_tuples([(0, 0.5), (0, 0.9), (1, 0.5)])
    loads = pd.concat([part * racks_kw(net) for part in (0.5, 0.6, 0.7)], axis=1)
    loads.columns = columns
    frame = pdnopt.sweep(net, components=["ups:UPS-A"], loads=loads, workers=1)
    assert list(zip(frame["step"], frame["scenario"], strict=True)) == list(columns)
    loads.columns = columns.set_names(["hour", "quantile"])
    assert {"hour", "quantile"} <= set(pdnopt.sweep(net, components=["ups:UPS-A"], loads=loads).columns)


def test_every_fault_of_every_case_is_told_at_once(net: Any) -> None:
    loads = pd.DataFrame({"gap": racks_kw(net) * float("nan"), "sign": -racks_kw(net), "good": racks_kw(net)})
    with pytest.raises(pdnopt.InputError) as caught:
        pdnopt.sweep(net, components=["ups"], loads=loads)
    told = {issue.path for issue in caught.value.issues}
    assert told == {"sweep(loads=...) gap", "sweep(loads=...) sign"}
    with pytest.raises(pdnopt.InputError, match="p_load_kw"):
        pdnopt.sweep(net, components=["ups"], loads=loads[["good"]], p_load_kw=racks_kw(net))


def test_the_command_line_takes_levels() -> None:
    words = ["sweep", "two_feed", "--components", "ups:UPS-A", "--json"]
    rows = json.loads(CliRunner().invoke(app, [*words, "--load-levels", "0.3,0.6"]).stdout)
    assert [row["load_case"] for row in rows] == [0.3, 0.6]
    assert rows[0]["unserved_kw"] < 0.1 < rows[1]["unserved_kw"]  # 36 and 72 kW on 60 kW
    for wrong in (["--load-levels", "much"], ["--load-levels", "0.3", "--load-level", "0.3"]):
        assert CliRunner().invoke(app, [*words, *wrong]).exit_code == 2
