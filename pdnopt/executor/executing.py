"""``Executor``: begins procedures, runs them to their end, and after a restart finds out how the last one ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.executor.execution import Execution, Settings, State, judge
from pdnopt.executor.log import Alarm, Log
from pdnopt.executor.modes import Modes
from pdnopt.executor.paths import Paths
from pdnopt.executor.procedure import Procedure, Step
from pdnopt.executor.sending import Sender
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command
from pdnopt.protocols.quantities import READ_BACK

__all__ = ["Executor", "Settled"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    """How a command ended that was open when the controller stopped: "done", "not taken" or "unknown"."""

    command: Command
    outcome: str
    observed: Any


class Executor:
    """Carries procedures out, one at a time.

    Parameters
    ----------
    paths : Paths
        The ways to the devices.
    log : Log
        The journal.
    clock : Clock
    modes : Modes
    alarm : Alarm, optional
        Tells a person; without one alarms go to Python's log only.
    controller : str
        Goes into the commands' ids.
    settings : Settings, optional

    Raises
    ------
    InputError
        A path keeps readings for longer than the read-back has patience.
    """

    def __init__(
        self,
        paths: Paths,
        log: Log,
        clock: Clock,
        modes: Modes,
        alarm: Alarm | None = None,
        controller: str = "pdnopt",
        settings: Settings | None = None,
    ) -> None:
        self.paths, self.log, self.clock, self.modes = paths, log, clock, modes
        self.settings = settings or Settings()
        _check_freshness(paths, self.settings.patience_s)
        self.alarm: Alarm = alarm or _to_log
        self._sender = Sender(paths, log, clock, controller, self.settings.command_s)

    def begin(self, procedure: Procedure, origin_s: float | None = None) -> Execution:
        """Return the execution of a procedure; nothing is sent before its first `poll`.

        ``origin_s``: monotonic time that the plan's times count from, such as that of the failure; now by default.
        """
        origin_s = self.clock.monotonic_s() if origin_s is None else origin_s
        self.log.event(self.clock.utc_s(), "begun", plan=procedure.plan_hash, steps=len(procedure.steps))
        return Execution(
            procedure,
            origin_s,
            self.paths,
            self.log,
            self.clock,
            self.modes,
            self.alarm,
            self._sender,
            self.settings,
        )

    def run(
        self,
        execution: Execution,
        confirm: Callable[[Step], str | None] | None = None,
        watch: Callable[[], str | None] | None = None,
    ) -> State:
        """Poll an execution to its end.

        Parameters
        ----------
        execution : Execution
        confirm : callable, optional
            Shows a step to a person and returns who has confirmed it, None to stop. Without it a step that needs a person
            stops the sequence.
        watch : callable, optional
            Asked before every poll; returns why the sequence must be aborted, or None.
        """
        while not execution.final:
            why = watch() if watch is not None else None
            if why:
                execution.abort(why)
            execution.poll()
            step = execution.awaited
            if step is not None:
                who = confirm(step) if confirm is not None else None
                if who:
                    execution.confirm(step.number, who)
                else:
                    execution.abort(f"step {step.number} was not confirmed")
            elif not execution.final:
                self.clock.sleep(execution.wait_s())
        return execution.state

    def settle(self, takes_s: Mapping[str, float] | None = None) -> list[Settled]:
        """Find out how the commands ended that the journal holds without an outcome; send nothing.

        To be called after every start, before anything is begun, and after a first heartbeat with the new leader's token:
        that ends what the last life had selected, so that only what a device has already begun can still move it.

        Parameters
        ----------
        takes_s : mapping, optional
            Device -> seconds that it takes to move; read-back waits so long, and for the executor's patience.
        """
        own_s = takes_s or {}
        begin_s = self.clock.monotonic_s()
        open_commands = [item.command for item in self.log.open_commands()]
        settled: list[Settled] = []
        while open_commands:
            found = self.paths.read(sorted({command.device for command in open_commands}))
            waited_s = self.clock.monotonic_s() - begin_s
            still = []
            for command in open_commands:
                reading = found[command.device].get(READ_BACK[command.action])
                outcome = judge(command, reading)
                if outcome != "done" and waited_s < self.settings.patience_s + own_s.get(command.device, 0.0):
                    still.append(command)
                    continue
                observed = None if reading is None else reading.value
                if outcome == "unknown":
                    text = f"{command.device}: it is not known whether {command.action} was carried out; look at it"
                    self.alarm(command.device, "unknown state", text)
                self.log.ended(command.id, self.clock.utc_s(), outcome, observed, "read back after a restart")
                settled.append(Settled(command, outcome, observed))
            open_commands = still
            if open_commands:
                self.clock.sleep(self.settings.poll_s)
        return settled


def _check_freshness(paths: Paths, patience_s: float) -> None:
    """See that a verdict of the read-back rests on readings that came after the command: none is kept for longer than that.

    Raises
    ------
    InputError
        A path keeps them for longer.
    """
    issues = [
        Issue(
            "Range",
            f"connections.{name}.stale_s",
            name,
            kept_s,
            f"at most {patience_s:g} s, the patience of the read-back",
            "Lower it, and let the devices publish at least twice as often.",
        )
        for name, driver in paths.drivers.items()
        if (kept_s := getattr(driver, "stale_s", 0.0)) > patience_s
    ]
    if issues:
        raise InputError(issues)


def _to_log(device: str, kind: str, text: str) -> None:
    log.warning("%s: %s", kind, text)
