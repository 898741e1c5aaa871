"""Messages between a session and its worker: numbers and arrays as raw bytes, nothing that is executed.

A message is a header (magic, kind, slot, how many numbers and arrays), the numbers as doubles, and of each array its kind,
length and bytes. Both ends are the same machine, so bytes are in its own order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

__all__ = ["Kind", "Message", "WireError", "decode", "encode"]

MAGIC = b"pdn1"
HEADER = struct.Struct("=4sBBHH")
ARRAY = struct.Struct("=BQ")
DTYPES = tuple(np.dtype(name) for name in ("f8", "i8", "i4", "u1"))

MOST_BYTES = 1 << 32
"""No array is longer than this: what claims to be is not from the other end."""


class WireError(ValueError):
    """What came is no message."""


class Kind(IntEnum):
    """What a message says: the first five to the worker, the rest from it."""

    LOAD = 1
    COST = 2
    ROW = 3
    COLUMNS = 4
    SOLVE = 5
    READY = 11
    FOUND = 12
    DONE = 13
    REFUSED = 14


class Message(NamedTuple):
    """One message; ``slot`` is the model that it is about."""

    kind: Kind
    slot: int
    numbers: tuple[float, ...] = ()
    arrays: tuple[np.ndarray, ...] = ()


def encode(message: Message) -> list[bytes | memoryview]:
    """Return the parts to write, arrays without a copy where they are of a known kind already."""
    numbers, arrays = message.numbers, message.arrays
    head = HEADER.pack(MAGIC, message.kind, message.slot, len(numbers), len(arrays))
    parts: list[bytes | memoryview] = [head + struct.pack(f"={len(numbers)}d", *numbers)]
    for array in arrays:
        whole = np.ascontiguousarray(array.view("u1") if array.dtype == bool else array)
        parts.append(ARRAY.pack(DTYPES.index(whole.dtype), len(whole)))
        if len(whole):
            parts.append(whole.data.cast("B"))
    return parts


def decode(read: Callable[[int], bytes]) -> Message:
    """Read one message; ``read(n)`` returns exactly n bytes, or raises. Raises WireError for anything else."""
    magic, kind, slot, n_numbers, n_arrays = HEADER.unpack(read(HEADER.size))
    if magic != MAGIC or kind not in set(Kind):
        raise WireError("not a message of pdnopt's worker")
    numbers: Sequence[float] = struct.unpack(f"={n_numbers}d", read(8 * n_numbers))
    arrays = []
    for _ in range(n_arrays):
        code, length = ARRAY.unpack(read(ARRAY.size))
        if code >= len(DTYPES) or length * DTYPES[code].itemsize > MOST_BYTES:
            raise WireError("an array of a message is of no known kind")
        dtype = DTYPES[code]
        arrays.append(np.frombuffer(read(length * dtype.itemsize), dtype=dtype))
    return Message(Kind(kind), slot, tuple(numbers), tuple(arrays))
