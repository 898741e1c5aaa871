"""From deviations to a failure probability: a proportional hazard with priors, and its Bayesian fit.

The question: given what the sensors say now, how likely does this component fail within the horizon?

    lambda(s | x) = exp(mu + sum_k (beta_k + gamma_k g(s)) x_k),   g(s) = ln(1 + s / 1 day)                      (1)
    x_k = f_k(deviation of sensor k), 0 as long as it is as new;   s: how far ahead, seen from now
    (mu, beta, gamma) ~ Normal(m, S):  mu from the Gamma prior of the kind, the others from physics or from runs (2)
    P(fail within h | x) = E[1 - exp(-int_0^h lambda(s | x) ds)]                                                 (3)

(1) is the proportional hazard of D. R. Cox (Regression models and life tables, J. R. Stat. Soc. B 34, 1972) with a constant
base rate, seen from a landmark: wear goes on after now, and gamma says how much more dangerous today's deviation is some
days ahead (H. C. van Houwelingen, Dynamic prediction by landmarking, Scand. J. Stat. 34, 2007). gamma = 0: nothing moves.
The likelihood over pieces of time is that of a Poisson regression (M. Friedman, Ann. Stat. 10, 1982):

    log L = sum_i w_i [d_i ln lambda_i - e_i lambda_i],   d_i failed in piece i, e_i its length, w_i its weight  (4)

The posterior is taken as normal about its mode (Laplace). The expectation in (3) is a Gauss-Hermite sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pdnopt.risk.rates import HOURS_PER_YEAR, Rate

__all__ = ["DAY_S", "Covariate", "HazardModel", "Pieces", "fit_hazard"]

DAY_S = 86400.0
YEAR_S = 3600.0 * HOURS_PER_YEAR
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
NEWTON_STEPS = 50
LARGEST_ETA = 30.0
"""Logarithm of a rate per year beyond which failure is certain within any step: keeps exp finite on the way to the mode."""
NODES_AHEAD = 24
"""Pieces of the integral in (3), finer near now."""


@dataclass(frozen=True)
class Covariate:
    """One x_k of equation (1).

    Parameters
    ----------
    sensor : str
        Whose deviation it is.
    measure : {"level", "trend"}
        The difference at equal load, or how fast it grows per day.
    per : float
        Deviation that counts as one (linear), or beyond which it counts by its logarithm (log1p).
    transform : {"linear", "log1p"}
        x = d / per, or x = ln(1 + d / per); d is the part above zero.
    beta, sd : float
        Mean and standard deviation of beta_k before any data.
    source : str
        Where the coefficient comes from.
    growth_sd : float
        Standard deviation of gamma_k before any data, its mean is 0; 0 where nothing is known about what comes.
    """

    sensor: str
    measure: Literal["level", "trend"]
    per: float
    transform: Literal["linear", "log1p"]
    beta: float
    sd: float
    source: str
    growth_sd: float = 0.0

    def x(self, deviation: np.ndarray) -> np.ndarray:
        """Return x_k of deviations; what is missing counts as none."""
        d = np.maximum(np.nan_to_num(np.asarray(deviation, dtype=float)), 0.0) / self.per
        return np.asarray(d if self.transform == "linear" else np.log1p(d))


@dataclass(frozen=True)
class HazardModel:
    """A kind's hazard.

    Parameters
    ----------
    kind : str
        Table of the plant.
    covariates : tuple of Covariate
        K of them.
    mean : ndarray
        (1 + 2K,) of mu, beta, gamma; mu is the logarithm of failures per year.
    covariance : ndarray
        Of the same.
    source : str
        Of the base rate, and what the coefficients were fitted to.
    synthetic : bool
        Whether coefficients were learnt from synthetic runs.
    """

    kind: str
    covariates: tuple[Covariate, ...]
    mean: np.ndarray
    covariance: np.ndarray
    source: str
    synthetic: bool = False

    @classmethod
    def prior(cls, kind: str, rate: Rate, covariates: Sequence[Covariate]) -> HazardModel:
        """Return the model before any data; equation (2)."""
        mu, variance = rate.log_moments()
        mean = np.array([mu, *(c.beta for c in covariates), *(0.0 for _ in covariates)])
        spread = [variance, *(c.sd**2 for c in covariates), *(c.growth_sd**2 for c in covariates)]
        return cls(kind, tuple(covariates), mean, np.diag(spread), rate.source)

    def x(self, values: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray:
        """Return the covariates (..., K) of deviations by (sensor, measure); those that are missing are none."""
        some = next(iter(values.values()))
        none = np.zeros_like(np.asarray(some, dtype=float))
        return np.stack([c.x(values.get((c.sensor, c.measure), none)) for c in self.covariates], axis=-1)

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """Return beta_k x_k, the part of each covariate in the logarithm of the hazard now; same shape as ``x``."""
        return np.asarray(x * self.mean[1 : 1 + len(self.covariates)])

    def log_ratio(self, x: np.ndarray) -> np.ndarray:
        """Return the logarithm of the hazard now over that of a component as new."""
        return np.asarray(self.contributions(x).sum(axis=-1))

    def health(self, x: np.ndarray) -> np.ndarray:
        """Return health 0..1: the hazard as new over the hazard now. 0.1 means ten times as likely to fail."""
        return np.asarray(np.exp(-np.maximum(self.log_ratio(x), 0.0)))

    def cumulative(self, x: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
        """Return the probability of having failed by each edge; equation (3).

        Parameters
        ----------
        x : ndarray
            (..., K).
        edges_s : ndarray
            (H,) increasing times ahead, s.

        Returns
        -------
        ndarray
            (..., H).
        """
        edges_s = np.asarray(edges_s, dtype=float)
        inner = edges_s[-1] * np.linspace(0.0, 1.0, NODES_AHEAD + 1) ** 2
        grid = np.unique(np.concatenate([inner, edges_s]))
        middle, length = 0.5 * (grid[1:] + grid[:-1]), np.diff(grid)
        hazard = np.zeros((*x.shape[:-1], len(NODES)))
        reached = np.searchsorted(grid, edges_s)
        out = np.zeros((*x.shape[:-1], len(edges_s)))
        for k, (s, ds) in enumerate(zip(middle, length, strict=True)):
            full = _full(x, np.asarray(s))
            mean = full @ self.mean
            sd = np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", full, self.covariance, full), 0.0))
            eta = np.minimum(mean[..., None] + sd[..., None] * NODES, LARGEST_ETA)
            hazard = hazard + np.exp(eta) * (ds / YEAR_S)
            for h in np.flatnonzero(reached == k + 1):
                out[..., h] = -np.expm1(-hazard) @ WEIGHTS
        return out

    def probability(self, x: np.ndarray, horizon_s: float) -> np.ndarray:
        """Return the probability of failing within one horizon, shape (...); equation (3)."""
        return self.cumulative(x, np.array([horizon_s]))[..., 0]


@dataclass(frozen=True)
class Pieces:
    """Pieces of time to learn from, N of them.

    Parameters
    ----------
    x : ndarray
        (N, K) covariates at the landmark.
    ahead_s : ndarray
        (N,) from the landmark to the middle of the piece.
    exposure_s : ndarray
        (N,) its length, or until the failure.
    failed : ndarray
        (N,) whether it ended in a failure.
    weight : ndarray
        (N,) so that a failure seen from many landmarks does not count as many failures.
    synthetic : bool
        Whether they come from a generator.
    """

    x: np.ndarray
    ahead_s: np.ndarray
    exposure_s: np.ndarray
    failed: np.ndarray
    weight: np.ndarray
    synthetic: bool


def fit_hazard(prior: HazardModel, pieces: Pieces) -> HazardModel:
    """Return the posterior after pieces of time with known deviations; equation (4), by Newton's method."""
    full = _full(pieces.x, pieces.ahead_s)
    failed, years = pieces.weight * pieces.failed, pieces.weight * pieces.exposure_s / YEAR_S
    free = np.diag(prior.covariance) > 0
    full, start = full[:, free], prior.mean[free]
    precision = np.linalg.inv(prior.covariance[np.ix_(free, free)])
    fixed = _full(pieces.x, pieces.ahead_s)[:, ~free] @ prior.mean[~free]
    theta = start.copy()

    def eta(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum(full @ at + fixed, LARGEST_ETA))

    def objective(at: np.ndarray) -> float:
        off = at - start
        line = eta(at)
        return float(failed @ line - years @ np.exp(line) - 0.5 * off @ precision @ off)

    value = objective(theta)
    for _ in range(NEWTON_STEPS):
        rate = years * np.exp(eta(theta))
        gradient = full.T @ (failed - rate) - precision @ (theta - start)
        step = np.linalg.solve((full * rate[:, None]).T @ full + precision, gradient)
        size = 1.0
        while objective(theta + size * step) < value and size > 1e-8:
            size /= 2.0
        theta = theta + size * step
        value = objective(theta)
        if np.abs(size * step).max() < 1e-9:
            break
    rate = years * np.exp(eta(theta))
    mean, covariance = prior.mean.copy(), np.zeros_like(prior.covariance)
    mean[free] = theta
    covariance[np.ix_(free, free)] = np.linalg.inv((full * rate[:, None]).T @ full + precision)
    return replace(prior, mean=mean, covariance=covariance, synthetic=prior.synthetic or pieces.synthetic)


def _full(x: np.ndarray, ahead_s: np.ndarray) -> np.ndarray:
    """Return (1, x, g(s) x)."""
    later = np.log1p(np.asarray(ahead_s, dtype=float) / DAY_S)
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, x * later[..., None]], axis=-1)
