"""Repair times: by hand, and on LANL's events with repeats taken out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import lognorm

from pdnopt.errors import InputError
from pdnopt.risk.repairs import LANL, RepairTime, fit_repairs, lanl_events, repair_of
from tests.risk.data import need


def test_many_events_speak_for_themselves_and_few_are_drawn_in() -> None:
    rng = np.random.default_rng(0)
    many = pd.DataFrame({"cause": "many", "duration_min": np.exp(rng.normal(4.0, 0.5, 2000))})
    other = pd.DataFrame({"cause": "other", "duration_min": np.exp(rng.normal(6.0, 0.5, 2000))})
    few = pd.DataFrame({"cause": "few", "duration_min": np.exp([7.0, 7.4])})
    found = fit_repairs(pd.concat([many, other, few]))
    assert found["many"].log_mean == pytest.approx(4.0, abs=0.05)
    assert found["many"].log_sd == pytest.approx(0.5, abs=0.03)
    assert 6.0 < found["few"].log_mean < 7.2
    assert found["few"].log_sd > found["other"].log_sd


def test_done_within_is_the_lognormal() -> None:
    repair = RepairTime(np.log(200.0), 0.8, 10, "test")
    assert repair.median_min == pytest.approx(200.0)
    assert repair.done_within(300.0) == pytest.approx(lognorm.cdf(300.0, 0.8, scale=200.0))
    assert repair.mean_min == pytest.approx(lognorm.mean(0.8, scale=200.0))
    assert repair.done_within(0.0) == 0.0


def test_one_event_that_hits_many_nodes_is_one_event() -> None:
    path = need("lanl_failures_1996_2005.csv.xz")
    raw = pd.read_csv(path, low_memory=False).dropna(subset=["Facilities"])
    assert raw.query("Facilities == 'UPS'")["Down Time"].median() == 182  # the row median, as published
    events = lanl_events(path)
    assert events["rows"].sum() == len(raw)
    ups = events.query("cause == 'UPS'")
    assert (len(ups), ups["rows"].sum()) == (13, 76)
    assert not events.duplicated(["cause", "start"]).any()


def test_the_built_in_times_are_those_of_the_events() -> None:
    found = fit_repairs(lanl_events(need("lanl_failures_1996_2005.csv.xz")))
    assert set(found) == set(LANL)
    for cause, repair in LANL.items():
        assert (repair.log_mean, repair.log_sd) == pytest.approx(
            (found[cause].log_mean, found[cause].log_sd), abs=1e-3
        )
        assert repair.events == found[cause].events
    assert repair_of("ups:A") == LANL["UPS"]
    assert repair_of("ext_grid:0") == LANL["Power Outage"]


def test_faults() -> None:
    with pytest.raises(InputError, match="Schema"):
        fit_repairs(pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError) as caught:
        fit_repairs(pd.DataFrame({"cause": ["x"], "duration_min": [-1.0]}))
    assert {issue.kind for issue in caught.value.issues} == {"Range", "TooShort"}
