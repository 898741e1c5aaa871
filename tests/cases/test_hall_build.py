"""Halls: what is built, that it is built the same each time, and that it can be saved and flows."""

from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from cases.hall import LEVELS, hall, hall_2n, hall_3n2, hall_4n3, hall_catcher, load_level_kw, with_load
from pdnopt.acflow import powerflow, write_companions
from pdnopt.plant.tables import COLUMNS, values

BUILDERS = {"2N": hall_2n, "3N/2": hall_3n2, "4N/3": hall_4n3, "N+1 catcher": hall_catcher}


@pytest.fixture(scope="module", params=list(BUILDERS))
def room(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, BUILDERS[request.param]()


@pytest.fixture(scope="module")
def net_4n3() -> Any:
    return hall_4n3()


def racks(net: Any) -> pd.DataFrame:
    rows = net.load[net.load["kind"] != "ups_input"]
    table: pd.DataFrame = rows.groupby("rack", sort=False).agg(
        kw=("p_mw", lambda p: 1000.0 * p.sum()),
        cords=("p_mw", "size"),
        priority=("priority", "first"),
        floor_kw=("min_p_mw", lambda p: 1000.0 * p.sum(min_count=1)),
    )
    return table


def lineup(net: Any, bus: int) -> str:
    return str(net.bus.at[bus, "name"])[len("PDU-")]


def test_counts_of_hall_4n3(net_4n3: Any) -> None:
    counts = {
        table: len(net_4n3[table]) for table in ("bus", "line", "trafo", "switch", "transfer", "ups", "load")
    }
    assert counts == {
        "bus": 2 + 2 + 4 * (5 + 12) + 1 + 12,  # grids, MV boards; lineups; TIE; STS outputs
        "line": 2 + 4 * (1 + 12),
        "trafo": 4,
        "switch": 5 + 4 * (7 + 1 + 12) + 2 + 2 * 12,  # MV; QH QM QG QU QO QX bypass, QB, F; QT; STS positions
        "transfer": 12,
        "ups": 4,
        "load": 2 * 468 + 32 + 4,
    }
    assert (net_4n3.switch["operation"] == "remote").sum() == 107
    assert sorted(net_4n3.ext_grid["kind"].value_counts().to_dict().items()) == [
        ("genset", 4),
        ("ups", 4),
        ("utility", 2),
    ]


def test_racks_of_hall_4n3(net_4n3: Any) -> None:
    table = racks(net_4n3)
    assert len(table) == 500
    assert table["kw"].sum() == pytest.approx(7200.0)
    assert table["kw"].between(6.0, 23.0).all()
    parts = table["priority"].value_counts(normalize=True)
    assert [parts[p] for p in (1, 2, 3)] == pytest.approx([0.30, 0.40, 0.30], abs=0.01)
    single = table["cords"] == 1
    assert 0.05 <= single.mean() <= 0.08
    assert (table.loc[single, "priority"] > 1).all()
    floor = table["floor_kw"] / table["kw"]
    first = table["priority"] == 1
    assert floor[first].isna().mean() == pytest.approx(0.5, abs=0.1)
    assert floor[first].dropna().to_numpy() == pytest.approx(0.9)
    assert floor[table["priority"] == 2].between(0.70, 0.75).all()
    assert floor[table["priority"] == 3].between(0.50, 0.60).all()


def test_all_six_pairs_are_evenly_used_and_have_every_priority(net_4n3: Any) -> None:
    rows = net_4n3.load[(net_4n3.load["kind"] != "ups_input") & (net_4n3.load["share"] < 1)].copy()
    rows["lineup"] = [lineup(net_4n3, bus) for bus in rows["bus"]]
    pair = rows.groupby("rack")["lineup"].agg("".join)
    assert pair.value_counts().to_dict() == dict.fromkeys(("AB", "AC", "AD", "BC", "BD", "CD"), 78)
    kw = (1000.0 * rows.groupby("rack")["p_mw"].sum()).groupby(pair).sum()
    assert kw.to_numpy() == pytest.approx(7200.0 * 468 / 500 / 6)
    by_priority = rows.groupby("rack")["priority"].first().groupby(pair).value_counts().unstack()
    assert (by_priority >= 20).all().all()
    # and the racks of one PDU hand their load to many others
    partner = rows.groupby("rack")["bus"].agg(list)
    of_first = {
        b for pair_of in partner for b in pair_of if "PDU-A01" in net_4n3.bus.loc[pair_of, "name"].to_list()
    }
    assert len(of_first) > 10


def test_a_build_is_deterministic_and_a_seed_changes_it(net_4n3: Any) -> None:
    again = hall_4n3()
    for table in ("bus", "line", "trafo", "switch", "transfer", "interlock", "load", "ups", "ext_grid"):
        pd.testing.assert_frame_equal(net_4n3[table], again[table])
    other = hall("4N/3", 9.6, 500, seed=1)
    assert not np.allclose(other.load["p_mw"], net_4n3.load["p_mw"])


def test_a_room_survives_json(room: tuple[str, Any]) -> None:
    _, net = room
    back = pp.from_json_string(pp.to_json(net))
    for item in COLUMNS:
        if item.table in net and item.name in net[item.table]:
            old, new = values(net, item.table, item.name), values(back, item.table, item.name)
            assert list(map(repr, old)) == list(map(repr, new)) or np.allclose(old, new, equal_nan=True), item
    for table in ("bus", "line", "trafo", "switch", "load", "ext_grid"):
        assert (net[table].dtypes == back[table].dtypes[net[table].columns]).all()
    flow, flow_back = powerflow(net), powerflow(back)
    np.testing.assert_allclose(flow.res_bus["vm_pu"], flow_back.res_bus["vm_pu"], atol=1e-9)


def test_a_room_flows_within_every_limit_as_given(room: tuple[str, Any]) -> None:
    topology, net = room
    kw = net.load.loc[net.load["kind"] != "ups_input", "p_mw"].sum() * 1000.0
    assert kw == pytest.approx(LEVELS[topology] * 1000.0 * net.ups["p_rated_mw"].sum())
    flow = powerflow(net)
    assert flow.res_ups["loading_percent"].max() < 100.0
    assert flow.res_line["loading_percent"].max() < 100.0
    assert flow.res_trafo["loading_percent"].max() < 100.0
    voltage = flow.res_bus["vm_pu"].dropna()
    assert voltage.between(0.95, 1.05).all()
    dead = net.bus.loc[flow.res_bus["vm_pu"].isna(), "name"]
    assert dead.str.startswith(("gen", "TIE")).all()
    amperes = flow.res_switch["i_ka"].fillna(0.0).to_numpy()
    rated = net.switch["in_ka"].to_numpy()
    assert (amperes <= rated).all()


def test_pandapower_alone_agrees(net_4n3: Any) -> None:
    net = with_load(net_4n3, 0.9)
    write_companions(net)
    pp.runpp(net)
    ours = powerflow(net_4n3)
    assert net.converged
    assert ours.res_bus["vm_pu"].notna().sum() == net.res_bus["vm_pu"].notna().sum()
    np.testing.assert_allclose(
        net.res_trafo["loading_percent"], powerflow(net).res_trafo["loading_percent"], rtol=1e-5
    )


@pytest.mark.parametrize("level", [0.6, 0.75, 0.95])
def test_load_levels(net_4n3: Any, level: float) -> None:
    plain, drawn = load_level_kw(net_4n3, level), load_level_kw(net_4n3, level, seed=3)
    for series in (plain, drawn):
        assert series.sum() == pytest.approx(level * 9600.0)
        assert set(series.index) == set(net_4n3.load.index[net_4n3.load["kind"] != "ups_input"])
    nominal = 1000.0 * net_4n3.load.loc[plain.index, "p_mw"]
    assert (plain / nominal).to_numpy() == pytest.approx(level / 0.75)
    factor = (drawn / plain).groupby(net_4n3.load.loc[drawn.index, "rack"])
    assert (factor.max() - factor.min()).max() < 1e-9
    assert 0.05 < factor.first().std() < 0.15
    pd.testing.assert_series_equal(drawn, load_level_kw(net_4n3, level, seed=3))
    net = with_load(net_4n3, level, seed=3)
    np.testing.assert_allclose(1000.0 * net.load.loc[drawn.index, "p_mw"], drawn)
    np.testing.assert_allclose(
        net.load.loc[drawn.index, "q_mvar"] / net.load.loc[drawn.index, "p_mw"], np.tan(np.arccos(0.99))
    )
    assert not (net.load["min_p_mw"] > net.load["p_mw"] + 1e-12).any()
    assert net_4n3.load.loc[plain.index, "p_mw"].sum() == pytest.approx(7.2)


def test_a_cord_alone_carries_its_rack_up_to_full_load(net_4n3: Any) -> None:
    kw = load_level_kw(net_4n3, 1.0, seed=5)
    rack = net_4n3.load.loc[kw.index, "rack"]
    demand_kw = kw.groupby(rack).transform("sum")
    breaker_kw = net_4n3.load.loc[kw.index, "breaker_a"] * np.sqrt(3.0) * 0.4 * 0.99
    assert (demand_kw <= breaker_kw).all()


def test_twenty_thousand_circuits() -> None:
    net = hall("4N/3", 192.0, 10_400)
    assert (net.load["kind"] != "ups_input").sum() >= 20_000
    assert len(net.ups) == 80
    for table in ("bus", "line", "switch", "transfer", "interlock", "ups"):
        assert net[table]["name"].is_unique, table


@pytest.mark.parametrize(
    "arguments", [("5N/4", 9.6, 500), ("2N", 0.0, 10), ("2N", 1.0, 0), ("2N", 1.0, 10, 0, 0.0)]
)
def test_impossible_halls_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"topology|positive"):
        hall(*arguments)


@pytest.mark.parametrize(("topology", "mw", "n"), [("2N", 0.2, 5), ("4N/3", 0.8, 30), ("3N/2", 3.0, 120)])
def test_small_halls_flow_too(topology: Any, mw: float, n: int) -> None:
    net = hall(topology, mw, n, level=0.4)
    flow = powerflow(net)
    assert net.load.loc[net.load["kind"] != "ups_input", "p_mw"].sum() == pytest.approx(0.4 * mw)
    assert flow.res_line["loading_percent"].max() < 100.0
    assert flow.res_bus["vm_pu"].dropna().between(0.95, 1.05).all()
