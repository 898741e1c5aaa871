"""Time-limited ratings: how long a component may carry a ratio of its rating (net.overload_curve)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.checker.tolerances import RATING
from pdnopt.plant.tables import values

__all__ = ["WITH_CURVE", "Curves"]

WITH_CURVE = ("line", "trafo", "switch", "ups")

ROOM_TEMPERATURE_C = 25.0
"""For components whose table has no temperature (the default of ``net.ups.temperature_c``)."""


class Curves:
    """The overload curves of one plant, by name.

    Attributes
    ----------
    names : dict of str to object array
        By table, the curve of each row; "" for none or an unknown one.
    used : dict of str to float array
        By table, the part of its budget that each row had used before the failure.
    """

    def __init__(self, net: Any) -> None:
        read = {
            c: values(net, "overload_curve", c)
            for c in ("name", "ratio", "max_s", "temperature_c", "on_battery")
        }
        self._rows: dict[str, list[tuple[float, float, float, Any]]] = {}
        for name, ratio, max_s, temperature, battery in zip(*read.values(), strict=True):
            self._rows.setdefault(str(name), []).append(
                (float(ratio), float(max_s), float(temperature), battery)
            )
        self._tables: dict[tuple[str, float, bool], tuple[np.ndarray, np.ndarray]] = {}
        self.names = {table: self._names(net, table) for table in WITH_CURVE}
        self.used = {table: values(net, table, "overload_used") for table in WITH_CURVE}

    def _names(self, net: Any, table: str) -> np.ndarray:
        found = [str(v).strip() for v in values(net, table, "overload_curve")]
        return np.array([n if n in self._rows else "" for n in found], dtype=object)

    def table(self, name: str, temperature_c: float, on_battery: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return (ratio, max_s) rows, by rising ratio, that hold at this temperature and on this supply.

        The rows of the lowest temperature that is not below the component's are used; without one, none
        holds.
        """
        key = (name, temperature_c, on_battery)
        if key not in self._tables:
            rows = [r for r in self._rows.get(name, []) if r[3] is None or bool(r[3]) == on_battery]
            warm = sorted({r[2] for r in rows if r[2] >= temperature_c})
            kept = sorted((r[0], r[1]) for r in rows if warm and r[2] == warm[0])
            ratio = np.array([r for r, _ in kept])
            # several rows of one ratio: the shortest time comes first, and is found first
            self._tables[key] = ratio, np.array([t for _, t in kept])
        return self._tables[key]

    def max_s(self, name: str, temperature_c: float, on_battery: bool, ratio: float, limit: float) -> float:
        """Return for how long a component may carry ``ratio`` of its rating; inf up to ``limit``, 0 beyond
        the curve.
        """
        if ratio <= limit * (1 + RATING):
            return float("inf")
        steps, times = self.table(name, temperature_c, on_battery)
        k = int(np.searchsorted(steps, ratio / (1 + RATING), side="left"))
        return float(times[k]) if k < len(steps) else 0.0
