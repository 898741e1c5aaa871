"""Ordering keeps to its time; load commands as arrays do what the same commands do one by one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from pdnopt.acflow import FlowEngine
from pdnopt.acjudge import AcJudge
from pdnopt.plant.actions import Actuator
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import initial_state
from pdnopt.response import flow_case, flow_of, respond, settle
from pdnopt.sequence import Sequence, order_moves
from pdnopt.sequence.clock import KEPT_WHEN_LATE
from pdnopt.sequence.moves import load_moves
from tests.plants import LARGE, SMALL, random_failure, random_plant


def _staircase(racks: int, until_s: float) -> Sequence:
    """Order the way from everybody capped to everybody served behind a genset that takes one rack at a time."""
    import pandapower as pp

    from pdnopt.plant import create_empty_plant, create_genset, create_racks

    net = create_empty_plant()
    bus = pp.create_bus(net, 0.4, name="bus")
    create_genset(net, bus, name="G", max_p_mw=1.0, step_mw=0.0012, start_s=5.0, running=True)
    names = [f"R{k}" for k in range(racks)]
    create_racks(net, np.full((racks, 1), bus), names, np.full(racks, 0.001), min_p_mw=0.0005)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    response = respond(grid, demand, parse_failed(net, []))
    low = response.state.but(served=np.full(demand.n, 0.5))
    judge = AcJudge(net, grid, FlowEngine(net))
    return order_moves(
        grid,
        demand,
        read_curves(net),
        low,
        response.state,
        np.zeros(demand.n, dtype=bool),
        0.5,
        settle=lambda state: settle(response, state),
        judge=lambda states: judge.ratios(grid, demand, states),
        horizon_s=3600.0,
        until_s=until_s,
    )


def test_ordering_stops_when_its_time_is_over() -> None:
    racks = 3 * KEPT_WHEN_LATE
    late = _staircase(racks, time.perf_counter() - 1.0)
    assert not late.complete
    assert len(late.steps) == KEPT_WHEN_LATE
    whole = _staircase(racks, np.inf)
    assert whole.complete
    assert len(whole.steps) > KEPT_WHEN_LATE
    assert (whole.steps[-1].state.served == 1.0).all()


@pytest.mark.parametrize("seed", range(8))
def test_load_commands_do_what_the_same_commands_do_one_by_one(seed: int) -> None:
    net, _ = random_plant(seed, LARGE)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    rng = np.random.default_rng(seed)
    high = np.where(rng.random(demand.n) < 0.3, 0.0, rng.uniform(0.2, 1.0, demand.n))
    low = high * rng.choice([0.0, 0.5, 1.0], demand.n)
    for start, target, words in ((high, low, {"cap", "shed"}), (low, high, {"restore"})):
        state = initial_state(grid, demand).but(served=start)
        moves = load_moves(demand, start, target)
        if moves is None:
            np.testing.assert_array_equal(start, target)
            continue
        actions = moves.actions(demand, 3, 1.5)
        after = moves.carried_out(demand, state)
        np.testing.assert_allclose(after.served, target, atol=1e-9)
        np.testing.assert_array_equal(after.served, Actuator(grid, demand).act(state, actions).served)
        assert {action.action for action in actions} <= words
        assert {(action.step, action.t_s) for action in actions} == {(3, 1.5)}
        for action in actions:
            assert (action.action == "shed") == (action.after <= 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_flows_from_memory_are_those_of_a_new_engine(seed: int) -> None:
    net, _ = random_plant(seed, SMALL)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    rng = np.random.default_rng(seed)
    failures = [random_failure(net, rng) for _ in range(5)]
    states = [respond(grid, demand, parse_failed(net, failed)).state for failed in failures]
    states += [state.but(served=state.served * 0.9) for state in states]
    engine = FlowEngine(net)
    for n in (1, 4, len(states)):  # each time some are known, and the others begin with a guess
        some = [states[k] for k in rng.permutation(len(states))[:n]]
        found = flow_of(net, grid, demand, some, engine)
        alone: Any = FlowEngine(net).run(flow_case(net, grid, demand, some))
        for name in ("vm_pu", "switch_p_kw", "ups_p_in_kw", "ups_p_out_kw", "losses_kw"):
            one, other = getattr(found, name), getattr(alone, name)
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4, err_msg=name)
