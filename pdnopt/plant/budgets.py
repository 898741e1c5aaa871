"""Overload as a time budget (PLANT.md): what a component may carry for how long.

Budget used = sum of dt / max_s(ratio). The ratio is read conservatively: the next higher row of the
curve, chosen by temperature and by whether the UPS is on battery; above the last row the time is zero.
At or below rating (ratio <= 1) a component may stay always.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from pdnopt.plant.tables import values

__all__ = ["Curve", "CurveBook", "read_curves"]


@dataclass(frozen=True)
class Curve:
    """Rows (ratio, max_s) sorted by ratio, for one temperature band and one kind of supply."""

    ratio: np.ndarray
    max_s: np.ndarray
    recovery_s: float

    def max_time_s(self, ratio: float) -> float:
        """Return the longest time in s at ``ratio`` times the rating; 0 above the last row."""
        if ratio <= 1.0 + 1e-9:
            return inf
        at = int(np.searchsorted(self.ratio, ratio - 1e-9))
        return float(self.max_s[at]) if at < len(self.ratio) else 0.0

    def sustainable_ratio(self, time_s: float, used: float = 0.0) -> float:
        """Return the largest ratio that the rest of the budget carries for ``time_s`` seconds (>= 1)."""
        left = 1.0 - used
        ok = self.ratio[self.max_s * left >= time_s - 1e-9]
        return max(1.0, float(ok.max())) if len(ok) else 1.0


NO_CURVE = Curve(np.zeros(0), np.zeros(0), inf)


class CurveBook:
    """All rows of net.overload_curve, looked up by name, temperature and supply."""

    def __init__(self, net: Any) -> None:
        self._name = values(net, "overload_curve", "name")
        self._ratio = values(net, "overload_curve", "ratio")
        self._max_s = values(net, "overload_curve", "max_s")
        self._temperature = values(net, "overload_curve", "temperature_c")
        self._battery = values(net, "overload_curve", "on_battery")
        self._recovery = values(net, "overload_curve", "recovery_s")
        self._cache: dict[tuple[str, float, bool], Curve] = {}

    def curve(self, name: Any, temperature_c: float = 25.0, on_battery: bool = False) -> Curve:
        """Return the curve that holds at this temperature and supply; no rows where none does."""
        if not isinstance(name, str) or not name:
            return NO_CURVE
        key = (name, float(temperature_c), bool(on_battery))
        if key not in self._cache:
            self._cache[key] = self._select(*key)
        return self._cache[key]

    def _select(self, name: str, temperature_c: float, on_battery: bool) -> Curve:
        supply = np.array(
            [flag is None or flag != flag or bool(flag) == on_battery for flag in self._battery], dtype=bool
        )
        mine = (self._name == name) & supply & (self._temperature >= temperature_c)
        if not mine.any():
            return NO_CURVE
        band = self._temperature[mine].min()  # the coolest band that still covers this temperature
        mine &= self._temperature == band
        order = np.argsort(self._ratio[mine])
        return Curve(self._ratio[mine][order], self._max_s[mine][order], float(self._recovery[mine].min()))


def read_curves(net: Any) -> CurveBook:
    """Read net.overload_curve."""
    return CurveBook(net)
