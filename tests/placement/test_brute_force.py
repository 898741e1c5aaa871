"""The placement against all assignments of small rooms, by arithmetic of its own."""

from __future__ import annotations

import pytest

import pdnopt
from tests.placement.small_hall import empty_room, most_kw, random_racks

LOSSES = 0.012
"""Cables and busways of the room take less than this part of what a UPS gives."""
SEEDS = range(8)


def _compared(seed: int, n: int) -> tuple[float, float, pdnopt.Placement]:
    net, panels = empty_room()
    racks = random_racks(seed, n)
    found = pdnopt.place(net, racks, places=panels, gap=0.0)
    assert found.verified
    low, high = most_kw(racks, 1.0 - LOSSES), most_kw(racks, 1.0)
    assert low - 1e-6 <= found.placed_kw <= high + 1e-6
    assert found.bound_kw >= high - 1e-6
    return low, high, found


@pytest.mark.parametrize("seed", SEEDS)
def test_as_good_as_the_best_of_all_assignments(seed: int) -> None:
    _compared(seed, 5)


def test_mostly_losses_do_not_blur_the_comparison() -> None:
    """Where losses cannot matter the optimum is one number: that must be so for most seeds, or the test says little."""
    net, _ = empty_room()
    assert len(net.ups) == 4
    racks = [random_racks(seed, 5) for seed in SEEDS]
    same = [most_kw(table, 1.0 - LOSSES) == most_kw(table, 1.0) for table in racks]
    refused = [most_kw(table, 1.0) < table["p_kw"].sum() - 1e-6 for table in racks]
    assert sum(same) >= len(same) / 2
    assert sum(refused) >= len(refused) / 2


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
def test_as_good_as_the_best_of_all_assignments_soak(seed: int) -> None:
    _compared(seed, 6)
