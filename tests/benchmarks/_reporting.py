"""What the benchmarks share: Markdown tables on the screen, and the machine that they ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

__all__ = ["OUT", "Aims", "Table", "machine", "milliseconds", "ratio"]

OUT = Path("out/bench")
"""Where `python -m tests.benchmarks` leaves its table and plots."""


class Table:
    """A Markdown table that is printed row by row, so that a long benchmark shows how far it is."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.row(*columns)
        print("|---" * len(columns) + "|", flush=True)

    def row(self, *cells: object) -> None:
        """Print one row."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


class Aims:
    """The table of aims at a benchmark's end; ``met`` says whether all of them were."""

    def __init__(self) -> None:
        self.met = True
        self.table = Table("what", "figure", "aim", "met")

    def add(self, what: str, figure: object, aim: object, met: bool) -> None:
        """Print one aim."""
        self.table.row(what, figure, aim, "yes" if met else "**no**")
        self.met &= bool(met)


def machine() -> str:
    """Return what a reader needs to compare times: cores, how busy they are, versions."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    parts = [f"{name} {version(name)}" for name in ("highspy", "pyomo", "pandapower", "numpy")]
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {load:.1f} jobs running on them; "
        f"Python {platform.python_version()}, {', '.join(parts)}"
    )


def milliseconds(times_s: Iterable[float], percentiles: Sequence[float] = (50, 99, 100)) -> list[str]:
    """Return percentiles of some times in ms as text; "-" where there are none. A time that was cut off is infinite."""
    times = np.asarray(list(times_s), dtype=float)
    if not len(times):
        return ["-"] * len(percentiles)
    found = np.percentile(times, percentiles, method="higher")
    return [f"{1e3 * t:.1f}" if np.isfinite(t) else "cut off" for t in found]


def ratio(theirs_s: Sequence[float], ours_s: Sequence[float], limit_s: float = np.inf) -> str:
    """Return the (lower) median ratio of two lists of times of the same jobs, ">" before it if that job was cut off."""
    theirs, ours = np.asarray(theirs_s, dtype=float), np.asarray(ours_s, dtype=float)
    if not len(theirs):
        return "-"
    ratios = np.minimum(theirs, limit_s) / ours
    middle = float(
        np.percentile(ratios, 50, method="lower")
    )  # one of them, so that a cut one is known as such
    cut = ~np.isfinite(theirs)
    return f"{'> ' if (cut & (ratios <= middle)).any() else ''}{middle:.2f}"
