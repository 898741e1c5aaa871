"""A pool of child processes that solve contingencies.

Not `multiprocessing`: a child started there runs the caller's main module again, which a script without a guard does not
survive, and it takes pickles. These children get and give lines of JSON (see `worker`), one solver thread each; one that
dies is replaced, and what it had not finished is done again.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from pdnopt.children import start_child
from pdnopt.errors import PdnoptError
from pdnopt.sweeps.job import Task, tasks_to_text
from pdnopt.sweeps.rows import Row, crashed_row
from pdnopt.sweeps.worker import raise_error

__all__ = ["Pool", "chunks_of"]

MAX_DEATHS = 3
"""Worker processes that one contingency may end before it is given up."""

MAX_CHUNK = 16
"""Most tasks that a worker is given at once."""

"""One thread a process: on busy cores more of them only wait for each other."""

PROGRAM = "import sys; sys.path[:] = {path!r}; from pdnopt.sweeps.worker import serve; serve()"

LAST_WORDS = 2000
"""Characters of what a dead worker wrote on stderr that an error shows."""


def chunks_of(tasks: Sequence[Task], workers: int) -> Iterator[list[Task]]:
    """Cut tasks into chunks of one load case, smaller towards the end so that no worker is left with much."""
    at = 0
    while at < len(tasks):
        size = max(1, min(MAX_CHUNK, (len(tasks) - at) // (4 * workers)))
        chunk = [task for task in tasks[at : at + size] if task.case == tasks[at].case]
        yield chunk
        at += len(chunk)


class Pool:
    """Worker processes for one job. Close it, or use it as a context.

    Parameters
    ----------
    job : str
        From `job.job_to_text`.
    workers : int
        How many processes.
    priorities : sequence of int
        Of the network's units: columns of the row of a contingency that nobody could solve.
    """

    def __init__(self, job: str, workers: int, priorities: Sequence[int] = ()) -> None:
        self.job, self.workers, self.priorities = job, workers, priorities
        self._inbox: SimpleQueue[tuple[_Child, str | None]] = SimpleQueue()
        self._children: list[_Child] = []
        self._idle: list[_Child] = []
        self._stillborn = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield a row for every number of every task, once, in the order in which they are done.

        Raises
        ------
        InputError
            What a session says of the network or the keywords.
        PdnoptError
            Workers that fail, or cannot be started.
        """
        todo = deque(chunks_of(tasks, self.workers))
        left = {number for task in tasks for number in task.numbers}
        deaths: Counter[int] = Counter()
        while left:
            while len(self._children) < min(self.workers, len(todo) + self._busy):
                self._children.append(_Child(self.job, self._inbox))
            while self._idle and todo:
                self._idle.pop().give(todo.popleft())
            child, line = self._inbox.get()
            if child not in self._children:
                continue
            for row in self._lost(child, todo, deaths) if line is None else self._heard(child, line):
                if row["number"] in left:
                    left.remove(row["number"])
                    yield row

    @property
    def _busy(self) -> int:
        return sum(1 for child in self._children if child not in self._idle)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [child.process.pid for child in self._children]

    def close(self) -> None:
        """End the workers, in the middle of a solve too."""
        for child in self._children:
            child.end()
        self._children, self._idle = [], []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _heard(self, child: _Child, line: str) -> list[Row]:
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise_error(message["error"])
        if "row" in message:
            return [message["row"]]
        if "ready" in message:
            self._stillborn = 0
        else:
            child.chunk = [task for task in child.chunk if task.number != message["done"]]
        if not child.chunk:
            self._idle.append(child)
        return []

    def _lost(self, child: _Child, todo: deque[list[Task]], deaths: Counter[int]) -> list[Row]:
        """Forget a worker that died, and have its tasks done by others; return the rows of what is given up."""
        self._children.remove(child)
        if child in self._idle:
            self._idle.remove(child)
        words = child.end()
        if not child.chunk:
            self._stillborn += 1
            if self._stillborn >= MAX_DEATHS:
                todo_next = "Free memory, or use fewer workers (workers=1: none)."
                raise PdnoptError(f"the workers of the sweep end before they begin. {todo_next}\n{words}")
            return []
        suspect, *innocent = child.chunk
        deaths[suspect.number] += 1
        again = [[task] for task in innocent]
        if deaths[suspect.number] < MAX_DEATHS:
            todo.extendleft([*reversed(again), [suspect]])
            return []
        again += [[Task(number, failed, suspect.case)] for number, failed in suspect.same]
        todo.extendleft(reversed(again))
        return [crashed_row(suspect.number, suspect.failed, self.priorities)]


class _Child:
    """One worker process, the thread that listens to it, and the tasks that it has not finished."""

    def __init__(self, job: str, inbox: SimpleQueue[tuple[_Child, str | None]]) -> None:
        self.chunk: list[Task] = []
        self._job, self._inbox = job, inbox
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = start_child(PROGRAM, self._words)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def give(self, chunk: list[Task]) -> None:
        """Send tasks; a worker that is dead already will be found so."""
        self.chunk = list(chunk)
        self._send(tasks_to_text(chunk))

    def end(self) -> str:
        """End the process and return the last that it wrote on stderr."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what could not be flushed to a dead process
                pipe.close()
        self._words.seek(max(self._words.seek(0, os.SEEK_END) - LAST_WORDS, 0))
        words = self._words.read().decode(errors="replace")
        self._words.close()
        return words

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _listen(self) -> None:
        """Send the job and pass on what comes back; None at the end."""
        assert self.process.stdout is not None
        self._send(self._job)
        for line in self.process.stdout:
            self._inbox.put((self, line))
        self._inbox.put((self, None))
