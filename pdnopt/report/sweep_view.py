"""What the report of a sweep shows: plain data for the template, no HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, isfinite, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.report.figures import Figure
from pdnopt.words import SPACE, number, percent, seconds, short

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SweepView", "read_sweep_view"]

SHOWN = 100
"""Rows that are seen before the reader asks for all."""

USABLE = ("optimal", "feasible")

KINDS = {
    "ext_grid": "sources",
    "ups": "UPSs",
    "trafo": "transformers",
    "trafo3w": "three-winding transformers",
    "impedance": "impedances",
    "transfer": "transfer devices",
    "storage": "batteries",
    "bus": "buses",
    "line": "cables and lines",
    "switch": "switches",
}

STATUSES = {
    "optimal": "verified, proved",
    "feasible": "verified",
    "infeasible": "no plan exists",
    "no_incumbent": "none found in time",
    "failed": "refused by the checker",
    "crashed": "ended every worker process",
}


ANSWERS = {
    "shared": "same plant as another one",
    "pruned": "follows from the two alone",
}
"""What is said of a contingency that was not solved itself."""


@dataclass(frozen=True)
class Measure:
    """A column of the heat map: ``heat`` says how bad a value is, 0..1, next to the worst of the sweep."""

    column: str
    title: str
    unit: str
    words: Callable[[float], str]
    heat: Callable[[float, float], float]
    low_is_bad: bool = False


def _share(value: float, worst: float) -> float:
    """Return a share of the worst value, by its square root so that little is seen too."""
    return (value / worst) ** 0.5 if isfinite(value) and worst > 0 and value > 0 else 0.0


def _loaded(value: float, _: float) -> float:
    """Return nothing up to half the limit, all at 125 % of it."""
    return min(max((value - 50.0) / 75.0, 0.0), 1.0) if isfinite(value) else 0.0


def _urgent(value: float, _: float) -> float:
    """Return all at 1 s, nothing from an hour on."""
    return min(max(1.0 - log10(max(value, 1.0)) / log10(3600.0), 0.0), 1.0) if isfinite(value) else 0.0


def _short_of(value: float, _: float) -> float:
    """Return nothing from 1 MW of margin on, all at none."""
    return min(max(1.0 - log10(max(value, 1.0)) / 3.0, 0.0), 1.0) if isfinite(value) else 0.0


def _kw(value: float) -> str:
    return number(value) if isfinite(value) else "\u2013"


def _deadline(value: float) -> str:
    return seconds(value) if isfinite(value) else "none"


MEASURES = (
    Measure("unserved_kw", "Not served", "kW", _kw, _share),
    Measure("unserved_p1_kw", "of priority 1", "kW", _kw, _share),
    Measure("interrupted_kw", "Interrupted", "kW", _kw, _share),
    Measure("worst_loading_percent", "Highest loading", "% of limit", lambda v: percent(v, 0), _loaded),
    Measure("margin_kw", "Margin", "kW or kVA there", _kw, _short_of, low_is_bad=True),
    Measure("deadline_s", "Tightest deadline", "if nobody acts", _deadline, _urgent, low_is_bad=True),
    Measure(
        "plan_s",
        "Plan done after",
        "",
        lambda v: seconds(v) if v > 0 else "\u2013",
        lambda v, w: 0.6 * _share(v, w),
    ),
    Measure(
        "n_actions",
        "Commands",
        "",
        lambda v: number(v, 0) if v > 0 else "\u2013",
        lambda v, w: 0.6 * _share(v, w),
    ),
)


@dataclass(frozen=True)
class Cell:
    """A value in words, how bad it is (0..9), and what to sort by."""

    words: str
    heat: int
    order: float


@dataclass(frozen=True)
class SweepRow:
    """One contingency, or one kind of component."""

    name: str
    note: str
    status: str
    ok: bool
    cells: tuple[Cell, ...]
    worst: str = ""


@dataclass(frozen=True)
class SweepView:
    """Everything on the page, in its order."""

    title: str
    tone: str
    verdict: str
    when: datetime
    figures: tuple[Figure, ...]
    measures: tuple[Measure, ...]
    kinds: tuple[SweepRow, ...]
    rows: tuple[SweepRow, ...]
    shown: int
    facts: tuple[tuple[str, str], ...]
    fingerprint: str


def read_sweep_view(frame: pd.DataFrame, facts: Mapping[str, str], when: datetime) -> SweepView:
    """Return what the report of a sweep shows, the worst contingencies first."""
    ok = frame["status"].isin(USABLE).to_numpy(dtype=bool)
    keys = [frame["worst_loading_percent"].fillna(0.0), frame["interrupted_kw"], frame["unserved_kw"]]
    order = np.lexsort([-np.asarray(key, dtype=float) for key in keys] + [ok])
    worst = {m.column: _finite_max(frame[m.column]) for m in MEASURES}
    records = frame.to_dict(orient="records")
    labels = [str(name) for name in frame.attrs.get("load_case", ())]
    rows = tuple(_row(records[k], bool(ok[k]), worst, labels) for k in order)
    good, total = int(ok.sum()), len(frame)
    network = facts.get("Network", "")
    return SweepView(
        title=f"What every failure does to {network}" if network else "What every failure does",
        tone="good" if good == total else "bad",
        verdict=_verdict(good, total),
        when=when,
        figures=_figures(frame, ok),
        measures=MEASURES,
        kinds=_kinds(frame, ok, worst),
        rows=rows,
        shown=SHOWN,
        facts=tuple((name, value) for name, value in facts.items() if name != "Fingerprint"),
        fingerprint=facts.get("Fingerprint", ""),
    )


def _verdict(good: int, total: int) -> str:
    if not total:
        return "There was no contingency to solve."
    if good == total:
        return (
            f"Each of the {number(total, 0)} contingencies has a plan that the independent checker verified."
        )
    return f"{number(total - good, 0)} of {number(total, 0)} contingencies have no verified plan; they come first."


def _finite_max(column: Any) -> float:
    values = np.asarray(column, dtype=float)
    return float(values[np.isfinite(values)].max(initial=0.0))


def _row(record: Mapping[str, Any], ok: bool, worst: Mapping[str, float], labels: Sequence[str]) -> SweepRow:
    names = str(record["contingency"]).split(" + ")
    notes = [" + ".join(dict.fromkeys(name.partition(":")[0] for name in names))]
    notes += [f"{label.replace('_', ' ')} {record[label]}" for label in labels]
    notes += [ANSWERS[record["answer"]]] if record.get("answer") in ANSWERS else []
    component = str(record["worst_component"] or "")
    return SweepRow(
        name=" + ".join(short(name) for name in names),
        note=", ".join(notes),
        status=STATUSES.get(str(record["status"]), str(record["status"])),
        ok=ok,
        cells=tuple(_cell(m, float(record[m.column]), worst[m.column]) for m in MEASURES),
        worst=short(component) if component else "",
    )


def _cell(measure: Measure, value: float, worst: float) -> Cell:
    heat = round(9 * measure.heat(value, worst))
    order = value if value == value else -inf
    return Cell(measure.words(value), heat, order if isfinite(order) else (1e300 if order > 0 else -1e300))


def _kinds(frame: pd.DataFrame, ok: np.ndarray, worst: Mapping[str, float]) -> tuple[SweepRow, ...]:
    """Return the worst of every measure by kind of component that fails."""
    tables = frame["contingency"].map(
        lambda text: " + ".join(sorted({name.partition(":")[0] for name in str(text).split(" + ")}))
    )
    rows = []
    for table in dict.fromkeys(tables):
        mine = (tables == table).to_numpy(dtype=bool)
        part = frame[mine]
        cells = []
        for m in MEASURES:
            values = part[m.column].to_numpy(dtype=float)
            values = values[values == values]
            found = (values.min() if m.low_is_bad else values.max()) if len(values) else float("nan")
            cells.append(_cell(m, float(found), worst[m.column]))
        good = int(ok[mine].sum())
        rows.append(
            SweepRow(
                name=" + ".join(KINDS.get(name, name) for name in table.split(" + ")),
                note=number(len(part), 0),
                status=f"{number(good, 0)} of {number(len(part), 0)}",
                ok=good == len(part),
                cells=tuple(cells),
            )
        )
    return tuple(rows)


def _figures(frame: pd.DataFrame, ok: np.ndarray) -> tuple[Figure, ...]:
    total = len(frame)
    if not total:
        return ()
    unserved = frame["unserved_kw"].to_numpy(dtype=float)
    dark = int((unserved > 0.05).sum())
    top = int(np.nan_to_num(unserved, nan=-1.0).argmax())
    names = [" + ".join(short(n) for n in str(text).split(" + ")) for text in frame["contingency"]]
    loading = np.nan_to_num(frame["worst_loading_percent"].to_numpy(dtype=float), nan=0.0)
    deadline = np.nan_to_num(frame["deadline_s"].to_numpy(dtype=float), nan=inf)
    first = int(np.argmin(deadline))
    idle = int((ok & (frame["n_actions"] == 0).to_numpy(dtype=bool)).sum())
    solve = float(frame["total_s"].max())
    slow = names[int(frame["total_s"].fillna(0.0).to_numpy(dtype=float).argmax())]
    good = int(ok.sum())
    verified = Figure(
        f"{number(good, 0)} of {number(total, 0)}",
        "",
        "have a verified plan",
        "",
        "good" if good == total else "bad",
    )
    return (
        verified,
        Figure(
            number(dark, 0),
            "",
            "leave load unserved",
            f"{percent(100.0 * dark / total)} of all",
            "warn" if dark else "good",
        ),
        Figure(
            number(float(unserved[top])),
            "kW",
            "not served at most",
            names[top] if dark else "",
            "warn" if dark else "good",
        ),
        Figure(
            number(float(loading.max()), 0),
            "%",
            "highest loading in an end state",
            f"{short(str(frame['worst_component'].iloc[int(loading.argmax())] or ''))} after {names[int(loading.argmax())]}",
        ),
        Figure(
            seconds(float(deadline[first])) if isfinite(deadline[first]) else "none",
            "",
            "tightest deadline",
            names[first] if isfinite(deadline[first]) else "nothing trips",
        ),
        Figure(
            number(idle, 0), "", "need no command", f"the longest solve took {seconds(solve)}:{SPACE}{slow}"
        ),
    )
