"""A forecast becomes the load vectors that the optimiser takes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from pdnopt.errors import InputError
from pdnopt.forecast.estimator import quantile_frame
from pdnopt.forecast.loads import load_vectors
from pdnopt.forecast.naive import LastValue
from tests.reserve.rooms import room


@pytest.fixture(scope="module")
def net() -> Any:
    return pdnopt.load_case("two_feed")


def forecast(names: list[str], kw: list[float], steps: int = 2) -> pd.DataFrame:
    """Return 0.5 and 0.9 quantiles: kW plus the step, and twice as much."""
    index = pd.date_range("2024-01-01", periods=steps, freq="5min", tz="UTC")
    base = np.asarray(kw)[None, :] + np.arange(steps)[:, None]
    return quantile_frame(np.stack([base, 2 * base], axis=2), index, names, (0.5, 0.9))


def kinds(*arguments: Any, **keywords: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_vectors(*arguments, **keywords)
    return [issue.kind for issue in caught.value.issues]


def test_a_load_is_found_by_its_name_or_index(net: Any) -> None:
    names = net.load["name"].astype(str)
    first, second = names.index[0], names.index[1]
    found = load_vectors(net, forecast([names[first], f"load:{second}"], [3.0, 5.0]))
    assert found.index.tolist() == [first, second]
    assert found.columns.tolist() == [(0, 0.5), (0, 0.9), (1, 0.5), (1, 0.9)]
    assert found.loc[first].tolist() == [3.0, 6.0, 4.0, 8.0]
    assert found.loc[second].tolist() == [5.0, 10.0, 6.0, 12.0]


def test_a_rack_shares_its_forecast_among_its_cords_as_now(net: Any) -> None:
    cords = net.load.index[net.load["rack"] == "R1"]
    changed = copy.deepcopy(net)
    changed.load.loc[cords, "p_mw"] = [0.006, 0.002]
    found = load_vectors(changed, forecast(["rack 1"], [8.0]), {"rack 1": "rack:R1"})
    assert found[0, 0.5].tolist() == pytest.approx([6.0, 2.0])
    assert found.index.tolist() == cords.tolist()


def test_what_does_not_fit_is_told_all_at_once(net: Any) -> None:
    name = str(net.load["name"].iloc[0])
    given = forecast([name, f"load:{net.load.index[0]}", "nobody"], [3.0, -5.0, np.nan])
    found = kinds(net, given, {"stranger": "load:0"}, horizon_s=3600.0)
    assert sorted(found) == [
        "HorizonError",
        "InvalidId",
        "InvalidId",
        "NegativeLoad",
        "NonFinite",
        "NotUnique",
    ]
    assert kinds(net, forecast([name], [-5.0])) == ["NegativeLoad"]
    assert load_vectors(net, forecast([name], [-5.0]), allow_negative=True).to_numpy().min() < 0
    assert len(load_vectors(net, forecast([name], [5.0], steps=12), horizon_s=3600.0))


def test_the_reserve_problem_takes_a_forecast() -> None:
    """The margin found with a forecast is that of its highest quantile, given as plain numbers."""
    net = room(6, 3, 2, 3, seed=4, reserve_part=1.5)
    cords = net.load[net.load["rack"] != ""]  # not what the UPSs draw
    names = cords["name"].astype(str).tolist()
    now_kw = 1000.0 * cords["p_mw"].to_numpy()
    rng = np.random.default_rng(2)
    hours = pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC")
    history = pd.DataFrame(now_kw * rng.uniform(0.9, 1.0, (48, len(names))), index=hours, columns=names)
    loads = load_vectors(net, LastValue().fit(history).predict(2, (0.5, 0.9)))
    assert sorted(loads.index) == sorted(cords.index)
    found = pdnopt.solve(net, "reserve", loads=loads, time_limit_s=60.0).raise_for_status()
    plain = pd.DataFrame({k: loads.iloc[:, k] for k in range(loads.shape[1])})
    again = pdnopt.solve(net, "reserve", loads=plain, time_limit_s=60.0).raise_for_status()
    assert found.objective == pytest.approx(again.objective)
    assert set(found.margins["loads"]) <= {"now", "0 0.5", "0 0.9", "1 0.5", "1 0.9"}
    assert "1 0.9" in set(found.margins["loads"])
