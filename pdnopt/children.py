"""Processes of our own that are spoken to by lines of text: the same modules as their parent, one solver thread each."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, Any

__all__ = ["ONE_THREAD", "start_child"]

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
"""What tells numerical libraries to use one thread: they read it once, when they are imported."""


def start_child(program: str, words: IO[Any]) -> subprocess.Popen[str]:
    """Start a process that runs a program's text with our search path.

    It is no ``multiprocessing``: that would run the caller's main module again and send pickles.

    Parameters
    ----------
    program : str
        Python, with ``{path}`` where the search path goes.
    words : file
        Takes what the child says on stderr.
    """
    return subprocess.Popen(
        [sys.executable, "-c", program.format(path=[path or os.getcwd() for path in sys.path])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        text=True,
        encoding="utf-8",
        env={**os.environ, **ONE_THREAD},
        start_new_session=True,  # Ctrl-C reaches the parent only
    )
