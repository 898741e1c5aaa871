"""Switches and breakers."""

from __future__ import annotations

from math import nan
from typing import Any

import pandapower as pp

from pdnopt.plant.create.rows import create_native

__all__ = ["create_switch"]


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
    return int(
        create_native(
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
            columns={"operation": operation, "t_operate_ms": t_operate_ms, "overload_curve": overload_curve},
        )
    )
