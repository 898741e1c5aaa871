"""Overload clocks and cascades against hand sums; feeder losses of 0.3 % explain the tolerances."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pytest
from plants_for_response import buses, racks, two_sources

from cases.two_feed import two_feed
from pdnopt.acflow import FlowEngine
from pdnopt.plant import (
    create_empty_plant,
    create_genset,
    create_overload_curve,
    create_storage,
    create_switch,
    create_transfer,
    create_ups,
)
from pdnopt.plant.demand import read_demand
from pdnopt.response import cascade, flow_case, loadings, overloads, respond_network


def after(net, failed):
    """Return (response, overloads, cascade) of a failure."""
    r = respond_network(net, failed)
    demand = read_demand(net, r.grid)
    engine = FlowEngine(net)
    return r, overloads(net, r.grid, demand, r, engine), cascade(net, r.grid, demand, r, engine)


def told(events):
    return [(round(e.t_s, 3), e.component, e.what, round(e.lost_kw, 3)) for e in events]


@pytest.fixture(scope="module")
def net():
    return two_feed()


def test_ups_overload_goes_to_bypass_then_trips(net):
    # UPS-B: 8 x 10 kW on 60 kW = 133 %, next row 150 % -> 60 s; then the same on its bypass: 60 s more
    _, found, events = after(net, "ups:UPS-A")
    (over,) = found
    assert (over.component, over.kind, over.protected) == ("ups:UPS-B", "overload", True)
    assert over.loading == pytest.approx(80.0, rel=4e-3)
    assert over.rating == 60.0
    assert over.ratio == pytest.approx(80 / 60, rel=4e-3)
    assert over.deadline_s == 60.0
    assert told(events) == [
        (60.0, "ups:UPS-B", "goes to bypass", 0.0),
        (120.0, "switch:UPS-B bypass", "trips", 80.0),
        (120.0, "ups:UPS-B", "goes off", 0.0),
    ]
    # R1, R2 priority 1; R3..R5 priority 2; R6..R8 priority 3; 10 kW each
    assert events[1].lost_by_priority == pytest.approx({1: 20.0, 2: 30.0, 3: 30.0})
    assert len(events[1].dark) == 8


def test_battery_first_then_the_other_ups(net):
    # UPS-A: 10 kWh / 40 kW = 900 s (losses: 899 s); then UPS-B as above
    _, found, events = after(net, "ext_grid:Utility-A")
    (over,) = found
    assert (over.component, over.kind) == ("ups:UPS-A", "battery")
    assert over.deadline_s == pytest.approx(900.0, rel=2e-3)
    t = over.deadline_s
    assert [(round(e.t_s - t, 3), e.component, e.what) for e in events] == [
        (0.0, "ups:UPS-A", "battery empty"),
        (0.0, "ups:UPS-A", "goes off"),
        (60.0, "ups:UPS-B", "goes to bypass"),
        (120.0, "switch:UPS-B bypass", "trips"),
        (120.0, "ups:UPS-B", "goes off"),
    ]


def test_overload_on_battery_with_a_dead_bypass_goes_off(net):
    # UPS-B alone on its battery: the overload (60 s) comes before the end of the battery (10 / 80 h = 450 s)
    _, found, events = after(net, ["ups:UPS-A", "ext_grid:Utility-B"])
    assert [item.kind for item in found] == ["overload", "battery"]
    assert found[1].deadline_s == pytest.approx(450.0, rel=4e-3)
    assert told(events) == [(60.0, "ups:UPS-B", "goes off", 80.0)]


def test_nothing_pending(net):
    for failed in (None, "ups:UPS-A@to_bypass", "bus:gen", "load:R1/A@psu"):
        _, found, events = after(net, failed)
        assert found == ()
        assert events == ()


def test_budget_used_before():
    net = two_feed()
    net.ups["overload_used"] = 0.5
    _, found, events = after(net, "ups:UPS-A")
    assert found[0].deadline_s == pytest.approx(30.0)  # (1 - 0.5) * 60
    assert events[0].t_s == pytest.approx(30.0)


def test_curve_on_battery_and_by_temperature():
    net = two_feed()
    create_overload_curve(net, "hot", [(1.5, 60.0)], temperature_c=30.0, on_battery=False)
    create_overload_curve(net, "hot", [(1.5, 20.0)], temperature_c=40.0, on_battery=False)
    create_overload_curve(net, "hot", [(1.5, 5.0)], on_battery=True)
    net.ups["overload_curve"] = "hot"
    assert after(net, "ups:UPS-A")[1][0].deadline_s == 60.0
    assert after(net, ["ups:UPS-A", "ext_grid:Utility-B"])[1][0].deadline_s == 5.0
    net.ups["temperature_c"] = 35.0
    assert after(net, "ups:UPS-A")[1][0].deadline_s == 20.0


def test_no_curve_is_due_at_once_and_never_trips():
    net = two_feed()
    net.ups["overload_curve"] = ""
    net.switch["overload_curve"] = ""
    _, found, events = after(net, "ups:UPS-A")
    assert (found[0].deadline_s, found[0].protected) == (0.0, False)
    assert events == ()


def test_beyond_the_last_row_trips_at_once():
    net = two_feed()
    net.load.loc[net.load["rack"] != "", "p_mw"] *= 1.2  # 96 kW on 60 kW = 160 % > 150 %
    _, found, events = after(net, "ups:UPS-A")
    assert (found[0].deadline_s, found[0].protected) == (0.0, True)
    assert [(e.t_s, e.what) for e in events][:2] == [(0.0, "goes to bypass"), (0.0, "trips")]


def test_module_lost():
    # 4 modules, one lost: 40 kW on 45 kW; and with the other UPS gone 80 / 45 = 178 %: at once
    net = two_feed()
    net.ups["n_modules"] = 4.0
    assert after(net, "ups:UPS-A@module")[1] == ()
    _, found, _ = after(net, ["ups:UPS-A@module", "ups:UPS-B"])
    assert found[0].rating == pytest.approx(45.0)
    assert found[0].ratio == pytest.approx(80 / 45, rel=4e-3)
    assert found[0].deadline_s == 0.0


def sts_pair():
    """Two 60 kW UPSs without bypass; four 10 kW racks on each output's side of an STS (4 ms)."""
    net, (main_a, main_b, out_a, out_b, load_a, load_b) = two_sources("out A", "out B", "load A", "load B")
    create_overload_curve(net, "ups", [(1.25, 600.0), (1.5, 60.0)])
    for name, main, out in (("U-A", main_a, out_a), ("U-B", main_b, out_b)):
        create_ups(net, main, out, name, 0.06, 0.06, overload_curve="ups", e_max_mwh=0.01)
    create_transfer(net, load_a, [out_a, out_b], "STS-A", transfer_ms=4.0)
    create_transfer(net, load_b, [out_b, out_a], "STS-B", transfer_ms=4.0)
    racks(net, [[load_a]] * 4 + [[load_b]] * 4)
    return net


def test_transfer_moves_the_overload_on():
    # U-A's battery: 10 kWh / 40 kW = 900 s; STS-A takes 40 kW to U-B at 900.004 s: 80 kW, 60 s, no bypass
    _, found, events = after(sts_pair(), "switch:QA")
    assert found[0].deadline_s == pytest.approx(900.0)
    assert told(events) == [
        (900.0, "ups:U-A", "battery empty", 0.0),
        (900.0, "ups:U-A", "goes off", 0.0),
        (900.004, "transfer:STS-A", "transfers", 0.0),
        (960.004, "ups:U-B", "goes off", 80.0),
    ]
    assert events[0].interrupted_kw == 0.0  # 4 ms are ridden through


def feeder(own_switch, curve="cable"):
    """80 kW over a line of 100 A = 69.3 kVA (116 %); main A - F - n - line - end."""
    net, (main_a, _, n, end) = two_sources("n", "end")
    create_overload_curve(net, "cable", [(1.25, 600.0)])
    create_switch(net, main_a, n, "F")
    line = int(
        pp.create_line_from_parameters(net, n, end, 0.001, 0.2, 0.1, 0.0, 0.1, name="L", overload_curve=curve)
    )
    if own_switch:
        create_switch(net, n, line, "FL", et="l")
    racks(net, [[n]] + [[end]] * 8)
    return net


def test_line_trips_at_its_own_switch_or_the_nearest_upstream():
    ratio = 80.0 / (np.sqrt(3) * 0.4 * 100)
    _, found, events = after(feeder(True), None)
    assert found[0].component == "line:L"
    assert found[0].unit == "kVA"
    assert found[0].ratio == pytest.approx(ratio, rel=1e-3)
    # the ninth rack on n stays
    assert told(events) == [(600.0, "line:L", "trips", 80.0)]
    # without a switch of its own F opens: n is lost too
    assert told(after(feeder(False), None)[2]) == [(600.0, "line:L", "trips", 90.0)]
    assert after(feeder(True, curve=""), None)[2] == ()


def test_loading_limit_of_a_line_counts():
    net = feeder(True)
    net.line["max_loading_percent"] = 200.0
    assert after(net, None)[1] == ()


def test_fuel_and_row_batteries_run_out():
    net = create_empty_plant()
    main, island = buses(net, "main", "island")
    create_genset(net, main, "G", 0.1, fuel_mwh=0.02)
    create_storage(net, island, "S", 0.05, 0.01, grid_forming=True, efficiency_discharge=1.0)
    create_switch(net, main, island, "F", closed=False)
    racks(net, [[main], [island]])
    # G: 20 kWh / 10 kW = 2 h; S: 10 kWh / 10 kW = 1 h
    _, found, events = after(net, None)
    assert [(o.component, o.kind, round(o.deadline_s, 3)) for o in found] == [
        ("storage:S", "battery", 3600.0),
        ("ext_grid:G", "fuel", 7200.0),
    ]
    assert told(events) == [
        (3600.0, "storage:S", "battery empty", 10.0),
        (3600.0, "storage:S", "leaves its island", 0.0),
        (7200.0, "ext_grid:G", "fuel empty", 10.0),
    ]


def test_battery_that_follows():
    # 20 kW in the row give 4 kW of 10: the source carries 6; 10 kWh / 4 kW = 2.5 h, then all of it
    net, (main_a, _) = two_sources()
    create_storage(net, main_a, "S", 0.02, 0.01, efficiency_discharge=1.0)
    net.storage["p_mw"] = -0.004
    racks(net, [[main_a]])
    r, found, events = after(net, None)
    assert [(o.component, round(o.deadline_s, 3)) for o in found] == [("storage:S", 9000.0)]
    assert told(events) == [(9000.0, "storage:S", "battery empty", 0.0)]
    flow = FlowEngine(net).run(flow_case(net, r.grid, read_demand(net, r.grid), [r.state]))
    assert flow.ext_grid_p_kw[0, 0] == pytest.approx(6.0, abs=1e-3)


def test_flow_case_many_states(net):
    # before: 40 kW a side; UPS-A gone: 80 kW at B and nothing at A
    r = respond_network(net, "bus:out A")
    demand = read_demand(net, r.grid)
    shed = r.state.but(served=np.array([1.0, 1, 1, 1, 1, 0, 0, 0.5]))
    flow = FlowEngine(net).run(flow_case(net, r.grid, demand, [r.before, r.state, shed]))
    assert flow.converged.all()
    p_ups = flow.ups_p_out_kw
    assert p_ups[0] == pytest.approx([40.0, 40.0], rel=3e-3)
    assert p_ups[1] == pytest.approx([0.0, 80.0], rel=4e-3)
    assert p_ups[2] == pytest.approx([0.0, 55.0], rel=4e-3)
    out_a = int(net.bus.index[net.bus["name"] == "out A"][0])
    assert np.isnan(flow.vm_pu[1, out_a])
    table = loadings(net, r.grid, flow, r.state, case=1)
    assert table.ratio[table.name.index("ups:UPS-B")] == pytest.approx(80 / 60, rel=4e-3)
    assert table.ratio[table.name.index("ups:UPS-A")] == 0.0
    # UPS-B draws 80.2 / 0.96 = 83.6 kW from a 200 kW feed
    assert table.loading[table.name.index("ext_grid:Utility-B")] == pytest.approx(83.6, rel=1e-3)


def test_flow_case_takes_single_phase_loads():
    # 3 kW on phase a and 1 kW on phase b of a pod: 4 kW at the source; capped to half: 2 kW
    net, (main_a, _) = two_sources()
    pp.create_asymmetric_load(net, main_a, p_a_mw=0.003, p_b_mw=0.001, name="pod")
    r = respond_network(net)
    demand = read_demand(net, r.grid)
    half = r.state.but(served=np.array([0.5]))
    case = flow_case(net, r.grid, demand, [r.state, half])
    assert case.asymmetric_p_kw[1, 0] == pytest.approx([1.5, 0.5, 0.0])
    flow = FlowEngine(net).run(case)
    assert flow.ext_grid_p_kw[:, 0] == pytest.approx([4.0, 2.0], abs=1e-3)
