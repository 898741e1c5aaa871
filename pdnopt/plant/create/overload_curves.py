"""Time-limited ratings."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from pdnopt.plant.create.rows import add_row

__all__ = ["create_overload_curve"]


def create_overload_curve(
    net: Any,
    name: str,
    points: Iterable[tuple[float, float]],
    temperature_c: float = inf,
    on_battery: bool | None = None,
    recovery_s: float = 3600.0,
) -> str:
    """Create a time-limited rating: rows (ratio, max_s) of ``net.overload_curve``.

    Parameters
    ----------
    points : iterable of (ratio, max_s)
        For example ``[(1.10, 3600), (1.25, 600), (1.50, 60)]``.
    temperature_c : float
        The rows hold up to this inlet temperature.
    on_battery : bool or None
        Only on battery, only on mains, or both (None).

    Returns
    -------
    str : ``name``, for the column ``overload_curve`` of ups, line, trafo or switch.
    """
    for ratio, max_s in points:
        add_row(
            net,
            "overload_curve",
            {
                "name": name,
                "ratio": float(ratio),
                "max_s": float(max_s),
                "temperature_c": temperature_c,
                "on_battery": on_battery,
                "recovery_s": recovery_s,
            },
        )
    return name
