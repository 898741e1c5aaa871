"""Series to choose an anomaly detector's settings on: real load series and made ones, every anomaly put in by this module.

None of them is a series of the Numenta Anomaly Benchmark. What is put in, where and how large is drawn from a fixed seed.
Real series have anomalies of their own that nobody labelled; an alarm there counts as false, for every setting alike.
The windows are made as that benchmark makes its own: 10 % of the series, shared by its anomalies, half of it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.benchmarks._nab_scoring import LabelledSeries

__all__ = ["development_series"]

Floats = NDArray[np.float64]
Generator = np.random.Generator

POINTS = 4000
WINDOWS = 0.10
"""Part of a series that its anomaly windows cover together."""


def development_series(folder: Path, seed: int = 1) -> list[LabelledSeries]:
    """Return the whole corpus.

    Parameters
    ----------
    folder : Path
        The data folder (``load`` and ``risk`` below it).
    seed : int
        Of the made series, and of what is put in where.
    """
    found = []
    for k, (name, step_s, value) in enumerate([*real_series(folder), *made_series(seed)]):
        found.append(with_anomalies(name, step_s, value, np.random.default_rng([seed, k])))
    return found


def _parts(name: str, step_s: int, value: Floats, most: int) -> Iterator[tuple[str, int, Floats]]:
    """Yield up to ``most`` parts of a long series, evenly spread; never one with gaps."""
    starts = np.unique(np.linspace(0, len(value) - POINTS, most).astype(int))
    for start in starts:
        part = value[start : start + POINTS]
        if len(part) == POINTS and np.isfinite(part).all() and np.ptp(part) > 0.0:
            yield f"{name}@{start}", step_s, np.array(part, float)


def real_series(folder: Path) -> Iterator[tuple[str, int, Floats]]:
    """Yield name, step and values of the real ones."""
    for name in ("ETTh1", "ETTh2"):
        frame = pd.read_csv(folder / "load" / f"{name}.csv")
        for column in frame.columns[1:]:
            yield from _parts(f"{name}/{column}", 3600, frame[column].to_numpy(float), 2)
    frame = pd.read_parquet(folder / "load" / "tetouan_3zones_10min.parquet")
    for column in ("Zone1", "Zone2", "Zone3", "Temperature", "Wind Speed"):
        yield from _parts(f"tetouan/{column}", 600, frame[column].to_numpy(float), 3)
    frame = pd.read_parquet(folder / "load" / "gefcom2014_E_hourly.parquet")
    for column in ("load_mw", "temp_f"):
        yield from _parts(f"gefcom/{column}", 3600, frame[column].to_numpy(float)[24 * 400 :], 3)
    frame = pd.read_parquet(folder / "load" / "gpu_servers_hourly.parquet")
    for server, rows in frame.groupby("name"):
        for column in ("powerave", "powermax", "tempave", "utilave"):
            yield from _parts(f"{server}/{column}", 3600, rows[column].to_numpy(float), 3)
    frame = pd.read_parquet(folder / "risk" / "linc_mains_voltage_3ph_1s.parquet")
    for column in ("V_L1", "V_L2", "V_L3"):
        value = frame[column].to_numpy(float)
        yield from _parts(f"mains/{column}", 300, value[::20], 1)


def made_series(seed: int) -> Iterator[tuple[str, int, Floats]]:
    """Yield name, step and values of made ones: the kinds of metrics that servers and circuits show."""
    day = 288
    t = np.arange(POINTS)
    for k in range(3):
        rng = np.random.default_rng([seed, 1000 + k])
        noise = rng.normal(size=POINTS)
        daily = np.sin(2.0 * np.pi * (t / day + rng.uniform()))
        yield f"made/idle{k}", 300, np.round(0.13 + 0.004 * noise, 3) + _bursts(rng, 0.002, 0.5)
        yield f"made/busy{k}", 300, np.clip(40.0 + 6.0 * _ar(rng, 0.7) + 3.0 * noise, 0.0, 100.0)
        yield f"made/daily{k}", 300, 50.0 + 20.0 * daily + 2.0 * noise
        yield (
            f"made/requests{k}",
            300,
            rng.poisson(60.0 * np.exp(0.8 * daily)).astype(float) * (rng.random() + 0.5),
        )
        yield (
            f"made/bytes{k}",
            300,
            np.exp(12.0 + 0.6 * noise) + np.exp(15.0 + rng.normal(size=POINTS)) * (rng.random(POINTS) < 0.03),
        )
        yield (
            f"made/cron{k}",
            300,
            5.0 + noise + np.where(t % (12 * (k + 1)) == 0, 30.0 + 5.0 * rng.normal(size=POINTS), 0),
        )
        yield f"made/batch{k}", 300, 20.0 + noise + 50.0 * _two_states(rng, 60.0 * (k + 1), 30.0 * (k + 1))
        yield f"made/walk{k}", 300, 70.0 + np.cumsum(0.15 * noise) - 0.0005 * t * k
        yield f"made/zeros{k}", 300, rng.exponential(1e6, POINTS) * (rng.random(POINTS) < 0.02 * (k + 1))


def _ar(rng: Generator, phi: float) -> Floats:
    value = rng.normal(size=POINTS)
    for i in range(1, POINTS):
        value[i] += phi * value[i - 1]
    return value * np.sqrt(1.0 - phi**2)


def _bursts(rng: Generator, rate: float, size: float) -> Floats:
    return size * rng.exponential(1.0, POINTS) * (rng.random(POINTS) < rate)


def _two_states(rng: Generator, off: float, on: float) -> Floats:
    state, value, left = False, np.zeros(POINTS), 0.0
    for i in range(POINTS):
        if left <= 0.0:
            state = not state
            left = rng.gamma(4.0, (on if state else off) / 4.0)
        value[i], left = float(state), left - 1.0
    return value


def _spread(value: Floats) -> float:
    low, high = np.quantile(value, (0.02, 0.98))
    return float(high - low) or float(np.ptp(value)) or 1.0


def _spike(value: Floats, at: int, rng: Generator, day: int) -> None:
    value[at : at + rng.integers(1, 4)] += rng.choice((-1.0, 1.0)) * rng.uniform(0.7, 2.5) * _spread(value)


def _shift(value: Floats, at: int, rng: Generator, day: int) -> None:
    value[at:] += rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.2) * _spread(value)


def _pulse(value: Floats, at: int, rng: Generator, day: int) -> None:
    value[at : at + rng.integers(10, 200)] += rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.2) * _spread(value)


def _flat(value: Floats, at: int, rng: Generator, day: int) -> None:
    value[at : at + rng.integers(max(day // 2, 20), max(day, 60))] = value[at]


def _outage(value: Floats, at: int, rng: Generator, day: int) -> None:
    value[at : at + rng.integers(5, 100)] = min(0.0, float(value.min()))


def _drift(value: Floats, at: int, rng: Generator, day: int) -> None:
    length = int(rng.integers(100, 400))
    ramp = np.linspace(0.0, rng.choice((-1.0, 1.0)) * rng.uniform(0.6, 1.5) * _spread(value), length)
    value[at : at + length] += ramp[: len(value[at : at + length])]


def _noise(value: Floats, at: int, rng: Generator, day: int) -> None:
    some = value[at : at + int(rng.integers(30, 200))]
    some += rng.normal(size=len(some)) * rng.uniform(0.3, 0.8) * _spread(value)


def _wrong_hour(value: Floats, at: int, rng: Generator, day: int) -> None:
    length = min(day, len(value) - at)
    value[at : at + length] = np.roll(value[at : at + length], length // 2)


def _calm_day(value: Floats, at: int, rng: Generator, day: int) -> None:
    some = value[at : at + max(day, 60)]
    some[:] = np.median(some) + 0.2 * (some - np.median(some))


def _dense(value: Floats, at: int, rng: Generator, day: int) -> None:
    length = min(int(rng.integers(60, 200)), len(value) - at)
    hits = np.flatnonzero(rng.random(length) < 0.3)
    value[at + hits] = np.quantile(value, 0.995) * rng.uniform(0.9, 1.1, len(hits))


KINDS: tuple[Callable[[Floats, int, Generator, int], None], ...] = (
    *(_spike, _shift, _pulse, _flat, _outage, _drift, _noise, _wrong_hour, _calm_day, _dense),
)


def with_anomalies(name: str, step_s: int, value: Floats, rng: Generator) -> LabelledSeries:
    """Return a series with one to three anomalies behind its first fifth, at least a sixth of it apart."""
    day = 86400 // step_s
    count = int(rng.integers(1, 4))
    while True:
        places = np.sort(rng.integers(len(value) // 5, len(value) - len(value) // 15, count))
        if count == 1 or np.diff(places).min() > len(value) // 6:
            break
    for place in places:
        KINDS[int(rng.integers(len(KINDS)))](value, int(place), rng, day)
    half = int(WINDOWS * len(value) / count / 2)
    windows = tuple((int(place) - half, min(int(place) + half, len(value) - 1)) for place in places)
    time = np.datetime64("2024-01-01", "us") + np.arange(len(value)) * np.timedelta64(step_s, "s")
    return LabelledSeries(name, time, value, windows)
