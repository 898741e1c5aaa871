"""Values that a device must never be told, whoever has signed them."""

from __future__ import annotations

from typing import Any

import pytest

from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.values import wrong_value

ZEROS = [0.0, 0.0, 0.0]
GOOD = {
    "open": False,
    "close": True,
    "start": True,
    "stop": False,
    "form": True,
    "transfer": "switch:A",
    "prefer": None,
    "mode": "online",
    "cap": 2.5,
    "shed": 0,
    "restore": 4.0,
    "power": -3.0,
    "setpoint": {"p_kw": [1.0, -1, 0.0], "q_kvar": ZEROS},
}


def test_every_action_has_a_form() -> None:
    assert set(GOOD) == set(READ_BACK)
    assert not [wrong_value(action, value) for action, value in GOOD.items() if wrong_value(action, value)]


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("open", True),
        ("close", 1),
        ("form", 0),
        ("transfer", 3),
        ("mode", None),
        ("cap", -0.1),
        ("cap", True),
        ("power", float("nan")),
        ("power", float("inf")),
        ("power", "5"),
        ("setpoint", {"p_kw": [1.0, 2.0], "q_kvar": ZEROS}),
        ("setpoint", {"p_kw": [1.0, 2.0, "3"], "q_kvar": ZEROS}),
        ("setpoint", {"p_kw": ZEROS}),
        ("setpoint", {"p_kw": ZEROS, "q_kvar": ZEROS, "s": 1}),
        ("setpoint", [ZEROS, ZEROS]),
        ("setpoint", {"p_kw": {"a": 1}, "q_kvar": ZEROS}),
        ("explode", 1),
        ("", None),
    ],
)
def test_wrong_values(action: str, value: Any) -> None:
    assert wrong_value(action, value)
