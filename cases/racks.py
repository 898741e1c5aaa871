"""Racks in groups of exact power: powers, priorities and cap floors, drawn from a seed.

Floors are parts of the nominal power: priority 1: none, or 90 %; 2: 70..75 %; 3: 50..60 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["PART_OF_PRIORITY", "RackDraw", "draw_groups", "floor_parts"]

PART_OF_PRIORITY = {1: 0.30, 2: 0.40, 3: 0.30}
SPREAD = 0.25
"""Powers of the racks in a group differ by up to this part from their mean, before scaling."""


@dataclass(frozen=True)
class RackDraw:
    """Racks of equal groups; every array has shape (groups, racks in a group)."""

    p_mw: np.ndarray
    priority: np.ndarray
    min_p_mw: np.ndarray


def draw_groups(
    rng: np.random.Generator,
    groups: int,
    size: int,
    group_kw: float,
    parts: Mapping[int, float] = PART_OF_PRIORITY,
) -> RackDraw:
    """Draw ``groups`` groups of ``size`` racks; each group draws exactly ``group_kw``.

    ``parts`` gives the part of all racks that has each priority; they are dealt out to all groups.
    """
    kw = rng.uniform(1.0 - SPREAD, 1.0 + SPREAD, (groups, size))
    kw *= group_kw / kw.sum(axis=1, keepdims=True)
    place = (np.arange(groups * size) + 0.5) / (groups * size)
    ordered = np.array(list(parts))[np.searchsorted(np.cumsum(list(parts.values()))[:-1], place)]
    priority = rng.permuted(ordered.reshape(size, groups).T, axis=1)
    floor = floor_parts(rng, priority.ravel()).reshape(groups, size)
    return RackDraw(kw / 1000.0, priority, floor * kw / 1000.0)


def floor_parts(rng: np.random.Generator, priority: np.ndarray) -> np.ndarray:
    """Return the power cap floor of each rack as a part of its nominal power; NaN: cannot be capped."""
    n = len(priority)
    return np.select(
        [(priority == 1) & (rng.random(n) < 0.5), priority == 1, priority == 2],
        [np.full(n, np.nan), np.full(n, 0.9), rng.uniform(0.70, 0.75, n)],
        rng.uniform(0.50, 0.60, n),
    )
