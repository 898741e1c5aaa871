"""The scorer of the Numenta Anomaly Benchmark: sums by hand, and rows of the published tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks._nab_references import relative_entropy, windowed_gaussian
from tests.benchmarks._nab_scoring import (
    LabelledSeries,
    Profile,
    nab_folder,
    probation,
    read_nab,
    score_at,
    score_best,
)

WINDOW_WEIGHT = 2.0 / (1.0 + np.exp(-5.0)) - 1.0


def sigmoid(y: float) -> float:
    return float(2.0 / (1.0 + np.exp(5.0 * y)) - 1.0)


def series(points: int = 100, windows: tuple[tuple[int, int], ...] = ((50, 59),)) -> LabelledSeries:
    time = np.datetime64("2024-01-01", "us") + np.arange(points) * np.timedelta64(1, "h")
    return LabelledSeries("made", time, np.zeros(points), windows)


def alarms(*at: int, points: int = 100) -> np.ndarray:
    score = np.zeros(points)
    score[list(at)] = 1.0
    return score


def score(*at: int, **of: object) -> float:
    return score_at([series(**of)], [alarms(*at)], 0.5).score  # type: ignore[arg-type]


def test_the_first_point_of_a_window_is_perfect_and_no_alarm_is_nothing() -> None:
    assert score(50) == pytest.approx(100.0)
    assert score() == 0.0


def test_only_the_first_alarm_of_a_window_pays() -> None:
    late = 100.0 * (sigmoid(-0.3) / WINDOW_WEIGHT + 1.0) / 2.0  # point 57: (59 - 57 + 1) / 10 before the end
    assert score(57) == pytest.approx(late)
    assert score(57, 58, 59) == pytest.approx(late)


def test_an_alarm_before_any_window_costs_the_whole_weight() -> None:
    assert score(50, 30) == pytest.approx(100.0 * (2.0 - 0.11) / 2.0)


def test_an_alarm_soon_behind_a_window_costs_less() -> None:
    assert score(50, 62) == pytest.approx(100.0 * (2.0 + 0.11 * sigmoid(3.0 / 9.0)) / 2.0)
    assert score(50, 99) == pytest.approx(100.0 * (2.0 - 0.11) / 2.0)  # 40/9 widths behind


def test_nothing_counts_in_the_probationary_part() -> None:
    assert probation(100) == 15
    assert probation(22695) == 750
    assert score(50, 14) == pytest.approx(100.0)
    assert score(50, 15) < 100.0


def test_windows_are_shared_between_files() -> None:
    corpus = [series(), series(windows=((20, 29), (70, 79)))]
    found = score_at(corpus, [alarms(50), alarms(20)], 0.5)
    assert found.score == pytest.approx(100.0 * 2.0 / 3.0)
    assert (found.windows, found.found, found.false_alarms) == (3, 2, 0)


def test_a_dearer_false_alarm() -> None:
    found = score_at([series()], [alarms(50, 30)], 0.5, Profile(fp=0.22))
    assert found.score == pytest.approx(100.0 * (2.0 - 0.22) / 2.0)


def test_one_threshold_is_the_best_for_all_files_together() -> None:
    corpus = [series(), series()]
    first, second = alarms(50), alarms(50)
    first[30] = 0.8  # a false alarm above what finds the second window
    second[50] = 0.7
    found = score_best(corpus, [first, second])
    assert found.threshold == pytest.approx(0.7)
    assert found.score == pytest.approx(100.0 * (4.0 - 0.11) / 4.0)


def test_the_best_threshold_against_all_of_them() -> None:
    rng = np.random.default_rng(5)
    corpus = [series(windows=((25, 40), (60, 70))), series()]
    scores = [rng.integers(0, 12, 100) / 12.0 for _ in corpus]
    best = max(score_at(corpus, scores, k / 12.0).score for k in range(14))
    assert score_best(corpus, scores).score == pytest.approx(max(best, 0.0))


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="100 finite scores"):
        score_at([series()], [np.full(100, np.nan)], 0.5)


@pytest.fixture(scope="module")
def folder() -> Path:
    found = nab_folder()
    if found is None:
        pytest.skip("no outside data: set PDNOPT_TEST_DATA")
    return found


def published(folder: Path, detector: str) -> dict[str, float]:
    with (folder / "subset_reference_scores_standard.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["det"] == detector)
    return {key: float(cell) for key, cell in row.items() if key != "det"}


def by_family(corpus: list[LabelledSeries], by_file: dict[str, float], family: str) -> float:
    windows = sum(len(one.windows) for one in corpus)
    of_family = sum(len(one.windows) for one in corpus if family in one.name)
    return sum(part for name, part in by_file.items() if family in name) * windows / of_family


def test_the_published_row_of_the_relative_entropy_detector(folder: Path) -> None:
    corpus = read_nab(folder)
    found = score_at(corpus, [relative_entropy(one.value) for one in corpus], 0.5)  # its published threshold
    row = published(folder, "relativeEntropy")
    assert found.score == pytest.approx(row["ours"], abs=0.05)
    assert by_family(corpus, dict(found.by_file), "AWS") == pytest.approx(row["aws"], abs=0.05)
    assert by_family(corpus, dict(found.by_file), "KnownCause") == pytest.approx(row["knownCause"], abs=0.05)


def test_the_published_row_of_the_windowed_gaussian_detector(folder: Path) -> None:
    """Its alarms are p-values that round to exactly 1, and the published run had another window: near, not equal."""
    corpus = read_nab(folder)
    found = score_at(corpus, [windowed_gaussian(one.value) for one in corpus], 1.0)  # its published threshold
    assert found.score == pytest.approx(published(folder, "windowedGaussian")["ours"], abs=1.0)


def test_the_published_row_of_no_alarm_at_all(folder: Path) -> None:
    corpus = read_nab(folder)
    assert len(corpus) == 24
    constant = [np.full(len(one.value), 0.5) for one in corpus]  # the null detector
    assert score_best(corpus, constant).score == published(folder, "null")["ours"] == 0.0
