"""Solve a reserve allocation term after term: rows where they bind, columns where they pay, then whole numbers.

1. *LP* over the columns and rows known so far. Rows that its point breaks are added, columns of negative reduced cost too.
   Whatever columns are known, LP value + the sum over devices of their least reduced cost (if negative) is a valid bound
   of the LP with all columns (Lagrange), and so of the problem.
2. *Whole numbers*. A vertex of the LP splits few devices. The others are held, and a small MIP decides these; rows that its
   point breaks are added. Where the gap stays, more devices are freed; a small problem is at last a MIP of all devices.
   Large problems have their bound from an LP over groups of devices (`blend`), and their choices by exchange (`local`).
3. The term is then held within its tolerance, and the next one follows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from pdnopt.allocation.blend import Blend, summed
from pdnopt.allocation.exposure import Core
from pdnopt.allocation.goals import Goal
from pdnopt.allocation.local import Local
from pdnopt.allocation.programme import Programme
from pdnopt.engine.highs import Outcome

__all__ = ["Search", "Solved"]

WHOLE = 1e-6
FEW_COLUMNS = 4000
"""Up to so many choices in all, every column is known from the start."""

MIP_COLUMNS = 1500
"""Up to so many choices in all, a MIP of all devices closes what gap is left."""

ROWS_A_ROUND = 60
MAX_ROUNDS = 60
NODES = 40
FREED = (0, 20, 60)
"""Devices freed beyond those that the LP splits, one trial after another."""

ROW_KW = 1e-5


@dataclass
class Solved:
    """The choice of every device, and the terms' values and bounds; ``proved``: all within their tolerance."""

    chosen: np.ndarray
    value: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    proved: bool = True
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=int))
    trace: list[tuple[float, str, float, float]] = field(default_factory=list)


class Search:
    """One core, solved goal after goal.

    Parameters
    ----------
    formulation : Reserve
    data : Core
    allowed : tuple of bool arrays, (K,), by device
    max_moves : float
    deadline_s : float
        On the clock of ``time.perf_counter``.
    whole : bool
        As a small problem, whatever its size.
    last : Solved, optional
        An answer to other loads: a large problem starts from its choices and its rows, too; a small one, which is solved
        to its end, has the same answer without.
    """

    def __init__(
        self,
        formulation: Any,
        data: Core,
        allowed: Sequence[np.ndarray],
        max_moves: float = inf,
        deadline_s: float = inf,
        whole: bool = False,
        last: Solved | None = None,
    ) -> None:
        self.formulation, self.data, self.allowed = formulation, data, allowed
        self.deadline_s, self.max_moves = deadline_s, max_moves
        choices = data.choices
        self.n = len(choices.name)
        self.moved = formulation.moved(data)
        self.n_all = int(sum(may.sum() for may in allowed))
        self.small = whole or self.n_all <= FEW_COLUMNS
        self.last: tuple[Outcome, Programme, np.ndarray] | None = None
        self.rows = np.zeros((0, 3), dtype=int)
        self.held: list[tuple[tuple[np.ndarray, ...], float]] = []
        self.least_margin = -inf
        self.most_spread = inf
        self._block = np.zeros((0, 0))
        self.device = self.choice = np.zeros(0, dtype=int)
        self._known: set[tuple[int, int]] = set()
        self.allowed_of = [
            np.array([allowed[d] for d in members]) if len(members) else np.zeros((0, 0), dtype=bool)
            for members in choices.members
        ]
        self.stands = np.array(
            [int(h) if may[h] else int(may.argmax()) for h, may in zip(choices.held, allowed, strict=True)],
            dtype=int,
        )
        self.best = self.stands
        self.starts: list[np.ndarray] = []
        if last is not None and not self.small:
            self._start_from(last)
        limits = data.system_limit_kw if len(data.system) else data.rest_kw[np.isfinite(data.rest_kw)]
        self.scale_kw = float(np.abs(limits).mean()) if len(limits) else 1.0
        if not self.small:
            self.blend, self.local = Blend(self), Local(self)

    def _start_from(self, last: Solved) -> None:
        """Keep what an answer to other loads says: its choices, and the rows that were tight."""
        fits = len(last.chosen) == self.n
        if fits and all(bool(may[k]) for may, k in zip(self.allowed, last.chosen, strict=True)):
            self.starts.append(last.chosen)
        if len(last.rows) and (last.rows.max(axis=0) < self.data.rest_kw.shape).all():
            self.rows = last.rows

    def _open_columns(self) -> None:
        """Make the first columns, where a programme over all devices is to be solved."""
        if not self._known:
            first = [(d, k) for d in range(self.n) for k in self._first(d)]
            self.device = np.array([d for d, _ in first], dtype=int)
            self.choice = np.array([k for _, k in first], dtype=int)
            self._known = set(first)

    def grouped(self, data: Core, lead: np.ndarray, group: np.ndarray) -> Search:
        """Return the search over groups of devices that holds what this one holds."""
        allowed = [self.allowed[d] for d in lead]
        inner = Search(self.formulation, data, allowed, self.max_moves, self.deadline_s, whole=True)
        inner.moved = summed(self.moved, group, len(lead))
        inner.held = [(summed(costs, group, len(lead)), top) for costs, top in self.held]
        inner.least_margin, inner.most_spread = self.least_margin, self.most_spread
        inner.rows = self.rows
        return inner

    def _first(self, d: int) -> list[int]:
        """Return the columns to begin with: all, or of every active position one pair, another one device by device."""
        may = np.flatnonzero(self.allowed[d])
        if self.small:
            return [int(k) for k in may]
        kind = self.data.choices.kinds[self.data.choices.kind[d]]
        held = int(self.data.choices.held[d])
        out = [held] if self.allowed[d][held] else []
        for a in np.unique(kind.active[may]):
            mine = may[kind.active[may] == a]
            out.append(int(mine[d % len(mine)]))
        return sorted(set(out))

    # --- rows

    def margin_kw(self, chosen: np.ndarray) -> float:
        """Return the worst margin of a choice, kW."""
        return float((self.data.rest_kw - self.data.hung_kw(chosen)).min(initial=inf))

    def spread(self, chosen: np.ndarray) -> float:
        """Return the spread of the reserve systems' loading with nothing failed."""
        data = self.data
        if not len(data.system):
            return 0.0
        part = data.hung_kw(chosen)[0, data.system] + data.system_base_kw
        part = part / data.system_limit_kw[:, None]
        return float((part.max(axis=0) - part.min(axis=0)).max(initial=0.0))

    def _worst_by_row(self, slack: np.ndarray) -> np.ndarray:
        """Return for every open component and vector its tightest scenario, the tightest first; (n, 3)."""
        if not slack.size:
            return np.zeros((0, 3), dtype=int)
        c = slack.argmin(axis=0)
        least = np.take_along_axis(slack, c[None], axis=0)[0]
        r, v = np.nonzero(np.isfinite(least))
        order = np.argsort(least[r, v], kind="stable")
        r, v = r[order], v[order]
        return np.column_stack([c[r, v], r, v])[: 2 * ROWS_A_ROUND]

    def _broken(self, slack: np.ndarray, margin_kw: float) -> np.ndarray:
        """Return rows with less margin than asked for, the worst of each component first, at most ROWS_A_ROUND."""
        rows = self._worst_by_row(slack)
        short = margin_kw - slack[rows[:, 0], rows[:, 1], rows[:, 2]]
        return np.asarray(rows[short > ROW_KW * max(1.0, abs(margin_kw))][:ROWS_A_ROUND])

    def add_rows(self, rows: np.ndarray) -> bool:
        known = {tuple(row) for row in self.rows.tolist()}
        fresh = np.array([row for row in rows.tolist() if tuple(row) not in known], dtype=int).reshape(-1, 3)
        if not len(fresh):
            return False
        self.rows = np.vstack([self.rows, fresh])
        return True

    def block(self) -> np.ndarray:
        """Return the coefficients of the known columns in the known rows, (rows, columns); built when they are needed."""
        done = len(self._block)
        if done < len(self.rows):
            more = self.formulation.coefficients(self.data, self.device, self.choice, self.rows[done:])
            self._block = np.vstack([self._block, more]) if done else more
        return self._block

    # --- the programme

    def _matrix(self, goal: Goal, free: np.ndarray, fixed: np.ndarray) -> Programme:
        """Return the programme over the columns of the free devices, the others standing as ``fixed`` says."""
        return Programme(self, goal, free, fixed)

    def solve(self, goals: Sequence[Goal]) -> Solved:
        """Solve goal after goal."""
        began = time.perf_counter()
        out = Solved(self.best)
        if not self.small:
            self.local.thrifty |= any(goal.name == "moves" for goal in goals)
        for goal in goals:
            known = self._descend(goal)
            value, bound, weights = self._relaxed(goal, known)
            value, bound = self._whole(goal, weights, value, bound)
            out.value[goal.name], out.bound[goal.name] = value, min(bound, value)
            out.proved &= value - bound <= goal.tolerance + 1e-9
            self._hold(goal, value)
            out.trace.append((time.perf_counter() - began, goal.name, value, out.bound[goal.name]))
        out.chosen, out.rows = self.best, self.rows
        return out

    def _value(self, goal: Goal, chosen: np.ndarray) -> float:
        if goal.name == "margin":
            return -self.margin_kw(chosen)
        if goal.name == "balance":
            return self.spread(chosen)
        assert goal.cost is not None
        return float(sum(cost[k] for cost, k in zip(goal.cost, chosen, strict=True)))

    def _keeps(self, chosen: np.ndarray) -> bool:
        """Whether a choice keeps what the goals before have reached."""
        if float(sum(m[k] for m, k in zip(self.moved, chosen, strict=True))) > self.max_moves + 0.5:
            return False
        if self.margin_kw(chosen) < self.least_margin - ROW_KW:
            return False
        if self.spread(chosen) > self.most_spread + WHOLE:
            return False
        return self._keeps_sums(chosen)

    def _keeps_sums(self, chosen: np.ndarray) -> bool:
        """Whether a choice costs no more than the goals before have reached."""
        return all(
            sum(cost[k] for cost, k in zip(costs, chosen, strict=True)) <= top + WHOLE
            for costs, top in self.held
        )

    def _hold(self, goal: Goal, value: float) -> None:
        if goal.name == "margin":
            self.least_margin = -value - goal.tolerance
        elif goal.name == "balance":
            self.most_spread = value + goal.tolerance
        else:
            assert goal.cost is not None
            self.held.append((goal.cost, value + goal.tolerance))

    def _descend(self, goal: Goal) -> float:
        """Improve the choices before any LP over all devices, and know the rows that are tight then; return a bound."""
        bound = -inf
        if not self.small:
            bound = max(self._least_cost(goal), self.blend.bound(goal))
            found = self.local.improved(goal, self.best, bound)
            if self._value(goal, found) < self._value(goal, self.best) and self._keeps(found):
                self.best = found
        self.add_rows(self._worst_by_row(self.data.rest_kw - self.data.hung_kw(self.best)))
        return bound

    def _least_cost(self, goal: Goal) -> float:
        """Return the cost if every device were where it is cheapest; a bound of a cost only."""
        if goal.cost is None:
            return -inf
        return float(sum(c[may].min() for c, may in zip(goal.cost, self.allowed, strict=True)))

    def other_price(self, system_rows: np.ndarray, members: np.ndarray, dual: np.ndarray) -> np.ndarray:
        """Return minus dual * coefficient of the rows after (1) and before (3), for all choices; (members, K)."""
        data = self.data
        kind = int(data.choices.kind[members[0]])
        out = np.zeros((len(members), len(data.choices.kinds[kind].active)))
        n = len(system_rows)
        if n:
            scale = 1.0 / data.system_limit_kw[system_rows[:, 1] - data.system[0]]
            out -= self.formulation.priced(data, kind, system_rows, (dual[:n] + dual[n : 2 * n]) * scale)
            dual = dual[2 * n + data.n_vectors :]
        for costs, y in zip(self._sums(), dual, strict=True):
            out -= y * np.array([costs[d] for d in members])
        return out

    def _sums(self) -> list[tuple[np.ndarray, ...]]:
        """Return the costs of the rows (5) and of the goals before."""
        return [costs for costs, _ in self.held] + ([self.moved] if self.max_moves < inf else [])

    def relaxed(self, goal: Goal) -> np.ndarray | None:
        """Solve the LP of a goal to its end; return the weights of the columns."""
        if not len(self.rows):
            even = [may / np.maximum(may.sum(axis=1, keepdims=True), 1) for may in self.allowed_of]
            self.add_rows(self._worst_by_row(self.data.rest_kw - self.data.hung_by_parts_kw(even)))
        return self._relax(goal, inf, -inf)[2]

    def _relaxed(self, goal: Goal, known: float = -inf) -> tuple[float, float, np.ndarray | None]:
        """Return the value of the best choice, a valid bound, and the LP's weights of the columns."""
        value, bound = self._value(goal, self.best), max(known, self._least_cost(goal))
        if known > -inf or value - bound <= goal.tolerance:
            return value, bound, None
        return self._relax(goal, value, bound)

    def _relax(self, goal: Goal, value: float, bound: float) -> tuple[float, float, np.ndarray | None]:
        """Solve the LP, with rows and columns as they are needed, until its bound is within the tolerance of a value."""
        everybody, weights = np.ones(self.n, dtype=bool), None
        self._open_columns()
        last: Programme | None = None
        for _ in range(MAX_ROUNDS):
            if value - bound <= goal.tolerance:
                break
            programme = self._matrix(goal, everybody, self.best)
            outcome, dual = programme.relaxed(self.deadline_s, last)
            last = programme
            if outcome.x is None or dual is None:
                break
            weights = outcome.x[: len(self.device)]
            self.last = (outcome, programme, dual)
            grown, less = False, 0.0
            if not self.small:
                less, columns = self._priced(goal, programme, dual)
                grown = self._add_columns(columns)
            bound = max(bound, outcome.objective + less)
            margin = outcome.x[programme.margin]
            hung = self.data.hung_by_parts_kw(self._by_kind(weights))
            grown |= self.add_rows(self._broken(self.data.rest_kw - hung, margin))
            if not grown:
                break
        if weights is not None:
            weights = np.r_[weights, np.zeros(len(self.device) - len(weights))]
        return value, bound, weights

    def _by_kind(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return the LP's weights as one array a kind, (members, K)."""
        choices = self.data.choices
        place = np.zeros(self.n, dtype=int)
        out = []
        for k, members in enumerate(choices.members):
            place[members] = np.arange(len(members))
            full = np.zeros((len(members), len(choices.kinds[k].active)))
            mine = choices.kind[self.device[: len(weights)]] == k
            full[place[self.device[: len(weights)][mine]], self.choice[: len(weights)][mine]] = weights[mine]
            out.append(full)
        return out

    def _priced(
        self, goal: Goal, programme: Programme, dual: np.ndarray
    ) -> tuple[float, list[tuple[int, int]]]:
        """Return the sum of the devices' least reduced costs, as far as negative, and the columns that have them."""
        less, columns = 0.0, []
        n_load = len(self.rows)
        one, load = dual[: self.n], dual[programme.at_load : programme.at_load + n_load]
        for k, members in enumerate(self.data.choices.members):
            if not len(members):
                continue
            reduced = -self.formulation.priced(self.data, k, self.rows, load) - one[members][:, None]
            reduced += self.other_price(programme.system_rows, members, dual[self.n : programme.at_load])
            if goal.cost is not None:
                reduced += np.array([goal.cost[d] for d in members])
            reduced = np.where(self.allowed_of[k], reduced, inf)
            best = reduced.argmin(axis=1)
            least = reduced[np.arange(len(members)), best]
            less += float(np.minimum(least, 0.0).sum())
            for j in np.flatnonzero(least < -1e-9):
                columns.append((int(members[j]), int(best[j])))
        return less, columns

    def _add_columns(self, columns: list[tuple[int, int]]) -> bool:
        fresh = [pair for pair in columns if pair not in self._known]
        if not fresh:
            return False
        device = np.array([d for d, _ in fresh], dtype=int)
        choice = np.array([k for _, k in fresh], dtype=int)
        more = self.formulation.coefficients(self.data, device, choice, self.rows)
        self._block = np.hstack([self.block(), more])
        self.device, self.choice = np.r_[self.device, device], np.r_[self.choice, choice]
        self._known.update(fresh)
        return True

    # --- whole numbers

    def _whole(
        self, goal: Goal, weights: np.ndarray | None, value: float, bound: float
    ) -> tuple[float, float]:
        """Return the value of the best choice found and the bound."""
        if value - bound <= goal.tolerance or weights is None or not self.small:
            return value, bound
        rounded, doubt = self._rounded(weights)
        for more in FREED:
            free = doubt.copy()
            free[np.argsort(-self._unsure(weights, rounded), kind="stable")[: int(doubt.sum()) + more]] = True
            value = self._try(goal, rounded, free, value, bound)
            if value - bound <= goal.tolerance or free.all() or time.perf_counter() > self.deadline_s:
                break
        if value - bound > goal.tolerance and self.n_all <= MIP_COLUMNS:
            value, bound = self._exact(goal, value, bound)
        return value, bound

    def _rounded(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the heaviest choice of every device, and the devices that the LP splits."""
        order = np.lexsort((self.choice, -weights, self.device))
        first = order[np.unique(self.device[order], return_index=True)[1]]
        rounded = self.best.copy()
        rounded[self.device[first]] = self.choice[first]
        top = np.zeros(self.n)
        top[self.device[first]] = weights[first]
        return rounded, top < 1.0 - WHOLE

    def _unsure(self, weights: np.ndarray, rounded: np.ndarray) -> np.ndarray:
        """Return how little the LP is sure of each device; of equals the smaller load first, it fits more easily."""
        top = np.zeros(self.n)
        np.maximum.at(top, self.device, weights)
        load = self.data.p_kw[0].max(axis=1)
        return np.asarray(1.0 - top + 1e-3 * (1.0 - load / max(load.max(initial=0.0), 1e-9)))

    def _try(self, goal: Goal, rounded: np.ndarray, free: np.ndarray, value: float, bound: float) -> float:
        """Decide the free devices by a MIP, the others held; keep the choice if it is better."""
        for _ in range(MAX_ROUNDS):
            programme = self._matrix(goal, free, rounded)
            outcome = programme.whole(self.deadline_s, 0.5 * goal.tolerance, NODES)
            if outcome.x is None:
                return value
            chosen = programme.chosen(outcome.x)
            mine = self._value(goal, chosen)
            if mine < value - 1e-12 and self._keeps(chosen):
                value, self.best = mine, chosen
            if value - bound <= goal.tolerance:
                return value
            want = outcome.x[programme.margin]
            if not self.add_rows(self._broken(self.data.rest_kw - self.data.hung_kw(chosen), want)):
                return value
        return value

    def _exact(self, goal: Goal, value: float, bound: float) -> tuple[float, float]:
        """Solve the MIP of all devices; its bound is the problem's."""
        everybody = np.ones(self.n, dtype=bool)
        for _ in range(MAX_ROUNDS):
            programme = self._matrix(goal, everybody, self.best)
            outcome = programme.whole(self.deadline_s, 0.5 * goal.tolerance, None)
            bound = max(bound, outcome.bound if np.isfinite(outcome.bound) else -inf)
            if outcome.x is None:
                return value, bound
            chosen = programme.chosen(outcome.x)
            mine = self._value(goal, chosen)
            if mine < value - 1e-12 and self._keeps(chosen):
                value, self.best = mine, chosen
            if value - bound <= goal.tolerance:
                break
            want = outcome.x[programme.margin]
            if not self.add_rows(self._broken(self.data.rest_kw - self.data.hung_kw(chosen), want)):
                break
        return value, bound
