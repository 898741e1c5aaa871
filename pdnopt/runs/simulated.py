"""The whole loop on an emulated plant, behind the guards of real devices, in one process and in simulated time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdnopt.alarms import Alarm
from pdnopt.control.foresight import Foresight, SensorForesight
from pdnopt.control.planner import InProcessPlanner, Planner
from pdnopt.control.watching import PollingWatch
from pdnopt.emulator import EmulatedPlant
from pdnopt.emulator.driver import NetworkFaults, PlantDriver, SimulatedClock
from pdnopt.emulator.equipment import GuardedSide
from pdnopt.emulator.scenario import Scenario, play
from pdnopt.executor import Mode, Modes, Paths
from pdnopt.journal import Journal
from pdnopt.loop import ControlLoop, LoopSettings
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.messages import Heartbeat

__all__ = ["EventWatch", "PacedClock", "Simulation", "simulate"]

MOST_SENSED = 4
"""Transfer devices whose sensors are judged in a simulation: three weeks of history each."""


class PacedClock:
    """A simulated clock that does not run faster than ``speed`` times the wall's."""

    def __init__(self, inner: SimulatedClock, speed: float) -> None:
        self.inner, self.speed = inner, speed
        self._ahead_s = inner.monotonic_s() - speed * time.monotonic()

    def monotonic_s(self) -> float:
        """Return seconds since the plant began."""
        return self.inner.monotonic_s()

    def utc_s(self) -> float:
        """Return the plant's UTC."""
        return self.inner.utc_s()

    def sleep(self, duration_s: float) -> None:
        """Let the plant live, and wait where it would get ahead."""
        self.inner.sleep(duration_s)
        ahead_s = self.inner.monotonic_s() - self._ahead_s - self.speed * time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s / self.speed)


class EventWatch(PollingWatch):
    """Polls an emulated plant only when something happens in it: between two events nothing changes."""

    def __init__(
        self, plant: EmulatedPlant, paths: Paths, clock: Clock, devices: tuple[str, ...], poll_s: float = 0.25
    ) -> None:
        super().__init__(paths, clock, devices, poll_s)
        self._plant = plant

    def wait(self, until_s: float) -> bool:
        while True:
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            quiet_s = self._plant.next_event_s - self._plant.t_s
            if quiet_s > left_s:
                self._clock.sleep(left_s)
                return False
            self._clock.sleep(min(max(self._poll_s, quiet_s), left_s))
            if self.news():
                return True


class Simulation:
    """A plant and its controller.

    Parameters
    ----------
    net : pandapowerNet
        As given; validated.
    journal : Journal
    scenario : Scenario, optional
    speed : float, optional
        At most so many seconds a second; None: as fast as it goes.
    settings : LoopSettings, optional
    planner : Planner, optional
        Default: solves in this process.
    modes : Modes, optional
        Default: all areas Automatic.
    told : callable, optional
        Hears every new alarm.
    seed : int

    Attributes
    ----------
    plant : EmulatedPlant
        Its ledger says what really happened.
    loop : ControlLoop
    """

    def __init__(
        self,
        net: Any,
        journal: Journal,
        scenario: Scenario | None = None,
        *,
        speed: float | None = None,
        settings: LoopSettings | None = None,
        planner: Planner | None = None,
        modes: Modes | None = None,
        told: Callable[[Alarm], None] | None = None,
        seed: int = 0,
        confirm: Callable[[Any], str | None] | None = None,
    ) -> None:
        from pdnopt.plant.files import network_to_text

        self.scenario, self.journal = scenario, journal
        self.plant = EmulatedPlant(net, seed if scenario is None else scenario.seed)
        if scenario is not None:
            play(self.plant, scenario)
            self.plant.advance(0.0)
        simulated = SimulatedClock(self.plant)
        self.clock: Clock = simulated if speed is None else PacedClock(simulated, speed)
        self.side = GuardedSide(self.plant, simulated)
        drivers = {
            name: PlantDriver(self.plant, self.side, NetworkFaults(), k, name)
            for k, name in enumerate(("north", "south"))
        }
        meters = (name for name in self.plant.devices if name.startswith(("load:", "asymmetric_load:")))
        paths = Paths(drivers, dict.fromkeys(meters, ("north",)))  # a rack's meter has one way, all else two
        self._beats = 0
        self.loop = ControlLoop(
            net,
            paths,
            journal,
            self.clock,
            planner or InProcessPlanner(net),
            modes or Modes(default=Mode.AUTOMATIC),
            beat=self._beat,
            told=told,
            settings=settings,
            confirm=confirm,
        )
        self.loop.watch = EventWatch(self.plant, paths, self.loop.clock, self.loop.pictures.status_devices)
        self.loop.ahead.foresight = self._foresight()
        if journal.meta("network") is None:
            journal.set_meta("network", network_to_text(net))
            journal.set_meta("name", str(getattr(net, "name", "") or ""))
            journal.set_meta("simulated", "1")
            journal.set_meta("scenario", "" if scenario is None else scenario.name)

    def run(self, duration_s: float) -> None:
        """Run for so long in the plant's time, then write what really happened into the journal."""
        self.loop.start()
        self.loop.run(self.plant.t_s + duration_s)
        self.loop.close()
        if not self.loop.halted:
            self.journal.event(self.loop.clock.utc_s(), "truth", **self.truth())

    def truth(self) -> dict[str, Any]:
        """Return the emulated plant's own account: sums, and every happening."""
        ledger = self.plant.ledger
        start_s = self.plant.start_utc_s
        happenings = [
            [start_s + item.t_s, item.component, item.what, item.detail, item.kw]
            for item in ledger.happenings
        ]
        return {**ledger.to_dict(), "happenings": happenings}

    def _beat(self, token: int) -> None:
        self._beats += 1
        self.side.heartbeat(Heartbeat(self._beats, token, self.clock.utc_s()))

    def _foresight(self) -> Foresight:
        """Sensors of the transfer devices that a scenario lets wear, and of some that stay well beside them."""
        worn = (
            [] if self.scenario is None else [e.target for e in self.scenario.events if e.word == "degrade"]
        )
        if not worn:
            return Foresight()
        others = [name for name in self.loop.pictures.grid.transfers.name if name not in worn]
        sensed = tuple([*worn, *others][:MOST_SENSED])
        sensors = self.plant.sensors
        return SensorForesight(self.loop.pictures, lambda: sensors.now(sensed), sensors.history(sensed))


def simulate(
    net: Any,
    journal_path: Path,
    scenario: Scenario | None = None,
    hours: float | None = None,
    **keywords: Any,
) -> Simulation:
    """Run a scenario, or a quiet plant, and return what came of it; the journal is closed.

    Parameters
    ----------
    net : pandapowerNet
    journal_path : Path
    scenario : Scenario, optional
    hours : float, optional
        Default: the scenario's duration, else one.
    **keywords
        Of `Simulation`.
    """
    journal = Journal(journal_path)
    try:
        made = Simulation(net, journal, scenario, **keywords)
        duration_s = (
            3600.0 * hours if hours is not None else 3600.0 if scenario is None else scenario.duration_s
        )
        made.run(duration_s)
    finally:
        journal.close()
    return made
