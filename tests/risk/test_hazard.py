"""The proportional hazard: closed forms, an optimiser of somebody else, and data with known coefficients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pdnopt.risk.hazard import DAY_S, YEAR_S, Covariate, HazardModel, Pieces, fit_hazard
from pdnopt.risk.rates import Rate

HEAT = Covariate("temperature", "level", 10.0, "linear", np.log(2.0), 0.35, "test")
WEAR = (
    Covariate("temperature", "level", 1.0, "log1p", 0.0, 10.0, "test", growth_sd=10.0),
    Covariate("thd", "level", 1.0, "linear", 0.0, 10.0, "test", growth_sd=10.0),
)


def exact(kind: str, rate: float, covariates: tuple[Covariate, ...], beta: list[float]) -> HazardModel:
    """Return a model without uncertainty."""
    k = len(covariates)
    return HazardModel(
        kind, covariates, np.array([np.log(rate), *beta]), np.zeros((1 + 2 * k, 1 + 2 * k)), "test"
    )


def test_ten_kelvin_double_the_hazard() -> None:
    model = exact("ups", 0.02, (HEAT,), [np.log(2.0), 0.0])
    warm = model.x({("temperature", "level"): np.array(10.0)})
    cool = model.x({("temperature", "level"): np.array(-10.0)})
    assert np.exp(model.log_ratio(warm)) == pytest.approx(2.0)
    assert model.log_ratio(cool) == 0.0  # cooler than the reference makes nothing better
    assert model.health(warm) == pytest.approx(0.5)
    assert model.probability(warm, YEAR_S) == pytest.approx(1 - np.exp(-0.04))
    assert model.probability(model.x({("thd", "level"): np.array(1.0)}), YEAR_S) == pytest.approx(
        1 - np.exp(-0.02)
    )


def test_what_grows_is_integrated() -> None:
    """gamma = 1, x = 1: rate r (1 + s/day), so r (h + h^2 / 2) after h days."""
    model = exact("ups", 36.5, WEAR[1:], [0.0, 1.0])
    p = model.cumulative(np.array([1.0]), np.array([1.0, 4.0]) * DAY_S)
    per_day = 36.5 * DAY_S / YEAR_S
    np.testing.assert_allclose(p, 1 - np.exp(-per_day * np.array([1.5, 12.0])), rtol=2e-3)


def test_uncertainty_is_averaged_over() -> None:
    model = HazardModel.prior("ups", Rate(2.0, 10.0, "test"), (HEAT,))
    x = np.array([3.0])
    rng = np.random.default_rng(0)
    mu, beta = (
        rng.normal(model.mean[0], np.sqrt(model.covariance[0, 0]), 400_000),
        rng.normal(np.log(2), 0.35, 400_000),
    )
    expected = (1 - np.exp(-np.exp(mu + 3 * beta) * 0.1)).mean()
    assert model.probability(x, 0.1 * YEAR_S) == pytest.approx(expected, rel=0.01)


def test_cumulative_probabilities_rise_and_steps_add_up() -> None:
    model = HazardModel.prior("ups", Rate(2.0, 10.0, "test"), (HEAT,))
    p = model.cumulative(np.array([[0.0], [5.0]]), 300.0 * np.arange(1, 13))
    assert p.shape == (2, 12)
    assert (np.diff(p, axis=1) > 0).all()
    assert p[1, -1] == pytest.approx(float(model.probability(np.array([5.0]), 3600.0)), rel=1e-9)


def pieces(n: int, seed: int) -> Pieces:
    """Return pieces drawn from mu = 1, beta = (1.0, 0.5), gamma = (0.3, 0)."""
    rng = np.random.default_rng(seed)
    x = rng.exponential(0.7, (n, 2))
    ahead = rng.choice([0.5, 1.5, 5.0], n) * DAY_S
    rate = np.exp(1.0 + x @ [1.0, 0.5] + np.log1p(ahead / DAY_S) * (x @ [0.3, 0.0])) / YEAR_S
    length = np.full(n, 2 * DAY_S)
    until = rng.exponential(1 / rate)
    return Pieces(x, ahead, np.minimum(until, length), until <= length, np.ones(n), synthetic=True)


def test_known_coefficients_are_found_within_their_errors() -> None:
    model = fit_hazard(HazardModel.prior("ups", Rate(1.0, 1.0, "test"), WEAR), pieces(60_000, 1))
    off = (model.mean - [1.0, 1.0, 0.5, 0.3, 0.0]) / np.sqrt(np.diag(model.covariance))
    assert np.abs(off).max() < 3.5
    assert np.sqrt(np.diag(model.covariance)).max() < 0.2
    assert model.synthetic


def test_the_mode_is_that_of_another_optimiser() -> None:
    prior, data = HazardModel.prior("ups", Rate(1.0, 1.0, "test"), WEAR), pieces(3_000, 2)
    full = np.column_stack([np.ones(3000), data.x, data.x * np.log1p(data.ahead_s / DAY_S)[:, None]])

    def negative(theta: np.ndarray) -> float:
        eta = full @ theta
        fit = data.failed @ eta - (data.exposure_s / YEAR_S) @ np.exp(eta)
        return float(-fit + 0.5 * ((theta - prior.mean) ** 2 / np.diag(prior.covariance)).sum())

    theirs = minimize(negative, prior.mean, method="BFGS", options={"gtol": 1e-6}).x
    np.testing.assert_allclose(fit_hazard(prior, data).mean, theirs, atol=2e-3)


def test_without_data_the_prior_stays() -> None:
    prior = HazardModel.prior("ups", Rate(2.0, 100.0, "test"), (HEAT,))
    none = Pieces(np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.zeros(1, bool), np.ones(1), synthetic=False)
    after = fit_hazard(prior, none)
    np.testing.assert_allclose(after.mean, prior.mean)
    np.testing.assert_allclose(after.covariance, prior.covariance)
    assert not after.synthetic
