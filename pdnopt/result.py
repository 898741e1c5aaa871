"""What a solve returns: status, numbers, plan, reasons, the checker's findings - and one screen to act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pdnopt.errors import Issue, SolveError
from pdnopt.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Clock", "Reason", "Result", "Status"]

Status = Literal["optimal", "feasible", "infeasible", "no_incumbent", "failed"]


@dataclass(frozen=True)
class Clock:
    """An overload or a battery that runs down, left by the failure.

    ``deadline_s`` is when it trips if nobody acts; ``relieved_s`` when the plan relieves it (inf: not needed).
    """

    component: str
    kind: str
    loading: float
    rating: float
    unit: str
    ratio: float
    deadline_s: float
    relieved_s: float


@dataclass(frozen=True)
class Reason:
    """Why a unit is shed or capped, found by solving.

    ``binding`` is the component whose limit forces it, ``relaxation_kw`` the smallest change of that
    limit that would serve the unit, ``proved`` whether a solve confirmed it.
    """

    unit: str
    unserved_kw: float
    binding: str
    limit: str
    relaxation_kw: float
    proved: bool

    def __str__(self) -> str:
        if not self.binding:
            return f"{self.unit}: {self.unserved_kw:.1f} kW: {self.limit}"
        text = f"{self.unit}: {self.unserved_kw:.1f} kW because {self.binding} is at its limit ({self.limit})"
        if self.relaxation_kw > 0:
            text += f"; {self.relaxation_kw:.1f} kW more there would serve it"
        return text


@dataclass(frozen=True)
class Result:
    """The answer to one solve.

    Attributes
    ----------
    status : str
        "optimal": proved within the gap and verified; "feasible": verified, stopped early; "infeasible",
        "no_incumbent", "failed" (the checker refused every plan; see ``issues``).
    objective, bound, gap : dict
        By term, each in its own unit; a gap is incumbent - bound, for ``unserved_pk`` relative to the demand of
        that priority. On a plain feeder with ``minimize=("unserved", "losses", ...)`` the losses are by AC power flow,
        their bound holds for every radial configuration that serves the same load (0: none is proved), and their gap
        is relative to the losses; such an answer is "optimal" only where that gap is proved too.
    unserved_kw : float
        All demand not fed at the end, the unservable included; ``unserved_by_priority`` splits it.
    unservable : tuple of str
        Units without any surviving path.
    interrupted_kw : float
        Demand of units without voltage longer than their hold-up on the way (shed ones included).
    losses_kw : float
        Losses at the end by AC power flow, UPS conversion and no-load losses included.
    plan : Plan
    issues : list of Issue
        The independent checker's findings; empty = verified.
    timings : dict
        build_s, update_s, solve_s, sequence_s, check_s, total_s; first_plan_s: when the first plan was verified, since the
        call began (NaN: never).
    clocks : tuple of Clock
    reasons : tuple of Reason
    cascade : tuple
        What would trip if nobody acted.
    trace : tuple of (s, term, value, bound)
        What was known when, seconds since the call: of every solve, and of every plan when it was verified.
    margins : DataFrame or None
        Of an allocation: one row a contingency, the tightest first: contingency, component that binds, loading_percent of
        its rating, limit_percent (what it carries for the horizon), margin_kw, unserved_kw, time_to_limit_s (until its
        overload budget is spent; inf within its rating), loads (the vector that binds), by ("ac" or "linear").
    backing : DataFrame or None
        Of an allocation: one row a transfer device: device, kw, active, next, moved, vm_pu (of its output, by AC
        power flow with nothing failed).
    schedule, timeline : DataFrame or None
        Of a shift: every intended action (those of the first step are committed, and are the plan); one row a step.
    bill : dict
        Of a shift: the parts of its cost, kWh-equivalents; "idle": what doing nothing is expected to cost.
    phases, unbalance : DataFrame or None
        Of a balance, before and after: one row a feeder (currents by phase and of the neutral in A, spread in percent of
        the rating), and one row a bus (negative over positive sequence in percent, voltages by phase).
    distortion, spectrum, compensation : DataFrame or None
        Of a balance with spectra, without (before) and with (after) compensation: one row for every phase of every bus (THD,
        percent of the fundamental voltage) and feeder (TDD, percent of IL) with the limits and what is broken; one row for
        every place, phase and order; one row for every inverter, order and phase (rms A, angle from that phase's voltage).
    """

    problem: str
    status: Status
    objective: Mapping[str, float]
    bound: Mapping[str, float]
    gap: Mapping[str, float]
    unserved_kw: float
    unserved_by_priority: Mapping[int, float]
    demand_by_priority: Mapping[int, float]
    unservable: tuple[str, ...]
    interrupted_kw: float
    losses_kw: float
    plan: Plan
    issues: list[Issue]
    timings: Mapping[str, float]
    clocks: tuple[Clock, ...] = ()
    reasons: tuple[Reason, ...] = ()
    cascade: tuple[Any, ...] = ()
    worst_component: str = ""
    worst_loading_percent: float = float("nan")
    trace: tuple[tuple[float, str, float, float], ...] = ()
    network: str = ""
    fingerprint: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)
    margins: pd.DataFrame | None = None
    backing: pd.DataFrame | None = None
    schedule: pd.DataFrame | None = None
    timeline: pd.DataFrame | None = None
    bill: Mapping[str, float] = field(default_factory=dict)
    phases: pd.DataFrame | None = None
    unbalance: pd.DataFrame | None = None
    distortion: pd.DataFrame | None = None
    spectrum: pd.DataFrame | None = None
    compensation: pd.DataFrame | None = None

    @property
    def ok(self) -> bool:
        """True for a verified plan."""
        return self.status in ("optimal", "feasible")

    def raise_for_status(self) -> Result:
        """Return self if the plan is verified; raise SolveError otherwise."""
        if not self.ok:
            raise SolveError(
                f"{self.problem}: {self.status}; there is no verified plan to carry out", self.issues
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "problem": self.problem,
            "network": self.network,
            "fingerprint": self.fingerprint,
            "status": self.status,
            "objective": dict(self.objective),
            "bound": dict(self.bound),
            "gap": dict(self.gap),
            "unserved_kw": self.unserved_kw,
            "unserved_by_priority": {str(k): v for k, v in self.unserved_by_priority.items()},
            "unservable": list(self.unservable),
            "interrupted_kw": self.interrupted_kw,
            "losses_kw": _finite(self.losses_kw),
            "worst_component": self.worst_component,
            "worst_loading_percent": _finite(self.worst_loading_percent),
            "plan": json.loads(self.plan.to_json()),
            "issues": [issue.to_dict() for issue in self.issues],
            "reasons": [asdict(reason) for reason in self.reasons],
            "clocks": [{k: _finite(v) for k, v in asdict(clock).items()} for clock in self.clocks],
            "timings": {name: _finite(value) for name, value in self.timings.items()},
            "notes": list(self.notes),
            **({"bill": {k: _finite(v) for k, v in self.bill.items()}} if self.bill else {}),
            **{
                name: [{k: _finite(v) for k, v in row.items()} for row in frame.to_dict("records")]
                for name, frame in (
                    ("margins", self.margins),
                    ("backing", self.backing),
                    ("schedule", self.schedule),
                    ("timeline", self.timeline),
                    ("phases", self.phases),
                    ("unbalance", self.unbalance),
                    ("distortion", self.distortion),
                    ("spectrum", self.spectrum),
                    ("compensation", self.compensation),
                )
                if frame is not None
            },
        }

    def __str__(self) -> str:
        from pdnopt.screen import render

        return render(self)


def _finite(value: Any) -> Any:
    """None in place of inf and NaN, which JSON does not have."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
