"""An empty plant."""

from __future__ import annotations

from typing import Any

import pandapower as pp

from pdnopt.plant.tables import ensure_tables

__all__ = ["create_empty_plant"]


def create_empty_plant(name: str = "", f_hz: float = 50.0) -> Any:
    """Return an empty pandapower network with pdnopt's tables (all empty)."""
    net = pp.create_empty_network(name=name, f_hz=f_hz)
    ensure_tables(net)
    return net
