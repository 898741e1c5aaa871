"""Batteries in the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import Storages
from pdnopt.plant.grid.companions import companion_rows
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values, values
from pdnopt.units import KW_PER_MW

__all__ = ["read_storages"]


def read_storages(net: Any, nodes: NodeTable) -> Storages:
    """Read ``net.storage``."""
    frame = net.storage

    def of(name: str) -> np.ndarray:
        return values(net, "storage", name)

    soc = native_values(frame, "soc_percent", 50.0) / 100.0
    capacity = native_values(frame, "max_e_mwh", 0.0) * KW_PER_MW
    source_of = companion_rows(net, "ext_grid", "storage")
    ac = of("coupling") == "ac"
    return Storages(
        index=frame.index.to_numpy(),
        name=component_names(net, "storage"),
        node=nodes.of(frame["bus"]),
        p_charge_max_kw=np.where(ac, of("max_p_mw") * KW_PER_MW, 0.0),
        p_discharge_max_kw=np.where(ac, -of("min_p_mw") * KW_PER_MW, 0.0),
        e_usable_kwh=np.maximum(soc - of("soc_min_percent") / 100.0, 0.0)
        * capacity
        * of("efficiency_discharge"),
        e_room_kwh=(1.0 - soc) * capacity,
        p_now_kw=frame["p_mw"].to_numpy(float) * native_values(frame, "scaling", 1.0) * KW_PER_MW,
        grid_forming=of("grid_forming"),
        source=np.array([source_of.get(int(i), -1) for i in frame.index], dtype=int),
        cycle_cost_per_kwh=of("cycle_cost_per_kwh"),
        in_service=frame["in_service"].to_numpy(bool),
    )
