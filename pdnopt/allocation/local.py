"""Whole choices for one goal after another by exchange: from where the taps stand, from the last answer, from the LP."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.allocation.blend import dealt
from pdnopt.allocation.exchange import Exchange, Target
from pdnopt.allocation.goals import Goal
from pdnopt.allocation.ledger import Ledger

if TYPE_CHECKING:
    from pdnopt.allocation.search import Search

__all__ = ["Local"]

TAUS = (0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002)
"""Of the scale: how far from the tightest row others count, one after another."""

HOT = tuple((tau, *TAUS) for tau in (0.05, 0.02, 0.1, 0.2, 0.03, 0.3, 0.07))
"""Tried after them, from the best so far, where it is not good enough."""

STEPS = 3_000
"""Exchanges in one trial at most."""

NEARLY = 0.9
"""Of a goal's tolerance: what is within it of the bound is good enough."""

PRICES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""What is paid for one unit of a cost, as parts of the mean load of a device: the dearest that suffices is best."""

ALIKE = 1e-3
"""Spread that the LP is asked for which leaves most devices where they stand."""

EASED = 0.6
"""Part of the spread reached that is asked for next; its root once that is too little, up to LAST_EASED."""

LAST_EASED = 0.9


class Local:
    """The search by exchange of one `Search`."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.ledger = Ledger(search.data, search.allowed)
        self.exchange = Exchange(self.ledger, search.scale_kw)
        self.all_may = self.exchange.may
        self.moved = self.ledger.by_behaviour(search.moved)
        self.thrifty = search.max_moves < inf
        self.mean_kw = float(self.ledger.power[0].mean()) if self.ledger.power[0].size else 1.0

    @property
    def prices(self) -> tuple[float, ...]:
        """What is paid for a move while margin and balance are searched: nothing where moves do not matter."""
        return PRICES if self.thrifty else (0.0,)

    def improved(self, goal: Goal, best: np.ndarray, bound: float) -> np.ndarray:
        """Return better choices for a goal, those of the goals before kept where they were."""
        self.exchange.may = self.all_may & self._affordable(best)
        now = self.ledger.behaviour(best)
        if goal.name == "margin":
            found = self._margin(now, -bound - NEARLY * goal.tolerance)
        elif goal.name == "balance":
            found = self._balance(now, max(bound, 0.0) + NEARLY * goal.tolerance)
        else:
            found = self._cheaper(goal, now, bound + NEARLY * goal.tolerance)
        return self.ledger.chosen(found)

    def _affordable(self, best: np.ndarray) -> np.ndarray:
        """Return behaviours that cost no device more than what it has, of the costs of the goals before."""
        out = np.ones(self.all_may.shape, dtype=bool)
        at = np.arange(len(best))
        now = self.ledger.behaviour(best)
        for costs, _ in self.search.held:
            by = self.ledger.by_behaviour(costs)
            out &= by <= by[at, now][:, None] + 1e-9
        return out

    def _margin(self, now: np.ndarray, enough_kw: float) -> np.ndarray:
        search, target = self.search, Target(0.0)

        def least_kw(behaviour: np.ndarray) -> float:
            return self.exchange.least_kw(behaviour, target)

        near = None
        if self.thrifty:
            moves = Goal("moves", search.moved, 0.0)
            near = search.blend.thrifty(moves, enough_kw, ALIKE)
        elif search.blend.last is not None:
            near = search.blend.last
        starts = [now, *(self.ledger.behaviour(chosen) for chosen in search.starts)]
        if near is not None and max(map(least_kw, starts)) < enough_kw - self.mean_kw:
            starts.append(self.ledger.behaviour(dealt(search.data, near)))
        best = max(starts, key=least_kw)
        trial = best
        for price in self.prices:
            trial = self._improve(trial, target, TAUS, enough_kw, price)
            best = max(best, trial, key=least_kw)
            if least_kw(best) >= enough_kw:
                return best
        for taus in HOT:
            best = self._improve(best, target, taus, enough_kw)
            if least_kw(best) >= enough_kw:
                break
        return best

    def _balance(self, now: np.ndarray, enough: float) -> np.ndarray:
        """Return choices of less spread that keep the margin: less and less is asked for."""
        search, best = self.search, now
        reached = search.spread(self.ledger.chosen(now))
        prices, eased = [*self.prices, 0.0], EASED
        while reached > enough and eased < LAST_EASED:
            target = Target(search.least_margin, max(enough, eased * reached))
            trial = best
            while prices:
                trial = self._improve(trial, target, TAUS if len(prices) > 1 else HOT[0], 0.0, prices[0])
                if self.exchange.least_kw(trial, target) >= 0.0:
                    best, reached = trial, search.spread(self.ledger.chosen(trial))
                    break
                prices.pop(0)
            if not prices:
                prices, eased = [0.0], float(np.sqrt(eased))
        return best

    def _cheaper(self, goal: Goal, now: np.ndarray, enough: float) -> np.ndarray:
        """Return choices of less cost that keep margin and spread: from the cheapest ones, at lower and lower prices."""
        search, exchange = self.search, self.exchange
        assert goal.cost is not None
        cost = self.ledger.by_behaviour(goal.cost)
        target = Target(search.least_margin, search.most_spread)
        at = np.arange(len(now))

        def spent(behaviour: np.ndarray) -> float:
            return float(cost[at, behaviour].sum())

        may = np.where(exchange.may, cost, inf)
        dear = cost[at, now] - may.min(axis=1)
        if not (dear > 1e-9).any():
            return now
        start = np.where(dear > 1e-9, may.argmin(axis=1), now)
        best = exchange.cheapen(now, target, cost, search.deadline_s)
        unit_kw = self.mean_kw / float(dear[dear > 1e-9].mean())
        for price in PRICES:
            if spent(best) <= enough:
                break
            start = exchange.improve(
                start,
                target,
                TAUS,
                cost=cost,
                price_kw=price * unit_kw,
                steps=STEPS,
                deadline_s=search.deadline_s,
            )
            if exchange.least_kw(start, target) < 0.0:
                continue
            found = exchange.cheapen(start, target, cost, search.deadline_s)
            if spent(found) < spent(best):
                best = found
            break
        return best

    def _improve(
        self, now: np.ndarray, target: Target, taus: tuple[float, ...], enough_kw: float, price: float = 0.0
    ) -> np.ndarray:
        return self.exchange.improve(
            now,
            target,
            taus,
            enough_kw=enough_kw,
            cost=self.moved,
            price_kw=price * self.mean_kw,
            most=self.search.max_moves,
            steps=STEPS,
            deadline_s=self.search.deadline_s,
        )
