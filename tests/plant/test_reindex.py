"""New indices leave no reference behind."""

from __future__ import annotations

import copy
import functools

import pandapower as pp
import pandas as pd
import pytest

from cases.two_feed import two_feed
from pdnopt.errors import InputError
from pdnopt.plant import create_storage, create_transfer
from pdnopt.plant.reindex import reindex_buses, reindex_elements


@functools.cache
def built():
    net = two_feed()
    pdu_a, pdu_b = 7, 8
    out = int(pp.create_bus(net, 0.4, name="ats out"))
    create_transfer(net, out, [pdu_a, pdu_b], "ATS")
    create_storage(net, out, "DES", 0.02, 0.01, grid_forming=True)
    pp.create_asymmetric_sgen(net, out)
    net.asymmetric_sgen["storage"] = 0.0
    return net


@pytest.fixture
def plant():
    return copy.deepcopy(built())


def by_name(net, table):
    return dict(zip(net[table]["name"], net[table].index, strict=True))


def wiring(net):
    """Every reference, told by names."""
    bus, switch = net.bus["name"], net.switch["name"]
    ups, transfer, storage = net.ups["name"], net.transfer["name"], net.storage["name"]

    def told(frame, column, names):
        return [None if pd.isna(v) else names[int(v)] for v in frame[column]]

    return {
        "ups": [told(net.ups, c, bus) for c in ("in_bus", "out_bus", "bypass_bus")],
        "transfer": [told(net.transfer, "bus", bus), told(net.transfer, "preferred", switch)],
        "switch": [told(net.switch, c, n) for c, n in (("transfer", transfer), ("ups", ups), ("bus", bus))],
        "ext_grid": [told(net.ext_grid, c, n) for c, n in (("ups", ups), ("storage", storage), ("bus", bus))],
        "load": [told(net.load, "ups", ups), told(net.load, "bus", bus)],
        "interlock": [[switch[s] for s in row] for row in net.interlock["switches"]],
        "sgen": told(net.asymmetric_sgen, "storage", storage),
    }


@pytest.mark.parametrize("table", ["bus", "switch", "ups", "transfer", "storage", "load", "ext_grid", "line"])
def test_every_reference_follows(plant, table):
    before, dtypes = (
        wiring(plant),
        {t: plant[t].dtypes for t in ("ups", "transfer", "switch", "ext_grid", "load")},
    )
    old = list(plant[table].index)
    lookup = {i: 100 + 7 * (len(old) - k) for k, i in enumerate(old)}
    whole = reindex_elements(plant, table, lookup)
    assert whole == lookup
    assert list(plant[table].index) == list(lookup.values())
    assert wiring(plant) == before
    for name, dtype in dtypes.items():
        pd.testing.assert_series_equal(plant[name].dtypes, dtype)
    if table == "line":
        ends = plant.switch.loc[plant.switch.et == "l", "element"]
        assert set(ends) == set(plant.line.index)
    pp.runpp(plant)


def test_a_swap_and_a_partial_lookup(plant):
    before = wiring(plant)
    assert reindex_buses(plant, {3: 4, 4: 3})[5] == 5
    reindex_elements(plant, "switch", {0: 1, 1: 0})
    reindex_elements(plant, "ups", {0: 1, 1: 0})
    assert wiring(plant) == before
    assert by_name(plant, "ups") == {"UPS-A": 1, "UPS-B": 0}


def test_results_follow(plant):
    pp.runpp(plant)
    loading = plant.res_line["loading_percent"].to_numpy().copy()
    reindex_elements(plant, "line", {0: 50})
    assert list(plant.res_line.index) == list(plant.line.index)
    assert (plant.res_line["loading_percent"].to_numpy() == loading).all()


def test_three_winding_transformer_switches_follow():
    net = pp.create_empty_network()
    buses = [int(pp.create_bus(net, kv)) for kv in (110.0, 20.0, 10.0)]
    trafo = int(pp.create_transformer3w(net, *buses, std_type="63/25/38 MVA 110/20/10 kV"))
    pp.create_switch(net, buses[0], trafo, et="t3")
    reindex_elements(net, "trafo3w", {trafo: 9})
    assert net.switch.at[0, "element"] == 9


def test_groups_of_own_tables_follow(plant):
    pp.create_group(plant, ["ups"], [[0, 1]], name="both")
    reindex_elements(plant, "ups", {0: 10})
    assert list(plant.group["element_index"].iloc[0]) == [10, 1]


@pytest.mark.parametrize(
    ("table", "lookup", "kind"),
    [
        ("bus", {99: 1}, "InvalidId"),
        ("bus", {0: 1}, "NotUnique"),
        ("switch", {0: 5, 1: 5}, "NotUnique"),
        ("ups", {0: 1}, "NotUnique"),
        ("ups", {0: -1}, "Range"),
        ("ups", {0: 1.5}, "Range"),
        ("nonsense", {0: 1}, "InvalidId"),
        ("res_bus", {0: 1}, "InvalidId"),
    ],
)
def test_refusals_change_nothing(plant, table, lookup, kind):
    before = wiring(plant)
    with pytest.raises(InputError) as caught:
        reindex_elements(plant, table, lookup)
    assert {i.kind for i in caught.value.issues} == {kind}
    assert wiring(plant) == before
