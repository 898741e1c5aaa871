"""A programme compiled by cvxpy once, as arrays at a point: what equations define is put in, bounds are bounds.

cvxpy gives ``A x + b`` in a cone of zeros and of nonnegatives. The first zeros define variables, each by those before it;
they are no columns here. Inequalities with one entry are bounds of a column. All others are the *pool* from which rows are
asked for as they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

__all__ = ["Compilation", "Linear"]

NONE = 1e-9
"""Coefficients up to this are none: the cosine of a right angle."""


@dataclass(frozen=True)
class Linear:
    """The programme at one point, U columns: ``equal @ u = level``, ``low <= u <= high``, and the pool.

    Attributes
    ----------
    equal : csr_array, shape (E, U); level : shape (E,)
    low, high : shape (U,)
    pool : csr_array, shape (R, U)
        ``pool @ u + pool_defined @ z >= floor``, where ``z = put @ u + at_zero`` is what equations define.
    """

    equal: csr_array
    level: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pool: csr_array
    pool_defined: csr_array
    floor: np.ndarray
    put: csr_array
    at_zero: np.ndarray

    def defined(self, u: np.ndarray) -> np.ndarray:
        """Return what equations define."""
        return np.asarray(self.put @ u + self.at_zero)

    def box(self, which: np.ndarray, half: np.ndarray) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """Return rows that hold what equations define within a half width around 0: matrix, low, high."""
        level = self.at_zero[which]
        return csr_array(self.put[which]), -half - level, half - level

    def rows(self, which: np.ndarray) -> tuple[csr_array, np.ndarray]:
        """Return rows of the pool written in the columns alone: ``matrix @ u >= floor``."""
        inner = self.pool_defined[which]
        return csr_array(self.pool[which] + inner @ self.put), self.floor[which] - inner @ self.at_zero

    def beyond(self, u: np.ndarray) -> np.ndarray:
        """Return by how much every row of the pool is broken (negative: kept), shape (R,)."""
        return np.asarray(self.floor - self.pool @ u - self.pool_defined @ self.defined(u))


class Compilation:
    """A model of cvxpy with parameters, of which every point is only numbers.

    Parameters
    ----------
    model : BalanceModel, or another with its ``problem``, ``parameters``, ``variables`` and (or not) ``defined``
    """

    def __init__(self, model: Any) -> None:
        import cvxpy as cp

        self.model = model
        for parameter in model.parameters.values():
            parameter.value = np.ones(parameter.shape)
        data, _, _ = model.problem.get_problem_data(cp.CLARABEL)
        self._cone = data["param_prob"]
        zeros = int(data["dims"].zero)
        at = self._cone.var_id_to_col
        own = {name: at[v.id] + np.arange(v.size) for name, v in model.variables.items()}
        names = getattr(model, "defined", ())
        defined = np.concatenate([np.zeros(0, dtype=int), *(own[name] for name in names)])
        a = self._matrix()[0]
        self._defining = np.arange(len(defined))
        self._equal = np.arange(len(defined), zeros)
        self._z, self._u = defined, np.setdiff1d(np.arange(a.shape[1]), defined)
        place = np.full(a.shape[1], -1)
        place[self._u] = np.arange(len(self._u))
        self.column = {name: place[c] for name, c in own.items() if name not in names}
        inside = np.full(a.shape[1], -1)
        inside[defined] = np.arange(len(defined))
        self.places = {name: inside[c] for name, c in own.items() if name in names}
        entries = np.diff(a.indptr)
        single = entries[zeros:] == 1
        single[single] = place[a.indices[a.indptr[zeros:-1][single]]] >= 0
        self._bound_rows, self._pool = zeros + np.flatnonzero(single), zeros + np.flatnonzero(~single)
        self._bound_columns = place[a.indices[a.indptr[self._bound_rows]]]
        shape = csr_array(abs(a[self._pool][:, self._u]))
        self._shape = csr_array((shape.data > NONE, shape.indices, shape.indptr), shape=shape.shape).astype(
            float
        )
        self.family = _families(a[self._pool])
        self.size_column = self._column_of("s")
        self.beside = _beside(self.family)

    @property
    def n_equal(self) -> int:
        """Number of equations left."""
        return len(self._equal)

    @property
    def n(self) -> int:
        """Number of columns."""
        return len(self._u)

    def concerns(self, name: str) -> np.ndarray:
        """Return which rows of the pool have a variable in them."""
        return self.touching(self.column.get(name, np.zeros(0, dtype=int)))

    def _column_of(self, name: str) -> np.ndarray:
        """Return the column of a variable that each row of the pool has in it, -1: none."""
        columns = self.column.get(name, np.zeros(0, dtype=int))
        there = coo_array(csr_array(self._shape)[:, columns])
        out = np.full(self._shape.shape[0], -1)
        used = there.data > 0
        out[there.row[used]] = columns[there.col[used]]
        return out

    def touching(self, columns: np.ndarray) -> np.ndarray:
        """Return which rows of the pool have one of these columns in them."""
        mark = np.zeros(self.n)
        mark[columns] = 1.0
        return np.asarray(self._shape @ mark > 0)

    def at(self, point: Any) -> Linear:
        """Return the programme at a point."""
        for field in fields(point):
            self.model.parameters[field.name].value = getattr(point, field.name)
        a, b = self._matrix()
        rows = csr_array(a[self._defining])
        own, rest = rows[:, self._z], rows[:, self._u]
        sign = own.diagonal()  # 1 or -1
        nest = csr_array(-own.multiply(1.0 / sign[:, None]))
        nest.setdiag(0.0)
        nest.eliminate_zeros()
        put, start = csr_array(-rest.multiply(1.0 / sign[:, None])), -b[self._defining] / sign
        at_zero, first = start, put
        while True:  # z = nest z + first u + start, and nest is nilpotent: each is defined by those before it
            more = csr_array(nest @ put) + first
            level = nest @ at_zero + start
            if abs(more - put).sum() + np.abs(level - at_zero).sum() == 0.0:
                break
            put, at_zero = csr_array(more), level
        pool = a[self._pool]
        equal = a[self._equal]
        inner = equal[:, self._z]
        low, high = np.full(self.n, -inf), np.full(self.n, inf)
        factor = a.data[a.indptr[self._bound_rows]]
        side = -b[self._bound_rows] / factor
        np.maximum.at(low, self._bound_columns[factor > 0], side[factor > 0])
        np.minimum.at(high, self._bound_columns[factor < 0], side[factor < 0])
        return Linear(
            equal=csr_array(equal[:, self._u] + inner @ put),
            level=-b[self._equal] - inner @ at_zero,
            low=low,
            high=high,
            pool=pool[:, self._u],
            pool_defined=pool[:, self._z],
            floor=-b[self._pool],
            put=put,
            at_zero=at_zero,
        )

    def values(self, linear: Linear, u: np.ndarray) -> dict[str, np.ndarray]:
        """Return all variables by name."""
        z = linear.defined(u)
        return {
            **{name: u[c] for name, c in self.column.items()},
            **{name: z[c] for name, c in self.places.items()},
        }

    def _matrix(self) -> tuple[csr_array, np.ndarray]:
        _, _, a, b = self._cone.apply_parameters(keep_zeros=True)
        return csr_array(a), b


def _families(rows: csr_array) -> np.ndarray:
    """Return a number for every row, equal for rows on the same columns: the sides of one polygon."""
    mark = np.random.default_rng(0).uniform(1.0, 2.0, rows.shape[1])
    some = csr_array((np.abs(rows.data) > NONE, rows.indices, rows.indptr), shape=rows.shape).astype(float)
    return np.asarray(np.unique(np.round(some @ mark, 9), return_inverse=True)[1])


def _beside(family: np.ndarray) -> np.ndarray:
    """Return every row with the one before and the one after it in its family, a ring, shape (R, 3)."""
    order = np.argsort(family, kind="stable")
    start = np.flatnonzero(np.r_[True, np.diff(family[order]) > 0])
    size = np.diff(np.r_[start, len(order)])
    begin, length = np.repeat(start, size), np.repeat(size, size)
    at = np.arange(len(order)) - begin
    out = np.empty((len(order), 3), dtype=int)
    for k, step in enumerate((-1, 0, 1)):
        out[order, k] = order[begin + (at + step) % length]
    return out
