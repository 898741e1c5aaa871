"""Component names: ``"table:name"`` or ``"table:index"``, names before indices, ambiguity an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue

__all__ = ["NAMED_TABLES", "component_name", "component_names", "find_component", "rack_rows"]

NAMED_TABLES = (
    "bus",
    "line",
    "trafo",
    "trafo3w",
    "impedance",
    "switch",
    "ext_grid",
    "ups",
    "transfer",
    "interlock",
    "load",
    "asymmetric_load",
    "rack",
    "storage",
    "sgen",
    "asymmetric_sgen",
    "gen",
    "shunt",
)


def component_name(net: Any, table: str, index: int) -> str:
    """Return the name of one row: its ``name`` if it is set and unique, else its index."""
    frame = net[table]
    if "name" in frame.columns:
        name = frame.at[index, "name"]
        if isinstance(name, str) and name and (frame["name"] == name).sum() == 1:
            return f"{table}:{name}"
    return f"{table}:{index}"


def component_names(net: Any, table: str) -> list[str]:
    """Return the names of all rows of a table, in its order. Vectorised twin of `component_name`."""
    if table not in net or not len(net[table]):
        return []
    frame = net[table]
    index = frame.index.to_numpy()
    if "name" not in frame.columns:
        return [f"{table}:{i}" for i in index]
    name = frame["name"].to_numpy(dtype=object)
    text = np.array([isinstance(v, str) and bool(v) for v in name], dtype=bool)
    seen = Counter(name[text])
    return [
        f"{table}:{v}" if ok and seen[v] == 1 else f"{table}:{i}"
        for v, ok, i in zip(name, text, index, strict=True)
    ]


def find_component(net: Any, name: str, path: str = "failed") -> tuple[str, int | str]:
    """Resolve ``"table:name"`` or ``"table:index"`` to its table and index (a rack: to its name).

    Raises
    ------
    InputError
        Unknown table, unknown component, or a name that several rows share.
    """
    table, colon, key = name.partition(":")
    if not colon or table not in NAMED_TABLES:
        allowed = "'table:name' or 'table:index' with a table of " + ", ".join(NAMED_TABLES)
        raise InputError(
            Issue("InvalidName", path, name, name, allowed, "Write for example 'ups:UPS-A' or 'bus:12'.")
        )
    if table == "rack":
        rows = rack_rows(net, key)
        if not any(rows.values()):
            raise InputError(_unknown(net, name, path, _racks(net)))
        return table, key
    if table not in net or not len(net[table]):
        raise InputError(
            Issue("InvalidId", path, name, name, f"a row of net.{table}", f"net.{table} is empty.")
        )
    frame = net[table]
    if "name" in frame.columns:
        hits = frame.index[(frame["name"] == key).to_numpy(dtype=bool)]
        if len(hits) == 1:
            return table, int(hits[0])
        if len(hits) > 1:
            todo = "Rename the rows, or use an index: " + ", ".join(f"{table}:{i}" for i in hits[:10]) + "."
            raise InputError(Issue("AmbiguousName", path, name, name, "a name that one row has", todo))
    if key.lstrip("-").isdigit() and int(key) in frame.index:
        return table, int(key)
    raise InputError(_unknown(net, name, path, [n.partition(":")[2] for n in component_names(net, table)]))


def rack_rows(net: Any, rack: str) -> dict[str, list[int]]:
    """Return the rows that are cords of a rack, as ``{"load": [...], "asymmetric_load": [...]}``."""
    out: dict[str, list[int]] = {}
    for table in ("load", "asymmetric_load"):
        frame = net[table]
        out[table] = (
            [int(i) for i in frame.index[(frame["rack"] == rack).to_numpy(dtype=bool)]]
            if "rack" in frame.columns
            else []
        )
    return out


def _racks(net: Any) -> list[str]:
    found: list[str] = []
    for table in ("load", "asymmetric_load"):
        if "rack" in net[table].columns:
            found += [v for v in net[table]["rack"].unique() if isinstance(v, str) and v]
    return found


def _unknown(net: Any, name: str, path: str, known: Iterable[str]) -> Issue:
    import difflib

    table, _, key = name.partition(":")
    known = list(known)
    close = difflib.get_close_matches(key, known, 3)
    hint = (
        f"Did you mean {', '.join(f'{table}:{c}' for c in close)}?"
        if close
        else "Look at `pdnopt validate` for names."
    )
    sample = ", ".join(known[:6]) + (", ..." if len(known) > 6 else "")
    return Issue("InvalidId", path, name, name, f"one of {sample or 'nothing: the table is empty'}", hint)
