"""The emulated plant behind the `Driver` of real devices, in this process, with a network that may fail.

Every device has a guard as a real one would (`pdnopt.gateway`): it checks tokens, expiry and selection; the device itself
checks what it can do. ``SimulatedClock`` lets the plant live while somebody sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pdnopt.emulator.equipment import GuardedSide
from pdnopt.emulator.plant import EmulatedPlant
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["DeviceSide", "NetworkFaults", "PlainSide", "PlantDriver", "ReportingWatch", "SimulatedClock"]

UNREACHABLE = Reply(False, Refusal.UNREACHABLE, "no answer")


class SimulatedClock:
    """Time of an emulated plant; sleeping lets it live.

    Parameters
    ----------
    plant : EmulatedPlant
    skew_s : float
        How far this clock's UTC is from the plant's; its monotonic time is not touched.
    """

    def __init__(self, plant: EmulatedPlant, skew_s: float = 0.0) -> None:
        self.plant, self.skew_s = plant, skew_s

    def monotonic_s(self) -> float:
        """Return seconds since the plant began."""
        return self.plant.t_s

    def utc_s(self) -> float:
        """Return seconds since 1970, skewed."""
        return self.plant.utc_s + self.skew_s

    def sleep(self, duration_s: float) -> None:
        """Let the plant live for so long."""
        if duration_s > 0:
            self.plant.advance(self.plant.t_s + duration_s)


class ReportingWatch:
    """Devices that report by exception: waiting ends when the plant has changed, ``delay_s`` after it did.

    For a loop on an emulated plant; it spares reading a plant in which nothing happens.
    """

    def __init__(self, plant: EmulatedPlant, delay_s: float = 0.25) -> None:
        self.plant, self.delay_s = plant, delay_s
        self._known = plant.switched_how()

    def wait(self, until_s: float) -> bool:
        """Let the plant live until then, or until it has changed: then True."""
        plant = self.plant
        while plant.t_s < until_s:
            if plant.switched_how() != self._known:
                plant.advance(min(plant.t_s + self.delay_s, max(until_s, plant.t_s)))
                return True
            plant.advance(min(max(plant.next_event_s, plant.t_s), until_s))
        return False

    def rebase(self, readings: Iterable[Reading]) -> None:
        """Take the present state as known."""
        self._known = self.plant.switched_how()


class DeviceSide(Protocol):
    """What stands before a device: `pdnopt.gateway`'s guard is one."""

    def select(self, command: Command) -> Reply:
        """Take a selection or refuse it."""

    def operate(self, command: Command, ticket: int) -> Reply:
        """Carry out the selected command or refuse it."""

    def cancel(self, command: Command, ticket: int) -> None:
        """Forget a selection."""


class PlainSide:
    """A device side that checks nothing but what the device itself can do: for tests of the device."""

    def __init__(self, plant: EmulatedPlant) -> None:
        self.plant = plant

    def select(self, command: Command) -> Reply:
        """Accept every selection."""
        return Reply(True, ticket=1)

    def operate(self, command: Command, ticket: int) -> Reply:
        """Hand the command to the device."""
        return self.plant.command(command.device, command.action, command.value)

    def cancel(self, command: Command, ticket: int) -> None:
        """Forget nothing."""


@dataclass(frozen=True)
class NetworkFaults:
    """What one communication path does to messages; each a probability, drawn by the driver's own seed.

    Attributes
    ----------
    delay_s, jitter_s : float
        Of each direction: a constant, and the mean of an exponential on top of it.
    lose_request, lose_reply : float
        The device never hears it; it did, and nobody hears so.
    duplicate : float
        The request arrives twice.
    late : float
        The request arrives again ``late_s`` later (re-ordered behind others).
    late_s : float
    down : bool
        Nothing gets through.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    late_s: float = 5.0
    down: bool = False


class PlantDriver:
    """One communication path to the devices of an emulated plant.

    Parameters
    ----------
    plant : EmulatedPlant
    side : DeviceSide, optional
        What stands before the devices; several drivers (paths, controllers) share it. Default: a `GuardedSide` of its own.
    faults : NetworkFaults
        May be replaced at any time.
    seed : int
        Draws of the faults.
    path : str
        Name of the path, written into readings.
    timeout_s : float
        So long a lost answer is waited for, in the plant's time.
    """

    def __init__(
        self,
        plant: EmulatedPlant,
        side: DeviceSide | None = None,
        faults: NetworkFaults | None = None,
        seed: int = 0,
        path: str = "plant",
        timeout_s: float = 1.0,
    ) -> None:
        self.plant = plant
        self.side: DeviceSide = GuardedSide(plant, SimulatedClock(plant)) if side is None else side
        self.faults = NetworkFaults() if faults is None else faults
        self.path, self.timeout_s = path, timeout_s
        self._rng = np.random.default_rng(seed)
        self._clock = SimulatedClock(plant)

    def read(self, devices: Iterable[str]) -> list[Reading]:
        """Return what the meters show; MISSING where the path lost it."""
        self._travel()
        wanted = list(devices)
        shown = self.plant.readings(wanted, self.path)
        lost = self.faults.lose_request + self.faults.lose_reply
        if self.faults.down:
            silent = set(wanted)
        elif lost > 0:
            silent = {name for name in wanted if self._rng.random() < lost}
        else:
            silent = set()
        self._travel()
        if not silent and not self.faults.delay_s and not self.faults.jitter_s:
            return shown
        received = self.plant.utc_s
        return [
            replace(r, value=None, quality=Quality.MISSING, received_s=received, detail="no answer")
            if r.device in silent
            else replace(r, received_s=received)
            for r in shown
        ]

    def select(self, command: Command) -> Reply:
        """Offer a command to the device's guard."""
        return self._ask(lambda: self.side.select(command))

    def operate(self, command: Command, ticket: int) -> Reply:
        """Let the guard carry it out."""
        return self._ask(lambda: self.side.operate(command, ticket))

    def cancel(self, command: Command, ticket: int) -> None:
        """Give the selection up."""
        self._ask(lambda: self._cancelled(command, ticket))

    def heartbeat(self, beat: Heartbeat) -> bool:
        """Tell all guards that the leader lives; True where all took it."""
        if not isinstance(self.side, GuardedSide):
            return True
        side = self.side
        return self._ask(lambda: Reply(side.heartbeat(beat))).accepted

    def close(self) -> None:
        """End nothing: there is no connection."""

    def _cancelled(self, command: Command, ticket: int) -> Reply:
        self.side.cancel(command, ticket)
        return Reply(True)

    def _ask(self, request: Callable[[], Reply]) -> Reply:
        f = self.faults
        self._travel()
        if f.down or self._happens(f.lose_request):
            self._clock.sleep(self.timeout_s)
            return UNREACHABLE
        reply = request()
        if self._happens(f.duplicate):
            request()
        if self._happens(f.late):
            self.plant.at(self.plant.t_s + f.late_s, lambda: _unheard(request))
        if self._happens(f.lose_reply):
            self._clock.sleep(self.timeout_s)
            return UNREACHABLE
        self._travel()
        return reply

    def _happens(self, probability: float) -> bool:
        return probability > 0 and bool(self._rng.random() < probability)

    def _travel(self) -> None:
        f = self.faults
        self._clock.sleep(f.delay_s + (float(self._rng.exponential(f.jitter_s)) if f.jitter_s else 0.0))


def _unheard(request: Callable[[], Any]) -> None:
    """Let a request arrive whose answer nobody waits for."""
    request()
