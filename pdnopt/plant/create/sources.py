"""Utility feeds and gensets."""

from __future__ import annotations

from math import inf
from typing import Any

import pandapower as pp

from pdnopt.plant.create.rows import create_native

__all__ = ["create_genset", "create_utility"]


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
    return int(
        create_native(
            pp.create_ext_grid,
            net,
            "ext_grid",
            bus,
            vm_pu=vm_pu,
            name=name,
            s_sc_max_mva=s_sc_max_mva,
            rx_max=rx_max,
            columns={"kind": "utility", "max_p_mw": max_p_mw, "sync_group": sync_group},
        )
    )


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
    return int(
        create_native(
            pp.create_ext_grid,
            net,
            "ext_grid",
            bus,
            vm_pu=vm_pu,
            name=name,
            s_sc_max_mva=20.0 * max(max_p_mw, 0.1),
            rx_max=0.1,
            columns={
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
    )
