"""Readings that are no measurements: meters that stand still, and single values that cannot be.

A value that is taken out becomes a gap, and every one is told. What is taken for a load, however odd: a circuit that always
draws the same, one that is off (0 kW), a jump to a level that the circuit has had before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.forecast.history import History

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "clean"]

FALSE_ALARM = 0.01
"""Probability at which a healthy circuit's whole history is taken to hold a run that long."""

LEAST_RUN = 6
"""Equal readings that a meter that stands still shows at least."""

HALF_WIDTH = 12
"""Readings on either side that Hampel's median is taken over."""

THRESHOLD = 6.0
"""Robust standard deviations (1.4826 median absolute deviations) beyond which a reading is suspect."""

LONGEST_OUTLIER = 2
"""Readings: what lasts longer is a load."""


@dataclass(frozen=True)
class Finding:
    """Readings that were taken out.

    Attributes
    ----------
    kind : {"flat_line", "outlier"}
    circuit : str
    start, end : Timestamp
        First and last of them.
    count : int
    value_kw : float
        What the meter said; of several, the first.
    text : str
        In words.
    """

    kind: str
    circuit: str
    start: pd.Timestamp
    end: pd.Timestamp
    count: int
    value_kw: float
    text: str


def clean(history: History) -> tuple[History, list[Finding]]:
    """Return the history with flat lines and outliers as gaps, and what was found, in order of circuit and time.

    A flat line is a run of equal readings that the circuit's own habit does not explain: with p the part of its readings
    that equal the one before, a run of n is expected by chance less than once in FALSE_ALARM^-1 histories of T readings if
    T p^n < FALSE_ALARM. The first reading of the run is kept. An outlier is beyond THRESHOLD of Hampel's identifier
    (Pearson et al. 2016), lasts at most LONGEST_OUTLIER readings, and lies outside all other readings of the circuit by
    more than half their range.
    """
    kw = history.kw.copy()
    findings: list[Finding] = []
    for c, name in enumerate(history.circuits):
        for kind, begin, end in (*flat_lines(kw[:, c]), *outliers(kw[:, c])):
            value = float(history.kw[begin, c])
            count = end - begin
            said = (
                f"{count} equal readings of {value:g} kW: the meter stands still"
                if kind == "flat_line"
                else f"{value:g} kW is far outside everything else that was read"
            )
            findings.append(
                Finding(kind, name, history.index[begin], history.index[end - 1], count, value, said)
            )
            kw[begin + (kind == "flat_line") : end, c] = np.nan
    return History(history.index, history.circuits, kw, history.step_s), findings


def flat_lines(kw: np.ndarray) -> list[tuple[str, int, int]]:
    """Return runs of equal readings that chance does not explain, as ("flat_line", begin, end): kw (T,)."""
    known = np.isfinite(kw)
    count = int(known.sum())
    same = np.zeros(len(kw), dtype=bool)
    same[1:] = known[1:] & known[:-1] & (kw[1:] == kw[:-1]) & (kw[1:] != 0.0)
    repeats = int(same.sum())
    if not repeats or repeats >= count - 1:
        return []
    shortest = max(LEAST_RUN, np.log(FALSE_ALARM / count) / np.log(repeats / (count - 1)))
    return [("flat_line", begin - 1, end) for begin, end in runs(same) if end - begin + 1 >= shortest]


def outliers(kw: np.ndarray) -> list[tuple[str, int, int]]:
    """Return single readings that cannot be, as ("outlier", begin, end): kw (T,)."""
    import pandas as pd

    width = 2 * HALF_WIDTH + 1
    series = pd.Series(kw)
    middle = series.rolling(width, center=True, min_periods=HALF_WIDTH).median().to_numpy()
    away = np.abs(kw - middle)
    spread = 1.4826 * pd.Series(away).rolling(width, center=True, min_periods=HALF_WIDTH).median().to_numpy()
    suspect = np.isfinite(away) & np.isfinite(spread) & (away > THRESHOLD * spread) & (away > 0)
    rest = kw[np.isfinite(kw) & ~suspect]
    if not len(rest):
        return []
    margin = 0.5 * (rest.max() - rest.min()) + 0.05 * np.abs(rest).max()
    beyond = suspect & ((kw > rest.max() + margin) | (kw < rest.min() - margin))
    return [("outlier", begin, end) for begin, end in runs(beyond) if end - begin <= LONGEST_OUTLIER]


def runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """Return begin and end (one past the last) of each stretch of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]
