"""Training: whoever forecasts the held-out windows better serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.metrics import pinball, seasonal_scale
from pdnopt.forecast.registry import Registry
from pdnopt.forecast.training import Recipe, data_hash, promote_by_hand, retrain
from tests.forecast.synthetic import daily

LAST, SEASONAL = Recipe("last_value"), Recipe("seasonal_naive")
GOOD = Recipe(
    "lstm", {"context": 24, "hidden": 12, "steps": 150, "batch": 32, "learning_rate": 1e-2, "dropout": 0.0}
)
BAD = Recipe("lstm", {**GOOD.settings, "steps": 2})


def kinds(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [issue.kind for issue in error.value.issues]


def steps(days: int = 20) -> pd.DataFrame:
    """A load that stays where it is, sometimes jumps, and knows no hours: the last value is better than yesterday's."""
    index = pd.date_range("2025-01-01", periods=24 * days, freq="h", tz="UTC")
    rng = np.random.default_rng(0)
    jumps = rng.normal(0, 5, len(index)) * (rng.uniform(size=len(index)) < 0.02)
    return pd.DataFrame({"a": 50 + np.cumsum(jumps) + rng.normal(0, 0.01, len(index))}, index=index)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_the_better_is_deployed_and_the_worse_kept(registry: Registry) -> None:
    first = retrain(registry, steps(), recipe=LAST, horizon=6, windows=10)
    assert first.promoted
    assert first.opponent == "seasonal_naive"  # what the first must be better than
    worse = retrain(registry, steps(), recipe=SEASONAL, horizon=6, windows=10)
    assert not worse.promoted
    assert worse.opponent == "0001"
    assert worse.opponent_sql == first.candidate_sql
    assert registry.current() == "0001"
    assert registry.versions() == ["0001", "0002"]
    same = retrain(registry, steps(), recipe=LAST, horizon=6, windows=10)
    assert not same.promoted  # no better is not better


def test_a_deliberately_worse_lstm_never_replaces_a_better_one(registry: Registry) -> None:
    history = daily(40)
    good = retrain(registry, history, recipe=GOOD, horizon=12, windows=6)
    assert good.promoted
    bad = retrain(registry, history, recipe=BAD, horizon=12, windows=6)
    assert not bad.promoted
    assert bad.candidate_sql > bad.opponent_sql == good.candidate_sql
    assert registry.current() == good.version
    promote_by_hand(registry, bad.version, force=True)  # a person may
    better = retrain(registry, history, recipe=GOOD, horizon=12, windows=6)
    assert better.promoted
    assert registry.current() == better.version
    assert registry.roll_back() == bad.version


def test_the_score_is_that_of_the_held_out_windows(registry: Registry) -> None:
    """Said again by hand for the last value: its median is the value before each window."""
    history = steps()
    retrain(registry, history, recipe=LAST, horizon=6, windows=10)
    kw, q = history["a"].to_numpy(), np.arange(1, 10) / 10
    losses = []
    for origin in range(len(kw) - 60, len(kw), 6):
        model = registry.load()
        new = history.iloc[len(kw) - 60 : origin]
        if len(new):
            model.update(new)
        answer = model.predict(6).to_numpy()
        scale = seasonal_scale(kw[:origin, None], 24)[0]
        losses.append(pinball(kw[origin : origin + 6], answer, q).mean() / scale)
        assert answer[:, 4] == pytest.approx(kw[origin - 1])
    scores = registry.manifest("0001")["scores"]
    assert scores["candidate"]["sql"] == pytest.approx(np.mean(losses))


def test_what_is_kept_ends_before_the_held_out_windows(registry: Registry) -> None:
    history = steps()
    retrain(registry, history, recipe=LAST, horizon=6, windows=10)
    manifest = registry.manifest("0001")
    assert manifest["trained_until"] == history.index[-61].isoformat()
    assert registry.load().predict(1).index[0] == history.index[-60]
    assert manifest["data"]["sha256"] == data_hash(history.index, ["a"], history.to_numpy())
    assert manifest["data"]["rows"] == 480


def test_newer_data_are_a_new_contest(registry: Registry) -> None:
    history = steps(30)
    retrain(registry, history.iloc[:480], recipe=LAST, horizon=6, windows=10)
    later = retrain(registry, history, recipe=SEASONAL, horizon=6, windows=10)
    assert later.opponent == "0001"
    assert not later.promoted
    with pytest.raises(InputError) as error:  # these windows the deployed model has seen
        retrain(registry, history.iloc[:400], recipe=LAST, horizon=6, windows=10)
    assert kinds(error) == ["StateConflict"]


def test_other_circuits_than_the_deployed_ones(registry: Registry) -> None:
    retrain(registry, steps(), recipe=LAST, horizon=6, windows=10)
    changed = steps().rename(columns={"a": "b"})
    verdict = retrain(registry, changed, recipe=LAST, horizon=6, windows=10)
    assert verdict.promoted
    assert verdict.opponent == "seasonal_naive"
    assert "version 0001 cannot forecast these data" in verdict.warnings[0]


def test_a_margin(registry: Registry) -> None:
    verdict = retrain(registry, steps(), recipe=LAST, horizon=6, windows=10, margin=0.99)
    assert not verdict.promoted
    assert "by 99 %" in verdict.reason
    with pytest.raises(InputError) as error:
        promote_by_hand(registry, verdict.version)
    assert kinds(error) == ["NotBetter"]
    promote_by_hand(registry, verdict.version, force=True)
    assert registry.current() == verdict.version


def test_a_deployed_model_that_was_altered_stops_the_training(registry: Registry) -> None:
    retrain(registry, steps(), recipe=LAST, horizon=6, windows=10)
    (registry.root / "versions" / "0001" / "forecaster.npz").write_bytes(b"")
    with pytest.raises(InputError) as error:
        retrain(registry, steps(), recipe=LAST, horizon=6, windows=10)
    assert kinds(error) == ["ArtefactAltered"]
    assert registry.versions() == ["0001"]


def test_bad_recipes(registry: Registry) -> None:
    for recipe, kind in (
        (Recipe("prophet"), "Enum"),
        (Recipe("lstm", {"hiden": 3}), "UnknownField"),
        (Recipe("last_value", {"hidden": 3}), "UnknownField"),
    ):
        with pytest.raises(InputError) as error:
            retrain(registry, steps(), recipe=recipe, horizon=6, windows=10)
        assert kinds(error) == [kind]
    with pytest.raises(InputError) as error:
        retrain(registry, steps(), recipe=LAST, horizon=6, windows=10, margin=1.0)
    assert kinds(error) == ["Range"]
    assert registry.versions() == []


def test_the_hash_tells_what_differs() -> None:
    history = steps()
    same = data_hash(history.index.tz_convert("Europe/Berlin"), ["a"], history.to_numpy())
    assert data_hash(history.index, ["a"], history.to_numpy()) == same
    other = history.to_numpy().copy()
    other[3] = np.nan
    assert data_hash(history.index, ["a"], other) != same
    assert data_hash(history.index, ["b"], history.to_numpy()) != same
    assert data_hash(history.index + pd.Timedelta(hours=1), ["a"], history.to_numpy()) != same
