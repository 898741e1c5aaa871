"""Sources: utility feeds and gensets, and which gensets run."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid.arrays import BoolArray, Branches, IntArray, Sources, Switches
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["read_sources"]


def read_sources(net: Any, nodes: NodeTable, branches: Branches, switches: Switches) -> Sources:
    """Read the rows of ``net.ext_grid`` that are no companions; edges tell which gensets carry load now."""
    frame = net.ext_grid
    own = np.isnan(values(net, "ext_grid", "ups")) & np.isnan(values(net, "ext_grid", "storage"))
    pick = np.flatnonzero(own)
    all_names = component_names(net, "ext_grid")

    def of(name: str) -> np.ndarray:
        return values(net, "ext_grid", name)[pick]

    kind = of("kind")
    node = nodes.of(frame["bus"].to_numpy()[pick])
    return Sources(
        index=frame.index.to_numpy()[pick],
        name=[all_names[k] for k in pick],
        node=node,
        kind=kind,
        p_max_kw=of("max_p_mw") * KW_PER_MW,
        p_min_kw=of("min_p_mw") * KW_PER_MW,
        start_s=of("start_s"),
        step_kw=of("step_mw") * KW_PER_MW,
        fuel_kwh=of("fuel_mwh") * KW_PER_MW,
        sync_group=of("sync_group"),
        parallel=of("parallel"),
        running=_running(net, nodes, branches, switches, node, kind, of("running")),
        vm_pu=frame["vm_pu"].to_numpy(float)[pick],
        in_service=frame["in_service"].to_numpy(bool)[pick],
    )


def _running(
    net: Any,
    nodes: NodeTable,
    branches: Branches,
    switches: Switches,
    node: IntArray,
    kind: np.ndarray,
    given: np.ndarray,
) -> BoolArray:
    """Return which sources run, shape (G,): as given, else every one but a genset.

    A genset whose ``running`` is not given (None) runs if, in the present switch state, it reaches any load.
    """
    unknown = np.array([flag is None for flag in given], dtype=bool)
    running = np.array([flag is None or bool(flag) for flag in given], dtype=bool)
    guess = unknown & (kind == "genset")
    if guess.any():
        running[guess] = _reaches_load(net, nodes, branches, switches)[node[guess]]
    return running


def _reaches_load(net: Any, nodes: NodeTable, branches: Branches, switches: Switches) -> BoolArray:
    """Return by node whether a load or battery hangs on its island in the present switch state."""
    n = len(nodes.bus)
    loaded = np.zeros(n, dtype=bool)
    for table in ("load", "asymmetric_load", "storage"):
        loaded[nodes.of(net[table]["bus"])] = True
    tail = np.r_[branches.tail[branches.in_service], switches.tail[switches.closed]]
    head = np.r_[branches.head[branches.in_service], switches.head[switches.closed]]
    island = connected_parts(n, tail, head)
    island_loaded = np.bincount(island, weights=loaded, minlength=n) > 0
    return np.asarray(island_loaded[island], dtype=bool)
