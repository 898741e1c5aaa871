"""Why a file is not read or written."""

from __future__ import annotations

from typing import Any

from pdnopt.errors import InputError, Issue

__all__ = ["refusal"]


def refusal(kind: str, place: str, id_: str, value: Any, allowed: str, todo: str) -> InputError:
    """Return the error with one finding, to be raised."""
    return InputError(Issue(kind, place, id_, value, allowed, todo))
