"""Numbers that a window of readings is summarised by: vibration, voltage fluctuation, ISO 20816 zones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

__all__ = [
    "ZONES_MM_PER_S",
    "Vibration",
    "velocity_mm_per_s",
    "vibration_features",
    "vibration_zone",
    "voltage_fluctuation",
]

ZONES_MM_PER_S: dict[str, tuple[float, float, float]] = {
    "I": (0.71, 1.8, 4.5),
    "II": (1.12, 2.8, 7.1),
    "III": (1.8, 4.5, 11.2),
    "IV": (2.8, 7.1, 18.0),
}
"""Upper ends of zones A, B and C, RMS velocity 10-1000 Hz; ISO 10816-1 (1995), annex B, now ISO 20816-1: machines up to
15 kW (I), 15-75 kW (II), large on rigid (III) and on soft foundations (IV). D lies above."""


@dataclass(frozen=True)
class Vibration:
    """One window of a vibration signal.

    Parameters
    ----------
    rms : float
        Root mean square about the mean, in the signal's unit.
    peak : float
        Largest distance from the mean.
    crest_factor : float
        ``peak / rms``: 1.41 for a sine; above about 5 a bearing knocks.
    kurtosis : float
        Fourth standardised moment: 1.5 for a sine, 3 for noise, more for knocks.
    """

    rms: float
    peak: float
    crest_factor: float
    kurtosis: float


def vibration_features(signal: np.ndarray) -> Vibration:
    """Summarise one window of one axis; NaN are left out."""
    x = np.asarray(signal, dtype=float)
    x = x[np.isfinite(x)]
    if not len(x):
        return Vibration(np.nan, np.nan, np.nan, np.nan)
    x = x - x.mean()
    rms = float(np.sqrt((x**2).mean()))
    peak = float(np.abs(x).max())
    if rms == 0.0:
        return Vibration(0.0, 0.0, np.nan, np.nan)
    return Vibration(rms, peak, peak / rms, float((x**4).mean() / rms**4))


def velocity_mm_per_s(
    acceleration_m_per_s2: np.ndarray, rate_hz: float, low_hz: float = 10.0, high_hz: float = 1000.0
) -> float:
    """Return the RMS velocity of an acceleration signal, integrated in the frequency domain between two frequencies.

    ISO 20816 asks for 10-1000 Hz. A signal sampled slower than 2 ``high_hz`` holds less: the figure is then a lower bound,
    and no zone should be read from it.
    """
    a = np.asarray(acceleration_m_per_s2, dtype=float)
    spectrum = np.fft.rfft(a - a.mean()) / len(a)
    frequency = np.fft.rfftfreq(len(a), 1.0 / rate_hz)
    band = (frequency >= low_hz) & (frequency <= high_hz)
    velocity = spectrum[band] / (2j * np.pi * frequency[band])
    twice = np.where(frequency[band] == rate_hz / 2.0, 1.0, 2.0)  # the Nyquist line has no mirror
    return float(1e3 * np.sqrt((twice * np.abs(velocity) ** 2).sum()))


def vibration_zone(rms_mm_per_s: float, machine: str = "II") -> Literal["A", "B", "C", "D"]:
    """Return the zone of ISO 10816-1 / 20816-1 that an RMS velocity lies in, for a class of machine."""
    return "ABCD"[int(np.searchsorted(ZONES_MM_PER_S[machine], rms_mm_per_s))]  # type: ignore[return-value]


def voltage_fluctuation(voltage: pd.Series, window_s: float = 60.0, every_s: float = 900.0) -> pd.Series:
    """Return how much a voltage moves within short windows: the median over ``every_s`` of each window's standard deviation.

    The short window leaves out what regulators and the grid do slowly; the median leaves out single dips.

    Parameters
    ----------
    voltage : Series
        RMS values, at least three in each window, index of times.
    window_s, every_s : float
        Length of a window, and of what is summarised to one number, in s.
    """
    windows = voltage.resample(pd.Timedelta(seconds=window_s))
    deviation = windows.std().where(windows.count() >= 3)
    return deviation.resample(pd.Timedelta(seconds=every_s)).median().rename("voltage_fluctuation")
