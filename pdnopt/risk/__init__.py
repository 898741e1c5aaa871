"""Risk: from sensor readings to failure probabilities that the optimiser can use, with reasons and advice.

>>> from pdnopt import risk
>>> found = risk.assess(readings, net)          # long or wide table of sensors
>>> print(found)                                # health, probabilities, reasons, what to do
>>> pdnopt.solve(net, "reserve", risk=found.frame)

From readings to figures: `readings` (checked series), `baseline` and `monitoring` (what a sensor would say if nothing had
changed), `kinds` with `hazard` and `mixture` (probability), `battery` (end of life), `rates` and `repairs` (priors),
`reasons` and `maintenance` (words). Beside them: `detector` (sudden events of one series), `meters` (does the meter lie?),
`circuits` (draws that nothing explains), `scoring` (calibration), `synthetic` and `wear` (transfer switches that wear,
from a generator that says so).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.risk.assessing import assess
    from pdnopt.risk.assessment import Assessment
    from pdnopt.risk.battery import end_of_life, learn_fade
    from pdnopt.risk.circuits import judge_circuit
    from pdnopt.risk.detector import StreamingDetector
    from pdnopt.risk.meters import MeterReport, judge_meters
    from pdnopt.risk.monitoring import Monitor
    from pdnopt.risk.rates import Rate
    from pdnopt.risk.readings import Readings, read_sensor_file, read_sensors
    from pdnopt.risk.repairs import fit_repairs, lanl_events
    from pdnopt.risk.scoring import calibration
    from pdnopt.risk.synthetic import ats_fleet

_HOME = {
    "Assessment": "assessment",
    "MeterReport": "meters",
    "Monitor": "monitoring",
    "Rate": "rates",
    "Readings": "readings",
    "StreamingDetector": "detector",
    "assess": "assessing",
    "ats_fleet": "synthetic",
    "calibration": "scoring",
    "end_of_life": "battery",
    "fit_repairs": "repairs",
    "judge_circuit": "circuits",
    "judge_meters": "meters",
    "lanl_events": "repairs",
    "learn_fade": "battery",
    "read_sensor_file": "readings",
    "read_sensors": "readings",
}

__all__ = [
    "Assessment",
    "MeterReport",
    "Monitor",
    "Rate",
    "Readings",
    "StreamingDetector",
    "assess",
    "ats_fleet",
    "calibration",
    "end_of_life",
    "fit_repairs",
    "judge_circuit",
    "judge_meters",
    "lanl_events",
    "learn_fade",
    "read_sensor_file",
    "read_sensors",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdnopt.risk' has no attribute {name!r}")
    value = getattr(import_module(f"pdnopt.risk.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
