"""A battery that holds an island by itself: before the failure, and after a move of the plan."""

from __future__ import annotations

from typing import Any

import pandapower as pp
import pytest

import pdnopt
from pdnopt.plant.create import create_interlock, create_storage, create_switch, create_utility


def one_way_at_a_time(left_closed: bool) -> Any:
    """A main feeds left (10 kW and a battery of 20 kW, 20 kWh) or right (12 kW), never both."""
    net = pp.create_empty_network()
    main, left, right = (int(b) for b in pp.create_buses(net, 3, vn_kv=0.4))
    create_utility(net, main, "A")
    ways = [
        create_switch(net, main, left, "QL", closed=left_closed),
        create_switch(net, main, right, "QR", closed=False),
    ]
    create_interlock(net, ways, "one way")
    pp.create_loads(net, [left, right], p_mw=[0.010, 0.012], name=["left", "right"])
    create_storage(net, left, "S", 0.020, 0.020, grid_forming=True)
    return net


@pytest.mark.parametrize("left_closed", [True, False])
def test_battery_takes_over_what_a_plan_parts(left_closed: bool) -> None:
    """Both are served only if the battery holds left; it does so by itself, without a command."""
    net = one_way_at_a_time(left_closed)
    result = pdnopt.solve(net)
    assert result.status == "optimal"
    assert result.issues == []
    assert result.unserved_kw == 0
    moves = [("switch:QL", "open")] * left_closed + [("switch:QR", "close")]
    assert [(a.device, a.action) for a in result.plan.actions if a.device.startswith("switch:")] == moves
    assert not any(action.action == "form" for action in result.plan.actions)
    end = result.plan.apply(net)
    pp.runpp(end, numba=False)
    companion = end.ext_grid.index[end.ext_grid["kind"] == "storage"][0]
    assert end.res_ext_grid.at[companion, "p_mw"] == pytest.approx(0.010, abs=1e-6)
