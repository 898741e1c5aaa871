"""What a device says of itself, with its quality."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Quality", "Reading"]


class Quality(StrEnum):
    """How far a value may be believed."""

    GOOD = "good"
    SUSPECT = "suspect"
    BAD = "bad"
    MISSING = "missing"


@dataclass(frozen=True)
class Reading:
    """One value of one device.

    Attributes
    ----------
    device : str
        "table:name".
    quantity : str
        With its unit: "position", "mode", "running", "closed", "p_kw", "q_kvar", "vm_pu", "i_a", "soc_percent",
        "temperature_c", "available", "fed".
    value : Any
        Plain JSON; None where the quality is BAD or MISSING.
    quality : Quality
    stamp_s : float
        UTC by the device's clock.
    received_s : float
        UTC by ours.
    path : str
        The communication path that it came by.
    detail : str
        Why it is not good: "DecodeError", "NotAvailable", "stale", ...
    """

    device: str
    quantity: str
    value: Any
    quality: Quality
    stamp_s: float
    received_s: float
    path: str = ""
    detail: str = ""
