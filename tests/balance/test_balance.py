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


def test_every_pdu_is_even_in_runpp_3ph(net: Any, result: Result) -> None:
    """Unbalance from above 2 % to below 1 % everywhere, and the spread of every line and transformer cut by 90 %."""
    before = powerflow(net, engine="pandapower", three_phase=True)
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    assert result.status == "optimal"
    assert before.res_bus_3ph["unbalance_percent"].max() > 2.0
    assert after.res_bus_3ph["unbalance_percent"].max() < 0.1
    assert len(cuts(before, after)) == 16  # 12 near cables, 2 far ones, 2 isolating transformers
    assert cuts(before, after).min() > 0.9
    assert after.res_line_3ph["i_n_ka"].max() < 0.5 * before.res_line_3ph["i_n_ka"].max()


def cuts(before: Any, after: Any) -> np.ndarray:
    """Return by which part the spread is less, for every line and transformer behind the UPSs."""
    parts = []
    for table, columns in (("line", AMPS), ("trafo", [f"i_{k}_lv_ka" for k in "abc"])):
        uneven, even = (
            np.ptp(flow[f"res_{table}_3ph"][columns].to_numpy(float), axis=1) for flow in (before, after)
        )
        some = uneven > 1e-6
        parts.append(1.0 - even[some] / uneven[some])
    return np.concatenate(parts)


def test_result_tells_what_runpp_3ph_finds(net: Any, result: Result) -> None:
    assert result.phases is not None
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    rows = result.phases.set_index("component")
    for k, name in enumerate(net.line["name"]):
        if f"line:{name}" in rows.index:
            told = rows.loc[f"line:{name}", ["i_a_after_a", "i_b_after_a", "i_c_after_a"]].to_numpy(float)
            assert told == pytest.approx(1e3 * after.res_line_3ph[AMPS].iloc[k].to_numpy(float), abs=0.01)


def test_powers_come_from_somewhere(net: Any, result: Result) -> None:
    """By hand: what the phases give and 3 % of their kVA comes from the battery; the last ten, side B's, have none."""
    after = result.plan.apply(net).asymmetric_sgen
    kva = 1e3 * (after[P].to_numpy(float) + 1j * after[Q].to_numpy(float))
    rated = np.repeat([0.4, 1.25, 0.4, 1.25], [6, 4, 6, 4])
    assert (np.abs(kva).max(axis=1) <= rated + 1e-4).all()  # sent to 0.1 W
    link = kva.real.sum(axis=1) + 0.03 * np.abs(kva).sum(axis=1)
    assert (np.abs(link[10:]) <= 0.005 * rated[10:]).all()  # losses are linear around a point
    assert (np.abs(kva).max(axis=1) > np.where(rated > 1.0, 0.6, 0.02)).all()  # near PDUs need little


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


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_failed_at_random_keeps_all_limits(net: Any, session: Session, seed: int) -> None:
    """4 of 20; none of these draws takes three of the four at one far PDU."""
    names = [f"asymmetric_sgen:{name}" for name in net.asymmetric_sgen["name"]]
    failed = [str(name) for name in np.random.default_rng(seed).choice(names, 4, replace=False)]
    result = session.solve(failed=failed)
    assert (result.status, result.issues) == ("optimal", [])
    after = powerflow(result.plan.apply(net), engine="pandapower", three_phase=True)
    for table in ("line", "trafo"):
        assert after[f"res_{table}_3ph"]["loading_percent"].max() < 100.0
    assert after.res_ups["loading_percent"].max() < 100.0
    assert after.res_bus_3ph[["vm_a_pu", "vm_b_pu", "vm_c_pu"]].min(axis=None) > 0.9
    assert after.res_bus_3ph["unbalance_percent"].max() < 1.0


def test_one_ups_carries_the_pod_once_its_phases_are_even(net: Any) -> None:
    """UPS-B is lost: the fullest phase of UPS-A has 102 % of a third of 450 kVA; all three phases together 99.2 %."""
    alone = Plan(failed=("ups:UPS-B",)).apply(net)
    assert powerflow(alone, three_phase=True).res_ups["loading_percent"].iloc[0] > 101.0
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


def test_tiny_inverters_stay_within_their_ratings() -> None:
    """35 VA a phase: what is nothing to an inverter of 5 kVA is much to them; the checker takes 0.05 %."""
    result = solve(pod(s_max_kva=0.035), "balance")
    assert (result.status, result.issues) == ("optimal", [])
    told = [np.hypot(action.after["p_kw"], action.after["q_kvar"]) for action in result.plan.actions]
    assert 0.034 < np.max(told) <= 0.035 * 1.0005 + 1e-4


def test_ramps_hold_set_points_near_where_they_are(net: Any, session: Session) -> None:
    result = session.solve(max_ramp_kva=0.15)
    for action in result.plan.actions:
        assert np.abs([*action.after["p_kw"], *action.after["q_kvar"]]).max() <= 0.15 + 1e-4


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
    assert "send set-points to 20 devices" in str(result)
    assert len(result.to_dict()["unbalance"]) == len(result.unbalance)  # type: ignore[arg-type]
