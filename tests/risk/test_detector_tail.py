"""The streaming tail against distributions whose tail is known."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.risk.detector_history import History
from pdnopt.risk.detector_tail import Tail

TINY = 1e-9


def trained(novelties: np.ndarray, resolution: float = TINY) -> Tail:
    tail = Tail()
    for novelty in novelties:
        tail.decades(float(novelty), resolution)
    return tail


@pytest.mark.parametrize("shape", [2.0, 4.0])
def test_a_pareto_tail_is_continued_as_it_is(shape: float) -> None:
    """P(n > x) = x ** -shape, on the average over samples; what is assumed before (xi = 0.2) still pulls a little."""
    tails = [trained(1.0 + np.random.default_rng(seed).pareto(shape, 2000)) for seed in range(6)]
    for decades in (2.0, 3.0, 4.0):
        found = [tail.decades(10.0 ** (decades / shape), TINY) for tail in tails]
        assert np.mean(found) == pytest.approx(decades, rel=0.25)


def test_one_in_a_hundred_is_two_decades() -> None:
    sample = np.random.default_rng(2).random(8000)
    assert trained(sample).decades(0.99, TINY) == pytest.approx(2.0, abs=0.1)


def test_the_longer_the_rarer() -> None:
    sample = np.random.default_rng(3).exponential(1.0, 3000)
    decades = [trained(sample).decades(x, TINY) for x in (1.0, 5.0, 8.0, 12.0)]
    assert decades == sorted(decades)
    assert decades[-1] > 3.0


def test_nothing_is_rare_before_two_hundred_are_known() -> None:
    tail = Tail()
    assert [tail.decades(x, TINY) for x in (*([1.0] * 199), 1e9)] == [0.0] * 200
    assert tail.decades(1e12, TINY) > 2.0


def test_what_is_within_the_resolution_is_none() -> None:
    assert trained(np.zeros(500), 1.0).decades(0.9, 1.0) == 0.0
    assert trained(np.zeros(500), 1.0).decades(3.0, 1.0) > 2.0


def test_what_keeps_happening_is_learnt() -> None:
    tail = trained(np.random.default_rng(4).random(2000))
    first = tail.decades(5.0, TINY)
    again = [tail.decades(x, TINY) for x in np.random.default_rng(5).choice([0.5, 5.0], 2000)]
    assert first > 4.0
    assert max(again[-50:]) < 2.5


def test_a_history_keeps_the_last_rows_in_order() -> None:
    history = History(5)
    for value in range(23):
        history.append(float(value))
        assert history.rows.tolist() == [float(v) for v in range(max(value - 4, 0), value + 1)]
    assert (len(history), history.count) == (5, 23)
