"""Batches, overrides and UPSs of the fast engine."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandapower as pp
import pytest

from cases.two_feed import two_feed
from pdnopt.acflow import FlowCases, FlowEngine, powerflow, write_companions
from pdnopt.errors import InputError
from pdnopt.plant import create_empty_plant, create_switch, create_ups, create_utility
from pdnopt.plant.create import ups_input_mw
from tests.acflow.test_agreement import assert_same
from tests.acflow.test_traps import lv, with_trafo


def rows(net, names):
    return [int(np.flatnonzero(net.switch["name"] == name)[0]) for name in names]


def test_batch_equals_singles_and_a_bad_case_does_not_spoil_it():
    net = two_feed()
    engine = FlowEngine(net)
    rng = np.random.default_rng(1)
    n = 12
    mode = np.array(
        [["online", "online"], ["battery", "online"], ["online", "bypass"], ["off", "eco"]] * 3, dtype=object
    )
    closed = np.tile(net.switch["closed"].to_numpy(bool), (n, 1))
    closed[4, rows(net, ["QA"])] = False
    closed[5, rows(net, ["FA"])] = False
    load = net.load["p_mw"].to_numpy() * 1e3 * rng.uniform(0.2, 1.2, (n, len(net.load)))
    load[7] = 1e7
    dead = np.zeros((n, len(net.bus)), bool)
    dead[6, 3] = True
    line_out = np.zeros((n, len(net.line)), bool)
    line_out[8, 0] = True
    cases = FlowCases(switch_closed=closed, ups_mode=mode, load_p_kw=load, dead_bus=dead, line_out=line_out)
    whole = engine.run(cases)
    assert whole.converged.tolist() == [k != 7 for k in range(n)]
    assert np.isnan(whole.vm_pu[7]).all()
    assert np.isnan(whole.losses_kw[7])
    for k in range(n):
        one = FlowCases(
            **{f.name: v[[k]] for f in fields(cases) if (v := getattr(cases, f.name)) is not None}
        )
        single = engine.run(one)
        for f in fields(single):
            if getattr(single, f.name) is not None:
                np.testing.assert_allclose(
                    getattr(whole, f.name)[k],
                    getattr(single, f.name)[0],
                    rtol=1e-7,
                    atol=1e-5,
                    err_msg=f.name,
                )


def test_overrides_equal_a_changed_network():
    net, buses = with_trafo()
    pp.create_storage(net, buses[2], 0.003, 0.01)
    pp.create_asymmetric_load(net, buses[3], p_a_mw=0.003, p_b_mw=0.001)
    pp.create_switch(net, buses[1], 1, "l")
    pp.create_ext_grid(net, buses[3], in_service=False, vm_pu=1.0)
    changed = FlowCases(
        switch_closed=np.array([[False]]),
        ext_grid_on=np.array([[True, True]]),
        load_p_kw=np.array([[1.0, 2.0, 3.0]]),
        load_q_kvar=np.array([[0.1, 0.2, 0.3]]),
        asymmetric_p_kw=np.array([[[1.0, 1.0, 2.0]]]),
        asymmetric_q_kvar=np.array([[[1.0, 0.0, 0.0]]]),
        storage_p_kw=np.array([[-4.0]]),
        trafo_out=np.array([[False]]),
        line_out=np.array([[False, False, False]]),
    )
    got = FlowEngine(net).run(changed)
    net.switch["closed"] = False
    net.ext_grid["in_service"] = True
    net.load["p_mw"], net.load["q_mvar"] = [0.001, 0.002, 0.003], [0.0001, 0.0002, 0.0003]
    net.asymmetric_load.loc[0, ["p_a_mw", "p_b_mw", "p_c_mw", "q_a_mvar"]] = [0.001, 0.001, 0.002, 0.001]
    net.storage["p_mw"] = -0.004
    pp.runpp(net, numba=False)
    np.testing.assert_allclose(got.vm_pu[0], net.res_bus.vm_pu, atol=1e-6)
    np.testing.assert_allclose(got.line_loading_percent[0], net.res_line.loading_percent, atol=1e-3)
    np.testing.assert_allclose(got.trafo_loading_percent[0], net.res_trafo.loading_percent, atol=1e-3)
    np.testing.assert_allclose(got.ext_grid_p_kw[0], net.res_ext_grid.p_mw * 1e3, atol=1e-3)
    np.testing.assert_allclose(
        got.losses_kw[0], (net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()) * 1e3, atol=1e-3
    )
    out = FlowEngine(net).run(FlowCases(trafo_out=np.array([[True]]), ext_grid_on=np.array([[True, False]])))
    assert np.isnan(out.vm_pu[0, :4]).all()


def test_dead_bus_takes_its_branches_along():
    net, _ = lv()
    dead = np.array([[False, False, True, False]])
    out = FlowEngine(net).run(FlowCases(dead_bus=dead))
    assert np.isnan(out.vm_pu[0]).tolist() == [False, False, True, True]
    assert out.line_i_ka[0, 1:].tolist() == [0.0, 0.0]  # not even charging current flows into the zone


@pytest.mark.parametrize("engine", ["pgm", "pandapower"])
@pytest.mark.parametrize("mode", ["online", "battery", "eco", "bypass", "off"])
def test_companion_modes_by_hand(mode, engine):
    net = two_feed()
    net.ups["mode"] = [mode, "online"]
    out = powerflow(net, engine=engine)
    res = out.res_ups.iloc[0]
    grid = out.ext_grid.index[out.ext_grid["ups"] == 0][0]
    load = out.load.index[out.load["ups"] == 0][0]
    bypass = out.switch.index[out.switch["ups"] == 0][0]
    assert bool(out.ext_grid.at[grid, "in_service"]) is (mode in ("online", "battery"))
    assert bool(out.load.at[load, "in_service"]) is (mode == "online")
    assert bool(out.switch.at[bypass, "closed"]) is (mode in ("eco", "bypass"))
    p = (
        0.0 if mode == "off" else 0.04 + out.res_line.pl_mw.iloc[0]
    )  # four kW a cord, eight racks of 5 kW a cord
    assert res.p_out_mw == pytest.approx(p, abs=1e-6)
    expected = {"online": p / 0.96, "eco": p, "bypass": p}.get(mode, 0.0)
    assert res.p_in_mw == pytest.approx(expected, abs=1e-6)
    assert out.res_ext_grid.p_mw.iloc[0] == pytest.approx(expected, abs=1e-6)
    assert res.loading_percent == pytest.approx(np.hypot(res.p_out_mw, res.q_out_mvar) / 0.06 * 100, abs=1e-3)
    if mode == "online":
        assert out.res_load.q_mvar[load] == pytest.approx(expected * np.tan(np.arccos(0.99)), abs=1e-6)
    assert_same(out, powerflow(net, engine="pandapower"))
    pp.runpp(out, numba=False)
    assert out.res_ext_grid.p_mw.iloc[0] == pytest.approx(expected, abs=1e-6)


def chain(n=3, curve=None):
    """Utility -> UPS -> UPS -> ... -> 30 kW, each with a line behind it."""
    net = create_empty_plant()
    bus = int(pp.create_bus(net, 0.4))
    create_utility(net, bus, "U")
    for k in range(n):
        out, end = (int(pp.create_bus(net, 0.4)) for _ in range(2))
        create_ups(
            net, bus, out, f"UPS{k}", 0.06, bypass_bus=bus, efficiency=curve or 0.95, p_charge_mw=0.001
        )
        pp.create_line_from_parameters(net, out, end, 0.05, 0.2, 0.08, 0.0, 0.2)
        bus = end
    pp.create_load(net, bus, 0.03, 0.005)
    return net


@pytest.mark.parametrize("curve", [None, [[0.25, 0.93], [0.5, 0.955], [1.0, 0.95]]])
def test_chained_upss_settle(curve):
    net = chain(curve=curve)
    ours, theirs = powerflow(net), powerflow(net, engine="pandapower")
    assert_same(ours, theirs)
    for k in range(3):
        p_out, p_in = ours.res_ups.loc[k, ["p_out_mw", "p_in_mw"]]
        assert p_in == pytest.approx(ups_input_mw(p_out, 0.06, curve or 0.95, 0.001), abs=1e-7)
    write_companions(net)
    pp.runpp(net, numba=False)
    np.testing.assert_allclose(net.res_ext_grid.p_mw, ours.res_ext_grid.p_mw, atol=1e-6)
    losses = FlowEngine(net).run().losses_kw[0]
    conversion = (ours.res_ups.p_in_mw - ours.res_ups.p_out_mw).sum() * 1e3 - 3.0
    assert losses == pytest.approx(ours.res_line.pl_mw.sum() * 1e3 + conversion, abs=1e-3)


def test_online_ups_with_dead_input_draws_nothing():
    net = two_feed()
    net.switch.loc[rows(net, ["QA"]), "closed"] = False
    out = powerflow(net)
    assert out.res_ups.p_in_mw.iloc[0] == 0
    assert out.res_ups.p_out_mw.iloc[0] > 0.04
    assert_same(out, powerflow(net, engine="pandapower"))


def test_tie_of_outputs_moves_the_load_by_hand():
    net = two_feed()
    net.ups["mode"] = ["off", "online"]
    net.switch.loc[rows(net, ["QX"]), "closed"] = True
    out = powerflow(net)
    assert out.res_ups.p_out_mw.tolist() == pytest.approx([0, 0.0801], abs=2e-4)
    assert out.res_ups.loading_percent.iloc[1] == pytest.approx(133.5, abs=0.3)
    assert out.res_switch.p_from_mw.iloc[rows(net, ["QX"])[0]] == pytest.approx(-0.04005, abs=1e-4)


def test_ups_without_companions_is_an_error():
    net = two_feed()
    net.load["ups"] = np.nan
    with pytest.raises(InputError, match="MissingCompanion"):
        powerflow(net)
    net = two_feed()
    with pytest.raises(InputError, match="Enum"):
        FlowEngine(net).run(FlowCases(ups_mode=np.array([["online", "sleep"]], dtype=object)))


def hall(n_pdu=50, n_load=1000):
    """About 100 buses and 1000 loads behind four UPSs."""
    rng = np.random.default_rng(0)
    net = create_empty_plant()
    main = int(pp.create_bus(net, 0.4))
    pdus = [int(pp.create_bus(net, 0.4)) for _ in range(n_pdu)]
    pp.create_loads(net, rng.choice(pdus, n_load), p_mw=rng.uniform(0.002, 0.006, n_load), q_mvar=0.001)
    create_utility(net, main, "U")
    outs = []
    for k in range(4):
        inp, out = (int(pp.create_bus(net, 0.4)) for _ in range(2))
        create_switch(net, main, inp, f"Q{k}")
        create_ups(net, inp, out, f"UPS{k}", 2.4, bypass_bus=main, efficiency=[[0.2, 0.94], [1.0, 0.965]])
        outs.append(out)
    for k, bus in enumerate(pdus):
        line = int(pp.create_line_from_parameters(net, outs[k % 4], bus, 0.03, 0.06, 0.07, 0.0, 0.6))
        create_switch(net, outs[k % 4], line, f"F{k}", et="l")
    return net


def test_hall_agrees():
    net = hall()
    assert_same(powerflow(net), powerflow(net, engine="pandapower"))


def test_a_transformer_behind_an_open_switch_at_a_dead_bus_lives_from_its_other_end():
    net = pp.create_empty_network()
    hv, lv = pp.create_bus(net, 20.0, name="hv"), pp.create_bus(net, 0.4, name="lv")
    pp.create_ext_grid(net, lv)
    pp.create_transformer(net, hv, lv, "0.63 MVA 20/0.4 kV")
    pp.create_switch(net, hv, 0, et="t", closed=False)
    pp.create_load(net, lv, 0.1, 0.02)
    found = FlowEngine(net).run(FlowCases(dead_bus=np.array([[True, False]])))
    net.bus.loc[hv, "in_service"] = False
    pp.runpp(net)
    assert net.res_trafo.pl_mw[0] > 0.001  # it is magnetised
    assert found.losses_kw[0] == pytest.approx(1e3 * net.res_trafo.pl_mw[0], rel=1e-4)
    assert found.trafo_loading_percent[0, 0] == pytest.approx(net.res_trafo.loading_percent[0], rel=1e-4)
