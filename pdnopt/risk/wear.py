"""Learn how a transfer switch fails from synthetic runs, and follow a fleet the way that `assess` follows one component."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pdnopt.risk.baseline import Baseline
from pdnopt.risk.hazard import DAY_S, HazardModel, Pieces, fit_hazard
from pdnopt.risk.kinds import ATS_FUTURE, ATS_SIGNS
from pdnopt.risk.mixture import WearModel, fit_signs
from pdnopt.risk.rates import Rate
from pdnopt.risk.sensors import SENSORS
from pdnopt.risk.synthetic import STEP_S, Fleet, ats_fleet

__all__ = ["Watch", "learn_ats", "pieces_of", "watch_fleet"]

AHEAD_DAYS = (0.0, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0)
"""Pieces of the time ahead that are learnt from."""


@dataclass(frozen=True)
class Watch:
    """A fleet as it was seen.

    Parameters
    ----------
    at_s : ndarray
        (M,) times since the start.
    values : dict
        (sensor, measure) -> (M, n): deviations at equal load ("level"), their change per day ("trend"), and the former in
        standard deviations ("z").
    alive : ndarray
        (M, n) whether the member has not failed yet.
    failure_s : ndarray
        (n,); infinite where there is none.
    end_s : float
        When the watch ended.
    synthetic : bool
    """

    at_s: np.ndarray
    values: dict[tuple[str, str], np.ndarray]
    alive: np.ndarray
    failure_s: np.ndarray
    end_s: float
    synthetic: bool

    def fails_within(self, horizon_s: float) -> np.ndarray:
        """Return (M, n) whether each member fails within the horizon of each time."""
        return self.failure_s[None, :] <= self.at_s[:, None] + horizon_s


def watch_fleet(fleet: Fleet, every_s: float = 6 * 3600.0) -> Watch:
    """Run the streaming references over a fleet, one reading after another."""
    sensors = ("temperature", "voltage_fluctuation")
    n = len(fleet.failure_s)
    base = Baseline(np.repeat([SENSORS[sensor].floor for sensor in sensors], n))
    y = np.vstack([fleet.temperature, np.log(fleet.voltage_fluctuation)])
    load, ambient = np.tile(fleet.current, (2, 1)), np.tile(fleet.ambient, (2, 1))
    stride = int(every_s // STEP_S)
    at: list[float] = []
    seen: list[np.ndarray] = []
    for k in range(y.shape[1]):
        base.update(STEP_S, y[:, k], load[:, k], ambient[:, k])
        if base.learning or k % stride:
            continue
        now = base.deviation()
        at.append(k * STEP_S)
        seen.append(np.stack([now.level, now.trend_per_day, now.z]).reshape(3, 2, n))
    at_s, stacked = np.array(at), np.array(seen)
    return Watch(
        at_s=at_s,
        values={
            (sensor, measure): stacked[:, j, i]
            for j, measure in enumerate(("level", "trend", "z"))
            for i, sensor in enumerate(sensors)
        },
        alive=at_s[:, None] < fleet.failure_s[None, :],
        failure_s=fleet.failure_s,
        end_s=y.shape[1] * STEP_S,
        synthetic=fleet.synthetic,
    )


def pieces_of(
    watch: Watch, model: HazardModel, since_s: np.ndarray, edges_days: tuple[float, ...] = AHEAD_DAYS
) -> Pieces:
    """Cut the time ahead of each landmark into pieces to learn from; a landmark a day.

    A failure falls into a piece of length l as seen from l / ``every_s`` landmarks; it is weighted by the inverse of that,
    and by the number of pieces, so that one failure counts as one.

    Parameters
    ----------
    watch : Watch
    model : HazardModel
        Whose covariates.
    since_s : ndarray
        (n,) when each member begins to count.
    edges_days : tuple of float
        Of the pieces.
    """
    every_s = DAY_S
    stride = max(1, round(every_s / (watch.at_s[1] - watch.at_s[0])))
    marks = slice(None, None, stride)
    at_s = watch.at_s[marks]
    alive = watch.alive[marks] & (at_s[:, None] >= since_s[None, :])
    x = model.x({key: value[marks] for key, value in watch.values.items()})
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
    x, ahead, length, failed, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pieces(x, ahead, length, failed, weights, watch.synthetic)


def learn_ats(n: int = 1500, days: float = 120.0, seed: int = 100) -> WearModel:
    """Learn the wear of transfer switches from a synthetic fleet; the figures in `pdnopt.risk.kinds` were made by this."""
    fleet = ats_fleet(n, days, seed)
    watch = watch_fleet(fleet)
    stride = round(DAY_S / (watch.at_s[1] - watch.at_s[0]))
    at_s, alive = watch.at_s[::stride], watch.alive[::stride]
    worn = (at_s[:, None] >= fleet.onset_s[None, :]) & alive
    values = {key: value[::stride] for key, value in watch.values.items()}
    prior = HazardModel.prior("transfer", Rate(1.0, 1.0, "synthetic fleet"), ATS_FUTURE)
    x = np.stack([c.x(values[c.sensor, c.measure]) for c in ATS_SIGNS], axis=-1)
    # the smoothed deviations of one switch resemble each other for about as long as the slow drift, 10 days
    mean, covariance = fit_signs(ATS_SIGNS, x[alive], worn[alive], weight=0.1)
    failed = np.isfinite(fleet.failure_s)
    sudden = Rate(
        float((failed & ~fleet.worn).sum()),
        float((np.minimum(fleet.failure_s, watch.end_s) - watch.at_s[0]).clip(min=0.0).sum())
        / (365.25 * DAY_S),
        "synthetic fleet",
    )
    return WearModel(
        kind="transfer",
        signs=ATS_SIGNS,
        mean=mean,
        covariance=covariance,
        share=float(worn.sum() / alive.sum()),
        wear_days=float((fleet.failure_s[fleet.worn] - fleet.onset_s[fleet.worn]).mean() / DAY_S),
        future=fit_hazard(prior, pieces_of(watch, prior, fleet.onset_s)),
        sudden=sudden,
        source="synthetic fleet",
        synthetic=True,
    )
