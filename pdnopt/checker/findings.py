"""What a check leaves behind, and the one place where findings are collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pdnopt.errors import Issue

__all__ = ["CheckReport", "Findings", "StateSummary"]

Severity = Literal["error", "warning"]


class Findings:
    """Collects issues, each kind once per place and component."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()
        self.issues: list[Issue] = []

    def add(
        self,
        kind: str,
        path: str,
        who: str,
        value: Any,
        allowed: str,
        todo: str,
        severity: Severity = "error",
    ) -> None:
        """Record one finding; a repetition of kind, place and component is dropped."""
        key = (kind, path, who)
        if key not in self._seen:
            self._seen.add(key)
            self.issues.append(Issue(kind, path, who, value, allowed, todo, severity))


@dataclass(frozen=True)
class StateSummary:
    """One state that the plant passes through.

    Attributes
    ----------
    path : str
        ``"plan.post_fault"``, ``"plan.step[n]"`` or ``"plan.end"``.
    t_s, until_s : float
        Seconds after the failure; the end state has no end (inf).
    served_kw, losses_kw : float
        Demand fed, and network plus UPS conversion losses; losses are NaN where the flow did not converge.
    worst_component : str
    worst_loading_percent : float
        Highest loading over its limit, and whose.
    transient : bool
        The dead time inside a break-before-make transfer.
    """

    path: str
    t_s: float
    until_s: float
    served_kw: float
    losses_kw: float
    worst_component: str
    worst_loading_percent: float
    transient: bool = False


@dataclass(frozen=True)
class CheckReport:
    """Findings of one check, and what the checker computed by itself.

    Attributes
    ----------
    issues : list of Issue
        Empty = verified.
    losses_kw : float
        Of the end state, UPS conversion included; NaN where it could not be computed.
    worst_component : str
    worst_loading_percent : float
        Highest loading of the end state (percent of the limit), and whose.
    unserved_kw : float
    unserved_by_priority : dict of int to float
        Demand not fed in the end state, kW.
    interrupted_kw : float
        Demand of the units that lost voltage for longer than their hold-up, or were shed (rule 3).
    interrupted : tuple of str
        Those units.
    budgets : dict of str to float
        Share of its overload budget that each component has used when the last action has taken effect.
    states : tuple of StateSummary
    """

    issues: list[Issue]
    losses_kw: float = float("nan")
    worst_component: str = ""
    worst_loading_percent: float = float("nan")
    unserved_kw: float = float("nan")
    unserved_by_priority: Mapping[int, float] = field(default_factory=dict)
    interrupted_kw: float = float("nan")
    interrupted: tuple[str, ...] = ()
    budgets: Mapping[str, float] = field(default_factory=dict)
    states: tuple[StateSummary, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.issues
