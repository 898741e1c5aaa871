"""Racks that change their phase, against every choice there is."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from pdnopt.acflow import powerflow
from pdnopt.balancing.inverters import read_bounds
from pdnopt.checker import check
from pdnopt.errors import InputError
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.session import Session
from tests.balance.pods import pod

TERMS = ("violations", "spread", "effort")


def racks(seed: int, s_max_kva: float = 0.4) -> Any:
    """Return a pod of two PDUs with four single-phase racks each, too many of them on phase a; powers drawn by the seed."""
    rng = np.random.default_rng(seed)
    net = pod(s_max_kva=s_max_kva)
    net.asymmetric_load = net.asymmetric_load.iloc[:0]
    for k in range(8):
        phase = "aaab"[k % 4] if k < 4 else "acba"[k % 4]
        kw = rng.uniform(2.0, 5.0)
        pp.create_asymmetric_load(
            net, 2 + k // 4, name=f"R{k}", **{f"p_{phase}_mw": kw / 1e3, f"q_{phase}_mvar": kw / 4e3}
        )
    net.asymmetric_load["phase_options"] = ["a,b,c", "a,b,c", None, "b", "a,b,c", "c,b", None, None]
    return net


def spread_percent(net: Any) -> float:
    """Return the worst spread of lines and of the transformer by power-grid-model, percent of the rating."""
    flow = powerflow(net, three_phase=True)
    lines = flow.res_line_3ph[["i_a_ka", "i_b_ka", "i_c_ka"]].to_numpy(float) / net.line[
        ["max_i_ka"]
    ].to_numpy(float)
    rated = net.trafo["sn_mva"].iloc[0] / (np.sqrt(3.0) * net.trafo["vn_lv_kv"].iloc[0])
    trafo = flow.res_trafo_3ph[["i_a_lv_ka", "i_b_lv_ka", "i_c_lv_ka"]].to_numpy(float) / rated
    loading = np.vstack([lines, trafo])
    return float(100.0 * (loading.max(axis=1) - loading.min(axis=1)).max())


def by_hand(net: Any, moves: dict[int, str]) -> Any:
    """Return the network with racks on other phases."""
    out = deepcopy(net)
    frame = net.asymmetric_load.copy()
    for row, phase in moves.items():
        for name, unit in (("p", "mw"), ("q", "mvar")):
            columns = [f"{name}_{k}_{unit}" for k in "abc"]
            total = frame.loc[row, columns].sum()
            frame.loc[row, columns] = 0.0
            frame.loc[row, f"{name}_{phase}_{unit}"] = total
    out["asymmetric_load"] = frame
    return out


@pytest.mark.parametrize("seed", [1, *(pytest.param(k, marks=pytest.mark.soak) for k in (0, 2, 3, 4))])
def test_as_good_as_every_choice_of_two_moves(seed: int) -> None:
    """Every set of at most two moves, each with the set-points that are best for it, judged by power-grid-model."""
    net = racks(seed)
    result = Session(net, "balance", validate=False, minimize=TERMS).solve(max_moves=2)
    assert (result.status, result.issues) == ("optimal", [])
    moves = [action for action in result.plan.actions if action.action == "phase"]
    assert 1 <= len(moves) <= 2
    ours = spread_percent(result.plan.apply(net))
    options = {0: "bc", 1: "bc", 4: "bc", 5: "b"}
    assert {action.device for action in moves} <= {f"asymmetric_load:R{row}" for row in options}
    session = Session(net, "balance", validate=False, minimize=TERMS)
    runner: Any = session._runner
    told, owners = runner.loads.owned({})
    bounds = read_bounds(runner.base, runner.inverters, (), (), None)
    found = []
    for size in (0, 1, 2):
        for rows in combinations(options, size):
            for phases in product(*(options[row] for row in rows)):
                moves = dict(zip(rows, phases, strict=True))
                _, s_kva, _, _ = runner.search(
                    by_phase(told, owners["asymmetric_load"], net, moves), bounds, TERMS, np.inf
                )
                plant = by_hand(net, moves)
                for k, letter in enumerate("abc"):
                    plant.asymmetric_sgen[f"p_{letter}_mw"] = s_kva.real[k::3] / 1e3
                    plant.asymmetric_sgen[f"q_{letter}_mvar"] = s_kva.imag[k::3] / 1e3
                found.append(spread_percent(plant))
    assert len(found) == 1 + 7 + 18
    assert ours <= min(found) + 0.15  # percent of a rating; what the slack of the terms may leave is 0.05
    assert ours < 0.9 * found[0]


def by_phase(told: Any, owner: np.ndarray, net: Any, moves: dict[int, str]) -> Any:
    """Return injections with racks on other phases: the row of a node's phase k is 3 n + k."""
    plus = told.plus.copy()
    for row, phase in moves.items():
        now = next(k for k, letter in enumerate("abc") if net.asymmetric_load.at[row, f"p_{letter}_mw"] > 0)
        plus[owner == row] += "abc".index(phase) - now
    return replace(told, plus=plus)


def test_nobody_moves_where_inverters_are_enough() -> None:
    net = racks(0, s_max_kva=8.0)
    result = Session(net, "balance", validate=False).solve(max_moves=4)
    assert result.status == "optimal"
    assert {action.action for action in result.plan.actions} == {"setpoint"}


def test_moves_are_told_and_checked() -> None:
    net = racks(0)
    result = Session(net, "balance", validate=False).solve(max_moves=1)
    moves = [action for action in result.plan.actions if action.action == "phase"]
    assert len(moves) == 1
    assert f"let {moves[0].device} draw from phase {moves[0].after} instead of {moves[0].before}" in str(
        result
    )
    assert Plan.from_json(result.plan.to_json()) == result.plan
    assert check(net, result.plan) == []
    row = int(moves[0].device.rpartition("R")[2])
    after = result.plan.apply(net).asymmetric_load
    assert after.at[row, f"p_{moves[0].before}_mw"] == 0.0
    assert after.at[row, f"p_{moves[0].after}_mw"] == net.asymmetric_load.at[row, f"p_{moves[0].before}_mw"]


@pytest.mark.parametrize(
    ("device", "before", "after", "kind"),
    [
        ("asymmetric_load:R2", "a", "b", "BadAction"),  # has no options
        ("asymmetric_load:R0", "b", "c", "BadAction"),  # is on a
        ("asymmetric_load:R0", "a", "d", "BadAction"),
        ("asymmetric_load:NOBODY", "a", "b", "UnknownDevice"),
    ],
)
def test_checker_refuses_other_moves(device: str, before: str, after: str, kind: str) -> None:
    plan = Plan("balance", actions=(Action(1, 1.0, device, "phase", before, after),))
    assert {issue.kind for issue in check(racks(0), plan)} == {kind}


@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_moves_are_a_whole_number(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Session(racks(0), "balance", validate=False).solve(max_moves=value)
    assert [(issue.kind, issue.path) for issue in caught.value.issues] == [("Range", "solve(max_moves=...)")]


def test_a_course_moves_nobody() -> None:
    net = racks(0)
    loads = 1e3 * net.asymmetric_load[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_frame(0)
    with pytest.raises(InputError) as caught:
        Session(net, "balance", validate=False).solve(loads=loads, max_moves=1)
    assert [(issue.kind, issue.path) for issue in caught.value.issues] == [
        ("NotHeld", "solve(max_moves=...)")
    ]
