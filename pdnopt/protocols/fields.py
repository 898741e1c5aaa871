"""What a message or a file may hold: every field with its type and range, and all that is wrong with one, at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pdnopt.errors import Issue

__all__ = ["Field", "check_fields", "number", "text", "whole"]

SHOWN = 80  # characters of a wrong value


def _anything(value: Any) -> bool:
    return True


@dataclass(frozen=True)
class Field:
    """One field: what it may be (in words), and the test of it. ``kind``: of the finding where the test says no."""

    allowed: str
    test: Callable[[Any], bool] = _anything
    required: bool = True
    kind: str = "Type"


def text(required: bool = True, longest: int = 200, one_of: tuple[str, ...] = ()) -> Field:
    """Return a field of text."""
    if one_of:
        return Field(
            f"one of {', '.join(one_of)}",
            lambda value: isinstance(value, str) and value in one_of,
            required,
            "Enum",
        )
    allowed = f"text of 1 to {longest} characters"
    return Field(
        allowed,
        lambda value: isinstance(value, str) and 0 < len(value) <= longest and value.isprintable(),
        required,
    )


def whole(lowest: int, highest: int, required: bool = True) -> Field:
    """Return a field of a whole number."""
    return Field(
        f"a whole number from {lowest} to {highest}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest,
        required,
        "Range",
    )


def number(lowest: float = -math.inf, highest: float = math.inf, required: bool = True) -> Field:
    """Return a field of a finite number."""
    ends = "" if lowest == -math.inf and highest == math.inf else f" from {lowest:g} to {highest:g}"
    return Field(
        f"a finite number{ends}",
        lambda value: (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and lowest <= value <= highest
        ),
        required,
        "Range",
    )


def check_fields(
    data: Any, fields: Mapping[str, Field], path: str, id_: str = "", where: Callable[[str], str] = str
) -> list[Issue]:
    """Return what is wrong with a mapping: not a mapping, fields that are missing, unknown, or not as they must be.

    ``where`` makes of a field's path what is told, for instance with the line of a file.
    """
    if not isinstance(data, dict):
        names = ", ".join(fields)
        return [Issue("Type", where(path), id_, _short(data), f"a mapping with {names}", "Write it as one.")]
    inner = f"{path}." if path else ""
    issues = []
    for name, value in data.items():
        if name not in fields:
            at, allowed = where(f"{inner}{name}"), f"one of {', '.join(fields)}"
            issues.append(Issue("UnknownField", at, id_, _short(value), allowed, "Correct or remove it."))
    for name, field in fields.items():
        at = where(f"{inner}{name}")
        if name not in data:
            if field.required:
                issues.append(Issue("Missing", at, id_, None, field.allowed, "Add it."))
        elif not field.test(data[name]):
            issues.append(Issue(field.kind, at, id_, _short(data[name]), field.allowed, "Correct it."))
    return issues


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    told = value if isinstance(value, str) else repr(value)
    return told if len(told) <= SHOWN else told[:SHOWN] + "..."
