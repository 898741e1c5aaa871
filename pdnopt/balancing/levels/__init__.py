"""Balance on three levels: a rule in every inverter, a programme for every zone, a global level over the zones.

- `local_setpoint` (with `RuleSettings`, `Measured`): what one inverter does by itself; numpy only.
- `Levels`: the three levels for a control loop, each by itself; any of them may be missing.
- ``solve(net, "balance", zones=20)``: all at once, for thousands of inverters.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.balancing.levels.control import Levels, State
    from pdnopt.balancing.levels.exchange import Exchange
    from pdnopt.balancing.levels.local import Measured, RuleSettings, local_setpoint
    from pdnopt.balancing.levels.runner import ZonedRunner

_HOME = {
    "Exchange": "exchange",
    "Levels": "control",
    "Measured": "local",
    "RuleSettings": "local",
    "State": "control",
    "ZonedRunner": "runner",
    "local_setpoint": "local",
}

__all__ = ["Exchange", "Levels", "Measured", "RuleSettings", "State", "ZonedRunner", "local_setpoint"]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): the rule of an inverter needs no solver."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
