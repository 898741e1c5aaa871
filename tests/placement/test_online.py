"""One deployment at a time: nobody is moved again, and looking ahead strands less than not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pdnopt
from cases.deployments import deployments, pdus, vacated
from cases.hall import hall
from pdnopt.placement.heuristics import RULES


@pytest.fixture(scope="module")
def room() -> tuple[Any, list[str]]:
    net = vacated(hall("4N/3", 1.6, 60))
    return net, pdus(net)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_places_safely_and_no_more_than_the_bound(room: Any, rule: str) -> None:
    net, panels = room
    found = pdnopt.place(
        net, deployments(1.1 * 1600.0, 3), places=panels, online=True, rule=rule, time_limit_s=1.0
    )
    assert found.verified
    assert 0.0 < found.placed_kw <= found.bound_kw + 1e-6
    assert found.rule == rule


def test_what_comes_later_moves_nobody(room: Any) -> None:
    net, panels = room
    table = deployments(0.9 * 1600.0, 4)
    half = table[table["deployment"] <= table["deployment"].iloc[len(table) // 2]]
    early = pdnopt.place(net, half, places=panels, online=True)
    late = pdnopt.place(net, table, places=panels, online=True)
    assert early.placed
    assert early.rounds == late.rounds == 1
    assert {name: late.placed.get(name) for name in early.placed} == early.placed


def test_the_batch_and_looking_ahead_strand_less_than_first_fit(room: Any) -> None:
    net, panels = room
    stranded: dict[str, list[float]] = {rule: [] for rule in ("batch", "lookahead", "first_fit")}
    for seed in range(2):
        table = deployments(1.15 * 1600.0, seed)
        for rule, percents in stranded.items():
            online = {} if rule == "batch" else {"online": True, "rule": rule}
            percents.append(
                pdnopt.place(net, table, places=panels, time_limit_s=1.0, **online).stranded_percent
            )
    middle = {rule: float(np.median(percents)) for rule, percents in stranded.items()}
    assert middle["batch"] <= middle["lookahead"] + 1e-6
    assert middle["lookahead"] < middle["first_fit"]
