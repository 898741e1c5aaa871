"""Large rooms: the search by exchange against plain sums, against every choice, and against the checker."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import pdnopt
from pdnopt.allocation import runner as runner_module
from pdnopt.allocation import search as search_module
from pdnopt.allocation.exchange import Exchange, Target
from pdnopt.allocation.exposure import Core
from pdnopt.allocation.inputs import read_vectors
from pdnopt.allocation.ledger import Ledger
from pdnopt.allocation.search import Search, Solved
from tests.reserve.rooms import load_vectors, room

HOUR_S = 3600.0
TERMS = ("margin", "balance", "moves")


def core_of(net: Any, vectors: int = 2, seed: int = 0) -> tuple[Core, Any, Any]:
    """Return the core of a room under some load vectors, its runner and the session."""
    session = pdnopt.Session(net, "reserve", validate=False, explain=False)
    runner: Any = session._runner
    read = read_vectors(runner.demand, load_vectors(net, vectors, seed=seed), None, HOUR_S)
    return runner.frame.exposure(read.cord_kw, *runner.limits(HOUR_S)).core(), runner, session


def margin_by_hand(core: Core, chosen: Any) -> float:
    """Return the least of limit less load, every device added by itself."""
    worst = np.inf
    for c in range(len(core.kp)):
        for r in np.flatnonzero(np.isfinite(core.rest_kw[c, :, 0])):
            load = np.zeros(core.n_vectors)
            for d, k in enumerate(chosen):
                q = core.stands[int(core.choices.kind[d])][c, k]
                if q >= 0:
                    load += core.kp[c, r, q] * core.p_kw[c, d] + core.ks[c, r, q] * core.s_kva[c, d]
            worst = min(worst, float((core.rest_kw[c, r] - load).min()))
    return worst


def large(
    core: Core,
    runner: Any,
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
    terms: tuple[str, ...] = TERMS,
    **keywords: Any,
) -> Solved:
    """Solve as a room too large for a MIP."""
    monkeypatch.setattr(search_module, "FEW_COLUMNS", 0)
    goals = [goal for goal in runner._goals(core, session.options) if goal.name in terms]
    return Search(runner.formulation, core, runner.frame.allowed, **keywords).solve(goals)


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_the_ledger_are_the_plain_sums(seed: int) -> None:
    core, runner, _ = core_of(room(9, 3, 3, 2 + seed % 2, seed=seed))
    rng = np.random.default_rng(seed)
    ledger = Ledger(core, runner.frame.allowed)
    for _ in range(4):
        chosen = np.array([rng.choice(np.flatnonzero(may)) for may in runner.frame.allowed])
        behaviour = ledger.behaviour(chosen)
        least = float((ledger.rest_kw - ledger.load_kw(behaviour)).min())
        assert least == pytest.approx(margin_by_hand(core, chosen), abs=1e-6)
        assert margin_by_hand(core, ledger.chosen(behaviour)) == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_near_the_best_of_every_choice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    core, runner, session = core_of(room(6, 3, 3, 3, seed=seed, reserve_part=1.4))
    solved = large(core, runner, session, monkeypatch, ("margin",))
    ledger = Ledger(core, runner.frame.allowed)
    hung = np.array([ledger.gain[0][:, b] for b in range(ledger.choice_of.shape[1])])
    per_device = [
        hung[np.flatnonzero(may)] * ledger.power[0][d, ledger.section]
        for d, may in enumerate(ledger.choice_of >= 0)
    ]
    best = max(
        float((ledger.rest_kw - sum(rows[i] for rows, i in zip(per_device, at, strict=True))).min())
        for at in product(*(range(len(rows)) for rows in per_device))
    )
    found = margin_by_hand(core, solved.chosen)
    assert -solved.value["margin"] == pytest.approx(found, abs=1e-6)
    assert found <= best + 1e-6
    assert -solved.bound["margin"] >= best - 1e-6, "the bound is none"
    assert found >= best - 0.05 * float(core.system_limit_kw.mean())


def test_few_moves_and_no_more_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    core, runner, session = core_of(room(80, 4, 4, 4, seed=1, reserve_part=0.85))
    held = margin_by_hand(core, core.choices.held)
    free = large(core, runner, session, monkeypatch)
    moved = [kind[k] for kind, k in zip(runner.formulation.moved(core), free.chosen, strict=True)]
    assert margin_by_hand(core, free.chosen) > held
    assert free.bound["moves"] - 1e-6 <= free.value["moves"]
    assert sum(moved) == pytest.approx(free.value["moves"], rel=0.02)
    few = large(core, runner, session, monkeypatch, max_moves=5.0)
    assert sum(kind[k] for kind, k in zip(runner.formulation.moved(core), few.chosen, strict=True)) <= 5.0
    assert held < margin_by_hand(core, few.chosen) <= margin_by_hand(core, free.chosen) + 1.0


def test_again_from_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    net = room(60, 4, 4, 4, seed=2, reserve_part=0.85)
    core, runner, session = core_of(net)
    first = large(core, runner, session, monkeypatch)
    other, runner, session = core_of(net, seed=7)
    alone = large(other, runner, session, monkeypatch)
    again = large(other, runner, session, monkeypatch, last=first)
    assert again.bound["margin"] == pytest.approx(alone.bound["margin"], abs=1e-6)
    scale_kw = float(core.system_limit_kw.mean())
    assert margin_by_hand(other, again.chosen) >= margin_by_hand(other, alone.chosen) - 0.01 * scale_kw
    once_more = large(other, runner, session, monkeypatch, last=first)
    assert (once_more.chosen == again.chosen).all()


def test_cheaper_choices_keep_the_target() -> None:
    core, runner, _ = core_of(room(40, 4, 4, 4, seed=3, reserve_part=1.2))
    ledger = Ledger(core, runner.frame.allowed)
    exchange = Exchange(ledger, float(core.system_limit_kw.mean()))
    start = ledger.behaviour(core.choices.held)
    cost = np.random.default_rng(0).uniform(0.0, 1.0, ledger.choice_of.shape)
    least = margin_by_hand(core, core.choices.held)
    found = exchange.cheapen(start, Target(least - 5.0), cost, np.inf)
    at = np.arange(len(start))
    assert cost[at, found].sum() < cost[at, start].sum()
    assert margin_by_hand(core, ledger.chosen(found)) >= least - 5.0 - 1e-6


def test_many_moves_are_ordered_and_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "FEW_MOVES", 4)
    net = room(90, 5, 4, 5, seed=4, reserve_part=0.85)
    result = pdnopt.solve(net, "reserve", loads=load_vectors(net, 1), explain=False)
    moves = [action for action in result.plan.actions if action.action == "transfer"]
    assert len(moves) > 4
    assert len({action.device for action in moves}) == len(moves)
    assert [action.step for action in moves] == list(range(1, len(moves) + 1))
    assert not [issue for issue in result.issues if issue.severity == "error"]
    assert not pdnopt.check(net, result.plan)
    assert result.backing is not None
    active = result.backing.set_index("device")["moved"]
    assert {action.device for action in moves} == set(active.index[active])
