"""The worst phase of a UPS, found beside a symmetric flow: against sums by hand and three-phase power flow."""

import numpy as np
import pandapower as pp
import pytest

from pdnopt.acflow import FlowCases, FlowEngine, powerflow
from pdnopt.plant import create_empty_plant, create_switch, create_ups, create_utility


def plant():
    """Two UPSs of 60 kVA; behind UPS-1 10 kW balanced and 12 kW on phase a; a tie to an empty second output."""
    net = create_empty_plant("unbalanced")
    main, one, two = (int(pp.create_bus(net, 0.4, name=name)) for name in ("main", "one", "two"))
    create_utility(net, main, "Utility")
    for name, out in (("UPS-1", one), ("UPS-2", two)):
        create_ups(net, main, out, name, p_rated_mw=0.06)
    create_switch(net, one, two, "tie", closed=False)
    pp.create_load(net, one, p_mw=0.010, name="balanced")
    pp.create_asymmetric_load(net, one, p_a_mw=0.012, name="single")
    pp.create_asymmetric_load(net, two, p_a_mw=0.002, p_b_mw=0.002, p_c_mw=0.002, name="even")
    return net


def test_the_factor_is_three_times_the_largest_phase_over_the_sum():
    flow = FlowEngine(plant()).run()
    # UPS-1: 10 / 3 + 12 = 15.33 kW on phase a of 22 kW; UPS-2: alike on all phases
    assert flow.ups_phase_factor[0] == pytest.approx([3.0 * (10.0 / 3.0 + 12.0) / 22.0, 1.0])


def test_each_case_has_its_own_topology_and_load():
    net = plant()
    single = np.zeros((3, 2, 3))
    single[:, 0, 0] = [12.0, 0.0, 12.0]
    single[:, 1, 1] = 6.0
    on = np.array([["online", "online"], ["online", "online"], ["online", "off"]], dtype=object)
    closed = np.tile(net.switch["closed"].to_numpy(bool), (3, 1))
    closed[2] = [name == "tie" for name in net.switch["name"]]
    load = np.zeros((3, len(net.load)))
    load[:, net.load["name"] == "balanced"] = 10.0
    cases = FlowCases(
        ups_mode=on,
        switch_closed=closed,
        load_p_kw=load,
        asymmetric_p_kw=single,
        asymmetric_q_kvar=np.zeros((3, 2, 3)),
    )
    factor = FlowEngine(net).run(cases).ups_phase_factor
    assert factor[0] == pytest.approx([46.0 / 22.0, 3.0])
    assert factor[1] == pytest.approx([1.0, 3.0])
    assert factor[2, 0] == pytest.approx(46.0 / 28.0)  # UPS-1 feeds both


def test_it_gives_the_loading_that_three_phase_flow_gives():
    net = plant()
    flow = FlowEngine(net).run()
    loading = 100.0 * np.hypot(flow.ups_p_out_kw, flow.ups_q_out_kvar)[0] * flow.ups_phase_factor[0] / 60.0
    three = powerflow(net, three_phase=True).res_ups["loading_percent"]
    assert loading == pytest.approx(three.to_numpy(), rel=1e-6)


def test_without_single_phase_loads_it_is_one():
    net = plant()
    net.asymmetric_load.drop(net.asymmetric_load.index, inplace=True)
    assert (FlowEngine(net).run().ups_phase_factor == 1.0).all()
