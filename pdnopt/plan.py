"""A plan: ordered actions that lead from what a failure left behind to a safe end state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdnopt.errors import InputError, Issue
from pdnopt.plant.actions import Action
from pdnopt.units import DEFAULT_HORIZON_S, DEFAULT_LATENCY_S

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Plan"]

_FIELDS = ("step", "t_s", "device", "action", "before", "after", "reason")


@dataclass(frozen=True)
class Plan:
    """Ordered actions after a failure.

    Attributes
    ----------
    problem : str
        The formulation that made it.
    failed : tuple of str
        The outages it answers.
    automatic : tuple of Action
        What the plant's devices did by themselves (step 0).
    actions : tuple of Action
        Commands, in order; those of one step are sent together.
    horizon_s, latency_s : float
        The end state holds so long; the first command takes effect so long after the failure.
    loads_kw : dict
        ``{"load": {row: kW}, "asymmetric_load": {row: kW}}``: demands that replaced the table's.
    """

    problem: str = "reroute"
    failed: tuple[str, ...] = ()
    automatic: tuple[Action, ...] = ()
    actions: tuple[Action, ...] = ()
    horizon_s: float = DEFAULT_HORIZON_S
    latency_s: float = DEFAULT_LATENCY_S
    loads_kw: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Seconds from the failure until the last action has taken effect; 0 without actions."""
        return max((item.t_s for item in self.actions), default=0.0)

    def to_frame(self) -> pd.DataFrame:
        """Return the commands as a DataFrame: step, t_s, device, action, before, after, reason."""
        import pandas as pd

        return pd.DataFrame([item.to_dict() for item in self.actions], columns=list(_FIELDS))

    def to_json(self) -> str:
        """Return the plan as JSON text; `from_json` reads it back."""
        return json.dumps(
            {
                "problem": self.problem,
                "failed": list(self.failed),
                "automatic": [item.to_dict() for item in self.automatic],
                "actions": [item.to_dict() for item in self.actions],
                "horizon_s": self.horizon_s,
                "latency_s": self.latency_s,
                "loads_kw": {
                    t: {str(k): float(v) for k, v in rows.items()} for t, rows in self.loads_kw.items()
                },
            }
        )

    @staticmethod
    def from_json(text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            Where the text is not such a plan.
        """
        try:
            data = json.loads(text)
            return Plan(
                problem=str(data["problem"]),
                failed=tuple(str(name) for name in data["failed"]),
                automatic=tuple(Action(**{k: item[k] for k in _FIELDS}) for item in data["automatic"]),
                actions=tuple(Action(**{k: item[k] for k in _FIELDS}) for item in data["actions"]),
                horizon_s=float(data["horizon_s"]),
                latency_s=float(data["latency_s"]),
                loads_kw={
                    t: {int(k): float(v) for k, v in rows.items()} for t, rows in data["loads_kw"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                Issue(
                    "Format",
                    "plan",
                    "",
                    repr(error),
                    "a plan as Plan.to_json writes it",
                    "Save the plan again.",
                )
            ) from None

    def apply(self, net: Any) -> Any:
        """Return a new network in the end state, in pandapower's own columns (PLANT.md).

        Failed elements out of service, switches set, companions of UPSs and batteries set, every cord's
        final power with ``scaling`` = served / demand, units without power out of service. ``net`` is not
        changed.

        Raises
        ------
        PlanError
            The plan names a device that this network does not have.
        """
        from pdnopt.endstate import end_state_network

        return end_state_network(net, self)
