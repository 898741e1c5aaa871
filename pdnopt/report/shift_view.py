"""What a report shows of a shift: loads by feed, state of charge, risk and actions along the steps, as drawn lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.report.panels import HEIGHT, WIDTH, Panel, stairs
from pdnopt.words import short

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["ShiftView", "read_shift"]

MOST_LINES = 8
MOST_ROWS = 40


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
    t = np.arange(len(frame), dtype=float)
    span = (0.0, float(len(frame)))
    feeds = [name for name in frame.columns if name.startswith("kW ")][:MOST_LINES]
    loads = {short(name[3:]): (t, frame[name].to_numpy(float)) for name in feeds}
    panels = [stairs("Load by feed", "kW", loads, span)]
    if (frame["stored_kwh"] > 0).any():
        panels.append(
            stairs(
                "Charge of the batteries",
                "%",
                {"all": (t, frame["soc_percent"].to_numpy(float))},
                span,
                100.0,
            )
        )
    panels.append(
        stairs(
            "At stake",
            "kWh-eq",
            {"expected loss in the step": (t, frame["at_stake_kwh"].to_numpy(float))},
            span,
        )
    )
    risk = {"any failure": (t, 100.0 * frame["p_fail"].to_numpy(float))}
    panels.append(stairs("Risk", "% a step", risk, span))
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
