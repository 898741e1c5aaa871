"""The present truth of an emulated plant as a pandapower network."""

from __future__ import annotations

from copy import deepcopy
from math import inf
from typing import Any

import numpy as np

from pdnopt.acflow import write_companions
from pdnopt.emulator.world import Snapshot, World
from pdnopt.units import KW_PER_MW

__all__ = ["present_network"]

_PLAIN = ("line", "trafo", "trafo3w", "impedance", "bus")


def present_network(world: World, snap: Snapshot, used: dict[str, np.ndarray], t_s: float) -> Any:
    """Return a new network in the present state, in pandapower's own columns and those of PLANT.md.

    Cords draw what they draw now (a cord without voltage 0); a unit without any power is out of service.
    """
    net, v, s, out = deepcopy(world.net), world.view, world.s, world.outage
    net.switch["closed"] = s.closed
    net.ext_grid["in_service"] = v.src_ok & ~out.src_dead & (s.src_on | v.src_genset | v.src_companion)
    if "running" in net.ext_grid.columns or v.src_genset.any():
        net.ext_grid["running"] = [
            bool(on) if g else None for on, g in zip(s.src_on, v.src_genset, strict=True)
        ]
    dead = out.node_dead[: v.wiring.n_bus]
    net.bus.loc[net.bus.index[dead], "in_service"] = False
    for table, lost in (("line", out.line_out), ("trafo", out.trafo_out)):
        net[table].loc[net[table].index[lost], "in_service"] = False
    for table, index in out.taken_out:
        net[table].loc[index, "in_service"] = False
    if v.n_ups:
        net.ups["mode"] = list(s.mode)
        net.ups["in_service"] = v.ups_ok & ~out.ups_dead
        size = np.where(world.ups_size_kwh > 0, world.ups_size_kwh, 1.0)
        net.ups["soc_percent"] = np.where(
            world.ups_size_kwh > 0, 100.0 * v.ups_e_kwh / size, net.ups["soc_percent"]
        )
        net.ups["temperature_c"] = v.ups_temperature_c
        net.ups["p_charge_mw"] = world.engine.model.ups.p_charge_kw / KW_PER_MW
    if v.n_tr:
        left = np.maximum(s.tr_dwell_until - t_s, 0.0)
        net.transfer["dwell_left_s"] = np.where(np.isfinite(left), left, inf)
        index = net.switch.index.to_numpy()
        net.transfer["preferred"] = [float(index[k]) if k >= 0 else np.nan for k in s.tr_preferred]
        net.transfer["stuck"] = out.tr_stuck & _in_service(net, "transfer")
    if v.n_st:
        net.storage["p_mw"] = np.where(out.st_dead, 0.0, s.st_kw) / KW_PER_MW
        net.storage["scaling"] = 1.0
        known = np.isfinite(v.st_size_kwh)
        net.storage.loc[net.storage.index[known], "soc_percent"] = (
            100.0 * v.st_now_kwh[known] / v.st_size_kwh[known]
        )
        net.storage.loc[net.storage.index[out.st_dead], "in_service"] = False
        has = v.st_src >= 0
        net.ext_grid.loc[net.ext_grid.index[v.st_src[has]], "in_service"] = s.st_forming[has]
    for table in ("line", "trafo", "switch", "ups"):
        if table in net and len(net[table]):
            net[table]["overload_used"] = used[table]
    inverters = world.inverters
    if len(inverters.at):
        for n, phase in enumerate("abc"):
            net.asymmetric_sgen[f"p_{phase}_mw"] = inverters.p_kw[:, n] / KW_PER_MW
            net.asymmetric_sgen[f"q_{phase}_mvar"] = inverters.q_kvar[:, n] / KW_PER_MW
        net.asymmetric_sgen["scaling"] = 1.0
        net.asymmetric_sgen["in_service"] = inverters.on
    d = world.demand
    for number, table in enumerate(("load", "asymmetric_load")):
        mine = np.flatnonzero(d.table == number)
        if not len(mine):
            continue
        index = net[table].index[d.row[mine]]
        kw, kvar = snap.cord_kw[mine], snap.cord_kvar[mine]
        if table == "load":
            net.load.loc[index, "p_mw"], net.load.loc[index, "q_mvar"] = kw / KW_PER_MW, kvar / KW_PER_MW
        else:
            for n, phase in enumerate("abc"):
                net[table].loc[index, f"p_{phase}_mw"] = kw * world.inverters.p[d.row[mine], n] / KW_PER_MW
                net[table].loc[index, f"q_{phase}_mvar"] = (
                    kvar * world.inverters.q[d.row[mine], n] / KW_PER_MW
                )
        net[table].loc[index, "scaling"] = 1.0
        net[table].loc[index, "in_service"] = snap.served_kw[d.unit[mine]] > 0
    write_companions(net)
    return net


def _in_service(net: Any, table: str) -> np.ndarray:
    """Return the column ``in_service``, True where it is missing."""
    frame = net[table]
    return (
        frame["in_service"].to_numpy(bool)
        if "in_service" in frame.columns
        else np.ones(len(frame), dtype=bool)
    )
