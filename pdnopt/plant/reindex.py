"""New indices that leave no reference behind.

pandapower's ``reindex_buses`` and ``reindex_elements`` know pandapower's own references. They leave stale
what pdnopt's tables hold (PLANT.md), the switches of three-winding transformers, and the results of
elements. The functions here do the whole, and refuse a lookup that would make two rows one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandapower.toolbox as pp_toolbox
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.tables import CUSTOM_TABLES, ensure_tables

__all__ = ["REFERENCES", "reindex_buses", "reindex_elements"]

REFERENCES: tuple[tuple[str, str, str], ...] = (
    ("ups", "in_bus", "bus"),
    ("ups", "out_bus", "bus"),
    ("ups", "bypass_bus", "bus"),
    ("transfer", "bus", "bus"),
    ("transfer", "preferred", "switch"),
    ("interlock", "switches", "switch"),
    ("switch", "transfer", "transfer"),
    ("switch", "ups", "ups"),
    ("ext_grid", "ups", "ups"),
    ("load", "ups", "ups"),
    ("asymmetric_load", "ups", "ups"),
    ("ext_grid", "storage", "storage"),
    ("asymmetric_sgen", "storage", "storage"),
)
"""(table, column, table that the column points into) of every reference that pdnopt adds."""


def reindex_buses(net: Any, lookup: Mapping[int, int]) -> dict[int, int]:
    """Give buses new indices, in every table. Changes ``net`` in place.

    Parameters
    ----------
    net : pandapowerNet
    lookup : mapping of int to int
        Old to new index; buses that it leaves out keep theirs.

    Returns
    -------
    dict of int to int
        The whole lookup, the unchanged buses included.

    Raises
    ------
    InputError
        Unknown buses, or a new index that two buses would have; nothing is changed then.
    """
    return reindex_elements(net, "bus", lookup)


def reindex_elements(net: Any, table: str, lookup: Mapping[int, int]) -> dict[int, int]:
    """Give rows of a table new indices and follow them everywhere. Changes ``net`` in place.

    Parameters
    ----------
    net : pandapowerNet
    table : str
        "bus", "switch", "load", "ups", "transfer", ...
    lookup : mapping of int to int
        Old to new index; rows that it leaves out keep theirs.

    Returns
    -------
    dict of int to int
        The whole lookup, the unchanged rows included.

    Raises
    ------
    InputError
        No such table, unknown rows, or a new index that two rows would have; nothing is changed then.
    """
    ensure_tables(net)
    whole = _whole_lookup(net, table, lookup)
    if table == "bus":
        dtypes = {(t, c): net[t][c].dtype for t, c in pp_toolbox.element_bus_tuples() if t in net}
        pp_toolbox.reindex_buses(net, dict(whole))
        for (holder, column), dtype in dtypes.items():
            net[holder][column] = net[holder][column].astype(dtype)
    elif table in CUSTOM_TABLES:
        net[table].index = pd.Index([whole[int(i)] for i in net[table].index], dtype="int64")
        _group_members(net, table, whole)
    else:
        pp_toolbox.reindex_elements(net, table, lookup=dict(whole))
        if table == "trafo3w":  # pandapower follows lines and two-winding transformers only
            _map_cells(net.switch, "element", whole, (net.switch["et"] == "t3").to_numpy(bool))
        _results(net, table, whole)
    for holder, column, target in REFERENCES:
        if target == table and holder in net and column in net[holder].columns:
            _map_cells(net[holder], column, whole)
    return whole


def _whole_lookup(net: Any, table: str, lookup: Mapping[int, int]) -> dict[int, int]:
    if table not in net or not isinstance(net[table], pd.DataFrame) or table.startswith("res_"):
        issue = Issue(
            "InvalidId", "table", "", table, "a table of the network", "Write for example 'switch'."
        )
        raise InputError(issue)
    have = [int(i) for i in net[table].index]
    known = set(have)
    issues = []
    for old, new in lookup.items():
        if old not in known:
            todo = "Leave it out of the lookup."
            issues.append(
                Issue("InvalidId", "lookup", f"{table}:{old}", old, f"an index of net.{table}", todo)
            )
        if isinstance(new, bool) or not isinstance(new, int | np.integer) or new < 0:
            todo = "Give a whole number that is not negative."
            issues.append(Issue("Range", "lookup", f"{table}:{old}", new, "0, 1, 2, ...", todo))
    if issues:
        raise InputError(issues)
    whole = {i: int(lookup.get(i, i)) for i in have}
    count = Counter(whole.values())
    issues = [
        Issue(
            "NotUnique", "lookup", f"{table}:{old}", new, "an index that no other row has", "Choose another."
        )
        for old, new in whole.items()
        if count[new] > 1
    ]
    if issues:
        raise InputError(issues)
    return whole


def _map_cells(frame: pd.DataFrame, column: str, lookup: dict[int, int], rows: Any = None) -> None:
    """Follow the lookup in one column, NaN and unknown references untouched, the dtype kept."""

    def follow(cell: Any) -> Any:
        if isinstance(cell, list | tuple | np.ndarray):
            return [follow(v) for v in cell]
        if isinstance(cell, bool) or not isinstance(cell, int | float | np.number) or cell != cell:
            return cell
        return lookup.get(cell, cell)  # type: ignore[arg-type]  # 3.0 finds 3

    if not len(frame):
        return
    chosen = np.ones(len(frame), dtype=bool) if rows is None else rows
    cells = np.empty(len(frame), dtype=object)
    for k, cell in enumerate(frame[column]):
        cells[k] = follow(cell) if chosen[k] else cell
    frame[column] = pd.Series(cells, index=frame.index, dtype=object).astype(frame[column].dtype)


def _group_members(net: Any, table: str, lookup: dict[int, int]) -> None:
    """Follow the lookup in pandapower's groups, as pandapower does for its own tables."""
    group = net.get("group")
    if group is None or not len(group):
        return
    rows = ((group["element_type"] == table) & group["reference_column"].isna()).to_numpy(bool)
    _map_cells(group, "element_index", lookup, rows)


def _results(net: Any, table: str, lookup: dict[int, int]) -> None:
    """Let the result tables follow their rows; pandapower does so for buses only."""
    for name in (f"res_{table}", f"res_{table}_3ph", f"res_{table}_sc", f"res_{table}_est"):
        frame = net.get(name)
        if isinstance(frame, pd.DataFrame) and len(frame) and not isinstance(frame.index, pd.MultiIndex):
            frame.index = pd.Index([lookup.get(i, i) for i in frame.index], name=frame.index.name)
