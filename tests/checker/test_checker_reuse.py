"""A checker keeps what it has found out: used for many plans, it must say what a new one says about each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pdnopt.acflow import FlowEngine
from pdnopt.baselines import breadth_first_reroute
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from tests.plants import LARGE, SMALL, random_failure, random_plant

FAILURES = 4


def _spoiled(plan: Plan, rng: np.random.Generator) -> list[Plan]:
    """Return plans that go wrong in different ways, made of one that may be right."""
    actions = list(plan.actions)
    out = [replace(plan, failed=()), replace(plan, automatic=()), replace(plan, latency_s=30.0)]
    if not actions:
        return out
    k = int(rng.integers(len(actions)))
    out.append(replace(plan, actions=tuple(actions[:k] + actions[k + 1 :])))
    out.append(replace(plan, actions=tuple(actions[::-1])))
    out.append(replace(plan, actions=tuple(_changed(item, rng) for item in actions)))
    out.append(replace(plan, actions=tuple(replace(item, t_s=item.t_s * 0.9) for item in actions)))
    out.append(replace(plan, actions=(*actions, replace(actions[k], device=actions[k].device + " "))))
    return out


def _changed(item: Action, rng: np.random.Generator) -> Action:
    if isinstance(item.after, bool) or not isinstance(item.after, float) or rng.random() < 0.5:
        return item
    return replace(item, after=float(item.after * rng.choice([0.0, 0.5, 0.999, 1.2, -1.0, np.nan])))


def _told(checker: Checker, plan: Plan) -> Any:
    report = checker.report(plan)
    return (
        [str(issue) for issue in report.issues],
        report.unserved_by_priority,
        report.interrupted,
        [vars(s) for s in report.states],
    )


@pytest.mark.parametrize(("seed", "large"), [(seed, large) for seed in range(3) for large in (False, True)])
def test_reused_and_fresh_checkers_say_the_same(seed: int, large: bool) -> None:
    net, _ = random_plant(seed, LARGE if large else SMALL)
    rng = np.random.default_rng([seed, 9])
    engine = FlowEngine(net)
    plans: list[Plan] = []
    for _ in range(FAILURES):
        failed = random_failure(net, rng, count=int(rng.integers(1, 3)))
        kw = net.load["p_mw"][net.load["kind"] != "ups_input"] * 1000.0
        plan = breadth_first_reroute(net, failed, kw * rng.uniform(0.6, 1.1), shed=bool(rng.random() < 0.7))
        plans += [plan, *_spoiled(plan, rng)]
    reused = Checker(net, engine)
    fresh = [_told(Checker(net, engine if n % 4 else None), plan) for n, plan in enumerate(plans)]
    order = rng.permutation(len(plans))
    for n in (*order, *order):  # the second time from memory alone
        np.testing.assert_equal(_told(reused, plans[n]), fresh[n])
    assert sum(bool(issues) for issues, *_ in fresh) > FAILURES, "plans without findings compare nothing"
