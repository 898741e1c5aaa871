"""What every way to a device can do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.readings import Reading

__all__ = ["Driver"]


class Driver(Protocol):
    """One communication path to one or many devices. Never raises for what a network or a device does wrong."""

    def read(self, devices: Iterable[str]) -> list[Reading]:
        """Return every quantity of the devices; those that do not answer with quality MISSING."""

    def select(self, command: Command) -> Reply:
        """Offer a command; the reply's ticket is needed to operate it."""

    def operate(self, command: Command, ticket: int) -> Reply:
        """Carry out the selected command. An answer that is lost is UNREACHABLE: read back, never send again blindly."""

    def cancel(self, command: Command, ticket: int) -> None:
        """Give the selection up."""

    def close(self) -> None:
        """End connections."""
