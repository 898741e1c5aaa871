"""What is believed of what meters say: one value a quantity, with its quality and the reason.

In this order: a stamp from the future is rejected; a stamp that does not move on any more is stale; readings of one
quantity by several ways that disagree give the worst plausible value, which nothing is moved onto; a power that used to
move and stands still to the last digit is suspect, however fresh its stamp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pdnopt.protocols.quantities import same_value
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["Belief", "Beliefs", "Believing", "Limits"]


@dataclass(frozen=True)
class Limits:
    """When a reading is no longer believed.

    Attributes
    ----------
    ahead_s : float
        A stamp may be ahead of ours by so much (as a device's guard allows, `pdnopt.gateway`).
    stale_s : float
        A stamp that stands still for so long, by our clock, is stale.
    still : int
        Readings in a row that are the very same before a power that used to move counts as standing still
        (`pdnopt.risk.meters` takes 12 too), and three times as many as it ever stood still before.
    apart_part, apart : float
        Two meters of one power may differ by this part of the larger, or by so many units.
    """

    ahead_s: float = 2.0
    stale_s: float = 30.0
    still: int = 12
    apart_part: float = 0.05
    apart: float = 0.5


@dataclass(frozen=True)
class Belief:
    """One quantity of one device."""

    value: Any
    quality: Quality
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is a value, even one that is only the worst plausible."""
        return self.quality in (Quality.GOOD, Quality.SUSPECT)


NOTHING = Belief(None, Quality.MISSING, "never seen")

MOVES = 3
"""Changes that must have been seen before a value can be said to have stopped changing."""

MOVING = ("p_kw", "q_kvar", "i_a")
"""Quantities that noise and load keep moving: one that stands still lies."""

WORST_IS_LEAST = ("soc_percent", "vm_pu", "overload_left")
"""Of two meters that disagree the smaller value is the worse one; of all others the larger."""


class Beliefs:
    """What is believed at one moment."""

    def __init__(self, found: dict[tuple[str, str], Belief]) -> None:
        self._found = found

    def of(self, device: str, quantity: str) -> Belief:
        """Return what is believed; with quality MISSING where nothing was read."""
        return self._found.get((device, quantity), NOTHING)

    def value(self, device: str, quantity: str, default: Any = None) -> Any:
        """Return the value, or the default where there is none that could be used."""
        found = self._found.get((device, quantity), NOTHING)
        return found.value if found.usable and found.value is not None else default

    def missing_part(self, quantity: str = "") -> float:
        """Return which part of the quantities (or of one of them) has no usable value; 1 where nothing was read."""
        mine = [belief for (_, name), belief in self._found.items() if not quantity or name == quantity]
        return sum(not belief.usable for belief in mine) / len(mine) if mine else 1.0

    def doubtful(self) -> dict[tuple[str, str], Belief]:
        """Return everything that is not simply good."""
        return {key: belief for key, belief in self._found.items() if belief.quality is not Quality.GOOD}

    def __len__(self) -> int:
        return len(self._found)


@dataclass
class _Seen:
    stamp_s: float
    moved_s: float  # our clock when the stamp last moved
    belief: Belief
    same: int = 0
    moves: int = 0
    longest: int = 0


class Believing:
    """Judges scans, one after another."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    def judge(self, readings: Iterable[Reading], now_s: float) -> Beliefs:
        """Return what is believed of the readings of one moment; ``now_s`` is UTC by a clock that does not jump."""
        found: dict[tuple[str, str], Belief] = {}
        several: dict[tuple[str, str], list[Belief]] = {}
        for item in readings:
            key = (item.device, item.quantity)
            belief = self._one(item, now_s)
            if key in found:
                several.setdefault(key, [found[key]]).append(belief)
            else:
                found[key] = belief
        for key, beliefs in several.items():
            found[key] = self._together(key[1], beliefs)
        return Beliefs(found)

    def _one(self, item: Reading, now_s: float) -> Belief:
        """Judge one reading by its stamp and by what was read before."""
        if item.quality in (Quality.BAD, Quality.MISSING):
            return Belief(None, item.quality, item.detail or "no value")
        if item.stamp_s > now_s + self.limits.ahead_s:
            return Belief(None, Quality.BAD, "its stamp is in the future")
        key = (item.device, item.quantity, item.path)
        seen = self._seen.get(key)
        if seen is None:
            belief = Belief(item.value, item.quality, item.detail)
            self._seen[key] = _Seen(item.stamp_s, now_s, belief)
            return belief
        if item.stamp_s > seen.stamp_s:
            seen.stamp_s, seen.moved_s = item.stamp_s, now_s
            if item.value == seen.belief.value:
                seen.same += 1
            else:
                seen.longest = max(seen.longest, seen.same)
                seen.same, seen.moves = 0, seen.moves + 1
                seen.belief = Belief(item.value, item.quality, item.detail)
        elif now_s - seen.moved_s > self.limits.stale_s:
            return Belief(None, Quality.MISSING, "stale: its stamp stands still")
        if seen.same >= self.limits.still and self._stands_still(item, seen):
            return Belief(item.value, Quality.SUSPECT, "flatline: the very same value again and again")
        if seen.belief.quality is not item.quality:
            seen.belief = Belief(item.value, item.quality, item.detail)
        return seen.belief

    def _stands_still(self, item: Reading, seen: _Seen) -> bool:
        moving = item.quantity in MOVING and isinstance(item.value, int | float) and item.value != 0
        return moving and seen.moves >= MOVES and seen.same >= max(self.limits.still, 3 * seen.longest)

    def _together(self, quantity: str, found: list[Belief]) -> Belief:
        """Return one belief from all ways by which a quantity came."""
        usable = [belief for belief in found if belief.usable]
        if not usable:
            return found[0]
        good = [belief for belief in usable if belief.quality is Quality.GOOD] or usable
        if all(self._agree(good[0].value, other.value) for other in good[1:]):
            return good[0]
        reason = "meters disagree"
        if all(_is_number(belief.value) for belief in good):
            worst = min if quantity in WORST_IS_LEAST else max
            return Belief(worst(belief.value for belief in good), Quality.SUSPECT, reason)
        return Belief(None, Quality.BAD, reason)

    def _agree(self, one: Any, other: Any) -> bool:
        if _is_number(one) and _is_number(other):
            limit = max(self.limits.apart, self.limits.apart_part * max(abs(one), abs(other)))
            return bool(abs(one - other) <= limit)
        return same_value(one, other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
