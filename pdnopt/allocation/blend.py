"""Large problems: the LP over groups of devices that are alike, whose duals price every device: the bound.

Devices of one group have the same choices; in fine groups also the same pattern of load over the scenarios. The LP in which
all devices of a group split alike is small. Its duals are a valid bound whatever the groups (Lagrange), and a good one where
many devices can come near any split. Finer groups are tried where the LP and its bound are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.allocation.exposure import Core
from pdnopt.allocation.goals import Goal
from pdnopt.allocation.programme import Programme

if TYPE_CHECKING:
    from pdnopt.allocation.search import Search

__all__ = ["Blend", "Blended", "dealt"]

GROUPED = 0.5
"""Groups over devices up to which groups pay."""

MOST_COLUMNS = 6_000
"""Choices of all groups up to which an LP over them pays."""

PARTS = tuple(1.0 - 0.04 * k for k in range(26))
"""Parts of the duals of a cost that are tried."""

ENOUGH = 0.5
"""Of a goal's tolerance: how far apart the LP and its bound may be before finer groups are tried."""


@dataclass(frozen=True)
class Blended:
    """What an LP over groups says: the bound, the group of each device, and the part of each choice in each group."""

    bound: float
    group: np.ndarray
    parts: tuple[np.ndarray, ...]


class Blend:
    """The LPs over groups of one search."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.last: Blended | None = None

    def bound(self, goal: Goal) -> float:
        """Return the best bound found, -inf where the devices are not alike; ``last`` is the LP that gives it."""
        self.last, best = None, -inf
        for fine in (False, True):
            group = self._groups(goal, fine)
            n = int(group.max(initial=-1)) + 1
            if n > GROUPED * self.search.n:
                break
            lead = _leaders(group)
            if sum(int(self.search.allowed[d].sum()) for d in lead) > MOST_COLUMNS:
                break
            found, value = self._solve(goal, group, lead)
            if found is None:
                break
            if found.bound > best:
                self.last, best = found, found.bound
            if value - found.bound <= ENOUGH * goal.tolerance:
                break
        return best

    def thrifty(self, moves: Goal, least_margin: float, most_spread: float) -> Blended | None:
        """Return what an LP says that leaves as many devices as it can where they stand; its margin and spread are held."""
        search = self.search
        group = groups_of(search.data, search.allowed, by_held=True, fine=False)
        lead = _leaders(group)
        if sum(int(search.allowed[d].sum()) for d in lead) > MOST_COLUMNS:
            return None
        kept = search.least_margin, search.most_spread
        search.least_margin, search.most_spread = least_margin, most_spread
        found, _ = self._solve(moves, group, lead)
        search.least_margin, search.most_spread = kept
        return found

    def _groups(self, goal: Goal, fine: bool) -> np.ndarray:
        by_held = goal.cost is not None or self.search.max_moves < inf
        return groups_of(self.search.data, self.search.allowed, by_held, fine)

    def _solve(self, goal: Goal, group: np.ndarray, lead: np.ndarray) -> tuple[Blended | None, float]:
        """Solve the LP; return what it says, and its value."""
        search, n = self.search, len(lead)
        inner = search.grouped(group_core(search.data, group, lead), lead, group)
        own = replace(goal, cost=None if goal.cost is None else summed(goal.cost, group, n), tolerance=0.0)
        weights = inner.relaxed(own)
        if weights is None or inner.last is None:
            return None, inf
        outcome, programme, dual = inner.last
        search.add_rows(inner.rows)
        bound = self._lagrange(goal, programme, dual, n, outcome.objective - float(dual[:n].sum()))
        parts = [np.zeros(len(search.allowed[d])) for d in lead]
        for g, k, weight in zip(inner.device, inner.choice, weights, strict=True):
            parts[g][k] = max(weight, 0.0)
        return Blended(bound, group, tuple(parts)), outcome.objective

    def _lagrange(
        self, goal: Goal, group: Programme, dual: np.ndarray, n_groups: int, constant: float
    ) -> float:
        """Return what the duals of a programme of groups prove, every device where it is cheapest then.

        ``constant``: the part that no device has. Of a cost, any part of the duals proves something too; the best is taken.
        """
        search, at = self.search, group.at_load
        load = dual[at : at + len(group.load_rows)]
        parts = (1.0,) if goal.cost is None else PARTS
        proved = np.array(parts) * constant
        for k, members in enumerate(search.data.choices.members):
            if not len(members):
                continue
            price = -search.formulation.priced(search.data, k, group.load_rows, load)
            price += search.other_price(group.system_rows, members, dual[n_groups:at])
            own = 0.0 if goal.cost is None else np.array([goal.cost[d] for d in members])
            for i, part in enumerate(parts):
                least = np.where(search.allowed_of[k], own + part * price, inf).min(axis=1)
                proved[i] += float(least.sum())
        return float(proved.max())


def summed(costs: Sequence[np.ndarray], group: np.ndarray, n: int) -> tuple[np.ndarray, ...]:
    """Return costs by device and choice added up by group."""
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(n + 1))
    return tuple(np.sum([costs[d] for d in order[first[g] : first[g + 1]]], axis=0) for g in range(n))


def _leaders(group: np.ndarray) -> np.ndarray:
    """Return the first device of each group."""
    return np.unique(group, return_index=True)[1]


def groups_of(data: Core, allowed: Sequence[np.ndarray], by_held: bool, fine: bool) -> np.ndarray:
    """Return the group of each device, (D,).

    Parameters
    ----------
    by_held : bool
        Devices of different ``held`` choices apart.
    fine : bool
        Devices whose load differs in another way from scenario to scenario apart.
    """
    keys: dict[tuple[object, ...], int] = {}
    shape = shapes(data) if fine else np.zeros(len(allowed), dtype=int)
    out = np.zeros(len(allowed), dtype=int)
    for d, may in enumerate(allowed):
        held = int(data.choices.held[d]) if by_held else -1
        key = (int(data.choices.kind[d]), may.tobytes(), int(shape[d]), held)
        out[d] = keys.setdefault(key, len(keys))
    return out


def shapes(data: Core) -> np.ndarray:
    """Return which pattern of load over the scenarios each device has, (D,)."""
    first = np.maximum(data.p_kw[:1], 1e-9)
    pattern = np.ascontiguousarray((data.p_kw / first).round(6).transpose(1, 0, 2)).reshape(
        data.p_kw.shape[1], -1
    )
    keys: dict[bytes, int] = {}
    return np.array([keys.setdefault(row.tobytes(), len(keys)) for row in pattern], dtype=int)


def group_core(data: Core, group: np.ndarray, lead: np.ndarray) -> Core:
    """Return the core whose devices are groups."""
    choices = data.choices
    hot = (group[None, :] == np.arange(len(lead))[:, None]).astype(float)
    grouped = replace(
        choices,
        transfer=choices.transfer[lead],
        name=[choices.name[d] for d in lead],
        kind=choices.kind[lead],
        switches=tuple(choices.switches[d] for d in lead),
        allowed=tuple(choices.allowed[d] for d in lead),
        held=choices.held[lead],
        output=choices.output[lead],
    )
    return replace(data, choices=grouped, p_kw=hot @ data.p_kw, s_kva=hot @ data.s_kva)


def dealt(data: Core, blended: Blended) -> np.ndarray:
    """Return whole choices near the parts of groups: the devices of a group are dealt, those of one pattern together.

    Each takes the choice of which its group, counting what its pattern got, still lacks most. The largest go first.
    """
    p_kw = data.p_kw[0].mean(axis=1)
    shape = shapes(data)
    chosen = np.array([int(part.argmax()) for part in blended.parts])[blended.group]
    lacking: dict[tuple[int, int], np.ndarray] = {}
    total = np.zeros((len(blended.parts), int(shape.max(initial=0)) + 1))
    np.add.at(total, (blended.group, shape), p_kw)
    for d in np.lexsort((np.arange(len(p_kw)), -p_kw)):
        g, s = int(blended.group[d]), int(shape[d])
        part = blended.parts[g]
        own = lacking.setdefault((g, s), part * total[g, s])
        whole = lacking.setdefault((g, -1), part * total[g].sum())
        k = int(np.where(part > 1e-6, own + whole, -inf).argmax())
        chosen[d] = k
        own[k] -= p_kw[d]
        whole[k] -= p_kw[d]
    return np.asarray(chosen)
