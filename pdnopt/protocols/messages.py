"""The texts that are signed: one for each thing that can be asked of a guard.

What is asked stands in front of the command, and the ticket of an operation with it: a signature under a selection operates
nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pdnopt.protocols.commands import Command

__all__ = ["Heartbeat", "cancel_text", "operate_text", "select_text"]


@dataclass(frozen=True)
class Heartbeat:
    """ "The leader lives", to all devices of a gateway.

    Attributes
    ----------
    sequence : int
        Rises.
    fencing : int
        The leader's token.
    issued_s : float
        UTC, seconds since 1970.
    """

    sequence: int
    fencing: int
    issued_s: float

    def canonical(self) -> bytes:
        """Return its one spelling, which is signed."""
        return b"heartbeat\n" + json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def select_text(command: Command) -> bytes:
    """Return what is signed under a selection."""
    return b"select\n" + command.canonical()


def operate_text(command: Command, ticket: int) -> bytes:
    """Return what is signed under an operation."""
    return b"operate\n%d\n" % ticket + command.canonical()


def cancel_text(command: Command, ticket: int) -> bytes:
    """Return what is signed under giving up a selection."""
    return b"cancel\n%d\n" % ticket + command.canonical()
