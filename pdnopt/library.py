"""Find a network: a case by its name, or a file by its path."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue

__all__ = ["load_case"]


def load_case(name: str | Path) -> Any:
    """Load a case by name, or a network from a JSON file. Nothing that a file names is imported.

    Parameters
    ----------
    name : str or Path
        A name of ``pdnopt cases``, or a path to what ``pandapower.to_json`` wrote.

    Returns
    -------
    pandapowerNet

    Raises
    ------
    InputError
        No such case or file, or the file is not a network; all findings at once.
    """
    from cases import CASES, build

    text = str(name)
    if text in CASES:
        return build(text)
    path = Path(text)
    if path.suffix or path.exists() or len(path.parts) > 1:
        from pdnopt.plant.files import read_network

        return read_network(path)
    close = difflib.get_close_matches(text, CASES, 2)
    hint = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else "See `pdnopt cases`, or give a path to a JSON file."
    )
    raise InputError(Issue("InvalidName", "case", text, text, f"one of {', '.join(CASES)}, or a file", hint))
