"""The cases at their level: the plant's own devices carry every major failure, and the sweep finds nothing to do."""

from __future__ import annotations

import pytest

import pdnopt
from cases.hall import load_level_kw
from pdnopt.candidates import contingencies
from tests.benchmarks.reserve_sweeps import MAJOR, allocations, left_alone, swept


def test_ring_bus_carries_every_major_failure_alone_at_75_percent() -> None:
    net = pdnopt.load_case("ring_bus")
    p_load_kw = load_level_kw(net, 0.75)
    nets = allocations(net, p_load_kw)
    names = contingencies(net, MAJOR)
    alone = left_alone(nets["reserve"], names, p_load_kw)
    assert {outcome.kind for outcome in alone} == {"carried"}
    assert not any(outcome.unservable for outcome in alone)
    given = left_alone(nets["as given"], [f"ups:P{k}" for k in range(1, 11)], p_load_kw)
    assert {outcome.kind for outcome in given} == {"overload"}
    frame = swept(nets["reserve"], ["ups", "trafo", "ext_grid"], p_load_kw, alone)
    assert frame["status"].isin(["optimal", "feasible"]).all()
    assert (frame["n_actions"] == 0).all()
    assert frame["beyond_kw"].max() == pytest.approx(0.0, abs=1e-6)
    assert frame["worst_loading_percent"].max() < 100.0


def test_hall_4n3_overloads_nothing_beyond_its_budget_at_75_percent() -> None:
    net = pdnopt.load_case("hall_4n3")
    p_load_kw = load_level_kw(net, 0.75)
    after = allocations(net, p_load_kw)["reserve"]
    alone = left_alone(after, contingencies(net, ["ups", "trafo", "ext_grid"]), p_load_kw)
    assert {outcome.kind for outcome in alone} <= {"carried", "battery"}
    assert {outcome.kind for outcome in alone if outcome.failed.startswith("ups:")} == {"carried"}
    assert min(outcome.first_s for outcome in alone) > 300.0
    frame = swept(after, ["ups"], p_load_kw, alone)
    assert frame["status"].isin(["optimal", "feasible"]).all()
    assert (frame["n_actions"] == 0).all()
    assert frame["beyond_kw"].max() == pytest.approx(0.0, abs=1e-6)
