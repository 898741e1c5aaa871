"""What the report of a placement shows: plain data for the template, no HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.report.figures import Figure
from pdnopt.words import compact_names, kw, number, percent, plural, short

if TYPE_CHECKING:
    from pdnopt.placement import Placement

__all__ = ["PlacementView", "read_placement_view"]

BARS = 24
"""Contingencies in the picture of margins."""
SCALE_PERCENT = 125.0
HEATS = 9

WHEN = {"normal": "without a failure", "at once": "before anybody acts", "held": "after capping and shedding"}


@dataclass(frozen=True)
class BackRow:
    """New kW of racks on one source, by the source of their other cord; each cell with its heat 0..9."""

    name: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Bar:
    """The use of the worst component in one state, percent of what it may carry."""

    contingency: str
    when: str
    component: str
    use: float

    def x(self, value: float) -> float:
        """Return a percentage as a place on the picture, 0..100."""
        return round(100.0 * min(value, SCALE_PERCENT) / SCALE_PERCENT, 2)


@dataclass(frozen=True)
class PlaceRow:
    """Racks on one pair of buses."""

    feeds: str
    sources: str
    count: str
    power: str
    racks: str


@dataclass(frozen=True)
class RefusedRow:
    """Racks refused for one reason."""

    racks: str
    power: str
    component: str
    when: str
    lacks: str
    reason: str


@dataclass(frozen=True)
class PlacementView:
    """Everything on the page."""

    title: str
    tone: str
    verdict: str
    when: datetime
    figures: tuple[Figure, ...]
    sources: tuple[str, ...]
    backs: tuple[BackRow, ...]
    bars: tuple[Bar, ...]
    states: int
    refused: tuple[RefusedRow, ...]
    placed: tuple[PlaceRow, ...]
    exposed: str
    already_over: tuple[str, ...]
    issues: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    fingerprint: str


def read_placement_view(found: Placement, fingerprint: str, when: datetime) -> PlacementView:
    """Return what to show."""
    n, placed = len(found.racks.name), len(found.placed)
    verdict = (
        f"{number(placed, 0)} of {plural(n, 'rack')} placed, {kw(found.placed_kw)}; every single failure judged "
        "by AC power flow."
        if found.verified
        else "AC power flow found faults that stayed: do not build it."
    )
    sources, backs = _backs(found)
    return PlacementView(
        title=f"{plural(n, 'new rack')} on {found.network or 'the network'}",
        tone="good" if found.verified else "bad",
        verdict=verdict,
        when=when,
        figures=_figures(found),
        sources=sources,
        backs=backs,
        bars=_bars(found),
        states=len(found.verdict.use),
        refused=_refused(found),
        placed=_placed(found),
        exposed=compact_names(found.exposed, 40),
        already_over=found.already_over,
        issues=tuple(str(issue) for issue in found.issues),
        facts=_facts(found),
        fingerprint=fingerprint,
    )


def _figures(found: Placement) -> tuple[Figure, ...]:
    top = int(np.argmax(found.verdict.use))
    worst = 100.0 * float(found.verdict.use[top])
    after = found.existing_kw + found.placed_kw
    part = percent(100.0 * after / found.installed_kw, 1) if found.installed_kw > 0 else ""
    gap = found.bound_kw - found.placed_kw
    return (
        Figure(number(found.placed_kw), "kW", "placed", f"of {kw(found.asked_kw)} asked for"),
        Figure(
            number(gap), "kW", "more at most", f"proved: no placement takes more than {kw(found.bound_kw)}"
        ),
        Figure(
            number(len(found.refused), 0),
            "",
            "racks refused",
            kw(found.asked_kw - found.placed_kw) if found.refused else "",
            "warn" if found.refused else "good",
        ),
        Figure(
            number(found.stranded_percent, 2),
            "%",
            "of installed UPS kW stranded",
            f"no placement of these racks strands less than {percent(found.stranded_bound_percent, 2)}",
        ),
        Figure(number(after), "kW", "load in the end", f"{part} of installed UPS kW" if part else ""),
        Figure(
            number(worst, 1),
            "%",
            "highest use of what may be carried",
            f"{short(found.verdict.worst[top])}, {short(found.verdict.contingency[top])}",
            "good" if worst <= 100.001 else "bad",
        ),
    )


def _backs(found: Placement) -> tuple[tuple[str, ...], tuple[BackRow, ...]]:
    """Return the sources, and new kW by pair of them."""
    names = sorted({found.fed_by[feed] for feeds in found.placed.values() for feed in feeds})
    at = {name: k for k, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for name, p_kw in zip(found.racks.name, found.racks.p_kw, strict=True):
        if name in found.placed:
            pair = sorted({at[found.fed_by[feed]] for feed in found.placed[name]})
            table[pair[0], pair[-1]] += p_kw
            table[pair[-1], pair[0]] += p_kw if pair[0] != pair[-1] else 0.0
    most = max(float(table.max(initial=0.0)), 1e-9)
    rows = tuple(
        BackRow(
            short(names[k]),
            tuple((number(v, 0) if v > 0 else "\u2013", round(HEATS * v / most / 2)) for v in table[k]),
        )
        for k in range(len(names))
    )
    return tuple(short(name) for name in names), rows


def _bars(found: Placement) -> tuple[Bar, ...]:
    """Return the worst states, each contingency and moment once."""
    frame = found.margins().sort_values("use_percent", ascending=False, kind="stable")
    frame = frame.drop_duplicates(["moment", "worst_component", "use_percent"]).head(BARS)
    return tuple(
        Bar(short(str(c)), WHEN[str(m)], short(str(w)), float(u))
        for c, m, w, u in frame[["contingency", "moment", "worst_component", "use_percent"]].itertuples(
            index=False
        )
    )


def _refused(found: Placement) -> tuple[RefusedRow, ...]:
    groups: dict[tuple[str, str, str], list[int]] = {}
    for k, refusal in enumerate(found.refused):
        groups.setdefault((refusal.component, refusal.contingency, refusal.moment), []).append(k)
    rows = []
    for (component, contingency, moment), mine in groups.items():
        refusals = [found.refused[k] for k in mine]
        least = min(refusals, key=lambda refusal: refusal.lacks_kw)
        after = "" if moment in ("", "normal") else f", after {short(contingency)}"
        rows.append(
            RefusedRow(
                compact_names((refusal.rack for refusal in refusals), 16),
                kw(sum(refusal.p_kw for refusal in refusals)),
                short(component),
                WHEN.get(moment, "") + after,
                number(least.lacks_kw) if component else "\u2013",
                "" if component else least.reason,
            )
        )
    return tuple(rows)


def _placed(found: Placement) -> tuple[PlaceRow, ...]:
    by: dict[tuple[str, ...], list[int]] = {}
    for k, name in enumerate(found.racks.name):
        if name in found.placed:
            by.setdefault(found.placed[name], []).append(k)
    return tuple(
        PlaceRow(
            " + ".join(feeds),
            " + ".join(short(found.fed_by[feed]) for feed in feeds),
            number(len(mine), 0),
            kw(float(found.racks.p_kw[mine].sum())),
            compact_names((found.racks.name[k] for k in mine), 16),
        )
        for feeds, mine in sorted(by.items())
    )


def _facts(found: Placement) -> tuple[tuple[str, str], ...]:
    redundant = float(found.racks.p_kw[found.racks.redundant].sum())
    fixed = float(found.racks.p_kw[~found.racks.redundant & (found.racks.floor_kw >= found.racks.p_kw)].sum())
    facts: Mapping[str, str] = {
        "Network": found.network or "\u2013",
        "Placed": "all at once"
        if found.rule == "batch"
        else f"one at a time, {found.rule.replace('_', ' ')}",
        "Installed UPSs": kw(found.installed_kw),
        "Load before": kw(found.existing_kw),
        "Redundant": kw(redundant),
        "Can be capped": kw(found.asked_kw - redundant - fixed),
        "Neither": kw(fixed),
        "Time": f"{number(found.timings['total_s'], 1)} s, {plural(found.rounds, 'round')}",
    }
    return tuple(facts.items())
