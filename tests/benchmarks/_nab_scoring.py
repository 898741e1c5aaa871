"""The score of the Numenta Anomaly Benchmark, said again from its paper and its rules, and the files it is computed on.

Source: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta Anomaly Benchmark", ICMLA 2015,
sections II.B to II.D; the places where the paper leaves a choice follow the rules of the published software, so that
published rows can be compared.

An alarm is a point whose anomaly score reaches the threshold. With the scaled sigmoid S(y) = 2 / (1 + exp(5 y)) - 1:

1. A window pays for its first alarm only: S(y) / S(-1), where y goes from -1 at the first point of the window to almost 0
   at the last; a window without an alarm pays ``-fn``.
2. An alarm outside of the windows costs ``fp`` S(y), where y is the distance behind the last window in widths of that
   window; -1 where that is 3 or more, or where no window came before.
3. Nothing counts in the probationary part: the first 15 % of a file, at most 750 points.
4. The score of a corpus is 100 (sum - sum of no alarms) / (sum of the perfect detector - sum of no alarms).
5. One threshold holds for the whole corpus: the best one, as in the published rows, or one that is given.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.outside import outside

__all__ = [
    "PROBATION",
    "STANDARD",
    "LabelledSeries",
    "Profile",
    "Scored",
    "nab_folder",
    "probation",
    "read_nab",
    "score_at",
    "score_best",
]

Floats = NDArray[np.float64]

PROBATION = 0.15
"""Part of a file in which nothing counts."""

LONGEST = 5000
"""Points of a file beyond which the probationary part does not grow."""


@dataclass(frozen=True)
class Profile:
    """What a missed window and a false alarm cost, in units of what a window pays at most."""

    fn: float = 1.0
    fp: float = 0.11


STANDARD = Profile()
"""The weights of the benchmark's profile of that name."""


@dataclass(frozen=True, eq=False)
class LabelledSeries:
    """One file: when, what, and between which points (both included) something was anomalous."""

    name: str
    time: NDArray[np.datetime64]
    value: Floats
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Scored:
    """A score of a corpus, and how it came about."""

    score: float
    threshold: float
    windows: int
    found: int
    false_alarms: int
    by_file: Mapping[str, float]
    """Points of each file: what it paid above no alarm at all, in per cent of all windows; they sum up to the score."""


def nab_folder() -> Path | None:
    """Return the folder of the benchmark's files, or None where it is absent."""
    folder = outside("risk") / "NAB"
    return folder if folder.is_dir() else None


def read_nab(folder: Path) -> list[LabelledSeries]:
    """Return every file that is there, in alphabetical order, with its windows."""
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
    return [
        _read(path, path.relative_to(folder / "data").as_posix(), windows)
        for path in sorted((folder / "data").glob("*/*.csv"))
    ]


def _read(path: Path, name: str, windows: Mapping[str, list[list[str]]]) -> LabelledSeries:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    time = np.array([row["timestamp"] for row in rows], dtype="datetime64[us]")
    value = np.array([float(row["value"]) for row in rows])
    places = [
        tuple(int(np.flatnonzero(time == np.datetime64(end, "us"))[0]) for end in w) for w in windows[name]
    ]
    return LabelledSeries(name, time, value, tuple((a, b) for a, b in places))


def probation(points: int) -> int:
    """Return how many points at the beginning of a file do not count (rule 3)."""
    return int(np.ceil(min(np.floor(PROBATION * points), PROBATION * LONGEST)))


def _sigmoid(y: Floats) -> Floats:
    return 2.0 / (1.0 + np.exp(5.0 * y)) - 1.0


def weights(
    points: int, windows: Sequence[tuple[int, int]], profile: Profile
) -> tuple[Floats, NDArray[np.int64]]:
    """Return what an alarm at each point pays (rules 1 and 2), and the number of its window, -1 outside of all."""
    at = np.arange(points)
    pays = np.full(points, -profile.fp)
    which = np.full(points, -1)
    for k, (first, last) in enumerate(windows):
        width = last - first + 1
        behind = at > last
        y = (at[behind] - last) / (width - 1.0)
        pays[behind] = profile.fp * np.where(y >= 3.0, -1.0, _sigmoid(np.minimum(y, 3.0)))
        inside = slice(first, last + 1)
        pays[inside] = _sigmoid((at[inside] - last - 1.0) / width) / _sigmoid(np.array(-1.0))
        which[inside] = k
    return pays, which


@dataclass(frozen=True, eq=False)
class _Points:
    """Every point of the corpus that counts: score, pay, window (-1: none) and file."""

    score: Floats
    pays: Floats
    window: NDArray[np.int64]
    file: NDArray[np.int64]
    windows: int


def _points(corpus: Sequence[LabelledSeries], scores: Sequence[Floats], profile: Profile) -> _Points:
    parts, windows = [], 0
    for k, (series, score) in enumerate(zip(corpus, scores, strict=True)):
        if len(score) != len(series.value) or not np.isfinite(score).all():
            raise ValueError(f"{series.name}: {len(series.value)} finite scores are needed")
        pays, which = weights(len(score), series.windows, profile)
        counts = slice(probation(len(score)), None)
        which = np.where(which >= 0, which + windows, -1)
        parts.append(
            (np.asarray(score, float)[counts], pays[counts], which[counts], np.full(len(pays[counts]), k))
        )
        windows += len(series.windows)
    score, pays, which, file = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Points(score, pays, which, file, windows)


def _gains(points: _Points, profile: Profile) -> tuple[NDArray[np.int64], Floats]:
    """Return the points from the highest score down, and what each adds to the sum when the threshold passes it."""
    order = np.argsort(-points.score, kind="stable")
    gain = points.pays[order].copy()
    window = points.window[order]
    for k in range(points.windows):
        place = np.flatnonzero(window == k)
        best = np.maximum.accumulate(np.concatenate(([-profile.fn], gain[place])))
        gain[place] = np.diff(best)
    return order, gain


def score_at(
    corpus: Sequence[LabelledSeries], scores: Sequence[Floats], threshold: float, profile: Profile = STANDARD
) -> Scored:
    """Return the score with one threshold that was set before (rule 4)."""
    points = _points(corpus, scores, profile)
    order, gain = _gains(points, profile)
    alarm = points.score[order] >= threshold
    perfect = (1.0 + profile.fn) * points.windows
    by_file = 100.0 * np.bincount(points.file[order][alarm], gain[alarm], len(corpus)) / perfect
    hit = points.window[order][alarm]
    return Scored(
        score=float(by_file.sum()),
        threshold=float(threshold),
        windows=points.windows,
        found=len(np.unique(hit[hit >= 0])),
        false_alarms=int((hit < 0).sum()),
        by_file={series.name: float(part) for series, part in zip(corpus, by_file, strict=True)},
    )


def score_best(
    corpus: Sequence[LabelledSeries], scores: Sequence[Floats], profile: Profile = STANDARD
) -> Scored:
    """Return the score with the threshold that is best for the corpus as a whole, as in the published rows (rule 5)."""
    points = _points(corpus, scores, profile)
    order, gain = _gains(points, profile)
    ranked = points.score[order]
    whole = np.append(
        np.flatnonzero(np.diff(ranked)), len(ranked) - 1
    )  # equal scores pass the threshold together
    total = np.cumsum(gain)[whole]
    none = np.nextafter(ranked[0], np.inf)
    best = ranked[whole[total.argmax()]] if total.max() > 0.0 else none
    return score_at(corpus, scores, float(best), profile)
