"""The same cost as enumeration over all sequences of positions on small plants, T <= 3."""

from __future__ import annotations

import pytest

import pdnopt
from tests.shift.enumeration import best
from tests.shift.rows import draw


def agrees(seed: int) -> None:
    drawn = draw(seed)
    expected, sequence = best(drawn)
    result = pdnopt.solve(drawn.network(), "shift", time_limit_s=60.0, explain=False, **drawn.keywords)
    assert result.status == "optimal", (result.issues, result.notes)
    assert result.objective["cost"] == pytest.approx(expected, abs=1e-4, rel=1e-5), (
        sequence
    )  # limits are by AC flow
    assert result.bound["cost"] <= result.objective["cost"] + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_same_cost_as_enumeration(seed: int) -> None:
    agrees(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20, 120))
def test_same_cost_as_enumeration_on_more_plants(seed: int) -> None:
    agrees(seed)
