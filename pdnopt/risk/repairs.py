"""How long a repair takes: lognormal by cause, causes with few events drawn towards all others.

With x the logarithm of the minutes of one event, cause c with n_c events:

    x ~ Normal(m_c, s_c^2),   m_c ~ Normal(m, t^2)                                                              (1)
    s_c^2 drawn to the pooled s^2 as if by 4 more events: (4 s^2 + (n_c - 1) v_c) / (4 + n_c - 1)               (2)
    m_c drawn to m: (n_c xbar_c / s_c^2 + m / t^2) / (n_c / s_c^2 + 1 / t^2)                                    (3)

v_c is the variance of the cause's own events; m and t are estimated from the causes' means by the method of moments
(B. Efron and C. Morris, J. Am. Stat. Assoc. 70, 1975). An event that hits many nodes is one event: it counts once, with the
median over its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

from pdnopt.errors import InputError, Issue

__all__ = ["LANL", "RepairTime", "fit_repairs", "lanl_events", "repair_of"]

DRAWN = 4.0
"""Events that the pooled variance counts as, beside a cause's own."""
LEAST_BETWEEN = 0.01
"""Smallest variance of causes' means: a tenth of a decade of e; with none, every cause would be the average."""


@dataclass(frozen=True)
class RepairTime:
    """A lognormal repair time.

    Parameters
    ----------
    log_mean, log_sd : float
        Of the logarithm of minutes, for a repair that is to come: uncertainty of the mean included.
    events : int
        Distinct events behind it.
    source : str
    """

    log_mean: float
    log_sd: float
    events: int
    source: str

    @property
    def median_min(self) -> float:
        """Return the median, in minutes."""
        return float(np.exp(self.log_mean))

    @property
    def mean_min(self) -> float:
        """Return the mean, in minutes."""
        return float(np.exp(self.log_mean + 0.5 * self.log_sd**2))

    def done_within(self, minutes: float) -> float:
        """Return the probability that the repair is done within some minutes."""
        return float(ndtr((np.log(minutes) - self.log_mean) / self.log_sd)) if minutes > 0 else 0.0


def fit_repairs(events: pd.DataFrame, source: str = "given events") -> dict[str, RepairTime]:
    """Fit repair times by cause; equations (1) to (3).

    Parameters
    ----------
    events : DataFrame
        Columns ``cause`` and ``duration_min``, one row an event.

    Raises
    ------
    InputError
        Missing columns, durations that are no positive numbers, fewer than two events.
    """
    issues: list[Issue] = []
    missing = [c for c in ("cause", "duration_min") if c not in events]
    if missing:
        raise InputError(
            Issue(
                "Schema", "events", "", list(events.columns), "columns cause, duration_min", f"Add {missing}."
            )
        )
    minutes = events["duration_min"].to_numpy(float)
    bad = ~np.isfinite(minutes) | (minutes <= 0)
    if bad.any():
        todo = "Leave out events without a duration."
        issues.append(
            Issue(
                "Range",
                "events.duration_min",
                "",
                float(minutes[bad][0]),
                "a finite number above 0 min",
                todo,
            )
        )
    if len(events) < 2:
        issues.append(
            Issue("TooShort", "events", "", len(events), "at least two events", "Give more of them.")
        )
    if issues:
        raise InputError(issues)
    x = pd.Series(np.log(minutes), index=events["cause"].astype(str).to_numpy())
    grouped = x.groupby(level=0)
    n, mean = grouped.size(), grouped.mean()
    pooled = float(((x - mean.reindex(x.index)) ** 2).sum()) / max(len(x) - len(n), 1)
    own = grouped.var(ddof=1).fillna(pooled)
    variance = (DRAWN * pooled + (n - 1) * own) / (DRAWN + n - 1)
    error = variance / n
    """Of each cause's mean, squared."""
    centre = float(np.average(mean, weights=1.0 / error))
    between = max(float(mean.var(ddof=1)) - float(error.mean()), LEAST_BETWEEN) if len(n) > 1 else pooled
    out = {}
    for cause in n.index:
        precision = 1.0 / error[cause] + 1.0 / between
        shrunk = (mean[cause] / error[cause] + centre / between) / precision
        spread = float(np.sqrt(variance[cause] + 1.0 / precision))
        out[str(cause)] = RepairTime(float(shrunk), spread, int(n[cause]), source)
    return out


def lanl_events(path: Path | str) -> pd.DataFrame:
    """Return the facility events of LANL's failure data 1996-2005: columns ``cause, start, duration_min, rows``.

    A row of the file is the outage of one node. Rows of one cause that begin in the same minute are one event.
    """
    columns = ["Facilities", "Prob Started", "Down Time"]
    rows = pd.read_csv(path, usecols=columns, low_memory=False).dropna(subset=["Facilities"])
    rows["start"] = pd.to_datetime(rows["Prob Started"], format="%m/%d/%Y %H:%M")
    grouped = rows.groupby(["Facilities", "start"])["Down Time"]
    events = pd.DataFrame({"duration_min": grouped.median(), "rows": grouped.size()}).reset_index()
    return events.rename(columns={"Facilities": "cause"})[["cause", "start", "duration_min", "rows"]]


_LANL = "LANL failure data 1996-2005 (LA-UR-05-7318), facility events, one a cause and minute"
LANL: dict[str, RepairTime] = {
    "Chillers": RepairTime(5.409, 1.235, 16, _LANL),
    "Environment": RepairTime(5.410, 1.775, 18, _LANL),
    "Power Outage": RepairTime(5.488, 1.327, 59, _LANL),
    "Power Spike": RepairTime(5.352, 1.114, 29, _LANL),
    "UPS": RepairTime(5.391, 0.793, 13, _LANL),
}
"""`fit_repairs` of `lanl_events`; the benchmark ``risk_calibration`` prints it."""

CAUSE = {"ups": "UPS", "ext_grid": "Power Outage"}
"""Which of the causes a table's failure is; others take that of a UPS: the same people mend them."""


def repair_of(component: str) -> RepairTime:
    """Return the repair time of a component by its table."""
    return LANL[CAUSE.get(component.partition(":")[0], "UPS")]
