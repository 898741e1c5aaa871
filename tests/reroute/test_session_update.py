"""A session that follows its plant answers as a new one does."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import cases
from pdnopt.errors import InputError
from pdnopt.plant.grid import read_grid, same_structure
from pdnopt.session import Session
from tests.plants import random_plant


def moved_on(net: Any, seed: int) -> Any:
    """Return the plant some time later: other loads, states of charge, temperatures, budgets, one position."""
    rng = np.random.default_rng(seed)
    later = deepcopy(net)
    later.load["p_mw"] *= np.where(later.load["p_mw"] > 0, rng.uniform(0.85, 0.98, len(later.load)), 1.0)
    later.ups["soc_percent"] = rng.uniform(50.0, 100.0, len(later.ups))
    later.ups["temperature_c"] = rng.uniform(20.0, 35.0, len(later.ups))
    later.ups["overload_used"] = rng.uniform(0.0, 0.5, len(later.ups))
    return later


@pytest.mark.parametrize("seed", range(8))
def test_an_updated_session_answers_as_a_new_one(seed: int) -> None:
    net, failed = random_plant(seed)
    later = moved_on(net, seed)
    session = Session(net, validate=False)
    session.solve(failed=failed, explain=False)
    models = len(session._runner.optimiser.models)
    session.update(later)
    mine = session.solve(failed=failed, explain=False)
    fresh = Session(later, validate=False).solve(failed=failed, explain=False)
    assert mine.status == fresh.status
    assert mine.fingerprint == fresh.fingerprint
    for priority, kw in fresh.unserved_by_priority.items():
        assert mine.unserved_by_priority[priority] == pytest.approx(kw, abs=0.11)
    assert len(session._runner.optimiser.models) >= models  # taken over, not compiled anew


def test_positions_are_numbers_and_the_model_stays() -> None:
    net = cases.build("hall_2n")
    session = Session(net, validate=False)
    before = session._runner.optimiser.models[0]
    lost = session.solve(failed=["switch:QI-1"], explain=False)
    after = lost.plan.apply(net)  # QT-MV is closed now, QI-1 out of service
    session.update(after)
    assert session._runner.optimiser.models[0] is before or not same_structure(
        read_grid(net), read_grid(after)
    )
    closed = deepcopy(net)
    closed.switch.loc[closed.switch["name"] == "QI-1", "closed"] = False
    closed.switch.loc[closed.switch["name"] == "QT-MV", "closed"] = True
    session.update(net)
    kept = session._runner.optimiser.models[0]
    session.update(closed)
    assert session._runner.optimiser.models[0] is kept
    answer = session.solve(failed=["ext_grid:Utility-2"], explain=False)
    fresh = Session(closed, validate=False).solve(failed=["ext_grid:Utility-2"], explain=False)
    assert answer.plan.to_json() == fresh.plan.to_json()


def test_another_rating_compiles_anew_and_bad_tables_change_nothing() -> None:
    net = cases.build("two_feed")
    session = Session(net)
    first = session.solve(failed=["ups:UPS-A"], explain=False)
    larger = deepcopy(net)
    larger.ups["p_rated_mw"] *= 1.2
    larger.ups["s_rated_mva"] *= 1.2
    session.update(larger)
    assert session.solve(failed=["ups:UPS-A"], explain=False).unserved_kw < first.unserved_kw - 5.0
    broken = deepcopy(net)
    broken.ups["soc_percent"] = 140.0
    with pytest.raises(InputError):
        session.update(broken)
    assert session.solve(failed=["ups:UPS-A"], explain=False).unserved_kw < first.unserved_kw - 5.0
