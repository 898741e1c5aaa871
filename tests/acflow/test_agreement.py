"""The fast engine against pandapower: every case that exists, and the example networks that both hold."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as nw
import pytest

import cases
from pdnopt.acflow import powerflow, write_companions
from pdnopt.errors import InputError

# pandapower's own example networks lack a column that pandapower 3 wants; not ours to mend
old_example = pytest.mark.filterwarnings("ignore:tap_dependency_table is missing:DeprecationWarning")

V_PU, LOADING, POWER_MW = 1e-6, 1e-3, 1e-6

EXAMPLES = (
    "simple_four_bus_system",
    "simple_mv_open_ring_net",
    "panda_four_load_branch",
    "four_loads_with_branches_out",
    "kb_extrem_vorstadtnetz_1",
    "create_kerber_dorfnetz",
    "create_kerber_landnetz_freileitung_1",
    "mv_oberrhein",
    "create_cigre_network_mv",
    "create_cigre_network_lv",
    "case33bw",
    "create_dickert_lv_network",
    "ieee_european_lv_asymmetric",
    "create_synthetic_voltage_control_lv_network",
)

EXCLUDED = {
    "example_simple": "gen",
    "example_multivoltage": "gen",
    "case4gs": "gen",
    "case9": "gen",
    "case14": "gen",
    "case30": "gen",
    "iceland": "gen",
    "case118": "gen",
}
"""Networks with voltage-controlled buses, which power-grid-model has no element for."""

TABLES = (
    *("bus", "line", "trafo", "trafo3w", "impedance", "ext_grid", "load", "sgen", "storage", "shunt", "ward"),
    *("motor", "asymmetric_load", "asymmetric_sgen", "switch", "ups"),
)


def assert_same(ours, theirs, v_pu=V_PU, loading=LOADING):
    """Every res_ table that both have: same dead buses, same numbers."""
    for table in TABLES:
        name = f"res_{table}"
        if name not in theirs or not len(theirs[name]):
            continue
        for column in theirs[name].columns:
            assert column in ours[name], f"{name}.{column} is missing"
            a, b = ours[name][column].to_numpy(float), theirs[name][column].to_numpy(float)
            if column.startswith(("vm", "va")) and table == "bus":
                np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"{name}.{column}")
            # pandapower gives NaN currents and powers where a part is dead, we give 0
            difference = np.abs(np.nan_to_num(a) - np.nan_to_num(b))
            if column.startswith("va_"):
                limit = 1e-4  # degrees; the stiff source turns by P/s_sc = 1e-7 rad
            elif column.startswith("vm"):
                # an end of a branch that is dead on both sides has no voltage worth comparing
                difference = np.where(np.isnan(a) | np.isnan(b), 0.0, difference)
                limit = v_pu
            elif "loading" in column:
                limit = loading
            else:
                limit = POWER_MW * max(1.0, float(np.nanmax(np.abs(b), initial=0.0)))
            if column.startswith("va_"):
                difference = np.where(np.isnan(a) | np.isnan(b), 0.0, difference)
            assert difference.max(initial=0.0) <= limit, f"{name}.{column}: {difference.max()}"


@pytest.mark.parametrize(
    "name", [name for name in cases.CASES if name != "campus"]
)  # runpp takes minutes there
def test_case_agrees_and_plain_runpp_is_right(name):
    net = cases.build(name)
    before = pp.to_json(net)
    ours = powerflow(net)
    theirs = powerflow(net, engine="pandapower")
    assert_same(ours, theirs)
    assert pp.to_json(net) == before
    write_companions(net)
    pp.runpp(net, numba=False)
    np.testing.assert_allclose(net.res_bus.vm_pu, ours.res_bus.vm_pu, atol=V_PU)
    np.testing.assert_allclose(net.res_ext_grid.p_mw, ours.res_ext_grid.p_mw, atol=POWER_MW)


@old_example
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_agrees(name):
    net = getattr(nw, name)()
    assert_same(powerflow(net), powerflow(net, engine="pandapower"))


@old_example
@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_example_is_refused_by_name(name):
    net = getattr(nw, name)()
    with pytest.raises(InputError) as error:
        powerflow(net)
    assert {issue.kind for issue in error.value.issues} == {"NotHeld"}
    assert any(issue.path == f"net.{EXCLUDED[name]}" for issue in error.value.issues)
    assert powerflow(net, engine="pandapower").converged
