"""A worker of the zones: builds programmes, then solves them as told. ``python -m pdnopt.balancing.levels.worker``

It reads frames from its standard input and answers on its standard output (`pdnopt.balancing.levels.crew`), and
ends when its input does.
"""

from __future__ import annotations

import os
import time

import numpy as np

from pdnopt.balancing.levels.crew import (
    BUILD,
    DONE,
    KEEP,
    REWIND,
    TERMS,
    Bench,
    read_frame,
    structures_of,
    write_frame,
)
from pdnopt.errors import SolveError

__all__ = ["main"]


def main() -> None:
    """Serve until the input ends."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what a library prints is no message
    bench = Bench([])
    while True:
        try:
            kind, payload = read_frame(source)
        except EOFError:
            return
        try:
            if kind == BUILD:
                bench = Bench(structures_of(payload))
                write_frame(sink, DONE, b"")
            elif kind == KEEP:
                bench.keep()
            elif kind == REWIND:
                bench.rewind()
            else:
                write_frame(sink, DONE, _solved(bench, np.frombuffer(payload, dtype=float)))
        except SolveError:  # nobody reads
            return


def _solved(bench: Bench, told: np.ndarray) -> bytes:
    count, left_s, n_least = told[0], told[1], int(told[2])
    least = [TERMS[int(k)] for k in told[3 : 3 + n_least]]
    deadline_s = time.perf_counter() + left_s
    at, out = 3 + n_least, []
    for _ in range(int(count)):
        part, length = int(told[at]), int(told[at + 1])
        answer = bench.solve((part, told[at + 2 : at + 2 + length]), least, deadline_s)
        at += 2 + length
        terms = [answer.terms[name] for name in TERMS]
        out.append(np.array([float(answer.solved), answer.over, *terms]))
        out += [answer.s_pu.real, answer.s_pu.imag]
    return np.concatenate(out).tobytes()


if __name__ == "__main__":
    main()
