"""Row and column labels of a table, MultiIndexes included."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any

import pandas as pd

__all__ = ["column_labels", "int_or_text", "row_labels"]


def int_or_text(label: Any) -> Any:
    """Return a text of digits as the number that it was before JSON made it a key."""
    return int(label) if isinstance(label, str) and re.fullmatch(r"-?\d{1,18}", label) else label


def _tuples(labels: list[Any]) -> list[tuple[Any, ...]]:
    out = []
    for label in labels:
        value = literal_eval(label) if isinstance(label, str) and len(label) < 1000 else label
        if not isinstance(value, tuple | list) or any(isinstance(v, list | dict | tuple) for v in value):
            raise ValueError("a MultiIndex label is no tuple of plain values")
        out.append(tuple(value))
    return out


def row_labels(labels: list[Any], keys: dict[str, Any], multi: bool) -> pd.Index:
    """Return the index of a table. Raises ValueError for labels that are no plain values."""
    if multi:
        names = keys.get("index_names")
        if not labels:
            return pd.MultiIndex.from_arrays([[] for _ in names or [None]], names=names)
        return pd.MultiIndex.from_tuples(_tuples(labels), names=names)
    if any(isinstance(v, list | dict) for v in labels):
        raise ValueError("an index label is no plain value")
    index = pd.Index(labels) if labels else pd.Index([], dtype="int64")
    return index.rename(keys.get("index_name"))


def column_labels(labels: list[Any], keys: dict[str, Any]) -> pd.Index:
    """Return the columns of a table. Raises ValueError for labels that are no plain values."""
    if keys.get("is_multicolumn"):
        return pd.MultiIndex.from_tuples(_tuples(labels), names=keys.get("column_names"))
    if keys.get("orient", "columns") != "split":
        labels = [int_or_text(v) for v in labels]
    index = pd.Index(labels, dtype=object if all(isinstance(v, str) for v in labels) else None)
    return index.rename(keys.get("column_name"))
