"""Bad tables and arguments: every fault at once, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt


@pytest.fixture(scope="module")
def net() -> Any:
    return pdnopt.load_case("two_feed")


def _kinds(error: pytest.ExceptionInfo[pdnopt.InputError]) -> list[tuple[str, str, str]]:
    return [(issue.kind, issue.path, issue.id) for issue in error.value.issues]


def test_every_fault_of_the_table_at_once(net: Any) -> None:
    taken = str(net.load["rack"].dropna().iloc[-1])
    table = pd.DataFrame(
        {
            "name": ["a", "a", "", taken, "e", "f", "g", "h"],
            "p_kw": [np.nan, -1.0, np.inf, 5.0, 5.0, 5.0, 5.0, "ten"],
            "cords": [2, 2, 2, 3, 2, 2, 2, 2],
            "priority": [1, 1, 1, 1, 0, 1, 1, 1],
            "min_p_kw": [np.nan, np.nan, np.nan, np.nan, np.nan, 6.0, -1.0, np.nan],
            "redundant": [False, False, False, False, False, False, "maybe", False],
        }
    )
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(net, table)
    assert set(_kinds(error)) == {
        ("NotUnique", "racks.name", "a"),
        ("Missing", "racks.name", "row 2"),
        ("NotUnique", "racks.name", taken),
        ("NonFinite", "racks.p_kw", "a"),
        ("NotGreater", "racks.p_kw", "a"),
        ("NonFinite", "racks.p_kw", "row 2"),
        ("NonFinite", "racks.p_kw", "h"),
        ("Enum", "racks.cords", taken),
        ("Range", "racks.priority", "e"),
        ("BoundsCrossed", "racks.min_p_kw", "f"),
        ("Range", "racks.min_p_kw", "g"),
        ("Enum", "racks.redundant", "g"),
    }


def test_columns_that_are_missing_or_unknown(net: Any) -> None:
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(net, pd.DataFrame({"name": ["a"], "power": [3.0]}))
    assert {(kind, path) for kind, path, _ in _kinds(error)} == {
        ("Missing", "racks.p_kw"),
        ("UnknownField", "racks.power"),
    }


def test_places_that_are_not_there(net: Any) -> None:
    table = pd.DataFrame({"name": ["a"], "p_kw": [3.0]})
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(net, table, places=["nowhere", ("PDU A", "PDU A"), ("PDU A", "elsewhere")])
    assert [(kind, path) for kind, path, _ in _kinds(error)] == [
        ("InvalidId", "places[0]"),
        ("SameValue", "places[1]"),
        ("InvalidId", "places[2]"),
    ]


def test_a_deployment_is_of_one_kind(net: Any) -> None:
    table = pd.DataFrame(
        {
            "name": ["a", "b"],
            "p_kw": [3.0, 3.0],
            "cords": [1, 2],
            "deployment": ["D", "D"],
            "redundant": [True, False],
        }
    )
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(net, table)
    assert {(kind, path) for kind, path, _ in _kinds(error)} == {
        ("Conflict", "racks.cords"),
        ("Conflict", "racks.redundant"),
    }


def test_arguments_and_table_together(net: Any) -> None:
    table = pd.DataFrame({"name": ["a"], "p_kw": [-3.0]})
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(
            net, table, power_factor=0.0, hold_s=-1.0, gap=-1.0, rule="luck", weights={1: float("nan")}
        )
    assert {path for _, path, _ in _kinds(error)} == {
        "racks.p_kw", "power_factor", "hold_s", "gap", "rule", "weights[1]",
    }  # fmt: skip


def test_contingencies_that_are_not_there(net: Any) -> None:
    table = pd.DataFrame({"name": ["a"], "p_kw": [3.0]})
    with pytest.raises(pdnopt.InputError, match="UPS-Z"):
        pdnopt.place(net, table, contingencies=["ups:UPS-Z"])


def test_an_empty_room_needs_places() -> None:
    from cases.deployments import vacated

    with pytest.raises(pdnopt.InputError, match="NoPlaces"):
        pdnopt.place(vacated(pdnopt.load_case("hall_2n")), pd.DataFrame({"name": ["a"], "p_kw": [3.0]}))


def test_a_table_without_racks(net: Any) -> None:
    with pytest.raises(pdnopt.InputError, match="at least one rack"):
        pdnopt.place(net, pd.DataFrame({"name": [], "p_kw": []}))


def test_a_breaker_of_nothing(net: Any) -> None:
    table = pd.DataFrame({"name": ["a"], "p_kw": [3.0], "breaker_a": [0.0]})
    with pytest.raises(pdnopt.InputError) as error:
        pdnopt.place(net, table)
    assert _kinds(error) == [("NotGreater", "racks.breaker_a", "a")]
