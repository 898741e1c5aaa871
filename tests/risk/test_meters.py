"""Where the meter lies and where the plant fails; trees whose truth is known, and sums by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.risk import judge_meters
from tests.risk.plants import CLASS_PERCENT, FAULTS, LATE_MINUTES, PARENTS, SCALE, scene, verdict_on

SEEDS = range(4)


@pytest.mark.parametrize("fault", FAULTS)
def test_verdicts(fault: str) -> None:
    """Never wrong on these; what balance cannot tell apart is named as such."""
    counts = Counter(
        verdict_on(s, judge_meters(s.readings, s.parents, CLASS_PERCENT))
        for s in (scene(fault, k) for k in SEEDS)
    )
    if fault in ("none", "stuck", "dead meter", "clock", "plant"):
        assert counts == {"right": len(SEEDS)}
    else:
        assert counts["right"] + counts["right meter"] + counts["named"] == len(SEEDS)


def test_a_second_meter_tells_a_draw_from_a_wrong_meter() -> None:
    """Two meters at panel A both see the draw: no one meter explains that."""
    for seed in SEEDS:
        wrong = scene("offset", seed, doubled=True)
        if wrong.node not in "ABC":
            continue
        found = judge_meters(wrong.readings, wrong.parents, CLASS_PERCENT).verdicts
        assert [(v.node, v.meter) for v in found] == [(wrong.node, True)]


def test_the_estimate_is_the_truth_without_the_wrong_meter() -> None:
    s = scene("scale", 1)
    report = judge_meters(s.readings, s.parents, CLASS_PERCENT)
    assert report.verdicts[0].node == s.node
    assert report.verdicts[0].value == pytest.approx(SCALE, abs=0.02)
    ratio = s.readings[s.node].mean() / report.estimate[s.node].mean()
    assert ratio == pytest.approx(SCALE, abs=0.02)


def test_how_late_a_clock_is() -> None:
    s = scene("clock", 2)
    verdict = judge_meters(s.readings, s.parents, CLASS_PERCENT).verdicts[0]
    assert verdict.value == pytest.approx(60.0 * LATE_MINUTES)
    assert f"{60 * LATE_MINUTES} s late" in verdict.words


def test_normalised_residual_by_hand() -> None:
    """Root 100 +- s, one leaf 103 +- s: r = 1.5, Omega = s^2 / 2, so lambda = 1.5 / (s / sqrt 2) = 3 / (s sqrt 2)."""
    time = pd.date_range("2026-01-01", periods=4, freq="1min", tz="UTC")
    readings = pd.DataFrame({"root": 100.0, "leaf": 103.0}, index=time)
    parents = {"root": None, "leaf": "root"}
    s = 0.5 / 100 * np.array([100.0, 103.0]) / np.sqrt(3)
    expected = 3.0 / np.hypot(*s)
    (verdict,) = judge_meters(readings, parents, 0.5, threshold=expected - 0.01).verdicts
    assert verdict.strength == pytest.approx(expected, rel=1e-6)
    assert verdict.cause == "ambiguous"
    assert not judge_meters(readings, parents, 0.5, threshold=expected + 0.01).verdicts


def test_what_only_one_meter_sees_is_said_to_be_unjudged() -> None:
    time = pd.date_range("2026-01-01", periods=20, freq="1min", tz="UTC")
    rng = np.random.default_rng(0)
    readings = pd.DataFrame({"root": 100 + rng.random(20), "a": 40 + rng.random(20)}, index=time)
    report = judge_meters(readings, {"root": None, "a": "root", "b": "root"})
    assert set(report.unjudged) == {"root", "a"}
    assert not report.verdicts


def test_faults_of_the_input_are_told_together() -> None:
    readings = pd.DataFrame(
        {"root": [1.0, np.inf], "x": [1.0, 2.0]}, index=pd.date_range("2026", periods=2, freq="1h")
    )
    with pytest.raises(InputError) as caught:
        judge_meters(readings, {"root": None, "other": None, "a": "nowhere"}, {"root": 0.5})
    kinds = {issue.kind for issue in caught.value.issues}
    assert kinds == {"TimezoneRequired", "InvalidId", "Topology", "Range", "NonFinite"}
    loop = {"root": None, "a": "b", "b": "a"}
    with pytest.raises(InputError, match="Break the loop"):
        judge_meters(readings[["root"]].tz_localize("UTC").iloc[:1], loop)


def test_the_report_reads_as_sentences() -> None:
    s = scene("stuck", 0)
    report = judge_meters(s.readings, PARENTS, CLASS_PERCENT)
    assert str(report).startswith(f"meter: {s.node} has read")
    assert report.to_frame().loc[0, "cause"] == "stuck"
    quiet = scene("none", 0)
    assert str(judge_meters(quiet.readings, PARENTS, CLASS_PERCENT)) == "meters: no findings"
