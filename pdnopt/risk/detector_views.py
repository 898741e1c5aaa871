"""Five ways to look at the last values of a series, each asking: how far is this from everything seen before?

Every view describes the present by a few numbers in the unit of the series (or their logarithm), and its novelty is the
distance to the nearest description that it remembers. What happened before is therefore no news when it happens again,
whatever the shape of the distribution.

1. ``value``: the value itself. Outside of the range seen, or in a gap between two levels.
2. ``shape``: the last `SHAPE` values in order, root mean square distance. A course never seen.
3. ``spread``: quantiles of the last `SPREAD` values and their mean step. A new level, a new width, in whatever order.
4. ``roughness``: the logarithm of the mean step of the last `SPREAD` values. A line that went flat or became noisy.
5. ``clock``: the mean of the last 1/24 of a day, against those of the same time of earlier days. The right value at the
   wrong time.

A description overlapping with the present is not asked. Where a value is missing (NaN), a view that needs it says nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from pdnopt.risk.detector_history import Floats, History

__all__ = ["RESOLUTION", "Novelty", "View", "make_views"]

SHAPE = 8
SPREAD = 48
QUANTILES = 9
STRIDE = 6
"""Values between two remembered descriptions of the spread."""
RESOLUTION = 0.02
"""What is too small to matter: in parts of the range of the series, and of ``roughness`` the logarithm."""
DAY_S = 86400.0
DAYS, LEAST_DAYS = 28, 3
LONGEST_GAP = 2016
"""Missing values that are marked one by one; after more the clock starts anew, as the history would be gaps only."""


@dataclass(frozen=True)
class Novelty:
    """What one view says.

    ``distance`` between what was ``seen`` and the nearest known, ``expected``; ``resolution`` is the least distance that
    matters. All in the unit of the series, of ``roughness`` distance and resolution as natural logarithms.
    """

    distance: float
    seen: float
    expected: float
    resolution: float


class View(ABC):
    """One way to look; it has memory of its own where the values are not enough."""

    @abstractmethod
    def look(self, values: Floats, spread: float) -> Novelty | None:
        """Return what is new in the last value.

        Parameters
        ----------
        values : ndarray
            All values remembered, oldest first, NaN where missing; the last one is present.
        spread : float
            Range of the series: between its 2 % and 98 % quantiles.
        """

    def histories(self) -> dict[str, History]:
        """Return what has to be saved."""
        return {}


class ValueView(View):
    """Equation 1."""

    def look(self, values: Floats, spread: float) -> Novelty | None:
        return _nearest(np.abs(values[:-1] - values[-1]), values[:-1], float(values[-1]), RESOLUTION * spread)


class ShapeView(View):
    """Equation 2."""

    def look(self, values: Floats, spread: float) -> Novelty | None:
        ends = len(values) - SHAPE  # windows that end before the present one begins
        if ends < SHAPE or np.isnan(values[-SHAPE:]).any():
            return None
        square = np.zeros(ends - SHAPE + 1)
        for lag in range(SHAPE):
            square += (values[SHAPE - 1 - lag : ends - lag] - values[-1 - lag]) ** 2
        distance = np.sqrt(square / SHAPE)
        return _nearest(distance, values[SHAPE - 1 : ends], float(values[-1]), RESOLUTION * spread)


@dataclass
class SpreadView(View):
    """Equation 3; remembered every `STRIDE` values."""

    memory: int
    known: History = field(init=False)

    def __post_init__(self) -> None:
        self.known = History(self.memory // STRIDE, QUANTILES + 1)
        self.seen = History(1)
        self.places = np.round(np.linspace(0, SPREAD - 1, QUANTILES)).astype(int)

    def look(self, values: Floats, spread: float) -> Novelty | None:
        self.seen.append(0.0)
        if len(values) < SPREAD or np.isnan(values[-SPREAD:]).any():
            row = np.full(QUANTILES + 1, np.nan)
        else:
            window = values[-SPREAD:]
            row = np.append(np.sort(window)[self.places], np.abs(np.diff(window)).mean())
        apart = self.known.rows[: max(len(self.known) - self._overlapping(), 0)]
        found = None
        if len(apart) and np.isfinite(row).all():
            distance = np.sqrt(((apart - row) ** 2).mean(axis=1))
            middle = QUANTILES // 2
            found = _nearest(distance, apart[:, middle], float(row[middle]), RESOLUTION * spread)
        if self.seen.count % STRIDE == 0:
            self.known.append(row)
        return found

    def _overlapping(self) -> int:
        """Return how many remembered descriptions share values with the present."""
        since = self.seen.count % STRIDE or STRIDE  # values since the last description
        return max((SPREAD - 1 - since) // STRIDE + 1, 0)

    def histories(self) -> dict[str, History]:
        return {"known": self.known, "seen": self.seen}


@dataclass
class RoughnessView(View):
    """Equation 4."""

    memory: int
    known: History = field(init=False)

    def __post_init__(self) -> None:
        self.known = History(self.memory)

    def look(self, values: Floats, spread: float) -> Novelty | None:
        step = np.nan
        if len(values) > SPREAD:
            step = float(np.abs(np.diff(values[-SPREAD - 1 :])).mean())
        floor = 0.5 * RESOLUTION * spread
        found, apart = None, self.known.rows[: max(len(self.known) - SPREAD + 1, 0)]
        if len(apart) > SPREAD and np.isfinite(step):
            distance = np.abs(np.log((apart + floor) / (step + floor)))
            found = _nearest(distance, apart, step, RESOLUTION)
        self.known.append(step)
        return found

    def histories(self) -> dict[str, History]:
        return {"known": self.known}


@dataclass
class ClockView(View):
    """Equation 5.

    Parameters
    ----------
    memory : int
    step_s : float
        Time between two values.
    """

    memory: int
    step_s: float
    known: History = field(init=False)

    def __post_init__(self) -> None:
        self.known = History(self.memory)
        self.day = round(DAY_S / self.step_s)
        self.width = max(1, round(self.day / 24))
        days = np.arange(1, min(DAYS, self.memory // max(self.day, 1)) + 1)
        slack = max(1, self.width // 2)
        self.back = (days[:, None] * self.day + np.arange(-slack, slack + 1)).ravel()

    def look(self, values: Floats, spread: float) -> Novelty | None:
        mean = float(values[-self.width :].mean()) if len(values) >= self.width else np.nan
        known, found = self.known.rows, None
        if len(known) >= LEAST_DAYS * self.day and np.isfinite(mean):
            same = known[len(known) - self.back[self.back <= len(known)]]
            found = _nearest(np.abs(same - mean), same, mean, RESOLUTION * spread)
        self.known.append(mean)
        return found

    def histories(self) -> dict[str, History]:
        return {"known": self.known}


def _nearest(distance: Floats, known: Floats, seen: float, resolution: float) -> Novelty | None:
    """Return the novelty of what is nearest; None where nothing can be compared."""
    usable = np.isfinite(distance)
    if not usable.any() or not np.isfinite(seen):
        return None
    place = int(np.where(usable, distance, np.inf).argmin())
    return Novelty(float(distance[place]), seen, float(known[place]), resolution)


def make_views(memory: int, step_s: float | None) -> dict[str, View]:
    """Return the views by name; the clock only where its day has 4 values at least and 3 days are remembered."""
    views: dict[str, View] = {
        "value": ValueView(),
        "shape": ShapeView(),
        "spread": SpreadView(memory),
        "roughness": RoughnessView(memory),
    }
    if step_s is not None and 4 <= DAY_S / step_s <= memory / LEAST_DAYS:
        views["clock"] = ClockView(memory, step_s)
    return views
