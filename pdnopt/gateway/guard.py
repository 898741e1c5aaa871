"""Shall this device do what it is told, now, by this controller?

The guard stands in front of one device and says no to everything that is late, early, repeated, altered, out of order, of an
old leader, or meant for another state of the device. It knows no network: bytes come in by a gateway, by MQTT or in-process.

Order of the questions, the first "no" is the answer: is it for this device and well-formed; is it signed; is the leader the
newest seen; is it in time; is its number new; is the device in remote mode; is nothing else selected; is the device as
expected; does the device itself agree. Only an `operate` that brings the ticket of the live selection reaches the device,
and what it will do is on the disk before. An `operate` that comes again is answered as before and moves nothing.

Numbers rise within one leader's token, so a standby that takes over begins its own: (fencing, sequence) rises.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pdnopt.gateway.memory import GuardMemory, Remembered
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat, cancel_text, operate_text, select_text
from pdnopt.protocols.quantities import same_value

__all__ = ["Equipment", "Guard", "GuardSettings"]

log = logging.getLogger(__name__)

TICKET_BITS = 53  # JSON's numbers are exact up to there
UNCERTAIN = "the guard stopped while the device was being told; read the device"


class Equipment(Protocol):
    """The device behind a guard. Nothing here may raise for what the device does."""

    def local(self) -> bool:
        """Whether a person has put the device in local mode."""

    def present(self, action: str) -> Any:
        """Return what ``Command.expects`` is compared with for this action; None where it cannot be told."""

    def objection(self, command: Command) -> Reply | None:
        """Return why the device would refuse now (interlock, sources not in step, stuck), or None."""

    def actuate(self, command: Command) -> Reply:
        """Tell the device. It may take its time to move."""

    def revert(self) -> None:
        """End external set-points and go by the local rule: the controller is silent."""


@dataclass(frozen=True)
class GuardSettings:
    """Times of a guard.

    Attributes
    ----------
    select_s : float
        A selection lives so long, by the guard's own monotonic clock (OpenDNP3: 10 s).
    skew_s : float
        The controller's clock may be ahead by so much.
    validity_s : float
        A command may be valid for at most so long.
    watchdog_s : float
        Without a sign of the controller for so long the device goes by its local rule (OpenEMS: 60 s).
    """

    select_s: float = 10.0
    skew_s: float = 2.0
    validity_s: float = 120.0
    watchdog_s: float = 60.0


@dataclass(frozen=True)
class _Selection:
    command: Command
    ticket: int
    ends_s: float  # monotonic


class Guard:
    """In front of one device.

    Parameters
    ----------
    device : str
        "table:name"; commands for another are refused.
    equipment : Equipment
    clock : Clock
        The device's own.
    memory : GuardMemory
    verify : callable or None
        (text, signature) -> whether the controller signed it; None: unsigned commands are taken (in-process only).
    settings : GuardSettings
    draw : callable
        Draws a ticket; a simulation hands in its own, so that it is the same twice.

    Raises
    ------
    InputError
        What was remembered is damaged.
    """

    def __init__(
        self,
        device: str,
        equipment: Equipment,
        clock: Clock,
        memory: GuardMemory,
        verify: Callable[[bytes, bytes], bool] | None = None,
        settings: GuardSettings | None = None,
        draw: Callable[[], int] = lambda: 1 + secrets.randbits(TICKET_BITS),
    ) -> None:
        self.device, self.equipment, self.clock, self.memory = device, equipment, clock, memory
        self.verify, self.settings, self._draw = verify, settings or GuardSettings(), draw
        self.refused: Counter[Refusal] = Counter()
        self._kept = memory.load()
        self._selection: _Selection | None = None
        self._last_beat = (0, 0)
        self._contact_s = clock.monotonic_s()
        self._reverted = False
        self._heard = False
        self._lock = threading.RLock()

    @property
    def remembered(self) -> Remembered:
        """What outlives this process, for tests and status pages."""
        return self._kept

    @property
    def silent(self) -> bool:
        """Whether the device goes by its local rule because the controller was silent too long."""
        return self._reverted

    @property
    def heard(self) -> bool:
        """Whether a controller has been heard since the start, and not too long ago."""
        return self._heard and not self._reverted

    def select(self, command: Command, signature: bytes = b"") -> Reply:
        """Offer a command. The ticket in the reply must come back with `operate` while the selection lives."""
        with self._lock:
            return self._counted(command, self._select(command, signature))

    def operate(self, command: Command, ticket: int, signature: bytes = b"") -> Reply:
        """Carry out the selected command; once, however often it is asked."""
        with self._lock:
            return self._counted(command, self._operate(command, ticket, signature))

    def cancel(self, command: Command, ticket: int, signature: bytes = b"") -> Reply:
        """Give the selection up."""
        with self._lock:
            if not self._well_formed(command):
                return self._counted(command, Reply(False, Refusal.MALFORMED))
            if not self._signed(cancel_text(command, ticket), signature):
                return self._counted(command, Reply(False, Refusal.BAD_SIGNATURE))
            live = self._live()
            if live is None or live.ticket != ticket or live.command != command:
                return self._counted(command, Reply(False, Refusal.NOT_SELECTED, "nothing to give up"))
            self._selection = None
            return Reply(True)

    def heartbeat(self, beat: Heartbeat, signature: bytes = b"") -> Reply:
        """Note that the leader lives. Old, future and repeated ones count for nothing."""
        with self._lock:
            refusal = self._beat_refusal(beat, signature)
            if refusal is not None:
                self.refused[refusal] += 1
                return Reply(False, refusal)
            problem = self._follow(beat.fencing)
            if problem is not None:
                return problem
            self._last_beat = (beat.fencing, beat.sequence)
            self._contact()
            return Reply(True)

    def tick(self) -> None:
        """Let time-outs happen; to be called at least every second."""
        with self._lock:
            self._live()
            silent_s = self.clock.monotonic_s() - self._contact_s
            if silent_s >= self.settings.watchdog_s and not self._reverted:
                self._reverted = True
                log.warning("%s: no controller for %.0f s; local rule", self.device, silent_s)
                self.equipment.revert()

    # the questions, in order

    def _select(self, command: Command, signature: bytes) -> Reply:
        if not self._well_formed(command):
            return Reply(False, Refusal.MALFORMED)
        if not self._signed(select_text(command), signature):
            return Reply(False, Refusal.BAD_SIGNATURE)
        refusal = self._untimely(command)
        if refusal is not None:
            return refusal
        if (command.fencing, command.sequence) <= (self._kept.last_fencing, self._kept.sequence):
            return Reply(False, Refusal.OLD_SEQUENCE, f"{self._kept.sequence} was operated")
        live = self._live()
        if live is not None:
            if live.command == command:
                return Reply(True, ticket=live.ticket)
            if (command.fencing, command.sequence) <= (live.command.fencing, live.command.sequence):
                return Reply(False, Refusal.OLD_SEQUENCE, f"{live.command.sequence} is selected")
            if command.fencing == live.command.fencing:
                return Reply(False, Refusal.SELECTED_BY_OTHER, live.command.id)
        problem = self._follow(command.fencing)
        if problem is not None:
            return problem
        problem = self._not_ready(command)
        if problem is not None:
            return problem
        self._contact()
        now_s = self.clock.monotonic_s()
        valid_s = min(self.settings.select_s, command.expires_s - self.clock.utc_s())
        self._selection = _Selection(command, self._draw(), now_s + valid_s)
        return Reply(True, ticket=self._selection.ticket)

    def _operate(self, command: Command, ticket: int, signature: bytes) -> Reply:
        if not self._well_formed(command):
            return Reply(False, Refusal.MALFORMED)
        if not self._signed(operate_text(command, ticket), signature):
            return Reply(False, Refusal.BAD_SIGNATURE)
        if command.id == self._kept.last_id:
            return self._again(command)
        refusal = self._untimely(command)
        if refusal is not None:
            return refusal
        live = self._live()
        if live is None or live.ticket != ticket or live.command != command:
            self._selection = None  # an operation that does not fit ends the selection (IEC 61850-7-2)
            return Reply(False, Refusal.NOT_SELECTED)
        self._selection = None
        problem = self._not_ready(command)
        if problem is not None:
            return problem
        return self._carry_out(command)

    def _carry_out(self, command: Command) -> Reply:
        started = replace(
            self._kept,
            sequence=command.sequence,
            last_fencing=command.fencing,
            last_id=command.id,
            last_digest=_digest(command),
            last_reply=None,
            actuations=self._kept.actuations + 1,
        )
        problem = self._keep(started)
        if problem is not None:
            return problem
        self._contact()
        reply = self.equipment.actuate(command)
        # Where this write fails the answer is still right; a restart would call it uncertain, which is safe.
        if self._keep(replace(started, last_reply=reply)) is not None:
            self._kept = replace(started, last_reply=reply)
        return reply

    def _again(self, command: Command) -> Reply:
        if _digest(command) != self._kept.last_digest:
            return Reply(False, Refusal.NOT_SELECTED, "another command had this id")
        if self._kept.last_reply is None:
            return Reply(False, Refusal.UNREACHABLE, UNCERTAIN)
        return self._kept.last_reply

    def _untimely(self, command: Command) -> Reply | None:
        """Say whether an old leader sent it, or the wrong time."""
        if command.fencing < self._kept.fencing:
            return Reply(False, Refusal.OLD_LEADER, f"{self._kept.fencing} leads")
        now_s = self.clock.utc_s()
        if command.issued_s > now_s + self.settings.skew_s:
            return Reply(
                False, Refusal.FUTURE, f"{command.issued_s - now_s:.1f} s ahead of the device's clock"
            )
        if command.expires_s <= now_s:
            return Reply(
                False, Refusal.EXPIRED, f"{now_s - command.expires_s:.1f} s ago by the device's clock"
            )
        return None

    def _not_ready(self, command: Command) -> Reply | None:
        """Ask the device."""
        if self.equipment.local():
            return Reply(False, Refusal.LOCAL)
        if command.expects is not None:
            now = self.equipment.present(command.action)
            if now is None:
                return Reply(False, Refusal.NOT_AVAILABLE, "its present state cannot be told")
            if not same_value(now, command.expects):
                return Reply(False, Refusal.PRECONDITION, f"is {now!r}, expected {command.expects!r}")
        return self.equipment.objection(command)

    def _well_formed(self, command: Command) -> bool:
        try:
            command.canonical()
        except (TypeError, ValueError):  # NaN, or nothing that JSON can say
            return False
        return (
            command.device == self.device
            and bool(command.id)
            and command.sequence > 0
            and command.fencing >= 0
            and math.isfinite(command.issued_s)
            and 0 < command.expires_s - command.issued_s <= self.settings.validity_s
        )

    def _signed(self, text: bytes, signature: bytes) -> bool:
        return self.verify is None or self.verify(text, signature)

    def _beat_refusal(self, beat: Heartbeat, signature: bytes) -> Refusal | None:
        if not self._signed(beat.canonical(), signature):
            return Refusal.BAD_SIGNATURE
        if beat.fencing < self._kept.fencing:
            return Refusal.OLD_LEADER
        age_s = self.clock.utc_s() - beat.issued_s
        if age_s < -self.settings.skew_s:
            return Refusal.FUTURE
        if age_s > self.settings.watchdog_s:
            return Refusal.EXPIRED
        return Refusal.OLD_SEQUENCE if (beat.fencing, beat.sequence) <= self._last_beat else None

    # what is kept

    def _live(self) -> _Selection | None:
        if self._selection is not None and self.clock.monotonic_s() >= self._selection.ends_s:
            self._selection = None
        return self._selection

    def _contact(self) -> None:
        self._contact_s = self.clock.monotonic_s()
        self._reverted = False
        self._heard = True

    def _follow(self, fencing: int) -> Reply | None:
        """Take a newer leader's token, on the disk before it counts; the old one's selection ends with it."""
        if fencing <= self._kept.fencing:
            return None
        if self._selection is not None and self._selection.command.fencing < fencing:
            self._selection = None
        return self._keep(replace(self._kept, fencing=fencing))

    def _keep(self, remembered: Remembered) -> Reply | None:
        try:
            self.memory.save(remembered)
        except OSError as error:
            log.error("%s: the guard cannot keep its state: %s", self.device, error)
            return Reply(False, Refusal.NOT_AVAILABLE, "the guard cannot keep its state; look at its disk")
        self._kept = remembered
        return None

    def _counted(self, command: Command, reply: Reply) -> Reply:
        if reply.refusal is not None:
            self.refused[reply.refusal] += 1
            log.info("%s: refused %s: %s %s", self.device, command.id, reply.refusal, reply.detail)
        return reply


def _digest(command: Command) -> str:
    return hashlib.sha256(command.canonical()).hexdigest()
