"""``kill -9`` of the controller, at random moments of a sequence over real sockets. Nothing is mocked.

The controller is a process with a journal; the devices are a Modbus server that counts what moves it; between them are the
gateway process and a mosquitto with TLS. After every kill: no acknowledged row of the journal is lost; at the end every
command has a known outcome, and each device was told to move exactly as often as commands to it were carried out.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdnopt.gateway.modbus import ModbusLine, ModbusUnit
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.registers import Header
from tests.security.processes import Process, RealPlant

for module in ("pymodbus", "paho.mqtt", "cryptography", "yaml"):
    pytest.importorskip(module, reason="the extra 'devices' is not installed")

SEED = 20261130
LONGEST_S = 0.7  # of a sequence
READY_S = 60.0


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[RealPlant]:
    plant = RealPlant(tmp_path)
    yield plant
    plant.end()


class Life:
    """One life of the controller; a thread gathers what it says."""

    def __init__(self, plant: RealPlant, journal: Path, number: int, finish: bool = False) -> None:
        turned = plant.map_file_turned if number % 2 else plant.map_file
        arguments = [str(turned), str(journal), str(number), *(["--finish"] if finish else [])]
        self.process = Process(
            sys.executable, "-m", "tests.security.controller_process", *arguments, wait=False
        )
        self.said: list[list[Any]] = []
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.child.stdout is not None
        for line in self.process.child.stdout:
            if line.endswith("\n"):  # what was cut off was not said
                self.said.append(json.loads(line))
                if self.said[-1][0] == "ready":
                    self.ready.set()

    def kill(self) -> None:
        self.process.child.kill()
        self.end()

    def end(self) -> None:
        self.process.child.wait(timeout=60)
        self._thread.join(timeout=10)
        assert self.process.child.stdin is not None
        assert self.process.child.stdout is not None
        self.process.child.stdin.close()
        self.process.child.stdout.close()


def rows(journal: Path) -> tuple[set[str], set[tuple[str, str]], dict[str, str]]:
    """Return the journal's commands, stages and outcomes, read by another reader than the journal's own."""
    with sqlite3.connect(journal) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        commands = {row[0] for row in db.execute("SELECT id FROM command")}
        stages = {(row[0], row[1]) for row in db.execute("SELECT command, stage FROM stage")}
        outcomes = dict(db.execute("SELECT command, outcome FROM outcome"))
    db.close()
    return commands, stages, outcomes


def check_nothing_lost(journal: Path, said: list[list[Any]]) -> None:
    commands, stages, outcomes = rows(journal)
    for what, *rest in said:
        if what == "command":
            assert rest[0] in commands
        elif what == "stage":
            assert (rest[0], rest[1]) in stages
        elif what == "outcome":
            assert rest[0] in outcomes


def kill_again_and_again(plant: RealPlant, kills: int, seed: int, gateway_too: bool = False) -> Counter[str]:
    """Kill the controller so often, let the last one finish, and hold journal and devices against each other.

    ``gateway_too``: in every other life the gateway is killed before, and comes back beside the next controller.
    """
    print(f"seed {seed}")
    chance = random.Random(seed)
    journal = plant.folder / "journal.sqlite"
    said: list[list[Any]] = []
    open_at_death: list[int] = []
    for number in range(1, kills + 1):
        life = Life(plant, journal, number)
        assert life.ready.wait(READY_S), life.said
        time.sleep(chance.uniform(0.0, LONGEST_S))
        if gateway_too and number % 2:
            plant.gateway.end(signal.SIGKILL)
            plant.gateway = plant.start_gateway()
            time.sleep(chance.uniform(0.0, LONGEST_S))
        life.kill()
        said += life.said
        check_nothing_lost(journal, life.said)
        commands, _, outcomes = rows(journal)
        open_at_death.append(len(commands - set(outcomes)))
    last = Life(plant, journal, kills + 1, finish=True)
    last.end()
    said += last.said
    check_nothing_lost(journal, said)
    assert last.process.child.returncode == 0
    commands, _, outcomes = rows(journal)
    assert set(outcomes) == commands
    done, unknown = (
        Counter(name.split("/")[2] for name, outcome in outcomes.items() if outcome == word)
        for word in ("done", "unknown")
    )
    alarms = [item for item in said if item[0] == "alarm" and item[1] == "unknown state"]
    assert len(alarms) >= unknown.total()
    assert gateway_too or not unknown  # nobody can read a device whose gateway is down
    line = ModbusLine("127.0.0.1", plant.modbus_port, 2.0, SystemClock())
    for unit, name in enumerate(plant.names, 1):
        header = ModbusUnit(name, line, unit).header()
        assert isinstance(header, Header)
        assert done[name] <= header.actuations <= done[name] + unknown[name], name
    line.close()
    print(f"{kills} kills, {sum(map(bool, open_at_death))} with commands open, {Counter(outcomes.values())}")
    return Counter(outcomes.values())


def test_killed_ten_times(plant: RealPlant) -> None:
    outcomes = kill_again_and_again(plant, 10, SEED)
    assert outcomes["done"] > 10


@pytest.mark.soak
def test_killed_with_the_gateway(plant: RealPlant) -> None:
    outcomes = kill_again_and_again(plant, 30, SEED + 2, gateway_too=True)
    assert outcomes["done"] > 30


@pytest.mark.soak
def test_killed_a_hundred_times(plant: RealPlant) -> None:
    outcomes = kill_again_and_again(plant, 100, SEED + 1)
    assert outcomes["done"] > 100
