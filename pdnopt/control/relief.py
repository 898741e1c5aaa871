"""The last thing before nothing: shed the least critical load, as little of it as the checker lets pass.

No solver. Devices stay where they are; units are shed in the order of their importance, the least critical first, until the
independent checker has no objection to the rest. With less load every flow is less, so the smallest number of units that
passes is found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pdnopt.control.picture import Picture, Pictures
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.units import DEFAULT_LATENCY_S

__all__ = ["relief_plan"]


def relief_plan(
    pictures: Pictures,
    picture: Picture,
    failed: Sequence[str],
    automatic: Sequence[Action],
    errors: Callable[[Plan], Sequence[Any]],
) -> Plan | None:
    """Return a plan that only sheds and that the checker passes; None where even shedding all that may be is not enough.

    Parameters
    ----------
    failed : sequence of str
    automatic : sequence of Action
        What devices do by themselves.
    errors : callable
        The checker's objections to a plan.
    """
    d = pictures.demand
    order = sorted(
        (k for k in range(d.n) if d.sheddable[k] and picture.demand_kw[d.name[k]] > 0),
        key=lambda k: (
            d.name[k] not in picture.dark,
            -int(d.priority[k]),
            -picture.demand_kw[d.name[k]],
            d.name[k],
        ),
    )

    def plan(count: int) -> Plan:
        actions = tuple(
            Action(
                1,
                DEFAULT_LATENCY_S,
                d.name[k],
                "shed",
                picture.demand_kw[d.name[k]],
                0.0,
                "relief without a solver",
            )
            for k in order[:count]
        )
        return Plan("reroute", tuple(failed), tuple(automatic), actions)

    if errors(plan(len(order))):
        return None
    low, high = -1, len(order)  # plan(high) passes
    while high - low > 1:
        middle = (low + high) // 2
        if errors(plan(middle)):
            low = middle
        else:
            high = middle
    return plan(high)
