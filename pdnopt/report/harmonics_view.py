"""What a report shows of harmonics: distortion before and after against its limit as bars, spectra at chosen places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["Bar", "HarmonicsView", "Order", "Place", "read_harmonics"]

MOST_BARS = 12
WIDTH, HEIGHT = 600.0, 110.0
HEADROOM = 1.1
KINDS = (
    ("voltage", "THD of voltage, percent of the fundamental"),
    ("current", "TDD of current, percent of IL"),
)


@dataclass(frozen=True)
class Bar:
    """One phase of a bus or feeder: values and limit in percent, and as parts of the longest bar (percent)."""

    place: str
    phase: str
    before: float
    after: float
    limit: float
    widths: tuple[float, float, float]
    broken_before: str
    broken_after: str


@dataclass(frozen=True)
class Order:
    """One harmonic: heights in the drawing's units, values in percent."""

    order: int
    x: float
    width: float
    before: float
    after: float
    limit: float
    text: str


@dataclass(frozen=True)
class Place:
    """The spectrum at the place that is nearest to its limits without compensation; ``top``: the scale's end, percent."""

    name: str
    phase: str
    top: float
    orders: list[Order]


@dataclass(frozen=True)
class HarmonicsView:
    """Groups of bars (title, bars, how many more there are); ``counts``: phases beyond a limit before, after, and all."""

    groups: list[tuple[str, list[Bar], int]]
    counts: tuple[int, int, int]
    places: list[Place]
    width: float = WIDTH
    height: float = HEIGHT


def read_harmonics(result: Result) -> HarmonicsView | None:
    """Return what to show, or None for a result without spectra."""
    frame, lines = result.distortion, result.spectrum
    if frame is None or lines is None or not len(frame):
        return None
    groups, places = [], []
    for kind, title in KINDS:
        own = frame[frame["kind"] == kind]
        if not len(own):
            continue
        totals = own[["total_before_percent", "total_after_percent"]].to_numpy(float).max(axis=1)
        part = totals / own["total_limit_percent"].to_numpy(float)
        worst = own.iloc[np.argsort(-part, kind="stable")]
        shown = worst.head(MOST_BARS)
        columns = ["total_before_percent", "total_after_percent", "total_limit_percent"]
        longest = float(shown[columns].to_numpy(float).max()) or 1.0
        groups.append(
            (title, [_bar(row, longest) for row in shown.to_dict("records")], len(own) - len(shown))
        )
        first = worst.iloc[0]
        places.append(_place(lines, kind, str(first["place"]), str(first["phase"])))
    counts = (int((frame["broken_before"] != "").sum()), int((frame["broken_after"] != "").sum()), len(frame))
    return HarmonicsView(groups, counts, places)


def _bar(row: dict[Any, Any], longest: float) -> Bar:
    before, after, limit = (float(row[f"total_{word}_percent"]) for word in ("before", "after", "limit"))
    widths = tuple(100.0 * x / longest for x in (before, after, limit))
    return Bar(
        row["place"], row["phase"], before, after, limit, (widths[0], widths[1], widths[2]),
        row["broken_before"], row["broken_after"],
    )  # fmt: skip


def _place(lines: Any, kind: str, place: str, phase: str) -> Place:
    own = lines[(lines["kind"] == kind) & (lines["place"] == place) & (lines["phase"] == phase)]
    own = own.sort_values("order")
    columns = ["before_percent", "after_percent", "limit_percent"]
    top = HEADROOM * float(own[columns].to_numpy(float).max()) or 1.0
    step = WIDTH / len(own)
    orders = []
    for n, row in enumerate(own.to_dict("records")):
        before, after, limit = (HEIGHT * row[column] / top for column in columns)
        text = (
            f"{row['before_percent']:.2f} to {row['after_percent']:.2f} %, limit {row['limit_percent']:g} %"
        )
        orders.append(Order(int(row["order"]), n * step, step, before, after, limit, text))
    return Place(place, phase, top, orders)
