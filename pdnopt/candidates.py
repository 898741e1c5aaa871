"""Which components of a network may fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values

__all__ = ["contingencies"]

TABLES = ("ext_grid", "ups", "trafo", "trafo3w", "impedance", "transfer", "storage", "bus", "line", "switch")
"""Tables whose rows can fail."""

COMPANIONS = ("ups", "storage")
"""Kinds of ext_grid that stand for another component: that one fails, not they."""


def contingencies(net: Any, components: Sequence[str] | str | None = None) -> list[str]:
    """Return the names of the components that may fail (see `sweep`). Raises InputError for unknown ones."""
    known = list(_components(net))
    if components == "all":
        return known
    if components is None:
        final = _final_circuits(net)
        return [name for name in known if name not in final]
    asked = [components] if isinstance(components, str) else list(components)
    issues, found = [], []
    for name in asked:
        mine = [other for other in known if other == name or other.partition(":")[0] == name]
        if not mine:
            allowed = f"a component of the network, or one of {', '.join(TABLES)}"
            issues.append(
                Issue("InvalidName", "sweep(components=...)", name, name, allowed, "Correct the name.")
            )
        found += [other for other in mine if other not in found]
    if issues:
        raise InputError(issues)
    return found


def _components(net: Any) -> Iterator[str]:
    for table in TABLES:
        if table not in net or not len(net[table]):
            continue
        names: Iterable[str] = component_names(net, table)
        if table == "ext_grid":
            kinds = values(net, "ext_grid", "kind")
            names = [name for name, kind in zip(names, kinds, strict=True) if kind not in COMPANIONS]
        if table == "switch":  # a bypass switch is part of its UPS
            owners = values(net, "switch", "ups")
            names = [name for name, owner in zip(names, owners, strict=True) if owner != owner]
        yield from names


def _final_circuits(net: Any) -> set[str]:
    """Return the buses that feed one unit only and lead nowhere else, and the lines and switches that lead to them."""
    ways: dict[int, set[str]] = {int(bus): set() for bus in net.bus.index}
    lines = component_names(net, "line")
    for name, a, b in zip(lines, net.line["from_bus"], net.line["to_bus"], strict=True):
        ways[int(a)].add(name)
        ways[int(b)].add(name)
    for name, row in zip(component_names(net, "switch"), net.switch.itertuples(), strict=True):
        if row.et == "b":
            ways[int(row.bus)].add(name)
            ways[int(row.element)].add(name)
    for trafo in net.trafo.itertuples():
        for bus in (trafo.hv_bus, trafo.lv_bus):
            ways[int(bus)] |= {f"{trafo.Index} hv", f"{trafo.Index} lv"}  # never final
    fixed = set(net.ext_grid["bus"]) | (
        set(net.ups["in_bus"]) | set(net.ups["out_bus"]) if "ups" in net else set()
    )
    racks = values(net, "load", "rack") if len(net.load) else np.zeros(0, dtype=object)
    units = np.where(racks == "", net.load["name"].astype(str), racks) if len(net.load) else racks
    fed = pd.Series(units, index=net.load["bus"]).groupby(level=0).nunique()
    names = dict(zip(net.bus.index, component_names(net, "bus"), strict=True))
    found: set[str] = set()
    for bus in fed.index[fed == 1].to_numpy(dtype=int):
        if len(ways[bus]) == 1 and bus not in fixed:
            found |= {names[bus], *ways[bus]}
    return found
