"""Bad inputs are named, all at once; nothing is ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.shifting import Prices
from tests.shift.rows import row

RACKS = [
    {"kw": 10.0, "priority": 1, "sources": [0, 1], "on": 0},
    {"kw": 10.0, "priority": 3, "sources": [0, 1], "on": 1},
]


@pytest.fixture(scope="module")
def net() -> Any:
    return row([40.0, 40.0], RACKS)


def found(net: Any, **keywords: Any) -> set[tuple[str, str]]:
    with pytest.raises(pdnopt.InputError) as caught:
        pdnopt.solve(net, "shift", **keywords)
    return {(issue.kind, issue.path) for issue in caught.value.issues}


def frame(p: Any, names: list[str], steps: int = 12) -> pd.DataFrame:
    return pd.DataFrame([[p] * steps] * len(names), index=names)


@pytest.mark.parametrize("p", [-0.1, 1.5, np.nan, np.inf, "often"])
def test_a_probability_outside_0_to_1(net: Any, p: Any) -> None:
    assert found(net, risk=frame(p, ["ups:UPS-A"])) == {("Range", "risk")}


def test_unknown_components_and_a_short_risk_are_told_together(net: Any) -> None:
    risk = frame(0.1, ["ups:UPS-Z", "ups:UPS-A + ups:UPS-Q", "ups:UPS-A@nonsense"], steps=3)
    kinds = found(net, risk=risk)
    assert {"HorizonError", "InvalidId", "Enum"} <= {kind for kind, _ in kinds}
    assert {path for _, path in kinds} == {"risk"}


def test_a_horizon_beyond_the_forecast(net: Any) -> None:
    loads = pd.DataFrame(10.0, index=net.load.index[net.load["rack"] != ""], columns=range(5))
    assert found(net, loads=loads) == {("HorizonError", "loads")}


def test_gaps_order_and_strange_rows_of_a_forecast(net: Any) -> None:
    loads = pd.DataFrame(10.0, index=net.load.index[net.load["rack"] != ""], columns=[1, 0, *range(2, 12)])
    loads.iloc[0, 3], loads.iloc[1, 4] = np.nan, -1.0
    loads.loc[999] = 1.0
    assert {kind for kind, _ in found(net, loads=loads)} == {
        "NonFinite",
        "NegativeLoad",
        "InvalidId",
        "TimeOrder",
    }


def test_values_out_of_range_are_told_together(net: Any) -> None:
    kinds = found(
        net, horizon=0, step_s=0.0, max_moves=-1, guard=-1.0, guard_level=1.0, max_at_risk_kw=np.nan
    )
    assert kinds >= {
        ("Range", f"solve({name}=...)") for name in ("max_moves", "guard", "guard_level", "max_at_risk_kw")
    }


def test_a_horizon_that_is_no_number_of_steps(net: Any) -> None:
    assert found(net, horizon=0, step_s=0.0) == {
        ("Range", "solve(horizon=...)"),
        ("Range", "solve(step_s=...)"),
    }


def test_prices_and_areas(net: Any) -> None:
    assert found(net, prices={"wear_kwh": -1.0}) == {("Range", "prices.wear_kwh")}
    assert found(net, prices={"no_such": 1.0}) == {("UnknownField", "solve(prices=...)")}
    assert found(net, areas={"transfer:X": "west"}) == {("InvalidName", "solve(areas=...)")}
    with pytest.raises(pdnopt.InputError):
        Prices(money_per_kwh=0.0)


def test_a_battery_with_crossed_bounds() -> None:
    battery = {"device": 0, "p_max_mw": 0.02, "e_max_mwh": 0.01, "soc_percent": 50.0}
    bad = row([40.0, 40.0], RACKS, batteries=[battery])
    bad.storage["min_e_mwh"] = 0.02
    bad.storage["soc_percent"] = 150.0
    bad.storage["efficiency_charge"] = 0.0
    assert found(bad, validate=False) == {
        ("BoundsCrossed", "net.storage.min_e_mwh"),
        ("Range", "net.storage.soc_percent"),
        ("Range", "net.storage.efficiency_charge"),
    }


def test_keywords_of_another_problem_are_refused(net: Any) -> None:
    assert found(net, failed=["ups:UPS-A"]) == {("UnknownField", "solve(failed=...)")}
    assert found(net, doubles=[("ups:UPS-A", "ups:UPS-B")]) == {("UnknownField", "solve(doubles=...)")}
    with pytest.raises(pdnopt.InputError, match="UnknownField"):
        pdnopt.solve(net, "reroute", horizon=6)


def test_a_network_without_transfer_devices() -> None:
    assert {kind for kind, _ in found(pdnopt.load_case("two_feed"))} == {"NoDevice"}


def test_an_order_of_terms_that_does_not_exist(net: Any) -> None:
    assert found(net, minimize=("grid_peak",)) == {("Enum", "minimize")}


def test_a_bound_on_critical_load_that_nothing_keeps_is_infeasible(net: Any) -> None:
    risk = frame(0.01, ["ups:UPS-A + ups:UPS-B"])
    result = pdnopt.solve(net, "shift", risk=risk, max_at_risk_kw=1.0)
    assert result.status == "infeasible"
    assert not result.plan.actions
    assert "max_at_risk_kw" in result.notes[0]
    assert "max_at_risk_kw" in str(result)


def test_loads_that_nothing_carries_are_infeasible(net: Any) -> None:
    rows = net.load.index[net.load["rack"] != ""]
    result = pdnopt.solve(net, "shift", loads=pd.DataFrame(60.0, index=rows, columns=range(12)))
    assert result.status == "infeasible"
    assert any("no choice keeps all limits" in note for note in result.notes)
    assert not result.ok
