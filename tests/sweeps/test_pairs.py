"""What is shared or pruned is what solving gives, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.checker import Checker, CheckReport
from pdnopt.errors import Issue
from pdnopt.plan import Plan
from pdnopt.plant import create_interlock, create_racks, create_switch, create_utility
from pdnopt.plant.demand import read_demand
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond_network
from pdnopt.session import Options
from pdnopt.sweeps import contingencies
from pdnopt.sweeps.outages import Outages
from pdnopt.sweeps.pairs import Parts
from tests.plants import random_plant
from tests.sweeps.halls import bus, side_by_side, two_halls

INDIFFERENT_KW = 0.1
"""Less than this is not worth a move (docs/ARCHITECTURE.md): two proved answers may differ by it."""


def assert_as_solved(net: Any, rows: pd.DataFrame) -> None:
    """Solve contingencies in full and find what their rows say."""
    session = pdnopt.Session(net, explain=False)
    for row in rows.to_dict(orient="records"):
        result = session.solve(failed=row["contingency"].split(" + "))
        assert row["status"] == result.status, row
        for priority, kw in result.unserved_by_priority.items():
            slack = INDIFFERENT_KW + Options().gap * result.demand_by_priority[priority]
            assert row[f"unserved_p{priority}_kw"] == pytest.approx(kw, abs=slack), row
        assert row["unserved_kw"] == pytest.approx(
            sum(row[f"unserved_p{p}_kw"] for p in result.unserved_by_priority)
        )
        assert row["interrupted_kw"] == pytest.approx(result.interrupted_kw, abs=1e-6), row
        assert row["n_actions"] == len(result.plan.actions), row
        deadline_s = min((clock.deadline_s for clock in result.clocks), default=float("inf"))
        assert row["deadline_s"] == pytest.approx(deadline_s, rel=1e-5), (
            row
        )  # AC power flow at another tolerance
        assert row["plan_s"] == pytest.approx(max((a.t_s for a in result.plan.actions), default=0.0)), row
        assert row["worst_component"] == result.worst_component, row
        assert row["worst_loading_percent"] == pytest.approx(result.worst_loading_percent, abs=0.5), row


def parts_of(net: Any) -> Parts:
    grid = read_grid(net)
    return Parts(net, grid, Outages(net, grid, read_demand(net, grid)))


# --- pruned


def test_two_halls_by_hand() -> None:
    """Losing a UPS of one hall and the main of the other.

    Three racks of 10 kW at power factor 0.98 draw 30.6 kVA, more than the 30 kVA of the other UPS: two of four are served.
    The hall without its main is dark: 20 kW and 40 kW. Of priority 1 there is one rack a hall.
    """
    net = two_halls()
    frame = pdnopt.sweep(net, 2, ["ups", "bus"], workers=1).set_index("contingency")
    row = frame.loc["ups:H1 UPS-A + bus:H2 main"]
    assert row["answer"] == "pruned"
    assert row["status"] == "optimal"
    assert row["unserved_kw"] == pytest.approx(20.0 + 40.0)
    assert row["unserved_p1_kw"] == pytest.approx(10.0)
    assert row["deadline_s"] == pytest.approx(60.0)  # 136 % of H1 UPS-B
    assert row["worst_component"] == "ups:H1 UPS-B"
    # both need commands, which follow one another: solved
    assert frame.loc["ups:H1 UPS-A + ups:H2 UPS-A", "answer"] == "solved"
    # the utility bus is common to both halls
    assert not (frame["answer"] == "pruned")[[name for name in frame.index if "bus:grid" in name]].any()
    assert frame.attrs["pruned"] == (frame["answer"] == "pruned").sum() > 0
    assert frame.attrs["singles"] > 0


def test_every_pruned_pair_of_two_halls_is_as_solved() -> None:
    net = two_halls()
    frame = pdnopt.sweep(net, 2, ["ups", "bus", "switch"], workers=1)
    assert_as_solved(net, frame[frame["answer"] == "pruned"].sample(12, random_state=1))


def common_rack(net: Any) -> None:
    create_racks(net, np.array([[at(net, "H1 PDU A"), at(net, "H2 PDU A")]]), ["both"], np.array([0.001]))


def common_tie(net: Any) -> None:
    create_switch(net, at(net, "H1 main"), at(net, "H2 main"), "tie", closed=False)


def common_interlock(net: Any) -> None:
    rows = net.switch.index[net.switch["name"].isin(["H1 FA", "H2 FA"])]
    create_interlock(net, [int(row) for row in rows], "either", 2)


def common_limit(net: Any) -> None:
    net.ext_grid.loc[net.ext_grid["name"] == "Utility", "max_p_mw"] = 0.2


def second_feed(net: Any) -> None:
    """Join both halls to a second utility too: a loop could pass through both halls."""
    other = bus(net, "grid 2")
    create_utility(net, other, "Utility 2")
    for hall in ("H1", "H2"):
        create_switch(net, other, at(net, f"{hall} main"), f"{hall} Q2", closed=False)


def at(net: Any, name: str) -> int:
    return int(net.bus.index[net.bus["name"] == name][0])


def part_of(net: Any, name: str) -> int | None:
    return parts_of(net).of_failure(name)


@pytest.mark.parametrize("join", [common_rack, common_tie, common_interlock, common_limit, second_feed])
def test_whatever_joins_the_halls_makes_them_one_part(join: Callable[[Any], None]) -> None:
    net = two_halls()
    assert part_of(net, "ups:H1 UPS-A") != part_of(net, "ups:H2 UPS-A")
    join(net)
    assert part_of(net, "ups:H1 UPS-A") == part_of(net, "ups:H2 UPS-A") is not None


def test_halls_that_share_a_limited_utility_are_solved_pair_by_pair() -> None:
    """Each hall alone leaves the other its power; together they are short of it."""
    frame = pdnopt.sweep(two_halls(0.2), 2, ["ups"], workers=1)
    assert frame.attrs["pruned"] == frame.attrs["singles"] == 0


@pytest.mark.parametrize("case", ["two_feed", "hall_2n", "ring_bus", "micro_ats_row", "node_mesh", "mim_pod"])
def test_the_plants_of_the_cases_are_one_part(case: str) -> None:
    """They have no parts, so that no pair of theirs may be pruned."""
    net = pdnopt.load_case(case)
    parts = parts_of(net)
    assert len({parts.of_failure(name) for name in contingencies(net)} - {None}) == 1


def check_side_by_side(seed: int, components: list[str], sample: int) -> int:
    net = side_by_side(random_plant(2 * seed)[0], random_plant(2 * seed + 1)[0])
    assert not [issue for issue in pdnopt.validate(net) if issue.severity == "error"]
    frame = pdnopt.sweep(net, 2, components, workers=1)
    pruned = frame[frame["answer"] == "pruned"]
    assert all(("B " in a) != ("B " in b) for a, b in (name.split(" + ") for name in pruned["contingency"]))
    assert_as_solved(net, pruned.sample(min(sample, len(pruned)), random_state=seed))
    return len(pruned)


def test_pruned_pairs_of_random_plants_are_as_solved() -> None:
    assert sum(check_side_by_side(seed, ["ups", "ext_grid"], 4) for seed in (1, 2)) > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20, 45))
def test_pruned_pairs_of_many_random_plants_are_as_solved(seed: int) -> None:
    check_side_by_side(seed, ["ups", "ext_grid", "bus", "line", "transfer"], 25)


# --- shared


def check_shared(net: Any, components: list[str], sample: int, k: int = 2) -> int:
    frame = pdnopt.sweep(net, k, components, workers=1)
    shared = frame[frame["answer"] == "shared"]
    full = pdnopt.Session(net, explain=False)
    rows = frame.set_index("contingency")
    for row in shared.sample(min(sample, len(shared)), random_state=1).to_dict(orient="records"):
        result = full.solve(failed=row["contingency"].split(" + "))
        told = (result.status, result.unserved_kw, result.interrupted_kw, len(result.plan.actions))
        assert told == (row["status"], row["unserved_kw"], row["interrupted_kw"], row["n_actions"])
        assert rows.loc[row["same_as"], "answer"] == "solved"
    return len(shared)


def test_shared_pairs_of_two_feed_are_as_solved() -> None:
    """A feed and its bus are one zone."""
    net = pdnopt.load_case("two_feed")
    assert check_shared(net, ["ext_grid", "bus"], 8) > 0
    frame = pdnopt.sweep(net, 1, ["ext_grid", "bus"], workers=1).set_index("contingency")
    assert frame.loc["bus:grid A", "same_as"] == "ext_grid:Utility-A"
    assert frame.loc["bus:grid B", "same_as"] == "ext_grid:Utility-B"
    assert frame.loc["bus:main A", "answer"] == "solved"


def test_shared_pairs_of_random_plants_are_as_solved() -> None:
    assert (
        sum(check_shared(random_plant(seed)[0], ["bus", "line", "ext_grid"], 4, k=1) for seed in (1, 2, 3))
        > 0
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50, 80))
def test_shared_pairs_of_many_random_plants_are_as_solved(seed: int) -> None:
    check_shared(random_plant(seed)[0], ["ups", "ext_grid", "bus", "line", "transfer"], 25)


def test_outages_of_one_group_leave_the_same_plant() -> None:
    """Against the whole response of the devices, array by array: the digest is of the state before they act."""
    net = pdnopt.load_case("two_feed")
    grid = read_grid(net)
    demand = read_demand(net, grid)
    outages = Outages(net, grid, demand)
    pairs = list(combinations(contingencies(net), 2))
    groups = outages.groups(pairs)
    assert sorted(k for group in groups for k in group) == list(range(len(pairs)))
    seen = {}
    for group in groups:
        answers = {whole_response(net, pairs[k]) for k in group}
        assert len(answers) == 1
        seen[answers.pop()] = group[0]
    assert len(seen) >= 0.8 * len(groups)  # few groups meet again after the devices have acted


def whole_response(net: Any, failed: tuple[str, ...]) -> str:
    found = respond_network(net, failed)
    arrays = [getattr(found.state, field.name) for field in fields(found.state)]
    arrays += [found.living, found.draw_kw, found.dark_s, found.interrupted, found.unservable, found.barred]
    moves = [(a.t_s, a.device, a.action, a.after) for a in found.automatic]
    return repr([array.tolist() for array in arrays]) + repr(sorted(map(repr, moves)))


def test_a_plan_that_the_checker_refuses_for_the_other_one_is_not_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stubborn(Checker):
        def report(self, plan: Plan, *args: Any, **keywords: Any) -> CheckReport:
            found = super().report(plan, *args, **keywords)
            if plan.failed == ("bus:grid A",):
                found.issues.append(Issue("Overload", "plan.end", "", 1, "less", "Shed load."))
            return found

    monkeypatch.setattr("pdnopt.sweeps.bench.Checker", Stubborn)
    net = pdnopt.load_case("two_feed")
    frame = pdnopt.sweep(net, 1, ["ext_grid", "bus"], workers=1).set_index("contingency")
    assert frame.loc["bus:grid A", "answer"] == "solved"
    assert frame.loc["bus:grid A", "status"] == "optimal"
    assert frame.loc["bus:grid B", "answer"] == "shared"
