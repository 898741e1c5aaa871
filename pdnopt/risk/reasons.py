"""Numbers as sentences: why a component is thought to be at risk, the largest contribution first."""

from __future__ import annotations

from math import exp

from pdnopt.risk.features import vibration_zone
from pdnopt.risk.monitoring import Sign
from pdnopt.risk.sensors import SENSORS
from pdnopt.words import SPACE, number

__all__ = ["explain_sign", "unit_of_difference"]

NOTABLE_TREND = 0.05
"""Part of a deviation that it must grow by each day to be worth saying."""
NOTABLE_SPREAD = 0.4
"""Logarithm: the standard deviation 1.5 times that of the reference."""


def unit_of_difference(sensor: str) -> str:
    """Return the unit of a difference of two readings: K for temperatures."""
    unit = SENSORS[sensor].unit
    return "K" if unit == "degC" else unit


def explain_sign(sign: Sign, machine: str = "II") -> str:
    """Return one sentence on what a sensor says.

    Parameters
    ----------
    sign : Sign
    machine : str
        Class of machine of ISO 20816, for vibration.
    """
    kind = SENSORS[sign.sensor]
    side = "above" if sign.z >= 0 else "below"
    sigma = f"{number(abs(sign.z))} sigma {side} its reference at equal load"
    if kind.scale == "log":
        amount = f"{number(exp(sign.level), 2)} times as large"
    else:
        amount = f"{sign.level:+.1f}".replace("-", "\u2212") + f"{SPACE}{unit_of_difference(sign.sensor)}"
    text = f"{kind.words} {amount}, {sigma}"
    if abs(sign.trend_per_day) > NOTABLE_TREND * abs(sign.level) and sign.trend_per_day * sign.level > 0:
        if kind.scale == "log":
            text += f", growing {number(100.0 * (exp(abs(sign.trend_per_day)) - 1.0))}{SPACE}% a day"
        else:
            text += f", growing {number(abs(sign.trend_per_day), 2)}{SPACE}{unit_of_difference(sign.sensor)} a day"
    if sign.spread > NOTABLE_SPREAD:
        text += f", {number(exp(sign.spread), 1)} times as restless"
    if sign.sensor == "vibration":
        text += f", ISO 20816 zone {vibration_zone(sign.seen, machine)} ({number(sign.seen)}{SPACE}mm/s)"
    return text
