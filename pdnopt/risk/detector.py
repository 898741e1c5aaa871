"""Has this series just done something that it never did before? One value at a time, with bounded memory.

Five views (:mod:`pdnopt.risk.detector_views`) measure how far the present is from everything remembered; the tail of each
view's own recent novelties (:mod:`pdnopt.risk.detector_tail`) says how rare so much novelty is. With p the smallest of the
`VIEWS` probabilities:

1. score = 1 - min(1, VIEWS p) (Bonferroni): a series that goes on as before is at 0.95 or more at no more than about 5 %
   of its values, at 0.995 at no more than about 0.5 %.
2. Where p falls below 1 % something began (`onset`); within the next `QUIET` values only what is a hundred times rarer
   begins something else. So one event is one alarm, however long it lasts.

There is nothing to set for a series: no threshold, no period, no unit. Settings are constants of these modules, chosen on
series with anomalies put in (``tests/benchmarks/_anomaly_development.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from pdnopt.errors import InputError, Issue
from pdnopt.risk.detector_files import read_state, refusal, write_state
from pdnopt.risk.detector_history import Floats, History
from pdnopt.risk.detector_tail import Tail
from pdnopt.risk.detector_views import LONGEST_GAP, Novelty, make_views

__all__ = ["ALARM_SCORE", "Reason", "StreamingDetector"]

VIEWS = 5
MEMORY = 8192
"""Values remembered: 28 days of one every five minutes."""
ALARM_DECADES = 2.0
ALARM_SCORE = 1.0 - VIEWS * 10.0**-ALARM_DECADES
"""The score from which on something is called an anomaly; set before any labelled series was scored."""
AGAIN_DECADES = 2.0
QUIET = 200
RANGE_VALUES, RANGE_EVERY = 4000, 64
"""Values that the range of the series is taken from, and between two times that it is."""
LEARN_STEPS = 16
"""Time differences whose median is the step, where none was given."""


@dataclass(frozen=True)
class Reason:
    """What one view found in the last value.

    Parameters
    ----------
    view : str
        "value", "shape", "spread", "roughness" or "clock"; see :mod:`pdnopt.risk.detector_views`.
    score : float
        0..1, from this view alone.
    sigma : float
        How many standard deviations of a normal distribution are as rare.
    seen, expected : float
        What was seen, and the nearest that was seen before; unit of the series.
    distance, usual : float
        How far apart the two are (for a shape or spread: of all that it is made of), and how far 99 % of recent values
        were at most. Unit of the series; of "roughness" natural logarithms of the ratio.
    """

    view: str
    score: float
    sigma: float
    seen: float
    expected: float
    distance: float
    usual: float


class StreamingDetector:
    """Anomaly score of one series.

    Parameters
    ----------
    step_s : float, optional
        Time between two values; learnt from the first `LEARN_STEPS` time stamps where it is not given. Only the view of the
        clock and gaps need it.
    memory : int
        Values remembered, at least 1000.

    Attributes
    ----------
    score : float
        Of the last value, 0..1; what :meth:`update` returned.
    onset : float
        The score where something new began with the last value, else 0: one alarm an event.

    Examples
    --------
    >>> detector = StreamingDetector(step_s=300.0)
    >>> for value in [20.0, 21.0, 20.0, 21.0] * 200:
    ...     score = detector.update(value)
    >>> score
    0.0
    >>> detector.update(35.0) > ALARM_SCORE
    True
    >>> detector.reasons()[0].view
    'shape'
    """

    def __init__(self, step_s: float | None = None, memory: int = MEMORY) -> None:
        issues = []
        if step_s is not None and not (np.isfinite(step_s) and step_s > 0.0):
            issues.append(_issue("Range", "step_s", step_s, "> 0 s", "Give the time between two values."))
        if memory < 1000:
            issues.append(_issue("Range", "memory", memory, ">= 1000 values", "Remember more."))
        if issues:
            raise InputError(issues)
        self.step_s, self.memory = step_s, int(memory)
        self.score = self.onset = 0.0
        self._values = History(self.memory)
        self._range = 0.0
        self._views = make_views(self.memory, step_s)
        self._tails = {name: Tail() for name in self._views}
        self._novelties: dict[str, tuple[Novelty, float]] = {}
        self._time_s = np.nan
        self._differences: list[float] = []
        self._event_age, self._event_decades = QUIET + 1, 0.0

    def update(self, value: float, timestamp: Any = None) -> float:
        """Take in one value and return its score.

        Parameters
        ----------
        value : float
            NaN where it is missing: it scores 0, and what needs it says nothing for a while.
        timestamp : datetime, numpy.datetime64 or ISO text, optional
            UTC where it names no zone. Values that are missing since the last time stamp are marked as gaps.

        Returns
        -------
        float
            0..1 (equation 1); 0 in the first 200 values, while nothing is known.

        Raises
        ------
        InputError
            An infinite value; a time stamp that is none, or not after the one before. Nothing is taken in then.
        """
        value, time_s = self._checked(value, timestamp)
        for _ in range(self._missing(time_s)):
            self._take(np.nan)
        self._learn(time_s)
        decades = self._take(value)
        self.score = _score(decades)
        self.onset = self.score if self._begins(decades) else 0.0
        return self.score

    def reasons(self) -> list[Reason]:
        """Return what the views found in the last value, the rarest first; empty while too little is known."""
        return [
            Reason(
                view=name,
                score=_score(decades),
                sigma=max(float(-ndtri(10.0**-decades)), 0.0),
                seen=novelty.seen,
                expected=novelty.expected,
                distance=novelty.distance,
                usual=self._tails[name].threshold,
            )
            for name, (novelty, decades) in sorted(self._novelties.items(), key=lambda item: -item[1][1])
            if np.isfinite(self._tails[name].threshold)
        ]

    def _take(self, value: float) -> float:
        """Let every view look at a value; return the decades of the rarest novelty."""
        self._values.append(value)
        if self._values.count % RANGE_EVERY == 1 or self._range == 0.0:
            self._range = _range(self._values.rows[-RANGE_VALUES:])
        self._novelties = {}
        for name, view in self._views.items():
            novelty = view.look(self._values.rows, self._range)
            if novelty is not None:
                decades = self._tails[name].decades(novelty.distance, novelty.resolution)
                self._novelties[name] = (novelty, decades)
        return max((decades for _, decades in self._novelties.values()), default=0.0)

    def _begins(self, decades: float) -> bool:
        """Return whether an event begins (rule 2)."""
        self._event_age += 1
        needed = ALARM_DECADES + (self._event_decades + AGAIN_DECADES - ALARM_DECADES) * (
            self._event_age <= QUIET
        )
        if decades <= needed:
            return False
        self._event_age, self._event_decades = 0, decades
        return True

    def _checked(self, value: float, timestamp: Any) -> tuple[float, float]:
        """Return the value and its time in s, NaN where there is none."""
        issues = []
        if np.isinf(value):
            issues.append(
                _issue("NonFinite", "value", value, "a number, or NaN", "Mark a missing value as NaN.")
            )
        time_s = np.nan
        if timestamp is not None:
            time_s = _seconds(timestamp)
            if np.isnan(time_s):
                issues.append(
                    _issue("TimeOrder", "timestamp", timestamp, "a time", "Give a date and a time.")
                )
            elif time_s <= self._time_s:
                todo = "Drop the repetition, or sort the values."
                issues.append(
                    _issue("TimeOrder", "timestamp", str(timestamp), "later than the last one", todo)
                )
        if issues:
            raise InputError(issues)
        return float(value), time_s

    def _missing(self, time_s: float) -> int:
        """Return how many values are missing before this one."""
        if self.step_s is None or np.isnan(time_s) or np.isnan(self._time_s):
            return 0
        gap = max(round((time_s - self._time_s) / self.step_s) - 1, 0)
        if gap > LONGEST_GAP and "clock" in self._views:
            self._views["clock"] = make_views(self.memory, self.step_s)["clock"]
        return min(gap, LONGEST_GAP)

    def _learn(self, time_s: float) -> None:
        """Learn the step from the first time stamps."""
        if self.step_s is None and not np.isnan(time_s - self._time_s):
            self._differences.append(time_s - self._time_s)
            if len(self._differences) == LEARN_STEPS:
                self.step_s = float(np.median(self._differences))
                for name, view in make_views(self.memory, self.step_s).items():
                    self._views.setdefault(name, view)
                    self._tails.setdefault(name, Tail())
        if not np.isnan(time_s):
            self._time_s = time_s

    def _histories(self) -> Iterator[tuple[str, History]]:
        yield "values", self._values
        for name, tail in self._tails.items():
            yield f"tail.{name}", tail.recent
        for name, view in self._views.items():
            yield from ((f"view.{name}.{key}", history) for key, history in view.histories().items())

    def save(self, path: str | Path) -> None:
        """Write the whole state to an ``.npz`` file, so that :meth:`load` goes on as if nothing had happened."""
        histories = dict(self._histories())
        state = {
            "step_s": self.step_s,
            "memory": self.memory,
            "score": self.score,
            "onset": self.onset,
            "range": self._range,
            "time_s": None if np.isnan(self._time_s) else self._time_s,
            "differences": self._differences,
            "event": [self._event_age, self._event_decades],
            "counts": {key: history.count for key, history in histories.items()},
            "tails": {name: [float(tail.threshold), tail.xi] for name, tail in self._tails.items()},
        }
        write_state(path, state, {key: history.rows for key, history in histories.items()})

    @classmethod
    def load(cls, path: str | Path) -> StreamingDetector:
        """Return the detector that :meth:`save` wrote.

        Raises
        ------
        InputError
            The file is no such state, or of another version.
        """
        state, arrays = read_state(path)
        try:
            return cls._restored(state, arrays)
        except (ValueError, KeyError, TypeError) as error:  # an InputError is a ValueError
            raise refusal(path, error) from None

    @classmethod
    def _restored(cls, state: dict[str, Any], arrays: dict[str, Floats]) -> StreamingDetector:
        found = cls(state["step_s"], state["memory"])
        found.score, found.onset, found._range = state["score"], state["onset"], state["range"]
        found._time_s = np.nan if state["time_s"] is None else state["time_s"]
        found._differences = list(state["differences"])
        found._event_age, found._event_decades = state["event"]
        for name, (threshold, xi) in state["tails"].items():
            found._tails[name].threshold, found._tails[name].xi = threshold, xi
        for key, history in found._histories():
            history.restore(arrays[key], state["counts"][key])
        return found


def _score(decades: float) -> float:
    """Equation 1."""
    return float(1.0 - min(1.0, VIEWS * 10.0**-decades))


def _range(values: Floats) -> float:
    """Return what is not exceeded by 96 % of the values; never 0 where there is one."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0
    low, high = np.quantile(known, (0.02, 0.98))
    return float(high - low) or float(np.ptp(known)) or float(np.abs(known).max()) * 1e-6 or 1e-12


def _seconds(timestamp: Any) -> float:
    """Return seconds since 1970, NaN where this is no time."""
    try:
        if isinstance(timestamp, str):
            timestamp = datetime.fromisoformat(timestamp)
        if isinstance(timestamp, datetime) and timestamp.tzinfo is not None:
            return timestamp.timestamp()
        moment = np.datetime64(timestamp, "us")
    except (TypeError, ValueError):
        return np.nan
    if not isinstance(timestamp, datetime | np.datetime64):  # a bare number would be microseconds
        return np.nan
    return np.nan if np.isnat(moment) else float(moment.astype(np.int64)) / 1e6


def _issue(kind: str, field: str, value: Any, allowed: str, todo: str) -> Issue:
    return Issue(kind, f"detector.{field}", "", value, allowed, todo)
