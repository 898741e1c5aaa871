"""A controller, an emulated plant behind guards, and everything between them that can be made to fail; all by one seed.

The judge is the emulated plant (`pdnopt.emulator`), which shares no code with the models, and the guards' own counts. What
could have been served is bounded by a solve of the true end state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import pdnopt
from pdnopt.control.beliefs import Believing
from pdnopt.control.desk import Answer, Ask
from pdnopt.control.lease import Lease
from pdnopt.control.picture import Pictures
from pdnopt.control.planner import InProcessPlanner
from pdnopt.emulator import EmulatedPlant
from pdnopt.emulator.driver import NetworkFaults, PlantDriver, SimulatedClock
from pdnopt.emulator.equipment import GuardedSide
from pdnopt.executor import Mode, Modes, Paths
from pdnopt.journal import Journal
from pdnopt.loop import ControlLoop, LoopSettings
from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Reading
from tests.plants import SMALL, random_plant

SETTINGS = LoopSettings(playbook=False, shift_s=None, retry_s=10.0, soft_s=30.0)
"""The solver's limit is by the wall's clock: long enough that no busy machine changes an answer."""


@lru_cache(maxsize=64)
def plant_of(name: str) -> Any:
    """Return a case, or the random small plant of a seed."""
    return random_plant(int(name), SMALL)[0] if name.isdigit() else pdnopt.load_case(name)


@lru_cache(maxsize=64)
def planner_of(name: str) -> InProcessPlanner:
    """Return the sessions of a plant: compiled once for all tests."""
    return InProcessPlanner(Pictures(plant_of(name)).base)


class Killed(BaseException):
    """kill -9, at this very point."""


@dataclass
class SimDisk:
    """A disk that outlives the controller, and can be made to fail at its n-th commit from now on."""

    fails_at: int | None = None
    commits: int = 0
    keeper: sqlite3.Connection | None = None
    name: str = ""

    def connect(self, path: Path) -> sqlite3.Connection:
        disk = self
        address = f"file:{id(self)}?mode=memory&cache=shared"

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql == "COMMIT":
                    disk.commits += 1
                    if disk.fails_at is not None and disk.commits >= disk.fails_at:
                        super().execute("ROLLBACK")
                        raise sqlite3.OperationalError("disk I/O error")
                return super().execute(sql, *args)

        if self.keeper is None:
            self.keeper = sqlite3.connect(address, uri=True, check_same_thread=False)
        return sqlite3.connect(
            address, uri=True, isolation_level=None, factory=Connection, check_same_thread=False
        )

    def written(self, command_id: str) -> bool:
        """Whether a command is on the disk, seen by somebody else."""
        assert self.keeper is not None
        return bool(self.keeper.execute("SELECT 1 FROM command WHERE id = ?", (command_id,)).fetchone())

    def close(self) -> None:
        if self.keeper is not None:
            self.keeper.close()


class Wire:
    """A driver that sees what is sent, and can kill the controller before or after it arrives."""

    def __init__(self, inner: PlantDriver, rig: Rig) -> None:
        self.inner, self.rig = inner, rig

    def read(self, devices: Iterable[str]) -> list[Reading]:
        return self.inner.read(devices)

    def select(self, command: Command) -> Reply:
        self.rig.sees(command)
        self.rig.boundary()
        reply = self.inner.select(command)
        self.rig.boundary()
        return reply

    def operate(self, command: Command, ticket: int) -> Reply:
        self.rig.sees(command)
        self.rig.operated.append(command)
        self.rig.boundary()
        reply = self.inner.operate(command, ticket)
        self.rig.boundary()
        return reply

    def cancel(self, command: Command, ticket: int) -> None:
        self.inner.cancel(command, ticket)

    def close(self) -> None:
        self.inner.close()


class FaultyPlanner:
    """The solver, and what may be wrong with it: ``spoil`` makes another answer of its answer."""

    def __init__(self, inner: InProcessPlanner, spoil: Callable[[Ask, Answer], Answer] | None = None) -> None:
        self.inner, self.spoil = inner, spoil

    def answer(self, ask: Ask, hard_s: float) -> Answer:
        answer = self.inner.answer(ask, hard_s)
        return answer if self.spoil is None else self.spoil(ask, answer)

    def begin(self, ask: Ask, hard_s: float) -> None:
        self.inner.begin(ask, hard_s)

    def result(self) -> Answer | None:
        return self.inner.result()

    def close(self) -> None:
        return


class Life:
    """A lease that nobody contests: every life of the controller leads, with a token of its own."""

    term_s = 10.0

    def __init__(self, token: int) -> None:
        self.token, self.leads = token, False

    def renew(self) -> bool:
        self.leads = True
        return True

    def give_up(self) -> None:
        return


@dataclass
class Rig:
    """One scenario.

    Parameters
    ----------
    name : str
        Of a case, or the seed of a random plant.
    seed : int
    ways : int
        Independent communication paths.
    """

    name: str
    seed: int
    ways: int = 2
    settings: LoopSettings = SETTINGS
    lives: int = 0
    unjournalled: list[str] = field(default_factory=list)
    operated: list[Command] = field(default_factory=list)
    kill_in: int | None = None
    kills: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.net = plant_of(self.name)
        self.plant = EmulatedPlant(self.net, self.seed)
        self.clock = SimulatedClock(self.plant)
        self.side = GuardedSide(self.plant, SimulatedClock(self.plant))
        self.drivers = [
            PlantDriver(self.plant, self.side, NetworkFaults(), self.seed + k, f"way{k}", 0.5)
            for k in range(self.ways)
        ]
        self.disk = SimDisk()
        self.planner = FaultyPlanner(planner_of(self.name))
        self.beats = 0
        self.loop = self.new_loop()

    def new_loop(self, lease: Lease | None = None) -> ControlLoop:
        """Start a controller on the disk that there is."""
        self.lives += 1
        self.journal = Journal(Path("sim"), self.disk)
        paths = Paths({f"way{k}": Wire(driver, self) for k, driver in enumerate(self.drivers)})
        loop = ControlLoop(
            self.net,
            paths,
            self.journal,
            self.clock,
            self.planner,
            Modes(default=Mode.AUTOMATIC),
            settings=self.settings,
            components=[],
            beat=self.beat,
            lease=lease or Life(self.lives),  # type: ignore[arg-type]
        )
        loop.start()
        return loop

    # --- what goes wrong

    def faults(self, **what: Any) -> None:
        """Set the faults of every way."""
        for driver in self.drivers:
            driver.faults = NetworkFaults(**what)

    def beat(self, token: int) -> None:
        """Tell the guards that the leader lives."""
        self.beats += 1
        self.side.heartbeat(Heartbeat(self.beats, token, self.clock.utc_s()))

    def sees(self, command: Command) -> None:
        """Note a command that is sent and is not on the disk."""
        if not self.disk.written(command.id):
            self.unjournalled.append(command.id)

    def boundary(self) -> None:
        """Die here, if it is time."""
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                self.kill_in = None
                self.kills += 1
                raise Killed

    def run(self, until_s: float) -> None:
        """Run the controller; where it is killed, start another one a second later."""
        while self.plant.t_s < until_s - 1e-9:
            try:
                self.loop.run(until_s)
            except Killed:
                self.journal.close()
                self.clock.sleep(1.0)
                self.loop = self.new_loop()

    def close(self) -> None:
        """Give the disk back."""
        self.journal.close()
        self.disk.close()

    # --- what came of it

    def best_unserved(self) -> dict[int, float]:
        """Return what the best plan from the true end state would leave unserved, by priority."""
        believing = Believing()
        pictures = Pictures(self.net)
        readings = [
            Reading(r.device, r.quantity, r.value, r.quality, r.stamp_s, r.received_s, "true")
            for device in pictures.devices
            for r in self._truth(device)
        ]
        picture = pictures.picture(believing.judge(readings, self.plant.utc_s), self.plant.utc_s)
        answer = planner_of(self.name).answer(Ask("reroute", picture.numbers, picture.failed, 10.0), 10.0)
        assert answer.plan is not None, answer
        return dict(answer.unserved_by_priority)

    def _truth(self, device: str) -> list[Reading]:
        from pdnopt.protocols.readings import Quality

        now = self.plant.utc_s
        return [
            Reading(device, quantity, value, Quality.GOOD, now, now)
            for quantity, value in self.plant.meters.truth(device).items()
        ]

    def unserved(self) -> dict[int, float]:
        """Return what is really not served now, by priority; units that have voltage again and restart do not count."""
        d, snap, world = self.plant.world.demand, self.plant.snapshot(), self.plant.world
        out: dict[int, float] = {}
        for k in range(d.n):
            if world.down[k] and self.plant.fed[k]:
                continue
            lacking = float(d.d_kw[k] - snap.served_kw[k])
            out[int(d.priority[k])] = out.get(int(d.priority[k]), 0.0) + lacking
        return out

    def actuations(self) -> dict[str, int]:
        """Return how often each device has been told to move, by its own count."""
        return {name: guard.remembered.actuations for name, guard in self.side.guards.items()}

    def misjudged(self) -> list[str]:
        """Return devices whose true position differs from what the controller believes, without an alarm about it."""
        alarmed = {alarm.device for alarm in self.loop.board.up}
        blind = self.loop.board.has("", "blind")
        wrong = []
        for name in self.loop.pictures.grid.transfers.name:
            if self.loop.pictures.position(name) != self.plant.state_of(name, "transfer"):
                wrong.append(name)
        for k, name in enumerate(self.loop.pictures.names("switch")):
            w = self.plant.world
            own = w.view.sw_transfer[k] < 0 and w.view.sw_ups[k] < 0
            if own and self.loop.pictures.is_closed(name) != bool(w.s.closed[k]):
                wrong.append(name)
        return [name for name in wrong if name not in alarmed and not blind]
