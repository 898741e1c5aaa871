"""Lanes: horizontal wires between two levels, each at a height of its own where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Lane", "allot", "free_x"]

CLEAR_PX = 7.0


@dataclass(frozen=True)
class Lane:
    """All wires of one node that run above one level; ``place`` counts from the top."""

    node: int
    level: int
    x0: float
    x1: float
    wires: tuple[int, ...]
    place: int = 0


def allot(lanes: Sequence[Lane]) -> list[Lane]:
    """Give each lane the lowest place where it overlaps no other one."""
    ends: list[float] = []
    out = []
    for lane in sorted(lanes, key=lambda item: (item.x0, item.x1, item.node)):
        place = next((k for k, end in enumerate(ends) if end + CLEAR_PX < lane.x0), len(ends))
        if place == len(ends):
            ends.append(lane.x1)
        ends[place] = lane.x1
        out.append(replace(lane, place=place))
    return out


def free_x(x: float, taken: Sequence[float]) -> float:
    """Return the place nearest to ``x`` that is clear of all those taken."""
    step = 0
    while True:
        for shift in (step, -step):
            if all(abs(x + shift - other) >= CLEAR_PX for other in taken):
                return x + shift
        step += 1
