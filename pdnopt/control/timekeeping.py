"""``SteadyClock``: a clock whose wall time does not jump."""

from __future__ import annotations

from pdnopt.protocols.clocks import Clock

__all__ = ["SteadyClock"]

JUMP_S = 0.5


class SteadyClock:
    """The machine's clocks, with wall time carried on by the monotonic one.

    Wall time follows the machine's while they differ by less than ``JUMP_S`` since the last look (a clock that is slewed);
    a larger step is a jump: it is not followed, and ``jump_s`` says how far the machine's clock is now off.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = clock.utc_s() - clock.monotonic_s()
        self._seen_s = self._offset_s
        self.jump_s = 0.0

    def monotonic_s(self) -> float:
        """Return seconds that never jump."""
        return self._clock.monotonic_s()

    def utc_s(self) -> float:
        """Return seconds since 1970 that do not jump either."""
        found = self._clock.utc_s() - self._clock.monotonic_s()
        step_s = found - self._seen_s
        if abs(step_s) < JUMP_S and self.jump_s == 0.0:
            self._offset_s += step_s
        self._seen_s = found
        self.jump_s = found - self._offset_s if abs(found - self._offset_s) >= JUMP_S else 0.0
        return self._clock.monotonic_s() + self._offset_s

    def sleep(self, duration_s: float) -> None:
        """Let time pass."""
        self._clock.sleep(duration_s)
