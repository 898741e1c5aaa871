"""What can go wrong, and how it is told.

Exception tree::

    PdnoptError
    +-- InputError        the network, a name or an argument is wrong; carries every Issue at once
    +-- PowerFlowError    the AC power flow has no solution for this state
    +-- PlanError         a plan cannot be applied to this network
    +-- SolveError        raised by ``Result.raise_for_status`` only

Anything that a caller may carry on from is *returned* as a list of :class:`Issue` instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["InputError", "Issue", "PdnoptError", "PlanError", "PowerFlowError", "SolveError"]


@dataclass(frozen=True)
class Issue:
    """One finding about a network, an argument or a plan.

    Parameters
    ----------
    kind : str
        Stable name of the finding, for instance ``"NotUnique"`` or ``"Overload"``.
    path : str
        Where: table and column (``"net.ups.efficiency"``) or place in a plan (``"plan.step[3]"``).
    id : str
        Which component, as ``"table:name"`` or ``"table:index"``; ``""`` for the whole network.
    value : Any
        What was found.
    allowed : str
        What would have been accepted, with its unit.
    todo : str
        What to do next.
    severity : {"error", "warning"}
        A warning needs a person's sign-off; an error stops.
    """

    kind: str
    path: str
    id: str
    value: Any
    allowed: str
    todo: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        who = f" [{self.id}]" if self.id else ""
        return f"{self.severity}: {self.kind} at {self.path}{who}: got {self.value!r}, allowed {self.allowed}. {self.todo}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        value = self.value
        if not isinstance(value, str | int | float | bool | type(None)):
            value = str(value)
        if isinstance(value, float) and not (abs(value) < float("inf")):
            value = str(value)
        return {
            "kind": self.kind,
            "path": self.path,
            "id": self.id,
            "value": value,
            "allowed": self.allowed,
            "todo": self.todo,
            "severity": self.severity,
        }


class PdnoptError(Exception):
    """Root of every exception that pdnopt raises on purpose."""


class InputError(PdnoptError, ValueError):
    """Bad input. Carries *all* findings, not only the first.

    Parameters
    ----------
    issues : sequence of Issue
    """

    def __init__(self, issues: Sequence[Issue] | Issue) -> None:
        self.issues: list[Issue] = [issues] if isinstance(issues, Issue) else list(issues)
        super().__init__("\n".join(str(issue) for issue in self.issues) or "bad input")


class PowerFlowError(PdnoptError, RuntimeError):
    """The AC power flow did not converge: the state is not one the plant can hold."""


class PlanError(PdnoptError, ValueError):
    """A plan does not fit the network it is applied to."""


class SolveError(PdnoptError, RuntimeError):
    """Raised by ``Result.raise_for_status`` when the status is not usable.

    Parameters
    ----------
    message : str
    issues : iterable of Issue
        The checker's or the solver's findings.
    """

    def __init__(self, message: str, issues: Iterable[Issue] = ()) -> None:
        self.issues = list(issues)
        lines = [message, *(f"  {issue}" for issue in self.issues)]
        super().__init__("\n".join(lines))
