"""A smaller model with the same answers, once some columns are held: what follows from them is worked out first.

HiGHS's own presolve does this too, and more, but on the whole model and anew for every trial. Most trials hold nearly all
switches; then most of the model follows, and array operations over its entries find that in a few milliseconds:

1. fixed columns move into the row bounds;
2. a side of a row that no point inside the column bounds can break is dropped, and a row without sides with it;
3. a row of one column becomes a bound of it;
4. what a row leaves a column, with all others where they help most, is a bound of it; integer ones are rounded;
5. of columns that are not negative, and together at most b, a part that is b alone leaves nothing for the others.

They are repeated as long as they gain. Nothing here looks at costs: every feasible point remains one, so one reduction
serves any objective. The rules are those of A. L. Brearley, G. Mitra and H. P. Williams, "Analysis of mathematical
programming problems prior to applying the simplex algorithm", Mathematical Programming 8 (1975), and of M. Savelsbergh,
"Preprocessing and probing techniques for mixed integer programming problems", ORSA Journal on Computing 6 (1994).

A row may be dropped because of bounds that other rows imply, and these because of it: so every bound that was drawn stays
in what is left, loosened by a margin beyond rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from scipy.sparse import csr_array

__all__ = ["Arrays", "Reduction", "reduce_arrays"]

TINY = 1e-9
"""Coefficients up to this are none, as for HiGHS; bounds that are nearer to each other than this are one."""

BROKEN = 1e-7
"""A row that its columns break by more than this, HiGHS's tolerance, has no solution."""

WHOLE = 1e-6
"""An integer column reaches the next integer from this near, in it and in its row: nothing within tolerances is cut off."""

ROUNDING = 1e-13
"""Sums are exact but for this part of their largest summands."""

MARGIN = 1e-9
"""Part by which the drawn bound of a continuous column is loosened."""

WORTH = 0.2
"""A bound of a continuous column is drawn from a longer row if it cuts off this part of its range."""

STALLED = 0.005
"""Passes end where one leaves no more than this part of the entries to drop, and rule 5 finds nothing either."""

PASSES = 30


@dataclass(frozen=True)
class Arrays:
    """row_low <= A x <= row_high, col_low <= x <= col_high, x integer where flagged."""

    matrix: csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    col_low: np.ndarray
    col_high: np.ndarray
    integer: np.ndarray
    entry_row: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int), repr=False)
    """The row of every entry of the matrix; worked out once, and handed on by `held`."""

    def __post_init__(self) -> None:
        if len(self.entry_row) != self.matrix.nnz:
            rows = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.indptr))
            object.__setattr__(self, "entry_row", rows)

    def held(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> Arrays:
        """Return the arrays with other bounds of some columns."""
        col_low, col_high = self.col_low.copy(), self.col_high.copy()
        col_low[columns], col_high[columns] = low, high
        return replace(self, col_low=col_low, col_high=col_high)


@dataclass(frozen=True)
class Reduction:
    """What is left of a model.

    Attributes
    ----------
    arrays : Arrays
        Of the columns left.
    columns : ndarray of int
        Their places in the whole model.
    point : ndarray
        The whole model's columns at what they are fixed at; 0 where they are left.
    rows : ndarray of int
        The rows left, as places in the whole model.
    shift : ndarray
        What fixed columns contribute to every row of the whole model: a row's sides are lower by that here.
    """

    arrays: Arrays
    columns: np.ndarray
    point: np.ndarray
    rows: np.ndarray
    shift: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Where the whole model's columns are among those left; -1 where they are fixed."""
        places = np.full(len(self.point), -1)
        places[self.columns] = np.arange(len(self.columns))
        return places

    def lift(self, x: np.ndarray) -> np.ndarray:
        """Return a point of the whole model from one of what is left."""
        whole: np.ndarray = self.point.copy()
        whole[self.columns] = x
        return whole

    def then(self, further: Reduction) -> Reduction:
        """Return this reduction followed by one of what it has left."""
        rows, shift = self.rows[further.rows], self.shift.copy()
        shift[self.rows] += further.shift
        return Reduction(further.arrays, self.columns[further.columns], self.lift(further.point), rows, shift)

    def cost(self, cost: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the cost of the columns left, and what the fixed ones cost."""
        return cost[self.columns], float(cost @ self.point)


class _InfeasibleError(Exception):
    """No point is inside the bounds."""


def reduce_arrays(whole: Arrays, keep: Sequence[int] | np.ndarray = ()) -> Reduction | None:
    """Return what the bounds of a model leave open; None where they provably leave no point at all.

    Rows to ``keep`` stay as long as one of their columns does: their sides may be changed later.
    """
    try:
        return _Reducer(whole, keep).run()
    except _InfeasibleError:
        return None


class _Reducer:
    """Entries of the matrix as triples (row, column, value), sorted by row, ever fewer of them."""

    def __init__(self, whole: Arrays, keep: Sequence[int] | np.ndarray) -> None:
        self.integer = whole.integer
        self.row, self.value = whole.entry_row, whole.matrix.data
        self.column = whole.matrix.indices.astype(np.int64)  # what numpy indexes by
        self.row_low, self.row_high = whole.row_low.astype(float), whole.row_high.astype(float)
        self.low, self.high = whole.col_low.astype(float), whole.col_high.astype(float)
        part = np.flatnonzero(whole.integer)
        self.low[part] = np.ceil(self.low[part] - WHOLE) + 0.0
        self.high[part] = np.floor(self.high[part] + WHOLE) + 0.0
        self.shift, self.moved = np.zeros(len(self.row_low)), np.zeros(len(self.row_low))
        self.kept = np.zeros(len(self.row_low), dtype=bool)
        self.kept[np.asarray(keep, dtype=int)] = True
        self._keep(np.abs(self.value) > TINY)

    def run(self) -> Reduction:
        """Repeat the rules while they gain, then gather what is left."""
        self._close_bounds()
        for _ in range(PASSES):
            self._substitute()
            self._follow_rows()
            going = np.count_nonzero((self.low == self.high)[self.column] | ~self._sided()[self.row])
            if going <= STALLED * len(self.row) and not self._exclude_outsiders():
                break
        self._substitute()
        return self._gather()

    def _keep(self, entries: np.ndarray) -> None:
        at = np.flatnonzero(entries)
        self.row, self.column, self.value = self.row.take(at), self.column.take(at), self.value.take(at)

    def _sum(self, row: np.ndarray, parts: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(row, parts, minlength=len(self.row_low))

    def _total(self, parts: np.ndarray, open_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows' sums of all parts but the infinite ones, and how many of those there are."""
        if not len(open_):
            return self._sum(self.row, parts), np.zeros(len(self.row_low))
        bare = parts.copy()
        bare[open_] = 0.0
        return self._sum(self.row, bare), self._sum(self.row[open_])

    def _sided(self) -> np.ndarray:
        sided: np.ndarray = (self.row_low != -inf) | (self.row_high != inf) | self.kept
        return sided

    def _close_bounds(self) -> None:
        """Make bounds that touch one, and find those that cross."""
        crossed = self.low - self.high
        if (crossed > BROKEN * np.clip(np.abs(self.low), 1.0, 1e3)).any():
            raise _InfeasibleError
        touching = (crossed > -TINY) & (crossed != 0.0)
        self.high[touching] = self.low[touching]

    def _substitute(self) -> None:
        """Move fixed columns into the row bounds (rule 1); rows without sides or without columns go."""
        fixed = (self.low == self.high)[self.column]
        if fixed.any():
            row = self.row[fixed]
            parts = self.value[fixed] * self.low[self.column[fixed]]
            moved = self._sum(row, parts)
            self.moved += self._sum(row, np.abs(parts))
            self.row_low -= moved
            self.row_high -= moved
            self.shift += moved
        self._keep(~fixed & self._sided()[self.row])
        empty = self._sum(self.row) == 0
        allowed = BROKEN + ROUNDING * self.moved
        if (empty & ((self.row_low > allowed) | (self.row_high < -allowed))).any():
            raise _InfeasibleError
        self.row_low[empty], self.row_high[empty] = -inf, inf

    def _follow_rows(self) -> None:
        """Compare what rows can be at least and at most, inside the column bounds, with their sides (rules 2 to 4)."""
        at_low = self.value * self.low.take(self.column)
        at_high = self.value * self.high.take(self.column)
        least, greatest = np.minimum(at_low, at_high), np.maximum(at_low, at_high)
        least_open, greatest_open = np.flatnonzero(least == -inf), np.flatnonzero(greatest == inf)
        width = greatest - least
        lowest, n_low = self._total(least, least_open)
        highest, n_high = self._total(greatest, greatest_open)
        error = ROUNDING * (1.0 + self.moved + np.maximum(np.abs(lowest), np.abs(highest)))
        above = np.where(n_low > 0, inf, self.row_high - lowest)
        below = np.where(n_high > 0, inf, highest - self.row_low)
        if ((above < -BROKEN - error) | (below < -BROKEN - error)).any():
            raise _InfeasibleError
        self.row_high[(n_high == 0) & (highest <= self.row_high)] = inf
        self.row_low[(n_low == 0) & (lowest >= self.row_low)] = -inf
        alone = self._sum(self.row) == 1
        for side, slack, far, rest, n, open_ in (
            (self.row_high, above, least, lowest, n_low, least_open),
            (self.row_low, below, greatest, highest, n_high, greatest_open),
        ):
            sign = 1.0 if side is self.row_high else -1.0
            slack = np.where(np.abs(side) == inf, inf, np.where(slack <= error, 0.0, slack))
            closed = np.flatnonzero(width > slack.take(self.row))
            row = self.row[closed]
            bound = (far[closed] + sign * slack[row]) / self.value[closed]
            exact = (slack[row] == 0.0) | alone[row]
            self._draw(closed, bound, sign, exact, error)
            # of a single column without a bound a row says what it can be, of two it says nothing
            single = open_[(n[self.row[open_]] == 1) & np.isfinite(side[self.row[open_]])]
            row = self.row[single]
            self._draw(single, (side[row] - rest[row]) / self.value[single], sign, alone[row], error)
        self.row_low[alone], self.row_high[alone] = -inf, inf
        self._close_bounds()

    def _draw(
        self, entries: np.ndarray, bound: np.ndarray, sign: float, exact: np.ndarray, error: np.ndarray
    ) -> None:
        """Take over what rows leave the columns of some entries: an upper bound where value and sign agree."""
        column, value = self.column[entries], self.value[entries]
        upper = sign * value > 0
        low, high = self.low[column], self.high[column]
        size = np.abs(value)
        whole = self.integer[column]
        margin = MARGIN * np.maximum(1.0, np.abs(bound)) + error[self.row[entries]] / size
        margin = np.where(whole, np.maximum(WHOLE, WHOLE / size), np.where(exact, 0.0, margin))
        nothing = np.abs(bound) < TINY
        bound = np.where(nothing, 0.0, bound)
        bound = bound + np.where(nothing & ~whole, 0.0, np.where(upper, margin, -margin))
        bound = np.where(whole, np.where(upper, np.floor(bound), np.ceil(bound)), bound)
        cut = np.where(upper, high - bound, bound - low)
        better = (cut > 0) & (whole | exact | ~(cut <= WORTH * (high - low)))
        to_high, to_low = better & upper, better & ~upper
        np.minimum.at(self.high, column[to_high], bound[to_high])
        np.maximum.at(self.low, column[to_low], bound[to_low])

    def _exclude_outsiders(self) -> bool:
        """Fix at nothing what shares a sum of at most b with a part that is b by itself (rule 5)."""
        n = len(self.row_low)
        size = self._sum(self.row)
        first = np.ones(n)
        starts = np.r_[0, np.cumsum(size)[:-1]]
        first[size > 0] = self.value[starts[size > 0]]
        odd = (self.value != first[self.row]) | (self.low[self.column] != 0.0)
        even = (size > 1) & (self._sum(self.row[odd]) == 0)
        most = np.where(first > 0, self.row_high, self.row_low) / first
        least = np.where(first > 0, self.row_low, self.row_high) / first
        sums = np.flatnonzero(even & np.isfinite(most))
        part = np.flatnonzero(even[sums] & (least[sums] == most[sums]))
        if not len(part):
            return False
        place = np.full(n, -1)
        place[sums] = np.arange(len(sums))
        inside = place[self.row] >= 0
        shape = (len(sums), len(self.low))
        member = csr_array(
            (np.ones(inside.sum()), (place[self.row[inside]], self.column[inside])), shape=shape
        )
        parts = csr_array(member[part, :])
        shared = (parts @ member.T).tocoo()
        n_part, n_sum = size[sums[part]][shared.row], size[sums][shared.col]
        within = (shared.data == n_part) & (n_sum > n_part)
        within &= most[sums[part]][shared.row] == most[sums][shared.col]
        if not within.any():
            return False
        rest = csr_array(member[shared.col[within], :] - parts[shared.row[within], :])
        self.high[rest.indices[rest.data != 0.0]] = 0.0
        return True

    def _gather(self) -> Reduction:
        """Number the rows and columns that are left anew."""
        free = self.low != self.high
        columns = np.flatnonzero(free)
        place = np.zeros(len(free), dtype=np.int32)
        place[columns] = np.arange(len(columns))
        counts = self._sum(self.row)
        rows = np.flatnonzero(counts)
        start = np.r_[0, np.cumsum(counts[rows])]
        matrix = csr_array((self.value, place[self.column], start), shape=(len(rows), len(columns)))
        arrays = Arrays(
            matrix,
            self.row_low[rows],
            self.row_high[rows],
            self.low[columns],
            self.high[columns],
            self.integer[columns],
        )
        return Reduction(arrays, columns, np.where(free, 0.0, self.low), rows, self.shift)
