"""A device that is not there, to try a node out. Everything that it says is made up, and the node's status says so.

A load draws its demand, with a day in it, up to its limit. An inverter is at the end of a feeder: the voltage of a phase
falls by ``DROP_PU_PER_KW`` for each kW that the load behind it draws and the inverter does not deliver. A battery fills and
empties.
"""

from __future__ import annotations

import math
from typing import Any

from pdnopt.node.hardware import Seen
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Reply
from pdnopt.protocols.quantities import READ_BACK
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import Value

__all__ = ["SimulatedHardware"]

DAY_S = 86400.0
SWING = 0.3
"""Part of a load's demand that follows the day."""
DROP_PU_PER_KW = 0.004
PHASE_PART = (1.3, 1.0, 0.7)
"""Of a third of the load, phase by phase: uneven, so that an inverter has something to do."""


class SimulatedHardware:
    """One made-up device.

    Parameters
    ----------
    name : str
        "table:name".
    clock : Clock
    p_kw : float
        Demand of a load; of the load behind an inverter; energy of a battery, kWh.
    """

    simulated = True

    def __init__(self, name: str, clock: Clock, p_kw: float) -> None:
        self.table, self.clock, self.p_kw = name.partition(":")[0], clock, p_kw
        self._energy_kwh, self._last_s = p_kw / 2, clock.monotonic_s()
        known: dict[str, dict[str, Any]] = {
            "switch": {"closed": True},
            "transfer": {"position": None, "preferred": None},
            "storage": {"setpoint_kw": 0.0, "forming": False},
            "asymmetric_sgen": {"setpoint": {"p_kw": [0.0] * 3, "q_kvar": [0.0] * 3}},
        }
        self._state = known.get(self.table, {"limit_kw": None})

    def read(self) -> Seen:
        told = {**self._state, **self._measured()}
        values = {name: Value(name, value, Quality.GOOD) for name, value in told.items()}
        return Seen(True, False, values)

    def write(self, action: str, value: Any) -> Reply:
        self._measured()
        self._state[READ_BACK[action]] = value
        return Reply(True)

    def close(self) -> None:
        pass

    def _measured(self) -> dict[str, Any]:
        now_s = self.clock.monotonic_s()
        passed_h, self._last_s = (now_s - self._last_s) / 3600.0, now_s
        day = 1.0 + SWING * math.sin(2 * math.pi * self.clock.utc_s() / DAY_S)
        if self.table in ("rack", "load", "asymmetric_load"):
            limit = self._state["limit_kw"]
            demand = self.p_kw * day
            return {"p_kw": demand if limit is None else min(demand, limit), "fed": True}
        if self.table == "asymmetric_sgen":
            given = self._state["setpoint"]["p_kw"]
            drawn = [self.p_kw * day * part / 3.0 for part in PHASE_PART]
            volts = [1.0 - DROP_PU_PER_KW * (a - b) for a, b in zip(drawn, given, strict=True)]
            return {"vm_pu": volts, "p_kw": sum(given)}
        if self.table == "storage":
            self._energy_kwh += self._state["setpoint_kw"] * passed_h
            self._energy_kwh = min(max(self._energy_kwh, 0.0), self.p_kw)
            full = 100.0 * self._energy_kwh / self.p_kw
            return {"p_kw": self._state["setpoint_kw"], "soc_percent": full}
        return {}
