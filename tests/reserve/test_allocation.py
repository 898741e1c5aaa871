"""What an allocation decides, on rooms whose answer is plain."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import pdnopt
from pdnopt.plant.actions import Action
from tests.reserve.by_hand import Room
from tests.reserve.rooms import load_vectors, room


@pytest.fixture(scope="module")
def net() -> Any:
    return room(6, 3, 2, 3, seed=4, reserve_part=1.5)


def standing(net: Any) -> list[str]:
    """The reserve that each tap stands on, by the network's own tables."""
    board = net.bus["name"]
    closed = net.switch[net.switch["closed"] & net.switch["transfer"].notna()].sort_values("transfer")
    return [str(board[bus]).replace("board ", "ups:") for bus in closed["bus"]]


def test_the_plan_leads_to_what_the_backing_says(net: Any) -> None:
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0).raise_for_status()
    after = result.plan.apply(net)
    assert standing(after) == result.backing["active"].tolist()
    for d, following in enumerate(
        result.backing["next"]
    ):  # the device's own rule: preferred, else table order
        rows = after.switch[after.switch["transfer"] == d]
        active = rows.index[rows["closed"]][0]
        preferred = int(after.transfer.at[d, "preferred"])
        first = preferred if preferred != active else next(i for i in rows.index if i != active)
        assert str(net.bus.at[rows.at[first, "bus"], "name"]).replace("board ", "ups:") == following


def test_a_good_allocation_is_left_alone(net: Any) -> None:
    after = pdnopt.solve(net, "reserve", time_limit_s=60.0).plan.apply(net)
    again = pdnopt.solve(after, "reserve", time_limit_s=60.0).raise_for_status()
    assert [item for item in again.plan.actions if item.action == "transfer"] == []


def test_evacuation_leaves_nothing_on_a_unit_that_is_to_go(net: Any) -> None:
    result = pdnopt.solve(net, "reserve", evacuate=["ups:R2"], time_limit_s=60.0).raise_for_status()
    assert "ups:R2" not in set(result.backing["active"])
    assert result.objective["evacuated"] == pytest.approx(0.0, abs=1e-6)


def test_evacuation_may_be_gradual(net: Any) -> None:
    unit = max(sorted(set(standing(net))), key=standing(net).count)
    on = standing(net).count(unit)
    assert on >= 2
    first = pdnopt.solve(net, "reserve", evacuate=[unit], max_moves=1, time_limit_s=60.0).raise_for_status()
    assert len([item for item in first.plan.actions if item.action == "transfer"]) == 1
    assert first.backing["active"].tolist().count(unit) == on - 1


def test_a_risk_that_rises_moves_load_away(net: Any) -> None:
    risk = pd.DataFrame({0: [0.0, 0.0], 1: [0.3, 0.0]}, index=["ups:R3", "ups:R1"])
    result = pdnopt.solve(net, "reserve", risk=risk, time_limit_s=60.0).raise_for_status()
    assert "ups:R3" not in set(result.backing["active"])


def test_every_load_vector_counts(net: Any) -> None:
    loads = load_vectors(net, 4, spread=0.4)
    result = pdnopt.solve(net, "reserve", loads=loads, time_limit_s=60.0).raise_for_status()
    number = {f"ups:R{k + 1}": k for k in range(3)}
    pairs = tuple(
        (number[a], number[n]) for a, n in zip(result.backing["active"], result.backing["next"], strict=True)
    )
    margins = []
    for column in [None, *loads.columns]:
        hand = Room.of(net)
        if column is not None:
            per_rack = loads[column].groupby(net.load.loc[loads.index, "rack"]).sum()
            hand.kw = per_rack.to_numpy()
        margins.append(hand.margin_kw(pairs))
    assert result.objective["margin"] == pytest.approx(min(margins), abs=0.01 * hand.rated_kva.mean())


def test_doubles_are_covered_too(net: Any) -> None:
    single = pdnopt.solve(net, "reserve", time_limit_s=60.0)
    double = pdnopt.solve(
        net, "reserve", doubles=[("ups:R1", "ups:P1")], time_limit_s=60.0
    ).raise_for_status()
    told = double.margins.set_index("contingency")["margin_kw"]
    assert told["ups:R1 + ups:P1"] < told["ups:R1"]
    assert double.objective["margin"] <= single.objective["margin"] + 1e-6


def test_a_session_answers_new_loads_as_a_new_solve_does(net: Any) -> None:
    session = pdnopt.Session(net, "reserve", time_limit_s=60.0)
    loads = load_vectors(net, 3, seed=5)
    session.solve(loads=load_vectors(net, 2, seed=6))
    again, fresh = session.solve(loads=loads), pdnopt.solve(net, "reserve", loads=loads, time_limit_s=60.0)
    assert again.plan == fresh.plan
    assert again.objective == fresh.objective


def test_what_is_missing_is_told() -> None:
    small = room(6, 2, 2, 2, seed=4, reserve_part=0.55)
    result = pdnopt.solve(small, "reserve", time_limit_s=60.0, validate=False)
    assert result.objective["margin"] < 0
    text = str(result)
    assert "NOT every failure is carried" in text
    assert "more capacity" in text
    assert str(result.margins.iloc[0]["component"]) in text


def test_the_checker_refuses_a_preference_for_a_foreign_position(net: Any) -> None:
    wrong = Action(1, 0.5, "transfer:IBT-1", "prefer", None, "switch:IBT-2/1")
    plan = pdnopt.Plan(problem="reserve", actions=(wrong,))
    assert {issue.kind for issue in pdnopt.check(net, plan)} == {"BadAction"}
    rows = net.switch.index[net.switch["transfer"] == 0].tolist()
    given = rows.index(int(net.transfer.at[0, "preferred"])) + 1
    other = 1 if given != 1 else 2
    stale = Action(1, 0.5, "transfer:IBT-1", "prefer", f"switch:IBT-1/{other}", f"switch:IBT-1/{given}")
    found = pdnopt.check(net, pdnopt.Plan(problem="reserve", actions=(stale,)))
    assert {issue.kind for issue in found} == {"StateMismatch"}


def test_what_lasts_too_short_is_rerouted_and_checked() -> None:
    tight = room(6, 3, 2, 3, seed=4, reserve_part=0.9)
    result = pdnopt.solve(tight, "reserve", corrective=True, time_limit_s=120.0, components=["ups"])
    beyond = result.margins[result.margins["margin_kw"] < 0]
    assert len(beyond), "the room must be tight for this test"
    after = result.plan.apply(tight)
    for row in beyond.itertuples():
        assert row.corrective in ("optimal", "feasible")
        again = pdnopt.solve(after, "reroute", failed=[row.contingency], time_limit_s=20.0)
        assert again.ok
        assert again.unserved_kw == pytest.approx(row.corrective_unserved_kw, abs=0.05)
