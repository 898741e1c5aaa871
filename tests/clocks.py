"""Clocks of tests."""

from __future__ import annotations

__all__ = ["Hand"]


class Hand:
    """A clock that a test turns; UTC may be set apart from the monotonic one."""

    def __init__(self) -> None:
        self.now_s, self.offset_s = 1000.0, 1.7e9

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return self.now_s + self.offset_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
