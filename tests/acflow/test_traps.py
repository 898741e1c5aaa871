"""Each trap of power-grid-model and pandapower that FIELD_NOTES names, on a network of a few buses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandapower as pp
import pytest

from pdnopt.acflow import FlowCases, FlowEngine, powerflow
from pdnopt.errors import InputError, PowerFlowError
from tests.acflow.test_agreement import assert_same


def lv(n=4, vn=0.4):
    """A source, a string of ``n`` buses with lines, a load at each."""
    net = pp.create_empty_network()
    buses = [int(pp.create_bus(net, vn)) for _ in range(n)]
    pp.create_ext_grid(net, buses[0], vm_pu=1.01)
    for a, b in pairwise(buses):
        pp.create_line_from_parameters(net, a, b, 0.1, 0.2, 0.08, 250.0, 0.2, g_us_per_km=3.0)
        pp.create_load(net, b, 0.01, 0.003)
    return net, buses


def with_trafo(vector_group="Dyn", shift=150.0, **keywords):
    net, buses = lv()
    mv = int(pp.create_bus(net, 10.0))
    net.ext_grid.loc[0, "bus"] = mv
    pp.create_transformer_from_parameters(
        net, mv, buses[0], sn_mva=0.4, vn_hv_kv=10.2, vn_lv_kv=0.41, vkr_percent=1.2, vk_percent=5.0,
        pfe_kw=0.8, i0_percent=0.3, shift_degree=shift, vector_group=vector_group, **keywords,
    )  # fmt: skip
    return net, buses


def check(net):
    ours = powerflow(net)
    assert_same(ours, powerflow(net, engine="pandapower"))
    return ours


def test_bus_out_of_service():
    net, buses = lv()
    net.bus.loc[buses[2], "in_service"] = False
    assert check(net).res_bus.vm_pu.isna().tolist() == [False, False, True, True]


def test_dead_island_is_nan_not_zero():
    net, _ = lv()
    net.line.loc[1, "in_service"] = False
    out = check(net)
    assert out.res_bus.vm_pu.isna().sum() == 2
    assert out.res_load.p_mw.tolist() == pytest.approx([0.01, 0, 0])


def test_switch_with_impedance():
    net, buses = lv()
    far = int(pp.create_bus(net, 0.4))
    pp.create_load(net, far, 0.02, 0.01)
    pp.create_switch(net, buses[1], far, "b", z_ohm=0.05, in_ka=0.1)
    out = check(net)
    assert out.res_switch.i_ka.iloc[0] > 0.03


def test_switch_without_impedance_has_flow_and_loading():
    net, buses = lv()
    far = [int(pp.create_bus(net, 0.4)) for _ in range(2)]
    pp.create_load(net, far[1], 0.02, 0.01)
    pp.create_switch(net, buses[1], far[0], "b", in_ka=0.1)
    pp.create_switch(net, far[1], far[0], "b", in_ka=0.1)
    out = check(net)
    assert out.res_switch.p_from_mw.tolist() == pytest.approx([0.02, -0.02])
    assert out.res_switch.loading_percent.notna().all()


@pytest.mark.parametrize("tap_changer_type", [None, "Ratio"])
def test_tap_pos_counts_only_with_a_tap_changer_type(tap_changer_type):
    net, _ = with_trafo(
        tap_side="hv", tap_neutral=0, tap_min=-2, tap_max=2, tap_step_percent=2.5, tap_pos=2,
        tap_changer_type=tap_changer_type,
    )  # fmt: skip
    check(net)


@pytest.mark.parametrize(("vector_group", "shift"), [(None, 150.0), (None, 0.0), ("Dyn", 0.0), ("YNyn", 0.0)])
def test_vector_groups_do_not_matter_to_the_symmetric_flow(vector_group, shift):
    net, _ = with_trafo(vector_group, shift)
    check(net)


@pytest.mark.parametrize("side", ["from_bus", "to_bus"])
def test_line_switch_opens_one_end(side):
    net, _ = lv()
    pp.create_switch(net, net.line[side].iloc[1], 1, "l", closed=False)
    pp.create_switch(net, net.line["from_bus"].iloc[0], 0, "l")
    out = check(net)
    assert out.res_switch.i_ka.iloc[0] == 0


@pytest.mark.parametrize("side", ["hv_bus", "lv_bus"])
def test_transformer_switch_opens_one_end(side):
    net, _ = with_trafo()
    pp.create_switch(net, net.trafo[side].iloc[0], 0, "t", closed=False)
    check(net)


def test_two_switches_at_one_end():
    net, _ = lv()
    bus = net.line["from_bus"].iloc[1]
    pp.create_switch(net, bus, 1, "l", closed=True)
    pp.create_switch(net, bus, 1, "l", closed=False)
    check(net)


def test_unlimited_current():
    net, _ = lv()
    net.line["max_i_ka"] = 99999.0
    assert check(net).res_line.loading_percent.max() < 1e-3


def test_voltage_dependent_load():
    net, buses = lv()
    # one load a bus, and not at the source: pandapower spreads the mean share of the loads of a bus over all
    # of them, and counts them as constant power in the source's balance
    end = int(pp.create_bus(net, 0.4))
    pp.create_line_from_parameters(net, buses[-1], end, 0.1, 0.2, 0.08, 250.0, 0.2)
    pp.create_load(
        net,
        end,
        0.05,
        0.02,
        const_z_p_percent=30,
        const_i_p_percent=20,
        const_z_q_percent=10,
        const_i_q_percent=60,
    )
    net.ext_grid["vm_pu"] = 0.93
    check(net)


def test_everything_else_that_is_held():
    net, buses = with_trafo(parallel=2, df=0.9)
    pp.create_sgen(net, buses[1], 0.004, 0.001, scaling=0.5)
    pp.create_storage(net, buses[2], 0.003, 0.01, q_mvar=0.001)
    pp.create_shunt(net, buses[3], q_mvar=-0.01, p_mw=0.001, vn_kv=0.38, step=2)
    pp.create_ward(net, buses[2], 0.001, 0.002, 0.003, 0.001)
    pp.create_motor(net, buses[1], 0.005, 0.85, efficiency_percent=90, loading_percent=80)
    pp.create_asymmetric_load(net, buses[3], p_a_mw=0.003, p_b_mw=0.001, q_c_mvar=0.002)
    pp.create_asymmetric_sgen(net, buses[3], p_a_mw=0.002)
    far = int(pp.create_bus(net, 0.4))
    pp.create_impedance(net, buses[3], far, 0.01, 0.02, 1.0)
    pp.create_load(net, far, 0.01)
    net.line["parallel"], net.line["df"] = 2, 0.8
    check(net)


def test_three_winding_transformer_with_switch_and_tap():
    net = pp.create_empty_network()
    hv, mv, low = (int(pp.create_bus(net, v)) for v in (110.0, 20.0, 10.0))
    pp.create_ext_grid(net, hv)
    pp.create_transformer3w_from_parameters(
        net, hv, mv, low, 110, 20, 10, 40, 25, 15, 10, 11, 12, 0.3, 0.31, 0.32, 30, 0.1,
        shift_mv_degree=0, shift_lv_degree=30, tap_side="hv", tap_neutral=0, tap_min=-5, tap_max=5,
        tap_step_percent=1.2, tap_pos=3, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_load(net, mv, 12, 4)
    pp.create_load(net, low, 5, 1)
    check(net)
    pp.create_switch(net, low, 0, "t3", closed=False)
    check(net)


@pytest.mark.parametrize("joined", ["one bus", "switch", "line"])
def test_two_sources_in_one_island(joined):
    net, buses = lv()
    if joined == "line":
        pp.create_ext_grid(net, buses[3], vm_pu=1.0)
    else:
        at = buses[0] if joined == "one bus" else int(pp.create_bus(net, 0.4))
        pp.create_ext_grid(net, at, vm_pu=1.01)
        if joined == "switch":
            pp.create_switch(net, at, buses[0], "b")
            pp.create_load(net, at, 0.05)
    check(net)


def test_tail_of_a_link_loop_has_equal_flows():
    net, buses = lv()
    far = int(pp.create_bus(net, 0.4))
    pp.create_load(net, far, 0.02)
    for _ in range(2):
        pp.create_switch(net, buses[0], far, "b")
    assert check(net).res_switch.p_from_mw.tolist() == pytest.approx([0.01, 0.01], abs=1e-7)


def test_not_held_names_all():
    net, buses = lv()
    pp.create_gen(net, buses[1], 0.001, name="G1")
    pp.create_gen(net, buses[2], 0.001, in_service=False)
    pp.create_xward(net, buses[3], 0, 0, 0, 0, 1, 1, 1.0)
    pp.create_dcline(net, buses[1], buses[3], 0.001, 0, 0, 1, 1)
    with pytest.raises(InputError) as error:
        FlowEngine(net)
    assert sorted(issue.path for issue in error.value.issues) == ["net.dcline", "net.gen", "net.xward"]
    assert "gen:G1" in str(error.value)
    net2, buses2 = lv()
    pp.create_impedance(net2, buses2[0], buses2[1], 0.01, 0.02, 1.0, rtf_pu=0.05, xtf_pu=0.1)
    with pytest.raises(InputError, match="impedance:0"):
        FlowEngine(net2)


@pytest.mark.parametrize("engine", ["pgm", "pandapower"])
def test_no_solution_is_an_error(engine):
    net, _ = lv()
    net.load["p_mw"] = 50.0
    with pytest.raises(PowerFlowError):
        powerflow(net, engine=engine)


def test_bad_arguments_are_all_named():
    net, _ = lv()
    engine = FlowEngine(net)
    with pytest.raises(InputError) as error:
        engine.run(
            FlowCases(
                load_p_kw=np.zeros((2, 3)), dead_bus=np.zeros((2, 9), bool), line_out=np.zeros((1, 3), bool)
            )
        )
    assert [issue.path for issue in error.value.issues] == ["FlowCases.dead_bus", "FlowCases.line_out"]
    with pytest.raises(InputError, match="NonFinite"):
        engine.run(FlowCases(load_p_kw=np.full((1, 3), np.nan)))
    with pytest.raises(InputError, match="engine"):
        powerflow(net, engine="dss")
