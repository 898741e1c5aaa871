"""Set-points of micro-inverters against unbalance: linear at a point, verified by three-phase AC power flow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.balancing.placing import InverterPlacement, place_inverters
    from pdnopt.balancing.runner import BalanceRunner

_HOME = {
    "BalanceRunner": "pdnopt.balancing.runner",
    "InverterPlacement": "pdnopt.balancing.placing",
    "place_inverters": "pdnopt.balancing.placing",
}

__all__ = ["BalanceRunner", "InverterPlacement", "place_inverters"]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): `levels.local`, the rule of an inverter, needs numpy only."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
