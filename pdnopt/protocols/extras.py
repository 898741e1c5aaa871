"""Libraries that only speaking to devices needs, imported when it does."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pdnopt.errors import InputError, Issue

__all__ = ["need"]


def need(module: str) -> Any:
    """Return a module of the extra "devices".

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        todo = "pip install 'pdnopt[devices]'"
        raise InputError(Issue("Missing", "environment", "", module, "the extra 'devices'", todo)) from None
