"""The streaming detector against series whose anomalies the test put there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.risk.detector import ALARM_SCORE, QUIET, Reason, StreamingDetector

STEP_S = 300.0
DAY = 288


def feed(
    values: Iterable[float], detector: StreamingDetector | None = None
) -> tuple[StreamingDetector, np.ndarray]:
    """Return the detector after the values, and the scores at which something began."""
    detector = detector or StreamingDetector(step_s=STEP_S)
    onsets = []
    for value in values:
        detector.update(float(value))
        onsets.append(detector.onset)
    return detector, np.array(onsets)


def noise(points: int, seed: int = 1) -> np.ndarray:
    return 50.0 + np.random.default_rng(seed).normal(size=points)


def daily(points: int, seed: int = 2) -> np.ndarray:
    return 20.0 * np.sin(2.0 * np.pi * np.arange(points) / DAY) + noise(points, seed)


def leading(detector: StreamingDetector) -> Reason:
    return detector.reasons()[0]


def test_a_spike_is_found_where_it_is_and_explained() -> None:
    detector, _ = feed(noise(1500))
    assert detector.update(65.0) > 0.99
    assert detector.onset == detector.score
    reason = next(reason for reason in detector.reasons() if reason.view == "value")
    assert reason.seen == 65.0
    assert reason.expected == pytest.approx(noise(1500).max())  # the nearest value ever seen
    assert reason.distance == pytest.approx(65.0 - noise(1500).max())
    assert reason.distance > reason.usual
    assert reason.sigma > 3.0


def test_a_value_between_two_levels_is_new_although_inside_the_range() -> None:
    levels = np.where(np.arange(1500) // 40 % 2, 80.0, 20.0) + 0.5 * noise(1500)
    detector, _ = feed(levels)
    assert detector.update(75.0) >= ALARM_SCORE
    assert leading(detector).view in ("value", "shape")


def test_a_line_that_goes_flat_is_found_by_its_roughness() -> None:
    detector, onset = feed(np.append(noise(1500), np.full(60, 50.0)))
    assert (onset[1500:] >= ALARM_SCORE).any()
    assert leading(detector).view == "roughness"
    assert leading(detector).seen < 0.1 * leading(detector).expected


def test_more_noise_at_the_same_level_is_found() -> None:
    values = np.append(noise(1500), 50.0 + 3.0 * np.random.default_rng(3).normal(size=60))
    assert (feed(values)[1][1500:] >= ALARM_SCORE).any()


def test_the_right_value_at_the_wrong_time_is_found_by_the_clock() -> None:
    values = daily(8 * DAY)
    at = 7 * DAY + DAY // 4
    values[at : at + 40] -= 40.0  # midnight's load at noon
    detector = StreamingDetector(step_s=STEP_S)
    found = []
    for value in values[: at + 40]:
        detector.update(value)
        found.append({reason.view for reason in detector.reasons() if reason.score >= ALARM_SCORE})
    assert any("clock" in views for views in found[at:])
    assert sum("clock" in views for views in found[5 * DAY : at]) <= 0.02 * 2 * DAY


def test_an_event_that_lasts_is_one_alarm_and_then_known() -> None:
    values = noise(2400)
    values[1500:] += 12.0
    _, onset = feed(values)
    assert 1 <= (onset[1500 : 1500 + QUIET] > 0.0).sum() <= 2
    assert not (onset[1500 + 2 * QUIET :] > 0.999).any()


def test_one_event_does_not_blind_the_detector_to_the_next() -> None:
    values = noise(2400)
    values[1200:1260] += 200.0
    values[1800:1802] += 12.0  # a sixteenth of the event before
    assert (feed(values)[1][1800:1802] >= ALARM_SCORE).any()


@pytest.mark.parametrize("seed", range(2))
def test_a_series_that_goes_on_as_before_is_seldom_scored_high(seed: int) -> None:
    """The meaning of the score: Bonferroni's bound, with room for the chance of 2,000 dependent values."""
    detector = StreamingDetector(step_s=STEP_S)
    score = np.array([detector.update(value) for value in noise(2500, seed)])[500:]
    assert (score >= 0.95).mean() <= 0.05
    assert (score >= 0.995).mean() <= 0.01


def test_scale_and_unit_do_not_matter() -> None:
    values = daily(5 * DAY)
    values[1200:1203] += 30.0
    assert np.allclose(feed(values)[1], feed(1000.0 * values - 7.0)[1], atol=1e-6)


def test_a_hair_is_no_news() -> None:
    """A meter of whole watts on a load that never leaves two of them, then a reading a thousandth of the range away."""
    detector, _ = feed(np.where(np.random.default_rng(6).random(1000) < 0.5, 100.0, 101.0))
    assert detector.update(101.001) < ALARM_SCORE
    assert detector.update(102.0) >= ALARM_SCORE


@pytest.mark.parametrize("value", [0.0, 230.0])
def test_a_constant_series_is_silent_until_it_moves(value: float) -> None:
    detector, onset = feed(np.full(800, value))
    assert not onset.any()
    assert detector.update(value + 1.0) >= ALARM_SCORE


def test_nothing_is_said_before_anything_is_known() -> None:
    _, onset = feed(np.random.default_rng(4).normal(size=200) * np.arange(200))
    assert not onset.any()


def test_it_sees_the_past_only() -> None:
    values = daily(4 * DAY)
    _, all_of_it = feed(values)
    _, first_half = feed(values[: 2 * DAY])
    assert np.array_equal(all_of_it[: 2 * DAY], first_half)


def test_missing_values_score_nothing_and_leave_the_rest_as_it_is() -> None:
    values = daily(6 * DAY)
    values[900:905] = np.nan
    detector, onset = feed(values)
    assert not onset[900:905].any()
    assert np.isfinite(onset).all()
    assert detector.update(500.0) >= ALARM_SCORE


def test_gaps_in_time_keep_the_clock_right() -> None:
    """A day of 40 values of which 7 are lost: marked as gaps, the same as if they had come as NaN."""
    values = daily(6 * DAY)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    told, marked = StreamingDetector(step_s=STEP_S), StreamingDetector(step_s=STEP_S)
    for i, value in enumerate(values):
        lost = 1000 <= i < 1007
        marked.update(np.nan if lost else value)
        if not lost:
            told.update(value, start + timedelta(seconds=STEP_S * i))
        assert lost or told.score == marked.score


def test_the_step_is_learnt_from_the_time_stamps() -> None:
    detector = StreamingDetector()
    start = np.datetime64("2026-03-01T00:00", "s")
    for i, value in enumerate(daily(4 * DAY)):
        detector.update(value, start + np.timedelta64(300 * i, "s"))
    assert detector.step_s == STEP_S
    assert "clock" in {reason.view for reason in detector.reasons()}


def test_a_gap_of_months_starts_the_clock_anew() -> None:
    detector = StreamingDetector(step_s=STEP_S)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for i, value in enumerate(daily(4 * DAY)):
        detector.update(value, start + timedelta(seconds=STEP_S * i))
    detector.update(50.0, start + timedelta(days=90))
    assert "clock" not in {reason.view for reason in detector.reasons()}


def test_memory_is_bounded_and_a_forgotten_event_is_new_again(tmp_path: Path) -> None:
    values = noise(2600)
    values[500:520] += 15.0
    values[2500:2520] += 15.0
    detector, onset = feed(values, StreamingDetector(step_s=STEP_S, memory=1000))
    assert onset[2500:2520].max() >= ALARM_SCORE
    detector.save(tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as file:
        rows = {name: len(file[name]) for name in file.files if name.startswith(("values", "view"))}
    assert max(rows.values()) == 1000


@pytest.mark.parametrize("cut", [5, 150, 1003])
def test_a_restart_goes_on_where_it_stopped(cut: int, tmp_path: Path) -> None:
    values = daily(1500)
    values[1300:1310] += 30.0
    start = datetime(2026, 3, 1, tzinfo=UTC)
    moments = [start + timedelta(seconds=STEP_S * i) for i in range(len(values))]
    straight, stopped = StreamingDetector(memory=1000), StreamingDetector(memory=1000)
    for value, moment in zip(values[:cut], moments[:cut], strict=True):
        straight.update(value, moment)
        stopped.update(value, moment)
    stopped.save(tmp_path / "state.npz")
    resumed = StreamingDetector.load(tmp_path / "state.npz")
    for value, moment in zip(values[cut:], moments[cut:], strict=True):
        assert resumed.update(value, moment) == straight.update(value, moment)
        assert resumed.onset == straight.onset
    assert resumed.reasons() == straight.reasons()


def test_bad_arguments_are_named_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        StreamingDetector(step_s=-1.0, memory=10)
    assert [issue.path for issue in caught.value.issues] == ["detector.step_s", "detector.memory"]


def test_bad_values_are_refused_and_not_taken_in() -> None:
    detector = StreamingDetector(step_s=STEP_S)
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    detector.update(1.0, moment)
    with pytest.raises(InputError) as caught:
        detector.update(float("inf"), moment)
    assert [issue.kind for issue in caught.value.issues] == ["NonFinite", "TimeOrder"]
    with pytest.raises(InputError, match="TimeOrder"):
        detector.update(1.0, "yesterday")
    detector.update(2.0, moment + timedelta(seconds=STEP_S))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_a_file_that_is_no_state_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="begin anew"):
        StreamingDetector.load(path)


def test_a_state_with_parts_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    feed(noise(50))[0].save(path)
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files if name != "view.spread.known"}
    np.savez(path, **parts)
    with pytest.raises(InputError, match=r"view\.spread\.known"):
        StreamingDetector.load(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Check path and permissions"):
        feed(noise(5))[0].save(tmp_path / "absent" / "state.npz")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-01T00:00",
        "2026-03-01T01:00+01:00",
        np.datetime64("2026-03-01"),
        pd.Timestamp("2026-03-01", tz="UTC"),
    ],
)
def test_a_time_is_the_same_however_it_is_written(moment: object) -> None:
    detector = StreamingDetector(step_s=STEP_S)
    detector.update(1.0, moment)
    with pytest.raises(InputError, match="later than the last one"):
        detector.update(1.0, datetime(2026, 3, 1, tzinfo=UTC))
    detector.update(1.0, datetime(2026, 3, 1, 0, 5, tzinfo=UTC))


@pytest.mark.parametrize("moment", ["yesterday", pd.NaT, 5])
def test_what_is_no_time_is_refused(moment: object) -> None:
    with pytest.raises(InputError, match="Give a date and a time"):
        StreamingDetector().update(1.0, moment)


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "state.npz", state=np.array('{"format": 99}'))
    with pytest.raises(InputError, match="format 99"):
        StreamingDetector.load(tmp_path / "state.npz")
