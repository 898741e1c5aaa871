"""The node: looks at its devices, lets time-outs happen, sets by the local rule what nobody leads, forecasts, reports.

Everything happens in `step`, which never waits for longer than its devices' wires do. Requests come in beside it, by the
door's thread, and meet it at the guards and devices, which take one at a time.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdnopt import __version__
from pdnopt.gateway.guard import Guard
from pdnopt.node.device import NodeDevice
from pdnopt.node.forecasting import Forecasts, Order
from pdnopt.node.measurements import Measurements
from pdnopt.node.settings import ForecastSettings
from pdnopt.protocols.announcements import Announcement, parts_of
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["OFFLINE", "Forecasting", "Node", "Tell"]

log = logging.getLogger(__name__)

OFFLINE = b'{"online":false}'
TROUBLE_SHOWN = 300

Tell = Callable[[str, bytes], bool]
"""("node" or "forecast", message) -> whether it went out."""


@dataclass(frozen=True)
class Forecasting:
    """What a node that forecasts has besides."""

    settings: ForecastSettings
    measurements: Measurements
    forecasts: Forecasts


class Node:
    """A power node.

    Parameters
    ----------
    name : str
    devices : mapping
        Name -> device.
    guards : mapping
        Name -> the guard before it.
    clock : Clock
    tell : Tell
    status_s : float
        Between two statuses; one comes at once when something has changed.
    forecasting : Forecasting, optional
    """

    def __init__(
        self,
        name: str,
        devices: Mapping[str, NodeDevice],
        guards: Mapping[str, Guard],
        clock: Clock,
        tell: Tell,
        status_s: float = 10.0,
        forecasting: Forecasting | None = None,
    ) -> None:
        self.name, self.devices, self.guards = name, dict(devices), dict(guards)
        self.clock, self.tell, self.status_s = clock, tell, status_s
        self.forecasting = forecasting
        self._begun_s = clock.monotonic_s()
        self._told_s = float("-inf")
        self._told: Any = None
        self._announced: Announcement | None = None
        if forecasting is not None:
            self._order_forecast(forecasting)  # what was measured in an earlier life is on the disk

    def read(self, devices: Sequence[str]) -> list[Reading]:
        """Return the readings of some of its devices."""
        return [item for name in devices for item in self.devices[name].readings()]

    def step(self) -> None:
        """Do what is due now."""
        for guard in self.guards.values():
            guard.tick()
        for device in self.devices.values():
            device.step()
        if self.forecasting is not None:
            self._forecast(self.forecasting)
        self._say()

    def status(self) -> dict[str, Any]:
        """Return how the node is, as plain JSON."""
        refused: Counter[str] = Counter()
        for guard in self.guards.values():
            refused.update({str(reason): count for reason, count in guard.refused.items()})
        now_s = self.clock.utc_s()
        return {
            "online": True,
            "stamp_s": now_s,
            "up_s": round(self.clock.monotonic_s() - self._begun_s, 1),
            "version": __version__,
            **self._changing(),
            "refused": dict(sorted(refused.items())),
            "actuations": {name: guard.remembered.actuations for name, guard in self.guards.items()},
        }

    def close(self) -> None:
        """End what it has started."""
        if self.forecasting is not None:
            self.forecasting.forecasts.close()
            self.forecasting.measurements.close()
        for device in self.devices.values():
            device.hardware.close()

    def _changing(self) -> dict[str, Any]:
        """Return the part of the status that is told at once when it changes."""
        heard = all(guard.heard for guard in self.guards.values())
        found: dict[str, Any] = {
            "controller": "heard" if heard else "silent",
            "set_by": {
                name: "local rule" if device.by_rule else "controller"
                for name, device in self.devices.items()
                if device.rule is not None
            },
            "local": sorted(name for name, device in self.devices.items() if device.local()),
            "silent_devices": sorted(
                name for name, device in self.devices.items() if not device.look().available
            ),
            "simulated": any(device.hardware.simulated for device in self.devices.values()),
            "expired": sum(device.expired for device in self.devices.values()),
        }
        if self.forecasting is not None:
            latest = self.forecasting.forecasts.latest
            found["forecast"] = {
                "model": "" if latest is None else latest.model,
                "made_s": None if latest is None else latest.made_s,
                "trouble": self.forecasting.forecasts.trouble[:TROUBLE_SHOWN],
            }
            found["disk"] = self.forecasting.measurements.trouble[:TROUBLE_SHOWN]
            found["clock_jumps"] = self.forecasting.measurements.jumps
        return found

    def _say(self) -> None:
        now_s, changing = self.clock.monotonic_s(), self._changing()
        if changing == self._told and now_s - self._told_s < self.status_s:
            return
        raw = json.dumps(self.status(), separators=(",", ":"), allow_nan=False).encode()
        if self.tell("node", raw):
            self._told, self._told_s = changing, now_s

    def _forecast(self, having: Forecasting) -> None:
        utc_s, monotonic_s = self.clock.utc_s(), self.clock.monotonic_s()
        kw = {}
        for name in having.settings.circuits:
            value = self.devices[name].look().values.get("p_kw")
            if value is not None and value.quality == Quality.GOOD:
                kw[name] = float(value.value)
        if having.measurements.add(utc_s, monotonic_s, kw):
            self._order_forecast(having)
        having.forecasts.poll()
        latest = having.forecasts.latest
        if latest is None or latest is self._announced:
            return
        if all(self.tell("forecast", part) for part in parts_of(latest)):
            self._announced = latest  # otherwise again, all of it, when the broker is back

    def _order_forecast(self, having: Forecasting) -> None:
        wanted = having.settings
        having.forecasts.begin(
            Order(
                str(wanted.model.resolve()),
                str(having.measurements.path.resolve()),
                wanted.circuits,
                wanted.step_s,
                self.clock.utc_s(),
                wanted.horizon,
                wanted.quantiles,
                wanted.allow_negative,
            )
        )
