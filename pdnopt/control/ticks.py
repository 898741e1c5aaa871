"""What one tick of the loop comes to, and what of it is written down."""

from __future__ import annotations

from dataclasses import dataclass

from pdnopt.control.picture import Picture
from pdnopt.control.standing import Standing
from pdnopt.journal import Journal

__all__ = ["LOOKS", "Tick", "is_idle", "write_tick"]

LOOKS = ("watches", "prepares", "observes")
IDLE = (*LOOKS, "stands by")


@dataclass(frozen=True)
class Tick:
    """What one tick came to: for views, reports and benchmarks."""

    t_s: float
    picture: Picture
    standing: Standing
    did: str
    wall_s: float
    leads: bool
    overloaded: tuple[str, ...] = ()


def is_idle(tick: Tick) -> bool:
    """Return whether it did no more than look."""
    return tick.did.startswith(IDLE)


def write_tick(journal: Journal, tick: Tick) -> None:
    """Write a tick as an event. Raises JournalError where that fails."""
    journal.event(
        tick.t_s,
        "tick",
        total_kw=round(tick.picture.total_kw, 3),
        unserved_kw={str(k): round(v, 3) for k, v in tick.standing.unserved_by_priority.items()},
        overloaded=list(tick.overloaded),
        failed=list(tick.picture.failed),
        did=tick.did,
    )
