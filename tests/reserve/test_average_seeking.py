"""The founding document's rule, by hand: no system stays far above the average while one below it can take a rack."""

from __future__ import annotations

from typing import Any

import numpy as np

import pdnopt
from pdnopt.allocation.average_seeking import THRESHOLD, average_seeking
from tests.reserve.by_hand import Room
from tests.reserve.rooms import room


def loads(net: Any) -> np.ndarray:
    """kW on each reserve by the network's own tables: half of each rack stands on its tap."""
    hand = Room.of(net)
    closed = net.switch[net.switch["closed"] & net.switch["transfer"].notna()].sort_values("transfer")
    names = [str(net.bus.at[bus, "name"]) for bus in closed["bus"]]
    out = np.zeros(len(hand.rated_kva))
    for kw, tap in zip(hand.kw, hand.tap, strict=True):
        out[int(names[tap].removeprefix("board R")) - 1] += kw / 2.0
    return out


def test_the_rule_brings_loads_to_their_average() -> None:
    net = room(24, 3, 2, 3, seed=3, reserve_part=2.0)
    before = loads(net)
    plan = average_seeking(net)
    assert plan.actions
    after = loads(plan.apply(net))
    assert after.sum() == before.sum() or abs(after.sum() - before.sum()) < 1e-9
    assert np.ptp(after) < np.ptp(before)
    assert after.max() <= after.mean() * (1.0 + THRESHOLD) + 0.5 * 12.0  # but for half of the largest rack
    assert not [issue for issue in pdnopt.check(net, plan) if issue.severity == "error"]
