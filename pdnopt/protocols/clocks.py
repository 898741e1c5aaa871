"""Time as a thing that is handed in, so that a simulated hour takes seconds and every test is the same twice."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the loop, the executor and the guards know of time."""

    def monotonic_s(self) -> float:
        """Return seconds that never jump. Deadlines are by these."""

    def utc_s(self) -> float:
        """Return seconds since 1970, which may jump. Stamps are by these."""

    def sleep(self, duration_s: float) -> None:
        """Let time pass; a simulated clock moves its plant on."""


class SystemClock:
    """The machine's."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_s(self) -> float:
        return time.time()

    def sleep(self, duration_s: float) -> None:
        time.sleep(max(0.0, duration_s))
