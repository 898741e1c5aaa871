"""Who solves: a process that is killed at the deadline, or - in a simulation - this one. Both answer in time or say so."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from pdnopt.children import start_child
from pdnopt.control.desk import Answer, Ask, Desk

__all__ = ["InProcessPlanner", "Planner", "WorkerPlanner"]

PROGRAM = "import sys; sys.path[:] = {path!r}; from pdnopt.control.desk_worker import serve; serve()"
LAST_WORDS = 2000


class Planner(Protocol):
    """Answers questions about one plant."""

    def answer(self, ask: Ask, hard_s: float) -> Answer:
        """Return an answer within ``hard_s`` seconds of wall time, or one that says why there is none."""

    def begin(self, ask: Ask, hard_s: float) -> None:
        """Ask without waiting; one question at a time."""

    def result(self) -> Answer | None:
        """Return the answer to what was begun, None while there is none yet. It comes once."""

    def close(self) -> None:
        """Give up what it holds."""


class InProcessPlanner:
    """Solves here: the same twice, and not to be killed. For simulations and tests."""

    def __init__(self, net: Any) -> None:
        self._desk = Desk(net)
        self._held: Answer | None = None

    def answer(self, ask: Ask, hard_s: float) -> Answer:
        return self._desk.answer(ask)

    def begin(self, ask: Ask, hard_s: float) -> None:
        self._held = self._desk.answer(ask)

    def result(self) -> Answer | None:
        held, self._held = self._held, None
        return held

    def close(self) -> None:
        return


class WorkerPlanner:
    """Solves in a child process, which exchanges lines of JSON and is killed where it is late.

    A child that was killed or died is replaced at once; until the new one has compiled its models (some seconds) every
    answer is "late", and the fallback ladder carries on.

    Parameters
    ----------
    net : pandapowerNet
    problems : sequence of str
        Compiled before the first question.
    program : str, optional
        What the child runs; a test puts a process in its place that hangs, dies or lies.
    """

    def __init__(self, net: Any, problems: Sequence[str] = ("reroute",), program: str = PROGRAM) -> None:
        from pdnopt.plant.files import network_to_text

        self._job = json.dumps({"network": network_to_text(net), "problems": list(problems)})
        self._program = program
        self.kills = 0
        self._held: Answer | None = None
        self._hard_s = self._due_s = 0.0
        self._child = _Child(self._program, self._job)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.process.pid

    @property
    def ready(self) -> bool:
        """Whether the child has compiled its models."""
        return self._child.is_ready()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the child has compiled its models; False where it is not by then."""
        return self._child.wait_ready(timeout_s)

    def answer(self, ask: Ask, hard_s: float) -> Answer:
        self.begin(ask, hard_s)
        return self._held or self._heard(self._child.receive(hard_s))

    def begin(self, ask: Ask, hard_s: float) -> None:
        child = self._child
        self._held, self._hard_s, self._due_s = None, hard_s, time.monotonic() + hard_s
        if child.is_ready():
            child.send(ask.to_json())
        elif child.process.poll() is not None:
            self._replace()
            self._held = Answer("died", why="the solver process ended; a new one is starting")
        else:
            self._held = Answer("late", why="the solver process is still starting")

    def result(self) -> Answer | None:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        line = self._child.receive(0.0)
        return None if line is None and time.monotonic() < self._due_s else self._heard(line)

    def _heard(self, line: str | None) -> Answer:
        """Return the answer that a line is; where it is none the process is replaced."""
        if line:
            with suppress(ValueError, TypeError, KeyError):
                return Answer.from_json(line)
            why = "the solver process sent something that is no answer"
            status = "died"
        elif line == "":
            status, why = "died", f"the solver process ended: {self._child.last_words()}"
        else:
            status, why = "late", f"no answer within {self._hard_s:g} s; the solver process was killed"
        self._replace()
        return Answer(status, why=why, took_s=self._hard_s if status == "late" else 0.0)

    def _replace(self) -> None:
        self.kills += 1
        self._child.end()
        self._child = _Child(self._program, self._job)

    def close(self) -> None:
        self._child.end()


class _Child:
    """One process and the thread that listens to it."""

    def __init__(self, program: str, job: str) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._inbox: SimpleQueue[str] = SimpleQueue()
        self._ready = threading.Event()
        self.process = start_child(program, self._words)
        self._listener = threading.Thread(target=self._listen, args=(job,), daemon=True)
        self._listener.start()

    def is_ready(self) -> bool:
        return self._ready.is_set() and self.process.poll() is None

    def wait_ready(self, timeout_s: float) -> bool:
        return self._ready.wait(timeout_s) and self.process.poll() is None

    def send(self, line: str) -> None:
        """Send a line, on a thread of its own where the pipe is full: a child that does not read delays nobody."""
        threading.Thread(target=self._write, args=(line,), daemon=True).start()

    def receive(self, timeout_s: float) -> str | None:
        """Return the next line; "" where the process has ended, None where nothing came in time."""
        try:
            return self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        except Empty:
            return None

    def last_words(self) -> str:
        self._words.seek(max(self._words.seek(0, os.SEEK_END) - LAST_WORDS, 0))
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self._words.close()

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _listen(self, job: str) -> None:
        assert self.process.stdout is not None
        self._write(job)
        for line in self.process.stdout:
            if not self._ready.is_set():
                self._ready.set()
                continue
            self._inbox.put(line.rstrip("\n"))
        self._inbox.put("")
