"""What every driver does that asks a guard by message: sign, send, and make of silence what the contract says it is."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from pdnopt.errors import InputError
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat, cancel_text, operate_text, select_text
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.wire import parse_reply, request_bytes

__all__ = ["AskingDriver", "missing"]

log = logging.getLogger(__name__)


class AskingDriver(ABC):
    """Base of drivers that speak to guards. A subclass says how a message is exchanged and how readings come.

    Parameters
    ----------
    name : str
        Of the path; stands in its readings.
    clock : Clock
    sign : callable
        The controller's signature.
    """

    def __init__(self, name: str, clock: Clock, sign: Callable[[bytes], bytes]) -> None:
        self.name, self.clock, self.sign = name, clock, sign

    @abstractmethod
    def exchange(self, device: str, message: bytes, again: bool) -> bytes | None:
        """Return the answer to a message, None where there is none in time. ``again``: it may be sent twice."""

    @abstractmethod
    def read(self, devices: Iterable[str]) -> list[Reading]:
        """Return what the devices say of themselves, as `Driver.read` does."""

    @abstractmethod
    def close(self) -> None:
        """End connections."""

    def select(self, command: Command) -> Reply:
        message = request_bytes("select", command=command, signature=self.sign(select_text(command)))
        return self._reply(command.device, message, again=True)

    def operate(self, command: Command, ticket: int) -> Reply:
        signature = self.sign(operate_text(command, ticket))
        message = request_bytes("operate", command=command, ticket=ticket, signature=signature)
        return self._reply(command.device, message, again=False)

    def cancel(self, command: Command, ticket: int) -> None:
        signature = self.sign(cancel_text(command, ticket))
        message = request_bytes("cancel", command=command, ticket=ticket, signature=signature)
        self._reply(command.device, message, again=False)

    def _heartbeat_message(self, beat: Heartbeat) -> bytes:
        return request_bytes("heartbeat", beat=beat, signature=self.sign(beat.canonical()))

    def _reply(self, device: str, message: bytes, again: bool) -> Reply:
        answer = self.exchange(device, message, again)
        if answer is None:
            return Reply(False, Refusal.UNREACHABLE, f"no answer by {self.name}")
        try:
            return parse_reply(answer)
        except InputError as error:
            log.warning("%s: an answer that is none: %s", self.name, error.issues[0])
            return Reply(False, Refusal.UNREACHABLE, f"an answer by {self.name} that is none")


def missing(devices: Iterable[str], now_s: float, path: str, detail: str) -> list[Reading]:
    """Return for every device that it says nothing: the quantity "available", with quality MISSING."""
    return [
        Reading(device, "available", None, Quality.MISSING, now_s, now_s, path, detail) for device in devices
    ]
