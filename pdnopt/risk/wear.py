"""Learn how a transfer switch fails from synthetic runs, and follow a fleet the way that `assess` follows one component."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pdnopt.risk.baseline import Baseline
from pdnopt.risk.hazard import DAY_S, HazardModel, Pieces
from pdnopt.risk.sensors import SENSORS
from pdnopt.risk.synthetic import STEP_S, Fleet

__all__ = ["Watch", "pieces_of", "watch_fleet"]

AHEAD_DAYS = (0.0, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0)
"""Pieces of the time ahead that are learnt from."""


@dataclass(frozen=True)
class Watch:
    """A fleet as it was seen: every ``every_s`` the covariates of each member.

    Parameters
    ----------
    at_s : ndarray
        (M,) times since the start.
    x : ndarray
        (M, n, K) covariates.
    level, z : dict
        Sensor -> (M, n): deviations at equal load, and in standard deviations.
    alive : ndarray
        (M, n) whether the member has not failed yet.
    failure_s : ndarray
        (n,); infinite where there is none.
    end_s : float
        When the watch ended.
    synthetic : bool
    """

    at_s: np.ndarray
    x: np.ndarray
    level: dict[str, np.ndarray]
    z: dict[str, np.ndarray]
    alive: np.ndarray
    failure_s: np.ndarray
    end_s: float
    synthetic: bool

    def fails_within(self, horizon_s: float) -> np.ndarray:
        """Return (M, n) whether each member fails within the horizon of each time."""
        return self.failure_s[None, :] <= self.at_s[:, None] + horizon_s


def watch_fleet(fleet: Fleet, model: HazardModel, every_s: float = 6 * 3600.0) -> Watch:
    """Run the streaming references over a fleet, one reading after another."""
    sensors = ("temperature", "voltage_fluctuation")
    n = len(fleet.failure_s)
    base = Baseline(np.repeat([SENSORS[sensor].floor for sensor in sensors], n))
    y = np.vstack([fleet.temperature, np.log(fleet.voltage_fluctuation)])
    load, ambient = np.tile(fleet.current, (2, 1)), np.tile(fleet.ambient, (2, 1))
    stride = int(every_s // STEP_S)
    at: list[float] = []
    rows: list[np.ndarray] = []
    level: list[np.ndarray] = []
    z: list[np.ndarray] = []
    for k in range(y.shape[1]):
        base.update(STEP_S, y[:, k], load[:, k], ambient[:, k])
        if base.learning or k % stride:
            continue
        now = base.deviation()
        values = {
            (sensor, measure): value[i * n : (i + 1) * n]
            for measure, value in (("level", now.level), ("trend", now.trend_per_day))
            for i, sensor in enumerate(sensors)
        }
        at.append(k * STEP_S)
        rows.append(np.stack([c.x(values[c.sensor, c.measure]) for c in model.covariates], axis=-1))
        level.append(now.level.reshape(2, n))
        z.append(now.z.reshape(2, n))
    at_s = np.array(at)
    levels, zs = np.array(level), np.array(z)
    return Watch(
        at_s=at_s,
        x=np.array(rows),
        level={sensor: levels[:, i] for i, sensor in enumerate(sensors)},
        z={sensor: zs[:, i] for i, sensor in enumerate(sensors)},
        alive=at_s[:, None] < fleet.failure_s[None, :],
        failure_s=fleet.failure_s,
        end_s=y.shape[1] * STEP_S,
        synthetic=fleet.synthetic,
    )


def pieces_of(watch: Watch, edges_days: tuple[float, ...] = AHEAD_DAYS, every_s: float = DAY_S) -> Pieces:
    """Cut the time ahead of each landmark into pieces to learn from.

    A failure falls into a piece of length l as seen from l / ``every_s`` landmarks; it is weighted by the inverse of that,
    and by the number of pieces, so that one failure counts as one.
    """
    stride = max(1, round(every_s / (watch.at_s[1] - watch.at_s[0])))
    marks = slice(None, None, stride)
    at_s, x, alive = watch.at_s[marks], watch.x[marks], watch.alive[marks]
    until = np.minimum(watch.failure_s, watch.end_s)[None, :] - at_s[:, None]
    """From each landmark to the end of what is known of each member, s."""
    parts: list[tuple[np.ndarray, ...]] = []
    for low, high in pairwise(np.array(edges_days) * DAY_S):
        use = alive & (until > low)
        length = np.minimum(until, high) - low
        failed = np.isfinite(watch.failure_s)[None, :] & (until <= high)
        weight = every_s / max(high - low, every_s) / (len(edges_days) - 1)
        n = int(use.sum())
        parts.append(
            (x[use], np.full(n, 0.5 * (low + high)), length[use], failed[use], np.full(n, weight)),
        )
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Pieces(*joined, synthetic=watch.synthetic)
