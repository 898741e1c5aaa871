"""The reference: pandapower's own power flow, with UPSs iterated and the flow of ideal switches found.

Slow and independent of power-grid-model; what the fast engine is compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acflow.companions import INVERTING, PASSING, Companions, read_companions, set_companions
from pdnopt.acflow.sharing import tree_flows
from pdnopt.acflow.tables import write_ups
from pdnopt.errors import PowerFlowError
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["run_reference"]

TOLERANCE_KW = 1e-7


def run_reference(net: Any) -> None:
    """Run ``runpp`` in place until every UPS draws what it delivers; complete res_switch and res_ups.

    Raises
    ------
    PowerFlowError
        runpp does not converge, or UPSs that feed each other in a ring do not settle.
    """
    ups = read_companions(net)
    p_in = np.zeros(ups.n)
    for _ in range(ups.n + 3):
        set_companions(net, ups, p_in)
        _runpp(net)
        new = _input_kw(net, ups)
        settled = np.abs(new - p_in).max(initial=0.0) <= TOLERANCE_KW + 1e-9 * np.abs(new).max(initial=0.0)
        p_in = new
        if settled:
            break
    else:
        raise PowerFlowError("UPSs that feed each other do not settle: look for a ring of UPSs.")
    complete_switches(net)
    _complete_ups(net, ups)


def _runpp(net: Any) -> None:
    import pandapower as pp

    try:
        pp.runpp(net, numba=False)
    except pp.LoadflowNotConverged as error:
        raise PowerFlowError(
            "pandapower's power flow did not converge: check for overload far beyond the ratings, "
            "wrong units or an impedance that is too large (pandapower.diagnostic(net))."
        ) from error


def _live(net: Any, bus: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isnan(net.res_bus["vm_pu"].to_numpy(float)[bus]))


def _input_kw(net: Any, ups: Companions) -> np.ndarray:
    """Return what each input draws for the output just found, kW."""
    if not ups.n:
        return np.zeros(0)
    p_out = net.res_ext_grid["p_mw"].to_numpy(float)[ups.source] * KW_PER_MW
    return np.where((ups.mode == "online") & _live(net, ups.in_bus), ups.input_kw(p_out), 0.0)


def complete_switches(net: Any) -> None:
    """Fill ``res_switch`` in place: flows of bus-bus switches without impedance, and P, Q of the others.

    A switch without impedance carries what the nodal balance asks for; in a loop of such switches the flow is
    that of equal resistances.
    """
    switch, res = net.switch, net.res_switch
    if not len(switch):
        return
    at = pd.Index(net.bus.index)
    kind, closed = switch["et"].to_numpy(), switch["closed"].to_numpy(bool)
    bus = switch["bus"].to_numpy(int)
    columns = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka")
    out = {
        name: res[name].to_numpy(float).copy() if name in res else np.full(len(res), np.nan)
        for name in columns
    }
    for table, et, sides in (
        ("line", "l", ("from", "to")),
        ("trafo", "t", ("hv", "lv")),
        ("trafo3w", "t3", ("hv", "mv", "lv")),
    ):
        for side in sides:
            rows = np.flatnonzero(kind == et)
            element = switch["element"].to_numpy(int)[rows]
            rows = rows[net[table][f"{side}_bus"].loc[element].to_numpy() == bus[rows]]
            result = net[f"res_{table}"].loc[switch["element"].to_numpy(int)[rows]]
            for column, name in (("p_from_mw", "p"), ("q_from_mvar", "q")):
                unit = column.rpartition("_")[2]
                value = np.where(closed[rows], result[f"{name}_{side}_{unit}"].to_numpy(float), 0.0)
                out[column][rows] = value
                out[column.replace("from", "to")][rows] = -value
            out["i_ka"][rows] = np.where(
                closed[rows], np.nan_to_num(result[f"i_{side}_ka"].to_numpy(float)), 0.0
            )
    ideal = kind == "b"
    if "z_ohm" in switch:
        ideal &= ~(switch["z_ohm"].fillna(0.0).to_numpy(float) > 0)
    tail, head = (
        at.get_indexer(bus),
        at.get_indexer(switch["element"].where(kind == "b", switch["bus"]).to_numpy(int)),
    )
    vm = net.res_bus["vm_pu"].to_numpy(float)
    on = np.flatnonzero(ideal & closed & ~np.isnan(vm[tail]) & ~np.isnan(vm[head]))
    for name in columns:
        out[name][kind == "b"] = np.where(closed[kind == "b"], np.nan_to_num(out[name][kind == "b"]), 0.0)
    if len(on):
        flow = tree_flows(tail[on], head[on], _injection(net, at))
        out["p_from_mw"][on], out["q_from_mvar"][on] = flow.real, flow.imag
        out["p_to_mw"][on], out["q_to_mvar"][on] = -flow.real, -flow.imag
        vn = net.bus["vn_kv"].to_numpy(float)
        out["i_ka"][on] = np.abs(flow) / (SQRT3 * vm[tail[on]] * vn[tail[on]])
    for name in columns:
        res[name] = out[name]
    if "in_ka" in switch:
        rated = switch["in_ka"].to_numpy(float)
        res["loading_percent"] = np.where(
            rated > 0, 100 * out["i_ka"] / np.where(rated > 0, rated, 1.0), np.nan
        )


BRANCH_ENDS = (
    ("line", ("from", "to")),
    ("trafo", ("hv", "lv")),
    ("trafo3w", ("hv", "mv", "lv")),
    ("impedance", ("from", "to")),
    ("dcline", ("from", "to")),
    ("tcsc", ("from", "to")),
)
SHUNT_LIKE = (
    ("load", 1),
    ("storage", 1),
    ("asymmetric_load", 1),
    ("motor", 1),
    ("ward", 1),
    ("xward", 1),
    ("shunt", 1),
)
SOURCE_LIKE = (("ext_grid", -1), ("sgen", -1), ("asymmetric_sgen", -1), ("gen", -1))


def _injection(net: Any, at: pd.Index) -> np.ndarray:
    """Return P + jQ in MW that enters each bus from everything but ideal switches, shape (n_bus,)."""
    out = np.zeros(len(at), dtype=complex)

    def take(bus: pd.Series, p: pd.Series, q: pd.Series, sign: float = -1.0) -> None:
        power = np.nan_to_num(p.to_numpy(float)) + 1j * np.nan_to_num(q.to_numpy(float))
        np.add.at(out, at.get_indexer(pd.Index(bus.to_numpy(int))), sign * power)

    for table, sides in BRANCH_ENDS:
        res = f"res_{table}"
        if table not in net or not len(net[table]) or res not in net or not len(net[res]):
            continue
        for side in sides:
            opened = _opened_end(net, table, side)
            take(
                net[table][f"{side}_bus"],
                net[res][f"p_{side}_mw"].where(~opened, 0.0),
                net[res][f"q_{side}_mvar"].where(~opened, 0.0),
            )
    for table, sign in (*SHUNT_LIKE, *SOURCE_LIKE):
        if table in net and len(net[table]) and len(net[f"res_{table}"]):
            take(net[table]["bus"], net[f"res_{table}"]["p_mw"], net[f"res_{table}"]["q_mvar"], -float(sign))
    res = net.res_switch
    if "z_ohm" in net.switch:
        weak = (net.switch["et"] == "b") & (net.switch["z_ohm"].fillna(0.0) > 0) & net.switch["closed"]
        if weak.any() and "p_from_mw" in res:
            take(net.switch["bus"][weak], res["p_from_mw"][weak], res["q_from_mvar"][weak])
            take(net.switch["element"][weak], res["p_to_mw"][weak], res["q_to_mvar"][weak])
    return out


def _opened_end(net: Any, table: str, side: str) -> pd.Series:
    """True where an open switch stands at this end of a branch (its end power is inside the branch)."""
    et = {"line": "l", "trafo": "t", "trafo3w": "t3"}.get(table, "")
    rows = net.switch[(net.switch["et"] == et) & ~net.switch["closed"].astype(bool)]
    bus = net[table][f"{side}_bus"]
    hit = rows["element"][bus.reindex(rows["element"]).to_numpy() == rows["bus"].to_numpy()]
    return pd.Series(bus.index.isin(hit), index=bus.index)


def _complete_ups(net: Any, ups: Companions) -> None:
    if "ups" not in net:
        return
    source, switch = net.res_ext_grid, net.res_switch
    inverting, passing = np.isin(ups.mode, INVERTING), np.isin(ups.mode, PASSING)
    p = np.where(inverting, source["p_mw"].to_numpy(float)[ups.source], 0.0) * KW_PER_MW
    q = np.where(inverting, source["q_mvar"].to_numpy(float)[ups.source], 0.0) * KW_PER_MW
    p_in = _input_kw(net, ups)
    if passing.any():
        has = passing & (ups.bypass >= 0)
        for out, column in ((p, "p_from_mw"), (q, "q_from_mvar")):
            out[has] = switch[column].to_numpy(float)[ups.bypass[has]] * ups.bypass_sign[has] * KW_PER_MW
        p_in = np.where(passing, p, p_in)
    write_ups(net, p, q, p_in, ups.loading_percent(p, q))
