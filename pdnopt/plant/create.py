"""Build a plant row by row or in bulk, in pandapower's ``create_*`` habit.

Every function takes the network first, changes it in place and returns the index it made. A UPS and
a grid-forming battery also get their native companions (PLANT.md), so that plain ``pp.runpp`` is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, nan
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.tables import columns_of, ensure_tables
from pdnopt.units import SQRT3

__all__ = [
    "create_empty_plant",
    "create_genset",
    "create_interlock",
    "create_overload_curve",
    "create_rack",
    "create_racks",
    "create_storage",
    "create_switch",
    "create_transfer",
    "create_ups",
    "create_utility",
    "ups_input_mw",
]


def create_empty_plant(name: str = "", f_hz: float = 50.0) -> Any:
    """Return an empty pandapower network with pdnopt's tables (all empty)."""
    net = pp.create_empty_network(name=name, f_hz=f_hz)
    ensure_tables(net)
    return net


def _add_row(net: Any, table: str, row: dict[str, Any], index: int | None = None) -> int:
    """Append one row to a pdnopt table with its defaults and dtypes; return its index."""
    ensure_tables(net)
    frame = net[table]
    if index is None:
        index = int(frame.index.max()) + 1 if len(frame) else 0
    elif index in frame.index:
        raise InputError(
            Issue(
                "NotUnique",
                f"net.{table}.index",
                f"{table}:{index}",
                index,
                "an index not in use",
                "Leave it out.",
            )
        )
    data = {}
    for spec in columns_of(table):
        value = row.get(spec.name, spec.default)
        data[spec.name] = pd.Series([value], index=[index], dtype=spec.dtype)
    new = pd.DataFrame(data, index=pd.Index([index], dtype="int64"))
    net[table] = new if not len(frame) else pd.concat([frame, new])
    return index


def _create(create: Any, net: Any, table: str, *args: Any, **keywords: Any) -> Any:
    """Call one of pandapower's ``create_*`` without its NaN harming our boolean columns.

    pandapower casts the NaN of a new row in a boolean column to True, whatever the default: the columns
    are objects while it works, and `_set` gives them their defaults and dtypes back.
    """
    frame = net[table]
    for spec in columns_of(table):
        if spec.dtype == "bool" and spec.name in frame.columns and frame[spec.name].dtype == bool:
            frame[spec.name] = frame[spec.name].astype(object)
    return create(net, *args, **keywords)


def _set(net: Any, table: str, index: int | Sequence[int], values: dict[str, Any]) -> None:
    """Write pdnopt's columns on rows of a native table; every other row gets its default where it has none."""
    frame = net[table]
    for spec in columns_of(table):
        if spec.name not in frame.columns:
            frame[spec.name] = pd.Series([spec.default] * len(frame), index=frame.index, dtype=spec.dtype)
            continue
        column = frame[spec.name].astype(object)
        missing = column.isna().to_numpy()
        if missing.any():
            column = pd.Series(
                [spec.default if gone else value for gone, value in zip(missing, column, strict=True)],
                index=frame.index,
                dtype=object,
            )
        frame[spec.name] = column.astype(spec.dtype)
    for name, value in values.items():
        frame.loc[index, name] = value


def create_utility(
    net: Any,
    bus: int,
    name: str,
    vm_pu: float = 1.0,
    max_p_mw: float = inf,
    sync_group: str = "",
    s_sc_max_mva: float = 1000.0,
    rx_max: float = 0.1,
) -> int:
    """Create a utility feed: an ``ext_grid`` of kind "utility".

    Parameters
    ----------
    bus : int
        pandapower bus of the connection.
    max_p_mw : float
        Largest import in MW.
    sync_group : str
        Sources of one group are in synchronism (needed for make-before-break).

    Returns
    -------
    int : index in ``net.ext_grid``.
    """
    idx = int(
        _create(
            pp.create_ext_grid,
            net,
            "ext_grid",
            bus,
            vm_pu=vm_pu,
            name=name,
            s_sc_max_mva=s_sc_max_mva,
            rx_max=rx_max,
        )
    )
    _set(net, "ext_grid", idx, {"kind": "utility", "max_p_mw": max_p_mw, "sync_group": sync_group})
    return idx


def create_genset(
    net: Any,
    bus: int,
    name: str,
    max_p_mw: float,
    min_p_mw: float = 0.0,
    start_s: float = 10.0,
    step_mw: float = inf,
    fuel_mwh: float = inf,
    sync_group: str = "",
    parallel: bool = False,
    running: bool | None = None,
    vm_pu: float = 1.0,
) -> int:
    """Create a generator set: an ``ext_grid`` of kind "genset" that takes ``start_s`` to be ready.

    It stands by while it carries no load, behind an open breaker (a switch of its own), and must be
    started before that breaker closes. NFPA 110 type 10: ready within 10 s.

    Returns
    -------
    int : index in ``net.ext_grid``.
    """
    idx = int(
        _create(
            pp.create_ext_grid,
            net,
            "ext_grid",
            bus,
            vm_pu=vm_pu,
            name=name,
            s_sc_max_mva=20.0 * max(max_p_mw, 0.1),
            rx_max=0.1,
        )
    )
    _set(
        net,
        "ext_grid",
        idx,
        {
            "kind": "genset",
            "max_p_mw": max_p_mw,
            "min_p_mw": min_p_mw,
            "start_s": start_s,
            "step_mw": step_mw,
            "fuel_mwh": fuel_mwh,
            "sync_group": sync_group,
            "parallel": parallel,
            "running": running,
        },
    )
    return idx


def create_overload_curve(
    net: Any,
    name: str,
    points: Iterable[tuple[float, float]],
    temperature_c: float = inf,
    on_battery: bool | None = None,
    recovery_s: float = 3600.0,
) -> str:
    """Create a time-limited rating: rows (ratio, max_s) of ``net.overload_curve``.

    Parameters
    ----------
    points : iterable of (ratio, max_s)
        For example ``[(1.10, 3600), (1.25, 600), (1.50, 60)]``.
    temperature_c : float
        The rows hold up to this inlet temperature.
    on_battery : bool or None
        Only on battery, only on mains, or both (None).

    Returns
    -------
    str : ``name``, for the column ``overload_curve`` of ups, line, trafo or switch.
    """
    for ratio, max_s in points:
        _add_row(
            net,
            "overload_curve",
            {
                "name": name,
                "ratio": float(ratio),
                "max_s": float(max_s),
                "temperature_c": temperature_c,
                "on_battery": on_battery,
                "recovery_s": recovery_s,
            },
        )
    return name


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
    idx = _add_row(
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
    source = int(
        _create(
            pp.create_ext_grid,
            net,
            "ext_grid",
            out_bus,
            vm_pu=vm_pu,
            name=f"{name} output",
            in_service=inverting,
            s_sc_max_mva=1e4,
            rx_max=0.1,
        )
    )
    _set(net, "ext_grid", source, {"kind": "ups", "ups": float(idx)})
    load = int(
        _create(
            pp.create_load,
            net,
            "load",
            in_bus,
            p_mw=0.0,
            q_mvar=0.0,
            name=f"{name} input",
            in_service=inverting and mode == "online",
        )
    )
    _set(net, "load", load, {"kind": "ups_input", "ups": float(idx), "sheddable": False})
    if bypass_bus is not None:
        switch = int(
            _create(
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
            )
        )
        _set(
            net, "switch", switch, {"ups": float(idx), "t_operate_ms": 4.0, "overload_curve": overload_curve}
        )
    return idx


def create_switch(
    net: Any,
    bus: int,
    element: int,
    name: str,
    et: str = "b",
    closed: bool = True,
    operation: str = "remote",
    t_operate_ms: float = 100.0,
    in_ka: float = nan,
    overload_curve: str = "",
    type: str = "CB",
) -> int:
    """Create a switch or breaker with pdnopt's columns. ``in_ka`` is its rated current (NaN: no limit).

    Returns
    -------
    int : index in ``net.switch``.
    """
    idx = int(
        _create(
            pp.create_switch,
            net,
            "switch",
            bus,
            element,
            et=et,
            closed=closed,
            name=name,
            type=type,
            in_ka=in_ka,
        )
    )
    _set(
        net,
        "switch",
        idx,
        {"operation": operation, "t_operate_ms": t_operate_ms, "overload_curve": overload_curve},
    )
    return idx


def create_transfer(
    net: Any,
    bus: int,
    sources: Sequence[int],
    name: str,
    kind: str = "ATS",
    closed_on: int | None = 0,
    transfer_ms: float = 100.0,
    transition: str = "open",
    parallel_ms: float = 100.0,
    auto: bool = True,
    preferred: int | None = 0,
    retransfer_s: float = inf,
    min_dwell_s: float = 0.0,
    in_ka: float = nan,
) -> int:
    """Create a transfer device: its positions are bus-bus switches from each source bus to ``bus``.

    Parameters
    ----------
    bus : int
        Output bus.
    sources : sequence of int
        Source buses, one position each.
    closed_on, preferred : int or None
        *Position* (0, 1, ...) that is closed now, and that is preferred.
    transfer_ms : float
        Time without voltage of a transfer. ATS 50-150 ms, STS about 4 ms, micro-ATS below 5 ms.

    Returns
    -------
    int : index in ``net.transfer``.
    """
    idx = _add_row(
        net,
        "transfer",
        {
            "name": name,
            "kind": kind,
            "bus": bus,
            "transfer_ms": transfer_ms,
            "transition": transition,
            "parallel_ms": parallel_ms,
            "auto": auto,
            "retransfer_s": retransfer_s,
            "min_dwell_s": min_dwell_s,
        },
    )
    switches = []
    for position, source in enumerate(sources):
        switch = int(
            _create(
                pp.create_switch,
                net,
                "switch",
                source,
                bus,
                et="b",
                closed=position == closed_on,
                name=f"{name}/{position + 1}",
                in_ka=in_ka,
            )
        )
        _set(net, "switch", switch, {"transfer": float(idx), "t_operate_ms": transfer_ms})
        switches.append(switch)
    if preferred is not None:
        net.transfer.loc[idx, "preferred"] = float(switches[preferred])
    return idx


def create_interlock(net: Any, switches: Sequence[int], name: str, max_closed: int = 1) -> int:
    """Create an interlock: at most ``max_closed`` of ``switches`` (indices in net.switch) are closed.

    Returns
    -------
    int : index in ``net.interlock``.
    """
    return _add_row(
        net,
        "interlock",
        {"name": name, "switches": [int(s) for s in switches], "max_closed": int(max_closed)},
    )


def create_rack(
    net: Any,
    buses: Sequence[int],
    name: str,
    p_mw: float,
    power_factor: float = 0.98,
    shares: Sequence[float] | None = None,
    priority: int = 3,
    min_p_mw: float = nan,
    sheddable: bool = True,
    max_p_mw: float = nan,
    holdup_ms: float = 20.0,
    restart_s: float = 0.0,
    breaker_a: float = nan,
) -> list[int]:
    """Create one rack with a cord to each bus of ``buses``; see `create_racks` for many at once.

    Parameters
    ----------
    p_mw : float
        Demand of the whole rack; ``min_p_mw`` its power cap floor (NaN: cannot be capped).
    shares : sequence of float, optional
        Part of each cord; default equal.
    max_p_mw : float
        Largest power of one cord.

    Returns
    -------
    list of int : rows of ``net.load``, one a cord.
    """
    rows = create_racks(
        net,
        np.asarray([buses]),
        [name],
        np.asarray([p_mw]),
        power_factor,
        shares,
        np.asarray([priority]),
        np.asarray([min_p_mw]),
        np.asarray([sheddable]),
        max_p_mw,
        holdup_ms,
        restart_s,
        breaker_a,
    )
    return [int(row) for row in rows[0]]


def create_racks(
    net: Any,
    buses: np.ndarray,
    names: Sequence[str],
    p_mw: np.ndarray,
    power_factor: float = 0.98,
    shares: Sequence[float] | None = None,
    priority: np.ndarray | int = 3,
    min_p_mw: np.ndarray | float = nan,
    sheddable: np.ndarray | bool = True,
    max_p_mw: float = nan,
    holdup_ms: float = 20.0,
    restart_s: float = 0.0,
    breaker_a: float = nan,
) -> np.ndarray:
    """Create many racks in bulk (``create_load`` row by row costs 1 ms each).

    Parameters
    ----------
    buses : ndarray of int, shape (racks, cords)
    names : sequence of str, shape (racks,)
    p_mw, priority, min_p_mw, sheddable : shape (racks,) or scalar

    Returns
    -------
    ndarray of int, shape (racks, cords) : rows of ``net.load``.
    """
    n_racks, n_cords = buses.shape
    share = np.full(n_cords, 1.0 / n_cords) if shares is None else np.asarray(shares, dtype=float)
    share = share / share.sum()
    demand_mw = np.broadcast_to(np.asarray(p_mw, dtype=float), (n_racks,))
    floor_mw = np.broadcast_to(np.asarray(min_p_mw, dtype=float), (n_racks,))
    tan_phi = float(np.tan(np.arccos(power_factor)))
    letters = [chr(ord("A") + k) for k in range(n_cords)]
    cord_mw = (demand_mw[:, None] * share).ravel()
    rows = _create(
        pp.create_loads,
        net,
        "load",
        buses.ravel(),
        p_mw=cord_mw,
        q_mvar=cord_mw * tan_phi,
        name=[f"{name}/{letter}" for name in names for letter in letters],
    )
    _set(
        net,
        "load",
        rows,
        {
            "rack": np.repeat(np.asarray(names, dtype=object), n_cords),
            "cord": np.tile(np.asarray(letters, dtype=object), n_racks),
            "share": np.tile(share, n_racks),
            "priority": np.repeat(np.broadcast_to(np.asarray(priority, dtype=float), (n_racks,)), n_cords),
            "min_p_mw": (floor_mw[:, None] * share).ravel(),
            "sheddable": np.repeat(np.broadcast_to(np.asarray(sheddable, dtype=bool), (n_racks,)), n_cords),
            "max_p_mw": max_p_mw,
            "holdup_ms": holdup_ms,
            "restart_s": restart_s,
            "breaker_a": breaker_a,
        },
    )
    return np.asarray(rows, dtype=int).reshape(n_racks, n_cords)


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
        _create(
            pp.create_storage,
            net,
            "storage",
            bus,
            p_mw=0.0,
            max_e_mwh=e_max_mwh,
            min_e_mwh=0.0,
            soc_percent=soc_percent,
            name=name,
        )
    )
    _set(
        net,
        "storage",
        idx,
        {
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
    if grid_forming:
        source = int(
            _create(
                pp.create_ext_grid,
                net,
                "ext_grid",
                bus,
                vm_pu=1.0,
                name=f"{name} inverter",
                in_service=False,
                s_sc_max_mva=1e3,
                rx_max=0.1,
            )
        )
        _set(
            net,
            "ext_grid",
            source,
            {"kind": "storage", "storage": float(idx), "max_p_mw": p_max_mw, "min_p_mw": 0.0},
        )
    return idx
