"""What the executor needs of a journal and of somebody to alarm. `pdnopt.journal.Journal` is such a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pdnopt.protocols.commands import Command, Reply

__all__ = ["Alarm", "Log", "OpenCommand"]


class OpenCommand(Protocol):
    """A command of which it is not known how it ended."""

    @property
    def command(self) -> Command: ...


class Log(Protocol):
    """Every method returns when what it wrote would survive a power cut, or raises PdnoptError: then nothing is sent."""

    def record(self, command: Command) -> None:
        """Write a command that is about to be sent."""

    def answered(self, command_id: str, t_s: float, stage: str, reply: Reply) -> None:
        """Write what came back for "select" or "operate"."""

    def ended(
        self, command_id: str, t_s: float, outcome: str, observed: Any = None, detail: str = ""
    ) -> None:
        """Write how it ended: "done", "refused", "not taken", "unknown"."""

    def event(self, t_s: float, kind: str, **body: Any) -> None:
        """Write what was decided, and why."""

    def open_commands(self) -> Sequence[OpenCommand]:
        """Return the commands without an outcome, the oldest first."""

    def last_sequence(self, device: str) -> int:
        """Return the highest sequence number that was written for a device; 0 for none."""


class Alarm(Protocol):
    """Tell a person. Never blocks, never raises."""

    def __call__(self, device: str, kind: str, text: str) -> None: ...
