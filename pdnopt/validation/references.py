"""Does every reference point to a row that exists, and does no element join a point with itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.names import NAMED_TABLES
from pdnopt.plant.reindex import REFERENCES
from pdnopt.validation.native import BUS_COLUMNS
from pdnopt.validation.view import Findings, View, as_number, is_missing

__all__ = ["check_names", "check_references"]

SWITCHED = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}
OPTIONAL = {("ups", "bypass_bus")}
SIDES = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
    "impedance": ("from_bus", "to_bus"),
    "dcline": ("from_bus", "to_bus"),
    "ups": ("in_bus", "out_bus"),
}


def check_references(view: View, found: Findings) -> None:
    """Check buses, switched elements, pdnopt's own references and curve names."""
    for table, column in BUS_COLUMNS:
        if view.has(table, column):
            _reference(view, found, table, column, "bus", optional=(table, column) in OPTIONAL)
    for table, column, target in REFERENCES:
        if target != "bus" and column != "switches" and view.has(table, column):
            _reference(view, found, table, column, target, optional=True)
    _switches(view, found)
    _interlocks(view, found)
    _curves(view, found)
    _self_loops(view, found)


def _reference(view: View, found: Findings, table: str, column: str, target: str, optional: bool) -> None:
    known = view.position(target, view.number(table, column)) >= 0
    if optional:
        known |= np.array([is_missing(v) for v in view.raw(table, column)], dtype=bool)
    if known.all():
        return
    todo = f"Point to a row of net.{target}, or remove the row."
    found.rows("InvalidId", table, column, ~known, f"an index of net.{target}", todo)


def _switches(view: View, found: Findings) -> None:
    """What a switch switches: known kind, known element, and the bus is one of its ends."""
    if not view.n("switch") or not view.has("switch", "et") or not view.has("switch", "element"):
        return
    et = view.raw("switch", "et")
    known = np.array([isinstance(v, str) and v in SWITCHED for v in et], dtype=bool)
    found.rows("Enum", "switch", "et", ~known, "'b', 'l', 't' or 't3'", "Write one of these.")
    bus, element = view.bus("switch"), view.number("switch", "element")
    for letter, target in SWITCHED.items():
        mine = np.array([isinstance(v, str) and v == letter for v in et], dtype=bool)
        if not mine.any():
            continue
        at = view.position(target, element)
        allowed = f"an index of net.{target}"
        found.rows("InvalidId", "switch", "element", mine & (at < 0), allowed, "Point to a row that exists.")
        if target == "bus" or view.n(target) != len(view.index(target)):
            continue
        ends = [view.bus(target, side) for side in SIDES[target]]
        good = mine & (at >= 0) & (bus >= 0)
        touches = np.zeros(len(bus), dtype=bool)
        for end in ends:  # an end that is no bus is told where it is written
            touches[good] |= (end[at[good]] == bus[good]) | (end[at[good]] < 0)
        todo = f"Set the switch's bus to one of the ends of its {target}."
        found.rows("InvalidId", "switch", "bus", good & ~touches, f"an end of the {target} it switches", todo)


def _interlocks(view: View, found: Findings) -> None:
    if not view.has("interlock", "switches"):
        return
    names = view.names("interlock")
    known = set(view.index("switch"))
    for k, cell in enumerate(view.raw("interlock", "switches")):
        members = _members(cell)
        todo = "List the indices of the switches, for instance [3, 7]."
        path = "net.interlock.switches"
        if members is None:
            found.one("WrongType", path, names[k], cell, "a list of indices of net.switch", todo)
            continue
        for member in members:
            number = as_number(member)
            if number is None or number not in known:
                found.one("InvalidId", path, names[k], member, "an index of net.switch", todo)
        if len({str(m) for m in members}) != len(members):
            found.one("NotUnique", path, names[k], cell, "each switch once", todo)


def _members(cell: Any) -> list[Any] | None:
    return list(cell) if isinstance(cell, list | tuple | np.ndarray) and np.ndim(cell) <= 1 else None


def _curves(view: View, found: Findings) -> None:
    known = set(view.text("overload_curve", "name"))
    for table in ("ups", "line", "trafo", "switch"):
        if view.has(table, "overload_curve"):
            name = view.text(table, "overload_curve")
            missing = np.array([bool(v) and v not in known for v in name], dtype=bool)
            todo = "Make it with pdnopt.plant.create_overload_curve, or leave the cell empty."
            found.rows("InvalidId", table, "overload_curve", missing, "a name in net.overload_curve", todo)


def _self_loops(view: View, found: Findings) -> None:
    for table, sides in SIDES.items():
        if not all(view.has(table, side) for side in sides):
            continue
        ends = [view.bus(table, side) for side in sides]
        same = np.zeros(view.n(table), dtype=bool)
        for i, one in enumerate(ends):
            for other in ends[i + 1 :]:
                same |= (one == other) & (one >= 0)
        found.rows("SameValue", table, sides[0], same, "two different buses", "Connect it to two buses.")
    if view.has("ups", "bypass_bus"):
        same = (view.bus("ups", "bypass_bus") == view.bus("ups", "out_bus")) & (
            view.bus("ups", "out_bus") >= 0
        )
        todo = "The bypass comes from the bus before the UPS."
        found.rows("SameValue", "ups", "bypass_bus", same, "another bus than out_bus", todo)
    if view.has("switch", "element"):
        bus = view.bus("switch")
        same = (view.text("switch", "et") == "b") & (bus == view.bus("switch", "element")) & (bus >= 0)
        found.rows("SameValue", "switch", "element", same, "another bus", "Connect the switch to two buses.")


def check_names(view: View, found: Findings) -> None:
    """Would "table:name" mean two rows. A warning: the rows still have their indices."""
    for table in NAMED_TABLES:
        if table == "rack" or not view.has(table, "name"):
            continue
        name = pd.Series(view.text(table, "name"))
        set_names = name[name != ""]
        twice = set_names[set_names.duplicated(keep=False)]
        for text, rows in twice.groupby(twice, sort=False):
            ids = ", ".join(f"{table}:{view.frame(table).index[k]}" for k in rows.index[:5])
            found.one(
                "AmbiguousName",
                f"net.{table}.name",
                f"{table}:{text}",
                text,
                "a name that one row has",
                f"Rename the rows, or call them {ids}" + (" ..." if len(rows) > 5 else "") + ".",
                "warning",
            )
