"""A command and what a device answers.

Every command is selected, then operated. A selection is answered with a ``ticket``, a number that the device's guard has
drawn; the operation must bring it back within the guard's own time, by the guard's own clock. So a late, replayed or
re-ordered command is refused even where the two clocks disagree (IEC 61850-7-2 control class "select before operate with
normal security"; OpenDNP3 lets a selection live 10 s, libiec61850 15 s).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Command", "Refusal", "Reply", "digest"]


@dataclass(frozen=True)
class Command:
    """One action for one device.

    Attributes
    ----------
    id : str
        Unique for ever; the journal's key.
    device, action : str
        As in `pdnopt.plant.actions`.
    value : Any
        What the device shall be afterwards (``Action.after``), plain JSON.
    expects : Any
        Precondition: what the device must be now (``Action.before``); None: anything.
    sequence : int
        Rises with every command of this controller to this device, across restarts.
    issued_s, expires_s : float
        UTC, seconds since 1970: beyond ``expires_s`` it is dropped.
    plan_hash : str
        Of the plan that it belongs to (`pdnopt.protocols.commands.digest`).
    fencing : int
        The leader's token: rises with every change of leader, so that a device refuses an old one.
    area : str
        Whose mode (Disabled, Manual, Automatic) lets it out.
    """

    id: str
    device: str
    action: str
    value: Any
    expects: Any
    sequence: int
    issued_s: float
    expires_s: float
    plan_hash: str
    fencing: int
    area: str = ""

    def canonical(self) -> bytes:
        """Return the one spelling of it, which is signed and compared: sorted keys, no blanks, UTF-8."""
        return json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()


class Refusal(StrEnum):
    """Why a device, its guard or the driver did not take a command."""

    EXPIRED = "expired"
    FUTURE = "from the future"
    OLD_SEQUENCE = "old sequence number"
    OLD_LEADER = "old fencing token"
    BAD_SIGNATURE = "bad signature"
    NOT_SELECTED = "not the selected command"
    SELECTED_BY_OTHER = "another command is selected"
    PRECONDITION = "device is not as expected"
    NOT_AVAILABLE = "device not available"
    NOT_IN_SYNC = "sources not in synchronism"
    INTERLOCK = "interlock"
    LOCAL = "device is in local mode"
    MALFORMED = "malformed"
    UNREACHABLE = "no answer"


@dataclass(frozen=True)
class Reply:
    """What came back for a selection or an operation.

    ``accepted`` says that the device took the command, not that it has moved: reading back says that. ``refusal`` is
    UNREACHABLE where nothing came back: it may have been taken or not.
    """

    accepted: bool
    refusal: Refusal | None = None
    detail: str = ""
    ticket: int = 0


def digest(text: str) -> str:
    """Return the SHA-256 of a plan's JSON, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
