"""One procedure being carried out: sent, read back, then what rests on it; the first surprise stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any

from pdnopt.devicemap.limits import outside
from pdnopt.errors import PdnoptError
from pdnopt.executor.log import Alarm, Log
from pdnopt.executor.modes import Mode, Modes
from pdnopt.executor.paths import Paths
from pdnopt.executor.procedure import Procedure, Step
from pdnopt.executor.sending import Sender, Sent
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command
from pdnopt.protocols.quantities import READ_BACK, STATES, is_reached, same_value
from pdnopt.protocols.readings import Quality, Reading

if TYPE_CHECKING:
    from pdnopt.plant.actions import Action

__all__ = ["Execution", "Settings", "State", "judge"]

EPS_S = 1e-6


class State(StrEnum):
    """Where an execution stands; the last three are final."""

    RUNNING = "running"
    CONFIRM = "waiting for a person"
    RECOVERING = "leading back"
    DONE = "done"
    HELD = "held"
    UNKNOWN = "held, with a device in an unknown state"


FINAL = (State.DONE, State.HELD, State.UNKNOWN)


@dataclass(frozen=True)
class Settings:
    """Times of the executor, in s: how long a command is valid, what read-back grants beyond a device's own time, how often
    it looks."""

    command_s: float = 30.0
    patience_s: float = 3.0
    poll_s: float = 0.2


class Execution:
    """Made by `Executor.begin`. `poll` does what is due now and returns at once; it never waits for a device to move."""

    def __init__(
        self,
        procedure: Procedure,
        origin_s: float,
        paths: Paths,
        log: Log,
        clock: Clock,
        modes: Modes,
        alarm: Alarm,
        sender: Sender,
        settings: Settings,
    ) -> None:
        self.procedure, self.origin_s = procedure, origin_s
        self.state, self.reason = State.RUNNING, ""
        self.recovered = False
        self._paths, self._log, self._clock, self._modes = paths, log, clock, modes
        self._alarm, self._sender, self._settings = alarm, sender, settings
        self._next = 0
        self._pending: list[Sent] = []
        self._reached: dict[str, tuple[str, Any]] = {}  # device -> action and value: it must stay so
        self._confirmed: set[int] = set()
        self._failed_step: int | None = None
        self._uncertain: set[str] = set()
        self._way_back: tuple[Action, ...] = ()

    # what a caller sees

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL

    @property
    def awaited(self) -> Step | None:
        """The step that a person must confirm, None otherwise."""
        return self.procedure.steps[self._next] if self.state is State.CONFIRM else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Devices of which it is not known where they are."""
        return tuple(sorted(self._uncertain))

    def confirm(self, number: int, who: str) -> None:
        """Let a step out that waits for a person."""
        self._log.event(self._clock.utc_s(), "confirmed", step=number, who=who, plan=self.procedure.plan_hash)
        self._confirmed.add(number)

    def abort(self, reason: str) -> None:
        """Send nothing more; what was sent is still read back. For a failure on the way or an operator."""
        if not self.final and not self.reason:
            self._surprise("", reason, step=None)

    def wait_s(self) -> float:
        """Return how long nothing is due."""
        if self.final:
            return 0.0
        longest_s = inf
        if self._pending or self._reached or self.state is not State.RUNNING:
            longest_s = self._settings.poll_s  # somebody must be looked at
        if self.state is State.RUNNING and not self._pending and self._next < len(self.procedure.steps):
            due_s = self.origin_s + self.procedure.steps[self._next].send_s - self._clock.monotonic_s()
            return min(max(due_s, 0.0), longest_s)
        return min(longest_s, self._settings.poll_s)

    def poll(self) -> State:
        """Read back what is on its way, send what is due.

        Raises
        ------
        PdnoptError
            The log cannot be written. The execution is over; what was on its way is told apart after a restart.
        """
        if self.final:
            return self.state
        try:
            self._read_back()
            if self.reason:
                self._wind_up()
            else:
                self._go_on()
        except PdnoptError as error:
            self.reason = f"the journal cannot be written: {error}"
            self._uncertain |= {item.command.device for item in self._pending}
            self.state = State.UNKNOWN if self._pending else State.HELD
            self._alarm("", "journal", self.reason)
            raise
        return self.state

    # reading back

    def _read_back(self) -> None:
        watched = {item.command.device for item in self._pending} | set(self._reached)
        if not watched:
            return
        found = self._paths.read(sorted(watched))
        self._check_reached(found)
        still: list[Sent] = []
        for item in self._pending:
            reading = found[item.command.device].get(READ_BACK[item.command.action])
            verdict = judge(item.command, reading)
            if verdict == "done":
                self._end(item, "done", reading)
                continue
            if self._clock.monotonic_s() < item.due_s - EPS_S:
                still.append(item)
                continue
            if verdict == "not taken" and not item.certain and not item.retried and not self.reason:
                item.retried = True
                if self._sender.by_another_path(item):
                    grant_s = self._settings.patience_s + self.procedure.takes_s.get(item.command.device, 0.0)
                    item.certain, item.due_s = True, self._clock.monotonic_s() + grant_s
                    still.append(item)
                    continue
            self._end(item, verdict, reading)
        self._pending = still

    def _check_reached(self, found: Mapping[str, Mapping[str, Reading]]) -> None:
        """Somebody else may move what was achieved: an operator, a relay."""
        for device, (action, value) in list(self._reached.items()):
            if any(sent.command.device == device for sent in self._pending):
                continue
            reading = found[device].get(READ_BACK[action])
            if reading is None or reading.quality != Quality.GOOD or action not in STATES:
                continue
            if not is_reached(action, value, reading.value):
                del self._reached[device]
                self._surprise(device, f"{device} was moved to {reading.value!r} by somebody else", step=None)

    def _end(self, item: Sent, outcome: str, reading: Reading | None) -> None:
        command = item.command
        device, value = command.device, None if reading is None else reading.value
        detail = "" if reading is None else reading.detail
        if (
            outcome == "unknown"
        ):  # alarmed before it is written off: after a death in between it is still open
            self._uncertain.add(device)
            text = f"{device}: {command.action} to {command.value!r} was sent, but {_said(reading)}; look at the device"
            self._alarm(device, "unknown state", text)
        else:
            self._uncertain.discard(device)
        self._log.ended(command.id, self._clock.utc_s(), outcome, value, detail)
        if outcome == "done":
            self._reached[device] = (command.action, command.value)
            return
        if outcome == "not taken":
            text = f"{device} did not {command.action} to {command.value!r} in its time"
            self._alarm(device, "not moved", text)
        self._surprise(device, f"{device} did not reach {command.value!r}", step=item.step)

    # going on

    def _go_on(self) -> None:
        if self._next >= len(self.procedure.steps):
            if not self._pending:
                self.state = State.DONE
                self._log.event(self._clock.utc_s(), "done", plan=self.procedure.plan_hash)
            return
        step = self.procedure.steps[self._next]
        now_s = self._clock.monotonic_s() - self.origin_s
        if now_s < step.send_s - EPS_S or any(item.done_s <= step.send_s + EPS_S for item in self._pending):
            return
        modes = {self._modes.of(action.device) for action in step.actions}
        if Mode.DISABLED in modes:
            areas = sorted(
                {
                    self._modes.area_of(action.device)
                    for action in step.actions
                    if self._modes.of(action.device) is Mode.DISABLED
                }
            )
            self._surprise(
                "", f"step {step.number} needs {', '.join(map(repr, areas))}, which is disabled", None
            )
        elif now_s > self.procedure.valid_s:
            self._surprise(
                "", f"the plan is {now_s:.0f} s old, valid for {self.procedure.valid_s:.0f} s", None
            )
        elif Mode.MANUAL in modes and step.number not in self._confirmed:
            self.state = State.CONFIRM
        elif Mode.MANUAL not in modes and now_s > step.send_s + self.procedure.slack_s:
            self._surprise("", f"step {step.number} is {now_s - step.send_s:.1f} s later than verified", None)
        else:
            self.state = State.RUNNING
            self._next += 1
            self._send(step.actions, step.number)

    def _send(self, actions: Sequence[Action], number: int) -> None:
        """Send what is not so yet; first see that everything is as expected."""
        found = self._paths.read(sorted({item.device for item in actions}))
        silent = [
            name for name, told in found.items() if not any(r.quality == Quality.GOOD for r in told.values())
        ]
        found.update(self._paths.read(silent) if silent else {})  # an answer may have been lost once
        missing: list[Action] = []
        for item in actions:
            beyond = outside(self._paths.limits(item.device), item.action, item.after)
            if beyond:
                self._surprise(
                    item.device, f"{item.device}: {beyond}, the limits of the device map", step=None
                )
                return
            reading = found[item.device].get(READ_BACK[item.action])
            if reading is not None and reading.quality == Quality.GOOD:
                if is_reached(item.action, item.after, reading.value):
                    self._reached[item.device] = (item.action, item.after)
                    continue
                if (
                    item.action in STATES
                    and item.before is not None
                    and not same_value(reading.value, item.before)
                ):
                    why = f"{item.device} is {reading.value!r}, expected {item.before!r}"
                    self._surprise(item.device, why, step=None)
                    return
            elif item.action in STATES:
                self._surprise(
                    item.device, f"{item.device}: {_said(reading)}; nothing is sent blindly", step=None
                )
                return
            missing.append(item)
        commands = self._sender.write(
            missing, self.procedure.plan_hash, self.procedure.fencing, self._modes.area_of
        )
        now_s = self._clock.monotonic_s() + self._settings.patience_s
        takes_s = self.procedure.takes_s
        items = [
            Sent(command, now_s + takes_s.get(item.device, 0.0), item.t_s, number)
            for command, item in zip(commands, missing, strict=True)
        ]
        for item in missing:
            self._reached.pop(item.device, None)
        sent, device, why = self._sender.send(items)
        self._pending += sent
        if why:
            self._surprise(device, f"{device} refused: {why}", step=number if sent else None)

    # stopping

    def _surprise(self, device: str, reason: str, step: int | None) -> None:
        """Stop here. ``step``: the one that may have moved something and has a way back."""
        if step is not None and self._failed_step is None:
            self._failed_step = step
        if self.reason:
            return
        self.reason = reason
        self._log.event(self._clock.utc_s(), "stopped", reason=reason, plan=self.procedure.plan_hash)
        self._alarm(device, "stopped", f"sequence stopped: {reason}")

    def _wind_up(self) -> None:
        """When all that was sent is told apart: lead back, where that was verified before; then hold."""
        if self._pending:
            return
        if self.state is not State.RECOVERING and self._may_lead_back():
            return
        if self.state is State.RECOVERING:
            self.recovered = all(
                self._reached.get(item.device) == (item.action, item.after) for item in self._way_back
            )
            if not self.recovered:
                self._alarm("", "not led back", f"the recovery step failed too, after: {self.reason}")
        self.state = State.UNKNOWN if self._uncertain else State.HELD
        unknown = sorted(self._uncertain)
        self._log.event(
            self._clock.utc_s(), "held", reason=self.reason, recovered=self.recovered, unknown=unknown
        )

    def _may_lead_back(self) -> bool:
        """Send the way back of the step that failed, and say whether there is one. A person leads back by hand."""
        number = self._failed_step
        back = () if number is None else self.procedure.recovery.get(number, ())
        if not back or any(self._modes.of(item.device) is not Mode.AUTOMATIC for item in back):
            return False
        self.state = State.RECOVERING
        self._way_back = tuple(replace(item, before=None) for item in back)
        self._log.event(self._clock.utc_s(), "leading back", step=number, plan=self.procedure.plan_hash)
        self._send(self._way_back, number or 0)
        return True


def judge(command: Command, reading: Reading | None) -> str:
    """Say what a reading tells of a command: "done", "not taken" (it is as before) or "unknown"."""
    if reading is None or reading.quality != Quality.GOOD:
        return "unknown"
    if is_reached(command.action, command.value, reading.value):
        return "done"
    if command.action in STATES and command.expects is not None:
        return "not taken" if same_value(reading.value, command.expects) else "unknown"
    return "not taken"


def _said(reading: Reading | None) -> str:
    if reading is None:
        return "it does not say where it is"
    if reading.quality != Quality.GOOD:
        return (
            f"its {reading.quantity} is {reading.quality}{f' ({reading.detail})' if reading.detail else ''}"
        )
    return f"its {reading.quantity} is {reading.value!r}"
