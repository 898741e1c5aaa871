"""Sweeps against power-grid-model, on networks with transformers off nominal ratio, charging, shunts and generation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from pdnopt.acflow import FlowCases, FlowEngine
from pdnopt.feeder.network import Feeder, NotRadialError
from pdnopt.feeder.reading import read_feeder, switches_of
from pdnopt.feeder.sweep import sweep_trees
from pdnopt.feeder.trees import grow, spanning
from pdnopt.plant.demand import read_demand
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import State, initial_state


def ring() -> Any:
    """Return two 110/20 kV transformers on taps, and a ring of cables with switches at both ends of each."""
    net = pp.create_empty_network()
    grid = [pp.create_bus(net, 110.0) for _ in range(2)]
    bus = [pp.create_bus(net, 20.0) for _ in range(8)]
    for hv, lv, tap in ((grid[0], bus[0], -2), (grid[1], bus[7], 3)):
        pp.create_ext_grid(net, hv, vm_pu=1.01)
        trafo = pp.create_transformer(net, hv, lv, "25 MVA 110/20 kV")
        net.trafo.loc[trafo, "tap_pos"] = tap
    for a, b in pairwise(bus):
        line = pp.create_line(net, a, b, length_km=4.0, std_type="NA2XS2Y 1x185 RM/25 12/20 kV")
        pp.create_switch(net, a, line, et="l")
        pp.create_switch(net, b, line, et="l")
    extra = pp.create_line(net, bus[1], bus[5], length_km=6.0, std_type="NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.create_switch(net, bus[1], extra, et="l", closed=False)
    for k, b in enumerate(bus[1:7]):
        pp.create_load(net, b, p_mw=0.8 + 0.2 * k, q_mvar=0.3)
    pp.create_load(net, bus[3], p_mw=0.5, q_mvar=0.2, const_z_p_percent=100.0, const_z_q_percent=100.0)
    pp.create_load(net, bus[2], p_mw=0.4, q_mvar=0.1, const_i_p_percent=100.0, const_i_q_percent=100.0)
    pp.create_sgen(net, bus[4], p_mw=2.5, q_mvar=0.0)
    pp.create_shunt(net, bus[5], q_mvar=-0.6, p_mw=0.05)
    return net


def read(net: Any) -> tuple[Feeder, FlowEngine, State]:
    grid = read_grid(net)
    demand = read_demand(net, grid)
    engine = FlowEngine(net)
    state = initial_state(grid, demand)
    return read_feeder(net, engine, grid, demand, state), engine, state


@pytest.mark.parametrize("seed", range(6))
def test_losses_and_voltages_agree_with_power_grid_model(seed: int) -> None:
    net = ring()
    feeder, engine, state = read(net)
    rng = np.random.default_rng(seed)
    trees = [grow(feeder, spanning(feeder, rng.random(feeder.m))) for _ in range(5)]
    flow = sweep_trees(feeder, [tree for tree in trees if tree is not None])
    assert all(tree is not None for tree in trees)
    for k, tree in enumerate(trees):
        assert tree is not None
        closed = switches_of(feeder, tree.closed, state)
        for e in np.flatnonzero(~tree.closed):  # dark cables: both ends open, as the sweep has them
            closed[feeder.switches[e]] = False
        exact = engine.run(FlowCases(switch_closed=closed[None]))
        assert flow.loss_kw[k] == pytest.approx(exact.losses_kw[0], rel=1e-4)
        v = np.zeros(feeder.n)
        v[tree.node] = np.abs(flow.v_pu[k]) / flow.scale[k]
        assert v[feeder.node_of_bus] == pytest.approx(exact.vm_pu[0], abs=1e-6)


def test_a_tree_is_a_run_of_positions() -> None:
    feeder, _, _ = read(ring())
    tree = grow(feeder, spanning(feeder, np.arange(feeder.m, dtype=float)))
    assert tree is not None
    for k in range(feeder.n):
        below = {k}
        for j in range(feeder.n):
            if int(tree.parent[j]) in below:
                below.add(j)
        assert below == set(range(k, int(tree.last[k])))


def test_no_tree_from_a_loop_or_a_dark_node() -> None:
    feeder, _, _ = read(ring())
    closed = spanning(feeder, np.zeros(feeder.m))
    fewer = closed.copy()
    fewer[np.flatnonzero(closed & feeder.openable)[0]] = False
    assert grow(feeder, fewer) is None
    assert grow(feeder, np.ones(feeder.m, dtype=bool)) is None


def test_fixed_loops_are_refused() -> None:
    net = ring()
    net.switch = net.switch.iloc[:0]
    with pytest.raises(NotRadialError):
        read(net)


def test_no_operating_point_is_an_infinite_loss() -> None:
    net = ring()
    net.load["scaling"] = 60.0
    feeder, _, _ = read(net)
    tree = grow(feeder, spanning(feeder, np.zeros(feeder.m)))
    assert tree is not None
    assert sweep_trees(feeder, [tree]).loss_kw[0] == np.inf
