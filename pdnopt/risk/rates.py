"""How often components fail and how sure that is: a Gamma prior of each kind, with its source.

A rate is Gamma distributed: ``failures`` seen in ``unit_years`` (shape and rate). New experience adds to both, which is
Bayes' rule for Poisson counts:

    lambda ~ Gamma(a, b),  n failures in T unit-years  ->  lambda ~ Gamma(a + n, b + T)              (1)
    P(fail within h) = 1 - (b / (b + h))^a                                                           (2)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from scipy.special import polygamma
from scipy.stats import gamma

from pdnopt.errors import InputError, Issue

__all__ = ["HOURS_PER_YEAR", "PRIORS", "Rate", "rate_of"]

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True)
class Rate:
    """A failure rate with its uncertainty.

    Parameters
    ----------
    failures : float
        Shape: as if so many failures had been seen.
    unit_years : float
        As if they had been seen in so many component-years.
    source : str
        Where it comes from, and whether it was read there or is only commonly quoted from there.
    """

    failures: float
    unit_years: float
    source: str

    def __post_init__(self) -> None:
        issues = [
            Issue(
                "Range", f"rate.{field}", self.source, value, "a finite number above 0", "Correct the prior."
            )
            for field, value in (("failures", self.failures), ("unit_years", self.unit_years))
            if not (np.isfinite(value) and value > 0)
        ]
        if issues:
            raise InputError(issues)

    @property
    def mean_per_year(self) -> float:
        """Return the expected rate, failures a component-year."""
        return self.failures / self.unit_years

    def interval_per_year(self, coverage: float = 0.9) -> tuple[float, float]:
        """Return the central credible interval, failures a component-year."""
        tail = (1.0 - coverage) / 2.0
        spread = gamma(self.failures, scale=1.0 / self.unit_years)
        return float(spread.ppf(tail)), float(spread.ppf(1.0 - tail))

    def update(self, failures: float, unit_years: float) -> Rate:
        """Return the rate after so many failures in so many component-years more; equation (1)."""
        issues = [
            Issue(
                "Range",
                f"history.{field}",
                self.source,
                value,
                "a finite number, at least 0",
                "Correct the count.",
            )
            for field, value in (("failures", failures), ("unit_years", unit_years))
            if not (np.isfinite(value) and value >= 0)
        ]
        if issues:
            raise InputError(issues)
        told = f"{self.source}; updated with {failures:g} failures in {unit_years:g} unit-years"
        return Rate(self.failures + failures, self.unit_years + unit_years, told)

    def probability(self, horizon_years: float) -> float:
        """Return the probability of at least one failure within the horizon; equation (2)."""
        return float(-np.expm1(-self.failures * np.log1p(horizon_years / self.unit_years)))

    def log_moments(self) -> tuple[float, float]:
        """Return mean and variance of the logarithm of a lognormal rate (per year) that stands in for this one.

        The variance is that of the logarithm of the Gamma distribution; the mean is such that the expected rate is kept, for
        that is what probabilities over short horizons rest on.
        """
        variance = float(polygamma(1, self.failures))
        return log(self.mean_per_year) - 0.5 * variance, variance


_QUOTED = "commonly quoted from IEEE Std 493-1997, summary of all-industry equipment failures; not re-read"
_JUDGED = "pdnopt's own judgement, no source: as if one failure had been seen"


def _quoted(rate_per_year: float, failures: float = 2.0) -> Rate:
    """Return a quoted rate as if few failures had been seen: another plant's average says little about this plant."""
    return Rate(failures, failures / rate_per_year, _QUOTED)


PRIORS: dict[str, Rate] = {
    # 2 failures in 414.8 unit-years; half weight: an inverter is not the whole UPS, nor is it this plant's
    "ups": Rate(
        1.0,
        207.4,
        "quoted from IEEE Std 493-2007, table 10-4, inverters, all types: 2 failures in 414.8 unit-years; not re-read",
    ),
    "transfer": Rate(1.0, 100.0, f"{_JUDGED} in 100 unit-years of transfer switches"),
    "trafo": _quoted(0.0036),  # dry type, 300 kVA to 10 MVA
    "trafo3w": _quoted(0.0062),  # liquid filled, all
    "switch": _quoted(0.0035),  # moulded-case and fixed breakers up to 600 A
    "bus": _quoted(0.0034),  # insulated switchgear bus, per unit
    "line": _quoted(0.00141),  # cable in conduit or tray below 600 V, per 1,000 circuit feet
    "ext_grid": _quoted(1.956),  # utility supply, single circuit
    "storage": Rate(1.0, 100.0, f"{_JUDGED} in 100 unit-years of battery systems"),
    "load": Rate(1.0, 50.0, f"{_JUDGED} in 50 unit-years of racks with their power supplies"),
}
"""By table of the plant. ``read`` says whether we read the figure in its source."""

OTHER = Rate(1.0, 100.0, f"{_JUDGED} in 100 unit-years of a component of unknown kind")


def rate_of(component: str) -> Rate:
    """Return the prior of a component by its table."""
    return PRIORS.get(component.partition(":")[0], OTHER)
