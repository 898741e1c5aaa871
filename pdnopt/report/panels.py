"""Strips of a report: lines over time that share one scale, drawn as stairs, since a value holds until the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["HEIGHT", "WIDTH", "Line", "Panel", "stairs"]

WIDTH, HEIGHT = 600.0, 90.0
DASHES = ("none", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 1", "12 2 2 2")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C8C8C")
"""Lines are told apart by colour (Okabe and Ito 2008) and by their dashes, so that a print in black shows them too."""


@dataclass(frozen=True)
class Line:
    """A line: its name, its points in the panel's box, its colour and dashes, its first and last value and its highest."""

    name: str
    points: str
    colour: str
    dash: str
    first: float
    last: float
    most: float


@dataclass(frozen=True)
class Panel:
    """Lines over time with one scale, from 0 to ``top``; ``limit_y`` is where a limit lies in the box, None without one."""

    title: str
    unit: str
    top: float
    lines: list[Line]
    limit_y: float | None = None

    @property
    def digits(self) -> int:
        """Decimals that values of this size need."""
        return 1 if self.top >= 10.0 else 2 if self.top >= 1.0 else 4


def stairs(
    title: str,
    unit: str,
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    span: tuple[float, float],
    top: float | None = None,
    limit: float | None = None,
) -> Panel:
    """Return a panel.

    Parameters
    ----------
    title, unit : str
    series : mapping of str to (array, array)
        By name: when each value begins to hold, and the value.
    span : (float, float)
        The first and the last moment of the picture, in the unit of the times.
    top : float, optional
        Of the scale; default: a tenth above the highest value.
    limit : float, optional
        Drawn as a line across.
    """
    most = max((float(np.nan_to_num(v).max(initial=0.0)) for _, v in series.values()), default=0.0)
    scale = top or (1.1 * max(most, limit or 0.0) if max(most, limit or 0.0) > 0 else 1.0)
    begin, end = span
    length = (end - begin) or 1.0
    lines = []
    for k, (name, (t, values)) in enumerate(series.items()):
        if not len(values):
            continue
        edges = np.append((np.asarray(t, dtype=float) - begin) / length * WIDTH, WIDTH)
        x = np.repeat(np.clip(edges, 0.0, WIDTH), 2)[1:-1]
        y = HEIGHT * (1.0 - np.repeat(np.nan_to_num(values), 2) / scale)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        colour, dash = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
        highest = float(np.nan_to_num(values).max())
        lines.append(Line(name, points, colour, dash, float(values[0]), float(values[-1]), highest))
    return Panel(title, unit, scale, lines, None if limit is None else HEIGHT * (1.0 - limit / scale))
