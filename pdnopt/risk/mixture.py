"""A component is worn or it is not: how sure the sensors make that, and how soon a worn one fails.

A hazard in proportion (`pdnopt.risk.hazard`) takes the base rate of a kind into every figure. For wear that announces
itself that is wrong: how soon a contact at the softening voltage fails does not depend on how rarely others wear. So, with
the signs x and W "wear has begun":

    q(x) = P(W | x) = 1 / (1 + exp(-(a + sum_k kappa_k x_k)))                                                    (1)
    a for this plant = a learnt + logit(pi of this plant) - logit(pi where it was learnt)                        (2)
    P(fail within h | x) = 1 - (1 - P_0(h)) (1 - q(x) F(h | x))                                                  (3)

(2) is Bayes' rule for another share pi of worn components; the signs of wear are taken to be the same (M. Saerens,
P. Latinne, C. Decaestecker, Neural Computation 14, 2002). F is the hazard seen from a landmark, fitted to worn components
only; P_0 is that of failures without a sign, a Gamma rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from pdnopt.risk.hazard import NODES, WEIGHTS, Covariate, HazardModel
from pdnopt.risk.rates import Rate

__all__ = ["WearModel", "fit_signs"]

NEWTON_STEPS = 50


@dataclass(frozen=True)
class WearModel:
    """Wear that announces itself.

    Parameters
    ----------
    kind : str
        Table of the plant.
    signs : tuple of Covariate
        x_k of equation (1).
    mean, covariance : ndarray
        Of (a, kappa).
    share : float
        pi: of components that are worn at any time, where ``a`` holds.
    wear_days : float
        Mean time from the onset of wear to the failure, where it was learnt.
    future : HazardModel
        F of equation (3).
    sudden : Rate
        Failures without a sign.
    source : str
    synthetic : bool
    """

    kind: str
    signs: tuple[Covariate, ...]
    mean: np.ndarray
    covariance: np.ndarray
    share: float
    wear_days: float
    future: HazardModel
    sudden: Rate
    source: str
    synthetic: bool

    @property
    def covariates(self) -> tuple[Covariate, ...]:
        """Return what the model looks at, in the order of `contributions`."""
        return self.signs

    def for_plant(self, rate: Rate, announced: float = 0.5) -> WearModel:
        """Return the model for a plant whose components fail at some rate; equation (2).

        Parameters
        ----------
        rate : Rate
            All failures of the kind.
        announced : float
            Part of them that wear announces; one half is pdnopt's own judgement.
        """
        share = announced * rate.mean_per_year * self.wear_days / 365.25
        mean = self.mean.copy()
        mean[0] += logit(share) - logit(self.share)
        sudden = Rate(rate.failures, rate.unit_years / (1.0 - announced), rate.source)
        return replace(self, mean=mean, share=share, sudden=sudden, source=rate.source)

    def x(self, values: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray:
        """Return the covariates (..., K + K') of deviations by (sensor, measure): signs, then those of F."""
        none = np.zeros_like(np.asarray(next(iter(values.values())), dtype=float))
        both = (*self.signs, *self.future.covariates)
        return np.stack([c.x(values.get((c.sensor, c.measure), none)) for c in both], axis=-1)

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """Return kappa_k x_k, (..., K): the part of each sign in the logarithm of the odds that wear has begun."""
        return np.asarray(x[..., : len(self.signs)] * self.mean[1:])

    def worn(self, x: np.ndarray) -> np.ndarray:
        """Return q of equation (1), averaged over what is not known of its coefficients."""
        full = np.concatenate([np.ones((*x.shape[:-1], 1)), x[..., : len(self.signs)]], axis=-1)
        sd = np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", full, self.covariance, full), 0.0))
        return np.asarray(expit((full @ self.mean)[..., None] + sd[..., None] * NODES) @ WEIGHTS)

    def health(self, x: np.ndarray) -> np.ndarray:
        """Return health 0..1: the probability that wear has not begun."""
        return 1.0 - self.worn(x)

    def cumulative(self, x: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
        """Return the probability of having failed by each edge, (..., H); equation (3)."""
        edges_s = np.asarray(edges_s, dtype=float)
        sudden = np.array([self.sudden.probability(s / (365.25 * 86400.0)) for s in edges_s])
        worn = self.worn(x)[..., None] * self.future.cumulative(x[..., len(self.signs) :], edges_s)
        return np.asarray(1.0 - (1.0 - sudden) * (1.0 - worn))

    def probability(self, x: np.ndarray, horizon_s: float) -> np.ndarray:
        """Return the probability of failing within one horizon, shape (...)."""
        return self.cumulative(x, np.array([horizon_s]))[..., 0]


def fit_signs(
    signs: tuple[Covariate, ...], x: np.ndarray, worn: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of (a, kappa): logistic regression with the covariates' priors, by Newton's method.

    Parameters
    ----------
    signs : tuple of Covariate
    x : ndarray
        (N, K).
    worn : ndarray
        (N,) of booleans.
    weight : float
        Of each row, below 1 where rows of one component follow closely on each other.
    """
    full = np.column_stack([np.ones(len(x)), x])
    theta = np.array([logit(min(max(worn.mean(), 1e-6), 1 - 1e-6)), *(c.beta for c in signs)])
    precision = np.diag([1e-4, *(1.0 / c.sd**2 for c in signs)])
    start = theta.copy()
    for _ in range(NEWTON_STEPS):
        p = expit(full @ theta)
        gradient = weight * (full.T @ (worn - p)) - precision @ (theta - start)
        hessian = weight * (full * (p * (1.0 - p))[:, None]).T @ full + precision
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / np.abs(step).max())
        theta = theta + step
        if np.abs(step).max() < 1e-9:
            break
    return theta, np.linalg.inv(hessian)
