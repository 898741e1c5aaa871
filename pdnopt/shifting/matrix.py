"""A linear programme put together from blocks of columns and of rows, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

__all__ = ["Matrix", "MatrixBuilder"]


@dataclass(frozen=True)
class Matrix:
    """minimise cost @ x subject to row_low <= a @ x <= row_high, col_low <= x <= col_high; some x whole numbers.

    ``blocks``: names of the rows, with how many there are of each.
    """

    a: csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    col_low: np.ndarray
    col_high: np.ndarray
    cost: np.ndarray
    integer: np.ndarray
    blocks: tuple[tuple[str, int], ...]

    def row_name(self, row: int) -> str:
        """Return what a row is: its block's name and its place in it, as ``load(3)``."""
        for name, n in self.blocks:
            if row < n:
                return f"{name}({row})"
            row -= n
        raise IndexError(row)


class MatrixBuilder:
    """Collects columns and rows block by block."""

    def __init__(self) -> None:
        self.n_columns = self.n_rows = 0
        self._columns: list[tuple[np.ndarray, ...]] = []
        self._entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._bounds: list[tuple[np.ndarray, np.ndarray]] = []
        self._blocks: list[tuple[str, int]] = []

    def columns(
        self, *shape: int, low: Any = 0.0, high: Any = inf, cost: Any = 0.0, integer: bool = False
    ) -> np.ndarray:
        """Add columns; return their numbers in an array of the shape."""
        n = int(np.prod(shape))
        parts = (
            np.broadcast_to(np.asarray(value, dtype=float), shape).ravel() for value in (low, high, cost)
        )
        self._columns.append((*parts, np.full(n, integer)))
        self.n_columns += n
        return np.arange(self.n_columns - n, self.n_columns).reshape(shape)

    def rows(self, name: str, *shape: int, low: Any = -inf, high: Any = inf) -> np.ndarray:
        """Add rows of one name; return their numbers in an array of the shape. Their entries come by `add`."""
        n = int(np.prod(shape))
        low, high = (np.broadcast_to(np.asarray(value, dtype=float), shape).ravel() for value in (low, high))
        self._bounds.append((low, high))
        self._blocks.append((name, n))
        self.n_rows += n
        return np.arange(self.n_rows - n, self.n_rows).reshape(shape)

    def add(self, rows: Any, columns: Any, values: Any) -> None:
        """Add entries; the three are broadcast against each other. Entries of one place are summed."""
        row, column, value = np.broadcast_arrays(rows, columns, values)
        keep = value != 0.0
        self._entries.append((row[keep], column[keep], value[keep].astype(float)))

    def build(self) -> Matrix:
        """Return the programme."""
        empty = (np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0))
        row, column, value = (np.concatenate(part) for part in zip(*self._entries, empty, strict=True))
        low, high, cost, integer = (np.concatenate(part) for part in zip(*self._columns, strict=True))
        row_low, row_high = (np.concatenate([*part, np.zeros(0)]) for part in zip(*self._bounds, strict=True))
        a = csr_array(coo_array((value, (row, column)), shape=(self.n_rows, self.n_columns)))
        a.sum_duplicates()
        return Matrix(a, row_low, row_high, low, high, cost, integer.astype(bool), tuple(self._blocks))
