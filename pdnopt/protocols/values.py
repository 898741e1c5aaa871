"""What a command's value may be, for each action: asked by whoever stands before a device, of whoever it comes from."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["wrong_value"]

SETPOINT = '{"p_kw": [a, b, c], "q_kvar": [a, b, c]}'
PARTS = ("p_kw", "q_kvar")
_FLAGS = {"open": False, "close": True, "start": True, "stop": False}
_NUMBERS = ("cap", "shed", "restore", "power")


def wrong_value(action: str, value: Any) -> str:
    """Return in words what is wrong with a value, "" where it is of the form that the action needs.

    Whether the device can and may go there is another question.
    """
    if action in _FLAGS:
        return "" if value is _FLAGS[action] else f"{action} goes with {_FLAGS[action]}, not {_short(value)}"
    if action == "form":
        return "" if isinstance(value, bool) else f"{_short(value)} is neither true nor false"
    if action in ("transfer", "prefer"):
        return "" if value is None or isinstance(value, str) else f"{_short(value)} is no position"
    if action == "mode":
        return "" if isinstance(value, str) else f"{_short(value)} is no mode"
    if action in _NUMBERS:
        if not _is_number(value):
            return f"{_short(value)} is no number of kW"
        return "" if action == "power" or value >= 0 else f"{value:g} kW is less than nothing"
    if action == "setpoint":
        good = (
            isinstance(value, dict)
            and set(value) == set(PARTS)
            and all(isinstance(value[part], list) and len(value[part]) == 3 for part in PARTS)
            and all(_is_number(item) for part in PARTS for item in value[part])
        )
        return "" if good else f"{_short(value)} is not {SETPOINT}"
    return f"{_short(action)} is no action"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    return repr(value)[:60]
