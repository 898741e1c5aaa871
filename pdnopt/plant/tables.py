"""The plant's tables as data: every column that PLANT.md adds to a pandapower network.

One row of :data:`COLUMNS` per column: table, name, dtype, default, unit, lower and upper bound and
meaning. ``create_*``, ``validate``, the reader and the documentation all use this table, so that a
default is written down once. A missing column or a NaN means the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.units import DEFAULT_HOLDUP_MS, DEFAULT_PRIORITY

__all__ = [
    "COLUMNS",
    "CUSTOM_TABLES",
    "Column",
    "column",
    "columns_of",
    "ensure_tables",
    "native_values",
    "values",
]

UPS_MODES = ("online", "battery", "eco", "bypass", "off")
EXT_GRID_KINDS = ("utility", "genset", "ups", "storage")
TRANSFER_KINDS = ("ATS", "STS", "micro-ATS", "SBM", "IBT")
OPERATIONS = ("remote", "manual", "locked")
TRANSITIONS = ("open", "closed")
COUPLINGS = ("ac", "dc")


@dataclass(frozen=True)
class Column:
    """One column: where it lives, its type, default, unit, bounds (inclusive) and meaning."""

    table: str
    name: str
    dtype: str
    default: Any
    unit: str
    low: float
    high: float
    meaning: str
    choices: tuple[str, ...] = ()
    required: bool = False


def _c(
    table: str,
    name: str,
    dtype: str,
    default: Any,
    unit: str,
    low: float,
    high: float,
    meaning: str,
    choices: tuple[str, ...] = (),
    required: bool = False,
) -> Column:
    return Column(table, name, dtype, default, unit, low, high, meaning, choices, required)


COLUMNS: tuple[Column, ...] = (
    # --- utility feeds, gensets and the companions of UPSs and batteries
    _c(
        "ext_grid",
        "kind",
        "object",
        "utility",
        "",
        -inf,
        inf,
        "what stands behind the source",
        EXT_GRID_KINDS,
    ),
    _c("ext_grid", "max_p_mw", "float64", inf, "MW", 0.0, inf, "largest power it delivers"),
    _c("ext_grid", "min_p_mw", "float64", -inf, "MW", -inf, inf, "smallest power it may be left with"),
    _c("ext_grid", "start_s", "float64", 0.0, "s", 0.0, 3600.0, "from the start command to ready"),
    _c("ext_grid", "step_mw", "float64", inf, "MW", 0.0, inf, "largest load accepted in one step"),
    _c("ext_grid", "fuel_mwh", "float64", inf, "MWh", 0.0, inf, "energy that the fuel on site gives"),
    _c("ext_grid", "sync_group", "object", "", "", -inf, inf, "sources of one group are in synchronism"),
    _c("ext_grid", "parallel", "bool", False, "", 0, 1, "may share an island with its sync group"),
    _c("ext_grid", "droop_percent", "float64", 0.0, "%", 0.0, 20.0, "frequency droop for load sharing"),
    _c(
        "ext_grid",
        "running",
        "object",
        None,
        "",
        0,
        1,
        "a genset that is already running; None = carries load now",
    ),
    _c(
        "ext_grid", "ups", "float64", nan, "", 0, inf, "index in net.ups of the UPS this companion belongs to"
    ),
    _c(
        "ext_grid", "storage", "float64", nan, "", 0, inf, "index in net.storage of the battery it stands for"
    ),
    # --- UPS
    _c("ups", "name", "object", "", "", -inf, inf, "name, unique among the UPSs", (), True),
    _c("ups", "in_bus", "int64", -1, "", 0, inf, "bus of the rectifier input", (), True),
    _c("ups", "out_bus", "int64", -1, "", 0, inf, "bus of the inverter output", (), True),
    _c("ups", "bypass_bus", "float64", nan, "", 0, inf, "bus of the static bypass; NaN = no bypass"),
    _c("ups", "p_rated_mw", "float64", nan, "MW", 0.0, 100.0, "rated active power", (), True),
    _c("ups", "s_rated_mva", "float64", nan, "MVA", 0.0, 100.0, "rated apparent power; NaN = p_rated_mw"),
    _c("ups", "efficiency", "object", 0.96, "", 0.0, 1.0, "a number, or a list of [loading, efficiency]"),
    _c("ups", "input_pf", "float64", 0.99, "", 0.0, 1.0, "power factor of the rectifier input, lagging"),
    _c("ups", "overload_curve", "object", "", "", -inf, inf, "name in net.overload_curve"),
    _c("ups", "overload_used", "float64", 0.0, "", 0.0, 1.0, "share of the overload budget already used"),
    _c("ups", "e_max_mwh", "float64", 0.0, "MWh", 0.0, 1000.0, "usable battery energy at 100 %"),
    _c("ups", "soc_percent", "float64", 100.0, "%", 0.0, 100.0, "state of charge"),
    _c("ups", "p_charge_mw", "float64", 0.0, "MW", 0.0, 100.0, "charging power now"),
    _c("ups", "p_charge_max_mw", "float64", 0.0, "MW", 0.0, 100.0, "largest charging power"),
    _c("ups", "walk_in_s", "float64", 0.0, "s", 0.0, 3600.0, "ramp of the rectifier on return of the mains"),
    _c("ups", "n_modules", "float64", 1.0, "", 1.0, 1000.0, "power modules"),
    _c("ups", "mode", "object", "online", "", -inf, inf, "how it runs", UPS_MODES),
    _c("ups", "temperature_c", "float64", 25.0, "degC", -40.0, 90.0, "inlet temperature"),
    _c(
        "ups",
        "thd_percent",
        "float64",
        0.0,
        "%",
        0.0,
        100.0,
        "total harmonic distortion of its output voltage",
    ),
    # SOURCE: assumed, on the high side of what makers of PWM inverters with filters publish; harmonics only
    _c(
        "ups",
        "r_out_percent",
        "float64",
        1.0,
        "%",
        0.0,
        100.0,
        "output resistance, of its rating, for harmonics",
    ),
    _c("ups", "x_out_percent", "float64", 5.0, "%", 0.0, 100.0, "output reactance at f_hz, for harmonics"),
    _c(
        "ups",
        "cost_per_kwh",
        "float64",
        0.0,
        "1/kWh",
        0.0,
        inf,
        "price of a kWh that it gives, in any currency",
    ),
    _c("ups", "in_service", "bool", True, "", 0, 1, "in service"),
    # --- transfer devices
    _c("transfer", "name", "object", "", "", -inf, inf, "name, unique among the transfers", (), True),
    _c("transfer", "kind", "object", "ATS", "", -inf, inf, "what it is", TRANSFER_KINDS),
    _c("transfer", "bus", "int64", -1, "", 0, inf, "output bus", (), True),
    _c(
        "transfer", "transfer_ms", "float64", 100.0, "ms", 0.0, 600000.0, "time without voltage of a transfer"
    ),
    _c("transfer", "transition", "object", "open", "", -inf, inf, "open: break before make", TRANSITIONS),
    _c(
        "transfer",
        "parallel_ms",
        "float64",
        100.0,
        "ms",
        0.0,
        500.0,
        "longest overlap of a closed transition",
    ),
    _c("transfer", "auto", "bool", False, "", 0, 1, "moves by itself on loss of its source"),
    _c("transfer", "preferred", "float64", nan, "", 0, inf, "index in net.switch of the preferred position"),
    _c(
        "transfer",
        "retransfer_s",
        "float64",
        inf,
        "s",
        0.0,
        inf,
        "returns to the preferred source after this",
    ),
    _c("transfer", "min_dwell_s", "float64", 0.0, "s", 0.0, inf, "stays this long after a move"),
    _c("transfer", "dwell_left_s", "float64", 0.0, "s", 0.0, inf, "part of the dwell still to run"),
    _c(
        "transfer", "move_cost", "float64", 1.0, "", 0.0, inf, "what a planned move costs over that of others"
    ),
    _c(
        "transfer",
        "fail_auto",
        "float64",
        1e-3,
        "",
        0.0,
        1.0,
        "probability that it stays when its source dies",
    ),
    _c(
        "transfer",
        "fail_move",
        "float64",
        1e-4,
        "",
        0.0,
        1.0,
        "probability that a planned move leaves it open",
    ),
    _c("transfer", "stuck", "bool", False, "", 0, 1, "cannot move"),
    _c("transfer", "in_service", "bool", True, "", 0, 1, "in service"),
    # --- other switches
    _c("switch", "operation", "object", "remote", "", -inf, inf, "how it is moved", OPERATIONS),
    _c("switch", "operable", "bool", True, "", 0, 1, "may be moved by a plan"),
    _c("switch", "t_operate_ms", "float64", 100.0, "ms", 0.0, 600000.0, "time of one operation"),
    _c("switch", "transfer", "float64", nan, "", 0, inf, "index in net.transfer whose position it is"),
    _c("switch", "ups", "float64", nan, "", 0, inf, "index in net.ups whose static bypass it is"),
    _c(
        "switch", "overload_curve", "object", "", "", -inf, inf, "name in net.overload_curve (its trip curve)"
    ),
    _c("switch", "overload_used", "float64", 0.0, "", 0.0, 1.0, "share of the overload budget already used"),
    # --- interlocks
    _c("interlock", "name", "object", "", "", -inf, inf, "name", (), True),
    _c("interlock", "switches", "object", None, "", -inf, inf, "indices in net.switch", (), True),
    _c("interlock", "max_closed", "int64", 1, "", 0, inf, "at most so many of them closed", (), True),
    # --- loads: single rows and cords of racks
    *(
        _c(table, name, dtype, default, unit, low, high, meaning)
        for table in ("load", "asymmetric_load")
        for name, dtype, default, unit, low, high, meaning in (
            (
                "kind",
                "object",
                "",
                "",
                -inf,
                inf,
                "'ups_input' marks a UPS companion, never load to be served",
            ),
            ("ups", "float64", nan, "", 0, inf, "index in net.ups of the UPS this companion belongs to"),
            ("priority", "float64", float(DEFAULT_PRIORITY), "", 1, 9, "1 is the most critical"),
            ("sheddable", "bool", True, "", 0, 1, "may be switched off by a plan"),
            (
                "min_p_mw",
                "float64",
                nan,
                "MW",
                0.0,
                inf,
                "smallest power it can be capped to; NaN = not cap-able",
            ),
            ("breaker_a", "float64", nan, "A", 0.0, inf, "circuit breaker rating; NaN = no limit"),
            ("poles", "float64", 3.0, "", 1, 3, "poles of the breaker"),
            (
                "holdup_ms",
                "float64",
                DEFAULT_HOLDUP_MS,
                "ms",
                0.0,
                600000.0,
                "rides through so long without voltage",
            ),
            ("restart_s", "float64", 0.0, "s", 0.0, inf, "time to come back after an interruption"),
            ("cools", "object", "", "", -inf, inf, "name of what it cools"),
            ("rack", "object", "", "", -inf, inf, "rows with the same rack are the cords of one load"),
            ("cord", "object", "", "", -inf, inf, "name of the cord (A, B)"),
            ("psu_ok", "bool", True, "", 0, 1, "the power supply of this cord works"),
            (
                "share",
                "float64",
                nan,
                "",
                0.0,
                1.0,
                "its part among living cords; NaN = in proportion to p_mw",
            ),
            ("max_p_mw", "float64", nan, "MW", 0.0, inf, "largest power of this cord; NaN = no limit"),
        )
    ),
    # --- batteries in the rows
    _c("storage", "max_p_mw", "float64", inf, "MW", 0.0, inf, "largest charging power"),
    _c("storage", "min_p_mw", "float64", -inf, "MW", -inf, 0.0, "largest discharging power, negative"),
    _c("storage", "efficiency_charge", "float64", 0.95, "", 0.0, 1.0, "AC to stored"),
    _c("storage", "efficiency_discharge", "float64", 0.95, "", 0.0, 1.0, "stored to AC"),
    _c("storage", "soc_min_percent", "float64", 0.0, "%", 0.0, 100.0, "never discharged below"),
    _c("storage", "grid_forming", "bool", False, "", 0, 1, "holds the voltage of an island by itself"),
    _c("storage", "coupling", "object", "ac", "", -inf, inf, "ac, or dc behind a micro-inverter", COUPLINGS),
    _c("storage", "cycle_cost_per_kwh", "float64", 0.0, "1/kWh", 0.0, inf, "wear per kWh discharged"),
    # --- micro-inverters
    _c("asymmetric_sgen", "kind", "object", "", "", -inf, inf, "'mim' marks a micro-inverter"),
    _c("asymmetric_sgen", "s_max_mva", "float64", nan, "MVA", 0.0, inf, "apparent power per phase"),
    _c("asymmetric_sgen", "storage", "float64", nan, "", 0, inf, "index in net.storage on its DC link"),
    _c("asymmetric_sgen", "loss_percent", "float64", 3.0, "%", 0.0, 50.0, "loss of the conversion"),
    _c("asymmetric_sgen", "active_filter", "bool", False, "", 0, 1, "can inject compensation currents"),
    # --- time-limited ratings
    _c(
        "overload_curve",
        "name",
        "object",
        "",
        "",
        -inf,
        inf,
        "name of the curve; several rows share it",
        (),
        True,
    ),
    _c("overload_curve", "ratio", "float64", nan, "", 1.0, 10.0, "load over rating", (), True),
    _c(
        "overload_curve", "max_s", "float64", nan, "s", 0.0, inf, "longest time at up to this ratio", (), True
    ),
    _c("overload_curve", "temperature_c", "float64", inf, "degC", -40.0, inf, "valid up to this temperature"),
    _c(
        "overload_curve",
        "on_battery",
        "object",
        None,
        "",
        0,
        1,
        "True: only on battery; False: only on mains; None: both",
    ),
    _c(
        "overload_curve",
        "recovery_s",
        "float64",
        3600.0,
        "s",
        0.0,
        inf,
        "a full budget comes back in this time",
    ),
    *(
        _c(table, name, dtype, default, "", low, high, meaning)
        for table in ("line", "trafo")
        for name, dtype, default, low, high, meaning in (
            ("overload_curve", "object", "", -inf, inf, "name in net.overload_curve"),
            ("overload_used", "float64", 0.0, 0.0, 1.0, "share of the overload budget already used"),
        )
    ),
)

CUSTOM_TABLES: tuple[str, ...] = ("ups", "transfer", "interlock", "overload_curve")
"""Tables that pandapower does not have."""

_BY_KEY = {(item.table, item.name): item for item in COLUMNS}


def column(table: str, name: str) -> Column:
    """Return the description of one column. Raises KeyError where PLANT.md has none."""
    return _BY_KEY[(table, name)]


def columns_of(table: str) -> Iterator[Column]:
    """Yield the columns that pdnopt knows of one table, in the order of PLANT.md."""
    return (item for item in COLUMNS if item.table == table)


def values(net: Any, table: str, name: str) -> np.ndarray:
    """Return one column as an array, with the default in place of a missing column or NaN.

    Parameters
    ----------
    net : pandapowerNet
    table, name : str
        As in PLANT.md.

    Returns
    -------
    numpy.ndarray, shape (rows,)
        float64 for numbers, bool for booleans, object for text. Booleans are never taken from
        ``bool(NaN)``: a NaN is the default.
    """
    spec = column(table, name)
    frame = net.get(table)
    n = 0 if frame is None else len(frame)
    if spec.dtype == "bool":
        out = np.full(n, bool(spec.default))
    elif spec.dtype == "object":
        out = np.full(n, spec.default, dtype=object)
    else:
        out = np.full(n, spec.default, dtype=float)
    if frame is None or name not in frame.columns:
        return out
    raw = frame[name].to_numpy()
    known = ~pd.isna(raw) if raw.dtype != object else np.array([not _is_missing(v) for v in raw], dtype=bool)
    if spec.dtype == "bool":
        out[known] = np.array([bool(v) for v in raw[known]], dtype=bool)
    elif spec.dtype == "object":
        out[known] = raw[known]
    else:
        out[known] = raw[known].astype(float)
    return out


def native_values(frame: pd.DataFrame, name: str, default: float) -> np.ndarray:
    """Return a numeric column of pandapower's own as floats, shape (rows,).

    ``default`` stands in place of a missing column or value, in the column's own unit.
    """
    if name not in frame.columns:
        return np.full(len(frame), default)
    return frame[name].to_numpy(float, na_value=default)


def _is_missing(value: Any) -> bool:
    """True for None, NaN and pandas' NA, never for a list."""
    if value is None:
        return True
    if isinstance(value, list | tuple | np.ndarray | dict):
        return False
    return bool(pd.isna(value))


def ensure_tables(net: Any) -> None:
    """Add pdnopt's empty tables to a pandapower network that lacks them. Changes ``net`` in place."""
    for table in CUSTOM_TABLES:
        if table not in net:
            net[table] = pd.DataFrame(
                {item.name: pd.Series(dtype=item.dtype) for item in columns_of(table)},
                index=pd.Index([], dtype="int64"),
            )
