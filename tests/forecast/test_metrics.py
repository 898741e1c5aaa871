"""Scores by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.forecast.metrics import Losses, losses, pinball, score, seasonal_scale

Q = np.array([0.1, 0.5, 0.9])


def one(y: list[float], f: list[list[float]], scale: float) -> Losses:
    return losses(np.array(y)[:, None], np.array(f)[:, None, :], Q, np.array([scale]))


def test_pinball_by_hand() -> None:
    # 2 |(y - f)(1[y <= f] - q)|: above the quantile 2 q (y - f), below it 2 (1 - q) (f - y)
    found = pinball(np.array([10.0]), np.array([[8.0, 10.0, 13.0]]), Q)
    assert found[0] == pytest.approx([2 * 0.1 * 2.0, 0.0, 2 * 0.1 * 3.0])


def test_scores_by_hand() -> None:
    # errors 1 and 3, actual 10 and 20, scale 2
    each = one([10.0, 20.0], [[8.0, 9.0, 12.0], [18.0, 23.0, 24.0]], 2.0)
    found = score([each], Q)
    pins = [[0.4, 1.0, 0.4], [0.4, 3.0, 0.8]]
    assert found.mase == pytest.approx((1 + 3) / 2 / 2.0)
    assert found.sql == pytest.approx(np.mean(pins) / 2.0)
    assert found.wql == pytest.approx(np.mean(pins) / 15.0)
    assert found.wape == pytest.approx(4.0 / 30.0)
    assert found.coverage == {0.8: 1.0}
    assert found.below == {0.1: 0.0, 0.5: 0.5, 0.9: 1.0}
    assert found.pinball_kw == pytest.approx({0.1: 0.4, 0.5: 2.0, 0.9: 0.6})


def test_gaps_count_nowhere() -> None:
    forecast = [[8.0, 9.0, 12.0], [0.0, 0.0, 0.0], [18.0, 23.0, 24.0]]
    with_gap = score([one([10.0, np.nan, 20.0], forecast, 2.0)], Q)
    without = score([one([10.0, 20.0], [forecast[0], forecast[2]], 2.0)], Q)
    assert with_gap == without


def test_a_group_is_weighed_by_its_actual_values_and_groups_alike() -> None:
    y = np.array([[1.0, 100.0]])
    f = np.array([[[0.0, 2.0, 3.0], [90.0, 110.0, 120.0]]])
    each = losses(y, f, Q, np.array([1.0, 10.0]))
    together, apart = score([each], Q), score([each], Q, ["a", "b"])
    assert together.wape == pytest.approx(11.0 / 101.0)
    assert apart.wape == pytest.approx((1.0 + 0.1) / 2)
    assert together.mase == apart.mase == pytest.approx(1.0)


def test_a_circuit_without_a_scale_is_left_out_of_scaled_scores_only() -> None:
    y, f = np.array([[1.0, 5.0]]), np.array([[[0.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    found = score([losses(y, f, Q, np.array([1.0, 0.0]))], Q)
    assert found.mase == pytest.approx(1.0)
    assert found.wape == pytest.approx(1.0 / 6.0)


def test_the_seasonal_scale_by_hand() -> None:
    kw = np.array([[1.0], [2.0], [4.0], [np.nan], [7.0]])
    assert seasonal_scale(kw, 2) == pytest.approx([(3.0 + 3.0) / 2])
