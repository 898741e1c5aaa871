"""A controller that goes through one sequence after another until it is killed; with ``--finish`` it ends what was begun.

It says on its output what the journal has acknowledged.

``python -m tests.security.controller_process MAP JOURNAL FENCING [--finish]``
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdnopt.devicemap import read_device_map
from pdnopt.executor import Executor, Paths, Procedure, State, Step
from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.executor.drivers.opening import modes_of, open_paths, send_heartbeat
from pdnopt.executor.execution import Settings
from pdnopt.journal import Journal
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Quality

STATES: dict[str, tuple[Any, Any]] = {"switch": (False, True), "transfer": ("switch:T1", "switch:T2")}


@dataclass(frozen=True)
class Action:
    """The fields of `pdnopt.plant.actions.Action`, without the two seconds that importing pandapower takes."""

    step: int
    t_s: float
    device: str
    action: str
    before: Any
    after: Any
    reason: str = ""


def say(*words: Any) -> None:
    print(json.dumps(words), flush=True)


class ToldJournal(Journal):
    """Says which rows it has acknowledged, after it has."""

    def record(self, command: Command) -> None:
        super().record(command)
        say("command", command.id)

    def answered(self, command_id: str, t_s: float, stage: str, reply: Reply) -> None:
        super().answered(command_id, t_s, stage, reply)
        say("stage", command_id, stage)

    def ended(
        self, command_id: str, t_s: float, outcome: str, observed: Any = None, detail: str = ""
    ) -> None:
        super().ended(command_id, t_s, outcome, observed, detail)
        say("outcome", command_id, outcome)


def where(paths: Paths, names: list[str]) -> dict[str, int]:
    """Return for each device whether it is in its first or its second state."""
    found = {}
    for name, readings in paths.read(names).items():
        item = readings.get("position" if name.startswith("transfer:") else "closed")
        if item is not None and item.quality == Quality.GOOD:
            found[name] = STATES[name.partition(":")[0]].index(item.value)
    return found


def procedure(names: list[str], goal: int, fencing: int) -> Procedure:
    """Move all to the goal, two at a time."""
    steps = []
    for k in range(0, len(names), 2):
        actions = []
        for name in names[k : k + 2]:
            states = STATES[name.partition(":")[0]]
            action = "transfer" if name.startswith("transfer:") else ("open", "close")[goal]
            actions.append(Action(k // 2 + 1, 0.0, name, action, states[1 - goal], states[goal]))
        steps.append(Step(k // 2 + 1, tuple(actions), 0.0, 0.0))
    return Procedure(f"goal {goal}", fencing, tuple(steps), takes_s=dict.fromkeys(names, 0.05))


def last_goal(journal: Journal) -> int | None:
    """Return where the last sequence was to lead: the plan's name stands in its commands."""
    row = journal._db.execute("SELECT plan_hash FROM command ORDER BY rowid DESC LIMIT 1").fetchone()
    return None if row is None else int(row[0].split()[1])


def main(map_file: str, journal_file: str, fencing: int, finish: bool) -> None:
    clock = SystemClock()
    devices = read_device_map(Path(map_file))
    names = sorted(devices.devices)
    paths = open_paths(devices, clock)
    journal = ToldJournal(Path(journal_file))
    for driver in paths.drivers.values():
        if isinstance(driver, MqttDriver):
            driver.link.wait_ready(10.0)
    while len(where(paths, names)) < len(names):
        time.sleep(0.02)
    send_heartbeat(paths, Heartbeat(1, fencing, clock.utc_s()))
    executor = Executor(
        paths,
        journal,
        clock,
        modes_of(devices),
        lambda device, kind, text: say("alarm", kind, text),
        settings=Settings(command_s=10.0, patience_s=1.5, poll_s=0.02),
    )
    executor.settle()
    say("ready")
    while True:
        now = where(paths, names)
        goal = last_goal(journal)
        if goal is None or all(state == goal for state in now.values()):
            if finish and goal is not None:
                say("finished", goal)
                break
            goal = 1 - (goal or 0)
        state = executor.run(executor.begin(procedure(names, goal, fencing)))
        if state is not State.DONE:
            say("state", str(state))
    paths.close()
    journal.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "--finish" in sys.argv)
