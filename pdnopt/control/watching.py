"""Waiting for the next tick, but not past a failure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from pdnopt.executor import Paths
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["DISCRETE", "PollingWatch", "Watch"]

DISCRETE = (
    "available",
    "closed",
    "position",
    "mode",
    "running",
    "fed",
    "inverter_ok",
    "rectifier_ok",
    "bypass_ok",
    "modules_part",
)
"""Quantities that change only when something happens."""


class Watch(Protocol):
    """Lets time pass."""

    def wait(self, until_s: float) -> bool:
        """Return at ``until_s`` (monotonic), or as soon as something has happened: then True."""

    def rebase(self, readings: Iterable[Reading]) -> None:
        """Take what was read as known: only what differs from it is news."""


class PollingWatch:
    """Reads the devices that say how the plant is switched, every ``poll_s`` seconds."""

    def __init__(self, paths: Paths, clock: Clock, devices: Iterable[str], poll_s: float = 0.25) -> None:
        self._paths, self._clock, self._devices, self._poll_s = paths, clock, tuple(devices), poll_s
        self._known: dict[tuple[str, str], Any] = {}

    def wait(self, until_s: float) -> bool:
        while True:
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            self._clock.sleep(min(self._poll_s, left_s))
            if self.news():
                return True

    def news(self) -> bool:
        """Return whether anything differs from what is known."""
        for device, quantities in self._paths.read(self._devices).items():
            for quantity, item in quantities.items():
                told = quantity in DISCRETE and item.quality is Quality.GOOD
                if told and self._known.setdefault((device, quantity), item.value) != item.value:
                    return True
        return False

    def rebase(self, readings: Iterable[Reading]) -> None:
        for item in readings:
            if item.quantity in DISCRETE and item.quality is Quality.GOOD:
                self._known[item.device, item.quantity] = item.value
