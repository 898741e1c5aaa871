"""``kill -9`` of ``pdnopt run`` itself, in the middle of what it carries out: loop, solver process, journal, lease.

The plant is ``pdnopt emulate two_feed`` behind Modbus TCP and ``pdnopt gateway``; UPSs fail and return by a scenario. The
controller is killed as soon as its journal shows a new command, and started again, until the last life is let alone.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pdnopt.devicemap import read_gateway_map
from pdnopt.gateway.modbus import ModbusLine, ModbusUnit
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.registers import Header
from tests.security.processes import Process, free_port, python

for module in ("pymodbus", "cryptography", "yaml"):
    pytest.importorskip(module, reason="the extra 'devices' is not installed")

SEED = 11302026
EVERY_S = 14.0
WAIT_S = 90.0
QUIET_S = 4.0


def scenario(failures: int) -> str:
    """Return a scenario in which one UPS after another fails, the one before having returned."""
    lines = ["name: one after another", "duration_s: 36000", "events:"]
    for k in range(failures):
        ups = f"ups:UPS-{'AB'[k % 2]}"
        begin_s = 8.0 + k * EVERY_S
        lines.append(f'  - {{at_s: {begin_s}, fail: "{ups}"}}')
        lines.append(f'  - {{at_s: {begin_s + 0.7 * EVERY_S}, restore: "{ups}"}}')
    return "\n".join(lines) + "\n"


class World:
    """Emulator and gateway, and a controller that comes and goes."""

    def __init__(self, folder: Path, failures: int) -> None:
        self.folder, self.journal = folder, folder / "journal.db"
        (folder / "storm.yaml").write_text(scenario(failures))
        arguments = ["--devices-out", str(folder / "plant"), "--scenario", str(folder / "storm.yaml")]
        self.emulator = python(
            "pdnopt", "emulate", "two_feed", *arguments, "--gateway-port", str(free_port())
        )
        self.gateway = python("pdnopt", "gateway", str(folder / "plant" / "gateway.yaml"))

    def start(self) -> Process:
        arguments = [
            "two_feed",
            "--devices",
            str(self.folder / "plant" / "devices.yaml"),
            "--interval-s",
            "2",
        ]
        arguments += ["--journal", str(self.journal), "--json"]
        return Process(sys.executable, "-m", "pdnopt", "run", *arguments, wait=False)

    def commands(self) -> dict[str, str | None]:
        """Return the journal's commands and their outcomes, None for those that are open."""
        if not self.journal.exists():
            return {}
        with sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=10.0) as db:
            query = "SELECT id, outcome FROM command LEFT JOIN outcome ON outcome.command = command.id"
            try:
                found = dict(db.execute(query).fetchall())
            except sqlite3.OperationalError:  # it has no tables yet
                found = {}
        db.close()
        return found

    def selected(self) -> Counter[str]:
        """Return to each device how many commands a selection was taken of: that is written before one is operated."""
        with sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=10.0) as db:
            query = "SELECT DISTINCT command FROM stage WHERE stage = 'select' AND accepted"
            found = Counter(row[0].split("/")[2] for row in db.execute(query))
        db.close()
        return found

    def counts(self) -> dict[str, int]:
        """Return how often each device was told to move, by its own count."""
        found, clock = {}, SystemClock()
        for name, entry in read_gateway_map(self.folder / "plant" / "gateway.yaml").devices.items():
            line = ModbusLine(entry.host, entry.port, 5.0, clock)
            header = ModbusUnit(name, line, entry.unit).header()
            line.close()
            assert isinstance(header, Header), (name, header)
            found[name] = header.actuations
        return found

    def end(self) -> None:
        self.gateway.end()
        self.emulator.end()


def run(folder: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    world = World(folder, failures=4 * kills + 4)
    open_at_death = []
    try:
        for _ in range(kills):
            seen = len(world.commands())
            life = world.start()
            wait(lambda seen=seen: len(world.commands()) > seen, life)
            time.sleep(chance.uniform(0.0, 0.15))
            life.end(signal.SIGKILL)
            open_at_death.append(sum(outcome is None for outcome in world.commands().values()))
        seen = len(world.commands())
        life = world.start()
        wait(lambda: len(world.commands()) > seen, life)
        quiet(world)
        summary = json.loads(life.end(signal.SIGINT))
        assert life.child.returncode == 0, summary
        outcomes = world.commands()
        assert None not in outcomes.values()
        assert "unknown" not in outcomes.values()
        done = Counter(name.split("/")[2] for name, outcome in outcomes.items() if outcome == "done")
        counts = world.counts()
        selected = world.selected()
        # A UPS that fails leaves the mode that it was told: it was moved, and is not there in the end.
        for name, n in counts.items():
            assert done[name] <= n <= selected[name], name
        print(
            f"{kills} kills, {sum(map(bool, open_at_death))} with commands open, {Counter(outcomes.values())}"
        )
    finally:
        world.end()


def wait(condition: Callable[[], bool], life: Process) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert life.child.poll() is None, "the controller ended by itself"
        assert time.monotonic() < end_s, "no command for a long time"
        time.sleep(0.005)


def quiet(world: World) -> None:
    """Wait until nothing is open and nothing new has come for a while."""
    since_s, seen = time.monotonic(), world.commands()
    while time.monotonic() < since_s + QUIET_S:
        time.sleep(0.1)
        now = world.commands()
        if now != seen or None in now.values():
            since_s, seen = time.monotonic(), now


def test_the_loop_is_killed(tmp_path: Path) -> None:
    run(tmp_path, 1, SEED)


@pytest.mark.soak
def test_the_loop_is_killed_twenty_times(tmp_path: Path) -> None:
    run(tmp_path, 20, SEED + 1)
