"""HiGHS models in a process of their own, which is killed when its time is over.

HiGHS looks at its clock between steps, and some steps are long: presolve, one LP, a cut round. A `RemoteModel` has the
methods of a `HighsModel`; at the deadline it returns the best point and bound that the worker has told, and a worker that
has not ended by itself is killed and replaced. A worker that crashes, hangs or runs out of memory has found nothing
better, and that is all that the caller sees of it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

import pdnopt
from pdnopt.engine.highs import STATUSES, Outcome, SolverError, refuse_nan
from pdnopt.engine.wire import Kind, Message, WireError, decode, encode

__all__ = ["RemoteModel", "Worker"]

EARLY_SHARE, EARLY_S = 0.05, 0.05
"""HiGHS is told to end this part of the time left, this long at most, before the worker is killed."""

MOST_FAILED_STARTS = 3
"""A worker that has ended so often before it was ready cannot run here."""

FEASIBLE = 1e-6
"""A point that a worker tells before it has ended counts if it breaks nothing by more than this."""


class _GoneError(Exception):
    """The worker has ended, or talks nonsense."""


class _LateError(Exception):
    """The time is over."""


class Worker:
    """A process that is started when it is first needed, kept, and replaced once it was killed or has died."""

    def __init__(self) -> None:
        self.generation = 0
        self.usable = os.name == "posix" and bool(sys.executable)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner, self._ready, self._buffer = os.getpid(), False, bytearray()
        self._failed_starts = 0
        self._all: list[subprocess.Popen[bytes]] = []
        weakref.finalize(self, _end, self._all, self._owner)

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process unless it runs; it gets ready while the caller goes on."""
        if self._owner != os.getpid():  # after a fork the process belongs to the parent
            _end(self._all, self._owner)
            self._process, self._owner = None, os.getpid()
            weakref.finalize(self, _end, self._all, self._owner)
        self._all[:] = [
            process for process in self._all if process.poll() is None or process is self._process
        ]
        if self._process is not None or not self.usable:
            return
        root = str(Path(pdnopt.__file__).parents[1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        command = [sys.executable, "-m", "pdnopt.engine.worker"]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError:
            self.usable = False  # solve in this process, then
            return
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._process, self._ready, self._buffer = process, False, bytearray()
        self._all.append(process)
        self.generation += 1

    def drop(self) -> None:
        """Kill the process, without waiting for its end: the time is over. The next use starts another."""
        process = self._process
        if process is None:
            return
        if not self._ready and process.poll() is not None:
            self._failed_starts += 1
            self.usable = self._failed_starts < MOST_FAILED_STARTS  # else solve in this process from now on
        _close(process)
        process.kill()
        self._process = None

    def stop(self) -> None:
        """Kill the process, if there is one, and wait for its end."""
        self.drop()
        _end(self._all, self._owner)

    def send(self, message: Message, until_s: float) -> None:
        """Write a message. Raises _GoneError, or _LateError where the worker does not read in time."""
        self._await_ready(until_s)
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        for part in encode(message):
            view = memoryview(part)
            while view:
                _wait(until_s, writing=pipe)
                try:
                    view = view[os.write(pipe, view) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise _GoneError from error

    def receive(self, until_s: float) -> Message:
        """Read a message. Raises _GoneError, or _LateError where none has come in time."""

        def read(n: int) -> bytes:
            while len(self._buffer) < at[0] + n:
                self._fill(until_s)
            part = bytes(self._buffer[at[0] : at[0] + n])
            at[0] += n
            return part

        at = [0]
        try:
            message = decode(read)
        except WireError as error:
            raise _GoneError from error
        del self._buffer[: at[0]]
        return message

    def _fill(self, until_s: float) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        _wait(until_s, reading=pipe)
        try:
            part = os.read(pipe, 1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            raise _GoneError from error
        if not part:
            self._process.wait()
            raise _GoneError
        self._buffer += part

    def _await_ready(self, until_s: float) -> None:
        if self._process is None:
            raise _GoneError
        if not self._ready and self.receive(until_s).kind != Kind.READY:
            raise _GoneError
        self._ready = True


def _wait(until_s: float, reading: int | None = None, writing: int | None = None) -> None:
    """Wait until a pipe can be used. Raises _LateError where it cannot in time."""
    left = None if until_s == inf else max(until_s - time.perf_counter(), 0.0)
    ready = select.select(
        [] if reading is None else [reading], [] if writing is None else [writing], [], left
    )
    if not any(ready):
        raise _LateError


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _end(processes: list[subprocess.Popen[bytes]], owner: int) -> None:
    """Kill processes and wait for their end; a fork of their owner leaves them alone."""
    for process in processes:
        _close(process)
        if owner == os.getpid():
            process.kill()
            process.wait()
        else:
            process.returncode = 0  # not a child of this process
    processes.clear()


class RemoteModel:
    """A HiGHS model in a worker: what is set here is sent when it is solved, all of it where the worker is a new one.

    Parameters
    ----------
    worker : Worker
    slot : int
        Its number in the worker; models that are needed side by side have different ones.
    relax : bool
        Solve the LP relaxation; successive runs start from the last basis, unless the worker was replaced in between.
    found : callable, optional
        Called with (objective, bound) of every better point and bound that is told.
    """

    def __init__(
        self, worker: Worker, slot: int, relax: bool, found: Callable[[float, float], None] | None = None
    ) -> None:
        self.worker, self.slot, self.relaxed, self.found = worker, slot, relax, found
        self._generation = 0
        self._pending: list[Message] = []

    def load(
        self,
        matrix: csr_array,
        row_low: np.ndarray,
        row_high: np.ndarray,
        col_low: np.ndarray,
        col_high: np.ndarray,
        integer: np.ndarray,
    ) -> None:
        """Take over a whole model. Raises SolverError where data are not finite."""
        refuse_nan(matrix.data, {"row": (row_low, row_high), "column": (col_low, col_high)})
        self._matrix, self._integer = matrix, integer
        self._row_low, self._row_high = row_low.copy(), row_high.copy()
        self._col_low, self._col_high = col_low.copy(), col_high.copy()
        self._cost = np.zeros(len(col_low))
        self._generation = 0

    def set_cost(self, cost: np.ndarray) -> None:
        """Replace the whole objective."""
        if not np.isfinite(cost).all():
            raise SolverError("a cost is NaN or infinite")
        self._cost = cost.copy()
        self._pending.append(Message(Kind.COST, self.slot, (), (self._cost,)))

    def set_row_bounds(self, row: int, low: float, high: float) -> None:
        """Change the bounds of one row."""
        self._row_low[row], self._row_high[row] = low, high
        self._pending.append(Message(Kind.ROW, self.slot, (float(row), low, high)))

    def set_col_bounds(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Change bounds of some columns."""
        self._col_low[columns], self._col_high[columns] = low, high
        bounds = (columns.astype(np.int64), np.asarray(low, dtype=float), np.asarray(high, dtype=float))
        self._pending.append(Message(Kind.COLUMNS, self.slot, (), bounds))

    def solve(
        self,
        deadline_s: float = inf,
        gap_abs: float = 0.0,
        start: np.ndarray | None = None,
        max_nodes: int | None = None,
        believe: bool = False,
        dual: bool = False,
    ) -> Outcome:
        """Run once, as `HighsModel.solve` does; at the deadline this returns, whatever the worker does."""
        best = Outcome("no_incumbent", None, inf, -inf)
        if deadline_s - time.perf_counter() <= 0:
            return best
        self.worker.start()
        try:
            self._sync(deadline_s)
            left_s = deadline_s - time.perf_counter()
            left_s -= min(EARLY_SHARE * left_s, EARLY_S)
            nodes = -1.0 if max_nodes is None else float(max_nodes)
            numbers = (min(left_s, 1e9), gap_abs, nodes, float(believe), float(dual))
            arrays = () if start is None else (np.asarray(start, dtype=float),)
            self.worker.send(Message(Kind.SOLVE, self.slot, numbers, arrays), deadline_s)
            while (message := self.worker.receive(deadline_s)).kind == Kind.FOUND:
                best = self._better(message, best)
        except (_GoneError, _LateError):
            self.worker.drop()
            return best
        except BaseException:  # interrupted: what the worker still answers is of no question any more
            self.worker.stop()
            raise
        if message.kind != Kind.DONE:  # HiGHS gave up: out of memory, or worse
            self.worker.drop()
            return best
        return self._ended(message, best)

    def _sync(self, until_s: float) -> None:
        """Bring the worker's model up to date."""
        if self._generation != self.worker.generation:
            m = self._matrix
            matrix = (m.data.astype(float), m.indices.astype(np.int32), m.indptr.astype(np.int64))
            bounds = (self._row_low, self._row_high, self._col_low, self._col_high)
            load = Message(Kind.LOAD, self.slot, (float(self.relaxed),), (*matrix, *bounds, self._integer))
            self._pending = [load, Message(Kind.COST, self.slot, (), (self._cost,))]
        for message in self._pending:
            self.worker.send(message, until_s)
        self._pending, self._generation = [], self.worker.generation

    def _ended(self, message: Message, best: Outcome) -> Outcome:
        """Return what a solve that ended by itself has found; not less than it has told on the way."""
        code, value, bound = message.numbers
        x = np.array(message.arrays[0]) if message.arrays else None
        outcome = Outcome(STATUSES[int(code)], x, value, bound)
        if x is None and best.x is not None and outcome.status != "infeasible":
            return Outcome("feasible", best.x, best.objective, max(bound, best.bound))
        return outcome

    def _better(self, message: Message, best: Outcome) -> Outcome:
        """Return the best so far after one more message; a point counts only if it is feasible here too."""
        value, bound = message.numbers
        bound = max(best.bound, bound) if np.isfinite(bound) else best.bound
        x = np.array(message.arrays[0]) if message.arrays else None
        if x is not None and value < best.objective and self._feasible(x):
            best = Outcome("feasible", x, value, bound)
        else:
            best = Outcome(best.status, best.x, best.objective, bound)
        if self.found is not None:
            self.found(best.objective, best.bound)
        return best

    def _feasible(self, x: np.ndarray) -> bool:
        if len(x) != len(self._col_low) or not np.isfinite(x).all():
            return False
        at = self._matrix @ x
        room = FEASIBLE * np.maximum(1.0, np.abs(at))
        whole = x[self._integer]
        return bool(
            (at >= self._row_low - room).all()
            and (at <= self._row_high + room).all()
            and (x >= self._col_low - FEASIBLE).all()
            and (x <= self._col_high + FEASIBLE).all()
            and (np.abs(whole - np.round(whole)) <= FEASIBLE).all()
        )
