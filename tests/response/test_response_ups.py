"""UPS modes, chains of UPSs, batteries in the rows."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
from plants_for_response import buses, racks, two_sources

from pdnopt.plant import create_storage, create_switch, create_transfer, create_ups, create_utility
from pdnopt.response import respond_network, settle


@cache
def one_ups(mode="online", e_mwh=0.01, own_bypass=False, n_modules=1):
    """One UPS from main A (bypass there too, or from main B) and a 10 kW rack at its output."""
    net, (main_a, main_b, out) = two_sources("out")
    bypass = main_b if own_bypass else main_a
    create_ups(
        net, main_a, out, "U", 0.06, 0.06, bypass_bus=bypass, e_max_mwh=e_mwh, mode=mode, n_modules=n_modules
    )
    racks(net, [[out]])
    return net


@pytest.mark.parametrize(
    ("mode", "e_mwh", "own_bypass", "failed", "after"),
    [
        ("online", 0.01, False, "ext_grid:A", "battery"),
        ("online", 0.0, False, "ext_grid:A", "off"),  # no battery, and the bypass hangs on the same bus
        ("online", 0.0, True, "ext_grid:A", "bypass"),  # the bypass bus lives
        ("online", 0.01, True, "ext_grid:A", "battery"),
        ("eco", 0.01, True, "ext_grid:B", "online"),  # bypass dead, rectifier input live
        ("eco", 0.01, False, "ext_grid:A", "battery"),
        ("eco", 0.0, False, "ext_grid:A", "off"),
        ("bypass", 0.01, False, "ext_grid:A", "off"),
        ("bypass", 0.01, True, "ext_grid:B", "off"),
        ("bypass", 0.01, True, "ext_grid:A", "bypass"),
        ("online", 0.01, False, "ups:U@rectifier", "battery"),
        ("eco", 0.01, False, "ups:U@rectifier", "battery"),
        ("online", 0.0, False, "ups:U@rectifier", "bypass"),
        ("online", 0.01, False, "ups:U@to_bypass", "bypass"),
        ("online", 0.01, False, "switch:U bypass@stuck_closed", "bypass"),
        ("online", 0.01, False, "switch:U bypass", "online"),
        ("bypass", 0.01, False, "switch:U bypass", "off"),
        ("eco", 0.01, False, "switch:U bypass", "online"),
        ("online", 0.01, False, "ups:U", "off"),
        ("off", 0.01, False, "ups:U@rectifier", "off"),
        ("online", 0.01, False, "bus:out", "off"),
        ("bypass", 0.01, True, "bus:main B", "off"),
        ("eco", 0.01, True, "bus:main B", "online"),
        ("online", 0.0, True, "bus:main A", "bypass"),
        ("online", 0.01, False, ["ups:U@rectifier", "ups:U@to_bypass"], "bypass"),
    ],
)
def test_modes(mode, e_mwh, own_bypass, failed, after):
    r = respond_network(one_ups(mode, e_mwh, own_bypass), failed)
    assert r.state.ups_mode[0] == after
    # instantly, or never
    assert r.interrupted[0] == (after == "off")
    assert r.living[0] == (after != "off")
    bypass = r.grid.upss.bypass[0]
    assert r.state.closed[bypass] == (after in ("bypass", "eco"))
    assert r.conflicts == ()


def test_module_derates():
    r = respond_network(one_ups(n_modules=4), "ups:U@module")
    assert r.state.ups_mode[0] == "online"
    assert r.grid.upss.p_rated_kw[0] == pytest.approx(45.0)  # 60 * 3/4
    assert r.grid.upss.s_rated_kva[0] == pytest.approx(45.0)
    assert r.grid.upss.n_modules[0] == 3


def test_series_only_the_upstream_ups_goes_on_battery():
    net, (main_a, _, mid, out) = two_sources("mid", "out")
    create_ups(net, main_a, mid, "U1", 0.06, 0.06, e_max_mwh=0.01)
    create_ups(net, mid, out, "U2", 0.06, 0.06, e_max_mwh=0.01)
    racks(net, [[out]])
    assert list(respond_network(net, "ext_grid:A").state.ups_mode) == ["battery", "online"]
    assert list(respond_network(net, "ups:U1").state.ups_mode) == ["off", "battery"]
    assert list(respond_network(net, "bus:mid").state.ups_mode) == ["off", "battery"]


def test_ups_comes_back_when_an_ats_restores_its_input():
    # ATS (A | B) feeds the UPS: on battery at 0, online again at 0.1 s; nobody notices
    net, (main_a, main_b, ups_in, out) = two_sources("ups in", "out")
    create_transfer(net, ups_in, [main_a, main_b], "T", transfer_ms=100.0)
    create_ups(net, ups_in, out, "U", 0.06, 0.06, bypass_bus=ups_in, e_max_mwh=0.01)
    racks(net, [[out], [ups_in]])
    r = respond_network(net, "ext_grid:A")
    assert [(item.t_s, item.device, item.after) for item in r.automatic] == [
        (0.0, "switch:QA", False),
        (0.0, "ups:U", "battery"),
        (0.1, "transfer:T", "switch:T/2"),
        (0.1, "ups:U", "online"),
    ]
    assert r.dark_s == pytest.approx([0.0, 0.1])


def test_a_ups_does_not_feed_its_own_input():
    # a tie from the output back to the input: main A lives only by the UPS itself, so it stays on battery
    net, (main_a, _, out) = two_sources("out")
    create_ups(net, main_a, out, "U", 0.06, 0.06, e_max_mwh=0.01)
    create_switch(net, out, main_a, "loop", closed=True)
    racks(net, [[out]])
    r = respond_network(net, "switch:QA")
    assert r.state.ups_mode[0] == "battery"


def test_settle_returns_a_ups_to_its_mains():
    net = one_ups()
    r = respond_network(net, "switch:QA")
    assert r.state.ups_mode[0] == "battery"
    closed = r.state.closed.copy()
    closed[net.switch.index.get_loc(net.switch.index[net.switch["name"] == "QA"][0])] = True
    assert settle(r, r.state.but(closed=closed)).ups_mode[0] == "online"


# --- batteries in the rows


def with_storage(p_mw=0.02, soc=100.0, **more):
    """A 10 kW rack and a battery on out, fed by F from main A."""
    net, (main_a, _, out) = two_sources("out")
    create_switch(net, main_a, out, "F")
    create_storage(net, out, "S", p_mw, 0.01, soc_percent=soc, **more)
    racks(net, [[out]])
    return net


@pytest.mark.parametrize(
    ("more", "forms"),
    [
        ({"grid_forming": True}, True),
        ({"grid_forming": False}, False),
        ({"grid_forming": True, "soc": 0.0}, False),
        ({"grid_forming": True, "soc": 10.0, "soc_min_percent": 10.0}, False),
        ({"grid_forming": True, "coupling": "dc"}, False),
    ],
)
def test_storage_holds_its_island(more, forms):
    r = respond_network(with_storage(**more), "switch:F")
    assert r.state.storage_on[0] == forms
    assert r.interrupted[0] == (not forms)
    assert ("storage:S", "form", True) in [(a.device, a.action, a.after) for a in r.automatic] or not forms


def test_failed_storage_and_storage_in_a_dead_zone():
    net = with_storage(grid_forming=True)
    assert not respond_network(net, ["switch:F", "storage:S"]).state.storage_on[0]
    r = respond_network(net, "bus:out")
    assert not r.state.storage_on[0]
    assert not r.state.storage_ok[0]
    assert r.unservable[0]


def test_only_the_stronger_of_two_batteries_forms():
    net = with_storage(grid_forming=True)
    out = int(net.bus.index[net.bus["name"] == "out"][0])
    create_storage(net, out, "big", 0.05, 0.01, grid_forming=True)
    r = respond_network(net, "switch:F")
    assert list(r.state.storage_on) == [False, True]
    assert r.conflicts == ()


def test_ups_battery_comes_before_the_row_battery():
    # the UPS's input dies: it carries its output itself; the row battery behind it stays idle
    net = deepcopy(one_ups())
    out = int(net.bus.index[net.bus["name"] == "out"][0])
    create_storage(net, out, "S", 0.05, 0.01, grid_forming=True)
    r = respond_network(net, "ext_grid:A")
    assert r.state.ups_mode[0] == "battery"
    assert not r.state.storage_on[0]
    # the UPS itself fails: the row battery takes over
    r = respond_network(net, "ups:U")
    assert r.state.storage_on[0]
    assert not r.interrupted.any()


def test_an_island_that_a_battery_forms_as_given_is_alive_as_given():
    net = with_storage(grid_forming=True)
    net.switch.loc[net.switch["name"] == "F", "closed"] = False
    r = respond_network(net)
    assert r.living_as_given.all()
    assert r.automatic == ()
    assert not r.interrupted.any()


# --- sources


def test_paralleled_gensets_of_one_group_are_no_conflict():
    net, (main_a, _, g1, g2) = two_sources("g1", "g2")
    from pdnopt.plant import create_genset

    create_genset(net, g1, "G1", 0.1, sync_group="g", parallel=True)
    create_genset(net, g2, "G2", 0.1, sync_group="g", parallel=True)
    create_switch(net, g1, main_a, "B1", closed=False)
    create_switch(net, g2, main_a, "B2", closed=False)
    racks(net, [[main_a]])
    r = respond_network(net, "ext_grid:A")
    assert not r.state.source_on[2:].any()  # a genset does not start by itself
    assert r.interrupted.all()
    assert not r.unservable.any()
    net.switch.loc[net.switch["name"].isin(["B1", "B2"]), "closed"] = True
    net.switch.loc[net.switch["name"] == "QA", "closed"] = False
    r = respond_network(net)
    assert r.state.source_on[2:].all()
    assert r.conflicts == ()
    net.ext_grid["sync_group"] = ""
    assert respond_network(net).conflicts == ("ext_grid:G1 and ext_grid:G2 feed one island",)


def test_interruption_counts_the_worst_gap_only():
    # two STSs in a row, 15 ms each, one after the other: 15 ms + 15 ms = 30 ms without voltage > 20 ms
    net, (main_a, main_b, mid, out, side) = two_sources("mid", "out", "side")
    create_transfer(net, mid, [main_a, main_b], "T1", transfer_ms=15.0)
    create_transfer(net, out, [side, mid], "T2", transfer_ms=15.0)
    c = buses(net, "main C")[0]
    create_utility(net, c, "C")
    create_switch(net, c, side, "QC")
    racks(net, [[out]])
    r = respond_network(net, ["ext_grid:A", "ext_grid:C"])
    assert r.dark_s == pytest.approx([0.030])
    assert r.interrupted.all()
