"""One component, followed reading by reading: references of its sensors, and what they say now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.risk.baseline import Baseline
from pdnopt.risk.detector import StreamingDetector
from pdnopt.risk.sensors import SENSORS

__all__ = ["LEARN_S", "LOADS", "Monitor", "Sign"]

LEARN_S = 14 * 86400.0
LOADS = ("current", "power", "speed")
"""What a symptom is compared at equal values of; the first that a component has."""
DAY = pd.Timedelta(days=1)
GAP_S = 6 * 3600.0
"""Time between two readings that counts at most: after a longer gap lags and means are not moved by what was not seen."""


@dataclass(frozen=True)
class Sign:
    """What one sensor says now.

    Parameters
    ----------
    sensor : str
    seen, expected : float
        Last reading, and the one expected at this load and ambient temperature; in the sensor's unit.
    level : float
        Smoothed difference at equal load: in the sensor's unit, or the logarithm of the ratio.
    z : float
        ``level`` in standard deviations of the reference.
    spread : float
        Logarithm of the standard deviation over that of the reference, at equal load.
    trend_per_day : float
    score : float
        Anomaly score 0..1: probability of a smaller deviation by chance.
    event : float
        Score 0..1 of the strongest event that began within the last day, by `pdnopt.risk.detector`; 0 where it is not asked.
    event_words : str
        What that event was.
    """

    sensor: str
    seen: float
    expected: float
    level: float
    z: float
    spread: float
    trend_per_day: float
    score: float
    event: float = 0.0
    event_words: str = ""


class Monitor:
    """Follows the sensors of one component in one pass; memory does not grow.

    Parameters
    ----------
    component : str
    symptoms : sequence of str
        Sensors to judge.
    learn_s : float
        How long the reference is learnt; after maintenance make a new Monitor.
    events : bool
        Whether to look for sudden events too, in what the reference does not explain; at most 1 ms a reading and sensor.
    """

    def __init__(
        self, component: str, symptoms: Sequence[str], learn_s: float = LEARN_S, events: bool = False
    ) -> None:
        wrong = [s for s in symptoms if s not in SENSORS or SENSORS[s].role != "symptom"]
        if wrong:
            allowed = ", ".join(s.name for s in SENSORS.values() if s.role == "symptom")
            raise InputError(
                Issue("UnknownSensor", "symptoms", component, wrong, f"of {allowed}", "Correct the list.")
            )
        self.component = component
        self.symptoms = tuple(symptoms)
        self.log = np.array([SENSORS[s].scale == "log" for s in symptoms], dtype=bool)
        self.base = Baseline(np.array([SENSORS[s].floor for s in symptoms]), learn_s)
        self.last: pd.Timestamp | None = None
        self.detectors = [StreamingDetector() for _ in symptoms] if events else []
        self.latest: dict[int, tuple[pd.Timestamp, float, str]] = {}
        """Of each symptom: when its last event began, its score, and what it was."""

    @property
    def learnt(self) -> float:
        """Return how much of the reference is learnt, 0..1."""
        return min(self.base.elapsed_s / self.base.learn_s, 1.0)

    def update(self, time: pd.Timestamp, values: Mapping[str, float]) -> None:
        """Take one reading of each sensor; those that are missing or NaN are gaps.

        Parameters
        ----------
        time : Timestamp
            With a zone, later than the last one.
        values : mapping
            Sensor -> value in the sensor's unit; loads and ambient temperature too.

        Raises
        ------
        InputError
            A time without a zone or not later than the last.
        """
        if time.tzinfo is None:
            raise InputError(
                Issue(
                    "TimezoneRequired",
                    "time",
                    self.component,
                    str(time),
                    "a time with a zone",
                    "Localise it.",
                )
            )
        if self.last is not None and time <= self.last:
            allowed = f"later than {self.last}"
            raise InputError(
                Issue(
                    "TimeOrder", "time", self.component, str(time), allowed, "Drop repeats and late readings."
                )
            )
        dt_s = 0.0 if self.last is None else min((time - self.last).total_seconds(), GAP_S)
        self.last = time
        y = np.array([values.get(s, np.nan) for s in self.symptoms], dtype=float)
        y = np.where(self.log, np.log(np.where(y > 0, y, np.nan)), y)
        load = next((values[s] for s in LOADS if s in values), 0.0)
        ambient = values.get("ambient_temperature", 0.0)
        n = len(y)
        self.base.update(dt_s, y, np.full(n, load), np.full(n, ambient))
        if self.base.fitted:
            self._detect(time, y)

    def _detect(self, time: pd.Timestamp, y: np.ndarray) -> None:
        """Let the detectors look at what the reference does not explain."""
        unexplained = np.where(np.isfinite(y), y - self.base.expected, np.nan)
        for k, detector in enumerate(self.detectors):
            detector.update(float(unexplained[k]), time)
            if detector.onset > 0.0 and (reasons := detector.reasons()):
                told = f"a sudden event in its {reasons[0].view}, {reasons[0].sigma:.1f} sigma, at {time:%Y-%m-%d %H:%M %Z}"
                self.latest[k] = (time, detector.onset, told)

    def signs(self) -> list[Sign]:
        """Return what each sensor says now; none while the reference is being learnt."""
        if self.base.learning:
            return []
        d = self.base.deviation()
        seen, expected = (np.where(self.log, np.exp(v), v) for v in (d.seen, d.expected))
        return [
            Sign(
                sensor,
                float(seen[k]),
                float(expected[k]),
                float(d.level[k]),
                float(d.z[k]),
                float(d.spread[k]),
                float(d.trend_per_day[k]),
                float(d.score[k]),
                *self._event(k),
            )
            for k, sensor in enumerate(self.symptoms)
            if np.isfinite(d.z[k])
        ]

    def _event(self, k: int) -> tuple[float, str]:
        """Return score and words of the event of a symptom, if it began within the last day."""
        if k not in self.latest or self.last is None or self.last - self.latest[k][0] > DAY:
            return 0.0, ""
        return self.latest[k][1:]
