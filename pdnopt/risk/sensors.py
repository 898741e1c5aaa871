"""The sensors that risk understands: units, plausible ranges, and which direction is the bad one.

One row of :data:`SENSORS` per kind. Reading, features and messages all use this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SENSORS", "SENTINELS", "Sensor"]

SENTINELS = (32767.0, -32768.0, 65535.0, 2147483647.0, -2147483648.0)
"""0x7FFF, 0x8000, 0xFFFF and their 32-bit kin: what a meter sends where it has no value."""

ABSOLUTE_ZERO_C = -273.15
G_M_PER_S2 = 9.80665


@dataclass(frozen=True)
class Sensor:
    """One kind of sensor.

    Parameters
    ----------
    name : str
        How a series names it.
    unit : str
        Unit inside pdnopt.
    units : dict
        Every unit that is accepted, as ``{unit: (factor, offset)}``: value inside = factor * value + offset.
    low, high : float
        Plausible range, in ``unit``; outside it a reading is an error, not a fault of the plant.
    role : {"symptom", "driver", "state"}
        A symptom is judged at equal load; a driver (load, ambient temperature) is what it is judged against; a state is a
        measure of wear with a model of its own.
    scale : {"linear", "log"}
        Whether a symptom is compared by difference or by ratio.
    floor : float
        Smallest standard deviation of a smoothed symptom that is believed, in ``unit`` (linear) or as a ratio (log): the
        accuracy of a usual sensor. Nothing is called unusual because a channel happens to be quiet.
    words : str
        How a sentence names it.
    """

    name: str
    unit: str
    units: dict[str, tuple[float, float]]
    low: float
    high: float
    role: Literal["symptom", "driver", "state"]
    scale: Literal["linear", "log"]
    floor: float
    words: str


_CELSIUS = {
    "degC": (1.0, 0.0),
    "C": (1.0, 0.0),
    "K": (1.0, ABSOLUTE_ZERO_C),
    "degF": (5.0 / 9.0, -160.0 / 9.0),
}
_PERCENT = {"%": (1.0, 0.0), "pu": (100.0, 0.0)}

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        # IEC 60751 class B: 0.3 K + 0.005 |t|, about 0.5 K at 40 degC
        Sensor("temperature", "degC", _CELSIUS, -40.0, 250.0, "symptom", "linear", 0.5, "temperature"),
        Sensor("ambient_temperature", "degC", _CELSIUS, -40.0, 70.0, "driver", "linear", 0.5, "ambient"),
        Sensor(
            "humidity",
            "%RH",
            {"%RH": (1.0, 0.0), **_PERCENT},
            0.0,
            100.0,
            "symptom",
            "linear",
            2.0,
            "humidity",
        ),
        Sensor(
            "current", "A", {"A": (1.0, 0.0), "kA": (1e3, 0.0)}, 0.0, 1e5, "driver", "linear", 0.0, "current"
        ),
        Sensor(
            "power",
            "kW",
            {"kW": (1.0, 0.0), "W": (1e-3, 0.0), "MW": (1e3, 0.0)},
            -1e5,
            1e5,
            "driver",
            "linear",
            0.0,
            "power",
        ),
        Sensor("speed", "%", _PERCENT, 0.0, 150.0, "driver", "linear", 0.0, "speed"),
        Sensor(
            "voltage", "V", {"V": (1.0, 0.0), "kV": (1e3, 0.0)}, 0.0, 5e4, "driver", "linear", 0.0, "voltage"
        ),
        Sensor(
            "voltage_fluctuation",
            "V",
            {"V": (1.0, 0.0), "mV": (1e-3, 0.0)},
            0.0,
            1e3,
            "symptom",
            "log",
            0.05,
            "voltage fluctuation",
        ),
        Sensor("thd", "%", _PERCENT, 0.0, 200.0, "symptom", "log", 0.05, "harmonic distortion"),
        Sensor(
            "vibration",
            "mm/s",
            {"mm/s": (1.0, 0.0), "in/s": (25.4, 0.0), "m/s": (1e3, 0.0)},
            0.0,
            500.0,
            "symptom",
            "log",
            0.05,
            "vibration velocity",
        ),
        Sensor(
            "acceleration",
            "m/s2",
            {"m/s2": (1.0, 0.0), "g": (G_M_PER_S2, 0.0)},
            0.0,
            2000.0,
            "symptom",
            "log",
            0.05,
            "vibration acceleration",
        ),
        Sensor(
            "battery_capacity",
            "Ah",
            {"Ah": (1.0, 0.0), "mAh": (1e-3, 0.0)},
            0.0,
            1e5,
            "state",
            "linear",
            0.0,
            "capacity",
        ),
        Sensor("state_of_health", "%", _PERCENT, 0.0, 130.0, "state", "linear", 0.0, "state of health"),
    )
}
"""``vibration`` is the broadband RMS velocity of ISO 20816 (10-1000 Hz); ``acceleration`` an RMS value per reading;
``voltage_fluctuation`` the standard deviation of 1 s RMS readings within a minute. A zero of a log symptom is no reading."""
