"""A plan before it is carried out: made to fit this very moment, and judged by the independent checker in this process.

Whoever made it - the solver's process, the playbook - is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pdnopt.checker import Checker
from pdnopt.errors import Issue, PdnoptError
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.response import respond_network

__all__ = ["Verifier", "as_carried_out", "fitted"]

SAME_KW = 0.05
LIMITS = ("cap", "shed")
FREE_FACTOR = 1.5
"""A limit is lifted by allowing half as much again as the unit would draw: it may draw more by the time it is lifted."""
RESTORE_PAUSE_S = 1.0


class Verifier:
    """The checker of one moment.

    Parameters
    ----------
    net : pandapowerNet
        As it is now.
    failed : sequence of str
    """

    def __init__(self, net: Any, failed: Sequence[str]) -> None:
        self.net, self.failed = net, tuple(failed)
        self._checker: Checker | None = None

    def errors(self, plan: Plan) -> list[Issue]:
        """Return why a plan must not be carried out; empty: it is verified."""
        try:
            if self._checker is None:
                self._checker = Checker(self.net)
            return [issue for issue in self._checker.check(plan) if issue.severity == "error"]
        except PdnoptError as error:
            todo = "Hold, and look at what is measured."
            return [Issue("NotChecked", "plan", "", str(error), "a plan that can be checked", todo)]


def fitted(plan: Plan, net: Any, failed: Sequence[str], demand_kw: Mapping[str, float]) -> Plan:
    """Return a plan that was made for another moment with this moment's loads and what devices have done by now.

    A unit that was to be limited is limited to the same power, at most to what it draws; whether that is still right is for
    the checker to say.

    Raises
    ------
    PdnoptError
        It names what this plant does not have.
    """
    automatic = respond_network(net, list(failed)).automatic
    actions = []
    for item in plan.actions:
        if item.action in LIMITS:
            now_kw = float(demand_kw.get(item.device, 0.0))
            item = replace(item, before=now_kw, after=min(float(item.after), now_kw))
        actions.append(item)
    return replace(
        plan, failed=tuple(failed), automatic=tuple(automatic), actions=tuple(actions), loads_kw={}
    )


def as_carried_out(plan: Plan, limits_kw: Mapping[str, float], demand_kw: Mapping[str, float]) -> Plan:
    """Return a verified plan as it is sent, given the limits that units have already.

    The plan was made and verified as if no unit had a limit yet: every state on its way carries at least the load that is
    really there, so a limit that stands may stay until the plan's end. Limits that the plan repeats are not sent again;
    those that it does not need any more are lifted after its last step, as are those that it would raise.
    """
    told: dict[str, float] = {
        item.device: float(item.after) for item in plan.actions if item.action in LIMITS
    }
    told.update({item.device: float(item.after) for item in plan.actions if item.action == "restore"})
    actions = [
        item
        for item in plan.actions
        if not (
            item.action in (*LIMITS, "restore")
            and item.device in limits_kw
            and float(item.after) >= limits_kw[item.device] - SAME_KW
        )
    ]
    last_step = max((item.step for item in plan.actions), default=0)
    last_s = max((item.t_s for item in plan.actions), default=plan.latency_s)
    lifted = []
    for device, limit_kw in sorted(limits_kw.items()):
        goal_kw = told.get(device, FREE_FACTOR * max(float(demand_kw.get(device, 0.0)), limit_kw))
        if goal_kw > limit_kw + SAME_KW:
            why = "no longer needed" if device not in told else "less of it is needed"
            lifted.append(
                Action(last_step + 1, last_s + RESTORE_PAUSE_S, device, "restore", limit_kw, goal_kw, why)
            )
    return replace(plan, actions=(*actions, *lifted))
