"""References at equal load, against series whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pdnopt.risk.baseline import Baseline

STEP_S = 900.0
DAY = int(86400 / STEP_S)


def run(y: np.ndarray, load: np.ndarray, ambient: np.ndarray, floor: float = 0.1) -> Baseline:
    base = Baseline(np.array([floor]))
    for one, u, a in zip(y, load, ambient, strict=True):
        base.update(STEP_S, np.array([one]), np.array([u]), np.array([a]))
    return base


def plant(days: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return load, ambient temperature, and a temperature that follows both at once: 5 + 20 (u/u_0)^2 + ambient."""
    rng = np.random.default_rng(seed)
    t = np.arange(days * DAY)
    load = 100.0 * (0.6 + 0.3 * np.sin(2 * np.pi * t / DAY) + 0.05 * rng.standard_normal(len(t)))
    ambient = 22.0 + 3.0 * np.sin(2 * np.pi * t / DAY + 1.0) + 0.5 * rng.standard_normal(len(t))
    return load, ambient, 5.0 + 20.0 * (load / 100.0) ** 2 + ambient + 0.2 * rng.standard_normal(len(t))


def test_a_shift_is_found_in_its_size_whatever_the_load_does() -> None:
    load, ambient, y = plant(24)
    y[16 * DAY :] += 6.0
    load[16 * DAY :] *= 1.3  # heavier load too: hotter, but not for that
    hotter = (
        20.0 * (load / 100.0) ** 2
        - 20.0 * (load / np.where(np.arange(len(load)) >= 16 * DAY, 130.0, 100.0)) ** 2
    )
    now = run(y + hotter, load, ambient).deviation()
    assert now.level[0] == pytest.approx(6.0, abs=0.15)
    assert now.z[0] > 30
    assert now.score[0] == pytest.approx(1.0)
    assert now.seen[0] - now.expected[0] == pytest.approx(6.0, abs=0.7)


def test_nothing_is_unusual_where_nothing_changed() -> None:
    load, ambient, y = (np.array(part) for part in zip(*(plant(24, seed) for seed in range(30)), strict=True))
    base = Baseline(np.full(30, 0.01))
    for k in range(y.shape[1]):
        base.update(STEP_S, y[:, k], load[:, k], ambient[:, k])
    assert np.abs(base.deviation().z).max() < 4.0


def test_a_thermal_lag_is_not_a_fault() -> None:
    load, ambient, _ = plant(24)
    heat = np.empty_like(load)
    heat[0] = 20.0 * (load[0] / 100.0) ** 2
    for k in range(1, len(load)):
        heat[k] = heat[k - 1] + 0.25 * (20.0 * (load[k] / 100.0) ** 2 - heat[k - 1])  # about 45 min
    now = run(5.0 + heat + ambient, load, ambient).deviation()
    assert abs(now.level[0]) < 0.1


def test_a_ramp_has_its_slope() -> None:
    load, ambient, y = plant(40)
    y += np.maximum(np.arange(len(y)) / DAY - 14.0, 0.0) * 0.5
    now = run(y, load, ambient).deviation()
    assert now.trend_per_day[0] == pytest.approx(0.5, rel=0.1)


def test_more_noise_at_equal_load_is_more_spread() -> None:
    load, ambient, y = plant(40)
    y[20 * DAY :] += np.random.default_rng(5).standard_normal(20 * DAY) * 0.8
    now = run(y, load, ambient).deviation()
    expected = 0.5 * np.log((0.2**2 + 0.8**2) / 0.2**2)
    assert now.spread[0] == pytest.approx(expected, abs=0.3)


def test_learning_says_nothing_and_gaps_are_no_readings() -> None:
    load, ambient, y = plant(10)
    base = run(y, load, ambient)
    assert base.learning
    assert np.isnan(base.deviation().z).all()
    load, ambient, y = plant(24)
    whole = run(y, load, ambient).deviation().level[0]
    y[15 * DAY : 16 * DAY] = np.nan
    assert run(y, load, ambient).deviation().level[0] == pytest.approx(whole, abs=0.02)


def test_a_constant_load_and_no_load_at_all() -> None:
    _, ambient, _ = plant(24)
    y = 10.0 + ambient
    for load in (np.full(len(y), 50.0), np.full(len(y), np.nan)):
        now = run(y, load, ambient).deviation()
        assert abs(now.level[0]) < 0.02


def test_channels_do_not_touch_each_other() -> None:
    load, ambient, y = plant(24)
    both = Baseline(np.array([0.1, 0.1]))
    for one, u, a in zip(y, load, ambient, strict=True):
        both.update(STEP_S, np.array([one, np.nan]), np.array([u, u]), np.array([a, a]))
    now = both.deviation()
    assert now.level[0] == pytest.approx(run(y, load, ambient).deviation().level[0])
    assert np.isnan(now.z[1])
