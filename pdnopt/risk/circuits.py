"""A circuit that draws what its history and its workload do not explain: failing, used by somebody, or unknown.

The question: how much of the power that this circuit draws does nobody expect, since when, and what shape has it?

With P the power, q_a(t) the forecast quantile of level a, u(t) the utilisation that the workload reports:

    exceed(t) = P(t) > q_a(t): Bernoulli(1 - a) if the forecast is right                                         (1)
    N of the last n exceed: tail probability P(Binomial(n_eff, 1 - a) >= N n_eff / n)                            (2)
    P(t) = p_0 + p_1 u(t) + e over the reference: what the workload explains                                     (3)
    draw(t) = P(t) - p_0 - p_1 u(t) (with workload) or P(t) - q_50(t) (without)                                  (4)

n_eff counts readings as independent only `DECORRELATED_S` apart. What is said of (4) follows stated rules, no learnt
classifier: there is no public set of labelled intrusions on power circuits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import binom

from pdnopt.errors import InputError, Issue

__all__ = ["CircuitFinding", "judge_circuit"]

SUSPICION = Literal["none", "failing component", "possible intrusion", "unexplained"]
TAIL = 1e-4
"""Tail probability of (2) below which a draw is called unexplained."""
DECORRELATED_S = 3600.0
LEAST_PART = 0.03
"""A draw below this part of the circuit's usual power is not worth a visit."""
LOW_UTILISATION = 0.3
STEADY_CV = 0.25
"""Coefficient of variation below which a draw is steady: a machine that computes all the time, or a resistance."""
PERIODIC = 0.5
"""Autocorrelation at the best lag from which on a draw is periodic."""
NEARLY = 0.9
"""Part of the highest peak from which on a shorter lag is the period, and not a multiple of it."""
GROWING_PER_DAY = 0.05
"""Part of itself that a draw grows by each day from which on it is a slow fault."""


@dataclass(frozen=True)
class CircuitFinding:
    """What `judge_circuit` found.

    Parameters
    ----------
    circuit : str
    suspicion : {"none", "failing component", "possible intrusion", "unexplained"}
    draw_kw : float
        Mean unexplained draw over the window.
    since : Timestamp or None
        First of the readings that exceed in a row (gaps of an hour allowed).
    tail : float
        Probability of so many exceedances if nothing is wrong.
    evidence : tuple of str
        Sentences with the numbers.
    """

    circuit: str
    suspicion: SUSPICION
    draw_kw: float
    since: pd.Timestamp | None
    tail: float
    evidence: tuple[str, ...]

    def __str__(self) -> str:
        if self.suspicion == "none":
            return f"{self.circuit}: explained"
        return f"{self.circuit}: {self.suspicion}, {self.draw_kw:.2f} kW: " + "; ".join(self.evidence)


def judge_circuit(
    circuit: str,
    power_kw: pd.Series,
    quantiles: pd.DataFrame,
    utilisation: pd.Series | None = None,
    reference: tuple[pd.Series, pd.Series] | None = None,
) -> CircuitFinding:
    """Judge the power that one circuit drew over a window.

    Parameters
    ----------
    circuit : str
        Its name.
    power_kw : Series
        kW, index of times with a zone: the window to judge, some hours to days.
    quantiles : DataFrame
        The forecast that was made for the window: index as ``power_kw``, columns levels such as 0.5 and 0.9.
    utilisation : Series, optional
        0..1 over the window: what the workload or the scheduler reports of the machines on this circuit.
    reference : (Series, Series), optional
        Power and utilisation of a time when nothing was wrong, for equation (3); needed with ``utilisation``.

    Raises
    ------
    InputError
        Times without a zone or out of order, quantiles that lack levels or do not cover the window, utilisation outside
        0..1; all at once.
    """
    level = _check(circuit, power_kw, quantiles, utilisation, reference)
    q_high, q_mid = quantiles[level], quantiles[min(quantiles.columns, key=lambda c: abs(float(c) - 0.5))]
    frame = pd.DataFrame({"p": power_kw, "high": q_high, "mid": q_mid}).dropna()
    explained = frame["mid"]
    slope = 0.0
    if utilisation is not None and reference is not None:
        slope, idle_kw = _explain(*reference)
        explained = (idle_kw + slope * utilisation.reindex(frame.index)).where(
            lambda s: s.notna(), frame["mid"]
        )
    draw = frame["p"] - explained
    exceed = (frame["p"] > frame["high"]).to_numpy()
    tail = _tail(frame.index, exceed, 1.0 - float(level))
    usual_kw = float(frame["mid"].mean())
    mean_kw = float(draw.mean())
    if tail > TAIL or mean_kw < LEAST_PART * usual_kw:
        return CircuitFinding(circuit, "none", mean_kw, None, tail, ())
    since = _since(frame.index, exceed)
    active = draw[draw.index >= since]
    evidence = [
        f"{exceed.sum()} of {len(exceed)} readings above the {float(level):.0%} quantile "
        f"(chance {tail:.0e} if nothing is wrong)",
        f"{active.mean():.2f} kW beyond "
        + ("what the workload explains" if utilisation is not None else "the median forecast")
        + f" since {since:%Y-%m-%d %H:%M %Z}",
    ]
    suspicion, more = _rule(active, utilisation, slope)
    return CircuitFinding(circuit, suspicion, float(active.mean()), since, tail, (*evidence, *more))


def _rule(draw: pd.Series, utilisation: pd.Series | None, slope: float) -> tuple[SUSPICION, list[str]]:
    """Return the suspicion that a draw's shape raises, and why."""
    mean = float(draw.mean())
    cv = float(draw.std() / abs(mean)) if mean else float("inf")
    days = (draw.index - draw.index[0]).total_seconds().to_numpy() / 86400.0
    smooth = draw.rolling(max(3, len(draw) // 20), min_periods=1, center=True).mean().to_numpy()
    growth = float(np.polyfit(days, smooth, 1)[0]) / mean if days[-1] > 0.5 and mean > 0 else 0.0
    lag_s, periodic = _period(draw)
    if growth > GROWING_PER_DAY:
        return "failing component", [
            f"it grows by {growth:.0%} of itself a day, as a fault does that gets worse"
        ]
    if utilisation is None:
        return "unexplained", ["no workload data: a fault and a stranger's use cannot be told apart"]
    used = utilisation.reindex(draw.index)
    low = used < LOW_UTILISATION
    often = f"{float(low.mean()):.0%} of the time below {LOW_UTILISATION:.0%}"
    told = [f"utilisation {float(used.mean()):.0%} on the average, {often}"]
    corr = float(np.corrcoef(draw, used)[0, 1]) if used.std() > 0 and draw.std() > 0 else 0.0
    if corr > 0.7 and slope > 0:
        return "failing component", [
            *told,
            f"it rises with the load (correlation {corr:.2f}): losses, not a second user",
        ]
    if low.mean() > 0.5 and periodic > PERIODIC:
        return "possible intrusion", [
            *told,
            f"it comes and goes every {lag_s / 3600.0:.1f} h (autocorrelation {periodic:.2f})",
        ]
    if low.mean() > 0.5 and cv < STEADY_CV:
        return "possible intrusion", [
            *told,
            f"it is steady ({cv:.0%} variation) while the machines should idle",
        ]
    return "unexplained", [*told, "its shape fits neither rule: look at the machines and at the meter"]


def _period(draw: pd.Series) -> tuple[float, float]:
    """Return the shortest lag whose peak of the autocorrelation is nearly the highest, in s, and its value."""
    x = draw.to_numpy() - draw.mean()
    if len(x) < 16 or not x.any():
        return 0.0, 0.0
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    auto = np.fft.irfft(spectrum)[: len(x)] / (np.arange(len(x), 0, -1)) / x.var()
    lags = np.arange(4, len(x) // 2)
    peaks = lags[(auto[lags] > auto[lags - 1]) & (auto[lags] >= auto[lags + 1])]
    if not len(peaks):
        return 0.0, 0.0
    best = int(peaks[auto[peaks] >= NEARLY * auto[peaks].max()][0])
    return best * float((draw.index[1] - draw.index[0]).total_seconds()), float(auto[best])


def _tail(index: pd.Index, exceed: np.ndarray, chance: float) -> float:
    """Return equation (2)."""
    span_s = (index[-1] - index[0]).total_seconds()
    n = max(1, min(len(exceed), int(span_s / DECORRELATED_S) + 1))
    return float(binom.sf(int(np.floor(exceed.mean() * n)) - 1, n, chance))


def _since(index: pd.Index, exceed: np.ndarray) -> pd.Timestamp:
    """Return when the last run of exceedances began; gaps up to an hour belong to it."""
    at = index[exceed]
    begins = np.flatnonzero(np.diff(at) > np.timedelta64(int(DECORRELATED_S), "s"))
    return pd.Timestamp(
        at[int(begins[-1]) + 1] if len(begins) and begins[-1] + 1 < len(at) - len(at) // 2 else at[0]
    )


def _explain(power: pd.Series, utilisation: pd.Series) -> tuple[float, float]:
    """Return slope and idle power of equation (3)."""
    both = pd.DataFrame({"p": power, "u": utilisation}).dropna()
    spread = float(both["u"].var())
    slope = float(both["p"].cov(both["u"])) / spread if spread > 1e-9 else 0.0
    return slope, float(both["p"].mean() - slope * both["u"].mean())


def _check(
    circuit: str,
    power: pd.Series,
    quantiles: pd.DataFrame,
    utilisation: pd.Series | None,
    reference: tuple[pd.Series, pd.Series] | None,
) -> float:
    """Return the level of the upper quantile. Raises InputError with all that is wrong."""
    issues: list[Issue] = []
    given: list[tuple[str, pd.Series | pd.DataFrame]] = [("power_kw", power), ("quantiles", quantiles)]
    given += [("utilisation", utilisation)] if utilisation is not None else []
    for name, series in given:
        index = series.index
        if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
            todo = "Localise the index, for instance with tz_localize('UTC')."
            issues.append(
                Issue(
                    "TimezoneRequired", f"{name}.index", circuit, str(index.dtype), "times with a zone", todo
                )
            )
        elif not (index.is_monotonic_increasing and index.is_unique):
            todo = "Sort the rows and remove repeats."
            issues.append(Issue("TimeOrder", f"{name}.index", circuit, "", "strictly increasing times", todo))
    levels = [c for c in quantiles.columns if isinstance(c, int | float) and 0.0 < float(c) < 1.0]
    upper = [float(c) for c in levels if float(c) >= 0.8]
    if len(levels) < len(quantiles.columns) or not upper:
        allowed = "levels between 0 and 1, one of them 0.8 or higher"
        issues.append(
            Issue(
                "Range",
                "quantiles.columns",
                circuit,
                list(quantiles.columns)[:5],
                allowed,
                "Forecast 0.5 and 0.9.",
            )
        )
    if not issues and len(power.dropna().index.intersection(quantiles.index)) < 3:
        issues.append(
            Issue(
                "HorizonError",
                "quantiles",
                circuit,
                len(quantiles),
                "a forecast for the window",
                "Forecast these times.",
            )
        )
    if utilisation is not None:
        used = utilisation.to_numpy(float)
        if not (np.nan_to_num(used) >= 0).all() or not (np.nan_to_num(used) <= 1).all():
            bad = float(np.nanmax(np.abs(used)))
            issues.append(Issue("Range", "utilisation", circuit, bad, "0 to 1", "Divide percent by 100."))
        if reference is None:
            todo = "Give power and utilisation of a time when nothing was wrong."
            issues.append(Issue("Missing", "reference", circuit, None, "two series", todo))
    if issues:
        raise InputError(issues)
    return max((c for c in upper if c <= 0.95), default=max(upper))
