"""Switches: rows of ``net.switch``, those of transfer devices and static bypasses among them."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import Switches
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values, values
from pdnopt.units import KW_PER_MW, SQRT3, UNLIMITED_KA

__all__ = ["read_switches"]


def read_switches(net: Any, nodes: NodeTable) -> Switches:
    """Read ``net.switch`` in table order. A switch without ``in_ka`` has no limit."""
    frame = net.switch
    n = len(frame)
    tail = nodes.of(frame["bus"])
    head = np.array(
        [
            nodes.across(int(b), int(e), et)
            for b, e, et in zip(frame["bus"], frame["element"], frame["et"], strict=True)
        ],
        dtype=int,
    )
    in_ka = native_values(frame, "in_ka", nan)
    unlimited = np.isnan(in_ka) | (in_ka >= UNLIMITED_KA)
    vn = np.asarray(nodes.vn_kv)[tail] if n else np.zeros(0)
    position_of = _positions(net, "transfer")
    ups_of = _positions(net, "ups")
    transfer = np.array(
        [position_of.get(int(v), -1) if not np.isnan(v) else -1 for v in values(net, "switch", "transfer")],
        dtype=int,
    )
    ups = np.array(
        [ups_of.get(int(v), -1) if not np.isnan(v) else -1 for v in values(net, "switch", "ups")], dtype=int
    )
    operable = values(net, "switch", "operable") & (values(net, "switch", "operation") == "remote")
    return Switches(
        index=frame.index.to_numpy(),
        name=component_names(net, "switch"),
        tail=tail,
        head=head,
        closed=frame["closed"].to_numpy(bool) if n else np.zeros(0, bool),
        operable=operable.astype(bool),
        s_max_kva=np.where(unlimited, inf, SQRT3 * np.where(unlimited, 0.0, in_ka) * vn * KW_PER_MW),
        t_operate_s=values(net, "switch", "t_operate_ms") / 1000.0,
        transfer=transfer,
        ups=ups,
        curve=values(net, "switch", "overload_curve"),
        budget_used=values(net, "switch", "overload_used"),
    )


def _positions(net: Any, table: str) -> dict[int, int]:
    return {int(i): k for k, i in enumerate(net[table].index)} if table in net else {}
