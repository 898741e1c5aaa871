"""Forecasters by name: what a command or a file may ask for, and nothing else.

A saved forecaster says its name; the class behind it comes from this table, never from the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import Forecaster

__all__ = ["FORECASTERS", "forecaster_class", "load_forecaster", "maker"]

FORECASTERS = {
    "last_value": "pdnopt.forecast.naive:LastValue",
    "seasonal_naive": "pdnopt.forecast.naive:SeasonalNaive",
    "lightgbm": "pdnopt.forecast.boosting.forecaster:LightGBMForecaster",
    "lstm": "pdnopt.forecast.lstm.forecaster:LSTMForecaster",
    "combination": "pdnopt.forecast.combination:Combination",
    "calibrated": "pdnopt.forecast.conformal:Calibrated",
    "with_fallback": "pdnopt.forecast.fallback:WithFallback",
    "with_newcomers": "pdnopt.forecast.newcomers:WithNewcomers",
}
"""Name of a forecaster -> module:class."""

CALIBRATED = "calibrated_"
WRAPPERS = ("calibrated", "with_fallback", "with_newcomers")
MEMBERS = ("last_value", "seasonal_naive", "lightgbm")
"""Of a combination by name."""

SAYS = "forecaster.json"


def forecaster_class(name: Any) -> type[Forecaster]:
    """Return the class of a name. Raises InputError for a name that :data:`FORECASTERS` does not have."""
    if not isinstance(name, str) or name not in FORECASTERS:
        todo = "Choose one of these."
        raise InputError(Issue("Enum", "model", "", name, ", ".join(FORECASTERS), todo))
    module, _, attribute = FORECASTERS[name].partition(":")
    found: type[Forecaster] = getattr(import_module(module), attribute)
    return found


def maker(name: str, horizon: int, allow_negative: bool = False) -> Callable[[], Forecaster]:
    """Return what makes a forecaster of this name with its usual settings.

    Parameters
    ----------
    name : str
        One of :data:`FORECASTERS`; ``"calibrated_X"`` is X with calibrated quantiles, ``"combination"`` one of last value,
        seasonal naive and LightGBM, each calibrated.
    horizon : int
        Steps that it will be asked for; trained models are trained for as many.
    allow_negative : bool
        Whether power may be negative.

    Raises
    ------
    InputError
        An unknown name.
    """
    if name.startswith(CALIBRATED):
        return _calibrated(name.removeprefix(CALIBRATED), horizon, allow_negative, refit=True)
    if name in WRAPPERS:
        todo = "Write calibrated_lightgbm, for instance."
        raise InputError(Issue("Enum", "model", "", name, "the name of a model", todo))
    kind: Any = forecaster_class(name)
    if name == "combination":
        makes = [_calibrated(each, horizon, allow_negative, refit=False) for each in MEMBERS]
        return lambda: kind(makes, horizon=horizon, refit=False, allow_negative=allow_negative)
    if name == "lightgbm":
        from pdnopt.forecast.boosting.settings import Settings as BoostingSettings

        return lambda: kind(BoostingSettings(horizon=horizon), allow_negative=allow_negative)
    if name == "lstm":
        from pdnopt.forecast.lstm.settings import Settings as LSTMSettings

        return lambda: kind(LSTMSettings(horizon=horizon), allow_negative=allow_negative)
    return lambda: kind(allow_negative=allow_negative)


def _calibrated(name: str, horizon: int, allow_negative: bool, refit: bool) -> Callable[[], Forecaster]:
    """Return what makes a calibrated forecaster; without `refit` its members are trained once, not twice."""
    from pdnopt.forecast.conformal import Calibrated

    inner = maker(name, horizon, allow_negative)
    return lambda: Calibrated(inner, horizon=horizon, refit=refit, allow_negative=allow_negative)


def load_forecaster(folder: Path) -> Forecaster:
    """Return the forecaster that was saved to a folder, whichever it is.

    Raises
    ------
    InputError
        No forecaster there [File], or one of a name that is not known [Enum].
    """
    path = Path(folder) / SAYS
    try:
        says = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        todo = "Give a folder that a forecaster was saved to."
        what = f"a saved forecaster ({type(error).__name__})"
        raise InputError(Issue("File", "folder", "", str(folder), what, todo)) from None
    return forecaster_class(says.get("name") if isinstance(says, dict) else None).load(Path(folder))
