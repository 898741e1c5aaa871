"""Zones: who is in which, and that what they may exchange keeps what they share, whatever they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pytest

from pdnopt.balancing.levels import Levels
from pdnopt.errors import InputError
from tests.balance.pods import _line, pod
from tests.balance.zoned_halls import pods


def names(levels: Levels) -> dict[str, list[str]]:
    """Return the names of the inverters of every zone."""
    return {
        zone.name: [levels.inverters.name[i].partition(":")[2] for i in zone.inverters]
        for zone in levels.zones
    }


def test_zones_are_the_largest_parts_that_are_small_enough() -> None:
    """Two pods of three PDUs with two rows: by PDU for 2 to 3, siblings together for 4, a pod for 6."""
    net = pods(2, 3, 2)
    by_pdu = {
        f"trafo:PDU {k}.{m}": [f"MIM {k}.{m}.{r}" for r in range(2)] for k in range(2) for m in range(3)
    }
    assert names(Levels(net, zones=3)) == by_pdu
    pairs = names(Levels(net, zones=4))
    assert pairs["trafo:PDU 0.0"] == by_pdu["trafo:PDU 0.0"] + by_pdu["trafo:PDU 0.1"]
    assert pairs["trafo:PDU 0.2"] == by_pdu["trafo:PDU 0.2"]
    assert [len(mims) for mims in names(Levels(net, zones=6)).values()] == [6, 6]


def test_zones_may_be_named() -> None:
    net = pods(1, 2, 2)
    groups = {"left": ["line:busway 0.0.0", "line:busway 0.0.1"], "right": ["trafo:PDU 0.1"]}
    assert names(Levels(net, zones=groups)) == {
        "left": ["MIM 0.0.0", "MIM 0.0.1"],
        "right": ["MIM 0.1.0", "MIM 0.1.1"],
    }


def test_faults_of_zones_are_named_at_once() -> None:
    net = pods(1, 2, 2)
    with pytest.raises(InputError) as caught:
        Levels(net, zones=["trafo:nobody", "line:busway 9.9.9", "trafo:PDU 0.0"])
    assert [issue.id for issue in caught.value.issues] == ["trafo:nobody", "line:busway 9.9.9"]
    with pytest.raises(InputError, match=r"lies in zone trafo:PDU 0\.0"):
        Levels(net, zones=["trafo:PDU 0.0", "line:busway 0.0.1"])
    with pytest.raises(InputError, match="one board"):
        Levels(net, zones={"both": ["line:busway 0.0.0", "line:busway 0.1.0"]})
    with pytest.raises(InputError, match="a whole number, 1 or more"):
        Levels(net, zones=0)


def test_a_second_way_into_a_zone_is_refused() -> None:
    net = pod()
    buses = net.bus.set_index("name").index.get_indexer(["PDU-0", "PDU-1"])
    _line(net, int(buses[0]), int(buses[1]), "tie", 0.05)
    with pytest.raises(InputError, match="joined by a second way"):
        Levels(net, zones=["line:cable 0", "line:cable 1"])


def test_an_inverter_in_no_zone_is_told_by_the_global_level() -> None:
    from pdnopt.session import solve

    result = solve(pod(), "balance", zones=["line:cable 0"], workers=1, time_limit_s=60.0)
    assert (result.status, result.issues) == ("feasible", [])
    assert "agree after" in result.notes[0]
    assert {action.device for action in result.plan.actions} == {
        "asymmetric_sgen:MIM-0",
        "asymmetric_sgen:MIM-1",
    }


@pytest.mark.parametrize("kw", [((9.0, 5.0, 4.0), (4.0, 8.0, 6.0)), ((12.0, 8.0, 6.0), (11.0, 9.0, 7.0))])
def test_squares_keep_the_shared_transformer_whatever_zones_do(kw: Any) -> None:
    """The transformer carries the sum of two cables: by hand, at all corners of their squares."""
    net = pod(kw=kw, s_max_kva=1.5)
    rated_a = net.trafo["sn_mva"].iloc[0] * 1e6 / (np.sqrt(3.0) * 415.0)
    net.trafo["max_loading_percent"] = (
        100.0 * max(sum(x) for x in zip(*kw, strict=True)) * 1e3 / 239.6 / rated_a
    )
    levels = Levels(net, zones=["line:cable 0", "line:cable 1"])
    exchange = levels.overall(levels.state())
    base_ka = np.full(2, levels._runner.network.feeders.base_ka[0])
    plan, width = exchange.amperes(base_ka)
    assert width.min() > 0
    limit = net.trafo["max_loading_percent"].iloc[0] / 100.0 * rated_a
    corners = np.array([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j])
    turn = plan / np.abs(plan)
    for a in corners:
        for b in corners:
            total = plan + turn * width * np.array([a, b])[:, None]
            amps = np.abs(total.sum(axis=0))
            assert amps.max() <= limit * 1.001
            assert amps.max() - amps.min() <= exchange.spread_cap * limit * 1.001


def test_empty_plants_say_what_is_missing() -> None:
    net = pp.create_empty_network()
    pp.create_ext_grid(net, pp.create_bus(net, 0.4), s_sc_max_mva=100.0, rx_max=0.1)
    with pytest.raises(InputError):
        Levels(net)
