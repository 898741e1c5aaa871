"""Set-points of micro-inverters against unbalance: linear at a point, verified by three-phase AC power flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.balancing.runner import BalanceRunner

__all__ = ["BalanceRunner"]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): `levels.local`, the rule of an inverter, needs numpy only."""
    if name != "BalanceRunner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pdnopt.balancing.runner import BalanceRunner

    globals()[name] = BalanceRunner
    return BalanceRunner
