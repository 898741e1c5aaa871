"""What the loads will be: forecasts as quantiles, calibrated, with what they do not know said.

The public names are imported on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.forecast.estimator import DECILES, Forecaster
    from pdnopt.forecast.history import History, read_history

_HOME = {
    "DECILES": "pdnopt.forecast.estimator",
    "Forecaster": "pdnopt.forecast.estimator",
    "History": "pdnopt.forecast.history",
    "read_history": "pdnopt.forecast.history",
}

__all__ = ["DECILES", "Forecaster", "History", "read_history"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdnopt.forecast' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
