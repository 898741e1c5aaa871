"""Demand units: racks with their cords, and loads without a rack; and how living cords share.

A *unit* is what is served, capped or shed as a whole. A *cord* is one row of net.load or
net.asymmetric_load. The rule of the power supplies (PLANT.md): while the cords that live in the network
as given live, each draws what its row says; the part of a cord that dies goes to the living ones by
their shares. When a cord revives that was dead in the network as given, all living cords draw by share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.grid import Grid
from pdnopt.plant.memory import Memory
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values, values
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["CONTINUOUS_S", "Demand", "cord_draw_kw", "read_demand", "share_out", "with_load_kw"]

KEPT_ANSWERS = 256
"""Answers about states under one demand; each is as large as the load tables."""

CONTINUOUS_S = 3.0 * 3600.0
"""A load of three hours or more is continuous: at most 80 % of the breaker (NEC 210.20(A), 215.3)."""


@dataclass(frozen=True)
class Demand:
    """D units and their cords.

    ``d_kw`` is the demand, ``min_kw`` the power cap floor (equal to ``d_kw`` where it cannot be capped).
    ``cord_kw`` is the draw of each cord in the network as given; its sum over a unit is the demand.
    """

    name: list[str]
    priority: np.ndarray
    d_kw: np.ndarray
    min_kw: np.ndarray
    sheddable: np.ndarray
    holdup_s: np.ndarray
    restart_s: np.ndarray
    cord_unit: np.ndarray
    cord_node: np.ndarray
    cord_kw: np.ndarray
    cord_share: np.ndarray
    cord_tan_phi: np.ndarray
    cord_ok: np.ndarray
    cord_max_kw: np.ndarray
    cord_breaker_kva: np.ndarray
    cord_table: np.ndarray  # "load" or "asymmetric_load"
    cord_row: np.ndarray  # index in that table
    cord_name: list[str]

    @cached_property
    def memory(self) -> Memory:
        """What was found out about states under this demand; another demand begins with nothing."""
        return Memory(KEPT_ANSWERS)

    @property
    def n(self) -> int:
        """Number of units."""
        return len(self.name)

    def sum_by_unit(self, cord_values: np.ndarray) -> np.ndarray:
        """Sum an array over the cords of each unit: (cords,) -> (units,)."""
        return np.bincount(self.cord_unit, weights=cord_values, minlength=self.n)

    def cord_limit_kw(self, horizon_s: float) -> np.ndarray:
        """Return each cord's limit in kW from ``max_p_mw`` and its breaker (inf = none)."""
        share = 0.8 if horizon_s >= CONTINUOUS_S else 1.0
        power_factor = 1.0 / np.sqrt(1.0 + self.cord_tan_phi**2)
        limit: np.ndarray = np.minimum(self.cord_max_kw, self.cord_breaker_kva * share * power_factor)
        return limit


def read_demand(net: Any, grid: Grid) -> Demand:
    """Read loads and racks. UPS companions and rows out of service are not demand."""
    rows = pd.concat([_load_rows(net), _asymmetric_rows(net)], ignore_index=True)
    rows = rows[rows["demand"]].reset_index(drop=True)
    single = rows["rack"].to_numpy(object) == ""
    unit_name = np.where(
        single, rows["name"].to_numpy(object), "rack:" + rows["rack"].to_numpy(object).astype(str)
    )
    cord_unit, names = pd.factorize(unit_name)
    n = len(names)
    cord_kw = rows["p_kw"].to_numpy(float)
    d_kw = np.bincount(cord_unit, weights=cord_kw, minlength=n)
    floor = rows["min_kw"].to_numpy(float)
    capped_somewhere = np.bincount(cord_unit, weights=~np.isnan(floor), minlength=n) > 0
    floor_kw = np.bincount(cord_unit, weights=np.where(np.isnan(floor), cord_kw, floor), minlength=n)
    share = rows["share"].to_numpy(float)
    share = np.where(np.isnan(share), cord_kw, share)
    total = np.bincount(cord_unit, weights=share, minlength=n)
    count = np.bincount(cord_unit, minlength=n)
    share = np.where(
        total[cord_unit] > 0,
        share / np.maximum(total[cord_unit], 1e-12),
        1.0 / np.maximum(count, 1)[cord_unit],
    )
    q = rows["q_kvar"].to_numpy(float)

    def worst(column: str, take: Any, start: float) -> np.ndarray:
        out = np.full(n, start)
        take.at(out, cord_unit, rows[column].to_numpy(float))
        return out

    return Demand(
        name=[str(v) for v in names],
        priority=worst("priority", np.minimum, inf).astype(int) if n else np.zeros(0, int),
        d_kw=d_kw,
        min_kw=np.where(capped_somewhere, np.minimum(floor_kw, d_kw), d_kw),
        sheddable=worst("sheddable", np.minimum, 1.0) > 0.5,
        holdup_s=worst("holdup_ms", np.minimum, inf) / 1000.0,
        restart_s=worst("restart_s", np.maximum, 0.0),
        cord_unit=cord_unit,
        cord_node=np.array([grid.node_of_bus[int(b)] for b in rows["bus"]], dtype=int),
        cord_kw=cord_kw,
        cord_share=share,
        cord_tan_phi=np.where(cord_kw > 0, q / np.maximum(cord_kw, 1e-12), 0.0),
        cord_ok=rows["psu_ok"].to_numpy(bool),
        cord_max_kw=rows["max_kw"].fillna(inf).to_numpy(float),
        cord_breaker_kva=rows["breaker_kva"].to_numpy(float),
        cord_table=rows["table"].to_numpy(object),
        cord_row=rows["row"].to_numpy(int),
        cord_name=[str(v) for v in rows["name"]],
    )


def _load_rows(net: Any) -> pd.DataFrame:
    frame = net.load
    scaling = native_values(frame, "scaling", 1.0)
    return _rows(
        net, "load", frame["p_mw"].to_numpy(float) * scaling, frame["q_mvar"].to_numpy(float) * scaling
    )


def _asymmetric_rows(net: Any) -> pd.DataFrame:
    frame = net.asymmetric_load
    scaling = native_values(frame, "scaling", 1.0)
    p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy(float).sum(axis=1)
    q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].to_numpy(float).sum(axis=1)
    return _rows(net, "asymmetric_load", p * scaling, q * scaling)


def _rows(net: Any, table: str, p_mw: np.ndarray, q_mvar: np.ndarray) -> pd.DataFrame:
    frame = net[table]
    vn_kv = net.bus["vn_kv"].reindex(frame["bus"]).to_numpy(float)
    poles = values(net, table, "poles")
    breaker_a = values(net, table, "breaker_a")
    # one pole: phase to neutral; two poles: line to line; three poles: all three phases
    kva_per_a = np.select([poles >= 3, poles >= 2], [SQRT3 * vn_kv, vn_kv], vn_kv / SQRT3)
    return pd.DataFrame(
        {
            "table": table,
            "row": frame.index.to_numpy(),
            "name": component_names(net, table),
            "bus": frame["bus"].to_numpy(),
            "demand": (values(net, table, "kind") != "ups_input") & frame["in_service"].to_numpy(bool),
            "rack": values(net, table, "rack"),
            "p_kw": p_mw * KW_PER_MW,
            "q_kvar": q_mvar * KW_PER_MW,
            "priority": values(net, table, "priority"),
            "sheddable": values(net, table, "sheddable"),
            "min_kw": values(net, table, "min_p_mw") * KW_PER_MW,
            "holdup_ms": values(net, table, "holdup_ms"),
            "restart_s": values(net, table, "restart_s"),
            "psu_ok": values(net, table, "psu_ok"),
            "share": values(net, table, "share"),
            "max_kw": values(net, table, "max_p_mw") * KW_PER_MW,
            "breaker_kva": np.where(np.isnan(breaker_a), inf, breaker_a * kva_per_a),
        }
    )


def with_load_kw(demand: Demand, p_load_kw: Any = None, p_asymmetric_kw: Any = None) -> Demand:
    """Return the demand with new powers: Series in kW indexed like net.load / net.asymmetric_load.

    Rows that the Series lacks keep their value; Q follows at constant power factor.

    Raises
    ------
    InputError
        NaN, infinite or negative values, or an index that is no row of the table; all at once.
    """
    cord_kw = demand.cord_kw.copy()
    issues: list[Issue] = []
    for table, series in (("load", p_load_kw), ("asymmetric_load", p_asymmetric_kw)):
        if series is None:
            continue
        path = "p_load_kw" if table == "load" else "p_asymmetric_kw"
        series = pd.Series(series)
        for index, value in series[~np.isfinite(series.to_numpy(float))].items():
            issues.append(
                Issue(
                    "NonFinite",
                    path,
                    f"{table}:{index}",
                    value,
                    "a finite number of kW",
                    "Fill the gap first, or drop the row to keep the table's value.",
                )
            )
        for index, value in series[series < 0].items():
            issues.append(
                Issue("NegativeLoad", path, f"{table}:{index}", value, ">= 0 kW", "Model generation as sgen.")
            )
        if series.index.has_duplicates:
            issues.append(
                Issue(
                    "NotUnique",
                    path,
                    "",
                    list(series.index[series.index.duplicated()][:5]),
                    "one value a row",
                    "Remove the duplicates.",
                )
            )
            continue
        mine = demand.cord_table == table
        new = series.reindex(demand.cord_row[mine]).to_numpy(float)
        cord_kw[mine] = np.where(np.isnan(new), cord_kw[mine], new)
    if issues:
        raise InputError(issues)
    d_kw = demand.sum_by_unit(cord_kw)
    cappable = demand.min_kw < demand.d_kw - 1e-9
    min_kw = np.where(cappable, np.minimum(demand.min_kw, d_kw), d_kw)
    return replace(demand, cord_kw=cord_kw, d_kw=d_kw, min_kw=min_kw)


def cord_draw_kw(demand: Demand, living: np.ndarray, living_as_given: np.ndarray) -> np.ndarray:
    """Return what each cord draws when its rack is served in full.

    Parameters
    ----------
    living, living_as_given : bool arrays, shape (cords,)
        Cords with voltage and a working power supply, now and in the network as given.

    Returns
    -------
    ndarray, shape (cords,), kW. A unit without a living cord draws nothing. It is kept: do not change it.
    """
    return demand.memory.recall(
        ("draw", living.tobytes(), living_as_given.tobytes()),
        lambda: share_out(
            demand.cord_unit, demand.n, demand.cord_kw, demand.cord_share, living, living_as_given
        ),
    )


def share_out(
    unit: np.ndarray,
    n_units: int,
    cord_kw: np.ndarray,
    cord_share: np.ndarray,
    living: np.ndarray,
    living_as_given: np.ndarray,
) -> np.ndarray:
    """Share each unit's demand among its living cords (the rule in the module's docstring).

    All arrays have one entry a cord; ``unit`` numbers the unit, 0 to ``n_units - 1``. Returns kW a cord.
    """

    def total(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(unit, weights=values, minlength=n_units)[unit])

    share_alive = np.where(living, cord_share, 0.0)
    total_share = total(share_alive)
    # cords whose share is zero carry the load equally when nothing else lives
    equal = living / np.maximum(total(living.astype(float)), 1.0)
    weight = np.where(total_share > 0, share_alive / np.where(total_share > 0, total_share, 1.0), equal)
    kept = np.where(living, cord_kw, 0.0)
    demand_kw = total(cord_kw)
    lost = demand_kw - total(kept)
    revived = total((living & ~living_as_given).astype(float)) > 0
    return np.where(living, np.where(revived, demand_kw * weight, kept + lost * weight), 0.0)
