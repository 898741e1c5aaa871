"""A small linear programme whose numbers change: compiled by cvxpy once, then a few array operations a solve.

Hundreds of zones are solved within a second, so that what a solve costs besides the simplex method counts.
cvxpy says which numbers of the programme are which multiples of the parameters; what equations define is put in
(products of matrices whose patterns never change); of the many sides of polygons only those are passed to HiGHS
that mattered before or are broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from pdnopt.balancing.data import SLACK
from pdnopt.engine.highs import HighsModel, Outcome, held_rows, restricted
from pdnopt.engine.worker import Rows

__all__ = ["Lean"]

PART, LEAST_SLACK = 1e-3, 1e-6
"""Part of a term by which it may be worse for the sake of those after it, and what is added where `SLACK` says nothing."""
BROKEN = 1e-6
"""A row is broken from here on, pu. HiGHS keeps rows to 1e-7."""
NEAR = 1e-3
"""A row that holds nothing stays for the next solve if it is so near to holding something, pu."""
MOST_TRIES = 60


class _Product:
    """The product of two sparse matrices whose patterns stay, plus a third: only numbers are worked out."""

    def __init__(self, left: csr_array, right: csr_array, add: csr_array) -> None:
        rows = np.repeat(np.arange(left.shape[0]), np.diff(left.indptr))
        length = np.diff(right.indptr)[left.indices]
        self.first = np.repeat(np.arange(left.nnz), length)
        begin = np.repeat(right.indptr[left.indices], length)
        self.second = begin + np.arange(len(begin)) - np.repeat(np.cumsum(length) - length, length)
        add_rows = np.repeat(np.arange(add.shape[0]), np.diff(add.indptr))
        at = np.r_[rows[self.first], add_rows]
        to = np.r_[right.indices[self.second], add.indices]
        key, self.where = np.unique(at.astype(np.int64) * right.shape[1] + to, return_inverse=True)
        self.shape = (left.shape[0], right.shape[1])
        self.indices = (key % right.shape[1]).astype(np.int32)
        counts = np.bincount((key // right.shape[1]).astype(int), minlength=self.shape[0])
        self.indptr = np.r_[0, np.cumsum(counts)]

    def pattern(self) -> csr_array:
        """Return a matrix with this pattern."""
        return csr_array((np.ones(len(self.indices)), self.indices, self.indptr), shape=self.shape)

    def data(self, left: np.ndarray, right: np.ndarray, add: np.ndarray) -> np.ndarray:
        """Return the numbers."""
        values = np.concatenate([left[self.first] * right[self.second], add])
        return np.bincount(self.where, weights=values, minlength=len(self.indices))


@dataclass(frozen=True)
class _Block:
    """Some rows of the programme split into columns that stay and what equations define: where their numbers come from."""

    of_u: csr_array  # data: positions in the vector of all numbers
    of_z: csr_array
    constant: np.ndarray  # positions of the constants, -1: 0

    def numbers(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (
            data[self.of_u.data],
            data[self.of_z.data],
            np.where(self.constant >= 0, data[self.constant], 0.0),
        )


class Lean:
    """A model with variables ``t_*`` to minimise, solved at one vector of numbers after another.

    Parameters
    ----------
    model : BalanceModel
        Its parameters in the order in which their numbers will come.
    whole : bool
        All rows at once, by the interior-point method: for programmes of a hundred inverters that are solved once.
    """

    def __init__(self, model: Any, whole: bool = False) -> None:
        import cvxpy as cp

        for parameter in model.parameters.values():
            parameter.value = np.ones(parameter.shape)
        data, _, _ = model.problem.get_problem_data(cp.CLARABEL)
        cone = data["param_prob"]
        cone.reduced_A.cache(True)
        self._map = csr_array(cone.reduced_A.reduced_mat)
        indices, indptr, shape = cone.reduced_A.problem_data_index
        self._theta = self._places(cone, model.parameters)
        columns = np.repeat(np.arange(shape[1]), np.diff(indptr))
        n = shape[1] - 1
        at = cone.var_id_to_col
        own = {name: at[v.id] + np.arange(v.size) for name, v in model.variables.items()}
        z = np.concatenate([own[name] for name in model.defined])
        u = np.setdiff1d(np.arange(n), z)
        self.n = len(u)
        place = np.full(n, -1)
        place[u] = np.arange(len(u))
        inside = np.full(n, -1)
        inside[z] = np.arange(len(z))
        self.column = {name: place[c] for name, c in own.items() if name not in model.defined}
        zeros = int(data["dims"].zero)
        split = _Splitter(np.asarray(indices), columns, n, place, inside, len(u), len(z))
        self._define(split, len(z))
        self._rest(split, np.arange(len(z), zeros), np.arange(zeros, shape[0]))
        self._whole = whole
        self._highs = HighsModel(relax=True, interior=whole)
        self._active = np.arange(len(self._family) if whole else 0)
        self._basis: Any = None
        self._kept: tuple[np.ndarray, Any] = (self._active, None)

    def keep(self) -> None:
        """Keep rows and basis: `rewind` goes back to them."""
        self._kept = (self._active, self._basis)

    def rewind(self) -> None:
        """Forget what was solved since `keep`, so that an answer does not depend on it."""
        self._active, self._basis = self._kept

    def _places(self, cone: Any, parameters: dict[str, Any]) -> np.ndarray:
        """Return where cvxpy keeps each number; the last is the constant 1."""
        used = cone.param_id_to_col
        self._n_theta = cone.total_param_size + 1
        spare = self._n_theta  # of parameters that the programme does not use
        out = []
        for parameter in parameters.values():
            begin = used.get(parameter.id)
            out.append(np.full(parameter.size, spare) if begin is None else begin + np.arange(parameter.size))
        return np.concatenate([*out, [used[-1] if -1 in used else self._n_theta - 1]])

    def _define(self, split: _Splitter, n_z: int) -> None:
        """Prepare z = put u + start, level by level: each is defined by those of lower levels."""
        block, own = split.block(np.arange(n_z)), split.own(n_z)
        pattern = block.of_z.copy()
        pattern.data = np.ones(pattern.nnz)
        level = np.zeros(n_z, dtype=int)
        rows = np.repeat(np.arange(n_z), np.diff(pattern.indptr))
        other = rows != pattern.indices
        for _ in range(n_z):
            new = level.copy()
            np.maximum.at(new, rows[other], level[pattern.indices[other]] + 1)
            if (new == level).all():
                break
            level = new
        order = np.argsort(level, kind="stable")
        self._own, self._levels = own, []
        self._put_at = np.empty(n_z, dtype=int)
        self._put_at[order] = np.arange(n_z)
        done = csr_array((0, block.of_u.shape[1]))
        number = np.full(n_z, -1)
        for k in range(level.max(initial=0) + 1):
            mine = order[level[order] == k]
            part = split.block(mine, without_own=True)
            lower = _renumbered(part.of_z, number, done.shape[0])
            product = _Product(lower, done, part.of_u)
            self._levels.append((mine, _Block(part.of_u, lower, part.constant), product))
            number[mine] = done.shape[0] + np.arange(len(mine))
            done = _stacked(done, product.pattern())
        self._put, self._number = done, number

    def _rest(self, split: _Splitter, equal: np.ndarray, rows: np.ndarray) -> None:
        """Prepare equations and inequalities in the columns that stay; those with one entry are bounds."""
        block = split.block(rows)
        single = (np.diff(block.of_u.indptr) == 1) & (np.diff(block.of_z.indptr) == 0)
        self._bounds = split.block(rows[single])
        self._parts = []
        for which in (equal, rows[~single]):
            part = split.block(which)
            lower = _renumbered(part.of_z, self._number, self._put.shape[0])
            product = _Product(lower, self._put, part.of_u)
            self._parts.append((_Block(part.of_u, lower, part.constant), product))
        self._family = _families(split.block(rows[~single]))

    # --- one solve

    def solve(self, numbers: np.ndarray, terms: tuple[str, ...], deadline_s: float = inf) -> Outcome:
        """Minimise columns one after another, each held afterwards; warm from the last solve.

        The outcome's ``x`` is by column; `values` reads it.
        """
        self._set(numbers)
        self._load()
        outcome = Outcome("no_incumbent", None, inf, -inf)
        for term in terms:
            at = self.column[f"t_{term}"]
            new = self._minimise(at, deadline_s)
            if new.x is None or new.status != "optimal":
                return new if outcome.x is None else outcome
            outcome = new
            most = max(new.x[at].item(), 0.0) * (1.0 + PART) + SLACK.get(term, LEAST_SLACK)
            self._highs.set_col_bounds(at, np.zeros(1), np.array([most]))
        self._prune(outcome.x)
        return outcome

    def _prune(self, x: np.ndarray | None) -> None:
        """Go on with the rows that hold something, or nearly, and the basis of these."""
        if x is None or self._whole:
            return
        basis = self._highs.basis()
        held = held_rows(basis)
        held[: self._e.shape[0]] = True
        slack = (self._pool @ x - self._floor)[self._active]
        held[self._e.shape[0] :] |= slack < NEAR
        self._basis = restricted(basis, held)
        self._active = self._active[held[self._e.shape[0] :]]

    def _worst(self, beyond: np.ndarray) -> np.ndarray:
        """Return of every polygon the side that is broken most, if any is."""
        broken = np.flatnonzero(beyond > BROKEN)
        family = self._family[broken]
        order = np.lexsort((-beyond[broken], family))
        first = np.r_[True, np.diff(family[order]) > 0][: len(order)]
        return np.sort(broken[order[first]])

    def value(self, x: np.ndarray, name: str) -> np.ndarray:
        """Return a variable that is a column."""
        return np.asarray(x[self.column[name]])

    def _set(self, numbers: np.ndarray) -> None:
        theta = np.zeros(self._n_theta + 1)
        theta[self._theta] = np.r_[numbers, 1.0]
        data = self._map @ theta[: self._n_theta]
        sign = data[self._own]
        put = np.zeros(0)
        start = np.zeros(0)
        for mine, block, product in self._levels:
            of_u, of_z, constant = block.numbers(data)
            down = -1.0 / sign[mine]
            grown = product.data(of_z, put, of_u)
            level = (
                constant
                + csr_array((of_z, block.of_z.indices, block.of_z.indptr), shape=block.of_z.shape) @ start
            )
            put = np.r_[put, grown * np.repeat(down, np.diff(product.indptr))]
            start = np.r_[start, level * down]
        made = []
        for block, product in self._parts:
            of_u, of_z, constant = block.numbers(data)
            level = (
                constant
                + csr_array((of_z, block.of_z.indices, block.of_z.indptr), shape=block.of_z.shape) @ start
            )
            made.append((product, product.data(of_z, put, of_u), -level))
        (self._e, self._e_data, self._e_level), (self._p, self._p_data, self._floor) = made
        self._pool = csr_array((self._p_data, self._p.indices, self._p.indptr), shape=self._p.shape)
        factor, _, constant = self._bounds.numbers(data)
        side, at = -constant / factor, self._bounds.of_u.indices
        self._low, self._high = np.full(self.n, -inf), np.full(self.n, inf)
        up = factor > 0
        np.maximum.at(self._low, at[up], side[up])
        np.minimum.at(self._high, at[~up], side[~up])

    def _rows(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        begin, end = self._p.indptr[which], self._p.indptr[which + 1]
        length = end - begin
        at = np.repeat(begin - np.r_[0, np.cumsum(length)[:-1]][: len(which)], length) + np.arange(
            length.sum()
        )
        return self._p_data[at], self._p.indices[at], np.r_[0, np.cumsum(length)]

    def _load(self) -> None:
        data, indices, indptr = self._rows(self._active)
        e = self._e
        rows = Rows(
            np.r_[self._e_data, data], np.r_[e.indices, indices],
            np.r_[e.indptr, e.indptr[-1] + indptr[1:]], (e.shape[0] + len(self._active), self.n),
        )  # fmt: skip
        low = np.r_[self._e_level, self._floor[self._active]]
        high = np.r_[self._e_level, np.full(len(self._active), inf)]
        self._highs.load(rows, low, high, self._low, self._high, np.zeros(self.n, dtype=bool))
        if self._basis is not None:
            self._highs.start_from(self._basis)

    def _minimise(self, at: np.ndarray, deadline_s: float) -> Outcome:
        cost = np.zeros(self.n)
        cost[at] = 1.0
        self._highs.set_cost(cost)
        outcome = self._highs.solve(deadline_s, believe=True)
        for _ in range(MOST_TRIES):
            if outcome.x is None or outcome.status != "optimal":
                return outcome
            beyond = self._floor - self._pool @ outcome.x
            beyond[self._active] = 0.0
            new = self._worst(beyond)
            if not len(new):
                return outcome
            data, indices, indptr = self._rows(new)
            rows = csr_array((data, indices, indptr), shape=(len(new), self.n))
            self._highs.add_rows(rows, self._floor[new], np.full(len(new), inf))
            self._active = np.r_[self._active, new]
            outcome = self._highs.solve(deadline_s, believe=True)
        return Outcome("no_incumbent", None, inf, outcome.bound)


def _families(block: _Block) -> np.ndarray:
    """Return which rows are sides of one polygon: those of the same columns and definitions."""
    keys: dict[tuple[bytes, bytes], int] = {}
    out = np.empty(block.of_u.shape[0], dtype=int)
    for k in range(len(out)):
        u, z = (m.indices[m.indptr[k] : m.indptr[k + 1]] for m in (block.of_u, block.of_z))
        out[k] = keys.setdefault((np.sort(u).tobytes(), np.sort(z).tobytes()), len(keys))
    return out


class _Splitter:
    """Rows of cvxpy's matrix, their entries as positions in its vector of numbers."""

    def __init__(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        n: int,
        place: np.ndarray,
        inside: np.ndarray,
        n_u: int,
        n_z: int,
    ) -> None:
        self.n_u, self.n_z, self.inside = n_u, n_z, inside
        entry = np.arange(len(rows))
        self._constant = np.full(rows.max(initial=-1) + 1, -1)
        last = columns == n
        self._constant = np.full(int(rows.max(initial=0)) + 1, -1)
        self._constant[rows[last]] = entry[last]
        to = np.where(last, 0, columns)
        is_u, is_z = ~last & (place[to] >= 0), ~last & (inside[to] >= 0)
        shape = len(self._constant)
        # entries are kept as numbers from 1, as 0 would vanish
        self._u = csr_array(coo_array((entry[is_u] + 1, (rows[is_u], place[to[is_u]])), shape=(shape, n_u)))
        self._z = csr_array(coo_array((entry[is_z] + 1, (rows[is_z], inside[to[is_z]])), shape=(shape, n_z)))

    def own(self, n_z: int) -> np.ndarray:
        """Return the entry of each definition on its own variable."""
        return np.asarray(self._z[:n_z].diagonal(), dtype=int) - 1

    def block(self, which: np.ndarray, without_own: bool = False) -> _Block:
        """Return some rows; of definitions, without what they define."""
        u, z = csr_array(self._u[which]), csr_array(self._z[which])
        if without_own:
            entries = coo_array(z)
            other = entries.col != which[entries.row]
            z = csr_array(
                coo_array((entries.data[other], (entries.row[other], entries.col[other])), shape=z.shape)
            )
        u.data, z.data = u.data - 1, z.data - 1
        return _Block(u, z, self._constant[which])


def _renumbered(matrix: csr_array, number: np.ndarray, n: int) -> csr_array:
    """Return a matrix whose columns have other numbers."""
    entries = coo_array(matrix)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    out = csr_array((matrix.shape[0], n), dtype=int)
    out.data, out.indices, out.indptr = matrix.data, number[matrix.indices].astype(np.int32), matrix.indptr
    assert len(rows) == len(entries.row)
    return out


def _stacked(above: csr_array, below: csr_array) -> csr_array:
    """Return one pattern below another."""
    out = csr_array((above.shape[0] + below.shape[0], below.shape[1]))
    out.data = np.ones(above.nnz + below.nnz)
    out.indices = np.r_[above.indices, below.indices].astype(np.int32)
    out.indptr = np.r_[above.indptr, above.indptr[-1] + below.indptr[1:]]
    return out
