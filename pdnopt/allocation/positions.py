"""Which taps would need one more position, at least, for every contingency to be carried.

Every decided device may be given one position more, at a station that others reach and it does not; the fewest that make
a margin of 0 possible are found by the same search, over choices that know the new position. A device that moves by itself
uses it as any other; the new position is the last in its table order. What a scenario counts as hanging on a device stays
as it is: where none of its present positions lives, the new one is not counted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.allocation.choices import Kind
from pdnopt.allocation.exposure import Core, Frame
from pdnopt.allocation.goals import Goal
from pdnopt.allocation.search import Search

__all__ = ["Extension", "fewest_positions"]

MOST_COLUMNS = 60_000
"""Choices in all up to which the question is asked."""


@dataclass(frozen=True)
class Extension:
    """New positions, pairs of device and station by row of `Choices`; at least ``bound`` of them are needed."""

    added: tuple[tuple[int, int], ...]
    bound: int


@dataclass(frozen=True)
class _Wider:
    """A kind with one position more: its own choices first; the station that each needs besides (-1: none)."""

    kind: Kind
    needs: np.ndarray


def fewest_positions(
    formulation: Any, core: Core, frame: Frame, tolerance_kw: float, deadline_s: float
) -> Extension | None:
    """Return the fewest new positions; None where none are enough, or the problem is too large to say."""
    choices = core.choices
    wider = [_wider(kind, len(choices.station_node)) for kind in choices.kinds]
    if sum(len(wider[k].needs) for k in choices.kind) > MOST_COLUMNS:
        return None
    alive = _alive(core, frame)
    stands = [one.kind.stands(alive) for one in wider]
    for k, old in enumerate(core.stands):  # scenarios in which nothing is counted as hanging on the output
        stands[k][(old < 0).all(axis=1)] = -1
    allowed = _allowed(core, frame.allowed, wider, stands)
    larger = replace(choices, kinds=tuple(one.kind for one in wider), allowed=allowed)
    wide_core = replace(core, choices=larger, stands=tuple(stands))
    search = Search(formulation, wide_core, allowed, deadline_s=deadline_s)
    search.solve([Goal("margin", None, tolerance_kw)])
    if search.margin_kw(search.best) < 0.0:
        return None
    search.least_margin = 0.0
    cost = tuple((wider[k].needs >= 0).astype(float) for k in choices.kind)
    found = search.solve([Goal("positions", cost, 0.5)])
    added = [(d, int(wider[choices.kind[d]].needs[x])) for d, x in enumerate(found.chosen)]
    return Extension(tuple((d, q) for d, q in added if q >= 0), int(np.ceil(found.bound["positions"] - 1e-6)))


def _wider(kind: Kind, n_stations: int) -> _Wider:
    """Return the choices of a kind, and those with each other station as a position more."""
    n = len(kind.stations)
    active, following = list(kind.active), list(kind.following)
    order = [np.append(row, row[-1]) for row in kind.order]
    needs = [-1] * len(active)
    for q in np.setdiff1d(np.arange(n_stations), kind.stations):
        stations = np.append(kind.stations, q)
        if not kind.auto:
            active.append(n)
            following.append(-1)
            order.append(np.append(q, np.full(n, q)))
            needs.append(int(q))
            continue
        for a in range(n + 1):
            for f in range(n + 1):
                if a == f:
                    continue
                rest = [p for p in range(n + 1) if p not in (a, f)]
                active.append(a)
                following.append(f)
                order.append(stations[[a, f, *rest]])
                needs.append(int(q))
    stands = Kind(kind.stations, kind.auto, np.array(active), np.array(following), np.array(order, dtype=int))
    return _Wider(stands, np.array(needs))


def _alive(core: Core, frame: Frame) -> np.ndarray:
    """Return which stations live in each class of scenarios, (C, Q)."""
    of_pattern = {int(p): one.alive for p, one in zip(frame.pattern, frame.scenarios, strict=True)}
    return np.array([of_pattern[int(p)] for p in core.pattern], dtype=bool)


def _allowed(
    core: Core, now: Sequence[np.ndarray], wider: Sequence[_Wider], stands: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Return the choices that each device may take: what it may now, and new positions that keep its output live."""
    choices = core.choices
    out = []
    for d, k in enumerate(choices.kind):
        live = (core.stands[k][:, now[d]] >= 0).any(axis=1)
        steady = (stands[k][live] >= 0).all(axis=0)
        may = steady & (wider[k].needs >= 0)
        may[: len(now[d])] = now[d]
        if not (now[d].sum() > 1):  # a device that is stuck or dwells stays where it is
            may[len(now[d]) :] = False
        out.append(may)
    return tuple(out)
