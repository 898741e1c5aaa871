"""Which reading says whether an action has been carried out, and when it has.

===========================  ============  ==================================================
action                       read back     reached when it is
===========================  ============  ==================================================
open, close                  closed        the value
transfer                     position      the value: "switch:NAME", or None for open
prefer                       preferred     the value
mode                         mode          the value
start, stop                  running       the value
cap, shed                    limit_kw      the value
restore                      limit_kw      at least the value, or None: without limit
power                        setpoint_kw   the value
form                         forming       the value
setpoint                     setpoint      the value, phase by phase
===========================  ============  ==================================================

An open transfer device has the position None with quality GOOD; a position that cannot be told has another quality.
"""

from __future__ import annotations

from typing import Any

__all__ = ["READ_BACK", "STATES", "is_reached", "same_value"]

READ_BACK = {
    "open": "closed",
    "close": "closed",
    "transfer": "position",
    "prefer": "preferred",
    "mode": "mode",
    "start": "running",
    "stop": "running",
    "cap": "limit_kw",
    "shed": "limit_kw",
    "restore": "limit_kw",
    "power": "setpoint_kw",
    "form": "forming",
    "setpoint": "setpoint",
}

STATES = frozenset({"open", "close", "transfer", "prefer", "mode", "start", "stop", "form"})
"""Actions whose ``Action.before`` is a state of the device, and so the command's precondition.

Before a cap or a set-point stands what a load draws, which changes by itself.
"""

TOLERANCE = 1e-6
SETTING_STEP = 0.05
"""A device keeps a setting in registers: 16 bits of 0.1 kW are right to half a step."""


def is_reached(action: str, value: Any, found: Any) -> bool:
    """Say whether a reading of ``READ_BACK[action]`` shows that the action has been carried out."""
    if action == "restore":
        return found is None or (_is_number(found) and found >= value - SETTING_STEP)
    if action in STATES:
        return same_value(found, value)
    return same_value(found, value, SETTING_STEP)


def same_value(found: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Say whether two values are the same: numbers within ``tolerance``."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same_value(found[k], expected[k], tolerance) for k in expected
        )
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(
            same_value(a, b, tolerance) for a, b in zip(found, expected, strict=True)
        )
    if _is_number(found) and _is_number(expected):
        return bool(abs(found - expected) <= tolerance)
    return type(found) is type(expected) and bool(found == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
