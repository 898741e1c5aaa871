"""Random plants: all assignments of two racks, each built and judged by AC power flow, against what `place` finds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.placement.adding import with_racks
from pdnopt.placement.places import read_places
from pdnopt.placement.racks import read_racks
from pdnopt.placement.room import Policy
from pdnopt.placement.verification import Verifier
from pdnopt.plant.demand import read_demand
from pdnopt.plant.grid import read_grid
from pdnopt.sweeps.components import contingencies
from tests.plants import random_plant

POLICY = Policy(10.0, 10_800.0, 60.0, (), 0.99)
MOST_PLACES = 5
EDGE = 1e-3
"""Power with which a rack is tried just below its own: an assignment that only just holds may be left."""


def _case(seed: int) -> tuple[Any, pd.DataFrame, list[tuple[int, ...]], list[str]] | None:
    """Return a plant, two racks, places and what may fail; None where the plant does not hold without them."""
    net = random_plant(seed)[0]
    rng = np.random.default_rng(seed)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    may_fail = [
        name for name in contingencies(net) if name.partition(":")[0] in ("ups", "ext_grid", "trafo", "bus")
    ]
    if Verifier(net, POLICY, [], []).judge(may_fail).findings:
        return None
    try:
        found = read_places(net, grid, demand, None)
    except pdnopt.InputError:
        return None
    chosen = rng.permutation(found.n)[:MOST_PLACES]
    total_kw = float(demand.d_kw.sum())
    racks = pd.DataFrame(
        {
            "name": ["N0", "N1"],
            "p_kw": np.round(rng.uniform(0.02, 0.15, 2) * total_kw, 2) + 0.1,
            "cords": rng.choice(found.cords[chosen], 2),
            "redundant": rng.random(2) < 0.3,
        }
    )
    return net, racks, [found.buses_of(int(j)) for j in chosen], may_fail


def _best_kw(
    net: Any, table: pd.DataFrame, places: list[tuple[int, ...]], may_fail: list[str], part: float
) -> float:
    racks = read_racks(net, table.assign(p_kw=table["p_kw"] * part))
    best = 0.0
    for choice in product([None, *places], repeat=2):
        put = {name: where for name, where in zip(racks.name, choice, strict=True) if where is not None}
        kw = sum(float(racks.p_kw[racks.name.index(name)]) for name in put)
        if kw <= best or any(len(put[n]) != int(racks.cords[racks.name.index(n)]) for n in put):
            continue
        if any(len(where) == 2 and racks.redundant[racks.name.index(n)] for n, where in put.items()):
            must = list(put)  # with two cords even a redundant rack is placed where it lives
        else:
            must = [n for n in put if not racks.redundant[racks.name.index(n)]]
        redundant = [n for n in put if racks.redundant[racks.name.index(n)]]
        after = with_racks(net, racks, put, POLICY.power_factor)
        lives = Verifier(after, POLICY, must, []).judge(may_fail).findings
        dark = [finding for finding in lives if finding.component.startswith("rack:")]
        if not dark and not Verifier(after, POLICY, list(put), redundant).judge(may_fail).findings:
            best = kw
    return best / part


def _check(seed: int) -> bool:
    case = _case(seed)
    if case is None:
        return False
    net, racks, places, may_fail = case
    found = pdnopt.place(net, racks, places=places, contingencies=may_fail, gap=0.0)
    assert found.verified
    assert found.placed_kw <= _best_kw(net, racks, places, may_fail, 1.0) + 1e-6
    assert found.placed_kw >= _best_kw(net, racks, places, may_fail, 1.0 + EDGE) - 1e-6
    return bool(found.placed) or bool(found.refused)


def test_as_good_as_all_assignments_judged_by_ac_power_flow() -> None:
    assert sum(_check(seed) for seed in range(12)) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("start", range(100, 300, 20))
def test_as_good_as_all_assignments_judged_by_ac_power_flow_soak(start: int) -> None:
    assert sum(_check(seed) for seed in range(start, start + 20)) >= 3
