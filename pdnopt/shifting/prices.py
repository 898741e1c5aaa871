"""What things cost in one unit: kWh of unserved load of the least critical kind (kWh-equivalents).

Defaults and where they come from:

* ``money_per_kwh``, ``interruption_h``: Sullivan, Schellenberg, Blundell, "Updated Value of Service Reliability Estimates
  for Electric Utility Customers", LBNL-6941E (2015), table ES-1, medium and large commercial customers: 12.7 $ for each
  unserved kWh of a long outage, 15.9 $ for each average kW that a momentary one interrupts. So an interruption costs as
  much as 15.9 / 12.7 = 1.25 hours without power.
* ``wear_kwh``: a transfer switch of 6,000 $ endures 6,000 operations (UL 1008), 1 $ a move: 0.08 kWh. Assumed price; give
  your own, or ``net.transfer.move_cost`` for one device.
* ``weight``: how much more a kWh of priority 1 and 2 counts than one of priority 3: assumed, an operator's decision.
* ``energy_kwh``: what a kWh lost in a battery costs, 0.10 $ (assumed) over ``money_per_kwh``.
* How often a device does not move when it should is data of the device: ``net.transfer.fail_auto`` and ``fail_move``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite

from pdnopt.errors import InputError, Issue

__all__ = ["Prices"]


@dataclass(frozen=True)
class Prices:
    """Prices of a proactive shift, in kWh-equivalents.

    Attributes
    ----------
    weight : dict
        kWh-equivalents of one unserved kWh, by priority; other priorities count 1.
    interruption_h : float
        Hours without power that an interruption beyond the hold-up counts as, h.
    wear_kwh : float
        Wear of one planned transfer of a device whose ``move_cost`` is 1.
    money_per_kwh : float
        Money that a kWh-equivalent is worth; ``net.storage.cycle_cost_per_kwh`` is in the same money.
    energy_kwh : float
        Of one kWh lost in charging and discharging.
    """

    weight: Mapping[int, float] = field(default_factory=lambda: {1: 10.0, 2: 3.0, 3: 1.0})
    interruption_h: float = 1.25
    wear_kwh: float = 0.08
    money_per_kwh: float = 12.7
    energy_kwh: float = 0.008

    def __post_init__(self) -> None:
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "weight"}
        told |= {f"weight[{priority}]": value for priority, value in self.weight.items()}
        issues = [
            Issue("Range", f"prices.{name}", "", value, "a finite number, 0 or more", "Correct the price.")
            for name, value in told.items()
            if not (isinstance(value, int | float) and isfinite(value) and value >= 0)
        ]
        if not issues and self.money_per_kwh <= 0:
            allowed = "more than 0"
            issues.append(
                Issue("NotGreater", "prices.money_per_kwh", "", self.money_per_kwh, allowed, "Correct it.")
            )
        if issues:
            raise InputError(issues)

    def of(self, priority: int) -> float:
        """Return the weight of a priority."""
        return float(self.weight.get(int(priority), 1.0))
