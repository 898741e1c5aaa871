"""Numbers, times and lists of names as a reader expects them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite

__all__ = ["SPACE", "compact_names", "kw", "number", "percent", "plural", "seconds", "short"]

THIN = "\u202f"
"""Narrow no-break space, between thousands."""

SPACE = "\u00a0"
"""No-break space, before a unit."""


def number(value: float, digits: int = 1) -> str:
    """Return a number with narrow spaces between thousands; a dash for NaN and infinities."""
    if not isfinite(value):
        return "\u2013"
    text = f"{value:,.{digits}f}".replace(",", THIN)
    return text[1:] if text.startswith("-") and not text.strip("-0.,\u202f") else text.replace("-", "\u2212")


def kw(value: float) -> str:
    """Return a power with its unit."""
    return f"{number(value)}{SPACE}kW"


def percent(value: float, digits: int = 0) -> str:
    """Return a percentage with its unit."""
    return f"{number(value, digits)}{SPACE}%" if isfinite(value) else "\u2013"


def seconds(value: float) -> str:
    """Return a time in the unit that a person would use."""
    if not isfinite(value):
        return "never"
    if 0.0 < abs(value) < 0.1:
        return f"{number(1000.0 * value, 0)}{SPACE}ms"
    if abs(value) < 10.0:
        return f"{number(value, 2 if round(value, 1) != round(value, 2) else 1)}{SPACE}s"
    if abs(value) < 600.0:
        return f"{number(value, 0)}{SPACE}s"
    if abs(value) < 7200.0:
        return f"{number(value / 60.0, 0)}{SPACE}min"
    return f"{number(value / 3600.0, 1)}{SPACE}h"


def plural(count: int, noun: str) -> str:
    """Return ``3 racks``, ``1 rack``, ``2 switches``, ``2 contingencies``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number(count, 0)} {noun[:-1]}ies"
    return f"{number(count, 0)} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def short(name: str) -> str:
    """Return a component's name without its table: ``ups:UPS-A`` -> ``UPS-A``, ``bus:12`` -> ``bus 12``."""
    table, _, key = name.partition(":")
    return f"{table} {key}" if key.lstrip("-").isdigit() else key or name


def compact_names(names: Iterable[str], most: int = 12) -> str:
    """Return names in the order given, runs of numbers joined: ``R1, R2, R3, R7`` -> ``R1-R3, R7``."""
    runs: list[list[tuple[str, str]]] = []
    for stem, digits in (_split(short(name)) for name in names):
        if runs and digits and _follows(runs[-1], stem, digits):
            runs[-1].append((stem, digits))
        else:
            runs.append([(stem, digits)])
    parts: list[str] = []
    for run in runs:
        first, last = ("".join(run[k]) for k in (0, -1))
        parts += [f"{first}\u2013{last}"] if len(run) > 2 else ["".join(item) for item in run]
    if len(parts) > most:
        return ", ".join(parts[:most]) + f" and {len(parts) - most} more"
    return ", ".join(parts)


def _follows(run: list[tuple[str, str]], stem: str, digits: str) -> bool:
    """Return whether a name carries on a run, leading zeros included."""
    last_stem, last = run[-1]
    return bool(last) and stem == last_stem and digits == f"{int(last) + 1:0{len(last)}d}"


def _split(name: str) -> tuple[str, str]:
    """Return the name's stem and the digits at its end."""
    found = re.fullmatch(r"(.*?)(\d*)", name)
    return (found[1], found[2]) if found else (name, "")
