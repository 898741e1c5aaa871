"""What a guard remembers across restarts: the highest token and number seen, and how the last command ended."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pdnopt.disk import flush
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.commands import Refusal, Reply

__all__ = ["FileMemory", "GuardMemory", "Remembered", "VolatileMemory"]


@dataclass(frozen=True)
class Remembered:
    """What must outlive the guard's process.

    Attributes
    ----------
    fencing : int
        The highest leader's token seen.
    sequence : int
        Of the last command that was operated, under ``last_fencing``.
    last_fencing : int
    last_id, last_digest : str
        The last command that was operated, and the SHA-256 of its canonical form.
    last_reply : Reply or None
        What was answered; None: the guard stopped while the device was being told.
    actuations : int
        How often the device has been told to move, ever.
    """

    fencing: int = 0
    sequence: int = 0
    last_fencing: int = 0
    last_id: str = ""
    last_digest: str = ""
    last_reply: Reply | None = None
    actuations: int = 0


class GuardMemory(Protocol):
    """Where it is kept. ``save`` returns when it would survive a power cut, or raises OSError."""

    def load(self) -> Remembered: ...

    def save(self, remembered: Remembered) -> None: ...


class VolatileMemory:
    """In this process only: for simulations, where a guard's restart keeps the object."""

    def __init__(self) -> None:
        self._kept = Remembered()

    def load(self) -> Remembered:
        return self._kept

    def save(self, remembered: Remembered) -> None:
        self._kept = remembered


class FileMemory:
    """One small JSON file, replaced as a whole: after a power cut it is the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Remembered:
        """Return what was kept; a file that is not there is a new device.

        Raises
        ------
        InputError
            The file is damaged. Starting anew would let old commands in again, so a person must decide.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Remembered()
        try:
            data = json.loads(text)
            reply = data.pop("last_reply")
            if reply is not None:
                refusal = reply.pop("refusal")
                reply = Reply(refusal=Refusal(refusal) if refusal else None, **reply)
            kept = Remembered(last_reply=reply, **data)
            if not all(type(n) is int for n in (kept.fencing, kept.sequence, kept.last_fencing)):
                raise TypeError("a number is missing")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                Issue(
                    "Format",
                    str(self.path),
                    "",
                    repr(error),
                    "what the guard wrote",
                    "Look at the device, then restore the file from a copy; without it old commands would be new again.",
                )
            ) from None
        return kept

    def save(self, remembered: Remembered) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(asdict(remembered), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        flush(self.path.parent)
