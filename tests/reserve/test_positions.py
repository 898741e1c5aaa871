"""The fewest tap positions that are missing, against trying every set of them; the three remedies in print."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

import pdnopt
from tests.reserve.by_hand import Room
from tests.reserve.rooms import room

CLEAR = 0.015
"""Of a reserve's rating: margins nearer to 0 than this are left to AC losses, and no test."""


def all_on_two(seed: int, part: float) -> Any:
    """Five taps: four reach the first two reserves only, the last one the first and the third."""
    net = room(5, 3, 2, 2, seed=seed, reserve_part=part, racks_per_tap=1)
    board = {str(name): index for index, name in net.bus["name"].items()}
    for tap in net.transfer.index:
        rows = net.switch.index[net.switch["transfer"] == tap]
        other = "board R3" if tap == 4 else "board R2"
        net.switch.loc[rows, "bus"] = [board["board R1"], board[other]]
    return net


def fewest(net: Any) -> tuple[int | None, float]:
    """Return the fewest new positions with which a margin of 0 is possible, and how near to 0 the best margins are."""
    hand = Room.of(net)
    n = len(hand.rated_kva)
    reach = [list(stations) for stations in hand.reach]
    nearest = np.inf
    for count in range(len(reach) + 1):
        best = -np.inf
        for taps in combinations(range(len(reach)), count):
            for new in product(*([q for q in range(n) if q not in reach[tap]] for tap in taps)):
                hand.reach = [list(stations) for stations in reach]
                for tap, q in zip(taps, new, strict=True):
                    hand.reach[tap].append(q)
                best = max(best, hand.best()[0])
        nearest = min(nearest, abs(best) / float(hand.rated_kva.mean()))
        if best >= 0.0:
            return count, nearest
    return None, nearest


@pytest.mark.parametrize(("seed", "part"), [(0, 0.95), (1, 1.1), (2, 1.1)])
def test_the_fewest_positions_are_those_of_brute_force(seed: int, part: float) -> None:
    net = all_on_two(seed, part)
    count, nearest = fewest(net)
    assert nearest > CLEAR, "draw another room: this one is decided by losses"
    result = pdnopt.solve(net, "reserve", time_limit_s=60.0, components=["ups"])
    assert (result.objective["margin"] < 0.0) == (count != 0)
    text = " ".join(result.notes)
    if count:
        assert "more capacity" in text
        assert "capp" in text
        assert f"or with {count} more position" in text
    else:
        assert (count is None) == ("no one more position" in text)
