"""Who solves the parts: this process, or worker processes with one thread each that keep their programmes.

Workers are told arrays and tell arrays (no pickle; not `multiprocessing`, which runs the caller's main module
again). Every part has its home, so that its programme stays warm there and the answer does not depend on who is
quicker.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

import pdnopt
from pdnopt.balancing.data import Structure
from pdnopt.balancing.levels.partial import PartAnswer, PartProgramme
from pdnopt.balancing.reach import Reach
from pdnopt.children import ONE_THREAD
from pdnopt.errors import SolveError

__all__ = ["Bench", "Crew", "Job", "read_exactly", "read_frame", "structures_of", "write_frame"]

HEADER = struct.Struct("=BQ")
BUILD, SOLVE, DONE, KEEP, REWIND = 1, 2, 3, 4, 5
TERMS = ("violations", "vuf", "spread", "spread_sum", "neutral", "losses", "effort")

Job = tuple[int, np.ndarray]
"""A part and its numbers: those of a `PartPoint` one after another."""


class Bench:
    """Programmes of some parts in one process.

    Parameters
    ----------
    parts : sequence of (Structure, heads)
    """

    def __init__(self, parts: Sequence[tuple[Structure, np.ndarray]]) -> None:
        self.programmes = [PartProgramme(structure, heads) for structure, heads in parts]

    def solve(self, job: Job, least: Sequence[str], deadline_s: float) -> PartAnswer:
        """Solve one part; ``least``: only the least values of these terms."""
        part, numbers = job
        if time.perf_counter() > deadline_s:
            return self.programmes[part].late()
        if least:
            return self.programmes[part].least(numbers, tuple(least), deadline_s)
        return self.programmes[part].solve(numbers, deadline_s)

    def keep(self) -> None:
        """Keep where every programme starts from: `rewind` goes back to it."""
        for programme in self.programmes:
            programme.programme.keep()

    def rewind(self) -> None:
        """Forget what was solved since `keep`."""
        for programme in self.programmes:
            programme.programme.rewind()


class Crew:
    """Solves parts; with ``workers`` > 1 in so many processes. Close it, or let it go.

    Parameters
    ----------
    parts : sequence of (Structure, heads)
    workers : int
    """

    def __init__(self, parts: Sequence[tuple[Structure, np.ndarray]], workers: int) -> None:
        self.sizes = [3 * len(structure.loss) for structure, _ in parts]
        self._bench = Bench(parts) if workers <= 1 else None
        self.children: list[subprocess.Popen[bytes]] = []
        if workers <= 1:
            return
        # largest first, each to whom has least: the same every time
        order = sorted(range(len(parts)), key=lambda k: (-self.sizes[k], k))
        load = np.zeros(workers)
        self.home, self.place = np.zeros(len(parts), dtype=int), np.zeros(len(parts), dtype=int)
        mine: list[list[int]] = [[] for _ in range(workers)]
        for k in order:
            who = int(np.argmin(load))
            load[who] += self.sizes[k]
            self.home[k], self.place[k] = who, len(mine[who])
            mine[who].append(k)
        self.children = [_start() for _ in range(workers)]
        self._finalizer = weakref.finalize(self, _end, self.children)
        for child, own in zip(self.children, mine, strict=True):
            write_frame(_pipe(child.stdin), BUILD, _packed([parts[k] for k in own]))
        for child in self.children:
            self._hear(child)

    def close(self) -> None:
        """End the workers."""
        if self.children:
            self._finalizer()

    def keep(self) -> None:
        """Keep where every programme starts from: `rewind` goes back to it."""
        self._tell(KEEP)

    def rewind(self) -> None:
        """Forget what was solved since `keep`, so that an answer does not depend on it."""
        self._tell(REWIND)

    def _tell(self, kind: int) -> None:
        if self._bench is not None:
            (self._bench.keep if kind == KEEP else self._bench.rewind)()
        for child in self.children:
            write_frame(_pipe(child.stdin), kind, b"")

    def solve(
        self, jobs: Sequence[Job], least: Sequence[str] = (), deadline_s: float = inf
    ) -> dict[int, PartAnswer]:
        """Solve parts and return their answers by number."""
        if self._bench is not None:
            return {job[0]: self._bench.solve(job, least, deadline_s) for job in jobs}
        left_s = deadline_s - time.perf_counter()
        which = np.array([TERMS.index(name) for name in least], dtype=float)
        sent: list[list[int]] = []
        for who, child in enumerate(self.children):
            own = [job for job in jobs if self.home[job[0]] == who]
            sent.append([job[0] for job in own])
            if own:
                numbers = [np.array([len(own), left_s, len(which)]), which]
                for part, values in own:
                    numbers += [np.array([self.place[part], len(values)], dtype=float), values]
                write_frame(_pipe(child.stdin), SOLVE, np.concatenate(numbers).tobytes())
        answers = {}
        for child, parts in zip(self.children, sent, strict=True):
            if parts:
                told = np.frombuffer(self._hear(child), dtype=float)
                at = 0
                for part in parts:
                    n = self.sizes[part]
                    head, s = told[at : at + 2 + len(TERMS)], told[at + 2 + len(TERMS) :][: 2 * n]
                    terms = dict(zip(TERMS, map(float, head[2:]), strict=True))
                    answers[part] = PartAnswer(bool(head[0]), float(head[1]), terms, s[:n] + 1j * s[n:])
                    at += 2 + len(TERMS) + 2 * n
        return answers

    def _hear(self, child: subprocess.Popen[bytes]) -> bytes:
        try:
            kind, payload = read_frame(_pipe(child.stdout))
        except EOFError as error:
            raise SolveError(
                "a worker of the zones has ended: run again with fewer workers (workers=1), or more memory."
            ) from error
        assert kind == DONE
        return payload


def _start() -> subprocess.Popen[bytes]:
    root = str(Path(pdnopt.__file__).parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    env = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
    command = [sys.executable, "-m", "pdnopt.balancing.levels.worker"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.kill()
        child.wait()
    children.clear()


def _pipe(pipe: Any) -> Any:
    assert pipe is not None
    return pipe


def write_frame(pipe: Any, kind: int, payload: bytes) -> None:
    """Write one message. Raises SolveError where nobody reads it any more."""
    try:
        pipe.write(HEADER.pack(kind, len(payload)))
        pipe.write(payload)
        pipe.flush()
    except (BrokenPipeError, ValueError) as error:
        raise SolveError("a worker of the zones has ended: build the session again.") from error


def read_exactly(pipe: Any, n: int) -> bytes:
    """Read n bytes. Raises EOFError where the other end is gone."""
    parts: list[bytes] = []
    while n:
        part = pipe.read(n)
        if not part:
            raise EOFError
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def read_frame(pipe: Any) -> tuple[int, bytes]:
    """Read one message."""
    kind, length = HEADER.unpack(read_exactly(pipe, HEADER.size))
    return kind, read_exactly(pipe, length)


SPARSE: dict[str, Callable[[Structure], csr_array]] = {
    "y": lambda s: s.y,
    "enters": lambda s: s.enters,
    "at_source": lambda s: s.at_source,
    "current": lambda s: s.current,
    "two": lambda s: s.two,
    "reach_voltage": lambda s: s.reach.voltage,
    "reach_current": lambda s: s.reach.current,
    "reach_before": lambda s: s.reach.before,
    "reach_beyond": lambda s: s.reach.beyond,
}
DENSE = ("limit", "scale", "counts", "v_min", "v_max", "loss")


def _packed(parts: Sequence[tuple[Structure, np.ndarray]]) -> bytes:
    arrays: dict[str, np.ndarray] = {"count": np.array(len(parts))}
    for k, (s, heads) in enumerate(parts):
        arrays[f"{k}.heads"] = heads
        for name in DENSE:
            arrays[f"{k}.{name}"] = getattr(s, name)
        for name, get in SPARSE.items():
            m = csr_array(get(s))
            for word in ("data", "indices", "indptr"):
                arrays[f"{k}.{name}.{word}"] = getattr(m, word)
            arrays[f"{k}.{name}.size"] = np.array(m.shape)
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def structures_of(payload: bytes) -> list[tuple[Structure, np.ndarray]]:
    """Return the parts that were packed."""
    parts = []
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        for k in range(int(arrays["count"])):
            sparse: dict[str, Any] = {}
            for name in SPARSE:
                data, indices, indptr = (
                    arrays[f"{k}.{name}.{word}"] for word in ("data", "indices", "indptr")
                )
                n, m = (int(x) for x in arrays[f"{k}.{name}.size"])
                sparse[name] = csr_array((data, indices, indptr), shape=(n, m))
            reach = Reach(
                *(sparse.pop(f"reach_{word}") for word in ("voltage", "current", "before", "beyond"))
            )
            dense: dict[str, Any] = {name: arrays[f"{k}.{name}"] for name in DENSE}
            parts.append((Structure(reach=reach, sized_link=True, **sparse, **dense), arrays[f"{k}.heads"]))
    return parts
