"""Which devices are not counted on for a while, because they did not do as they were told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pdnopt.alarms import Board, Severity
from pdnopt.control.settings import LoopSettings
from pdnopt.protocols.clocks import Clock

__all__ = ["Trust"]

GRAVE = ("unknown state", "not led back", "journal")


@dataclass
class Trust:
    """Hears what the executor runs into: tells a person, and remembers the device."""

    board: Board
    clock: Clock
    settings: LoopSettings
    _until_s: dict[str, float] = field(default_factory=dict)
    _strikes: dict[str, int] = field(default_factory=dict)

    def lacking(self) -> frozenset[str]:
        """Return the devices that are not counted on now."""
        now_s = self.clock.monotonic_s()
        self._until_s = {name: until for name, until in self._until_s.items() if until > now_s}
        return frozenset(self._until_s)

    def alarm(self, device: str, kind: str, text: str) -> None:
        """Take an alarm of the executor."""
        severity = Severity.CRITICAL if kind in GRAVE else Severity.MAJOR
        todo = "Look at the device, then acknowledge." if device else "Look at the sequence's log."
        self.board.raise_alarm(self.clock.utc_s(), device, kind, severity, text, todo)
        if device and kind == "not moved":
            self.withdraw(device)
        elif (
            device and kind == "stopped"
        ):  # it said no, or nothing: soon it may be asked again, each time later
            strikes = self._strikes.get(device, 0)
            self._strikes[device] = strikes + 1
            self.withdraw(device, min(self.settings.doubt_s * 2.0**strikes, self.settings.distrust_s))

    def withdraw(self, device: str, for_s: float | None = None) -> None:
        """Do not count on a device for a while."""
        until_s = self.clock.monotonic_s() + (self.settings.distrust_s if for_s is None else for_s)
        self._until_s[device] = max(until_s, self._until_s.get(device, until_s))

    def restore(self, devices: Iterable[str]) -> None:
        """Forget earlier refusals of devices that have done as they were told."""
        for device in devices:
            self._strikes.pop(device, None)
