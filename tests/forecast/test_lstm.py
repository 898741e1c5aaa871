"""The LSTM: what it sees, what it learns, and that what is served is what was trained."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.estimator import Forecaster, quantile_array
from pdnopt.forecast.history import read_history
from pdnopt.forecast.lstm.forecaster import LSTMForecaster, frame_from
from pdnopt.forecast.lstm.known import CALENDAR, Known
from pdnopt.forecast.lstm.settings import LEVELS, Settings, read_settings
from pdnopt.forecast.lstm.windows import LAGS, PAST, Frame, open_windows, read_targets
from pdnopt.forecast.metrics import pinball as exact_pinball
from tests.forecast.synthetic import daily

SMALL = Settings(horizon=24, context=24, hidden=8, steps=4, batch=8)
TRAINED = Settings(horizon=12, context=24, hidden=16, steps=500, batch=32, learning_rate=1e-2, dropout=0.0)


def frame(history: pd.DataFrame) -> Frame:
    seen = read_history(history)
    known, values = Known.read(None, seen.index, SMALL)
    return frame_from(seen, known, values)


@pytest.fixture(scope="module")
def trained() -> LSTMForecaster:
    return LSTMForecaster(TRAINED).fit(daily())


# What it sees


def test_a_window_knows_nothing_of_what_comes_after_its_origin() -> None:
    history = daily(40)
    changed = history.copy()
    changed.iloc[800:] = 1e6 * np.arange(160)[:, None]
    origin = np.full(4, 800)
    a, b = frame(history), frame(changed)
    one = open_windows(a, np.arange(4), origin + a.pad, SMALL)
    two = open_windows(b, np.arange(4), origin + b.pad, SMALL)
    for name in ("past", "future", "centre_kw", "scale_kw"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_centre_and_scale_by_hand() -> None:
    history = daily(3, circuits=1)
    history.iloc[:, 0] = np.nan
    history.iloc[-5:, 0] = [1.0, 2.0, 3.0, 4.0, 100.0]  # median 3, mean |x - 3| = (2 + 1 + 0 + 1 + 97) / 5
    given = frame(history)
    windows = open_windows(given, np.array([0]), np.array([given.end]), SMALL, horizon=0)
    assert windows.centre_kw[0] == 3.0
    assert windows.scale_kw[0] == pytest.approx(20.2)


def test_steps_of_five_minutes_are_scaled_by_one_an_hour() -> None:
    index = pd.date_range("2025-01-01", periods=288 * 30, freq="5min", tz="UTC")
    history = pd.DataFrame({"a": np.where(index.minute == 0, index.hour, 1e6)}, index=index)
    given = frame(history)
    origin = np.array([given.end - 24])
    windows = open_windows(given, np.array([0]), origin - origin % 12, SMALL)
    assert windows.centre_kw[0] == pytest.approx(11.5)
    assert windows.scale_kw[0] == pytest.approx(6.0)  # the mean of |h - 11.5| over the hours of a day
    hour = index.hour.to_numpy()[int(origin[0] - origin[0] % 12) - given.pad]
    last_day = windows.future[0, 0, -LAGS + 1] * windows.scale_kw[0] + windows.centre_kw[0]
    assert last_day == pytest.approx(hour, abs=1e-4)


def test_a_gap_takes_the_value_of_the_last_day_that_had_one_and_is_marked() -> None:
    history = daily(6, circuits=1)
    history.iloc[:, 0] = np.arange(144.0)
    history.iloc[72:120, 0] = np.nan  # days 3 and 4
    given = frame(history)
    np.testing.assert_array_equal(given.filled_kw[given.pad + 72 : given.pad + 96, 0], np.arange(48.0, 72.0))
    np.testing.assert_array_equal(given.filled_kw[given.pad + 96 : given.pad + 120, 0], np.arange(48.0, 72.0))
    windows = open_windows(given, np.array([0]), np.array([given.pad + 120]), SMALL, horizon=0)
    assert (windows.past[0, :, 1] == 1).all()


@pytest.mark.parametrize("change", ["2025-03-30", "2025-10-26"])
def test_lags_are_of_the_same_hour_on_the_wall_across_daylight_saving(change: str) -> None:
    index = pd.date_range(
        pd.Timestamp(change, tz="Europe/Berlin") - pd.Timedelta(days=40), periods=24 * 60, freq="h"
    )
    history = pd.DataFrame({"a": index.hour.to_numpy(float)}, index=index)
    given = frame(history)
    day = index.get_loc(pd.Timestamp(change, tz="Europe/Berlin") + pd.Timedelta(days=2))
    settings = Settings(horizon=48, context=24)
    windows = open_windows(given, np.array([0]), np.array([given.pad + day]), settings)
    lags = windows.future[0, :, -LAGS:] * windows.scale_kw[0] + windows.centre_kw[0]
    hour = index.hour.to_numpy(float)[day : day + 48]
    np.testing.assert_allclose(lags[:, 1], hour, atol=1e-4)  # the last day
    np.testing.assert_allclose(lags[:, 3], hour, atol=1e-4)  # the last week, before the change


def test_the_weight_makes_the_loss_a_scaled_one_by_hand() -> None:
    history = daily(30, circuits=1)
    history.iloc[:, 0] = np.tile(
        np.repeat([10.0, 14.0], 24), 15
    )  # median between, |x - 12| = 2, daily change 4
    given = frame(history)
    origin = np.array([given.end - 24])
    windows = open_windows(given, np.array([0]), origin, SMALL)
    target, weight = read_targets(given, np.array([0]), origin, SMALL, windows)
    assert windows.scale_kw[0] == pytest.approx(2.0)
    assert weight[0] == pytest.approx(0.5)
    np.testing.assert_allclose(target[0], 1.0)


# What is served


def test_onnxruntime_answers_what_torch_answers_at_any_batch_and_horizon() -> None:
    import torch

    from pdnopt.forecast.lstm.export import to_onnx
    from pdnopt.forecast.lstm.fitting import new_network
    from pdnopt.forecast.lstm.network import Ensemble
    from pdnopt.forecast.lstm.serving import Server

    members = [new_network(CALENDAR, SMALL, seed) for seed in (1, 2)]
    server = Server(to_onnx(members, CALENDAR, SMALL), CALENDAR, SMALL)
    given = frame(daily(40, circuits=7))
    for batch, horizon in ((1, 24), (3, 24), (7, 5)):
        windows = open_windows(given, np.arange(batch), np.full(batch, given.end - 24), SMALL, horizon)
        with torch.no_grad():
            unit = (
                Ensemble(members)
                .eval()(torch.from_numpy(windows.past), torch.from_numpy(windows.future))
                .numpy()
            )
        kw = unit * windows.scale_kw[:, None, None] + windows.centre_kw[:, None, None]
        np.testing.assert_allclose(server.answer(windows), kw, rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_published_pinball_loss() -> None:
    import torch

    from pdnopt.forecast.lstm.network import pinball

    rng = np.random.default_rng(0)
    target = rng.normal(size=(3, 5)).astype(np.float32)
    answer = rng.normal(size=(3, 5, len(LEVELS))).astype(np.float32)
    weight = np.array([1.0, 2.0, 0.5], np.float32)
    exact = exact_pinball(target.astype(float), answer.astype(float), np.array(LEVELS)).mean(axis=2)
    target[0, 2] = target[2, 4] = np.nan
    counted = np.isfinite(target) * weight[:, None]
    found = pinball(torch.from_numpy(answer), torch.from_numpy(target), torch.from_numpy(weight))
    assert float(found) == pytest.approx(float((exact * counted).sum() / counted.sum()), rel=1e-5)


def test_quantiles_never_cross_whatever_the_weights() -> None:
    import torch

    from pdnopt.forecast.lstm.fitting import new_network

    network = new_network(CALENDAR, SMALL, 0).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(20.0)
        answer = network(torch.randn(16, 24, PAST + CALENDAR) * 5, torch.randn(16, 24, CALENDAR + LAGS) * 5)
    assert (torch.diff(answer, dim=2) >= 0).all()


def test_saved_and_loaded_it_answers_the_same_without_torch(trained: LSTMForecaster, tmp_path) -> None:
    trained.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"forecaster.json", "forecaster.npz", "model.onnx"}
    pd.testing.assert_frame_equal(LSTMForecaster.load(tmp_path).predict(12), trained.predict(12))
    code = """
import json, sys
sys.modules.update(dict.fromkeys(["torch", "onnx", "lightgbm"]))  # importing one of them now fails
from pathlib import Path
from pdnopt.forecast.lstm.forecaster import LSTMForecaster
answer = LSTMForecaster.load(Path(sys.argv[1])).predict(12)
print(json.dumps(answer.to_numpy().tolist()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    np.testing.assert_array_equal(json.loads(done.stdout), trained.predict(12).to_numpy())


def test_it_keeps_the_contract_of_forecasters(trained: LSTMForecaster) -> None:
    assert isinstance(trained, Forecaster)
    answer = trained.predict(5, (0.1, 0.55, 0.9))
    assert list(answer.columns[:3]) == [("c0", 0.1), ("c0", 0.55), ("c0", 0.9)]
    assert answer.index[0] == daily().index[-1] + pd.Timedelta(hours=1)
    assert len(answer) == 5


# What it learns


def test_it_learns_a_known_law(trained: LSTMForecaster, tmp_path) -> None:
    """Uniform noise of +-0.5 kW around a known curve: every quantile is known, and so is the least pinball loss."""
    rest = daily(90).iloc[24 * 60 :]
    curve = daily(90, noise_kw=0.0).iloc[24 * 60 :]
    trained.save(tmp_path)
    forecaster = LSTMForecaster.load(tmp_path)  # moves on in time
    errors = []
    for k in range(0, 240, 12):
        kw, _, q = quantile_array(forecaster.predict(12))
        exact = curve.to_numpy()[k : k + 12, :, None] - 0.5 + q
        errors.append(np.abs(kw - exact).mean())
        forecaster = forecaster.update(rest.iloc[k : k + 12])
    assert np.mean(errors) < 0.15  # yesterday's value is 0.25 off the true median on average


def test_it_learns_what_a_covariate_does() -> None:
    rng = np.random.default_rng(3)
    history = daily(50, circuits=2, noise_kw=0.05)
    jobs = pd.DataFrame({"jobs": rng.uniform(0, 100, len(history))}, index=history.index)
    history = history + 0.05 * jobs.to_numpy()  # 0 to 5 kW, nothing of the past tells how many
    cut = len(history) - 12
    made = LSTMForecaster(TRAINED).fit(history.iloc[:cut], jobs.iloc[:cut])
    kw, _, _ = quantile_array(made.predict(12, covariates=jobs.iloc[cut:]))
    error = np.abs(kw[:, :, 4] - history.to_numpy()[cut:])
    assert error.mean() < 0.5  # without the covariate: 1.25 at best, the mean of |uniform - its median|


def test_the_same_seed_gives_the_same_model_and_leaves_torch_as_it_was() -> None:
    import torch

    before = torch.random.get_rng_state()
    one, two = (LSTMForecaster(SMALL).fit(daily(20, 2)).predict(24) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert torch.equal(before, torch.random.get_rng_state())
    other = LSTMForecaster(Settings(**{**SMALL.to_dict(), "seed": 1})).fit(daily(20, 2)).predict(24)
    assert not np.allclose(one, other)


def test_gaps_and_a_circuit_that_was_never_measured() -> None:
    history = daily(30, circuits=3)
    history.iloc[100:300, 0] = np.nan
    history.iloc[-30:, 1] = np.nan
    history["c2"] = np.nan
    kw, _, _ = quantile_array(LSTMForecaster(SMALL).fit(history).predict(24))
    assert np.isfinite(kw[:, :2]).all()
    assert np.isnan(kw[:, 2]).all()


# Bad input


def kinds(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [issue.kind for issue in error.value.issues]


def test_what_it_was_not_trained_for_is_refused_all_at_once(trained: LSTMForecaster) -> None:
    with pytest.raises(InputError) as error:
        trained.predict(13, (0.001, 0.5))
    assert kinds(error) == ["HorizonError", "Range"]
    with pytest.raises(InputError) as error:
        LSTMForecaster().predict(1)
    assert kinds(error) == ["NotFitted"]
    with pytest.raises(InputError) as error:
        LSTMForecaster(SMALL).fit(daily(1))
    assert kinds(error) == ["TooShort"]


def test_covariates_that_are_missing_or_too_short() -> None:
    history = daily(20, 2)
    jobs = pd.DataFrame({"jobs": np.arange(480.0)}, index=history.index)
    made = LSTMForecaster(SMALL).fit(history, jobs)
    with pytest.raises(InputError) as error:
        made.predict(24)
    assert kinds(error) == ["Missing"]
    with pytest.raises(InputError) as error:
        made.predict(24, covariates=jobs)
    assert kinds(error) == ["HorizonError"]


def test_settings_are_checked_all_at_once() -> None:
    with pytest.raises(InputError) as error:
        read_settings({"hidden": 0, "steps": 1.5, "hiden": 8, "dropout": True, "holidays": "XX"})
    assert sorted(kinds(error)) == ["Enum", "Range", "Range", "Range", "UnknownField"]
    assert read_settings({"hidden": 8, "dropout": 0}).hidden == 8


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path, trained: LSTMForecaster) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install 'pdnopt\[lstm\]'") as error:
        LSTMForecaster(SMALL).fit(daily(20, 2))
    assert kinds(error) == ["MissingExtra"]
    trained.save(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'pdnopt\[forecast\]'"):
        LSTMForecaster.load(tmp_path)


def test_files_that_are_no_model(trained: LSTMForecaster, tmp_path) -> None:
    trained.save(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError) as error:
        LSTMForecaster.load(tmp_path)
    assert kinds(error) == ["File"]
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(InputError) as error:
        LSTMForecaster.load(tmp_path)
    assert kinds(error) == ["File"]
    trained.save(tmp_path)
    says = json.loads((tmp_path / "forecaster.json").read_text())
    says["covariates"] = ["jobs"]  # a model of other inputs
    (tmp_path / "forecaster.json").write_text(json.dumps(says))
    with pytest.raises(InputError) as error:
        LSTMForecaster.load(tmp_path)
    assert kinds(error) == ["File"]
