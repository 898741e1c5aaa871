"""Rows of pdnopt's tables and of pandapower's, with defaults and dtypes: what every ``create_*`` uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from pdnopt.plant.tables import columns_of, ensure_tables

__all__ = ["add_row", "complete", "create_native"]


def add_row(net: Any, table: str, row: dict[str, Any]) -> int:
    """Append one row to a pdnopt table with its defaults and dtypes; return its index."""
    ensure_tables(net)
    frame = net[table]
    index = int(frame.index.max()) + 1 if len(frame) else 0
    data = {}
    for spec in columns_of(table):
        value = row.get(spec.name, spec.default)
        data[spec.name] = pd.Series([value], index=[index], dtype=spec.dtype)
    new = pd.DataFrame(data, index=pd.Index([index], dtype="int64"))
    net[table] = new if not len(frame) else pd.concat([frame, new])
    return index


def create_native(
    create: Callable[..., Any], net: Any, table: str, *args: Any, columns: dict[str, Any], **keywords: Any
) -> Any:
    """Call one of pandapower's ``create_*``, write pdnopt's columns on what it made, and return its index.

    pandapower casts the NaN of a new row in a boolean column to True, whatever the default: the columns
    are objects while it works, and `complete` gives them their defaults and dtypes back.
    """
    frame = net[table]
    for spec in columns_of(table):
        if spec.dtype == "bool" and spec.name in frame.columns and frame[spec.name].dtype == bool:
            frame[spec.name] = frame[spec.name].astype(object)
    index = create(net, *args, **keywords)
    complete(net, table)
    for name, value in columns.items():
        net[table].loc[index, name] = value
    return index


def complete(net: Any, table: str) -> None:
    """Give pdnopt's columns of a table their dtypes, and their defaults where they have no value."""
    frame = net[table]
    for spec in columns_of(table):
        if spec.name not in frame.columns:
            frame[spec.name] = pd.Series([spec.default] * len(frame), index=frame.index, dtype=spec.dtype)
            continue
        column = frame[spec.name].astype(object)
        missing = column.isna().to_numpy()
        if missing.any():
            column = pd.Series(
                [spec.default if gone else value for gone, value in zip(missing, column, strict=True)],
                index=frame.index,
                dtype=object,
            )
        frame[spec.name] = column.astype(spec.dtype)
