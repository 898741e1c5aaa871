"""UPSs and their companions, overload curves, racks and their cords; results that contradict the switches."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pdnopt.validation.view import Findings, View, as_flag, is_missing

__all__ = ["check_conflicts", "check_curves", "check_racks", "check_upss"]

INVERTING = ("online", "battery")
PASSING = ("bypass", "eco")


def check_upss(view: View, found: Findings) -> None:
    """Every UPS has its companions, where its buses say, and they say what its mode says."""
    if not view.n("ups"):
        return
    names = view.names("ups")
    labels = view.frame("ups").index
    mode = np.where(view.live("ups"), view.text("ups", "mode", "online"), "off")
    known = np.isin(mode, (*INVERTING, *PASSING, "off"))
    has_bypass = np.isfinite(view.number("ups", "bypass_bus"))
    make = "Make UPSs with pdnopt.plant.create_ups."
    run = "Set the companions as the mode says (pdnopt.powerflow does), or correct the mode."
    rows_of = {table: _rows_of_ups(view, table) for table in ("ext_grid", "load", "switch")}
    for k, label in enumerate(labels):
        key = int(label) if isinstance(label, int | np.integer) else None
        for table, end, wanted in (
            ("ext_grid", "out_bus", mode[k] in INVERTING),
            ("load", "in_bus", mode[k] == "online"),
        ):
            mine = rows_of[table].get(key, [])
            if len(mine) != 1:
                allowed = f"one row of net.{table} whose column 'ups' is {label}"
                found.one("MissingCompanion", f"net.{table}.ups", names[k], len(mine), allowed, make)
                continue
            row = mine[0]
            bus, ups_bus = view.bus(table)[row], view.bus("ups", end)[k]
            if bus != ups_bus and min(bus, ups_bus) >= 0:
                allowed = f"the UPS's {end} ({view.bus_name(int(ups_bus))})"
                value = view.bus_name(int(bus))
                found.one("CompanionMismatch", f"net.{table}.bus", names[k], value, allowed, make)
            kind = {"ext_grid": "ups", "load": "ups_input"}[table]
            if view.text(table, "kind")[row] != kind:
                value = view.raw(table, "kind")[row]
                found.one("CompanionMismatch", f"net.{table}.kind", names[k], value, repr(kind), make)
            on = bool(view.live(table)[row])
            if known[k] and on != wanted:
                allowed = f"{wanted} in mode {mode[k]!r}"
                found.one("StateConflict", f"net.{table}.in_service", names[k], on, allowed, run)
        _bypass(view, found, names[k], str(mode[k]), rows_of["switch"].get(key, []), bool(has_bypass[k]), k)


def _bypass(
    view: View, found: Findings, name: str, mode: str, mine: list[int], has_bypass: bool, k: int
) -> None:
    if len(mine) > 1 or has_bypass != bool(mine):
        allowed = "one switch whose column 'ups' names it if bypass_bus is set, none if not"
        todo = "Make UPSs with pdnopt.plant.create_ups."
        found.one("MissingCompanion", "net.switch.ups", name, len(mine), allowed, todo)
        if not mine and mode in PASSING:
            todo = "Without a bypass it is online, on battery or off."
            found.one("StateConflict", "net.ups.mode", name, mode, "a mode that needs no bypass", todo)
        return
    if not mine:
        if mode in PASSING:
            todo = "Without a bypass it is online, on battery or off."
            found.one("StateConflict", "net.ups.mode", name, mode, "a mode that needs no bypass", todo)
        return
    row = mine[0]
    ends = {int(view.bus("switch")[row]), int(view.bus("switch", "element")[row])}
    wanted = {int(view.bus("ups", "bypass_bus")[k]), int(view.bus("ups", "out_bus")[k])}
    if -1 not in ends | wanted and ends != wanted:
        allowed = "between bypass_bus and out_bus"
        value = ", ".join(view.bus_name(b) for b in sorted(ends))
        todo = "Connect the bypass switch to the buses of its UPS."
        found.one("CompanionMismatch", "net.switch.bus", name, value, allowed, todo)
    closed = bool(view.flag("switch", "closed", False)[row])
    if mode in (*INVERTING, *PASSING, "off") and closed != (mode in PASSING):
        allowed = f"{mode in PASSING} in mode {mode!r}"
        todo = "Set the bypass switch as the mode says, or correct the mode."
        found.one("StateConflict", "net.switch.closed", name, closed, allowed, todo)


def _rows_of_ups(view: View, table: str) -> dict[int | None, list[int]]:
    out: dict[int | None, list[int]] = {}
    for row, number in enumerate(view.number(table, "ups")):
        if np.isfinite(number):
            out.setdefault(int(number), []).append(row)
    return out


def check_curves(view: View, found: Findings) -> None:
    """A curve rises in ratio and never allows a larger overload for longer."""
    if not view.n("overload_curve"):
        return
    names = view.text("overload_curve", "name")
    battery = [as_flag(v) if not is_missing(v) else None for v in view.raw("overload_curve", "on_battery")]
    frame = pd.DataFrame(
        {
            "name": names,
            "band": view.number("overload_curve", "temperature_c", np.inf),
            "supply": [str(v) for v in battery],
            "ratio": view.number("overload_curve", "ratio"),
            "max_s": view.number("overload_curve", "max_s"),
        }
    )
    path = "net.overload_curve"
    for (name, _, _), rows in frame.groupby(["name", "band", "supply"], sort=False, dropna=False):
        rows = rows.dropna(subset=["ratio", "max_s"])
        ratio, longest = rows["ratio"].to_numpy(), rows["max_s"].to_numpy()
        id_ = f"overload_curve:{name}"
        if len(np.unique(ratio)) != len(ratio):
            found.one("NotUnique", f"{path}.ratio", id_, list(ratio), "each ratio once", "Drop a row.")
        elif (np.diff(ratio) < 0).any():
            todo = "Sort the rows by ratio."
            found.one("CurveOrder", f"{path}.ratio", id_, list(ratio), "rising ratios", todo)
        order = np.argsort(ratio, kind="stable")
        if (np.diff(longest[order]) > 0).any():
            todo = "A larger overload cannot be carried longer: correct max_s."
            found.one(
                "CurveOrder", f"{path}.max_s", id_, list(longest[order]), "falling with the ratio, in s", todo
            )


def check_racks(view: View, found: Findings) -> None:
    """Cords of one rack say the same of the rack, and their shares add up."""
    columns = ("priority", "sheddable", "holdup_ms", "restart_s")
    parts = []
    for table in ("load", "asymmetric_load"):
        rack = view.text(table, "rack")
        keep = rack != ""
        if not keep.any():
            continue
        parts.append(
            pd.DataFrame(
                {
                    "rack": rack[keep],
                    "table": table,
                    "cord": view.text(table, "cord")[keep],
                    "bus": view.bus(table)[keep],
                    "share": view.number(table, "share")[keep],
                    "in_service": view.live(table)[keep].astype(float),
                    "priority": view.number(table, "priority", 3.0)[keep],
                    "sheddable": view.flag(table, "sheddable", True)[keep].astype(float),
                    "holdup_ms": view.number(table, "holdup_ms", 20.0)[keep],
                    "restart_s": view.number(table, "restart_s", 0.0)[keep],
                }
            )
        )
    if not parts:
        return
    cords = pd.concat(parts, ignore_index=True)
    groups = cords.groupby("rack", sort=False)
    first_table = groups["table"].first()
    for column in (*columns, "in_service"):
        spread = groups[column].nunique(dropna=False)
        different = spread.index[spread > 1]
        if not len(different):
            continue
        cells = groups[column].unique()
        for rack in different:
            value = sorted(cells[rack].tolist())
            path = f"net.{first_table[rack]}.{column}"
            todo = "Give all cords of the rack the same value; the strictest is used."
            found.one("CordMismatch", path, f"rack:{rack}", value, "one value a rack", todo, "warning")
    given = groups["share"].count()
    size, total = groups.size(), groups["share"].sum()
    off = (given > 0) & ((given < size) | ((total - 1.0).abs() > 1e-3))
    for rack in off.index[off]:
        path = f"net.{first_table[rack]}.share"
        sum_of_shares = float(total[rack])
        todo = "Let the shares of the cords add up to 1, or leave all empty."
        found.one("CordMismatch", path, f"rack:{rack}", sum_of_shares, "a sum of 1", todo, "warning")
    named = cords[cords["cord"] != ""]
    twice = named[named.duplicated(["rack", "cord"])]
    for rack, cord, table in zip(twice["rack"], twice["cord"], twice["table"], strict=True):
        todo = "Name the cords differently."
        found.one(
            "NotUnique", f"net.{table}.cord", f"rack:{rack}", cord, "each cord name once", todo, "warning"
        )


def check_conflicts(view: View, found: Findings) -> None:
    """Results that contradict the switches: an open switch that carries power."""
    results = view.net.get("res_switch")
    if not isinstance(results, pd.DataFrame) or not len(results) or not view.n("switch"):
        return
    if view.n("switch") != len(view.index("switch")) or not results.index.is_unique:
        return
    opened = ~view.flag("switch", "closed", True)
    carried = np.zeros(view.n("switch"))
    value = np.full(view.n("switch"), "", dtype=object)
    inner = View({"switch": results})
    at = view.position(
        "switch", np.array([v if isinstance(v, int) else np.nan for v in results.index], float)
    )
    for column, unit in (("p_from_mw", "MW"), ("p_to_mw", "MW"), ("i_ka", "kA"), ("p_kw", "kW")):
        x = inner.number("switch", column, 0.0)
        for k in np.flatnonzero((at >= 0) & (np.abs(x) > 1e-5)):
            carried[at[k]] = x[k]
            value[at[k]] = f"open, {x[k]:g} {unit}"
    todo = "Correct the switch, or drop results that are out of date."
    found.rows(
        "StateConflict",
        "switch",
        "closed",
        opened & (carried != 0),
        "no flow through an open switch",
        todo,
        found.soft,
        value,
    )
