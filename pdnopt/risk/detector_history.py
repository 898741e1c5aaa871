"""What a detector remembers of a series: its last values at equal steps, with gaps marked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "History"]

Floats = NDArray[np.float64]


@dataclass(eq=False)
class History:
    """The last ``capacity`` rows, oldest first; appending costs O(1) on the average.

    Parameters
    ----------
    capacity : int
        How many rows are kept.
    width : int
        Numbers a row; 1 gives a plain vector.
    """

    capacity: int
    width: int = 1
    count: int = 0
    _rows: Floats = field(init=False)

    def __post_init__(self) -> None:
        shape = (2 * self.capacity,) if self.width == 1 else (2 * self.capacity, self.width)
        self._rows = np.full(shape, np.nan)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self.capacity)

    @property
    def rows(self) -> Floats:
        """The rows kept, as a view: do not change it, do not keep it."""
        return self._rows[max(self._end - self.capacity, 0) : self._end]

    def append(self, row: Floats | float) -> None:
        """Add a row; the oldest is forgotten where there is no room."""
        if self._end == len(self._rows):
            self._rows[: self.capacity] = self._rows[self._end - self.capacity :]
            self._end = self.capacity
        self._rows[self._end] = row
        self._end += 1
        self.count += 1

    def restore(self, rows: Floats, count: int) -> None:
        """Take over rows that were saved, and how many had been seen."""
        self._end = len(rows)
        self._rows[: self._end] = rows
        self.count = count
