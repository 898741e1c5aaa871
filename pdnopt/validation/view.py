"""The network's cells as numbers, flags and positions, whatever garbage they hold; and the list of findings.

Every column is read once. A cell that is not what its column holds reads as missing here (NaN, default, -1);
that it is garbage is told by :mod:`pdnopt.validation.values`, so the other checks need not care.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from pdnopt.errors import Issue
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import CUSTOM_TABLES

__all__ = ["Findings", "Severity", "View", "as_flag", "as_number", "is_missing"]

Severity = Literal["error", "warning"]

_PLANT_COLUMNS = {
    "ext_grid": ("kind", "sync_group", "ups"),
    "load": ("priority", "rack", "sheddable", "kind"),
    "asymmetric_load": ("priority", "rack", "sheddable"),
    "switch": ("transfer", "ups", "operation"),
    "asymmetric_sgen": ("s_max_mva",),
    "storage": ("grid_forming", "coupling"),
}


def _cells(frame: pd.DataFrame, name: str) -> Any:
    """Return one column as a Series; the first where several share the name."""
    column = frame[name]
    return column if isinstance(column, pd.Series) else column.iloc[:, 0]


def is_missing(cell: Any) -> bool:
    """True for None, NaN, NaT and pandas' NA; never for a list."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def as_flag(cell: Any) -> bool | None:
    """Return the truth that a cell tells: booleans, 0 and 1; None for anything else."""
    if isinstance(cell, bool | np.bool_):
        return bool(cell)
    if isinstance(cell, int | float | np.number) and cell in (0, 1):
        return bool(cell)
    return None


def as_number(cell: Any) -> float | None:
    """Return the number in a cell, NaN where it is missing, None where it is no number."""
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, int | float | np.integer | np.floating):
        try:
            return float(cell)
        except OverflowError:
            return float("inf") if cell > 0 else float("-inf")
    return float("nan") if is_missing(cell) else None


class View:
    """Cells of a network by table and column, cached."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self._frames: dict[str, pd.DataFrame] = {}
        self._numbers: dict[tuple[str, str], np.ndarray] = {}
        self._names: dict[str, list[str]] = {}
        self._index: dict[str, pd.Index] = {}
        self._bus_rows: dict[int, int] = {}
        self.is_plant = any(self.n(table) for table in CUSTOM_TABLES) or any(
            self.has(table, name) for table, names in _PLANT_COLUMNS.items() for name in names
        )

    def frame(self, table: str) -> pd.DataFrame:
        """Return the table, an empty one where it is missing or is no table."""
        if table not in self._frames:
            frame = self.net.get(table)
            self._frames[table] = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame()
        return self._frames[table]

    def n(self, table: str) -> int:
        """Number of rows."""
        return len(self.frame(table))

    def has(self, table: str, name: str) -> bool:
        """True if the table has the column."""
        return name in self.frame(table).columns

    def raw(self, table: str, name: str) -> np.ndarray:
        """Return the cells as objects, None where the column is missing."""
        if not self.has(table, name):
            return np.full(self.n(table), None, dtype=object)
        return np.asarray(_cells(self.frame(table), name).to_numpy(dtype=object))

    def dtype(self, table: str, name: str) -> Any:
        """Return numpy's dtype of a column; object for any other."""
        dtype = _cells(self.frame(table), name).dtype
        return dtype if isinstance(dtype, np.dtype) else np.dtype(object)

    def number(self, table: str, name: str, default: float = np.nan) -> np.ndarray:
        """Return the column as floats; missing cells and garbage are ``default``."""
        key = (table, name)
        if key not in self._numbers:
            n = self.n(table)
            if not self.has(table, name):
                out = np.full(n, np.nan)
            elif self.dtype(table, name).kind in "iuf":
                out = _cells(self.frame(table), name).to_numpy(dtype=float)
            else:
                found = (as_number(cell) for cell in self.raw(table, name))
                out = np.array([np.nan if v is None else v for v in found], dtype=float)
            self._numbers[key] = out
        out = self._numbers[key]
        return out if np.isnan(default) else np.where(np.isnan(out), default, out)

    def flag(self, table: str, name: str, default: bool) -> np.ndarray:
        """Return the column as booleans; missing cells and garbage are ``default``."""
        if not self.has(table, name):
            return np.full(self.n(table), default)
        if self.dtype(table, name).kind == "b":
            return np.asarray(_cells(self.frame(table), name).to_numpy(dtype=bool))
        found = (as_flag(cell) for cell in self.raw(table, name))
        return np.array([default if v is None else v for v in found], dtype=bool)

    def text(self, table: str, name: str, default: str = "") -> np.ndarray:
        """Return the column as texts; missing cells and garbage are ``default``."""
        out = np.empty(self.n(table), dtype=object)
        out[:] = [v if isinstance(v, str) and v else default for v in self.raw(table, name)]
        return out

    def live(self, table: str) -> np.ndarray:
        """Return which rows are in service."""
        return self.flag(table, "in_service", True)

    def index(self, table: str) -> pd.Index:
        """Return the distinct whole-number indices of a table, in order of first appearance."""
        if table not in self._index:
            raw = self.frame(table).index
            if isinstance(raw, pd.MultiIndex):
                self._index[table] = pd.Index([], dtype="int64")
            elif raw.dtype.kind in "iu" and raw.is_unique:
                self._index[table] = raw.astype("int64")
            else:
                known = [int(v) for v in raw if isinstance(v, int | np.integer) and abs(int(v)) < 2**62]
                self._index[table] = pd.Index(list(dict.fromkeys(known)), dtype="int64")
        return self._index[table]

    def position(self, target: str, reference: np.ndarray) -> np.ndarray:
        """Return positions in ``index(target)`` of numbers that refer to it; -1 for none."""
        whole = np.isfinite(reference) & (np.floor(reference) == reference) & (np.abs(reference) < 2**62)
        out = np.full(len(reference), -1)
        out[whole] = self.index(target).get_indexer(reference[whole].astype("int64"))
        return out

    def bus(self, table: str, name: str = "bus") -> np.ndarray:
        """Return positions of buses that a column refers to; -1 for none."""
        return self.position("bus", self.number(table, name))

    def bus_number(self, name: str, default: float = np.nan) -> np.ndarray:
        """Return a column of net.bus, one value a distinct bus, in the order of ``index("bus")``."""
        column = self.number("bus", name, default)
        return column if len(column) == len(self.index("bus")) else self._first("bus", column)

    def bus_live(self) -> np.ndarray:
        """Return which distinct buses are in service."""
        column = self.live("bus")
        if len(column) == len(self.index("bus")):
            return column
        return self._first("bus", column.astype(float)) > 0.5

    def _first(self, table: str, column: np.ndarray) -> np.ndarray:
        raw = [v if isinstance(v, int | np.integer) else None for v in self.frame(table).index]
        first: dict[int, float] = {}
        for label, value in zip(raw, column, strict=True):
            if label is not None:
                first.setdefault(int(label), float(value))
        return np.array([first[int(i)] for i in self.index(table)], dtype=float)

    def names(self, table: str) -> list[str]:
        """Return "table:name" or "table:index" of every row."""
        if table not in self._names:
            try:
                self._names[table] = component_names(self.net, table)
            except Exception:
                self._names[table] = [f"{table}:{i}" for i in self.frame(table).index]
        return self._names[table]

    def bus_name(self, position: int) -> str:
        """Return the name of a distinct bus."""
        if not self._bus_rows:
            for row, label in enumerate(self.frame("bus").index):
                if isinstance(label, int | np.integer):
                    self._bus_rows.setdefault(int(label), row)
        return self.names("bus")[self._bus_rows[int(self.index("bus")[position])]]


class Findings:
    """Collects issues in the order of the checks."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.issues: list[Issue] = []

    def one(
        self,
        kind: str,
        path: str,
        id_: str,
        value: Any,
        allowed: str,
        todo: str,
        severity: Severity = "error",
    ) -> None:
        """Add one finding."""
        self.issues.append(Issue(kind, path, id_, value, allowed, todo, severity))

    def rows(
        self,
        kind: str,
        table: str,
        column: str,
        hit: np.ndarray | Sequence[int] | Iterable[int],
        allowed: str | Sequence[str],
        todo: str,
        severity: Severity = "error",
        value: Any = None,
    ) -> None:
        """Add one finding for every row that ``hit`` (a mask, or positions) names.

        ``value`` and ``allowed`` may be arrays over all rows of the table; the cell is the default value.
        """
        hit = np.asarray(hit if isinstance(hit, np.ndarray) else list(hit))
        at = np.flatnonzero(hit) if hit.dtype == bool else hit.astype(int)
        if not len(at):
            return
        names = self.view.names(table)
        cells = self.view.raw(table, column) if value is None else value
        path = f"net.{table}.{column}"
        for k in at:
            cell = cells[k]
            cell = cell.item() if isinstance(cell, np.generic) else cell
            text = allowed if isinstance(allowed, str) else allowed[k]
            self.issues.append(Issue(kind, path, names[k], cell, text, todo, severity))

    @property
    def soft(self) -> Severity:
        """Severity of a rule of the plant that published transmission and distribution cases may break."""
        return "error" if self.view.is_plant else "warning"
