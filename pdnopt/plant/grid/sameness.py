"""Whether two readings of a plant differ only in what changes from one moment to the next."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import Grid

__all__ = ["same_structure"]

PASSING = frozenset(
    {
        "closed",
        "budget_used",
        "running",
        "fuel_kwh",
        "e_kwh",
        "mode",
        "temperature_c",
        "dwell_left_s",
        "stuck",
        "e_usable_kwh",
        "e_room_kwh",
        "p_now_kw",
        "memory",
    }
)
"""Positions, states of charge, temperatures, clocks: what a compiled model takes as numbers."""


def same_structure(one: Grid, other: Grid) -> bool:
    """Return whether two grids have the same components, ratings and impedances; what passes (PASSING) may differ."""
    return _same(one, other)


def _same(one: Any, other: Any) -> bool:
    if is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in fields(one) if field.name not in PASSING]
        return type(one) is type(other) and all(_same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) and one.dtype != object:
        return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if isinstance(one, np.ndarray):
        return _same(one.tolist(), other.tolist())
    if isinstance(one, list):
        return len(one) == len(other) and all(
            a is b or a == b or a != a for a, b in zip(one, other, strict=True)
        )
    return bool(one == other)
