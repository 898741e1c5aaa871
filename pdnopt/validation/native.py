"""What pandapower's own columns must hold, as data (the part of them that pdnopt reads)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["BUS_COLUMNS", "FLAGS", "MANDATORY_TABLES", "NUMBERS", "Number"]

MANDATORY_TABLES = ("bus", "line", "trafo", "switch", "ext_grid", "load")


@dataclass(frozen=True)
class Number:
    """One numeric column: bounds inclusive unless ``above`` says "more than low"; ``rating``: a limit."""

    table: str
    column: str
    unit: str
    required: bool = True
    low: float = -inf
    high: float = inf
    above: bool = False
    rating: bool = False
    limit: bool = False  # a bound of the user's: an infinity means "none"


def _positive(table: str, column: str, unit: str, required: bool = True) -> Number:
    return Number(table, column, unit, required, low=0.0, above=True)


def _many(table: str, columns: str, unit: str, required: bool = True) -> tuple[Number, ...]:
    return tuple(Number(table, column, unit, required) for column in columns.split())


NUMBERS: tuple[Number, ...] = (
    _positive("bus", "vn_kv", "kV"),
    Number("bus", "min_vm_pu", "pu", False, 0.0, 2.0, limit=True),
    Number("bus", "max_vm_pu", "pu", False, 0.0, inf, limit=True),
    _positive("line", "length_km", "km"),
    *_many("line", "r_ohm_per_km x_ohm_per_km", "ohm/km"),
    *_many("line", "c_nf_per_km g_us_per_km", "", False),
    Number("line", "max_i_ka", "kA", False, 0.0, inf, rating=True),
    Number("line", "max_loading_percent", "%", False, 0.0, inf, rating=True, limit=True),
    Number("line", "parallel", "", False, 1.0, inf),
    Number("line", "df", "", False, 0.0, inf),
    _positive("trafo", "sn_mva", "MVA"),
    _positive("trafo", "vn_hv_kv", "kV"),
    _positive("trafo", "vn_lv_kv", "kV"),
    *_many("trafo", "vk_percent vkr_percent", "%"),
    *_many("trafo", "pfe_kw i0_percent shift_degree tap_pos tap_neutral tap_min tap_max", "", False),
    *_many("trafo", "tap_step_percent tap_step_degree", "", False),
    Number("trafo", "max_loading_percent", "%", False, 0.0, inf, rating=True, limit=True),
    Number("trafo", "parallel", "", False, 1.0, inf),
    *(_positive("trafo3w", f"sn_{side}_mva", "MVA") for side in ("hv", "mv", "lv")),
    *(_positive("trafo3w", f"vn_{side}_kv", "kV") for side in ("hv", "mv", "lv")),
    *_many("trafo3w", "vk_hv_percent vk_mv_percent vk_lv_percent", "%"),
    *_many("trafo3w", "vkr_hv_percent vkr_mv_percent vkr_lv_percent", "%"),
    *_many("trafo3w", "tap_pos tap_min tap_max", "", False),
    *_many("impedance", "rft_pu xft_pu rtf_pu xtf_pu", "pu"),
    _positive("impedance", "sn_mva", "MVA"),
    Number("switch", "z_ohm", "ohm", False, 0.0, inf),
    Number("switch", "in_ka", "kA", False, 0.0, inf, rating=True),
    Number("ext_grid", "vm_pu", "pu", True, 0.5, 1.5),
    Number("gen", "vm_pu", "pu", False, 0.5, 1.5),
    *_many("gen", "p_mw", "MW"),
    *_many("load", "p_mw q_mvar", "MW, Mvar"),
    *_many("sgen", "p_mw", "MW"),
    *_many("sgen", "q_mvar", "Mvar", False),
    *_many("asymmetric_load", "p_a_mw p_b_mw p_c_mw q_a_mvar q_b_mvar q_c_mvar", "MW, Mvar"),
    *_many("asymmetric_sgen", "p_a_mw p_b_mw p_c_mw", "MW"),
    *_many("asymmetric_sgen", "q_a_mvar q_b_mvar q_c_mvar", "Mvar", False),
    *_many("storage", "p_mw", "MW"),
    *_many("storage", "q_mvar", "Mvar", False),
    Number("storage", "soc_percent", "%", False, 0.0, 100.0),
    Number("storage", "max_e_mwh", "MWh", False, 0.0, inf, limit=True),
    Number("storage", "min_e_mwh", "MWh", False, 0.0, inf, limit=True),
    *_many("shunt", "q_mvar", "Mvar"),
    *_many("shunt", "p_mw", "MW", False),
    *(
        Number(table, "scaling", "", False, 0.0, inf)
        for table in ("load", "sgen", "asymmetric_load", "asymmetric_sgen", "storage")
    ),
)

FLAGS: tuple[tuple[str, str], ...] = (
    *(
        (table, "in_service")
        for table in (
            "bus", "line", "trafo", "trafo3w", "impedance", "ext_grid", "gen", "load", "sgen",
            "asymmetric_load", "asymmetric_sgen", "storage", "shunt",
        )
    ),
    ("switch", "closed"),
)  # fmt: skip

BUS_COLUMNS: tuple[tuple[str, str], ...] = (
    *(
        (table, "bus")
        for table in (
            "ext_grid", "gen", "load", "sgen", "asymmetric_load", "asymmetric_sgen", "storage", "shunt",
            "ward", "xward", "motor", "switch",
        )
    ),
    *((table, side) for table in ("line", "impedance", "dcline") for side in ("from_bus", "to_bus")),
    *(("trafo", side) for side in ("hv_bus", "lv_bus")),
    *(("trafo3w", side) for side in ("hv_bus", "mv_bus", "lv_bus")),
    ("ups", "in_bus"),
    ("ups", "out_bus"),
    ("ups", "bypass_bus"),
    ("transfer", "bus"),
)  # fmt: skip
