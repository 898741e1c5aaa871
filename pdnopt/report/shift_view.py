"""What a report shows of a shift: loads by feed, state of charge, risk and actions along the steps, as drawn lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.words import short

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["Line", "Panel", "ShiftView", "read_shift"]

WIDTH, HEIGHT = 600.0, 90.0
MOST_LINES = 8
MOST_ROWS = 40
DASHES = ("none", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 1", "12 2 2 2")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C8C8C")
"""Lines are told apart by colour (Okabe and Ito 2008) and by their dashes, so that a print in black shows them too."""


@dataclass(frozen=True)
class Line:
    """A line: its name, its points in the panel's box, its colour and dashes, and its first and last value."""

    name: str
    points: str
    colour: str
    dash: str
    first: float
    last: float


@dataclass(frozen=True)
class Panel:
    """Lines over the steps with one scale, from 0 to ``top``."""

    title: str
    unit: str
    top: float
    lines: list[Line]

    @property
    def digits(self) -> int:
        """Decimals that values of this size need."""
        return 1 if self.top >= 10.0 else 2 if self.top >= 1.0 else 4


@dataclass(frozen=True)
class ShiftView:
    """``ticks``: x of every step at which something is done, and how many actions that are; ``rows``: the schedule."""

    panels: list[Panel]
    ticks: list[tuple[float, int]]
    hours: float
    rows: list[dict[str, Any]]
    more: int
    bill: list[tuple[str, float]]
    width: float = WIDTH
    height: float = HEIGHT


NAMES = {
    "expected": "expected loss to failures",
    "nominal": "caps before a failure",
    "moves": "transfers: risk and wear",
    "cycling": "cycling of batteries",
    "end": "single failures at the end",
    "guard": "worst outcomes (guard)",
}


def read_shift(result: Result) -> ShiftView | None:
    """Return what to show, or None for a result that is no shift, or has no steps."""
    frame, schedule = result.timeline, result.schedule
    if frame is None or schedule is None or not len(frame) or result.phases is not None:
        return None
    feeds = [name for name in frame.columns if name.startswith("kW ")][:MOST_LINES]
    panels = [_panel("Load by feed", "kW", {short(name[3:]): frame[name].to_numpy(float) for name in feeds})]
    if (frame["stored_kwh"] > 0).any():
        panels.append(
            _panel("Charge of the batteries", "%", {"all": frame["soc_percent"].to_numpy(float)}, 100.0)
        )
    panels.append(
        _panel(
            "At stake",
            "kWh-eq",
            {"expected loss in the step": frame["at_stake_kwh"].to_numpy(float)},
        )
    )
    panels.append(_panel("Risk", "% a step", {"any failure": 100.0 * frame["p_fail"].to_numpy(float)}))
    steps, counts = np.unique(schedule["step"].to_numpy(int), return_counts=True)
    step = WIDTH / len(frame)
    return ShiftView(
        panels=[panel for panel in panels if panel.lines],
        ticks=[((int(at) - 1) * step, int(n)) for at, n in zip(steps, counts, strict=True)],
        hours=float(frame["t_s"].iloc[-1] + (frame["t_s"].iloc[1] if len(frame) > 1 else 0.0)) / 3600.0,
        rows=[
            dict(zip(schedule.columns, row, strict=True))
            for row in schedule.head(MOST_ROWS).itertuples(index=False)
        ],
        more=max(len(schedule) - MOST_ROWS, 0),
        bill=[(NAMES[name], result.bill[name]) for name in NAMES if name in result.bill],
    )


def _panel(title: str, unit: str, series: dict[str, np.ndarray], top: float | None = None) -> Panel:
    """Return a panel of stairs: a value holds for its step."""
    most = max((float(values.max(initial=0.0)) for values in series.values()), default=0.0)
    scale = top or (1.1 * most if most > 0 else 1.0)
    lines = []
    for k, (name, values) in enumerate(series.items()):
        x = np.repeat(np.linspace(0.0, WIDTH, len(values) + 1), 2)[1:-1]
        y = HEIGHT * (1.0 - np.repeat(np.nan_to_num(values), 2) / scale)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        colour, dash = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
        lines.append(Line(name, points, colour, dash, float(values[0]), float(values[-1])))
    return Panel(title, unit, scale, lines)
