"""Random plants and failures: what is called verified is, nothing beats it, and nothing raises."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandapower as pp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pdnopt import Plan, Result, Session
from pdnopt.acflow import FlowEngine
from pdnopt.baselines import breadth_first_reroute
from pdnopt.checker import Checker
from pdnopt.plant.tables import values
from tests.plants import Case, cases

EXAMPLES, SOAK_EXAMPLES = 200, 2000
TIME_LIMIT_S = 10.0
GAP = 5e-4
INDIFFERENT_KW, SAME_KW = 0.1, 0.02
"""As in test_bruteforce: less than INDIFFERENT is not worth a switch; SAME is what linear losses may cost."""
LOADING = 1.001
LONG_RATIO = 1.1
"""The curve "long" of tests.plants carries 110 % for the whole horizon."""


@lru_cache(maxsize=48)
def _prepared(seed: int, large: bool) -> tuple[Session, Checker, FlowEngine]:
    net, _, _ = Case(seed, large, 1, 0, 100).build()
    engine = FlowEngine(net)
    session = Session(net, "reroute", validate=False, explain=False, time_limit_s=TIME_LIMIT_S)
    return session, Checker(net, engine), engine


def _holds(case: Case) -> str:
    """Assert all that must hold; return, "" for none, why there is no plan although a baseline's passes."""
    net, failed, loads = case.build()
    session, checker, engine = _prepared(case.seed, case.large)
    result = session.solve(failed=failed, p_load_kw=loads)
    _numbers_fit(result)
    if result.ok:
        issues = [issue for issue in checker.check(result.plan, failed) if issue.severity == "error"]
        assert not issues, issues
        _end_state_stands(net, result)
    for shed in (False, True):
        plan = breadth_first_reroute(net, failed, loads, shed=shed, engine=engine)
        report = checker.report(plan, failed)
        if any(issue.severity == "error" for issue in report.issues):
            continue
        if not result.ok:
            why = "; ".join(f"{issue.kind} {issue.id} at {issue.path}" for issue in result.issues[:2])
            return f"{case} {failed}: {result.status} ({why}), a baseline passes"
        _not_worse(result, report.unserved_by_priority)
    return ""


def _numbers_fit(result: Result) -> None:
    assert result.status in ("optimal", "feasible", "infeasible", "no_incumbent", "failed")
    assert result.unserved_kw == pytest.approx(sum(result.unserved_by_priority.values()), abs=1e-6)
    for priority, kw in result.unserved_by_priority.items():
        assert -1e-6 <= kw <= result.demand_by_priority[priority] + 1e-6
    assert Plan.from_json(result.plan.to_json()) == result.plan
    assert str(result)


def _not_worse(result: Result, baseline_kw: dict[int, float]) -> None:
    """Unserved load, priority by priority, is no more than that of a baseline plan that the checker accepts."""
    for priority, kw in sorted(baseline_kw.items()):
        worse = result.unserved_by_priority[priority] - kw
        slack = SAME_KW + INDIFFERENT_KW + GAP * result.demand_by_priority[priority]
        assert worse <= slack, (priority, result.unserved_by_priority, baseline_kw)
        if worse < -SAME_KW:
            return


def _end_state_stands(net: Any, result: Result) -> None:
    """Plain pandapower on the network that the plan leaves: all load in service fed, nothing over its limit."""
    after = result.plan.apply(net)
    load = after.load[after.load["in_service"] & (after.load["p_mw"] > 0)]
    if not len(load):
        return  # nothing lives any more: pandapower has no reference then
    pp.runpp(after, numba=False)
    assert after.res_bus["vm_pu"].reindex(load["bus"]).notna().all()
    mine = load[load["kind"] != "ups_input"]
    served = float((mine["p_mw"] * mine["scaling"]).sum() * 1000.0)
    demand = sum(result.demand_by_priority.values())
    assert served == pytest.approx(demand - result.unserved_kw, abs=1e-3 + 1e-4 * demand)
    for table in ("line", "trafo"):
        limit = _long_ratio(after, table)
        loading = after[f"res_{table}"]["loading_percent"].fillna(0.0).to_numpy() / 100.0
        assert (loading <= limit * LOADING).all(), (table, loading.max())
    p_mw = after.res_ext_grid["p_mw"].fillna(0.0)
    assert (p_mw <= values(after, "ext_grid", "max_p_mw") * LOADING + 1e-9).all()
    s_mva = np.hypot(p_mw, after.res_ext_grid["q_mvar"].fillna(0.0))
    limits = dict(zip(after.ups.index, after.ups["s_rated_mva"] * _long_ratio(after, "ups"), strict=True))
    for row, ups in zip(after.ext_grid.index, values(after, "ext_grid", "ups"), strict=True):
        if ups == ups:
            assert s_mva[row] <= limits[int(ups)] * LOADING, (row, s_mva[row])


def _long_ratio(net: Any, table: str) -> np.ndarray:
    return np.where(values(net, table, "overload_curve") == "long", LONG_RATIO, 1.0)


_SETTINGS: dict[str, Any] = {
    "phases": (Phase.generate,),  # a Case reproduces itself; shrinking would take minutes
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


def _sweep(examples: int, plants: int) -> list[str]:
    """Try so many cases; return those without a plan although a baseline has one."""
    gaps: list[str] = []

    @settings(max_examples=examples, **_SETTINGS)
    @given(case=cases(plants))
    def run(case: Case) -> None:
        gap = _holds(case)
        if gap:
            gaps.append(gap)

    run()
    return gaps


def test_random_plants_and_failures() -> None:
    """Never an exception; what is verified is; a plan, and no worse one, wherever a baseline has one that passes."""
    gaps = _sweep(EXAMPLES, 12)
    assert not gaps, "\n".join(gaps)


@pytest.mark.soak
def test_random_plants_and_failures_soak() -> None:
    gaps = _sweep(SOAK_EXAMPLES, 400)
    assert not gaps, "\n".join(gaps)


@settings(max_examples=20, **_SETTINGS)
@given(seed=st.integers(0, 10_000))
def test_the_same_seed_gives_the_same_plant(seed: int) -> None:
    one, two = (Case(seed % 3, False, 2, seed, 100).build() for _ in range(2))
    assert one[1] == two[1]
