"""The way back from each step, verified before the plan begins: if a step fails half-way, its devices return.

What is verified is the plan up to that step, the step, and the way back: by `pdnopt.check`, with every state on the way. A
transfer device is taken to have stalled open on its way. A step whose way back is refused has none: then the executor
holds, and a new plan is made from what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from pdnopt.errors import Issue

if TYPE_CHECKING:
    from pdnopt.plan import Plan
    from pdnopt.plant.actions import Action

__all__ = ["recoveries", "way_back"]

REVERSE = {
    "open": "close",
    "close": "open",
    "start": "stop",
    "stop": "start",
    "cap": "restore",
    "shed": "restore",
    "restore": "cap",
}
"""What undoes an action; any other is undone by itself with the value before."""


def recoveries(
    plan: Plan, check: Callable[[Plan], Sequence[Issue]], delay_s: float = 4.0, hold_s: float = 60.0
) -> dict[int, tuple[Action, ...]]:
    """Return step -> verified actions that lead back to the state before it.

    Parameters
    ----------
    plan : Plan
        Verified.
    check : callable
        Returns the independent checker's findings on a plan for the same network and failure, for instance
        ``lambda plan: pdnopt.check(net, plan)``.
    delay_s : float
        So long after the step's own time the way back takes effect: the time-out of the read-back, and the device's time.
    hold_s : float
        The state that it leads to must hold so long. The plan was made because that state does not hold for good; it need
        only hold until a new plan has been made for what is then so.
    """
    found: dict[int, tuple[Action, ...]] = {}
    steps = [(number, tuple(group)) for number, group in groupby(plan.actions, key=lambda item: item.step)]
    before: tuple[Action, ...] = ()
    for number, actions in steps:
        back = way_back(actions, number + 1, max(item.t_s for item in actions) + delay_s)
        if back:
            stalled = tuple(
                replace(item, after=None) if item.action == "transfer" else item for item in actions
            )
            actions_then = (*before, *stalled, *_from_stall(back))
            tried = replace(plan, actions=actions_then, horizon_s=min(plan.horizon_s, hold_s))
            if not any(issue.severity == "error" for issue in check(tried)):
                found[number] = back
        before = (*before, *actions)
    return found


def way_back(actions: Sequence[Action], step: int, t_s: float) -> tuple[Action, ...]:
    """Return what undoes the actions of a step, the last first; () where one of them cannot be undone.

    A load's limit is not put back up on the way back: with less load the state before is no worse.
    """
    back = []
    for item in reversed(actions):
        if item.action in ("cap", "shed"):
            continue
        if item.before is None and item.action != "transfer":
            return ()
        action, reason = REVERSE.get(item.action, item.action), f"leads back: {item.reason}"
        undone = replace(
            item, step=step, t_s=t_s, action=action, before=item.after, after=item.before, reason=reason
        )
        back.append(undone)
    return tuple(back)


def _from_stall(back: Sequence[Action]) -> tuple[Action, ...]:
    return tuple(replace(item, before=None) if item.action == "transfer" else item for item in back)
