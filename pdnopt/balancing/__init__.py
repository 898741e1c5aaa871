"""Set-points of micro-inverters against unbalance: linear at a point, verified by three-phase AC power flow."""

from pdnopt.balancing.placing import InverterPlacement, place_inverters
from pdnopt.balancing.runner import BalanceRunner

__all__ = ["BalanceRunner", "InverterPlacement", "place_inverters"]
