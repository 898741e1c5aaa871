"""A Pyomo model as arrays: compiled once, updated by vectorised writes, named for people.

Pyomo's ``LinearStandardFormCompiler`` (mixed form) gives the matrix; a range constraint arrives as two rows
and is merged into one; a maximisation arrives negated and is refused here, terms are always minimised.
Coefficients that `update` may change must not be zero when the model is built (:func:`slot`), otherwise
their place in the matrix would not exist.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import csr_array

__all__ = ["CompiledModel", "compile_model", "slot"]

READABLE = str.maketrans({" ": "_", "[": "(", "]": ")"})
"""HiGHS erases names with a ``[``."""


def slot(value: float) -> float:
    """Return ``value``, or 1.0 where it is zero: a coefficient that `update` overwrites before every solve."""
    return value if value else 1.0


@dataclass
class CompiledModel:
    """min c_t x for each term t in order, subject to row_low <= A x <= row_high, col_low <= x <= col_high.

    Attributes
    ----------
    matrix : csr_array, shape (rows, columns)
        Its sparsity never changes; ``matrix.data`` is what `set_coefficients` writes.
    cost : dict of str to ndarray, shape (columns,)
    offset : dict of str to float
        Constant of each term.
    """

    matrix: csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    col_low: np.ndarray
    col_high: np.ndarray
    integer: np.ndarray
    cost: dict[str, np.ndarray]
    offset: dict[str, float]
    row_names: list[str]
    col_names: list[str]
    _columns: dict[str, dict[Hashable, int]]
    _rows: dict[str, dict[Hashable, int]]
    _keys: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rows = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.indptr))
        self._keys = rows.astype(np.int64) * self.matrix.shape[1] + self.matrix.indices

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    def columns(self, variable: str, keys: Iterable[Hashable]) -> np.ndarray:
        """Return the columns of a variable's elements; -1 where an element is in no row and no term."""
        index = self._columns.get(variable, {})
        return np.array([index.get(key, -1) for key in keys], dtype=int)

    def rows(self, constraint: str, keys: Iterable[Hashable]) -> np.ndarray:
        """Return the rows of a constraint's elements; -1 where the constraint was skipped."""
        index = self._rows.get(constraint, {})
        return np.array([index.get(key, -1) for key in keys], dtype=int)

    def entries(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return positions in ``matrix.data`` of (row, column) pairs.

        Raises
        ------
        KeyError
            A pair has no place in the matrix: it was built with a zero (see `slot`).
        """
        wanted = rows.astype(np.int64) * self.n_columns + columns
        at = np.searchsorted(self._keys, wanted)
        if len(wanted) and (
            at.max(initial=0) >= len(self._keys) or not np.array_equal(self._keys[at], wanted)
        ):
            raise KeyError("a coefficient to update has no place in the matrix; build it with slot()")
        return np.asarray(at)

    def set_bounds(self, columns: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> None:
        """Write column bounds; columns of -1 are skipped."""
        ok = columns >= 0
        self.col_low[columns[ok]] = np.broadcast_to(low, columns.shape)[ok]
        self.col_high[columns[ok]] = np.broadcast_to(high, columns.shape)[ok]

    def set_cost(self, term: str, columns: np.ndarray, values: np.ndarray | float) -> None:
        """Write cost coefficients of one term; columns of -1 are skipped."""
        ok = columns >= 0
        self.cost[term][columns[ok]] = np.broadcast_to(values, columns.shape)[ok]

    def value(self, x: np.ndarray, variable: str, keys: Sequence[Hashable]) -> np.ndarray:
        """Return the values of a variable in a solution; 0 where it has no column."""
        at = self.columns(variable, keys)
        return np.where(at >= 0, x[np.maximum(at, 0)], 0.0)


def compile_model(model: Any) -> CompiledModel:
    """Compile a Pyomo model whose active objectives are the terms, in order of declaration.

    Raises
    ------
    ValueError
        A term is maximised, or a number of the model is NaN or infinite where it must not be.
    """
    import pyomo.environ as pyo
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    if any(term.sense != pyo.minimize for term in form.objectives):
        raise ValueError("every term is minimised; negate what is to be maximised")
    n_columns = len(form.columns)
    place: dict[int, int] = {}
    pick: list[int] = []
    low: list[float] = []
    high: list[float] = []
    kept: list[Any] = []
    for position, entry in enumerate(form.rows):
        key = id(entry.constraint)
        if key not in place:
            place[key] = len(pick)
            pick.append(position)
            kept.append(entry.constraint)
            low.append(-inf)
            high.append(inf)
        row, side = place[key], entry.bound_type
        if side <= 0:
            low[row] = float(form.rhs[position])
        if side >= 0:
            high[row] = float(form.rhs[position])
    matrix = csr_array(csr_array(form.A)[pick, :]) if pick else csr_array((0, n_columns))
    matrix.sum_duplicates()
    matrix.sort_indices()
    if not np.isfinite(matrix.data).all():
        raise ValueError("a coefficient of the model is not finite")
    cost_matrix = csr_array(form.c)
    names = [term.local_name for term in form.objectives]
    columns, col_names = _index(form.columns)
    rows, row_names = _index(kept)
    return CompiledModel(
        matrix=matrix,
        row_low=np.array(low),
        row_high=np.array(high),
        col_low=np.array([-inf if v.lb is None else float(v.lb) for v in form.columns]),
        col_high=np.array([inf if v.ub is None else float(v.ub) for v in form.columns]),
        integer=np.array([not v.is_continuous() for v in form.columns], dtype=bool),
        cost={name: cost_matrix[[k], :].toarray().ravel() for k, name in enumerate(names)},
        offset={name: float(form.c_offset[k]) for k, name in enumerate(names)},
        row_names=row_names,
        col_names=col_names,
        _columns=columns,
        _rows=rows,
    )


def _index(items: Sequence[Any]) -> tuple[dict[str, dict[Hashable, int]], list[str]]:
    """Map component name -> index -> position, and make names without ``[`` (HiGHS erases those)."""
    where: dict[str, dict[Hashable, int]] = {}
    names = []
    parents: dict[int, tuple[str, dict[Hashable, int]]] = {}  # Pyomo takes long to say a component's name
    for position, item in enumerate(items):
        parent = item.parent_component()
        known = parents.get(id(parent))
        if known is None:
            known = parents[id(parent)] = (parent.local_name, where.setdefault(parent.local_name, {}))
        name, places = known
        key = item.index()
        places[key] = position
        if key is None:
            names.append(name)
        else:
            text = ",".join(map(str, key)) if isinstance(key, tuple) else str(key)
            names.append(f"{name}({text})".translate(READABLE))
    return where, names
