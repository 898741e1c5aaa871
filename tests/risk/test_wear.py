"""Transfer switches that wear: synthetic fleets that nothing was learnt from, alarms, and what was learnt."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.risk.hazard import DAY_S
from pdnopt.risk.kinds import learnt_ats
from pdnopt.risk.scoring import calibration
from pdnopt.risk.synthetic import Fleet, ats_fleet
from pdnopt.risk.wear import Watch, learn_ats, watch_fleet

WEEK_S = 7 * DAY_S
DAYS = 120.0


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return ats_fleet(250, DAYS, seed=4242)


@pytest.fixture(scope="module")
def watch(fleet: Fleet) -> Watch:
    return watch_fleet(fleet)


def test_of_what_is_said_as_much_comes_true(watch: Watch) -> None:
    model = learnt_ats()
    p = model.probability(model.x(watch.values), WEEK_S)
    use = watch.alive & (watch.at_s[:, None] + WEEK_S <= watch.end_s)
    use[np.arange(len(use)) % 4 != 0] = False  # once a day
    found = calibration(p[use], watch.fails_within(WEEK_S)[use], synthetic=watch.synthetic)
    assert found.synthetic
    assert found.skill > 0.4
    assert 0.7 < found.ratio < 1.4
    top = found.table.iloc[-1]
    assert top["observed"] > 0.6


def test_an_alarm_comes_days_before_the_failure(fleet: Fleet, watch: Watch) -> None:
    model = learnt_ats()
    alarm = model.probability(model.x(watch.values), WEEK_S) >= 0.1
    lead = [
        (fleet.failure_s[k] - watch.at_s[np.argmax(alarm[:, k] & watch.alive[:, k])]) / DAY_S
        for k in np.flatnonzero(fleet.worn)
        if (alarm[:, k] & watch.alive[:, k]).any()
    ]
    assert len(lead) > 0.9 * fleet.worn.sum()
    assert np.median(lead) > 5.0


def test_switches_that_never_wear_raise_no_alarm(fleet: Fleet, watch: Watch) -> None:
    model = learnt_ats()
    alarm = (model.probability(model.x(watch.values), WEEK_S) >= 0.1) & watch.alive
    healthy = ~np.isfinite(fleet.onset_s)
    years = watch.alive[:, healthy].sum() * (watch.at_s[1] - watch.at_s[0]) / (365.25 * DAY_S)
    assert alarm[:, healthy].any(axis=0).sum() / years < 0.5


@pytest.mark.soak
def test_what_is_built_in_is_what_is_learnt() -> None:
    learnt, built_in = learn_ats(), learnt_ats()
    np.testing.assert_allclose(built_in.mean, learnt.mean, rtol=1e-3)
    np.testing.assert_allclose(built_in.covariance, learnt.covariance, rtol=1e-3)
    np.testing.assert_allclose(built_in.future.mean, learnt.future.mean, rtol=1e-3)
    np.testing.assert_allclose(built_in.future.covariance, learnt.future.covariance, rtol=1e-3)
    assert built_in.share == pytest.approx(learnt.share, rel=1e-3)
    assert built_in.wear_days == pytest.approx(learnt.wear_days, rel=1e-3)
    assert built_in.synthetic
