"""What the terms after the margin decide, and what holds a device back; in rooms with plain answers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from tests.reserve.by_hand import Room
from tests.reserve.rooms import room

TAPS = 6


def all_on_the_first() -> Any:
    """Six taps of equal load that stand on R1 and reach R2; taps 1 to 3 feed racks of priority 1, the others of 3."""
    net = room(TAPS, 2, 1, 2, seed=1, reserve_part=2.4, spread=0.0)
    for tap in net.transfer.index:
        rows = net.switch.index[net.switch["transfer"] == tap]
        net.switch.loc[rows, "closed"] = [True, False]
        net.transfer.loc[tap, "preferred"] = float(rows[0])
    mine = net.load["rack"] != ""
    number = net.load.loc[mine, "rack"].str.removeprefix("R").astype(int)
    net.load.loc[mine, "priority"] = np.where(number <= TAPS // 2, 1, 3)
    return net


def moved(result: pdnopt.Result) -> set[str]:
    return {action.device for action in result.plan.actions if action.action == "transfer"}


def active(result: pdnopt.Result) -> list[str]:
    assert result.backing is not None
    return list(result.backing["active"])


def test_the_least_critical_load_moves_first() -> None:
    result = pdnopt.solve(all_on_the_first(), "reserve", time_limit_s=60.0).raise_for_status()
    assert moved(result) == {f"transfer:IBT-{k}" for k in (4, 5, 6)}


def test_a_device_that_dwells_stays_and_another_one_moves() -> None:
    net = all_on_the_first()
    net.transfer["min_dwell_s"] = 100.0
    net.transfer["dwell_left_s"] = [0.0, 0.0, 0.0, 0.0, 0.0, 50.0]
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0).raise_for_status()
    assert "transfer:IBT-6" not in moved(result)
    assert {"transfer:IBT-4", "transfer:IBT-5"} < moved(result)
    assert len(moved(result)) == 3


def test_an_evacuation_at_once_or_two_moves_a_time() -> None:
    net = all_on_the_first()
    at_once = pdnopt.solve(net, "reserve", evacuate=["ups:R1"], time_limit_s=60.0).raise_for_status()
    assert set(active(at_once)) == {"ups:R2"}
    for left in (4, 2, 0):
        step = pdnopt.solve(net, "reserve", evacuate=["ups:R1"], max_moves=2, time_limit_s=60.0)
        assert len(moved(step.raise_for_status())) == 2
        assert active(step).count("ups:R1") == left
        net = step.plan.apply(net)


def test_of_two_units_at_risk_the_likelier_one_is_left() -> None:
    net = all_on_the_first()
    risk = pd.DataFrame({0: [0.3, 0.1]}, index=["ups:R1", "ups:R2"])
    result = pdnopt.solve(net, "reserve", risk=risk, time_limit_s=60.0).raise_for_status()
    assert set(active(result)) == {"ups:R2"}


@pytest.mark.parametrize("column", ["thd_percent", "cost_per_kwh"])
def test_quality_and_cost_decide_where_they_come_first(column: str) -> None:
    net = all_on_the_first()
    net.ups[column] = [0.0, 3.0, 1.0]  # P1, R1, R2
    term = {"thd_percent": "quality", "cost_per_kwh": "cost"}[column]
    result = pdnopt.solve(net, "reserve", minimize=(term, "moves"), time_limit_s=60.0).raise_for_status()
    assert set(active(result)) == {"ups:R2"}
    kw = 1000.0 * net.load.loc[net.load["rack"] != "", "p_mw"].sum() / 2.0
    assert result.objective[term] == pytest.approx(kw * 1.0, rel=1e-6)


def test_distance_is_a_loss_and_decides_where_losses_come_first() -> None:
    net = all_on_the_first()
    net.line.loc[net.line["name"] == "busway R1", "length_km"] = 0.2
    result = pdnopt.solve(net, "reserve", minimize=("losses",), time_limit_s=60.0).raise_for_status()
    assert set(active(result)) == {"ups:R2"}
    lines = [float(pdnopt.powerflow(one).res_line["pl_mw"].sum()) for one in (net, result.plan.apply(net))]
    assert lines[1] < 0.5 * lines[0]
    net.line.loc[net.line["name"] == "busway R1", "length_km"] = 0.002
    back = pdnopt.solve(net, "reserve", minimize=("losses",), time_limit_s=60.0).raise_for_status()
    assert set(active(back)) == {"ups:R1"}


def test_a_double_is_carried_as_by_hand() -> None:
    """R1 and P1 lost together: all racks stand with all their power on R2."""
    net = all_on_the_first()
    double = ("ups:R1", "ups:P1")
    result = pdnopt.solve(net, "reserve", doubles=[double], time_limit_s=60.0).raise_for_status()
    hand = Room.of(net)
    limit_kw = float(hand.rated_kva[1] / hand.kva_per_kw) * 1.10
    told = result.margins.set_index("contingency").loc[" + ".join(double)]
    assert told["component"] == "ups:R2"
    assert told["margin_kw"] == pytest.approx(limit_kw - hand.kw.sum(), abs=0.01 * hand.rated_kva[1])
    assert " + ".join(double) not in set(
        pdnopt.solve(net, "reserve", time_limit_s=60.0).margins["contingency"]
    )


def test_a_way_on_which_the_voltage_falls_too_low_is_no_choice() -> None:
    """After the loss of P1 a tap has 8 kW; over 8 km of a 160 A busway, 2.1 ohm, that drops more than a tenth of 400 V."""
    net = all_on_the_first()
    net.switch.loc[net.switch["transfer"].notna(), "closed"] ^= True  # all on R2
    net.line.loc[net.line["name"] == "busway R1", "length_km"] = 8.0
    alone = deepcopy(net)
    first = alone.switch["transfer"] == 0
    alone.switch.loc[first, "closed"] ^= True
    bus = int(alone.transfer.at[0, "bus"])
    alone.load.loc[alone.load["bus"] == bus, ["p_mw", "q_mvar"]] *= 2.0
    assert pdnopt.powerflow(alone).res_bus.at[bus, "vm_pu"] < 0.9
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0).raise_for_status()
    assert set(active(result)) == {"ups:R2"}
    near = deepcopy(net)
    near.line.loc[near.line["name"] == "busway R1", "length_km"] = 0.02
    assert set(active(pdnopt.solve(near, "reserve", time_limit_s=60.0))) == {"ups:R1", "ups:R2"}
    after = pdnopt.powerflow(result.plan.apply(net)).res_bus["vm_pu"]
    told = result.backing["vm_pu"].to_numpy()
    np.testing.assert_allclose(told, after[net.transfer["bus"].astype(int)], atol=1e-6)
    assert told.min() > 0.9
