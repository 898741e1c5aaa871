"""What zones may exchange with the rest of the plant: the global level's message to them, and the only one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.balancing.data import Point, Structure
from pdnopt.balancing.levels.aggregate import Aggregate
from pdnopt.balancing.levels.partial import OPEN_PU

__all__ = ["Exchange", "limits_of", "unlimited"]

LEAST_PART = 1e-3
"""Of a head's inverters' rating: an exchange has at least this room, or a zone could not follow it."""
SQRT2 = float(np.sqrt(2.0))


@dataclass(frozen=True)
class Exchange:
    """Limits of Q large inverters' heads, and the caps that all zones share.

    A zone keeps the current of its head, phase by phase, within a square around the plan: real and imaginary part
    of its distance, turned with the current, at most ``width``. Squares are so small that shared feeders keep
    their ratings, and shared feeders and boards the caps, whatever zones do inside of them: also long after the
    global level was lost.

    Attributes
    ----------
    plan : complex, shape (3Q,)
        Current of the head, pu.
    width : shape (3Q,)
        pu.
    vuf_cap, spread_cap : float
        Worst |V2| / |V1| and spread of the plant.
    """

    plan: np.ndarray
    width: np.ndarray
    vuf_cap: float
    spread_cap: float

    def amperes(self, base_ka: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return plan (complex) and width in A by head and phase, (Q, 3); ``base_ka``: of 1 pu at each head."""
        scale = 1e3 * base_ka[:, None]
        return self.plan.reshape(-1, 3) * scale, self.width.reshape(-1, 3) * scale


def unlimited(aggregate: Aggregate, vuf_cap: float, spread_cap: float) -> Exchange:
    """Return limits that nothing reaches."""
    n = 3 * len(aggregate.head)
    return Exchange(np.zeros(n, dtype=complex), np.full(n, OPEN_PU), vuf_cap, spread_cap)


def limits_of(
    aggregate: Aggregate,
    point: Point,
    rating_pu: np.ndarray,
    change: np.ndarray,
    island: np.ndarray,
    caps: tuple[float, float],
) -> Exchange:
    """Return limits around a plan, with what shared feeders and boards leave given out by rating.

    Parameters
    ----------
    aggregate : Aggregate
    point : Point
        Of the aggregate.
    rating_pu : shape (Q,)
        Sum of the inverters' ratings behind each head, a phase.
    change : complex, shape (3Q,)
        Of the large inverters' currents: the plan.
    island : int, shape (Q,)
        What is in no island has no limit (-1).
    caps : (float, float)
        On |V2| / |V1| and on the spread.
    """
    s = aggregate.structure
    turn, amps = point.turn_re + 1j * point.turn_im, point.amps
    current = turn * amps + s.reach.current @ change
    weight = SQRT2 * np.repeat(rating_pu, 3)
    by_feeder = (abs(s.reach.current) @ weight).reshape(-1, 3)
    size = np.abs(current).reshape(-1, 3)
    room = np.full(len(s.limit), np.inf)
    some = by_feeder.max(axis=1) > 0
    use = aggregate.shared & some
    with np.errstate(divide="ignore", invalid="ignore"):
        rating = np.where(by_feeder > 0, (s.limit[:, None] - size) / by_feeder, np.inf).min(axis=1)
        spread = (caps[1] * s.scale - (size.max(axis=1) - size.min(axis=1))) / (2.0 * by_feeder.max(axis=1))
    room[use] = rating[use]
    counted = use & s.counts
    room[counted] = np.minimum(room[counted], spread[counted])
    most = _least_by_island(s, aggregate, room, island)
    most = np.minimum(most, _room_of_boards(s, aggregate, point, weight, change, caps[0], island))
    share = np.where(island >= 0, np.maximum(most, LEAST_PART), OPEN_PU)
    head = aggregate.head
    rows = (3 * np.maximum(head, 0)[:, None] + np.arange(3)).ravel()
    width = np.minimum(np.repeat(share * rating_pu, 3), OPEN_PU)
    return Exchange(current[rows], width, *caps)


def _least_by_island(s: Structure, aggregate: Aggregate, room: np.ndarray, island: np.ndarray) -> np.ndarray:
    """Return the least room of the feeders of each large inverter's island, (Q,)."""
    out = np.full(len(island), np.inf)
    for k, part in enumerate(aggregate.islands):
        out[island == k] = room[part.feeders].min(initial=np.inf)
    return out


def _room_of_boards(
    s: Structure,
    aggregate: Aggregate,
    point: Point,
    weight: np.ndarray,
    change: np.ndarray,
    cap: float,
    island: np.ndarray,
) -> np.ndarray:
    """Return the same for the unbalance of shared boards (heads have theirs in their zones)."""
    out = np.full(len(island), np.inf)
    if not s.two.shape[0]:
        return out
    reach = s.two @ s.reach.voltage
    one = 1.0 / np.maximum(np.abs(point.two_turn_re + 1j * point.two_turn_im), 1e-12)
    turn = (point.two_turn_re + 1j * point.two_turn_im) * one
    two = turn * point.two * one + reach @ change
    by_board = abs(reach) @ weight
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(by_board > 0, (cap * one - np.abs(two)) / by_board, np.inf)
    for k, part in enumerate(aggregate.islands):
        shared = part.nodes[aggregate.boards[part.nodes]]
        out[island == k] = room[shared].min(initial=np.inf)
    return out
