"""Published pandapower networks pass; a big plant is quick; garbage is told, never raised."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pdnopt.validation
from cases.two_feed import two_feed
from pdnopt.errors import Issue
from pdnopt.plant import create_racks, create_storage, create_transfer
from pdnopt.validation import validate

NETWORKS = [
    "example_simple", "example_multivoltage", "simple_four_bus_system", "simple_mv_open_ring_net",
    "panda_four_load_branch", "four_loads_with_branches_out", "mv_oberrhein", "lv_schutterwald",
    "ieee_european_lv_asymmetric", "create_cigre_network_hv", "create_cigre_network_mv",
    "create_cigre_network_lv", "create_kerber_landnetz_freileitung_1",
    "create_kerber_landnetz_kabel_1", "create_kerber_dorfnetz",
    "create_kerber_vorstadtnetz_kabel_1", "kb_extrem_landnetz_kabel",
    "create_synthetic_voltage_control_lv_network", "case4gs", "case5", "case6ww", "case9", "case14",
    "case24_ieee_rts", "case30", "case33bw", "case39", "case57", "case89pegase", "case118",
    "case145", "case300", "case_illinois200", "case1354pegase", "GBreducednetwork", "iceland",
]  # fmt: skip


def errors(net):
    return [str(issue) for issue in validate(net) if issue.severity == "error"]


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_have_no_errors(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = getattr(pn, name)()
    found = validate(net)
    assert [str(issue) for issue in found if issue.severity == "error"] == []
    assert "Unchecked" not in {issue.kind for issue in found}


def test_results_of_a_published_network_do_not_contradict_it():
    net = pn.mv_oberrhein()
    pp.runpp(net)
    assert errors(net) == []
    assert "StateConflict" not in {issue.kind for issue in validate(net)}


def test_a_plain_network_may_break_what_a_plant_may_not():
    net = pn.case9()
    net.load.loc[0, "p_mw"] = -90.0
    assert {i.kind: i.severity for i in validate(net)}["SignConvention"] == "warning"
    net.load["priority"] = 3.0
    assert {i.kind: i.severity for i in validate(net)}["SignConvention"] == "error"


def test_fifty_thousand_cords_in_two_seconds():
    net = two_feed()
    buses = np.asarray(pp.create_buses(net, 2000, 0.4))
    for k, root in enumerate((7, 8)):
        far = buses[1000 * k : 1000 * (k + 1)]
        pp.create_lines_from_parameters(net, np.full(1000, root), far, 0.01, 0.1, 0.08, 0, 1.0)
    rng = np.random.default_rng(1)
    cords = np.stack([rng.choice(buses[:1000], 25_000), rng.choice(buses[1000:], 25_000)], axis=1)
    create_racks(net, cords, [f"X{k}" for k in range(25_000)], np.full(25_000, 1e-3), power_factor=1.0)
    started = time.process_time()
    assert validate(net) == []
    assert time.process_time() - started < 2.0


# --- garbage


@pytest.mark.parametrize("net", [None, 5, "case9", [], {}, {"bus": 5}, pd.DataFrame(), object()])
def test_what_is_no_network(net):
    found = validate(net)
    assert found
    assert all(isinstance(issue, Issue) for issue in found)


def test_an_empty_network_has_no_source():
    assert [i.kind for i in validate(pp.create_empty_network())] == ["NoSource"]


@pytest.mark.parametrize(
    "table", ["bus", "line", "switch", "ext_grid", "load", "ups", "overload_curve", "interlock"]
)
def test_missing_tables_and_columns(table):
    net = two_feed()
    whole = net[table]
    for column in whole.columns:
        net[table] = whole.drop(columns=column)
        assert "Unchecked" not in {i.kind for i in validate(net)}, column
    net[table] = None
    assert isinstance(validate(net), list)
    assert "Unchecked" not in {i.kind for i in validate(net)}


def test_columns_and_indices_that_are_odd():
    net = two_feed()
    net.load = pd.concat([net.load, net.load[["p_mw"]]], axis=1)
    assert "NotUnique" in {i.kind for i in validate(net)}
    net = two_feed()
    net.bus.index = [f"b{k}" for k in range(len(net.bus))]
    assert {"WrongType", "InvalidId"} <= {i.kind for i in validate(net)}
    net = two_feed()
    net.load.index = pd.MultiIndex.from_tuples([(0, k) for k in range(len(net.load))])
    assert "WrongType" in {i.kind for i in validate(net)}
    net = two_feed()
    del net["load"]
    assert "MissingTable" in {i.kind for i in validate(net)}


def _rich():
    """A plant with a row in every table that is checked."""
    net = two_feed()
    out, mv = (int(pp.create_bus(net, kv)) for kv in (0.4, 20.0))
    create_transfer(net, out, [7, 8], "ATS", in_ka=0.05)
    create_storage(net, out, "DES", 0.02, 0.01, grid_forming=True)
    pp.create_asymmetric_load(net, out, p_a_mw=0.001, p_b_mw=0.001, p_c_mw=0.001)
    pp.create_asymmetric_sgen(net, out, p_a_mw=0.001)
    pp.create_sgen(net, out, p_mw=0.001)
    pp.create_gen(net, mv, p_mw=0.001)
    pp.create_transformer(net, mv, 0, std_type="0.4 MVA 20/0.4 kV")
    pp.create_impedance(net, 3, 7, 0.1, 0.1, 1.0)
    pp.runpp(net)
    return net


_NET = _rich()
_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 20),
    st.integers(10**18, 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=4),
    st.lists(st.one_of(st.integers(-2, 20), st.floats(), st.text(max_size=2)), max_size=3),
    st.just({"a": 1}),
    st.just(np.nan),
    st.just(pd.NA),
    st.just(pd.Timestamp("2026-01-01")),
    st.just(1 + 2j),
)
_TABLES = (
    "bus", "line", "switch", "ext_grid", "load", "ups", "interlock", "overload_curve", "transfer", "storage",
    "asymmetric_load", "asymmetric_sgen", "sgen", "gen", "trafo", "impedance", "res_switch",
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_validate_never_raises(data):
    net = dict(_NET)
    for table in _TABLES:
        net[table] = _NET[table].copy()
    for _ in range(data.draw(st.integers(1, 6))):
        table = data.draw(st.sampled_from(_TABLES))
        frame = net[table]
        column = data.draw(st.sampled_from(list(frame.columns)))
        row = data.draw(st.integers(0, len(frame) - 1))
        cells = list(frame[column])
        cells[row] = data.draw(_CELLS)
        out = np.empty(len(cells), dtype=object)
        for k, cell in enumerate(cells):
            out[k] = cell
        frame[column] = pd.Series(out, index=frame.index, dtype=object)
    found = validate(net)
    assert "Unchecked" not in {issue.kind for issue in found}
    for issue in found:
        assert str(issue)
        assert issue.to_dict()


def test_the_module_has_no_name_of_a_callable():
    assert callable(pdnopt.validation.validate)
    assert pdnopt.validation.__all__ == ["validate"]
