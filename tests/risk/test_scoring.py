"""Calibration against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.risk.scoring import calibration


def test_parts_by_hand() -> None:
    p = np.array([0.2, 0.2, 0.2, 0.2, 0.8, 0.8])
    y = np.array([0, 0, 0, 1, 1, 0])
    found = calibration(p, y, edges=(0.0, 0.5, 1.0), synthetic=True)
    assert found.brier == pytest.approx((3 * 0.04 + 0.64 + 0.04 + 0.64) / 6)
    assert found.uncertainty == pytest.approx(2 / 6 * 4 / 6)
    assert found.reliability == pytest.approx((4 * (0.2 - 0.25) ** 2 + 2 * (0.8 - 0.5) ** 2) / 6)
    assert found.resolution == pytest.approx((4 * (0.25 - 1 / 3) ** 2 + 2 * (0.5 - 1 / 3) ** 2) / 6)
    assert found.within == pytest.approx(0.0)
    assert found.ratio == pytest.approx(2.4 / 2)
    assert found.synthetic
    assert found.table["failures"].tolist() == [1, 1]


def test_a_perfect_and_an_empty_forecast() -> None:
    y = np.array([0, 1, 1, 0])
    assert calibration(y, y).skill == pytest.approx(1.0)
    assert calibration(np.full(4, 0.5), y).skill == pytest.approx(0.0)
