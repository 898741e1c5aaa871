"""The checker on set-points: what it must refuse, each by hand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from pdnopt.checker import check
from pdnopt.library import load_case
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action


@pytest.fixture(scope="module")
def net() -> Any:
    return load_case("mim_pod")


def plan_of(p: Any, q: Any = (0.0, 0.0, 0.0), device: str = "asymmetric_sgen:MIM-B7.1", **other: Any) -> Plan:
    after = {"p_kw": list(p), "q_kvar": list(q)}
    return Plan("balance", actions=(Action(1, 1.0, device, "setpoint", None, after),), **other)


def kinds(net: Any, plan: Plan) -> set[str]:
    return {issue.kind for issue in check(net, plan)}


def test_moving_power_between_phases_less_its_losses_passes(net: Any) -> None:
    """1 kW from c to a: 3 % of 1 kVA and of p_c must be drawn beside: p_c = -(1.03 / 0.97)."""
    assert kinds(net, plan_of((1.0, 0.0, -1.03 / 0.97))) == set()


def test_power_from_nowhere(net: Any) -> None:
    assert kinds(net, plan_of((1.0, 0.0, 0.0))) == {"DcLink"}
    assert (
        kinds(net, plan_of((1.0, 0.0, 0.0), device="asymmetric_sgen:MIM-A7.1")) == set()
    )  # it has a battery


def test_a_battery_lasts_for_the_horizon(net: Any) -> None:
    """DES-A7.1 holds 2.4 kWh, 90 % full, 10 % stay: 1.92 kWh, 912 W for two hours at 95 %; 3 x 290 W and 3 % are 896 W.

    It gives 1.2 kW at most: 3 x 380 W and 3 % are 1174 W.
    """
    device = "asymmetric_sgen:MIM-A7.1"
    assert kinds(net, plan_of((0.29, 0.29, 0.29), device=device, horizon_s=7200.0)) == set()
    assert kinds(net, plan_of((0.30, 0.30, 0.30), device=device, horizon_s=7200.0)) == {"DcLink"}  # 927 W
    assert kinds(net, plan_of((0.38, 0.38, 0.38), device=device)) == set()
    assert kinds(net, plan_of((0.40, 0.40, 0.40), device=device)) == {"DcLink"}  # 1236 W


def test_apparent_power_of_a_phase(net: Any) -> None:
    assert kinds(net, plan_of((1.0, 0.0, -1.03 / 0.97), (0.9, 0.0, 0.0))) >= {"Overload"}


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (plan_of((0.0, 0.0, 0.0), device="asymmetric_sgen:NOBODY"), "UnknownDevice"),
        (plan_of((float("nan"), 0.0, 0.0)), "BadAction"),
        (plan_of((0.0, 0.0)), "BadAction"),
        (plan_of((0.0, 0.0, 0.0), failed=("asymmetric_sgen:MIM-B7.1",)), "DeadDevice"),
        (plan_of((0.0, 0.0, 0.0), failed=("ups:UPS-A",)), "InvalidName"),
        (plan_of((0.0, 0.0, 0.0), loads_kw={"asymmetric_load": {99999: 1.0}}), "PlanNetMismatch"),
    ],
)
def test_what_makes_no_sense_is_refused(net: Any, plan: Plan, kind: str) -> None:
    assert kind in kinds(net, plan)


def test_switching_beside_set_points_is_refused(net: Any) -> None:
    plan = plan_of((0.0, 0.0, 0.0))
    mixed = replace(plan, actions=(*plan.actions, Action(2, 2.0, "switch:QX", "close", False, True)))
    assert kinds(net, mixed) == {"BadAction"}


def test_a_phase_beyond_its_cable_is_found(net: Any) -> None:
    """PDU-B1 draws 50.9 A on phase a, 50.3 A on average; a cable of 50.5 A does not carry that."""
    small = deepcopy(net)
    row = small.line.index[small.line["name"] == "cable B1"][0]
    small.line.loc[row, "max_i_ka"] = 0.0505 / small.line.at[row, "df"]
    found = check(small, plan_of((0.0, 0.0, 0.0)))
    assert [(issue.kind, issue.id) for issue in found] == [("Overload", "line:cable B1")]
