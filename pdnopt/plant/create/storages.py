"""Batteries in the rows, with the companion of a grid-forming one."""

from __future__ import annotations

from typing import Any

import pandapower as pp

from pdnopt.plant.create.rows import create_native

__all__ = ["create_storage"]


def create_storage(
    net: Any,
    bus: int,
    name: str,
    p_max_mw: float,
    e_max_mwh: float,
    soc_percent: float = 100.0,
    soc_min_percent: float = 0.0,
    efficiency_charge: float = 0.95,
    efficiency_discharge: float = 0.95,
    grid_forming: bool = False,
    coupling: str = "ac",
    cycle_cost_per_kwh: float = 0.0,
) -> int:
    """Create a battery in the row (DES). A grid-forming one gets a companion ``ext_grid`` (off until needed).

    Returns
    -------
    int : index in ``net.storage``.
    """
    idx = int(
        create_native(
            pp.create_storage,
            net,
            "storage",
            bus,
            p_mw=0.0,
            max_e_mwh=e_max_mwh,
            min_e_mwh=0.0,
            soc_percent=soc_percent,
            name=name,
            columns={
                "max_p_mw": p_max_mw,
                "min_p_mw": -p_max_mw,
                "soc_min_percent": soc_min_percent,
                "efficiency_charge": efficiency_charge,
                "efficiency_discharge": efficiency_discharge,
                "grid_forming": grid_forming,
                "coupling": coupling,
                "cycle_cost_per_kwh": cycle_cost_per_kwh,
            },
        )
    )
    if grid_forming:
        create_native(
            pp.create_ext_grid,
            net,
            "ext_grid",
            bus,
            vm_pu=1.0,
            name=f"{name} inverter",
            in_service=False,
            s_sc_max_mva=1e3,
            rx_max=0.1,
            columns={"kind": "storage", "storage": float(idx), "max_p_mw": p_max_mw, "min_p_mw": 0.0},
        )
    return idx
