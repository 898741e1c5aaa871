"""A first point for all terms: the cheapest way that gives a good one.

Everything served by few moves near the disturbance, if that is feasible; everything served with the structure as it stands,
if that is; else the best of the point given, the best service with the structure as it stands, and the LP of a blend of
all terms made integral by fix-and-refine; then the whole MIP.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from pdnopt.engine.highs import Outcome
from pdnopt.engine.question import Hint
from pdnopt.engine.space import Space

__all__ = ["PART_SHARE", "REFINE_NODES", "First", "first_point"]

PART_SHARE, REFINE_NODES = 0.15, 50
"""Part of the time left, and nodes, of one of the small MIPs."""

LOCAL_SHARE, LOCAL_NODES = 0.25, 200
"""Part of the time left, and nodes, of a MIP near the disturbance."""

MOVES = (1, 3, inf)
"""Moves that the MIPs near the disturbance may make, one after another."""


class First(NamedTuple):
    """A first point, if there is one; ``local``: it was found with what is far from the disturbance held, and that stays."""

    status: str
    x: np.ndarray | None
    local: bool = False


def first_point(space: Space) -> First:
    """Find a first point for the blend of all terms."""
    question = space.question
    blend, gap = question.blend, question.blend_gap
    found: Outcome | None = None
    if question.start is not None:
        found = Outcome("feasible", question.start, float(blend @ question.start), -inf)
    if question.outsides:
        return _near(space, blend, gap, found)
    if question.hint is not None:
        everybody = _everybody_served(space, question.hint)
        kept = None if everybody is None else _held(space, everybody, blend, gap)
        if kept is not None:
            return First("feasible", kept.x)
    relaxed = space.relax(blend)
    if relaxed.status == "infeasible" and found is None:
        return First("infeasible", None)
    enough = -inf if relaxed.x is None else relaxed.objective + gap
    standing = question.hint is not None and not question.frozen  # frozen, the whole is no more than that
    if question.hint is not None and standing and (found is None or found.objective > enough):
        found = _better(found, _held(space, question.hint, blend, gap))
    if relaxed.x is not None and (found is None or found.objective > enough):
        part = space.whole()
        if part is not None:
            until_s = space.until(PART_SHARE)
            found = _better(found, part.refine(relaxed.x, blend, gap, until_s, REFINE_NODES))
    if found is None:
        found = space.search(blend, gap, question.deadline_s)
    if found.x is None:
        return First("infeasible" if found.status == "infeasible" else "no_incumbent", None)
    return First("feasible", found.x)


def _near(space: Space, blend: np.ndarray, gap: float, found: Outcome | None) -> First:
    """Look for a point that serves everybody with ever less held of what is far from the disturbance."""
    for outside in space.question.outsides:
        found = _locally(space, outside, blend, gap, found)
        if found is not None and found.x is not None and space.question.at_floors(found.x):
            space.fix(*outside)
            return First("feasible", found.x, local=True)
    return First("no_incumbent", None if found is None else found.x)


def _locally(
    space: Space, outside: Hint, blend: np.ndarray, gap: float, found: Outcome | None
) -> Outcome | None:
    """Hold what is far from the disturbance; small MIPs with ever more moves decide the rest.

    Few moves first (local branching: Fischetti and Lodi, Mathematical Programming 98, 2003): such MIPs are small.
    """
    region = space.part(*outside)
    if region is None:
        return found
    for most in MOVES if space.question.pinned in space.row_of else (inf,):
        part = space.limited(region, most)
        relaxed = None if part is None else part.relax(blend, space.question.deadline_s)
        if part is None or relaxed is None or relaxed.x is None:
            continue
        enough = relaxed.objective + gap
        if found is not None and found.objective <= enough:
            continue
        until_s = space.until(LOCAL_SHARE)
        found = _better(found, part.refine(relaxed.x, blend, gap, until_s, REFINE_NODES))
        if found is None or found.objective > enough:
            searched = part.search(blend, gap, space.until(LOCAL_SHARE), max_nodes=LOCAL_NODES)
            found = _better(found, searched)
        if found is not None and found.x is not None and space.question.at_floors(found.x):
            break
    return found


def _everybody_served(space: Space, hint: Hint) -> Hint | None:
    """Return the structure as hinted together with the terms of the prefix at their best; None without such terms."""
    question = space.question
    cost = np.sum([question.model.cost[name] for name in question.grouped], axis=0)
    used = np.flatnonzero(cost)
    if not len(used):
        return None
    best = np.where(cost[used] > 0, space.arrays.col_low[used], space.arrays.col_high[used])
    return np.r_[hint[0], used], np.r_[hint[1], best]


def _held(space: Space, hold: Hint, blend: np.ndarray, gap: float) -> Outcome | None:
    """Decide what is left where some columns are held."""
    part = space.part(*hold)
    relaxed = None if part is None else part.relax(blend, space.question.deadline_s)
    if part is None or relaxed is None or relaxed.x is None:
        return None
    refined = part.refine(relaxed.x, blend, gap, space.until(PART_SHARE), REFINE_NODES)
    return refined if refined.x is not None else None


def _better(one: Outcome | None, other: Outcome | None) -> Outcome | None:
    """Return the outcome of lower objective among those with a point; the first of equals."""
    if other is None or other.x is None:
        return one
    return one if one is not None and one.objective <= other.objective else other
