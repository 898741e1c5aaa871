"""What happened in a run, in order: what the plant did, what pdnopt decided, what was sent and how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pdnopt.words import compact_names, kw, number, plural, short

if TYPE_CHECKING:
    from pdnopt.journal import Past

__all__ = ["Row", "story"]

TOLD = ("cap", "shed", "restore")
"""What racks do on command: the commands say it already."""
IDLE = ("watches", "prepares", "observes", "stands by")
TOGETHER_S = 1.0
"""Happenings of one kind within so long are told as one."""
BAD = ("fails", "trips", "interrupted", "battery empty", "fuel empty", "stalls open", "does not move")
MOST_NAMES = 8


@dataclass(frozen=True)
class Row:
    """One line: seconds since the first scan, who ("plant", "pdnopt", "command"), what, more about it, its tone."""

    t_s: float
    who: str
    what: str
    detail: str = ""
    tone: str = ""


def story(past: Past, events: list[tuple[float, str, dict[str, Any]]], first_s: float) -> list[Row]:
    """Return the lines in order of time.

    Parameters
    ----------
    past : Past
    events : list of (float, str, dict)
        Those of the journal; where the plant was emulated its own account is one of them.
    first_s : float
        UTC of the first scan.
    """
    rows = [
        row for _, kind, body in events if kind == "truth" for row in _happenings(body["happenings"], first_s)
    ]
    rows += _decisions(events, first_s)
    rows += _commands(past, first_s)
    return sorted(rows, key=lambda row: row.t_s)


def _happenings(items: list[list[Any]], first_s: float) -> list[Row]:
    rows: list[Row] = []
    kept = [item for item in items if item[2] not in TOLD]
    while kept:
        t_s, _, what, *_ = kept[0]
        alike = [item for item in kept if item[2] == what and item[0] - t_s <= TOGETHER_S]
        kept = [item for item in kept if item not in alike]
        names = compact_names((str(item[1]) for item in alike), MOST_NAMES)
        power = sum(float(item[4]) for item in alike)
        details = sorted({str(item[3]) for item in alike} - {""})
        detail = "; ".join([*details[:2], *([kw(power)] if power > 0 else [])])
        tone = "bad" if str(what).startswith(BAD) or "overloaded" in str(what) else ""
        rows.append(Row(float(t_s) - first_s, "plant", f"{names} {what}", detail, tone))
    return rows


def _decisions(events: list[tuple[float, str, dict[str, Any]]], first_s: float) -> list[Row]:
    ticks = [(t, body) for t, kind, body in events if kind == "tick"]
    told = [(t, str(body["did"]), body) for t, body in ticks if not str(body["did"]).startswith(IDLE)]
    rows = []
    for did, group in groupby(told, key=lambda item: item[1]):
        items = list(group)
        t_s, _, body = items[0]
        missing = sum(body["unserved_kw"].values())
        details = [f"{kw(missing)} not served"] if missing > 0.05 else []
        details += [f"{short(name)} over its rating" for name in body["overloaded"][:2]]
        if len(items) > 1:
            details.append(f"{len(items)} times")
        rows.append(Row(t_s - first_s, "pdnopt", did, "; ".join(details)))
    for t_s, kind, body in events:
        if kind == "maintenance":
            what = f"{short(str(body['component']))}: {body['reason']}"
            rows.append(Row(t_s - first_s, "pdnopt", what, str(body["repair"])))
        elif kind in ("started", "leads", "stopped"):
            rows.append(Row(max(t_s - first_s, 0.0), "pdnopt", str(kind), f"token {body.get('token', '')}"))
    return rows


def _commands(past: Past, first_s: float) -> list[Row]:
    found = past.connection.execute(
        "SELECT command.t_s, command.body, outcome.outcome, outcome.t_s FROM command"
        " LEFT JOIN outcome ON command.id = outcome.command ORDER BY command.rowid"
    ).fetchall()
    items = [(float(t), json.loads(body), outcome or "open", end) for t, body, outcome, end in found]
    rows = []
    for key, group in groupby(items, key=lambda i: (i[1]["plan_hash"], i[1]["action"], i[2])):
        alike = list(group)
        t_s, body, outcome, _ = alike[0]
        last_s = max((float(end) for *_, end in alike if end is not None), default=t_s)
        if len(alike) == 1:
            text = f"{short(body['device'])}: {body['action']}{_to(body['value'])}"
        else:
            names = compact_names((item["device"] for _, item, *_ in alike), MOST_NAMES)
            text = f"{key[1]} {plural(len(alike), 'device')}: {names}"
        ended = "confirmed" if outcome == "done" else outcome
        detail = f"{ended} after {number(last_s - t_s)} s"
        rows.append(Row(t_s - first_s, "command", text, detail, "" if outcome == "done" else "bad"))
    return rows


def _to(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return f" to {kw(float(value))}"
    return f" to {short(value)}" if isinstance(value, str) else ""
