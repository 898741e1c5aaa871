"""An emulated plant: a network of `pdnopt.load_case` that lives in time, behind the protocols of real devices.

It is the judge of control campaigns: the truth that it keeps comes from AC power flow and the devices' own rules, by code
that shares nothing with the models.
"""

from pdnopt.emulator.ledger import Happening, Ledger, Violation
from pdnopt.emulator.metering import Lie
from pdnopt.emulator.plant import EmulatedPlant
from pdnopt.emulator.scenario import Scenario, load_scenario, packaged_scenarios, play

__all__ = [
    "EmulatedPlant",
    "Happening",
    "Ledger",
    "Lie",
    "Scenario",
    "Violation",
    "load_scenario",
    "packaged_scenarios",
    "play",
]
