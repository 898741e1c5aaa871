"""What the report of a run shows, read from its journal: figures, strips over time, what happened, alarms.

Where the plant was emulated, the journal holds the emulated plant's own account, and the figures are by that; of a real
plant they are what the controller believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.files import network_from_text
from pdnopt.plant.tables import values
from pdnopt.report.figures import Figure
from pdnopt.report.panels import WIDTH, Panel, stairs
from pdnopt.report.run_story import Row, story
from pdnopt.units import KW_PER_MW, S_PER_H
from pdnopt.words import SPACE, number, plural, seconds, short

if TYPE_CHECKING:
    from pdnopt.journal import Past

__all__ = ["Mark", "RunView", "read_run"]

MOST_UPS = 8
MOST_ALIKE = 6
"""So many alarms of a kind are told one by one."""
GRAVITY = ("critical", "major", "warning", "info")
FULL_PERCENT = 99.5
"""Batteries above this are not worth a strip."""


@dataclass(frozen=True)
class Mark:
    """A moment on the time axis: x in the box, what it is, in a word, and its tone."""

    x: float
    text: str
    tone: str


@dataclass(frozen=True)
class RunView:
    """Everything that the page of a run shows."""

    title: str
    when: datetime
    tone: str
    verdict: str
    figures: tuple[Figure, ...]
    panels: list[Panel]
    marks: list[Mark]
    ticks: list[tuple[float, str]]
    rows: list[Row]
    alarms: list[dict[str, Any]]
    facts: list[tuple[str, str]]
    simulated: bool


@dataclass(frozen=True)
class _Account:
    """What was not served (kWh by priority), interrupted (kW by priority), and what tripped; ``failures`` in UTC seconds."""

    unserved_kwh: dict[int, float]
    interrupted_kw: dict[int, float]
    trips: int | None
    failures: list[tuple[float, str, str]]


def read_run(past: Past) -> RunView:
    """Return what to show of a journal. Raises InputError where it holds no scan."""
    events = list(past.events())
    ticks = [(t, body) for t, kind, body in events if kind == "tick"]
    truth = next((body for _, kind, body in events if kind == "truth"), None)
    span = past.span_s()
    if not np.isfinite(span[0]):
        todo = "Give the journal of a run that has read its plant at least once."
        raise InputError(Issue("Missing", "journal", str(past.path), "no scan", "at least one scan", todo))
    span = (span[0], max([span[1], *(t for t, *_ in events)]))  # a scan without news writes nothing
    alarms = past.table("alarm")
    account = _account(ticks, truth, alarms, span)
    commands = past.table("command").merge(
        past.table("outcome"), left_on="id", right_on="command", how="left", suffixes=("", "_end")
    )
    confirmed = int((commands["outcome"] == "done").sum())
    unknown = int(commands["outcome"].isin(["unknown"]).sum() + commands["outcome"].isna().sum())
    scenario = past.meta("scenario") or ""
    name = past.meta("name") or past.path.stem
    critical = min(account.unserved_kwh, default=1)
    tone, verdict = _verdict(account, critical, confirmed, unknown)
    return RunView(
        title=f"{name}: {scenario}" if scenario else name,
        when=datetime.fromtimestamp(span[0]).astimezone(),
        tone=tone,
        verdict=verdict,
        figures=_figures(account, critical, commands, confirmed, unknown, alarms),
        panels=_panels(past, ticks, span),
        marks=_marks(account, commands, span),
        ticks=_axis(span),
        rows=story(past, events, span[0]),
        alarms=_alarm_rows(alarms, span[0]),
        facts=_facts(past, span, scenario),
        simulated=truth is not None,
    )


def _account(
    ticks: list[tuple[float, dict[str, Any]]],
    truth: dict[str, Any] | None,
    alarms: Any,
    span: tuple[float, float],
) -> _Account:
    if truth is not None:
        failures = [(t, who, what) for t, who, what, *_ in truth["happenings"] if what == "fails"]
        return _Account(
            {int(k): float(v) for k, v in truth["unserved_kwh"].items()},
            {int(k): float(v) for k, v in truth["interrupted_kw"].items()},
            len(truth["trips"]),
            failures,
        )
    kwh: dict[int, float] = {}
    for (t_s, body), end_s in zip(ticks, [*(t for t, _ in ticks[1:]), span[1]], strict=True):
        for priority, kw in body["unserved_kw"].items():
            kwh[int(priority)] = kwh.get(int(priority), 0.0) + kw * max(end_s - t_s, 0.0) / S_PER_H
    lost = alarms[alarms["kind"] == "failed"]
    return _Account(
        kwh,
        {},
        None,
        [
            (t, str(name), "fails")
            for t, name in zip(lost["t_s"].to_numpy(float), lost["device"], strict=True)
        ],
    )


def _verdict(account: _Account, critical: int, confirmed: int, unknown: int) -> tuple[str, str]:
    """Return the tone, and one sentence."""
    bad = []
    if account.unserved_kwh.get(critical, 0.0) > 0.05:
        bad.append(f"{number(account.unserved_kwh[critical])} kWh of priority {critical} were not served")
    if account.interrupted_kw.get(critical, 0.0) > 0.05:
        bad.append(f"{number(account.interrupted_kw[critical])} kW of priority {critical} were interrupted")
    if account.trips:
        bad.append(f"{plural(account.trips, 'device')} tripped on overload")
    if unknown:
        bad.append(f"{plural(unknown, 'command')} ended unknown")
    if bad:
        return "bad", "; ".join(bad) + "."
    answered = f"{plural(len(account.failures), 'failure')}, {plural(confirmed, 'command')} confirmed by reading back"
    no_trip = "" if account.trips is None else ", nothing tripped"
    return "good", f"All load of priority {critical} was served: {answered}{no_trip}."


def _figures(
    account: _Account, critical: int, commands: Any, confirmed: int, unknown: int, alarms: Any
) -> tuple[Figure, ...]:
    first = account.unserved_kwh.get(critical, 0.0)
    others = sum(kwh for p, kwh in account.unserved_kwh.items() if p != critical)
    rest = ", ".join(
        f"priority {p}: {number(kwh)}" for p, kwh in sorted(account.unserved_kwh.items()) if p != critical
    )
    interrupted = sum(account.interrupted_kw.values())
    slowest, who = _slowest(account, commands)
    still = int(alarms["ended_s"].isna().sum()) if len(alarms) else 0
    found = [
        Figure(
            number(first),
            "kWh",
            "critical load not served",
            f"priority {critical}",
            "bad" if first > 0.05 else "good",
        ),
        Figure(number(others), "kWh", "other load not served", rest, "warn" if others > 0.05 else "good"),
    ]
    if account.trips is None:
        found.append(Figure(number(len(account.failures), 0), "", "failures seen", "by the readings"))
    else:
        note = f"{number(interrupted)} kW interrupted" if interrupted > 0.05 else "nothing was interrupted"
        found.append(
            Figure(
                number(account.trips, 0), "", "trips on overload", note, "bad" if account.trips else "good"
            )
        )
    found += [
        Figure(
            number(confirmed, 0),
            f"of {number(len(commands), 0)}",
            "commands confirmed",
            "read back from the device" if not unknown else f"{unknown} of them ended unknown",
            "bad" if unknown else "good",
        ),
        Figure(
            number(slowest) if np.isfinite(slowest) else "–",
            "s",
            "failure to last command confirmed",
            f"the slowest: {short(who)}" if who else "no failure needed a command",
        ),
        Figure(
            number(len(alarms), 0),
            "",
            "alarms",
            f"{still} still up",
            "warn" if still else "",
        ),
    ]
    return tuple(found)


def _slowest(account: _Account, commands: Any) -> tuple[float, str]:
    """Return the longest time from a failure to the last command of the plan that answers it, and what had failed."""
    worst, who = float("nan"), ""
    if not len(commands):
        return worst, who
    for _, rows in commands.groupby("plan_hash"):
        done = rows[rows["outcome"] == "done"]
        begun_s = float(rows["t_s"].min())
        before = [(t, name) for t, name, _ in account.failures if t <= begun_s and begun_s - t < 30.0]
        if len(done) and before:
            t_s, name = max(before)
            lasted_s = float(done["t_s_end"].max()) - t_s
            if not worst >= lasted_s:
                worst, who = lasted_s, name
    return worst, who


def _panels(past: Past, ticks: list[tuple[float, dict[str, Any]]], span: tuple[float, float]) -> list[Panel]:
    t = np.array([t_s for t_s, _ in ticks])
    total = np.array([body["total_kw"] for _, body in ticks])
    missing = np.array([sum(body["unserved_kw"].values()) for _, body in ticks])
    panels = []
    if len(t):
        panels.append(stairs("Load", "kW", {"asked for": (t, total), "served": (t, total - missing)}, span))
    loading, charge = _ups_series(past)
    if loading:
        panels.append(stairs("UPS loading", "% of rating", loading, span, limit=100.0))
    if charge:
        panels.append(stairs("UPS batteries", "% of charge", charge, span, top=100.0))
    return panels


Series = dict[str, tuple[np.ndarray, np.ndarray]]


def _ups_series(past: Past) -> tuple[Series, Series]:
    """Return the loading in percent of the UPSs that are loaded most, and the charge of those that gave some up."""
    text = past.meta("network")
    net = None if text is None else network_from_text(text)
    if net is None or not len(net.get("ups", ())):
        return {}, {}
    rated_kw = dict(
        zip(
            (f"ups:{name}" for name in net.ups["name"]),
            KW_PER_MW * values(net, "ups", "p_rated_mw"),
            strict=True,
        )
    )
    seen: dict[str, dict[str, list[tuple[float, float]]]] = {"p_kw": {}, "soc_percent": {}}
    for t_s, readings in past.scans():
        for item in readings:
            if item.device in rated_kw and item.quantity in seen and isinstance(item.value, int | float):
                seen[item.quantity].setdefault(item.device, []).append((t_s, float(item.value)))
    power = {name: np.array(points) for name, points in seen["p_kw"].items()}
    kept = sorted(power, key=lambda name: -float(power[name][:, 1].max()))[:MOST_UPS]
    loading = {short(n): (power[n][:, 0], 100.0 * power[n][:, 1] / rated_kw[n]) for n in sorted(kept)}
    stored = {n: np.array(p) for n, p in seen["soc_percent"].items()}
    charge = {
        short(n): (p[:, 0], p[:, 1]) for n, p in sorted(stored.items()) if float(p[:, 1].min()) < FULL_PERCENT
    }
    return loading, dict(list(charge.items())[:MOST_UPS])


def _marks(account: _Account, commands: Any, span: tuple[float, float]) -> list[Mark]:
    scale = WIDTH / ((span[1] - span[0]) or 1.0)
    lost = [Mark((t - span[0]) * scale, f"{short(who)} {what}", "bad") for t, who, what in account.failures]
    begun = commands.groupby("plan_hash")["t_s"]
    acted = [
        Mark((t - span[0]) * scale, plural(int(n), "command"), "act")
        for t, n in zip(begun.min().to_numpy(float), begun.size().to_numpy(), strict=True)
    ]
    return [*lost, *sorted(acted, key=lambda mark: mark.x)]


def _axis(span: tuple[float, float]) -> list[tuple[float, str]]:
    """Return x and words of about six round times."""
    length_s = span[1] - span[0]
    step_s = next((s for s in (10, 30, 60, 300, 600, 1800, 3600, 14400, 43200) if length_s / s <= 7), 86400)
    marks = np.arange(0.0, length_s + 1e-6, step_s)
    unit, scale_s = ("s", 1.0) if step_s < 60 else ("min", 60.0) if step_s < 7200 else ("h", S_PER_H)
    return [
        (
            float(WIDTH * m / length_s) if length_s else 0.0,
            f"{number(m / scale_s, 0)}{SPACE}{unit}" if m else "0",
        )
        for m in marks
    ]


def _alarm_rows(frame: Any, first_s: float) -> list[dict[str, Any]]:
    """Return alarms, the gravest first; where there are many of a kind, the first of them and how many more."""
    rows = []
    kinds = frame.sort_values(["severity", "kind", "t_s"]).to_dict("records")
    for (severity, _, todo), items in groupby(
        kinds, key=lambda r: (r["severity"], r["kind"], r["recommended"])
    ):
        group = list(items)
        shown = group if len(group) <= MOST_ALIKE else group[:1]
        for item in shown:
            up = [
                r
                for r in (group if len(shown) == 1 else [item])
                if not r["ended_s"] or r["ended_s"] != r["ended_s"]
            ]
            rows.append(
                {
                    "severity": severity,
                    "since": item["t_s"] - first_s,
                    "text": item["text"],
                    "more": len(group) - len(shown),
                    "recommended": todo,
                    "up": bool(up),
                }
            )
    return sorted(rows, key=lambda r: (GRAVITY.index(r["severity"]), r["since"]))


def _facts(past: Past, span: tuple[float, float], scenario: str) -> list[tuple[str, str]]:
    counts = {
        name: past.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in ("scan", "plan", "command", "alarm")
    }
    plans = past.connection.execute("SELECT status, count(*) FROM plan GROUP BY status").fetchall()
    return [
        ("Journal", past.path.name),
        ("Plant", "emulated: every figure is of a simulation" if past.meta("simulated") else "real devices"),
        ("Scenario", scenario or "none"),
        ("From, UTC", datetime.fromtimestamp(span[0], UTC).strftime("%Y-%m-%d %H:%M:%S")),
        ("Lasted", seconds(span[1] - span[0])),
        ("Scans with news", number(counts["scan"], 0)),
        ("Plans", ", ".join(f"{n} {status}" for status, n in plans) or "none"),
        ("Commands", number(counts["command"], 0)),
    ]
