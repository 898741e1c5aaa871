"""Random plants: whatever fails, devices settle, never join two sources, and nothing dead feeds anything."""

from __future__ import annotations

import numpy as np
import pytest
from plants_for_response import buses, racks

from pdnopt.plant import (
    create_empty_plant,
    create_storage,
    create_switch,
    create_transfer,
    create_ups,
    create_utility,
)
from pdnopt.plant.actions import Actuator
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond, settle


def random_plant(rng):
    """Three utilities, a tree of switches, transfers, UPSs and row batteries below; dual-corded racks."""
    net = create_empty_plant()
    live = buses(net, "a", "b", "c")
    for bus, name in zip(live, "ABC", strict=True):
        create_utility(net, bus, name)
    for k in range(10):
        (bus,) = buses(net, f"n{k}")
        one, two = (int(b) for b in rng.choice(live, 2, replace=False))
        kind = rng.integers(5)
        if kind == 0:
            create_switch(net, one, bus, f"S{k}")
        elif kind <= 2:
            ms = float(rng.choice([0.0, 4.0, 15.0, 100.0]))
            create_transfer(net, bus, [one, two], f"T{k}", transfer_ms=ms, preferred=int(rng.integers(2)))
        else:
            bypass = (None, one, two)[rng.integers(3)]
            mode = str(rng.choice(["online", "online", "eco", "bypass"])) if bypass is not None else "online"
            energy = float(rng.choice([0.0, 0.01]))
            create_ups(net, one, bus, f"U{k}", 0.1, 0.1, bypass_bus=bypass, e_max_mwh=energy, mode=mode)
        if rng.random() < 0.3:
            create_storage(net, bus, f"B{k}", 0.05, 0.01, grid_forming=True)
        live.append(bus)
    racks(net, [[int(b) for b in rng.choice(live[3:], 2, replace=False)] for _ in range(6)])
    return net


@pytest.mark.parametrize("seed", range(6))
def test_random_plants(seed):
    rng = np.random.default_rng(seed)
    net = random_plant(rng)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    actuator = Actuator(grid, demand)
    names = [f"ext_grid:{n}" for n in "ABC"] + [f"bus:{n}" for n in net.bus["name"]]
    names += [f"switch:{n}" for n in net.switch["name"]] + [f"transfer:{n}" for n in net.transfer["name"]]
    names += [f"ups:{n}{form}" for n in net.ups["name"] for form in ("", "@rectifier", "@to_bypass")]
    names += [f"switch:{n}@stuck_open" for n in net.switch["name"]]
    failures = [[]] + [[n] for n in names]
    failures += [[str(v) for v in rng.choice(names, 2, replace=False)] for _ in range(25)]
    for failed in failures:
        r = respond(grid, demand, parse_failed(net, failed))
        assert r.conflicts == (), failed
        state, isl = r.state, r.islands
        # what the plant says of itself agrees with the plain view of islands
        online = state.ups_mode == "online"
        assert isl.energised[grid.upss.in_node[online]].all(), failed
        passing = np.isin(state.ups_mode, ("bypass", "eco"))
        assert isl.energised[grid.upss.out_node[passing]].all(), failed
        assert (grid.upss.e_kwh[state.ups_mode == "battery"] > 0).all()
        assert (state.closed[grid.upss.bypass[grid.upss.bypass >= 0]] == passing[grid.upss.bypass >= 0]).all()
        # at most one position a transfer, none of the locked ones has moved
        assert all(state.closed[p].sum() <= 1 for p in grid.transfers.positions)
        assert not (state.closed & r.barred).any()
        # dark and interrupted say what the end says
        fed = demand.sum_by_unit(r.living.astype(float)) > 0
        assert (np.isinf(r.dark_s) == ~fed).all()
        assert r.draw_kw.sum() == pytest.approx(demand.d_kw[fed].sum())
        assert not (r.unservable & fed).any()
        # the actions tell the whole story, and nothing is left to do
        again = actuator.act(r.before, r.automatic)
        assert (again.closed == state.closed).all(), failed
        assert (again.ups_mode == state.ups_mode).all(), failed
        assert (again.storage_on == state.storage_on).all(), failed
        still = settle(r, state)
        assert (still.closed == state.closed).all(), failed
        assert (still.ups_mode == state.ups_mode).all(), failed
