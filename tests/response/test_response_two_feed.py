"""Every single failure of two_feed, by hand: 8 racks of 10 kW, 5 kW a cord, one cord a side."""

from __future__ import annotations

import numpy as np
import pytest

from cases.two_feed import two_feed
from pdnopt.plant.actions import Actuator
from pdnopt.plant.demand import read_demand
from pdnopt.response import respond_network


def said(response):
    return [(item.device, item.action, item.after) for item in response.automatic]


BOTH = 16  # living cords
B_ONLY = 8

# failure, what happens by itself, UPS modes, living cords, kW at PDU A, kW at PDU B
CASES = [
    (None, [], "online online", BOTH, 40.0, 40.0),
    (
        "ext_grid:Utility-A",
        [("switch:QA", "open", False), ("ups:UPS-A", "mode", "battery")],
        "battery online",
        BOTH,
        40.0,
        40.0,
    ),
    (
        "ext_grid:Utility-B",
        [("switch:QB", "open", False), ("ups:UPS-B", "mode", "battery")],
        "online battery",
        BOTH,
        40.0,
        40.0,
    ),
    ("ext_grid:G", [], "online online", BOTH, 40.0, 40.0),
    # the grid bus dies, QA clears it; main A lives on without a source
    (
        "bus:grid A",
        [("switch:QA", "open", False), ("ups:UPS-A", "mode", "battery")],
        "battery online",
        BOTH,
        40.0,
        40.0,
    ),
    (
        "bus:main A",
        [("switch:QA", "open", False), ("ups:UPS-A", "mode", "battery")],
        "battery online",
        BOTH,
        40.0,
        40.0,
    ),
    ("bus:gen", [], "online online", BOTH, 40.0, 40.0),
    # the output dies: no battery helps; every B cord takes 10 kW
    (
        "bus:out A",
        [("switch:FA", "open", False), ("ups:UPS-A", "mode", "off")],
        "off online",
        B_ONLY,
        0.0,
        80.0,
    ),
    # the line has a switch at out A only: PDU A belongs to its zone
    ("line:feeder A", [("switch:FA", "open", False)], "online online", B_ONLY, 0.0, 80.0),
    ("bus:PDU A", [("switch:FA", "open", False)], "online online", B_ONLY, 0.0, 80.0),
    ("switch:FA", [("switch:FA", "open", False)], "online online", B_ONLY, 0.0, 80.0),
    (
        "switch:QA",
        [("switch:QA", "open", False), ("ups:UPS-A", "mode", "battery")],
        "battery online",
        BOTH,
        40.0,
        40.0,
    ),
    ("switch:QT", [], "online online", BOTH, 40.0, 40.0),
    ("switch:QX", [], "online online", BOTH, 40.0, 40.0),
    ("switch:QG", [], "online online", BOTH, 40.0, 40.0),
    ("switch:QA@stuck_closed", [], "online online", BOTH, 40.0, 40.0),
    (
        "switch:QA@stuck_open",
        [("switch:QA", "open", False), ("ups:UPS-A", "mode", "battery")],
        "battery online",
        BOTH,
        40.0,
        40.0,
    ),
    ("ups:UPS-A", [("ups:UPS-A", "mode", "off")], "off online", B_ONLY, 0.0, 80.0),
    ("ups:UPS-B", [("ups:UPS-B", "mode", "off")], "online off", B_ONLY, 80.0, 0.0),
    ("ups:UPS-A@rectifier", [("ups:UPS-A", "mode", "battery")], "battery online", BOTH, 40.0, 40.0),
    ("ups:UPS-A@to_bypass", [("ups:UPS-A", "mode", "bypass")], "bypass online", BOTH, 40.0, 40.0),
    # the only module: nothing is left of the inverter
    ("ups:UPS-A@module", [("ups:UPS-A", "mode", "bypass")], "bypass online", BOTH, 40.0, 40.0),
    # a silent single feed: R1's B cord carries 10 kW instead of 5
    ("load:R1/A@psu", [], "online online", BOTH - 1, 35.0, 45.0),
    ("load:R1/A", [], "online online", BOTH - 1, 35.0, 45.0),
    ("rack:R1", [], "online online", BOTH - 2, 35.0, 35.0),
    # the rectifier's companion load
    ("load:UPS-A input", [("ups:UPS-A", "mode", "battery")], "battery online", BOTH, 40.0, 40.0),
]


@pytest.fixture(scope="module")
def net():
    return two_feed()


@pytest.mark.parametrize(("failed", "automatic", "modes", "living", "kw_a", "kw_b"), CASES)
def test_single_failures(net, failed, automatic, modes, living, kw_a, kw_b):
    r = respond_network(net, failed)
    assert said(r) == automatic
    assert " ".join(r.state.ups_mode) == modes
    assert r.living.sum() == living
    assert r.draw_kw[0::2].sum() == pytest.approx(kw_a)  # cords A, B alternate
    assert r.draw_kw[1::2].sum() == pytest.approx(kw_b)
    assert r.conflicts == ()
    # nobody loses voltage, but a rack that has failed itself
    hit = np.arange(8) == (0 if failed == "rack:R1" else -1)
    assert (r.interrupted == hit).all()
    assert (r.unservable == hit).all()
    assert (np.isinf(r.dark_s) == hit).all()
    assert (r.dark_s[~hit] == 0).all()


@pytest.mark.parametrize("failed", [case[0] for case in CASES])
def test_actions_lead_from_before_to_after(net, failed):
    r = respond_network(net, failed)
    again = Actuator(r.grid, read_demand(net, r.grid)).act(r.before, r.automatic)
    assert (again.closed == r.state.closed).all()
    assert (again.ups_mode == r.state.ups_mode).all()
    assert all(item.step == 0 and item.reason for item in r.automatic)
    assert [item.t_s for item in r.automatic] == sorted(item.t_s for item in r.automatic)


def test_both_ups_dead_is_unservable_but_both_mains_dead_runs_on_battery(net):
    # QX joins only two dead outputs and a failed UPS loses its bypass: no path
    r = respond_network(net, ["ups:UPS-A", "ups:UPS-B"])
    assert r.unservable.all()
    assert r.interrupted.all()
    assert r.draw_kw.sum() == 0
    r = respond_network(net, ["ext_grid:Utility-A", "ext_grid:Utility-B"])
    assert list(r.state.ups_mode) == ["battery", "battery"]
    assert not r.interrupted.any()


def test_to_bypass_without_voltage_there_is_off(net):
    # main A has no source: the bypass passes nothing; racks go on with their B cords, 80 kW
    r = respond_network(net, ["ups:UPS-A@to_bypass", "switch:QA"])
    assert list(r.state.ups_mode) == ["off", "online"]
    assert r.draw_kw[1::2].sum() == pytest.approx(80.0)


def test_locks(net):
    r = respond_network(net, "bus:main A")
    names = dict(zip(r.grid.switches.name, r.state.locked, strict=True))
    # main A touches QA, QG, QT and UPS-A's bypass
    locked = {name for name, flag in names.items() if flag}
    assert locked == {"switch:QA", "switch:QG", "switch:QT", "switch:UPS-A bypass"}
    assert not r.state.rectifier_ok[0]
    assert not r.state.bypass_ok[0]
    assert r.state.inverter_ok[0]


def test_a_breaker_that_is_stuck_closed_spreads_the_zone(net):
    # the fault on grid A is not cleared by QA, so main A dies as well
    r = respond_network(net, ["bus:grid A", "switch:QA@stuck_closed"])
    dead = {name for name, flag in zip(r.grid.nodes.name, r.state.dead, strict=True) if flag}
    assert dead == {"bus:grid A", "bus:main A"}


def test_stuck_closed_tie_is_told_as_a_conflict(net):
    r = respond_network(net, "switch:QX@stuck_closed")
    assert r.conflicts == ("ups:UPS-A and ups:UPS-B feed one island",)


def test_new_loads(net):
    import pandas as pd

    cord = int(net.load.index[net.load["name"] == "R1/A"][0])
    r = respond_network(net, "ups:UPS-A", p_load_kw=pd.Series({cord: 7.0}))
    assert r.draw_kw[1] == pytest.approx(12.0)  # 7 + 5 on the B cord


def test_unknown_table_is_refused(net):
    from pdnopt.errors import InputError

    with pytest.raises(InputError, match="interlock"):
        respond_network(net, "interlock:QA-QG")
