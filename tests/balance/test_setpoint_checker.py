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


def plan_of(p: Any, q: Any = (0.0, 0.0, 0.0), device: str = "asymmetric_sgen:MIM-B1", **other: Any) -> Plan:
    after = {"p_kw": list(p), "q_kvar": list(q)}
    return Plan("balance", actions=(Action(1, 1.0, device, "setpoint", None, after),), **other)


def kinds(net: Any, plan: Plan) -> set[str]:
    return {issue.kind for issue in check(net, plan)}


def test_moving_power_between_phases_less_its_losses_passes(net: Any) -> None:
    """1 kW from c to a: 3 % of 1 kVA and of p_c must be drawn beside: p_c = -(1.03 / 0.97)."""
    assert kinds(net, plan_of((1.0, 0.0, -1.03 / 0.97))) == set()


def test_power_from_nowhere(net: Any) -> None:
    assert kinds(net, plan_of((1.0, 0.0, 0.0))) == {"DcLink"}
    assert kinds(net, plan_of((1.0, 0.0, 0.0), device="asymmetric_sgen:MIM-A1")) == set()  # it has a battery


def test_a_battery_lasts_for_the_horizon(net: Any) -> None:
    """DES-A1 holds 10 kWh, 90 % full, 10 % stay: 8 kWh, 7.6 kW for an hour at 95 %; 3 x 2.4 kW and 3 % are 7.42 kW."""
    device = "asymmetric_sgen:MIM-A1"
    assert kinds(net, plan_of((2.4, 2.4, 2.4), device=device)) == set()
    assert kinds(net, plan_of((2.5, 2.5, 2.5), device=device)) == {"DcLink"}  # 7.73 kW
    assert kinds(net, plan_of((2.5, 2.5, 2.5), device=device, horizon_s=1800.0)) == set()


def test_apparent_power_of_a_phase(net: Any) -> None:
    assert kinds(net, plan_of((4.0, 0.0, -4.0 * 1.03 / 0.97), (3.5, 0.0, 0.0))) >= {"Overload"}


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (plan_of((0.0, 0.0, 0.0), device="asymmetric_sgen:NOBODY"), "UnknownDevice"),
        (plan_of((float("nan"), 0.0, 0.0)), "BadAction"),
        (plan_of((0.0, 0.0)), "BadAction"),
        (plan_of((0.0, 0.0, 0.0), failed=("asymmetric_sgen:MIM-B1",)), "DeadDevice"),
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
    """PDU-B1 draws 56 A on phase a; a cable of 50 A does not carry that, whatever its mean is."""
    small = deepcopy(net)
    row = small.line.index[small.line["name"] == "cable B1"][0]
    small.line.loc[row, "max_i_ka"] = 0.053 / small.line.at[row, "df"]
    found = check(small, plan_of((0.0, 0.0, 0.0)))
    assert [(issue.kind, issue.id) for issue in found] == [("Overload", "line:cable B1")]
