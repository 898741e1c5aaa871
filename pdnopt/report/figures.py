"""The key figures at the top of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

import pandas as pd

from pdnopt.report.loadings import Loading
from pdnopt.result import Clock, Result
from pdnopt.words import SPACE, kw, number, percent, plural, seconds, short

__all__ = ["Figure", "key_figures"]


@dataclass(frozen=True)
class Figure:
    """One key number: value, unit, what it is, what it is compared with, and its tone."""

    value: str
    unit: str
    label: str
    note: str
    tone: str = ""


def key_figures(result: Result, shown: Sequence[Loading]) -> tuple[Figure, ...]:
    """Return what a reader must see first: what is served, left, avoided or evened out."""
    if result.margins is not None and len(result.margins):
        return _of_an_allocation(result, result.margins)
    if result.timeline is not None and len(result.timeline) and result.phases is None:
        return _of_a_shift(result, shown)
    if result.phases is not None and len(result.phases):
        return _of_a_balance(result, shown)
    return _of_a_reroute(result, shown)


def _of_an_allocation(result: Result, margins: pd.DataFrame) -> tuple[Figure, ...]:
    worst = margins.iloc[0]
    short_of = int((margins["margin_kw"] < 0).sum())
    plan = result.plan
    margin = Figure(
        number(float(worst["margin_kw"])),
        "kW",
        "worst margin",
        f"{short(worst['component'])} after losing {short(worst['contingency'])}",
        "warn" if short_of else "good",
    )
    carried = Figure(
        number(len(margins) - short_of, 0),
        f"of {number(len(margins), 0)}",
        "failures carried",
        "for the horizon, by the plant's own devices alone",
        "warn" if short_of else "good",
    )
    moves = Figure(
        number(len(plan.actions), 0),
        "",
        "action" if len(plan.actions) == 1 else "actions",
        f"done at {seconds(plan.duration_s)}" if plan.actions else "all devices stand right",
    )
    dark = float(margins["unserved_kw"].max())
    unserved = Figure(
        number(dark),
        "kW",
        "dark after the worst failure",
        f"{short(str(margins.loc[margins['unserved_kw'].idxmax(), 'contingency']))}: no way in the automatic response"
        if dark > 0.05
        else "every load keeps a way",
    )
    loading = Figure(
        number(float(worst["loading_percent"])),
        "%",
        "loading there",
        f"it carries {percent(float(worst['limit_percent']))}",
    )
    losses = Figure(
        number(result.losses_kw), "kW", "losses at the end", "AC power flow, UPS conversion included"
    )
    return margin, carried, moves, unserved, loading, losses


def _of_a_shift(result: Result, shown: Sequence[Loading]) -> tuple[Figure, ...]:
    bill, frame, schedule = result.bill, result.timeline, result.schedule
    assert frame is not None
    left, idle = bill.get("expected", 0.0), bill.get("idle", 0.0)
    later = 0 if schedule is None else int((~schedule["committed"].astype(bool)).sum())
    plan = result.plan
    reroute = _of_a_reroute(result, shown)
    avoided = Figure(
        number(idle - left, 2),
        "kWh-eq",
        "at risk avoided",
        f"of {number(idle, 2)} expected over the horizon if nothing moves",
        "good" if result.ok else "",
    )
    price = Figure(
        number(bill.get("moves", 0.0) + bill.get("cycling", 0.0), 2),
        "kWh-eq",
        "price of acting",
        "risk and wear of transfers, cycling of batteries",
    )
    actions = Figure(
        number(len(plan.actions), 0),
        "",
        "action now" if len(plan.actions) == 1 else "actions now",
        f"{number(later, 0)} more intended later" if later else "none intended later",
    )
    moved = Figure(
        number(float(frame["moved_kw"].iloc[0])), "kW", "moved now", "load that goes over to another feed"
    )
    return avoided, price, actions, moved, reroute[0], reroute[4]


def _of_a_balance(result: Result, shown: Sequence[Loading]) -> tuple[Figure, ...]:
    frame, buses = result.phases, result.unbalance
    assert frame is not None
    assert buses is not None
    good = "good" if result.ok else ""
    reroute = _of_a_reroute(result, shown)

    def worst(table: pd.DataFrame, name: str, unit: str, label: str, digits: int) -> Figure:
        before, after = (float(table[name.format(moment)].max()) for moment in ("before", "after"))
        was = f"the worst; {number(before, digits)}{SPACE}{unit} before"
        return Figure(number(after, digits), unit, label, was, good if after < before else "")

    return (
        worst(frame, "spread_{}_percent", "%", "spread of phases, part of the rating", 2),
        worst(buses, "vuf_{}_percent", "%", "voltage unbalance |V2|/|V1|", 3),
        worst(frame, "i_n_{}_a", "A", "neutral current", 1),
        *reroute[2:3],
        *reroute[4:],
    )


def _of_a_reroute(result: Result, shown: Sequence[Loading]) -> tuple[Figure, ...]:
    demand = sum(result.demand_by_priority.values())
    part = 100.0 * result.unserved_kw / demand if demand > 0 else 0.0
    plan = result.plan
    steps = len({item.step for item in plan.actions})
    deadline, relieved = _tightest(result.clocks)
    worst = result.worst_loading_percent
    good = "good" if result.ok else ""
    served = Figure(
        number(result.unserved_kw),
        "kW",
        "not served at the end",
        f"{number(part)}{SPACE}% of {kw(demand)}",
        "warn" if result.unserved_kw > 0.05 else good,
    )
    interrupted = Figure(
        number(result.interrupted_kw),
        "kW",
        "interrupted on the way",
        "without voltage beyond hold-up, shed load included",
        "warn" if result.interrupted_kw > 0.05 else good,
    )
    actions = Figure(
        number(len(plan.actions), 0),
        "",
        "action" if len(plan.actions) == 1 else "actions",
        f"in {plural(steps, 'step')}, done at {seconds(plan.duration_s)}"
        if steps
        else "the plant's own devices are enough"
        if result.ok
        else "there is no plan",
    )
    clock = (
        Figure(
            seconds(deadline),
            "",
            "tightest deadline",
            (
                f"relieved at {seconds(relieved)}"
                if isfinite(relieved)
                else "the plan makes it last to the end"
                if result.ok
                else "not relieved"
            ),
        )
        if isfinite(deadline)
        else Figure("none", "", "deadline", "nothing that the failure started trips in time")
    )
    loading = Figure(
        number(worst),
        "%" if isfinite(worst) else "",
        "highest loading at the end",
        short(result.worst_component) if result.worst_component else "",
        "bad" if worst > 100.05 and not result.ok else "",
    )
    losses = Figure(
        number(result.losses_kw), "kW", "losses at the end", "AC power flow, UPS conversion included"
    )
    return served, interrupted, actions, clock, loading, losses


def _tightest(clocks: Sequence[Clock]) -> tuple[float, float]:
    """Return the first deadline and when the plan relieves it."""
    first = min(clocks, key=lambda clock: clock.deadline_s, default=None)
    return (first.deadline_s, first.relieved_s) if first else (inf, inf)
