"""UPSs, with their native companions, and what they draw."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.plant.create.rows import add_row, create_native
from pdnopt.units import SQRT3

__all__ = ["create_ups", "ups_input_mw"]


def create_ups(
    net: Any,
    in_bus: int,
    out_bus: int,
    name: str,
    p_rated_mw: float,
    s_rated_mva: float = nan,
    bypass_bus: int | None = None,
    efficiency: Any = 0.96,
    input_pf: float = 0.99,
    overload_curve: str = "",
    e_max_mwh: float = 0.0,
    soc_percent: float = 100.0,
    p_charge_mw: float = 0.0,
    p_charge_max_mw: float = 0.0,
    walk_in_s: float = 0.0,
    n_modules: int = 1,
    mode: str = "online",
    temperature_c: float = 25.0,
    vm_pu: float = 1.0,
    in_service: bool = True,
) -> int:
    """Create a double-conversion UPS with its companions.

    The companions are an ``ext_grid`` of kind "ups" at ``out_bus`` (the inverter is a voltage source of
    its own), a ``load`` of kind "ups_input" at ``in_bus`` (P_out/eta + charging at ``input_pf``) and a
    bypass switch ``bypass_bus``-``out_bus``. The static bypass carries the UPS's own rating, with its
    overload curve. ``acflow.powerflow`` writes the input's power.

    Returns
    -------
    int : index in ``net.ups``.
    """
    idx = add_row(
        net,
        "ups",
        {
            "name": name,
            "in_bus": in_bus,
            "out_bus": out_bus,
            "bypass_bus": nan if bypass_bus is None else float(bypass_bus),
            "p_rated_mw": p_rated_mw,
            "s_rated_mva": s_rated_mva,
            "efficiency": efficiency,
            "input_pf": input_pf,
            "overload_curve": overload_curve,
            "e_max_mwh": e_max_mwh,
            "soc_percent": soc_percent,
            "p_charge_mw": p_charge_mw,
            "p_charge_max_mw": p_charge_max_mw,
            "walk_in_s": walk_in_s,
            "n_modules": float(n_modules),
            "mode": mode,
            "temperature_c": temperature_c,
            "in_service": in_service,
        },
    )
    inverting = in_service and mode in ("online", "battery")
    create_native(
        pp.create_ext_grid,
        net,
        "ext_grid",
        out_bus,
        vm_pu=vm_pu,
        name=f"{name} output",
        in_service=inverting,
        s_sc_max_mva=1e4,
        rx_max=0.1,
        columns={"kind": "ups", "ups": float(idx)},
    )
    create_native(
        pp.create_load,
        net,
        "load",
        in_bus,
        p_mw=0.0,
        q_mvar=0.0,
        name=f"{name} input",
        in_service=inverting and mode == "online",
        columns={"kind": "ups_input", "ups": float(idx), "sheddable": False},
    )
    if bypass_bus is not None:
        create_native(
            pp.create_switch,
            net,
            "switch",
            bypass_bus,
            out_bus,
            et="b",
            closed=in_service and mode in ("bypass", "eco"),
            name=f"{name} bypass",
            in_ka=(p_rated_mw if np.isnan(s_rated_mva) else s_rated_mva)
            / (SQRT3 * net.bus.at[out_bus, "vn_kv"]),
            columns={"ups": float(idx), "t_operate_ms": 4.0, "overload_curve": overload_curve},
        )
    return idx


def ups_input_mw(p_out_mw: float, p_rated_mw: float, efficiency: Any, p_charge_mw: float = 0.0) -> float:
    """Return what a double-conversion UPS draws: ``P_out / eta(P_out / P_rated) + P_charge``, in MW.

    The efficiency is a number or a list of [loading, efficiency]; between points it is interpolated
    linearly, outside it is held. At zero output the draw is the charging power alone.
    """
    if p_out_mw <= 0:
        return p_charge_mw
    if isinstance(efficiency, int | float):
        return p_out_mw / float(efficiency) + p_charge_mw
    table = np.asarray(efficiency, dtype=float)
    eta = float(np.interp(p_out_mw / p_rated_mw, table[:, 0], table[:, 1]))
    return p_out_mw / eta + p_charge_mw
