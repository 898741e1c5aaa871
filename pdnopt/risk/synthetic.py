"""Synthetic transfer switches whose contacts wear out: no public failure series of an ATS exists.

Everything from here is marked ``synthetic``, and so is everything that is computed from it.

With r = R_c / R_0 the contact resistance relative to new, I the current, I_r the rated current:

    I(t)   = I_r (0.55 + 0.15 daily + 0.05 weekly + slow noise), with steps where load is added or taken away
    r(t)   = exp((t - t_0) / tau), never below 1: films and fretting grow from an onset t_0               (1)
    C dT/dt = I^2 (R_b + R_0 r) - T / R_th: heating of the enclosure, time constant R_th C               (2)
    seen temperature = ambient + T + noise + slow drift (air flow, sensor)
    s_u^2  = s_grid^2 + lambda (r - 1) u_dip^2: micro-openings, each a lost half-cycle in 1 s             (3)
    failure: I R_0 r reaches the softening voltage of copper, or at random at a constant rate             (4)

(2) is Joule's law and a first-order thermal lag. (3): a contact that opens draws at least the minimum arc voltage (about
12 V, copper) for half a cycle of 50 Hz, so a 1 s RMS reading falls by u_dip = 12 V x 10 ms / 1 s; openings are Poisson, and
their number in proportion to the growth of the resistance is an assumption. (4): softening at about 0.12 V (R. Holm,
Electric Contacts, 4th ed., 1967), with scatter between contacts. s_grid is that of a real mains voltage: median 0.25 V,
standard deviation of its logarithm 0.27, correlation 0.53 from one quarter of an hour to the next (LINC, three phases, one
day); a slower drift of it and of the temperature is added. Onset, growth and random rates are chosen so that there is
something to learn from, not to be those of any product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Fleet", "ats_fleet"]

STEP_S = 900.0
RATED_A = 400.0
R_NEW_OHM = 30e-6
R_BODY_OHM = 40e-6
R_TH_K_PER_W = 0.4
THERMAL_S = 45 * 60.0
SOFTENING_V = 0.12
SOFTENING_SCATTER = 0.25
ARC_V = 12.0
HALF_CYCLE_S = 0.01
OPENINGS_PER_S = 1.0
GRID_V, GRID_LOG_SD, GRID_CORRELATION = 0.25, 0.27, 0.53
GROWTH_DAYS, GROWTH_SCATTER = 12.0, 0.4
ONSETS_PER_YEAR = 2.0
RANDOM_PER_YEAR = 0.2
HEALTHY_DAYS = 14.0
SENSOR_NOISE_K = 0.2
DRIFT_K, DRIFT_LOG, DRIFT_CORRELATION = 0.5, 0.1, 0.999
"""Drift of temperature and of the logarithm of s_grid: standard deviations, and what stays after a step (about 10 days)."""
START = "2026-01-05T00:00:00Z"


@dataclass(frozen=True)
class Fleet:
    """Readings of n synthetic transfer switches, T of each, ``STEP_S`` apart.

    Parameters
    ----------
    time : DatetimeIndex
        T times, UTC.
    current, ambient, temperature, voltage_fluctuation : ndarray
        (n, T) in A, degC, degC and V; NaN after the failure.
    onset_s, failure_s : ndarray
        (n,) time since the start at which the contact begins to wear and fails; infinite where it does not.
    worn : ndarray
        (n,) whether the failure is from wear; the others come without any sign.
    resistance : ndarray
        (n, T) r of equation (1).
    synthetic : bool
        Always true.
    """

    time: pd.DatetimeIndex
    current: np.ndarray
    ambient: np.ndarray
    temperature: np.ndarray
    voltage_fluctuation: np.ndarray
    onset_s: np.ndarray
    failure_s: np.ndarray
    worn: np.ndarray
    resistance: np.ndarray
    synthetic: bool = True

    def to_frame(
        self, members: list[int], until_s: float | None = None, prefix: str = "transfer:ATS-"
    ) -> pd.DataFrame:
        """Return some switches as a long table for `read_sensors`, marked synthetic.

        Parameters
        ----------
        members : list of int
            Which of them; member k is named ``prefix`` and k + 1.
        until_s : float, optional
            Leave out what comes after.
        """
        last = len(self.time) if until_s is None else int(until_s // STEP_S) + 1
        units = {
            "current": "A",
            "ambient_temperature": "degC",
            "temperature": "degC",
            "voltage_fluctuation": "V",
        }
        parts = []
        for k in members:
            for sensor, unit in units.items():
                values = getattr(self, "ambient" if sensor == "ambient_temperature" else sensor)[k, :last]
                parts.append(
                    pd.DataFrame(
                        {
                            "time": self.time[:last],
                            "component": f"{prefix}{k + 1}",
                            "sensor": sensor,
                            "value": values,
                            "unit": unit,
                            "synthetic": True,
                        }
                    )
                )
        frame = pd.concat(parts, ignore_index=True)
        frame.attrs["synthetic"] = True
        return frame


def ats_fleet(n: int, days: float = 120.0, seed: int = 0) -> Fleet:
    """Simulate a fleet of transfer switches; the same seed gives the same fleet.

    Parameters
    ----------
    n : int
        How many.
    days : float
        How long; the first 14 days are without wear.
    seed : int
    """
    rng = np.random.default_rng(seed)
    steps = int(days * 86400.0 / STEP_S)
    t = np.arange(steps) * STEP_S
    current = RATED_A * _load(rng, n, t)
    ambient = _ambient(rng, n, t)
    onset_s = HEALTHY_DAYS * 86400.0 + rng.exponential(365.25 * 86400.0 / ONSETS_PER_YEAR, n)
    tau_s = GROWTH_DAYS * 86400.0 * np.exp(GROWTH_SCATTER * rng.standard_normal(n))
    r = np.exp(np.minimum(np.maximum(t - onset_s[:, None], 0.0) / tau_s[:, None], 5.0))
    softening_v = SOFTENING_V * np.exp(SOFTENING_SCATTER * rng.standard_normal(n))
    soft = current * R_NEW_OHM * r >= softening_v[:, None]
    wear_s = np.where(soft.any(axis=1), t[soft.argmax(axis=1)], np.inf)
    random_s = HEALTHY_DAYS * 86400.0 + rng.exponential(365.25 * 86400.0 / RANDOM_PER_YEAR, n)
    random_s[random_s > t[-1]] = np.inf
    failure_s = np.minimum(wear_s, random_s)
    dead = t >= failure_s[:, None]
    heating = _heating(current**2 * (R_BODY_OHM + R_NEW_OHM * r))
    noise_k = SENSOR_NOISE_K * rng.standard_normal((n, steps))
    drift_k = DRIFT_K * _correlated(rng, n, steps, DRIFT_CORRELATION)
    temperature = ambient + heating + noise_k + drift_k
    dip_v = ARC_V * HALF_CYCLE_S
    drift_log = DRIFT_LOG * _correlated(rng, n, steps, DRIFT_CORRELATION)
    grid_v = GRID_V * np.exp(GRID_LOG_SD * _correlated(rng, n, steps, GRID_CORRELATION) + drift_log)
    fluctuation = np.sqrt(grid_v**2 + OPENINGS_PER_S * (r - 1.0) * dip_v**2)
    for series in (current, ambient, temperature, fluctuation):
        series[dead] = np.nan
    return Fleet(
        time=pd.date_range(START, periods=steps, freq=pd.Timedelta(seconds=STEP_S), name="time"),
        current=current,
        ambient=ambient,
        temperature=temperature,
        voltage_fluctuation=fluctuation,
        onset_s=np.where(onset_s < t[-1], onset_s, np.inf),
        failure_s=failure_s,
        worn=np.isfinite(failure_s) & (wear_s <= random_s),
        resistance=r,
    )


def _load(rng: np.random.Generator, n: int, t: np.ndarray) -> np.ndarray:
    """Return load over rating: days, weeks, slow noise, and steps of up to 15 % about once a month."""
    phase = rng.uniform(0.0, 2.0 * np.pi, (n, 1)) * 0.2
    day = np.sin(2.0 * np.pi * t / 86400.0 + phase)
    week = np.sin(2.0 * np.pi * t / (7 * 86400.0) + phase)
    noise = _correlated(rng, n, len(t), 0.98)
    stepped = rng.random((n, len(t))) < (t[1] - t[0]) / (30 * 86400.0)
    steps = np.cumsum(stepped * rng.uniform(-0.15, 0.15, (n, len(t))), axis=1)
    base = rng.uniform(0.45, 0.65, (n, 1))
    return np.asarray(np.clip(base + 0.15 * day + 0.05 * week + 0.03 * noise + steps, 0.1, 1.0))


def _ambient(rng: np.random.Generator, n: int, t: np.ndarray) -> np.ndarray:
    """Return room temperature, degC: days, a slow season, noise, and cooling faults of some hours about once in 60 days."""
    out = 24.0 + 1.5 * np.sin(2.0 * np.pi * t / 86400.0) + 2.0 * np.sin(2.0 * np.pi * t / (365.25 * 86400.0))
    out = out + 0.8 * _correlated(rng, n, len(t), 0.97)
    begins = rng.random((n, len(t))) < (t[1] - t[0]) / (60 * 86400.0)
    fault = np.zeros_like(out)
    decay = np.exp(-(t[1] - t[0]) / (3 * 3600.0))
    height = 8.0 * begins
    for k in range(1, len(t)):
        fault[:, k] = fault[:, k - 1] * decay + height[:, k]
    return np.asarray(out + fault)


def _heating(loss_w: np.ndarray) -> np.ndarray:
    """Return the temperature rise of equation (2), begun in balance, K."""
    out = np.empty_like(loss_w)
    out[:, 0] = R_TH_K_PER_W * loss_w[:, 0]
    gain = -np.expm1(-STEP_S / THERMAL_S)
    for k in range(1, loss_w.shape[1]):
        out[:, k] = out[:, k - 1] + gain * (R_TH_K_PER_W * loss_w[:, k] - out[:, k - 1])
    return out


def _correlated(rng: np.random.Generator, n: int, steps: int, correlation: float) -> np.ndarray:
    """Return standard normal noise that is correlated from one step to the next, (n, steps)."""
    out = rng.standard_normal((n, steps))
    fresh = np.sqrt(1.0 - correlation**2)
    for k in range(1, steps):
        out[:, k] = correlation * out[:, k - 1] + fresh * out[:, k]
    return out
