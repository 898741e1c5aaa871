"""Set-points, judged by runpp_3ph: what it shows of phases is not what pdnopt computed."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from pdnopt.acflow import powerflow
from pdnopt.checker import check
from pdnopt.library import load_case
from pdnopt.plan import Plan
from pdnopt.result import Result
from pdnopt.session import Session, solve
from tests.balance.pods import pod

AMPS = ["i_a_ka", "i_b_ka", "i_c_ka"]
P, Q = ["p_a_mw", "p_b_mw", "p_c_mw"], ["q_a_mvar", "q_b_mvar", "q_c_mvar"]


@pytest.fixture(scope="module")
def net() -> Any:
    return load_case("mim_pod")


@pytest.fixture(scope="module")
def session(net: Any) -> Session:
    return Session(net, "balance")


@pytest.fixture(scope="module")
def result(session: Session) -> Result:
    return session.solve()


def spread_percent(flow: Any) -> np.ndarray:
    """Return highest minus lowest phase of each line with load, percent of its rating."""
    amps = flow.res_line_3ph[AMPS].to_numpy(float)
    return np.asarray(
        100.0 * (amps.max(axis=1) - amps.min(axis=1)) / (flow.line["max_i_ka"] * flow.line["df"])
    )


def test_every_pdu_is_even_in_runpp_3ph(net: Any, result: Result) -> None:
    before = powerflow(net, engine="pandapower", three_phase=True)
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    assert result.status == "optimal"
    assert spread_percent(before).max() > 4.0
    assert spread_percent(after).max() < 0.1 * spread_percent(before).max()
    assert after.res_bus_3ph["unbalance_percent"].max() < before.res_bus_3ph["unbalance_percent"].max() < 1.0
    assert after.res_line_3ph["i_n_ka"].max() < 0.1 * before.res_line_3ph["i_n_ka"].max()


def test_result_tells_what_runpp_3ph_finds(net: Any, result: Result) -> None:
    assert result.phases is not None
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    rows = result.phases.set_index("component")
    for k, name in enumerate(net.line["name"]):
        if f"line:{name}" in rows.index:
            told = rows.loc[f"line:{name}", ["i_a_after_a", "i_b_after_a", "i_c_after_a"]].to_numpy(float)
            assert told == pytest.approx(1e3 * after.res_line_3ph[AMPS].iloc[k].to_numpy(float), abs=0.01)


def test_powers_come_from_somewhere(net: Any, result: Result) -> None:
    """By hand: what the phases give and 3 % of their kVA comes from the battery; the B side has none."""
    after = result.plan.apply(net).asymmetric_sgen
    kva = 1e3 * (after[P].to_numpy(float) + 1j * after[Q].to_numpy(float))
    assert np.abs(kva).max() <= 5.0
    link = kva.real.sum(axis=1) + 0.03 * np.abs(kva).sum(axis=1)
    assert link[6:] == pytest.approx(np.zeros(6), abs=0.02)
    assert np.abs(kva).max(axis=1).min() > 0.5


def test_failed_and_stale_inverters_are_not_told_anything(net: Any, session: Session) -> None:
    failed, stale = "asymmetric_sgen:MIM-A1", "asymmetric_sgen:MIM-B2"
    result = session.solve(failed=[failed], stale=[stale])
    assert result.status == "optimal"
    told = {action.device for action in result.plan.actions}
    assert told == {f"asymmetric_sgen:{name}" for name in net.asymmetric_sgen["name"]} - {failed, stale}
    after = result.plan.apply(net)
    assert after.asymmetric_sgen["in_service"].tolist() == [
        name != "MIM-A1" for name in net.asymmetric_sgen["name"]
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_failed_at_random_keeps_all_limits(net: Any, session: Session, seed: int) -> None:
    names = [f"asymmetric_sgen:{name}" for name in net.asymmetric_sgen["name"]]
    failed = [str(name) for name in np.random.default_rng(seed).choice(names, 3, replace=False)]
    result = session.solve(failed=failed)
    assert (result.status, result.issues) == ("optimal", [])
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    assert after.res_line_3ph["loading_percent"].max() < 100.0
    assert after.res_ups["loading_percent"].max() < 100.0
    assert after.res_bus_3ph["unbalance_percent"].max() < 1.0


def test_one_ups_carries_the_pod_once_its_phases_are_even(net: Any) -> None:
    """UPS-B is lost: phase a of UPS-A has 107 % of a third of 450 kVA; all three phases together 99 %."""
    alone = Plan(failed=("ups:UPS-B",)).apply(net)
    assert powerflow(alone, three_phase=True).res_ups["loading_percent"].iloc[0] > 106.0
    result = solve(alone, "balance", validate=False)
    assert (result.status, result.issues) == ("optimal", [])
    after = powerflow(result.plan.apply(alone), three_phase=True)
    assert 98.0 < after.res_ups["loading_percent"].iloc[0] < 100.0


def test_what_cannot_be_kept_is_infeasible_and_named() -> None:
    net = pod(kw=((40.0, 30.0, 30.0), (1.0, 1.0, 1.0)), s_max_kva=1.0)
    net.line["max_i_ka"] = 0.1
    result = solve(net, "balance")
    assert result.status == "infeasible"
    assert result.objective["violations"] > 0.1
    assert {issue.id for issue in result.issues} == {"line:cable 0"}
    assert "not to be sent" in str(result)


def test_ramps_hold_set_points_near_where_they_are(net: Any, session: Session) -> None:
    result = session.solve(max_ramp_kva=0.25)
    for action in result.plan.actions:
        assert np.abs([*action.after["p_kw"], *action.after["q_kvar"]]).max() <= 0.25 + 1e-4


def test_same_loads_same_set_points(net: Any) -> None:
    one, two = (Session(net, "balance", validate=False).solve().plan for _ in range(2))
    assert one == two


def test_other_loads_are_only_numbers(net: Any, session: Session) -> None:
    rows = net.asymmetric_load.index[:20]
    kw = 1e3 * net.asymmetric_load.loc[rows, P].sum(axis=1) * 1.3
    result = session.solve(p_asymmetric_kw=kw)
    assert result.status == "optimal"
    fresh = deepcopy(net)
    fresh.asymmetric_load.loc[rows, P + Q] *= 1.3
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    again = powerflow(solve(fresh, "balance").plan.apply(fresh), engine="pandapower", three_phase=True)
    assert after.res_line_3ph[AMPS].to_numpy() == pytest.approx(again.res_line_3ph[AMPS].to_numpy(), abs=2e-4)


def test_the_plan_survives_json(net: Any, result: Result) -> None:
    again = Plan.from_json(result.plan.to_json())
    assert again == result.plan
    assert check(net, again) == []
    assert "send set-points to 12 devices" in str(result)
    assert len(result.to_dict()["unbalance"]) == len(result.unbalance)  # type: ignore[arg-type]
