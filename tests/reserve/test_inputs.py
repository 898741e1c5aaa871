"""Bad inputs are named, all at once; nothing is ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from tests.reserve.rooms import load_vectors, room


@pytest.fixture(scope="module")
def net() -> Any:
    return room(4, 2, 2, 2, seed=1, reserve_part=2.0)


def kinds(net: Any, **keywords: Any) -> set[str]:
    with pytest.raises(pdnopt.InputError) as caught:
        pdnopt.solve(net, "reserve", **keywords)
    return {issue.kind for issue in caught.value.issues}


def test_a_tap_to_nowhere(net: Any) -> None:
    bad = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    bad.switch.loc[bad.switch["transfer"] == 0, "transfer"] = np.nan
    assert "NoPosition" in kinds(bad, validate=False)


def test_a_reserve_smaller_than_its_largest_rack(net: Any) -> None:
    bad = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    bad.ups.loc[bad.ups["name"] == "R1", "p_rated_mw"] = 0.001
    with pytest.raises(pdnopt.InputError) as caught:
        pdnopt.solve(bad, "reserve", validate=False)
    assert {(issue.kind, issue.id) for issue in caught.value.issues} == {("CapacityError", "ups:R1")}


def test_a_dwell_that_contradicts_itself(net: Any) -> None:
    bad = room(4, 2, 2, 2, seed=1, reserve_part=2.0)
    bad.transfer["min_dwell_s"] = 10.0
    bad.transfer["dwell_left_s"] = [0.0, 20.0, 0.0, 0.0]
    with pytest.raises(pdnopt.InputError) as caught:
        pdnopt.solve(bad, "reserve", validate=False)
    assert {(issue.kind, issue.id) for issue in caught.value.issues} == {("BoundsCrossed", "transfer:IBT-2")}


def test_a_forecast_shorter_than_the_horizon(net: Any) -> None:
    loads = load_vectors(net, 2)
    assert kinds(net, loads=loads, step_s=300.0, horizon_s=3600.0) == {"HorizonError"}


def test_gaps_negative_loads_and_strange_rows_are_told_together(net: Any) -> None:
    loads = load_vectors(net, 2)
    loads.iloc[0, 0], loads.iloc[1, 1] = np.nan, -1.0
    loads.loc[10_000] = 1.0
    assert kinds(net, loads=loads) == {"NonFinite", "NegativeLoad", "InvalidId"}


def test_unknown_components_to_evacuate(net: Any) -> None:
    assert kinds(net, evacuate=["ups:R9"]) == {"InvalidId"}
    assert kinds(net, risk=pd.DataFrame({0: [1.5]}, index=["ups:R1"])) == {"Range"}


def test_a_double_is_a_pair(net: Any) -> None:
    assert kinds(net, doubles=["ups:R1"]) == {"Format"}


def test_keywords_of_another_problem_are_refused(net: Any) -> None:
    assert kinds(net, failed=["ups:R1"]) == {"UnknownField"}
    with pytest.raises(pdnopt.InputError, match="UnknownField"):
        pdnopt.solve(net, "reroute", loads=load_vectors(net, 1))


def test_a_network_without_taps() -> None:
    assert kinds(pdnopt.load_case("two_feed")) == {"NoDevice"}
