"""What a node can ask of a device, and tell it, however it is wired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pdnopt.protocols.commands import Reply
from pdnopt.protocols.registers import Value

__all__ = ["Hardware", "Seen"]


@dataclass(frozen=True)
class Seen:
    """What a device has shown.

    Attributes
    ----------
    available : bool
        It answers and can be used.
    local : bool
        A person has put it in local mode.
    values : mapping
        Quantity -> value with its quality.
    stamp_s : float or None
        UTC by the device's clock; None where it has none.
    """

    available: bool = False
    local: bool = False
    values: Mapping[str, Value] = field(default_factory=dict)
    stamp_s: float | None = None


class Hardware(Protocol):
    """One device's wire. Nothing here raises for what the device or its wire does."""

    simulated: bool

    def read(self) -> Seen: ...

    def write(self, action: str, value: Any) -> Reply:
        """Tell the device; UNREACHABLE where it does not say what came of it."""

    def close(self) -> None: ...
