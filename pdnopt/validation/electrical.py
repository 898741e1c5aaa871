"""Impedances, voltages, signs, bounds, taps, and numbers whose unit cannot be what the column says."""

from __future__ import annotations

import numpy as np

from pdnopt.units import SQRT3
from pdnopt.validation.graph import Units
from pdnopt.validation.view import Findings, Severity, View

__all__ = ["check_electrical", "check_units_of_measure"]

LV_KV = 1.0
PLAUSIBLE_A = {"lv": 10_000.0, "hv": 100_000.0}
"""Largest believable current of one load. Low-voltage busbar systems end at 6.3 kA."""
PLAUSIBLE_RACK_KW = 2_000.0
LEAST_RACK_KW = 0.02


def check_electrical(view: View, found: Findings) -> None:
    """Run the checks of this module that need no load data."""
    _impedances(view, found)
    _voltages(view, found)
    _signs(view, found)
    _bounds(view, found)
    _taps(view, found)


def _impedances(view: View, found: Findings) -> None:
    for table, columns in (
        ("line", ("r_ohm_per_km", "x_ohm_per_km")),
        ("impedance", ("rft_pu", "xft_pu")),
        ("impedance", ("rtf_pu", "xtf_pu")),
    ):
        if all(view.has(table, c) for c in columns):
            both = (view.number(table, columns[0]) == 0) & (view.number(table, columns[1]) == 0)
            both &= view.live(table)
            todo = "Give the impedance, or make it a bus-bus switch."
            found.rows("BothZero", table, columns[0], both, f"{columns[0]} or {columns[1]} not 0", todo)
    for table, column in (
        ("trafo", "vk_percent"),
        *(("trafo3w", f"vk_{side}_percent") for side in ("hv", "mv", "lv")),
    ):
        if view.has(table, column):
            zero = view.live(table) & (view.number(table, column) == 0)
            found.rows("BothZero", table, column, zero, "more than 0 %", "Give the short-circuit voltage.")


def _voltages(view: View, found: Findings) -> None:
    vn = np.append(view.bus_number("vn_kv"), np.nan)
    pairs = (
        ("line", "from_bus", "to_bus", view.live("line")),
        ("switch", "bus", "element", view.text("switch", "et") == "b"),
    )
    for table, one, other, rows in pairs:
        if not (view.has(table, one) and view.has(table, other)):
            continue
        a, b = vn[view.bus(table, one)], vn[view.bus(table, other)]
        known = np.isfinite(a) & np.isfinite(b) & rows
        differ = known & (np.abs(a - b) > 1e-6 * np.maximum(np.abs(a), np.abs(b)))
        text = np.empty(len(a), dtype=object)
        text[:] = [f"{x:g} kV and {y:g} kV" for x, y in zip(a, b, strict=True)]
        todo = "Put a transformer between them, or correct net.bus.vn_kv."
        same = "the same vn_kv at both ends"
        found.rows("VoltageMismatch", table, one, differ, same, todo, found.soft, text)
    for column, side in (("vn_hv_kv", "hv_bus"), ("vn_lv_kv", "lv_bus")):
        if view.has("trafo", column) and view.has("trafo", side):
            rated, bus = view.number("trafo", column), vn[view.bus("trafo", side)]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = rated / bus
            off = view.live("trafo") & np.isfinite(ratio) & ((ratio > 1.4) | (ratio < 1 / 1.4)) & (bus > 0)
            todo = "Check whether the sides are swapped."
            found.rows("VoltageMismatch", "trafo", column, off, f"near vn_kv of its {side}", todo, "warning")


def _signs(view: View, found: Findings) -> None:
    """A load draws, a generator delivers. ``allow_negative`` true on the row says that it is meant."""
    generator = "Generators are positive in pandapower. Turn the sign, or set allow_negative on the row."
    for table, columns in (
        ("load", ("p_mw",)),
        ("asymmetric_load", ("p_a_mw", "p_b_mw", "p_c_mw")),
        ("gen", ("p_mw",)),
        ("sgen", ("p_mw",)),
        ("asymmetric_sgen", ("p_a_mw", "p_b_mw", "p_c_mw")),
    ):
        meant = view.flag(table, "allow_negative", False) | ~view.live(table)
        if table == "asymmetric_sgen":  # a micro-inverter moves power between phases and to its battery
            meant = meant | (view.text(table, "kind") == "mim")
        drawn = "load" in table
        todo = "Make it an sgen, or set allow_negative on the row." if drawn else generator
        for column in columns:
            if view.has(table, column):
                x = view.number(table, column)
                hit = np.isfinite(x) & (x < 0) & ~meant
                found.rows("SignConvention", table, column, hit, ">= 0 MW", todo, found.soft)


def _bounds(view: View, found: Findings) -> None:
    for table, low, high, unit in (
        ("bus", "min_vm_pu", "max_vm_pu", "pu"),
        ("ext_grid", "min_p_mw", "max_p_mw", "MW"),
        ("load", "min_p_mw", "max_p_mw", "MW"),
        ("asymmetric_load", "min_p_mw", "max_p_mw", "MW"),
        ("storage", "min_p_mw", "max_p_mw", "MW"),
        ("storage", "min_e_mwh", "max_e_mwh", "MWh"),
        ("storage", "soc_min_percent", "soc_max_percent", "%"),
        ("ups", "soc_min_percent", "soc_max_percent", "%"),
        ("trafo", "tap_min", "tap_max", ""),
        ("trafo3w", "tap_min", "tap_max", ""),
    ):
        if view.has(table, low) and view.has(table, high):
            crossed = view.number(table, low) > view.number(table, high)
            found.rows(
                "BoundsCrossed",
                table,
                low,
                crossed,
                f"at most {high} {unit}".strip(),
                "Swap or correct them.",
            )
    for table, low, high, note in (
        (
            "storage",
            "soc_min_percent",
            "soc_percent",
            "The battery is below its reserve; it cannot discharge.",
        ),
        ("ups", "p_charge_mw", "p_charge_max_mw", "Correct the charging power or its limit."),
        ("ups", "p_rated_mw", "s_rated_mva", "kW cannot exceed kVA: correct one of them."),
    ):
        if view.has(table, low) and view.has(table, high):
            a, b = view.number(table, low), view.number(table, high)
            if high == "p_charge_max_mw":
                b = np.where(b == 0, np.nan, b)
            found.rows("BoundsCrossed", table, low, a > b * (1 + 1e-9), f"at most {high}", note, "warning")


def _taps(view: View, found: Findings) -> None:
    for table in ("trafo", "trafo3w"):
        if not view.has(table, "tap_pos"):
            continue
        pos = view.number(table, "tap_pos")
        low, high = view.number(table, "tap_min"), view.number(table, "tap_max")
        outside = view.live(table) & ((pos < low) | (pos > high))
        text = [f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True)]
        found.rows("TapRange", table, "tap_pos", outside, text, "Set a tap that exists.")


def check_units_of_measure(view: View, found: Findings, units: Units) -> None:
    """Numbers that only another unit explains: W or kW where MW stands, A for kA, m for km, V for kV."""
    vn = np.append(view.bus_number("vn_kv"), np.nan)

    def soft(table: str, column: str, hit: np.ndarray, allowed: str, todo: str) -> None:
        if hit.any():
            found.rows("UnitImplausible", table, column, hit, allowed, todo, found.soft)

    kv = view.number("bus", "vn_kv")
    soft("bus", "vn_kv", (kv > 1500.0) & (kv < 1e9), "up to 1500 kV", "Is it V? The column is in kV.")
    _loads(view, found, units, vn)
    if view.has("line", "length_km"):
        length, at = view.number("line", "length_km"), vn[view.bus("line", "from_bus")]
        long = (at <= LV_KV) & (length > 10.0) & (length < 1e9)
        soft("line", "length_km", long, "up to 10 km at low voltage", "Is it m? The column is in km.")
    for table, column, most in (("line", "max_i_ka", 50.0), ("switch", "in_ka", 50.0)):
        x = view.number(table, column)
        hit = (x > most) & (x < 9999.0)
        soft(table, column, hit, f"up to {most:g} kA, or 99999 for no limit", "Is it A? The column is in kA.")
    sn, low = view.number("trafo", "sn_mva"), vn[view.bus("trafo", "lv_bus")]
    big = (sn > 20.0) & (sn < 9999.0) & (low <= LV_KV)
    soft("trafo", "sn_mva", big, "up to 20 MVA towards low voltage", "Is it kVA? The column is in MVA.")
    at = vn[view.bus("ups", "out_bus")]
    for column, todo in (("p_rated_mw", "Is it kW?"), ("s_rated_mva", "Is it kVA?")):
        x = view.number("ups", column)
        hit = (x > 10.0) & (x < 1e9) & ~(at > LV_KV)
        soft("ups", column, hit, "up to 10 MW at low voltage", f"{todo} The column is in MW or MVA.")
    with np.errstate(divide="ignore", invalid="ignore"):
        hours = view.number("ups", "e_max_mwh") / view.number("ups", "p_rated_mw")
    soft("ups", "e_max_mwh", (hours > 48.0) & np.isfinite(hours), "up to 48 h at rated power", "Is it kWh?")
    for table in ("load", "asymmetric_load"):
        a = view.number(table, "breaker_a")
        tiny = (a > 0) & (a < 0.5)
        soft(table, "breaker_a", tiny | ((a > 1e4) & (a < 1e9)), "0.5 to 10000 A", "The column is in A.")
    for table in ("ups", "storage"):
        soc = view.number(table, "soc_percent")
        hit = (soc > 0) & (soc <= 1.0)
        todo = "Is it a fraction? The column is in percent."
        found.rows("UnitImplausible", table, "soc_percent", hit, "0, or above 1 to 100 %", todo, "warning")


def _loads(view: View, found: Findings, units: Units, vn: np.ndarray) -> None:
    """Implied current of each row, and the power of whole racks."""
    if not len(units.unit):
        return
    s_kva = np.hypot(units.p_kw, units.q_kvar)
    kv = vn[units.bus]
    with np.errstate(divide="ignore", invalid="ignore"):
        amps = s_kva / (SQRT3 * kv)
    limit = np.where(kv <= LV_KV, PLAUSIBLE_A["lv"], PLAUSIBLE_A["hv"])
    is_rack = np.array([name.startswith("rack:") for name in units.name], dtype=bool)
    total = np.bincount(units.unit, weights=units.p_kw, minlength=len(units.name))
    heavy = is_rack & (total > PLAUSIBLE_RACK_KW)
    wrong = ((amps > limit) & np.isfinite(amps) & ~heavy[units.unit]) & (np.abs(units.p_kw) < 1e12)
    for k in np.flatnonzero(wrong):
        table, row = str(units.table[k]), int(units.row[k])
        column = "p_mw" if table == "load" else "p_a_mw"
        value = f"{units.p_kw[k] / 1000:g} MW at {kv[k]:g} kV = {amps[k]:.0f} A"
        found.one(
            "UnitImplausible",
            f"net.{table}.{column}",
            view.names(table)[row],
            value,
            f"up to {limit[k]:.0f} A",
            "Is it kW or W? The column is in MW.",
            found.soft,
        )
    first = np.full(len(units.name), 10**9)
    np.minimum.at(first, units.unit, np.arange(len(units.unit)))
    tiny = is_rack & (total > 0) & (total < LEAST_RACK_KW)
    severities: tuple[tuple[np.ndarray, Severity], ...] = ((heavy, found.soft), (tiny, "warning"))
    for hit, severity in severities:
        for k in np.flatnonzero(hit):
            row = first[k]
            column = "p_mw" if units.table[row] == "load" else "p_a_mw"
            found.one(
                "UnitImplausible",
                f"net.{units.table[row]}.{column}",
                units.name[k],
                f"{total[k] / 1000:g} MW",
                f"{LEAST_RACK_KW:g} to {PLAUSIBLE_RACK_KW:g} kW a rack",
                "Is it kW or W, or GW? The column is in MW.",
                severity,
            )
