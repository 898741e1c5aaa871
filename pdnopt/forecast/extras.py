"""Libraries that only some models need: imported when they are used; one that is missing says how to get it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pdnopt.errors import InputError, Issue

__all__ = ["need"]

EXTRA = {
    "lightgbm": "forecast",
    "onnxruntime": "forecast",
    "torch": "lstm",
    "onnx": "lstm",
}
"""Which extra of pdnopt brings which library."""


def need(library: str) -> Any:
    """Return a library.

    Raises
    ------
    InputError
        [MissingExtra] The library is not installed; the text names the extra that brings it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        extra = EXTRA[library]
        todo = f"Install it: pip install 'pdnopt[{extra}]'."
        found = f"not installed ({error})"
        raise InputError(
            Issue("MissingExtra", library, "", found, f"the extra {extra!r} of pdnopt", todo)
        ) from None
