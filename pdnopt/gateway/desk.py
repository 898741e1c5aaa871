"""Whatever brings a request - TCP, MQTT - this answers it. It never raises, and says nothing that it was not asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from pdnopt.errors import InputError
from pdnopt.gateway.guard import Guard
from pdnopt.protocols.commands import Refusal, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Reading
from pdnopt.protocols.wire import Request, error_bytes, parse_request, readings_bytes, reply_bytes

__all__ = ["Desk"]

log = logging.getLogger(__name__)


class Desk:
    """Answers requests for the devices of one gateway or node.

    Parameters
    ----------
    guards : mapping
        Device -> its guard.
    read : callable
        Devices -> their readings; must not raise.
    together : callable, optional
        Returns a context in which what guards remember is written at once (`pdnopt.gateway.memory.Book.together`).
    """

    def __init__(
        self,
        guards: Mapping[str, Guard],
        read: Callable[[Sequence[str]], Sequence[Reading]],
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.guards, self._read, self._together = dict(guards), read, together

    def answer(self, raw: bytes, commands: bool = True) -> bytes:
        """Return the answer to a request, both as JSON. ``commands`` False: this asker may only read."""
        try:
            request = parse_request(raw)
        except InputError as error:
            log.info("refused a message: %s", error.issues[0])
            return error_bytes(error)
        if request.ask == "read":
            return readings_bytes(self._read([name for name in request.devices if name in self.guards]))
        if not commands:
            return reply_bytes(Reply(False, Refusal.BAD_SIGNATURE, "this certificate may only read"))
        return reply_bytes(self._command(request))

    def tick(self) -> None:
        """Let the guards' time-outs happen."""
        for guard in self.guards.values():
            guard.tick()

    def _heartbeat(self, beat: Heartbeat, signature: bytes) -> Reply:
        """Let all guards hear it; the first refusal is the answer."""
        try:
            with self._together():
                replies = [guard.heartbeat(beat, signature) for guard in self.guards.values()]
        except OSError as error:
            log.error("the guards cannot keep their state: %s", error)
            return Reply(False, Refusal.NOT_AVAILABLE, "the guards cannot keep their state; look at the disk")
        return next((reply for reply in replies if not reply.accepted), Reply(True))

    def _command(self, request: Request) -> Reply:
        if request.beat is not None:
            return self._heartbeat(request.beat, request.signature)
        command = request.command
        assert command is not None  # of every other ask
        guard = self.guards.get(command.device)
        if guard is None:
            return Reply(False, Refusal.NOT_AVAILABLE, f"{command.device} is not behind this gateway")
        if request.ask == "select":
            return guard.select(command, request.signature)
        if request.ask == "operate":
            return guard.operate(command, request.ticket, request.signature)
        return guard.cancel(command, request.ticket, request.signature)
