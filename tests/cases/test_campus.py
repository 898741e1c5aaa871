"""``campus``: what is built, and what its failures ask for, by hand.

The sums
--------
24 halls of two UPSs of 2.4 MW at 50 %: 57.6 MW on 48 UPSs, 1.2 MW each; power factor 0.99.

* A UPS draws 1.2 / 0.965 / 0.99 = 1.256 MVA and its cable losses; a transformer 110/20 kV feeds two rings' halves of
  two districts: 12 boards, 15.1 MVA, 48 % of 31.5.
* A ring cut at its head (ring 1a0): three boards dark, so the UPSs A of halls 01..03 run on battery:
  240 kWh / 1.2 MW = 12 min. T1 or M1 lost: 12 boards, 12 UPSs. Utility 1 lost: HV 1, T1 and T3, 24 UPSs.
* UPS-01A lost: 2.4 MW on UPS-01B, 101 % of its kVA, which it carries for good: nothing to do.
* PDU-01A01 lost: its racks live on their second cords and STSs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cases.campus import campus
from pdnopt.acflow import FlowEngine
from pdnopt.baselines import PlanWriter
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import overloads, respond
from tests.cases.soundness import assert_kept_by_json, assert_sound, racks_of


@pytest.fixture(scope="module")
def net() -> Any:
    return campus()


@pytest.fixture(scope="module")
def arrays(net: Any) -> tuple[Any, Any]:
    grid = read_grid(net)
    return grid, read_demand(net, grid)


def test_counts(net: Any) -> None:
    circuits = (net.load["rack"] != "").sum()
    assert circuits >= 20_000
    assert circuits == 2 * 10_560 - net.load.loc[net.load["rack"] != "", "rack"].value_counts().eq(1).sum()
    assert (len(net.ups), (net.ext_grid["kind"] == "genset").sum()) == (48, 48)
    assert (net.trafo["sn_mva"] == 31.5).sum() == 4
    assert net.line["name"].str.startswith("ring ").sum() == 4 * 2 * 7
    table = racks_of(net)
    assert (len(table), table["kw"].sum()) == (10_560, pytest.approx(57_600.0))
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx([0.30, 0.40, 0.30], abs=0.01)
    for name in ("bus", "line", "switch", "transfer", "ups"):
        assert net[name]["name"].is_unique, name


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    assert flow.res_ups["loading_percent"].to_numpy() == pytest.approx(np.full(48, 50.6), abs=0.2)
    big = flow.res_trafo.loc[net.trafo["sn_mva"] == 31.5, "loading_percent"]
    assert big.to_numpy() == pytest.approx(np.full(4, 100.0 * 15.1 / 31.5), abs=0.8)


@pytest.mark.parametrize(("halls", "sections"), [(1, 2), (6, 2), (9, 2), (15, 4)])
def test_smaller_ones_are_sound_too(halls: int, sections: int) -> None:
    net = campus(halls=halls)
    assert_sound(net)
    assert (len(net.ups), (net.trafo["sn_mva"] == 31.5).sum()) == (2 * halls, sections)
    assert len(racks_of(net)) == 440 * halls
    grid = read_grid(net)
    demand = read_demand(net, grid)
    for utility in ("ext_grid:Utility-1", "ext_grid:Utility-2"):
        response = respond(grid, demand, parse_failed(net, [utility]))
        assert (response.state.ups_mode == "battery").sum() == halls  # one of the two UPSs of every hall


@pytest.mark.parametrize("halls", [0, 91])
def test_a_number_of_halls_that_cannot_be_built_is_refused(halls: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 90, not {halls}"):
        campus(halls=halls)


def test_it_is_the_same_each_time(net: Any) -> None:
    again = campus()
    for table in ("bus", "line", "trafo", "switch", "transfer", "interlock", "load", "ups", "ext_grid"):
        pd.testing.assert_frame_equal(net[table], again[table])


def test_it_survives_json(net: Any, tmp_path: Path) -> None:
    assert_kept_by_json(net, tmp_path / "campus.json")


@pytest.mark.parametrize(
    ("failed", "on_battery"),
    [
        ("line:ring 1a0", ["UPS-01A", "UPS-02A", "UPS-03A"]),
        ("line:ring 1b0", ["UPS-01B", "UPS-02B", "UPS-03B"]),
        ("line:ring 3a3", []),
        ("bus:MV 09-2", ["UPS-09B"]),
        ("trafo:T1", 12),
        ("bus:M1", 12),
        ("ext_grid:Utility-1", 24),
        ("ups:UPS-01A", []),
        ("bus:PDU-01A01", []),
    ],
)
def test_what_leaves_upss_on_battery(
    net: Any, arrays: tuple[Any, Any], failed: str, on_battery: list[str] | int
) -> None:
    grid, demand = arrays
    response = respond(grid, demand, parse_failed(net, [failed]))
    found = [
        name.removeprefix("ups:")
        for name, mode in zip(grid.upss.name, response.state.ups_mode, strict=True)
        if mode == "battery"
    ]
    assert (len(found) if isinstance(on_battery, int) else found) == on_battery
    assert not response.interrupted.any()
    clocks = overloads(net, response.grid, demand, response, FlowEngine(net))
    assert {clock.kind for clock in clocks} <= {"battery", "overload"}
    for clock in clocks:
        if clock.kind == "battery":
            assert clock.deadline_s == pytest.approx(240.0 / 1203.0 * 3600.0, rel=5e-3)
        else:
            assert (clock.component, clock.deadline_s > 3600.0) == ("ups:UPS-01B", True)


@pytest.mark.parametrize(
    ("failed", "moves"),
    [
        ("line:ring 1a0", [("QL-1a3", True)]),
        ("trafo:T1", [("QT-M1-M2", True)]),
        ("ext_grid:Utility-1", [("QI-1", False), ("QT-HV", True)]),
        ("bus:M1", [(f"QL-{d}{r}3", True) for d, r in ((1, "a"), (1, "b"), (4, "a"), (4, "b"))]),
    ],
)
def test_a_plan_by_hand_brings_them_back(
    net: Any, arrays: tuple[Any, Any], failed: str, moves: list[tuple[str, bool]]
) -> None:
    grid, demand = arrays
    response = respond(grid, demand, parse_failed(net, [failed]))
    writer = PlanWriter(response, demand, latency_s=0.5)
    for name, closed in moves:
        writer.switch(grid.switches.name.index(f"switch:{name}"), closed)
    plan = Plan(failed=(failed,), automatic=response.automatic, actions=tuple(writer.actions))
    assert Checker(net).check(plan) == []
    assert (writer.state.ups_mode == "online").all()
    assert len(plan.actions) <= 4
