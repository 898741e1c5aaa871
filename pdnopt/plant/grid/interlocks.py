"""Interlocks between switches."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.plant.grid.arrays import Interlocks, Switches
from pdnopt.plant.names import component_names

__all__ = ["read_interlocks"]


def read_interlocks(net: Any, switches: Switches) -> Interlocks:
    """Read ``net.interlock``."""
    if "interlock" not in net or not len(net.interlock):
        return Interlocks([], (), np.zeros(0, dtype=int))
    at = {int(i): k for k, i in enumerate(switches.index)}
    rows = net.interlock["switches"]
    return Interlocks(
        name=component_names(net, "interlock"),
        switches=tuple(np.array([at[int(s)] for s in row], dtype=int) for row in rows),
        max_closed=net.interlock["max_closed"].to_numpy(int),
    )
