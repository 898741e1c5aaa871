"""Three levels: they agree, and any of them may be lost. Judged by AC power flow of power-grid-model, hour by hour."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdnopt.acflow import powerflow
from pdnopt.balancing.levels import Exchange, Levels
from pdnopt.balancing.levels.measures import measure
from pdnopt.errors import InputError
from pdnopt.session import Session, solve
from tests.balance.zoned_halls import pods
from tests.benchmarks.balance_zones import gap

PHASES = ("a", "b", "c")


def set_points(net: Any, result: Any) -> np.ndarray:
    after = result.plan.apply(net).asymmetric_sgen
    p, q = (after[[f"{x}_{k}_{u}" for k in PHASES]].to_numpy(float) for x, u in (("p", "mw"), ("q", "mvar")))
    return np.asarray(1e3 * (p + 1j * q)).ravel()


def judged(net: Any, s_kva: np.ndarray, kw: pd.Series | None = None) -> dict[str, float]:
    """Return the worst loading of a UPS and of a phase of a line (percent) and the worst unbalance, by power-grid-model."""
    net = deepcopy(net)
    for k, letter in enumerate(PHASES):
        net.asymmetric_sgen[f"p_{letter}_mw"] = s_kva.real[k::3] / 1e3
        net.asymmetric_sgen[f"q_{letter}_mvar"] = s_kva.imag[k::3] / 1e3
    if kw is not None:
        columns = [f"{x}_{k}_{u}" for k in PHASES for x, u in (("p", "mw"), ("q", "mvar"))]
        before = 1e3 * net.asymmetric_load[[f"p_{k}_mw" for k in PHASES]].sum(axis=1)
        net.asymmetric_load[columns] = net.asymmetric_load[columns].mul(kw / before, axis=0)
    flow = powerflow(net, three_phase=True)
    return {
        "ups": float(flow.res_ups["loading_percent"].max()),
        "line": float(flow.res_line_3ph[[f"loading_{k}_percent" for k in PHASES]].max().max()),
        "vuf": float(flow.res_bus_3ph["unbalance_percent"].max()),
    }


@pytest.fixture(scope="module")
def net() -> Any:
    """Two pods; the first one's UPS is overloaded on phase a, and its inverters can just help it."""
    return pods(2, 2, 3, ups_part=0.97)


@pytest.fixture(scope="module")
def levels(net: Any) -> Iterator[Levels]:
    made = Levels(net, zones=3)
    yield made
    made.close()


def test_by_zones_as_good_as_the_whole() -> None:
    """Terms by the flow, of both answers: within 1 % and what the whole programme lets itself be worse."""
    net, found = pods(2, 2, 3, ups_part=0.97, times=4.0), {}
    for zones in (None, 3):
        session = Session(net, "balance", zones=zones, workers=1, time_limit_s=120.0)
        result = session.solve()
        assert (result.status, result.issues) == ("feasible" if zones else "optimal", [])
        runner, s = session._runner, set_points(net, result)
        sight = runner._sight(runner._loads(session.options), s)
        found[zones] = measure(runner.area, runner.inverters, sight, s)
    none, zoned = found[None], found[3]
    assert zoned["violations"] <= 1e-6
    assert zoned["vuf"] <= none["vuf"] * 1.01 + 5e-5
    assert zoned["spread"] <= none["spread"] * 1.01 + 1e-3
    # the sums, in the same linear programme at the same point: an interior-point solve of each pod that is not cut
    linear = gap(session)
    zones_, central, bound = linear["rest"]
    assert zones_ <= 1.01 * central
    assert bound <= zones_ * (1.0 + 1e-6)
    assert linear["spread"][0] <= linear["spread"][1] * 1.01 + 5e-4


def test_all_levels_agree_at_rest() -> None:
    """Inverters large enough: whole programme, zones, and rules come to the same set-points, within 2 % of a rating."""
    net = pods(1, 2, 3, tight=0)
    net.asymmetric_sgen["s_max_mva"] = 0.004
    whole = set_points(net, solve(net, "balance", time_limit_s=120.0))
    levels = Levels(net, zones=3)
    s = np.zeros(18, dtype=complex)
    for _ in range(4):
        state = levels.state(s)
        s = levels.zonal(state, levels.overall(state))
    assert np.abs(whole).max() > 0.5
    assert s == pytest.approx(whole, abs=0.08)
    state = levels.state(s)
    rules = levels.rules(state)
    for _ in range(5):
        state = levels.state(levels.local(rules, state))
    assert state.s_kva == pytest.approx(s, abs=1e-6)
    # and they come back to it from elsewhere
    state = levels.state(0.5 * s)
    for _ in range(30):
        state = levels.state(levels.local(rules, state))
    assert state.s_kva == pytest.approx(s, abs=0.02)


LOST = {"none": set(), "global": {"global"}, "zonal": {"zonal"}, "both": {"global", "zonal"}}


@pytest.mark.parametrize("lost", list(LOST))
def test_any_level_may_be_lost(net: Any, levels: Levels, lost: str) -> None:
    """Loads sway by 4 %, each for itself; what is lost is lost after the first moment (both: it never was there)."""
    rng = np.random.default_rng(3)
    base = 1e3 * net.asymmetric_load[[f"p_{k}_mw" for k in PHASES]].sum(axis=1)
    gone = LOST[lost]
    rules, exchange, s = levels.alone(), None, np.zeros(36, dtype=complex)
    before, after = [], []
    for moment in range(5):
        kw = base * (1.0 + rng.uniform(-0.04, 0.04, len(base)))
        kw *= base.sum() / kw.sum()
        state = levels.state(s, p_asymmetric_kw=kw)
        if lost != "both":
            if exchange is None or "global" not in gone:
                exchange = levels.overall(state)
            if moment == 0 or "zonal" not in gone:
                state = levels.state(levels.zonal(state, exchange), p_asymmetric_kw=kw)
                rules = levels.rules(state)
        for _ in range(8):
            state = levels.state(levels.local(rules, state), p_asymmetric_kw=kw)
        s = state.s_kva
        before.append(judged(net, 0.0 * s, kw))
        after.append(judged(net, s, kw))
    assert max(x["ups"] for x in before) > 100.5
    assert max(x["ups"] for x in after) <= 100.1
    assert max(x["line"] for x in after) <= 100.0
    assert max(x["vuf"] for x in after) <= max(x["vuf"] for x in before)


def test_a_fifth_failed_and_nobody_told_them(net: Any, levels: Levels) -> None:
    """Failed inverters give nothing; the rules of the others see only what that does to their own circuits."""
    failed = [levels.inverters.name[k] for k in (1, 8)]
    state = levels.state(failed=failed)
    s = levels.zonal(state, levels.overall(state))
    assert s.reshape(-1, 3)[[1, 8]] == pytest.approx(0.0)
    assert judged(net, s)["ups"] <= 100.1


def test_a_zone_by_itself_leaves_others_alone(levels: Levels) -> None:
    state = levels.state()
    exchange = levels.overall(state)
    one = levels.zones[1]
    s = levels.zonal(state, exchange, zones=[one.name])
    moved = np.flatnonzero(np.abs(s - state.s_kva).reshape(-1, 3).max(axis=1) > 0)
    assert set(moved) <= set(one.inverters)
    assert len(moved)
    assert isinstance(exchange, Exchange)


def test_workers_answer_as_this_process_does(net: Any) -> None:
    plans = [
        Session(net, "balance", zones=3, workers=workers, time_limit_s=120.0).solve().plan
        for workers in (1, 2)
    ]
    assert plans[0] == plans[1]


def test_same_loads_same_set_points_whatever_came_before(net: Any) -> None:
    session = Session(net, "balance", zones=3, workers=1, time_limit_s=120.0)
    first = session.solve().plan
    kw = 1e3 * net.asymmetric_load[[f"p_{k}_mw" for k in PHASES]].sum(axis=1)
    session.solve(p_asymmetric_kw=0.9 * kw)
    assert session.solve().plan == first


def test_wrong_words_are_named(net: Any, levels: Levels) -> None:
    with pytest.raises(InputError, match="Leave out minimize, or leave out zones"):
        solve(net, "balance", zones=3, minimize=("spread", "effort"))
    with pytest.raises(InputError, match="a whole number, 1 or more"):
        solve(net, "balance", zones=3, workers=0)
    with pytest.raises(InputError, match="zones and loads"):
        solve(net, "balance", zones=3, workers=1, loads=pd.DataFrame({0: [1.0]}))
    with pytest.raises(InputError, match="three for each inverter"):
        levels.state(np.zeros(3))
    with pytest.raises(InputError, match=r"a zone: trafo:PDU 0\.0"):
        levels.zonal(levels.state(), zones=["nobody"])
