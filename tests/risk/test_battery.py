"""First passage against simulation, and end of life on real cells that the prior has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.risk.battery import LI_ION_18650, WINDOW, Fade, end_of_life, learn_fade, passage_probability
from pdnopt.risk.scoring import calibration
from tests.risk.data import need


def cells() -> dict[str, np.ndarray]:
    table = pd.read_csv(need("nasa_battery_capacity_cycles.csv"))
    return {str(name): part["soh"].to_numpy() for name, part in table.groupby("battery_id")}


def test_first_passage_against_simulated_paths() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(-0.02 / 20, 0.03 / np.sqrt(20), (20_000, 800))  # 40 cycles in steps of a twentieth
    lowest = np.minimum.accumulate(np.cumsum(steps, axis=1), axis=1)
    for cycles in (10, 40):
        simulated = (lowest[:, cycles * 20 - 1] <= -0.5).mean()
        assert passage_probability(0.5, -0.02, 0.03, cycles) == pytest.approx(simulated, abs=0.02)


def test_it_has_passed_already_or_never_will() -> None:
    assert passage_probability(-0.01, -0.002, 0.003, 1) == 1.0
    assert passage_probability(0.5, 0.05, 0.001, 1000) == pytest.approx(0.0, abs=1e-12)


def test_a_straight_fade_is_carried_on() -> None:
    sure = Fade(-0.002, 1e-3, 1e-5, 1e-4, "test")
    health = 1.0 - 0.004 * np.arange(30)
    p, left = end_of_life(health, [10, 20, 25, 40], sure, limit=0.8)
    assert left == pytest.approx((0.884 - 0.8) / 0.004, rel=0.02)  # 0.004 a cycle, whatever the prior says
    assert p[0] < 0.01
    assert p[-1] > 0.99
    assert (np.diff(p) >= 0).all()


def test_a_new_battery_has_the_prior() -> None:
    p, left = end_of_life(np.array([1.0]), [10, 100, 400])
    assert left == pytest.approx(0.2 / -LI_ION_18650.drift)
    assert p[0] < 0.01 < 0.3 < p[1] < p[2]


def test_the_built_in_prior_is_that_of_the_four_cells() -> None:
    learnt = learn_fade(list(cells().values()))
    for name in ("drift", "drift_sd", "slope_sd", "sigma"):
        assert getattr(LI_ION_18650, name) == pytest.approx(getattr(learnt, name), rel=5e-3)


@pytest.mark.parametrize("cycles", [10, 20])
def test_cells_left_out_reach_their_end_of_life_as_often_as_was_said(cycles: int) -> None:
    """Each cell judged with the prior of the other three; 80 % is reached by all four within their records."""
    said, came = [], []
    for name, health in cells().items():
        fade = learn_fade([other for key, other in cells().items() if key != name])
        end = int(np.flatnonzero(health <= 0.8)[0])
        for c in range(WINDOW, end):
            said.append(end_of_life(health[:c], [cycles], fade)[0][0])
            came.append(end < c + cycles)
    found = calibration(np.array(said), np.array(came), edges=(0, 0.05, 0.3, 0.7, 0.95, 1))
    assert found.skill > 0.35  # against the constant forecast that knows how often it came
    assert 0.7 < found.ratio < 1.4
    assert found.reliability < 0.02


def test_faults() -> None:
    with pytest.raises(InputError) as caught:
        learn_fade([np.full(5, 80.0)])
    assert {issue.kind for issue in caught.value.issues} == {"Empty", "TooShort", "Range"}
    with pytest.raises(InputError) as caught:
        end_of_life(np.array([80.0]), [1], limit=80)
    assert {issue.kind for issue in caught.value.issues} == {"Range"}
    assert len(caught.value.issues) == 2
