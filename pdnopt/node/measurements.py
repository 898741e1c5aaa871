"""What the node has measured, as means over the forecast's steps, kept on its own disk for as long as a forecast needs it.

A disk that is full or broken costs the history, nothing else: means that cannot be written wait in memory, the oldest are
lost first. An interval in which the clock jumped, or of which half was missed, is a gap: a mean of the wrong hour is worse.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Measurements"]

log = logging.getLogger(__name__)

WAITING = 1000
"""Means that wait for the disk."""
LEAST_PART = 0.5
"""Of an interval that must have been seen."""
JUMP_S = 1.0
"""Between two looks UTC and monotonic time may drift apart by so much; more is a jump."""

TABLE = "CREATE TABLE IF NOT EXISTS means (begin_s INTEGER, circuit TEXT, kw REAL, PRIMARY KEY (begin_s, circuit))"
PUT = "INSERT OR REPLACE INTO means VALUES (?, ?, ?)"


class Measurements:
    """Collects samples, keeps means.

    Parameters
    ----------
    path : Path
        An SQLite file. One that is damaged is put aside: it is history, not state.
    step_s : int
    keep_s : float
        Older means are removed.
    """

    def __init__(self, path: Path, step_s: int, keep_s: float) -> None:
        self.path, self.step_s, self.keep_s = path, step_s, keep_s
        self.trouble = ""
        self.jumps = 0
        self.completed = 0
        self._waiting: deque[tuple[int, str, float]] = deque(maxlen=WAITING)
        self._begin_s = 0
        self._sums: dict[str, tuple[float, float]] = {}  # circuit -> kWs, s
        self._last: tuple[float, float] | None = None  # UTC, monotonic
        self._file: sqlite3.Connection | None = None
        self._open()

    def add(self, utc_s: float, monotonic_s: float, kw: Mapping[str, float]) -> bool:
        """Take a sample, which stands for the time since the last one; return whether an interval was completed."""
        begin_s = int(utc_s // self.step_s) * self.step_s
        completed = False
        if self._last is not None:
            passed_s = monotonic_s - self._last[1]
            jumped_s = utc_s - self._last[0] - passed_s
            if abs(jumped_s) > JUMP_S:
                self.jumps += 1
                log.warning("the clock jumped by %.0f s; this interval is a gap", jumped_s)
                self._sums, self._begin_s = {}, begin_s
            else:
                if begin_s != self._begin_s:
                    completed = self._complete()
                    self._begin_s = begin_s
                self._count(min(passed_s, self.step_s / 4), kw)
        else:
            self._begin_s = begin_s
        self._last = (utc_s, monotonic_s)
        return completed

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _count(self, passed_s: float, kw: Mapping[str, float]) -> None:
        for circuit, value in kw.items():
            energy, seen_s = self._sums.get(circuit, (0.0, 0.0))
            self._sums[circuit] = (energy + value * passed_s, seen_s + passed_s)

    def _complete(self) -> bool:
        """Keep the means of the interval that has ended; False where none can be made of it."""
        begin_s, sums = self._begin_s, self._sums
        self._sums = {}
        rows = [
            (begin_s, circuit, energy / seen_s)
            for circuit, (energy, seen_s) in sums.items()
            if seen_s >= LEAST_PART * self.step_s
        ]
        if not rows:
            return False
        self._waiting.extend(rows)
        self._write()
        self.completed += 1
        return True

    def _write(self) -> None:
        try:
            file = self._file or self._connect()
            with file:
                file.executemany(PUT, list(self._waiting))
                oldest_s = self._waiting[-1][0] - self.keep_s
                file.execute("DELETE FROM means WHERE begin_s < ?", (oldest_s,))
        except sqlite3.Error as error:
            if not self.trouble:
                log.error("%s: %s; measurements wait in memory", self.path, error)
            self.trouble = str(error)
            self.close()
            return
        self._waiting.clear()
        self.trouble = ""

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            self.trouble = str(error)
            self.close()
            if isinstance(error, sqlite3.OperationalError):  # the disk, not the file
                log.error("%s: %s; measurements wait in memory", self.path, error)
                return
            aside = self.path.with_name(self.path.name + ".damaged")
            log.error("%s: %s; put aside as %s", self.path, error, aside.name)
            self.path.replace(aside)
            self._connect()
            self.trouble = ""

    def _connect(self) -> sqlite3.Connection:
        file = sqlite3.connect(self.path, timeout=1.0, check_same_thread=False)
        self._file = file
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        file.execute(TABLE)
        file.execute("SELECT COUNT(*) FROM means").fetchone()
        return file
