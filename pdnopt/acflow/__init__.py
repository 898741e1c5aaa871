"""AC power flow of a plant: fast in batch on power-grid-model, and pandapower as the reference.

``powerflow`` and ``write_companions`` work on networks; ``FlowEngine`` on arrays, many cases at a time.
Everything is imported on first use: pandapower alone takes 1.5 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.acflow.cases import FlowCases, FlowResult
    from pdnopt.acflow.engine import FlowEngine
    from pdnopt.acflow.flow import powerflow, write_companions

__all__ = ["FlowCases", "FlowEngine", "FlowResult", "powerflow", "write_companions"]

_HOME = {
    "FlowCases": "cases",
    "FlowResult": "cases",
    "FlowEngine": "engine",
    "powerflow": "flow",
    "write_companions": "flow",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
