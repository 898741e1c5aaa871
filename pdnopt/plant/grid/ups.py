"""UPSs, with their companions, their bypass and their loss as a straight line."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import Switches, Upss
from pdnopt.plant.grid.companions import companion_rows
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["read_upss"]


def read_upss(net: Any, nodes: NodeTable, switches: Switches) -> Upss:
    """Read ``net.ups``; ``switches`` know of which UPS they are the bypass."""
    if "ups" not in net or not len(net.ups):
        empty_f, empty_i = np.zeros(0), np.zeros(0, dtype=int)
        empty_o = np.zeros(0, dtype=object)
        return Upss(
            empty_i, [], empty_i, empty_i, empty_i, empty_i, empty_i, empty_f, empty_f, empty_o, empty_f, empty_f,
            empty_f, empty_f, empty_f, empty_i, empty_o, empty_o, empty_f, empty_f, empty_f, np.zeros(0, bool),
        )  # fmt: skip
    frame = net.ups

    def of(name: str) -> np.ndarray:
        return values(net, "ups", name)

    source_of = companion_rows(net, "ext_grid", "ups")
    load_of = companion_rows(net, "load", "ups")
    rated = of("p_rated_mw") * KW_PER_MW
    s_rated = of("s_rated_mva") * KW_PER_MW
    efficiency = of("efficiency")
    secants = [_loss_secant(e, p) for e, p in zip(efficiency, rated, strict=True)]
    bypass = np.full(len(frame), -1)
    bypassing = np.flatnonzero(switches.ups >= 0)
    bypass[switches.ups[bypassing]] = bypassing
    source = np.array([source_of[int(i)] for i in frame.index], dtype=int)
    return Upss(
        index=frame.index.to_numpy(),
        name=component_names(net, "ups"),
        in_node=nodes.of(of("in_bus")),
        out_node=nodes.of(of("out_bus")),
        bypass=bypass,
        source=source,
        load=np.array([load_of[int(i)] for i in frame.index], dtype=int),
        p_rated_kw=rated,
        s_rated_kva=np.where(np.isnan(s_rated), rated, s_rated),
        efficiency=efficiency,
        loss_fixed_kw=np.array([s[0] for s in secants]),
        loss_slope=np.array([s[1] for s in secants]),
        input_tan_phi=np.tan(np.arccos(np.clip(of("input_pf"), 1e-6, 1.0))),
        e_kwh=of("e_max_mwh") * KW_PER_MW * of("soc_percent") / 100.0,
        p_charge_kw=of("p_charge_mw") * KW_PER_MW,
        n_modules=of("n_modules").astype(int),
        mode=of("mode"),
        curve=of("overload_curve"),
        budget_used=of("overload_used"),
        temperature_c=of("temperature_c"),
        vm_pu=net.ext_grid["vm_pu"].reindex(source).to_numpy(float),
        in_service=of("in_service"),
    )


def _loss_secant(efficiency: Any, p_rated_kw: float) -> tuple[float, float]:
    """Return (fixed kW, slope) of the least-squares line through P/eta - P at 20..100 % load."""
    loading = np.linspace(0.2, 1.0, 9)
    if isinstance(efficiency, int | float):
        return 0.0, 1.0 / float(efficiency) - 1.0
    table = np.asarray(efficiency, dtype=float)
    p_out = loading * p_rated_kw
    loss = p_out / np.interp(loading, table[:, 0], table[:, 1]) - p_out
    slope, fixed = np.polyfit(p_out, loss, 1)
    return max(float(fixed), 0.0), max(float(slope), 0.0)
