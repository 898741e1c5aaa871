"""Worn or not: Bayes' rule by counting, an optimiser of somebody else, limits in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from pdnopt.risk.hazard import DAY_S, Covariate, HazardModel
from pdnopt.risk.mixture import WearModel, fit_signs
from pdnopt.risk.rates import Rate

SIGN = Covariate("temperature", "level", 1.0, "linear", 0.0, 100.0, "test")
AHEAD = Covariate("temperature", "level", 1.0, "log1p", 0.0, 2.0, "test")


def model(
    share: float, a: float, kappa: float, future_per_year: float = 36.5, sudden: float = 1e-9
) -> WearModel:
    future = HazardModel(
        "transfer", (AHEAD,), np.array([np.log(future_per_year), 0.0, 0.0]), np.zeros((3, 3)), "test"
    )
    rate = Rate(1e6 * sudden, 1e6, "test")
    return WearModel(
        "transfer",
        (SIGN,),
        np.array([a, kappa]),
        np.zeros((2, 2)),
        share,
        30.0,
        future,
        rate,
        "test",
        synthetic=False,
    )


def test_another_share_of_worn_ones_is_bayes_rule() -> None:
    """Signs x ~ N(0, 1) healthy, N(2, 1) worn: log odds are logit(share) + 2 x - 2."""
    learnt = model(0.5, -2.0, 2.0)
    rate = Rate(1.0, 100.0, "test")
    here = learnt.for_plant(rate, announced=0.5)
    assert here.share == pytest.approx(0.5 * 0.01 * 30 / 365.25)
    x = 2.5
    worn, healthy = here.share * np.exp(-0.5 * (x - 2) ** 2), (1 - here.share) * np.exp(-0.5 * x**2)
    seen = here.x({("temperature", "level"): np.array(x)})
    assert here.worn(seen) == pytest.approx(worn / (worn + healthy))
    assert here.sudden.mean_per_year == pytest.approx(0.005)


def test_the_worn_fail_as_the_worn_do_whatever_the_base_rate() -> None:
    sure = model(0.5, 50.0, 0.0)
    x = sure.x({("temperature", "level"): np.array(0.0)})
    assert sure.probability(x, 10 * DAY_S) == pytest.approx(1 - np.exp(-36.5 * 10 / 365.0), rel=1e-6)
    never = model(0.5, -50.0, 0.0, sudden=0.1)
    assert never.probability(x, 365.25 * DAY_S) == pytest.approx(1 - np.exp(-0.1), rel=1e-3)
    assert never.health(x) == pytest.approx(1.0)


def test_signs_are_fitted_as_another_optimiser_does() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (2000, 1))
    worn = rng.random(2000) < expit(-1.0 + 2.0 * x[:, 0])
    mean, covariance = fit_signs((SIGN,), x, worn, weight=1.0)

    def negative(theta: np.ndarray) -> float:
        eta = theta[0] + theta[1] * x[:, 0]
        return float((np.logaddexp(0, eta) - worn * eta).sum() + 0.5 * theta[1] ** 2 / 100.0**2)

    np.testing.assert_allclose(mean, minimize(negative, np.zeros(2), method="BFGS").x, atol=2e-3)
    assert abs(mean[1] - 2.0) < 3 * np.sqrt(covariance[1, 1])
