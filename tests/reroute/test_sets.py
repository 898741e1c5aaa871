"""What the coarse sets leave out says nothing: cord limits that cannot bind, ways in which nothing can flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases import build
from formulations.blocks.numbers import read_limits, read_numbers
from formulations.blocks.sets import read_sets, still_alike
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond
from tests.plants import LARGE, random_failure, random_plant


def changed(demand: Demand, rng: np.random.Generator) -> Demand:
    """Return other loads: all by one factor, racks by their own, now and then one rack far above."""
    factor = rng.uniform(0.3, 1.6) * rng.uniform(0.7, 1.3, demand.n)
    if rng.random() < 0.3:
        factor[rng.integers(demand.n)] *= 3.0
    d_kw = demand.d_kw * factor
    cord_kw = demand.cord_kw * factor[demand.cord_unit]
    return replace(demand, d_kw=d_kw, cord_kw=cord_kw, min_kw=np.minimum(demand.min_kw, d_kw))


def check_left_out(net: Any, rng: np.random.Generator, draws: int) -> tuple[int, int]:
    """Compare the rows of the coarse sets with all rows, those of the fine sets; return (draws that fit, rows left out)."""
    grid = read_grid(net)
    demand, curves = read_demand(net, grid), read_curves(net)
    coarse, fine = read_sets(grid, demand), read_sets(grid, demand, fine=True)
    n = len(fine.feed_group)
    of_coarse = coarse.limited_unit * n + coarse.limited_feed
    left_out = ~np.isin(fine.limited_unit * n + fine.limited_feed, of_coarse)
    fits = 0
    for _ in range(draws):
        now, horizon_s = changed(demand, rng), float(rng.choice([600.0, 20_000.0]))
        response = respond(grid, now, parse_failed(net, random_failure(net, rng, int(rng.integers(0, 3)))))
        if not still_alike(coarse, now, response.state.psu_dead):
            continue
        fits += 1
        limits = read_limits(response.grid, curves, horizon_s, {})
        all_rows = read_numbers(fine, now, response, limits, horizon_s)
        living = np.bincount(
            fine.limited_part,
            weights=fine.limited_lives & now.cord_ok[fine.limited_cord],
            minlength=len(fine.limited_unit),
        )
        assert all_rows.limited_excess_kw[left_out] == pytest.approx(0.0, abs=1e-6)
        assert all_rows.limited_ok[left_out & (living > 0)].all()
    return fits, int(left_out.sum())


def test_cord_limits_without_a_row_never_bind_where_the_sets_fit() -> None:
    found = [check_left_out(build(case), np.random.default_rng(1), 12) for case in ("hall_4n3", "hall_2n")]
    found += [
        check_left_out(random_plant(seed, LARGE)[0], np.random.default_rng(seed), 12) for seed in range(12)
    ]
    assert sum(fits for fits, _ in found) > 30
    assert sum(rows for _, rows in found) > 300


def test_a_rack_beyond_its_cords_takes_the_fine_sets() -> None:
    net = build("hall_2n")
    grid = read_grid(net)
    demand = read_demand(net, grid)
    coarse, alive = read_sets(grid, demand), np.zeros(len(demand.cord_unit), dtype=bool)
    assert still_alike(coarse, demand, alive)
    unit = int(np.flatnonzero(np.isfinite(coarse.quiet_kw))[0])
    factor = np.ones(demand.n)
    factor[unit] = 10.0
    heavy = replace(demand, d_kw=demand.d_kw * factor, cord_kw=demand.cord_kw * factor[demand.cord_unit])
    assert not still_alike(coarse, heavy, alive)


def test_one_way_switches_of_a_hall_by_hand() -> None:
    net = build("hall_2n")
    grid = read_grid(net)
    sets = read_sets(grid, read_demand(net, grid))
    way = dict(zip(grid.switches.name, sets.one_way.tolist(), strict=True))
    stss = [name for name in way if name.startswith("switch:STS-")]
    assert stss
    assert all(way[name] != 0 for name in stss)  # an STS feeds its racks, never a PDU
    assert way["switch:QU-A"] == 1  # from the main board to the input of the UPS and nowhere else
    assert way["switch:F-A01"] == 1  # to its PDU: what hangs on that feeds nothing back
    for tie in ("switch:QT-MV", "switch:QX-A", "switch:QX-B", "switch:QT-A-B", "switch:QM-A", "switch:QG-A"):
        assert way[tie] == 0, tie
