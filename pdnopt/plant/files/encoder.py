"""Tables and values as JSON, marked as pandapower marks them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.io_utils import to_serializable

from pdnopt.errors import Issue

__all__ = ["encode"]


def _marked(module: str, class_: str, body: Any, **keys: Any) -> dict[str, Any]:
    return {"_module": module, "_class": class_, "_object": body, **keys}


def encode(value: Any, place: str, issues: list[Issue]) -> Any:
    """Return what JSON holds of a value, marked as pandapower marks it."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if np.isfinite(number) else _marked("numpy", "float64", _nonfinite(number))
    if isinstance(value, pandapowerNet):
        body = {k: encode(v, f"{place}.{k}", issues) for k, v in value.items() if not str(k).startswith("_")}
        return _marked("pandapower.auxiliary", "pandapowerNet", body)
    if isinstance(value, pd.DataFrame) and type(value) is pd.DataFrame:
        return _encode_frame(value, place, issues)
    if isinstance(value, list):
        return [encode(v, f"{place}[{i}]", issues) for i, v in enumerate(value)]
    if type(value) in (tuple, set, frozenset):
        items = list(value) if isinstance(value, tuple) else sorted(value, key=repr)
        return _marked("builtins", type(value).__name__, encode(items, place, issues))
    if (
        isinstance(value, dict)
        and all(isinstance(k, str) for k in value)
        and not {"_module", "_class"} & value.keys()
    ):
        return {k: encode(v, f"{place}.{k}", issues) for k, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufOU":
        return _marked("numpy", "array", encode(value.tolist(), place, issues), dtype=str(value.dtype))
    if isinstance(value, complex):
        return _marked("builtins", "complex", str(value))
    if value is pd.NA or value is pd.NaT:
        return None
    todo = "Remove it before saving; it could not be read back without running its code."
    issues.append(
        Issue(
            "NotAllowed",
            place,
            "",
            f"{type(value).__module__}.{type(value).__name__}",
            "tables and values",
            todo,
        )
    )
    return None


def _nonfinite(number: float) -> str:
    return "NaN" if np.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _encode_frame(frame: pd.DataFrame, place: str, issues: list[Issue]) -> Any:
    """Return a table as pandapower's "split" text, with every digit and infinity."""
    if isinstance(frame.index, pd.MultiIndex) or isinstance(frame.columns, pd.MultiIndex):
        return to_serializable(frame)
    if frame.columns.has_duplicates:
        issues.append(
            Issue("NotUnique", place, "", list(frame.columns), "distinct column names", "Rename a column.")
        )
        return None
    columns = [
        _encode_column(frame.iloc[:, k], f"{place}.{label}", issues) for k, label in enumerate(frame.columns)
    ]
    split = {
        "columns": [encode(v, f"{place}.columns", issues) for v in frame.columns],
        "index": [encode(v, f"{place}.index", issues) for v in frame.index.tolist()],
        "data": [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in frame.index],
    }
    out = _marked("pandas.core.frame", "DataFrame", json.dumps(split, allow_nan=False), orient="split")
    if len(frame.columns) and isinstance(frame.columns[0], str):
        out["dtype"] = {str(label): str(dtype) for label, dtype in frame.dtypes.items()}
    if frame.index.name is not None:
        out["index_name"] = frame.index.name
    if frame.columns.name is not None:
        out["column_name"] = frame.columns.name
    out["is_multiindex"] = out["is_multicolumn"] = False
    return out


def _encode_column(column: pd.Series, place: str, issues: list[Issue]) -> list[Any]:
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "?"
    cells: list[Any] = column.tolist()
    if kind in "biu":
        return cells
    if kind == "f":
        for i in np.flatnonzero(~np.isfinite(column.to_numpy())):
            cells[i] = None if np.isnan(cells[i]) else _nonfinite(cells[i])
        return cells
    if kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return [None if pd.isna(v) else str(v) for v in cells]
    plain = (str, int, bool, type(None))
    return [
        v if type(v) in plain else encode(v, f"{place}[{i}]", issues)
        for i, v in zip(column.index, cells, strict=True)
    ]
