"""Lanes: horizontal wires between two levels, each at a height of its own where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Lane", "allot", "free_x"]

CLEAR_PX = 7.0
SLOT_PX = 8
"""How far a line may move aside within its slot."""


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
    """Return the place near ``x`` that is clear of all those taken, or as clear as its slot allows."""

    def clearance(at: float) -> float:
        return min((abs(at - other) for other in taken), default=CLEAR_PX)

    near = sorted((x + shift for shift in range(-SLOT_PX, SLOT_PX + 1)), key=lambda at: abs(at - x))
    return next((at for at in near if clearance(at) >= CLEAR_PX), max(near, key=clearance))
