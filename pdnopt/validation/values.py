"""Cell by cell: a number, finite, of a believable size, inside its bounds; a word that is known."""

from __future__ import annotations

from math import inf, isfinite

import numpy as np
import pandas as pd

from pdnopt.plant.reindex import REFERENCES
from pdnopt.plant.tables import COLUMNS, CUSTOM_TABLES, Column
from pdnopt.validation.native import FLAGS, MANDATORY_TABLES, NUMBERS, Number
from pdnopt.validation.view import Findings, View, as_flag, as_number, is_missing

__all__ = ["check_tables", "check_values", "ups_efficiency"]

LARGEST = 1e9
"""A finite number of this size is nobody's rating, in any unit of the plant: 1e20 is meant as "no limit"."""

RATINGS = {
    ("ext_grid", "max_p_mw"), ("ext_grid", "step_mw"), ("ext_grid", "fuel_mwh"), ("ups", "p_rated_mw"),
    ("ups", "s_rated_mva"), ("ups", "e_max_mwh"), ("ups", "p_charge_max_mw"), ("load", "breaker_a"),
    ("asymmetric_load", "breaker_a"), ("load", "max_p_mw"), ("asymmetric_load", "max_p_mw"),
    ("storage", "max_p_mw"), ("asymmetric_sgen", "s_max_mva"),
}  # fmt: skip
ABOVE_ZERO = {
    ("ups", "p_rated_mw"), ("ups", "s_rated_mva"), ("load", "breaker_a"), ("asymmetric_load", "breaker_a"),
    ("ups", "input_pf"), ("storage", "efficiency_charge"), ("storage", "efficiency_discharge"),
    ("asymmetric_sgen", "s_max_mva"),
}  # fmt: skip
NULLABLE_FLAGS = {("ext_grid", "running"), ("overload_curve", "on_battery")}
INFINITE = {("overload_curve", "max_s")}
OTHER = {("ups", "efficiency"), ("interlock", "switches")}
_REFERENCE_COLUMNS = {(table, column) for table, column, _ in REFERENCES}


def check_tables(view: View, found: Findings) -> None:
    """Are the tables tables, with the columns that must be, and every index there once and whole."""
    for table in (*MANDATORY_TABLES, *CUSTOM_TABLES):
        here = view.net.get(table)
        if here is None and table in MANDATORY_TABLES:
            found.one(
                "MissingTable",
                f"net.{table}",
                "",
                None,
                "a table",
                "Start from pdnopt.plant.create_empty_plant.",
            )
        elif here is not None and not isinstance(here, pd.DataFrame):
            value, todo = type(here).__name__, "Start from pdnopt.plant.create_empty_plant."
            found.one("MissingTable", f"net.{table}", "", value, "a pandas DataFrame", todo)
    tables = {n.table for n in NUMBERS} | {c.table for c in COLUMNS} | {"switch"}
    required = [(n.table, n.column) for n in NUMBERS if n.required]
    required += [(c.table, c.name) for c in COLUMNS if c.required]
    required += [(t, c) for t, c in FLAGS] + [("switch", "bus"), ("switch", "element"), ("switch", "et")]
    for table, column in dict.fromkeys(required):
        if view.n(table) and not view.has(table, column):
            todo = f"Add the column {column}."
            found.one("MissingColumn", f"net.{table}.{column}", "", None, "a column", todo)
    for table in sorted(tables):
        frame = view.frame(table)
        if frame.columns.has_duplicates:
            twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
            found.one("NotUnique", f"net.{table}.columns", "", twice, "each column once", "Drop the copies.")
        index = frame.index
        if isinstance(index, pd.MultiIndex):
            found.one(
                "WrongType", f"net.{table}.index", "", "MultiIndex", "whole numbers", "Renumber the rows."
            )
            continue
        for label in dict.fromkeys(index[index.duplicated()]) if index.has_duplicates else ():
            todo = "Renumber the rows: pandas' reset_index, or pdnopt.plant.reindex."
            found.one("NotUnique", f"net.{table}.index", f"{table}:{label}", label, "each index once", todo)
        if index.dtype.kind not in "iu":
            for label in index:
                if not isinstance(label, int | np.integer) or isinstance(label, bool):
                    todo = "Renumber the rows."
                    found.one(
                        "WrongType", f"net.{table}.index", f"{table}:{label}", label, "a whole number", todo
                    )
        elif (index.to_numpy() < 0).any():
            for label in index[index < 0]:
                found.one(
                    "Range",
                    f"net.{table}.index",
                    f"{table}:{label}",
                    int(label),
                    ">= 0",
                    "Renumber the rows.",
                )


def check_values(view: View, found: Findings) -> None:
    """Check every column that pandapower or PLANT.md defines and pdnopt reads."""
    for table, column in FLAGS:
        if view.has(table, column):
            _flags(view, found, table, column, required=True)
    for number in NUMBERS:
        if view.has(number.table, number.column):
            _native_number(view, found, number)
    for spec in COLUMNS:
        key = (spec.table, spec.name)
        if not view.has(*key) or key in OTHER or key in _REFERENCE_COLUMNS:
            continue
        if spec.dtype == "bool" or key in NULLABLE_FLAGS:
            _flags(view, found, *key, required=False)
        elif spec.dtype == "object":
            _words(view, found, spec)
        else:
            _own_number(view, found, spec)
    _efficiencies(view, found)


def _flags(view: View, found: Findings, table: str, column: str, required: bool) -> None:
    if view.dtype(table, column).kind == "b":
        return
    cells = view.raw(table, column)
    missing = np.array([is_missing(v) for v in cells], dtype=bool)
    bad = np.array([as_flag(v) is None for v in cells], dtype=bool) & ~missing
    todo = "Write True or False."
    found.rows("Enum", table, column, bad, "True or False", todo)
    if required:
        found.rows("NonFinite", table, column, missing, "True or False", todo)


def _words(view: View, found: Findings, spec: Column) -> None:
    cells = view.raw(spec.table, spec.name)
    text = np.array([isinstance(v, str) for v in cells], dtype=bool)
    missing = np.array([is_missing(v) for v in cells], dtype=bool)
    if spec.choices:
        known = np.array([isinstance(v, str) and v in spec.choices for v in cells], dtype=bool)
        allowed = "one of " + ", ".join(repr(c) for c in spec.choices)
        found.rows("Enum", spec.table, spec.name, ~known & ~missing, allowed, "Write one of these words.")
        return
    found.rows("WrongType", spec.table, spec.name, ~text & ~missing, "text", "Write it as a text in quotes.")
    if spec.required:
        empty = missing | np.array([v == "" if isinstance(v, str) else False for v in cells], dtype=bool)
        found.rows("NonFinite", spec.table, spec.name, empty, "a text that is not empty", "Name it.")


def _numbers(view: View, found: Findings, table: str, column: str) -> np.ndarray:
    """Report cells that are no numbers; return the numbers."""
    if view.dtype(table, column).kind not in "iuf":
        bad = np.array([as_number(v) is None for v in view.raw(table, column)], dtype=bool)
        found.rows("WrongType", table, column, bad, "a number", "Write a number without quotes or unit.")
    return view.number(table, column)


def _is_garbage(view: View, table: str, column: str) -> np.ndarray:
    if view.dtype(table, column).kind in "iuf":
        return np.zeros(view.n(table), dtype=bool)
    return np.array([as_number(v) is None for v in view.raw(table, column)], dtype=bool)


def _native_number(view: View, found: Findings, spec: Number) -> None:
    table, column = spec.table, spec.column
    x = _numbers(view, found, table, column)
    unit = f" {spec.unit}" if spec.unit else ""
    if spec.required:
        absent = np.isnan(x) & ~_is_garbage(view, table, column) & view.live(table)
        found.rows("NonFinite", table, column, absent, f"a finite number{unit}", "Fill in the value.")
    if not spec.limit:
        todo = "Write 99999 for 'no limit'." if spec.rating else "Write a finite value."
        found.rows("NonFinite", table, column, np.isinf(x), f"a finite number{unit}", todo)
    huge = _magnitude(view, found, table, column, x, unit)
    allowed = f"> {spec.low:g}{unit}" if spec.above else _bounds(spec.low, spec.high, unit)
    below = (x <= spec.low if spec.above else x < spec.low) & (np.isfinite(x) | spec.limit) & ~huge
    kind = "NotGreater" if spec.above or spec.rating else "Range"
    found.rows(kind, table, column, below, allowed, "Correct the value.")
    above = (x > spec.high) & ~huge & (np.isfinite(x) | spec.limit)
    found.rows("Range", table, column, above, allowed, "Correct the value.")


def _own_number(view: View, found: Findings, spec: Column) -> None:
    table, column, key = spec.table, spec.name, (spec.table, spec.name)
    x = _numbers(view, found, table, column)
    unit = f" {spec.unit}" if spec.unit else ""
    soft = found.soft
    if spec.required:
        absent = np.isnan(x) & ~_is_garbage(view, table, column)
        found.rows("NonFinite", table, column, absent, f"a number{unit}", "Fill in the value.")
    default = spec.default if isinstance(spec.default, float) else 0.0
    fine = (x == inf) & (default == inf or key in INFINITE) | (x == -inf) & (default == -inf)
    infinite = np.isinf(x) & ~fine
    found.rows("NonFinite", table, column, infinite, f"a finite number{unit}", "Write a finite value.", soft)
    x = np.where(np.isinf(x), np.nan, x)
    huge = _magnitude(view, found, table, column, x, unit)
    above_zero = key in ABOVE_ZERO
    allowed = f"> 0{unit}" + (f", <= {spec.high:g}{unit}" if isfinite(spec.high) else "")
    allowed = allowed if above_zero else _bounds(spec.low, spec.high, unit)
    below = (x <= 0.0 if above_zero else x < spec.low) & ~huge
    kind = "NotGreater" if key in RATINGS else "Range"
    if key == ("storage", "max_p_mw"):
        kind = "SignConvention"
    found.rows(kind, table, column, below, allowed, "Correct the value.", soft)
    kind = "SignConvention" if key == ("storage", "min_p_mw") else "Range"
    found.rows(kind, table, column, (x > spec.high) & ~huge, allowed, "Correct the value.", soft)


def _magnitude(view: View, found: Findings, table: str, column: str, x: np.ndarray, unit: str) -> np.ndarray:
    huge = np.isfinite(x) & (np.abs(x) >= LARGEST)
    todo = "If 'no limit' is meant: 99999 kA for a current, an empty cell for any other limit."
    found.rows("MagnitudeError", table, column, huge, f"below {LARGEST:g}{unit} in size", todo)
    return np.asarray(huge)


def _bounds(low: float, high: float, unit: str) -> str:
    if isfinite(low) and isfinite(high):
        return f"{low:g} to {high:g}{unit}"
    return f">= {low:g}{unit}" if isfinite(low) else f"<= {high:g}{unit}" if isfinite(high) else f"any{unit}"


def _efficiencies(view: View, found: Findings) -> None:
    """UPS efficiency: a number above 0 up to 1, or ascending points [loading, efficiency]."""
    if not view.has("ups", "efficiency"):
        return
    wrong, outside, order = [], [], []
    for k, cell in enumerate(view.raw("ups", "efficiency")):
        if is_missing(cell):
            continue
        number = as_number(cell)
        if number is not None:
            if not 0.0 < number <= 1.0:
                outside.append(k)
            continue
        points = _points(cell)
        if points is None:
            wrong.append(k)
        elif not ((points[:, 1] > 0) & (points[:, 1] <= 1)).all():
            outside.append(k)
        elif (points[:, 0] < 0).any() or (np.diff(points[:, 0]) <= 0).any():
            order.append(k)
    allowed = "> 0, <= 1; or a list of [loading, efficiency] with rising loading"
    found.rows(
        "WrongType", "ups", "efficiency", wrong, allowed, "Write 0.96, or [[0.25, 0.94], [1.0, 0.96]]."
    )
    found.rows("Range", "ups", "efficiency", outside, allowed, "Give output over input, not percent.")
    found.rows("CurveOrder", "ups", "efficiency", order, allowed, "Sort the points by loading.")


def _points(cell: object) -> np.ndarray | None:
    """Return a list of pairs as an array (points, 2); None where it is none."""
    if not isinstance(cell, list | tuple | np.ndarray) or not len(cell):
        return None
    rows = [list(row) if isinstance(row, list | tuple | np.ndarray) else [] for row in cell]
    numbers = [[as_number(v) for v in row] for row in rows]
    if any(len(row) != 2 or None in row for row in numbers):
        return None
    out = np.array(numbers, dtype=float)
    return out if np.isfinite(out).all() else None


def ups_efficiency(cell: object, p_kw: float, p_rated_kw: float) -> float:
    """Return the efficiency of a UPS at an output; the default where the cell is garbage."""
    number = None if is_missing(cell) else as_number(cell)
    points = _points(cell) if number is None else None
    if points is not None and p_rated_kw > 0:
        number = float(np.interp(p_kw / p_rated_kw, points[:, 0], points[:, 1]))
    return number if number is not None and 0 < number <= 1 else 0.96
