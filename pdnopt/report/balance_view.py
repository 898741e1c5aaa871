"""What a report shows of a balance: phases before and after as bars, phasors at a bus, unbalance along the feeder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["BalanceView", "Feeder", "Phasor", "Profile", "read_balance"]

MOST_FEEDERS = 20
MOST_BUSES = 60
WIDTH, HEIGHT = 600.0, 90.0
RADIUS = 90.0
PHASES = ("a", "b", "c")
MAGNIFIED = 10.0
"""Phasors at a bus differ by parts of a percent: what they lack of the mean is drawn so many times larger."""


@dataclass(frozen=True)
class Feeder:
    """Currents of the phases and of the neutral (A), before and after; widths are percent of the longest bar."""

    component: str
    before: list[float]
    after: list[float]
    widths: list[tuple[float, float]]
    neutral: tuple[float, float]


@dataclass(frozen=True)
class Phasor:
    """The end of a phasor before and after, in the drawing's units."""

    phase: str
    before: tuple[float, float]
    after: tuple[float, float]
    text: str


@dataclass(frozen=True)
class Profile:
    """Unbalance by bus as two lines; ``top`` is the scale's end in percent."""

    before: str
    after: str
    top: float
    buses: list[str]


@dataclass(frozen=True)
class BalanceView:
    """Everything of the section; ``more``: feeders that are not shown; ``course``: rows of the steps ahead, if there are."""

    feeders: list[Feeder]
    more: int
    bus: str
    phasors: list[Phasor]
    profile: Profile
    course: list[dict[str, Any]]
    radius: float = RADIUS
    width: float = WIDTH
    height: float = HEIGHT


def _course(result: Result) -> list[dict[str, Any]]:
    """Return the rows of the steps ahead."""
    frame = result.timeline
    if frame is None:
        return []
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False)]


def read_balance(result: Result) -> BalanceView | None:
    """Return what to show, or None for a result that is no balance."""
    phases, buses = result.phases, result.unbalance
    if phases is None or buses is None or not len(phases) or not len(buses):
        return None
    uneven = phases.sort_values("spread_before_percent", ascending=False, kind="stable").head(MOST_FEEDERS)
    columns = [f"i_{k}_{word}_a" for word in ("before", "after") for k in PHASES]
    longest = float(uneven[columns].to_numpy(float).max(initial=0.0)) or 1.0
    feeders = [_feeder(row, longest) for row in uneven.to_dict("records")]
    worst = buses.loc[buses["vuf_before_percent"].idxmax()]
    return BalanceView(
        feeders=feeders,
        more=len(phases) - len(feeders),
        course=_course(result),
        bus=str(worst["bus"]),
        phasors=[_phasor(worst, phase) for phase in PHASES],
        profile=_profile(buses.sort_values("vuf_before_percent", kind="stable").tail(MOST_BUSES)),
    )


def _feeder(row: dict[Any, Any], longest: float) -> Feeder:
    before, after = ([float(row[f"i_{k}_{word}_a"]) for k in PHASES] for word in ("before", "after"))
    widths = [(100.0 * b / longest, 100.0 * a / longest) for b, a in zip(before, after, strict=True)]
    return Feeder(row["component"], before, after, widths, (row["i_n_before_a"], row["i_n_after_a"]))


def _phasor(row: Any, phase: str) -> Phasor:
    """Return the phasor of a phase: nominal on the circle, its deviation from the mean of all phases magnified."""
    ends = []
    for word in ("before", "after"):
        v = [row[f"vm_{k}_{word}_pu"] * np.exp(1j * np.radians(row[f"va_{k}_{word}_degree"])) for k in PHASES]
        turn = np.exp(2j * np.pi / 3)
        one = (v[0] + turn * v[1] + turn**2 * v[2]) / 3.0
        k = PHASES.index(phase)
        even = one * turn ** (-k)
        shown = (even + MAGNIFIED * (v[k] - even)) / abs(one) * np.exp(-1j * np.angle(one)) * 1j
        ends.append((float(shown.real) * 0.8 * RADIUS, float(-shown.imag) * 0.8 * RADIUS))
    text = f"{row[f'vm_{phase}_before_pu']:.4f} -> {row[f'vm_{phase}_after_pu']:.4f} pu"
    return Phasor(phase, ends[0], ends[1], text)


def _profile(buses: Any) -> Profile:
    before, after = (buses[f"vuf_{word}_percent"].to_numpy(float) for word in ("before", "after"))
    top = 1.1 * float(max(before.max(initial=0.0), after.max(initial=0.0))) or 1.0
    x = np.linspace(0.0, WIDTH, len(buses)) if len(buses) > 1 else np.array([WIDTH / 2])

    def points(values: np.ndarray) -> str:
        y = HEIGHT * (1.0 - values / top)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    return Profile(points(before), points(after), top, [str(name) for name in buses["bus"]])
