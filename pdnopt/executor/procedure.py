"""What is to be carried out: a plan's actions with their times, how long it may be begun, and what to do if a step fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from pdnopt.protocols.commands import digest

if TYPE_CHECKING:
    from pdnopt.plan import Plan
    from pdnopt.plant.actions import Action

__all__ = ["Procedure", "Step", "procedure_of"]


@dataclass(frozen=True)
class Step:
    """Actions that are sent together.

    ``send_s``: not before so many seconds after the procedure's origin; ``done_s``: by then all have taken effect, if all
    goes as planned.
    """

    number: int
    actions: tuple[Action, ...]
    send_s: float
    done_s: float


@dataclass(frozen=True)
class Procedure:
    """A plan made ready to be carried out.

    Attributes
    ----------
    plan_hash : str
        `pdnopt.protocols.commands.digest` of the plan's JSON.
    fencing : int
        The leader's token, which goes into every command.
    steps : tuple of Step
    valid_s : float
        No step is sent later than so many seconds after the origin.
    slack_s : float
        A step that would be sent so much later than planned is not sent: what was verified was another course. Does not
        count where a person confirms.
    takes_s : mapping
        Device -> seconds that it takes to move; read-back waits so long and then for the executor's patience.
    recovery : mapping
        Number of a step -> actions, verified before, that lead back to the state before it.
    """

    plan_hash: str
    fencing: int
    steps: tuple[Step, ...]
    valid_s: float = 600.0
    slack_s: float = float("inf")
    takes_s: Mapping[str, float] = field(default_factory=dict)
    recovery: Mapping[int, tuple[Action, ...]] = field(default_factory=dict)


def procedure_of(
    plan: Plan,
    fencing: int,
    takes_s: Mapping[str, float] | None = None,
    recovery: Mapping[int, tuple[Action, ...]] | None = None,
    valid_s: float = 600.0,
    slack_s: float = float("inf"),
) -> Procedure:
    """Return a plan's commands as steps. The plan's times count from the failure: that is the procedure's origin.

    A plan says when an action has taken effect; it is sent as much earlier as the device takes (``takes_s``).
    """
    own_s = dict(takes_s or {})
    steps = []
    for number, group in groupby(plan.actions, key=lambda item: item.step):
        actions = tuple(group)
        send_s = min(item.t_s - own_s.get(item.device, 0.0) for item in actions)
        steps.append(Step(number, actions, max(0.0, send_s), max(item.t_s for item in actions)))
    return Procedure(
        digest(plan.to_json()), fencing, tuple(steps), valid_s, slack_s, own_s, dict(recovery or {})
    )
