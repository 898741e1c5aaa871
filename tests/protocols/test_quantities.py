"""When an action counts as carried out."""

from __future__ import annotations

from pdnopt.protocols.quantities import is_reached, same_value


def test_same_value() -> None:
    setpoint = {"p_kw": [1.0, 2.0, 3.0], "q_kvar": [0.0, 0.0, 0.0]}
    assert same_value({**setpoint, "p_kw": [1.0, 2.0 + 1e-7, 3.0]}, setpoint)
    assert not same_value({**setpoint, "p_kw": [1.0, 2.1, 3.0]}, setpoint)
    assert not same_value(setpoint, {"p_kw": [1.0, 2.0, 3.0]})
    assert not same_value([1, 2], [1])
    assert not same_value(1, True)  # a number is no switch position
    assert same_value("switch:Q1", "switch:Q1")
    assert same_value(None, None)


def test_what_counts_as_reached() -> None:
    assert is_reached("transfer", None, None)
    assert not is_reached("transfer", "switch:A", None)
    assert is_reached("restore", 10.0, None)  # no limit any more
    assert is_reached("restore", 10.0, 12.0)
    assert not is_reached("restore", 10.0, 9.0)
    assert not is_reached("cap", 5.0, None)
    assert is_reached("cap", 5.87, 5.9)  # a register of 0.1 kW
    assert not is_reached("cap", 5.87, 6.0)
    assert not is_reached("close", True, 1)
