"""Forecasts by a process that is started for each, killed at its deadline, and takes its libraries with it when it ends."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pdnopt.children import ONE_THREAD
from pdnopt.errors import InputError
from pdnopt.protocols.announcements import Announcement, parse_announcement

__all__ = ["Forecasts", "Order"]

log = logging.getLogger(__name__)

MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Order:
    """What the process is asked.

    Attributes
    ----------
    model : str
        Folder of a registry, of a version of one, or of a saved forecaster (`pdnopt.forecast.registry`).
    database : str
        The node's measurements.
    circuits : tuple of str
        Those of the model.
    step_s, now_s : float
    horizon : int
        Steps.
    quantiles : tuple of float
    allow_negative : bool
        Whether a circuit may feed back.
    """

    model: str
    database: str
    circuits: tuple[str, ...]
    step_s: int
    now_s: float
    horizon: int
    quantiles: tuple[float, ...]
    allow_negative: bool = False


class Forecasts:
    """At most one forecast at a time; `poll` never waits.

    Parameters
    ----------
    deadline_s : float
        So long one may take.
    real_s : callable
        Real seconds: a process takes real time, whatever the node's clock says.
    """

    def __init__(self, deadline_s: float, real_s: Callable[[], float] = time.monotonic) -> None:
        self.deadline_s = deadline_s
        self.latest: Announcement | None = None
        self.trouble = ""
        self._real_s = real_s
        self._process: subprocess.Popen[bytes] | None = None
        self._said = bytearray()
        self._due_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether one is being made."""
        return self._process is not None

    def begin(self, order: Order) -> None:
        """Start one; nothing where one is still being made."""
        if self._process is not None:
            return
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "pdnopt.node.forecast_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
            )
        except OSError as error:
            self._fail(f"cannot start: {error.strerror}")
            return
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            process.stdin.close()
        except OSError as error:  # it is dead already; poll finds out why
            log.info("forecast: %s", error)
        os.set_blocking(process.stdout.fileno(), False)
        self._process, self._due_s = process, self._real_s() + self.deadline_s
        self._said.clear()

    def poll(self) -> Announcement | None:
        """Return a forecast that has just been made, None otherwise; `trouble` says why the last one failed."""
        process = self._process
        if process is None:
            return None
        ended = process.poll() is not None  # before reading: what was said before the end is then all there
        self._listen(process)
        if ended or len(self._said) > MAX_BYTES:
            self.close()
            return self._understood()
        if self._real_s() >= self._due_s:
            self.close()
            self._fail(f"it took longer than {self.deadline_s:g} s and was ended")
        return None

    def close(self) -> None:
        """End what is being made."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None and not stream.closed:
                    stream.close()
            self._process = None

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while len(self._said) <= MAX_BYTES:
            piece: Any = process.stdout.read(65536)
            if not piece:  # nothing yet (None), or the end (empty)
                return
            self._said += piece

    def _understood(self) -> Announcement | None:
        raw = bytes(self._said)
        try:
            announced = parse_announcement(raw, MAX_BYTES)
        except InputError as error:
            self._fail(_reason(raw) or f"an answer that is none: {error.issues[0]}")
            return None
        self.latest, self.trouble = announced, ""
        return announced

    def _fail(self, why: str) -> None:
        if why != self.trouble:
            log.warning("forecast: %s", why)
        self.trouble = why


def _reason(raw: bytes) -> str:
    try:
        found = json.loads(raw)
        return str(found["error"]) if isinstance(found, dict) and "error" in found else ""
    except ValueError:
        return "" if raw else "the process ended without an answer"
