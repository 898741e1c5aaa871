"""A forecast that a station announces: what it expects of its own circuits, as quantiles.

JSON, one message for a part of the circuits (`parts_of` cuts what is too large for one)::

    {"made_s": 1.8e9, "begin_s": 1.8e9, "step_s": 900.0, "model": "0003", "warnings": [],
     "quantiles": [0.1, 0.5, 0.9], "kw": {"load:L1": [[1.0, 1.2, 1.5], ...one row a step]}}
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from pdnopt.errors import InputError
from pdnopt.protocols.fields import Field, check_fields, number
from pdnopt.protocols.wire import MAX_BYTES, parse

__all__ = ["Announcement", "parse_announcement", "parts_of"]

MAX_STEPS = 10_000
MAX_WARNINGS = 5
LONGEST_S = 366 * 86400.0


@dataclass(frozen=True)
class Announcement:
    """A forecast of some circuits.

    Attributes
    ----------
    made_s : float
        When, UTC, seconds since 1970.
    begin_s : float
        Begin of the first step, UTC.
    step_s : float
    model : str
        Version of the deployed model; "" where a folder without versions is used.
    quantiles : tuple of float
        Rising.
    kw : dict
        Circuit -> one row a step, one value a quantile.
    warnings : tuple of str
        What stood in for the model, and why; none: it is the model's own answer.
    """

    made_s: float
    begin_s: float
    step_s: float
    model: str
    quantiles: tuple[float, ...]
    kw: dict[str, list[list[float]]]
    warnings: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parts_of(whole: Announcement, max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """Yield the messages that say it all, each within ``max_bytes``; a circuit that is too long by itself is left out."""
    raw = whole.to_bytes()
    if len(raw) <= max_bytes:
        yield raw
        return
    names = list(whole.kw)
    if len(names) < 2:
        return
    half = len(names) // 2
    for some in (names[:half], names[half:]):
        yield from parts_of(replace(whole, kw={name: whole.kw[name] for name in some}), max_bytes)


def parse_announcement(raw: bytes, max_bytes: int = MAX_BYTES) -> Announcement:
    """Return what a message announces.

    Raises
    ------
    InputError
        With everything that is wrong with it.
    """
    data = parse(raw, max_bytes)
    issues = check_fields(data, _FIELDS, "announcement")
    if not issues:
        shape = Field(
            f"rows of {len(data['quantiles'])} finite numbers that do not fall, the same number of rows for every circuit",
            lambda kw: _is_table(kw, len(data["quantiles"])),
        )
        issues = check_fields({"kw": data["kw"]}, {"kw": shape}, "announcement")
    if issues:
        raise InputError(issues)
    return Announcement(
        **{**data, "quantiles": tuple(data["quantiles"]), "warnings": tuple(data["warnings"])}
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_rising(levels: Any) -> bool:
    return (
        isinstance(levels, list)
        and len(levels) > 0
        and all(map(_is_number, levels))
        and levels[0] > 0
        and levels[-1] < 1
        and all(a < b for a, b in pairwise(levels))
    )


def _is_table(kw: dict[str, Any], width: int) -> bool:
    lengths = set()
    for rows in kw.values():
        if not isinstance(rows, list) or not 0 < len(rows) <= MAX_STEPS:
            return False
        lengths.add(len(rows))
        for row in rows:
            if not isinstance(row, list) or len(row) != width or not all(map(_is_number, row)):
                return False
            if any(a > b for a, b in pairwise(row)):
                return False
    return len(lengths) == 1


_FIELDS = {
    "made_s": number(),
    "begin_s": number(),
    "step_s": number(1.0, LONGEST_S),
    "model": Field(
        "text of at most 40 characters", lambda value: isinstance(value, str) and len(value) <= 40
    ),
    "quantiles": Field("rising numbers between 0 and 1", _is_rising),
    "kw": Field("circuit -> rows", lambda value: isinstance(value, dict) and len(value) > 0),
    "warnings": Field(
        f"at most {MAX_WARNINGS} texts",
        lambda value: (
            isinstance(value, list)
            and len(value) <= MAX_WARNINGS
            and all(isinstance(item, str) and len(item) <= 500 for item in value)
        ),
    ),
}
