"""The worker process: HiGHS models that a session can kill. ``python -m pdnopt.engine.worker``

It reads messages from its standard input and answers on its standard output (:mod:`pdnopt.engine.wire`); better points
and bounds go out as soon as HiGHS finds them. It imports numpy and highspy only, and ends when the other end of its input
is gone, in the middle of a solve too.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from math import inf
from typing import NamedTuple

import numpy as np

from pdnopt.engine.highs import STATUSES, HighsModel, SolverError
from pdnopt.engine.wire import Kind, Message, decode, encode

__all__ = ["Rows", "main"]

BOUND_EVERY_S = 0.02
"""Bounds without a better point are told this often at most."""


class Rows(NamedTuple):
    """A sparse matrix by rows: what `HighsModel.load` reads of one, without scipy (0.1 s to import)."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]


class _Worker:
    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.models: dict[int, HighsModel] = {}
        self.told_s = 0.0

    def read(self, n: int) -> bytes:
        parts = []
        while n:
            part = os.read(self.source, min(n, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def tell(self, message: Message) -> None:
        for part in encode(message):
            view = memoryview(part)
            while view:
                view = view[os.write(self.sink, view) :]

    def serve(self) -> None:
        self.tell(Message(Kind.READY, 0))
        while True:
            message = decode(self.read)
            try:
                self._do(message)
            except SolverError:
                self.models.pop(message.slot, None)
                if message.kind == Kind.SOLVE:  # the one message that waits for an answer
                    self.tell(Message(Kind.REFUSED, message.slot))

    def _do(self, message: Message) -> None:
        slot, numbers, arrays = message.slot, message.numbers, message.arrays
        if message.kind == Kind.LOAD:
            data, indices, indptr, row_low, row_high, col_low, col_high, integer = arrays
            matrix = Rows(data, indices, indptr, (len(row_low), len(col_low)))
            model = self.models[slot] = HighsModel(relax=bool(numbers[0]))
            model.load(matrix, row_low, row_high, col_low, col_high, integer.astype(bool))
            model.watch(lambda x, value, bound: self._found(slot, x, value, bound))
        elif slot not in self.models:
            raise SolverError("there is no such model")
        elif message.kind == Kind.COST:
            self.models[slot].set_cost(arrays[0])
        elif message.kind == Kind.ROW:
            self.models[slot].set_row_bounds(int(numbers[0]), numbers[1], numbers[2])
        elif message.kind == Kind.COLUMNS:
            self.models[slot].set_col_bounds(*arrays)
        elif message.kind == Kind.SOLVE:
            self._solve(slot, numbers, arrays)

    def _solve(self, slot: int, numbers: tuple[float, ...], arrays: tuple[np.ndarray, ...]) -> None:
        left_s, gap, nodes, believe, dual = numbers
        outcome = self.models[slot].solve(
            time.perf_counter() + left_s,
            gap,
            arrays[0] if arrays else None,
            None if nodes < 0 else int(nodes),
            bool(believe),
            bool(dual),
        )
        x = () if outcome.x is None else (outcome.x,)
        status = float(STATUSES.index(outcome.status))
        self.tell(Message(Kind.DONE, slot, (status, outcome.objective, outcome.bound), x))

    def _found(self, slot: int, x: np.ndarray | None, value: float, bound: float) -> None:
        now = time.perf_counter()
        if x is not None or now > self.told_s + BOUND_EVERY_S:
            self.told_s = now
            self.tell(
                Message(Kind.FOUND, slot, (value if x is not None else inf, bound), () if x is None else (x,))
            )


def _end_with(source: int) -> None:
    """End at once when nobody can write to the input any more: the session is gone, whatever HiGHS is doing."""
    poll = select.poll()
    poll.register(source, 0)  # a hang-up is always reported
    poll.poll()
    os._exit(0)


def main() -> None:
    """Serve until the input ends."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what a library prints is no message
    threading.Thread(target=_end_with, args=(source,), daemon=True).start()
    try:
        _Worker(source, sink).serve()
    except (EOFError, BrokenPipeError):
        sys.exit(0)


if __name__ == "__main__":
    main()
