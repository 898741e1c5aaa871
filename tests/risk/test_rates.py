"""Gamma rates against integrals and hand sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from pdnopt.errors import InputError
from pdnopt.risk.rates import PRIORS, Rate, rate_of


def test_probability_is_the_integral_over_the_rate() -> None:
    rate = Rate(2.0, 50.0, "test")
    value, _ = quad(lambda x: (1 - np.exp(-3.0 * x)) * gamma.pdf(x, 2.0, scale=1 / 50.0), 0, 2)
    assert rate.probability(3.0) == pytest.approx(value, rel=1e-6)


def test_experience_adds_up() -> None:
    rate = Rate(1.0, 100.0, "test").update(3, 100.0)
    assert (rate.failures, rate.unit_years, rate.mean_per_year) == (4.0, 200.0, 0.02)
    low, high = rate.interval_per_year()
    assert low < 0.02 < high
    assert gamma.cdf(high, 4.0, scale=1 / 200.0) - gamma.cdf(low, 4.0, scale=1 / 200.0) == pytest.approx(0.9)


def test_the_lognormal_stand_in_keeps_the_expected_rate_and_the_spread() -> None:
    mean, variance = Rate(2.0, 50.0, "test").log_moments()
    draws = np.random.default_rng(0).gamma(2.0, 1 / 50.0, 400_000)
    assert np.exp(mean + variance / 2) == pytest.approx(draws.mean(), rel=0.01)
    assert variance == pytest.approx(np.log(draws).var(), rel=0.01)


def test_every_prior_has_a_source_and_says_that_it_was_not_read() -> None:
    assert all(rate.source for rate in PRIORS.values())
    assert all("not re-read" in rate.source or "no source" in rate.source for rate in PRIORS.values())
    assert rate_of("unheard:of").source.startswith("pdnopt's own judgement")


def test_faults() -> None:
    with pytest.raises(InputError) as caught:
        Rate(0.0, float("nan"), "test")
    assert len(caught.value.issues) == 2
    with pytest.raises(InputError):
        Rate(1.0, 1.0, "test").update(-1, 5)
