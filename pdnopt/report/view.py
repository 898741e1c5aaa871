"""What the report shows, taken from a result: plain data for the template, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from math import inf, isfinite
from typing import Any

from pdnopt.errors import Issue
from pdnopt.plant.actions import Action
from pdnopt.report.figures import Figure, key_figures
from pdnopt.report.loadings import Loading
from pdnopt.result import Clock, Result
from pdnopt.screen import describe
from pdnopt.words import SPACE, compact_names, kw, number, percent, plural, seconds, short

__all__ = ["ReportView", "read_view"]

TOP_LOADINGS = 20
TOP_CLOCKS = 12
TOP_EVENTS = 8
LIST_UP_TO = 6
"""A step with more actions of one kind is one row; the annex has every one of them."""

CARRY_OUT = "Carry out the actions in this order."

VERDICTS = {
    "optimal": ("good", "Verified plan", f"Proved optimal within the gap. {CARRY_OUT}"),
    "feasible": ("good", "Verified plan", f"The search stopped early. {CARRY_OUT}"),
    "infeasible": ("bad", "No plan", "No plan exists under the limits given. Hold."),
    "no_incumbent": (
        "bad",
        "No plan",
        "None was found in the time given. Hold, and use the contingency plan.",
    ),
    "failed": (
        "bad",
        "No plan",
        "The independent checker refused what the solver returned. Hold: do not carry it out.",
    ),
}

TERMS = {
    "violations": ("beyond limits (sum of parts)", ""),
    "vuf": ("voltage unbalance, worst bus (part)", ""),
    "spread": ("spread of phases, worst feeder (part of its rating)", ""),
    "spread_sum": ("spread of phases, sum of feeders", ""),
    "neutral": ("neutral currents over ratings, sum", ""),
    "effort": ("effort of the inverters", "kVA"),
    "excess": ("harmonics beyond limits (sum of parts)", ""),
    "thd_v": ("THD of voltage, worst bus", "%"),
    "tdd": ("TDD of current, worst feeder", "% of IL"),
    "interrupted": ("interrupted load", "kW"),
    "overload": ("use of overload budgets", ""),
    "actions": ("actions that switch", ""),
    "losses": ("losses (model)", "kW"),
    "margin_lost": ("headroom lost", ""),
    "margin": ("worst margin", "kW"),
    "balance": ("spread of the reserve systems' loadings", "%"),
    "moves": ("devices moved, by weight", ""),
    "cost": ("cost", "kWh-eq"),
    "grid_peak": ("grid peak", "kW"),
}

VERBS = {
    "setpoint": "Send set-points to",
    "compensate": "Send compensation currents to",
    "phase": "Change the phase of",
    "mode": "Change the mode of",
    "power": "Set",
}

NOUNS = {
    "asymmetric_load": "load",
    "asymmetric_sgen": "inverter",
    "ext_grid": "source",
    "load": "load",
    "rack": "rack",
    "storage": "storage unit",
    "switch": "switch",
    "transfer": "transfer device",
    "ups": "UPS",
}

TIMINGS = {
    "build_s": "build",
    "update_s": "update",
    "solve_s": "solve",
    "sequence_s": "order",
    "check_s": "check",
    "first_plan_s": "first verified plan",
    "total_s": "total",
}


@dataclass(frozen=True)
class PriorityRow:
    """Load of one priority, kW."""

    priority: int
    demand_kw: float
    unserved_kw: float
    gap: float | None

    @property
    def served_part(self) -> float:
        """Part of the demand that is served, 0..1."""
        return 1.0 - self.unserved_kw / self.demand_kw if self.demand_kw > 0 else 1.0


@dataclass(frozen=True)
class ActionRow:
    """One row of the action table: one action, or many of one kind in one step."""

    step: str
    time: str
    kind: str
    what: str
    devices: str
    reason: str


@dataclass(frozen=True)
class ClockRow:
    """One overload or battery with its deadline, and how much of its time the plan lets pass (0..1)."""

    component: str
    what: str
    deadline: str
    relieved: str
    used: float | None
    late: bool


@dataclass(frozen=True)
class TermRow:
    """One term of the objective."""

    name: str
    unit: str
    value: str
    bound: str
    gap: str


@dataclass(frozen=True)
class ReasonRow:
    """Units that one limit keeps from being served."""

    who: str
    names: str
    unserved_kw: float
    why: str
    relaxation: str
    proved: bool


@dataclass(frozen=True)
class ReportView:
    """Everything on the page, in its order."""

    problem: str
    network: str
    failed: tuple[str, ...]
    title: str
    tone: str
    verdict: str
    advice: str
    when: datetime
    figures: tuple[Figure, ...]
    automatic: tuple[ActionRow, ...]
    actions: tuple[ActionRow, ...]
    actions_title: str
    actions_line: str
    annex: tuple[Action, ...]
    priorities: tuple[PriorityRow, ...]
    unservable: str
    loadings: tuple[Loading, ...]
    loadings_total: int
    loadings_remark: str
    scale: float
    clocks: tuple[ClockRow, ...]
    clocks_more: int
    lasting: bool
    horizon_s: float
    events: tuple[Any, ...]
    events_more: int
    lost_kw: float
    reasons: tuple[ReasonRow, ...]
    notes: tuple[str, ...]
    issues: tuple[Issue, ...]
    verified: bool
    terms: tuple[TermRow, ...]
    timings: tuple[tuple[str, float], ...]
    inputs: tuple[tuple[str, str], ...]
    fingerprint: str
    versions: tuple[tuple[str, str], ...]

    def x(self, value: float) -> float:
        """Return where a percentage stands on the loading bars, 0..100."""
        return round(100.0 * min(max(value, 0.0), self.scale) / self.scale, 2) if isfinite(value) else 0.0


def read_view(
    result: Result,
    loadings: Sequence[Loading],
    remark: str,
    digest: str,
    versions: tuple[tuple[str, str], ...],
    when: datetime,
) -> ReportView:
    """Return what the report of a result shows."""
    tone, verdict, advice = VERDICTS[result.status]
    plan = result.plan
    shown = tuple(loadings[:TOP_LOADINGS])
    events = [event for event in result.cascade if event.lost_kw > 0 or event.what not in ("goes online",)]
    rows = _action_rows(plan.actions)
    return ReportView(
        problem=result.problem,
        network=result.network or "unnamed network",
        failed=tuple(plan.failed),
        title=_title(result),
        tone=tone,
        verdict=verdict,
        advice=advice
        if plan.actions or not result.ok
        else advice.replace(CARRY_OUT, "Nothing is to be done."),
        when=when,
        figures=key_figures(result, shown),
        automatic=_action_rows(plan.automatic, by_itself=True),
        actions=rows,
        actions_title="What to do"
        if result.ok
        else "What the refused plan would do"
        if rows
        else "What to do: hold",
        actions_line=_actions_line(result),
        annex=plan.actions if len(rows) < len(plan.actions) else (),
        priorities=tuple(
            PriorityRow(p, kw_, result.unserved_by_priority.get(p, 0.0), result.gap.get(f"unserved_p{p}"))
            for p, kw_ in sorted(result.demand_by_priority.items())
        ),
        unservable=compact_names(result.unservable, 40),
        loadings=shown,
        loadings_total=len(loadings),
        loadings_remark=remark,
        scale=min(max(125.0, *(1.05 * row.worst for row in shown)), 300.0) if shown else 125.0,
        clocks=tuple(_clock_row(clock, result.ok) for clock in result.clocks[:TOP_CLOCKS]),
        clocks_more=max(len(result.clocks) - TOP_CLOCKS, 0),
        lasting=result.ok and any(not isfinite(clock.relieved_s) for clock in result.clocks[:TOP_CLOCKS]),
        horizon_s=plan.horizon_s,
        events=tuple(events[:TOP_EVENTS]),
        events_more=max(len(events) - TOP_EVENTS, 0),
        lost_kw=float(sum(event.lost_kw for event in result.cascade)),
        reasons=_reason_rows(result),
        notes=tuple(result.notes),
        issues=tuple(result.issues),
        verified=result.ok and not any(issue.severity == "error" for issue in result.issues),
        terms=tuple(_term_row(result, name) for name in result.objective),
        timings=tuple((TIMINGS.get(n, n), value) for n, value in result.timings.items() if value == value),
        inputs=_inputs(result),
        fingerprint=result.fingerprint or digest,
        versions=versions,
    )


def _title(result: Result) -> str:
    if result.phases is not None:
        without = ", ".join(short(name) for name in result.plan.failed)
        return f"Balance of phases on {result.network or 'the network'}" + (
            f" without {without}" if without else ""
        )
    names = [short(name) for name in result.plan.failed]
    network = result.network or "the network"
    if result.margins is not None:
        return f"Reserve of {network}"
    if not names:
        return (
            f"Shift before a failure on {network}"
            if result.timeline is not None
            else f"No failure on {network}"
        )
    listed = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    return f"Loss of {listed} on {network}"


def _actions_line(result: Result) -> str:
    plan = result.plan
    if not plan.actions:
        if result.ok and result.timeline is not None and result.phases is None:
            return "Nothing that could be moved now would lower the cost."
        return (
            "No command is needed: the plant's own devices are enough."
            if result.ok
            else "There are no commands."
        )
    steps = len({item.step for item in plan.actions})
    return (
        f"{plural(len(plan.actions), 'command')} in {plural(steps, 'step')}; times count from the failure, "
        f"{seconds(plan.latency_s)} of detection, solving and communication included. "
        "Commands of one step are sent together." + ("" if result.ok else " Do not carry them out.")
    )


def _action_rows(actions: Sequence[Action], by_itself: bool = False) -> tuple[ActionRow, ...]:
    """Return one row an action, or one row a step and kind where there are many.

    A reason that all commands share is on the page already, in the title.
    """
    shared = not by_itself and len({item.reason for item in actions if item.reason}) == 1
    rows = []
    for step, batch in groupby(actions, key=lambda item: item.step):
        kinds: dict[str, list[Action]] = {}
        for item in batch:
            kinds.setdefault(item.action, []).append(item)
        for kind, mine in kinds.items():
            if len(mine) <= LIST_UP_TO:
                words = _event if by_itself else _command
                rows += [
                    ActionRow(str(step), seconds(item.t_s), kind, words(item), "", item.reason)
                    for item in mine
                ]
            else:
                rows.append(_grouped(step, kind, mine))
    return tuple(replace(row, reason="") if shared else row for row in rows)


def _grouped(step: int, kind: str, mine: Sequence[Action]) -> ActionRow:
    """Return many actions of one kind as one row."""
    tables = {item.device.partition(":")[0] for item in mine}
    noun = NOUNS.get(min(tables), "device") if len(tables) == 1 else "device"
    what = f"{VERBS.get(kind, kind.capitalize())} {plural(len(mine), noun)}"
    if kind in ("cap", "shed", "restore"):
        before, after = sum(float(item.before) for item in mine), sum(float(item.after) for item in mine)
        what += f" from {number(before)} to {kw(after)} ({number(after - before)}{SPACE}kW)"
    first, last = min(item.t_s for item in mine), max(item.t_s for item in mine)
    time = seconds(first) if last == first else f"{seconds(first)} \u2013 {seconds(last)}"
    reasons = list(dict.fromkeys(item.reason for item in mine if item.reason))
    names = compact_names(item.device for item in mine)
    return ActionRow(str(step), time, kind, what, names, reasons[0] if len(reasons) == 1 else "")


def _command(action: Action) -> str:
    """Return a command in words, names without their tables."""
    text = describe(action)
    for name in (action.device, action.before, action.after):
        if isinstance(name, str) and ":" in name:
            text = text.replace(name, short(name), 1)
    if action.action == "start":
        text += f": ready at {seconds(action.t_s)}"
    return text[0].upper() + text[1:]


def _event(action: Action) -> str:
    """Return what a device did by itself, in words."""
    name, before, after = (short(str(value)) for value in (action.device, action.before, action.after))
    if action.action == "mode":
        return f"{name} goes from {before} to {after}"
    if action.action == "transfer":
        return f"{name} transfers to {after}" if action.after is not None else f"{name} opens"
    if action.action == "form":
        return f"{name} holds its island" if action.after else f"{name} stops holding its island"
    return f"{name} {action.action}s"


def _clock_row(clock: Clock, verified: bool) -> ClockRow:
    if clock.kind == "overload":
        what = f"{number(clock.loading, 0)} of {number(clock.rating, 0)} {clock.unit}"
        what += f" ({percent(100.0 * clock.ratio)})"
        deadline = (
            f"trips at {seconds(clock.deadline_s)}" if isfinite(clock.deadline_s) else "no trip modelled"
        )
    else:
        what = f"{number(clock.loading, 0)} {clock.unit} on {clock.kind}"
        deadline = f"empty at {seconds(clock.deadline_s)}" if isfinite(clock.deadline_s) else "lasts"
    if isfinite(clock.relieved_s):
        relieved = f"relieved at {seconds(clock.relieved_s)}"
    else:
        relieved = "lasts to the end" if verified else "not relieved"
    used = None
    if isfinite(clock.deadline_s) and isfinite(clock.relieved_s):
        used = min(clock.relieved_s / clock.deadline_s, 1.0) if clock.deadline_s > 0 else 1.0
    late = isfinite(clock.relieved_s) and clock.relieved_s > clock.deadline_s
    return ClockRow(clock.component, what, deadline, relieved, used, late)


def _reason_rows(result: Result) -> tuple[ReasonRow, ...]:
    grouped: dict[tuple[str, str], list[Any]] = {}
    for reason in result.reasons:
        grouped.setdefault((reason.binding, reason.limit), []).append(reason)
    rows = []
    for (binding, limit), mine in grouped.items():
        extra = max(reason.relaxation_kw for reason in mine)
        each = "each of them" if len(mine) > 1 else "it"
        rows.append(
            ReasonRow(
                who=short(mine[0].unit) if len(mine) == 1 else plural(len(mine), "unit"),
                names=compact_names((reason.unit for reason in mine), 16) if len(mine) > 1 else "",
                unserved_kw=sum(reason.unserved_kw for reason in mine),
                why=f"{short(binding)} is at its limit ({limit})" if binding else limit,
                relaxation=f"up to {kw(extra)} more there would serve {each}, taken alone"
                if extra > 0
                else "",
                proved=all(reason.proved for reason in mine),
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.unserved_kw))


def _term_row(result: Result, name: str) -> TermRow:
    value, bound = result.objective[name], result.bound.get(name, -inf)
    gap = result.gap.get(name, inf)
    if name.startswith("unserved_p"):
        label, unit = f"unserved load, priority {name[10:]}", "kW"
        said = percent(100.0 * gap, 3)
    else:
        label, unit = TERMS.get(name, (name.replace("_", " "), ""))
        said = f"{number(gap, 3)}{SPACE}{unit}".rstrip() if isfinite(gap) else "\u2013"
    return TermRow(label, unit, number(value, 3), number(bound, 3), said)


def _inputs(result: Result) -> tuple[tuple[str, str], ...]:
    plan = result.plan
    rows = [
        ("Problem", result.problem),
        ("Network", result.network or "unnamed"),
        ("Failed", ", ".join(plan.failed) or "nothing"),
        ("Demand", kw(sum(result.demand_by_priority.values()))),
        ("End state holds", seconds(plan.horizon_s)),
        ("Latency", seconds(plan.latency_s)),
    ]
    replaced = [
        f"{plural(len(values), 'row')} of net.{table}" for table, values in plan.loads_kw.items() if values
    ]
    if replaced:
        rows.insert(4, ("Demand given for", " and ".join(replaced)))
    return tuple(rows)
