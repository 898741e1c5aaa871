"""Automatic transfers in time order."""

from __future__ import annotations

from copy import deepcopy
from math import inf

import pandapower as pp
import pytest
from plants_for_response import buses, one_transfer, racks, two_sources

from pdnopt.plant import create_storage, create_switch, create_transfer, create_utility
from pdnopt.response import respond_network, settle


def moves(response):
    return [(item.t_s, item.device, item.after) for item in response.automatic if item.action == "transfer"]


def test_sts_bridges_and_ats_interrupts():
    r = respond_network(one_transfer(4.0), "ext_grid:A")
    assert moves(r) == [(0.004, "transfer:T", "switch:T/2")]
    assert r.dark_s == pytest.approx([0.004])
    assert not r.interrupted.any()  # 4 ms < 20 ms
    r = respond_network(one_transfer(100.0), "ext_grid:A")
    assert moves(r) == [(0.1, "transfer:T", "switch:T/2")]
    assert r.dark_s == pytest.approx([0.1])
    assert r.interrupted.all()  # 100 ms > 20 ms
    assert r.draw_kw.sum() == pytest.approx(10.0)
    r = respond_network(one_transfer(20.0), "ext_grid:A")
    assert not r.interrupted.any()  # equal to the hold-up is ridden through


@pytest.mark.parametrize(
    "failed",
    [
        ["ext_grid:A", "transfer:T@stuck"],
        ["ext_grid:A", "switch:T/2@stuck_open"],
        ["ext_grid:A", "switch:T/1@stuck_closed"],
        ["ext_grid:A", "ext_grid:B"],
    ],
)
def test_no_way_to_move(failed):
    r = respond_network(one_transfer(4.0), failed)
    assert moves(r) == []
    assert list(r.dark_s) == [inf]
    assert r.interrupted.all()
    assert r.state.closed[r.grid.switches.name.index("switch:T/1")]


def test_unservable_only_without_a_path():
    # T cannot leave main A, and nothing else feeds that
    assert respond_network(one_transfer(4.0), ["ext_grid:A", "transfer:T@stuck"]).unservable.all()
    assert not respond_network(one_transfer(4.0, auto=False), "ext_grid:A").unservable.any()


def test_table_stuck_and_not_auto_do_not_move():
    net = deepcopy(one_transfer(4.0))
    net.transfer["stuck"] = True
    assert moves(respond_network(net, "ext_grid:A")) == []
    assert moves(respond_network(one_transfer(4.0, auto=False), "ext_grid:A")) == []


def test_a_failed_transfer_is_open_and_its_output_is_dead():
    r = respond_network(one_transfer(4.0), "transfer:T")
    assert moves(r) == [(0.0, "transfer:T", None)]
    assert r.unservable.all()


def test_fault_on_the_output_inhibits_the_transfer():
    r = respond_network(one_transfer(4.0), "bus:out")
    assert moves(r) == [(0.0, "transfer:T", None)]  # both positions border the zone and open
    assert r.unservable.all()


def test_fault_on_the_position_opens_it_and_the_device_moves():
    # main A is the zone: QA and T/1 open, T makes the other position 4 ms later
    r = respond_network(one_transfer(4.0), "bus:main A")
    assert moves(r) == [(0.0, "transfer:T", None), (0.004, "transfer:T", "switch:T/2")]
    assert r.dark_s == pytest.approx([0.004])


def test_failed_position_switch_moves_to_the_other():
    r = respond_network(one_transfer(4.0), "switch:T/1")
    assert moves(r)[-1] == (0.004, "transfer:T", "switch:T/2")
    assert r.draw_kw.sum() == pytest.approx(10.0)


def test_stuck_closed_on_the_open_position_takes_over():
    r = respond_network(one_transfer(4.0), "switch:T/2@stuck_closed")
    assert moves(r) == [(0.0, "transfer:T", "switch:T/2")]
    assert r.conflicts == ()
    assert not r.interrupted.any()


def test_dwell_delays_the_move():
    net = deepcopy(one_transfer(4.0))
    net.transfer["dwell_left_s"] = 2.0
    r = respond_network(net, "ext_grid:A")
    assert moves(r) == [(2.004, "transfer:T", "switch:T/2")]
    assert r.dark_s == pytest.approx([2.004])


def three_positions(preferred):
    net, (main_a, main_b, main_c, out) = two_sources("main C", "out")
    create_utility(net, main_c, "C")
    create_transfer(net, out, [main_a, main_b, main_c], "T", transfer_ms=4.0, preferred=preferred)
    racks(net, [[out]])
    return net


def test_preferred_first_then_table_order():
    assert moves(respond_network(three_positions(2), "ext_grid:A")) == [(0.004, "transfer:T", "switch:T/3")]
    assert moves(respond_network(three_positions(0), "ext_grid:A")) == [(0.004, "transfer:T", "switch:T/2")]
    assert moves(respond_network(three_positions(2), ["ext_grid:A", "ext_grid:C"])) == [
        (0.004, "transfer:T", "switch:T/2")
    ]


def cascaded(upstream_ms, downstream_ms, other):
    """ATS1 (main A, main B) feeds mid; ATS2 (mid, other) feeds out."""
    net, (main_a, main_b, mid, out) = two_sources("mid", "out")
    create_transfer(net, mid, [main_a, main_b], "ATS1", transfer_ms=upstream_ms)
    side = main_b if other == "main B" else buses(net, "side")[0]
    create_transfer(net, out, [mid, side], "ATS2", transfer_ms=downstream_ms)
    racks(net, [[mid], [out]])
    return net


def test_cascade_both_start_at_once():
    # ATS2's other position lives on main B: it does not wait for ATS1
    r = respond_network(cascaded(100.0, 4.0, "main B"), "ext_grid:A")
    assert moves(r) == [(0.004, "transfer:ATS2", "switch:ATS2/2"), (0.1, "transfer:ATS1", "switch:ATS1/2")]
    assert r.dark_s == pytest.approx([0.1, 0.004])
    assert list(r.interrupted) == [True, False]
    assert r.conflicts == ()


def test_cascade_downstream_waits_for_voltage():
    # the side bus has no source: out comes back with mid, ATS2 stays
    r = respond_network(cascaded(100.0, 4.0, "side"), "ext_grid:A")
    assert moves(r) == [(0.1, "transfer:ATS1", "switch:ATS1/2")]
    assert r.dark_s == pytest.approx([0.1, 0.1])


def test_three_in_a_row():
    # T1 (A | B) -> m1; T2 (dead | m1) holds the dead side until m1... it had no voltage as given either
    net, (main_a, main_b, m1, m2, out) = two_sources("m1", "m2", "out")
    create_transfer(net, m1, [main_a, main_b], "T1", transfer_ms=100.0)
    create_transfer(net, m2, [main_a, m1], "T2", transfer_ms=50.0)
    create_transfer(net, out, [m2, m1], "T3", transfer_ms=4.0)
    racks(net, [[out]])
    # A dies. t=0: T1 starts (B lives). T2 has no live position until m1 lives at 0.1: starts then, ends 0.15.
    # T3 held m2, dead; at 0.1 m1 lives: starts at 0.1, ends 0.104.
    r = respond_network(net, "ext_grid:A")
    assert moves(r) == [
        (0.1, "transfer:T1", "switch:T1/2"),
        (pytest.approx(0.104), "transfer:T3", "switch:T3/2"),
        (pytest.approx(0.15), "transfer:T2", "switch:T2/2"),
    ]
    assert r.dark_s == pytest.approx([0.104])


def test_two_devices_never_join_two_sources():
    """T1 (A | B) and T2 (A | C) feed one bus through a closed tie; only one of them may make."""
    net, (main_a, main_b, main_c, out1, out2) = two_sources("main C", "out 1", "out 2")
    create_utility(net, main_c, "C")
    create_transfer(net, out1, [main_a, main_b], "T1", transfer_ms=4.0)
    create_transfer(net, out2, [main_a, main_c], "T2", transfer_ms=4.0)
    create_switch(net, out1, out2, "tie")
    racks(net, [[out1], [out2]])
    r = respond_network(net, "ext_grid:A")
    assert r.conflicts == ()
    # both break at 0; T1 makes at 4 ms and lights both; T2 finds its output live and stays open
    assert moves(r) == [(0.004, "transfer:T1", "switch:T1/2"), (0.004, "transfer:T2", None)]
    assert r.living.all()


def test_storage_bridges_an_ats():
    # a 20 kW battery at the output holds it at once; the ATS still moves and the battery yields
    net = deepcopy(one_transfer(100.0))
    out = int(net.bus.index[net.bus["name"] == "out"][0])
    create_storage(net, out, "S", 0.02, 0.01, grid_forming=True)
    r = respond_network(net, "ext_grid:A")
    told = [(item.t_s, item.device, item.after) for item in r.automatic]
    assert told == [
        (0.0, "switch:QA", False),
        (0.0, "storage:S", True),
        (0.1, "transfer:T", "switch:T/2"),
        (0.1, "storage:S", False),
    ]
    assert (r.dark_s == 0).all()
    assert not r.interrupted.any()
    assert not r.state.storage_on.any()
    assert r.conflicts == ()


def test_storage_above_a_transfer_is_a_source_for_it():
    # battery on main A: the transfer sees voltage on its own position and stays
    net = deepcopy(one_transfer(100.0))
    create_storage(
        net, int(net.bus.index[net.bus["name"] == "main A"][0]), "S", 0.02, 0.01, grid_forming=True
    )
    r = respond_network(net, "switch:QA")
    assert moves(r) == []
    assert r.state.storage_on.all()
    assert not r.interrupted.any()


def test_settle_answers_a_command():
    net = one_transfer(4.0)
    r = respond_network(net)
    closed = r.state.closed.copy()
    closed[r.grid.switches.name.index("switch:QA")] = False
    after = settle(r, r.state.but(closed=closed))
    assert after.closed[r.grid.switches.name.index("switch:T/2")]


def test_out_of_service_transfer_stays():
    net = deepcopy(one_transfer(4.0))
    net.transfer["in_service"] = False
    assert moves(respond_network(net, "ext_grid:A")) == []


def test_horizon_cuts_slow_devices():
    from pdnopt.plant.demand import read_demand
    from pdnopt.plant.failures import parse_failed
    from pdnopt.plant.grid import read_grid
    from pdnopt.response import respond

    net = one_transfer(5000.0)
    grid = read_grid(net)
    r = respond(grid, read_demand(net, grid), parse_failed(net, "ext_grid:A"), horizon_s=1.0)
    assert moves(r) == []
    assert list(r.dark_s) == [inf]


def test_plain_feeder_without_pdnopt_columns():
    net = pp.create_empty_network()
    a, b, c = (pp.create_bus(net, 10.0) for _ in range(3))
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(net, a, b, 1.0, 0.1, 0.1, 0.0, 0.2)
    pp.create_line_from_parameters(net, b, c, 1.0, 0.1, 0.1, 0.0, 0.2)
    pp.create_switch(net, b, 1, et="l")
    pp.create_load(net, b, 0.1)
    pp.create_load(net, c, 0.1)
    # line 1 has a switch at b: its zone is the line and bus c
    r = respond_network(net, "line:1")
    assert [(item.device, item.action) for item in r.automatic] == [("switch:0", "open")]
    assert list(r.interrupted) == [False, True]
    assert list(r.unservable) == [False, True]
    # line 0 has no switch at all: its zone is a, b; the border is switch 0
    r = respond_network(net, "line:0")
    assert r.interrupted.all()
    assert r.unservable.all()
