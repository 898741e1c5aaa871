"""What the loads will be: forecasts as quantiles, calibrated, with what they do not know said.

The public names are imported on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.forecast.backtest import Backtest, Windows, run_backtest
    from pdnopt.forecast.catalogue import load_forecaster
    from pdnopt.forecast.cleaning import clean
    from pdnopt.forecast.combination import Combination
    from pdnopt.forecast.conformal import Calibrated
    from pdnopt.forecast.estimator import DECILES, Forecaster
    from pdnopt.forecast.fallback import WithFallback
    from pdnopt.forecast.history import History, read_history
    from pdnopt.forecast.loads import load_vectors
    from pdnopt.forecast.naive import LastValue, SeasonalNaive
    from pdnopt.forecast.newcomers import WithNewcomers
    from pdnopt.forecast.scenarios import sample_scenarios

_HOME = {
    "Backtest": "pdnopt.forecast.backtest",
    "Calibrated": "pdnopt.forecast.conformal",
    "Combination": "pdnopt.forecast.combination",
    "DECILES": "pdnopt.forecast.estimator",
    "Forecaster": "pdnopt.forecast.estimator",
    "History": "pdnopt.forecast.history",
    "LastValue": "pdnopt.forecast.naive",
    "SeasonalNaive": "pdnopt.forecast.naive",
    "Windows": "pdnopt.forecast.backtest",
    "WithFallback": "pdnopt.forecast.fallback",
    "WithNewcomers": "pdnopt.forecast.newcomers",
    "clean": "pdnopt.forecast.cleaning",
    "load_forecaster": "pdnopt.forecast.catalogue",
    "load_vectors": "pdnopt.forecast.loads",
    "read_history": "pdnopt.forecast.history",
    "run_backtest": "pdnopt.forecast.backtest",
    "sample_scenarios": "pdnopt.forecast.scenarios",
}

__all__ = [
    "DECILES",
    "Backtest",
    "Calibrated",
    "Combination",
    "Forecaster",
    "History",
    "LastValue",
    "SeasonalNaive",
    "Windows",
    "WithFallback",
    "WithNewcomers",
    "clean",
    "load_forecaster",
    "load_vectors",
    "read_history",
    "run_backtest",
    "sample_scenarios",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdnopt.forecast' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
