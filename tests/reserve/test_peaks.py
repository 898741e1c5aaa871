"""A budget of simultaneous peaks: the same worst margin as trying every choice with every set of racks at their peak."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from tests.reserve.by_hand import Room
from tests.reserve.rooms import room

SLACK = 0.01
"""Of a reserve's rating: what AC power flow adds to plain sums."""


def drawn(seed: int) -> Any:
    return room(5, 3, 2, 2, seed=seed, reserve_part=1.6)


def usual_and_peak(net: Any, seed: int) -> pd.DataFrame:
    """Both cords of a rack rise alike: to 1.0 ... 1.8 times what it draws."""
    rng = np.random.default_rng(seed)
    rows = net.load[net.load["rack"] != ""]
    unit, names = pd.factorize(rows["rack"])
    kw = 1000.0 * rows["p_mw"].to_numpy(float)
    return pd.DataFrame({"q50": kw, "q95": kw * rng.uniform(1.0, 1.8, len(names))[unit]}, index=rows.index)


def worst_kw(net: Any, loads: pd.DataFrame, k: int, pairs: tuple[tuple[int, int], ...]) -> float:
    """The margin of a choice under every set of at most k racks at their peak, by plain sums."""
    hand = Room.of(net)
    by_rack = loads.groupby(net.load.loc[loads.index, "rack"]).sum()
    usual, peak = by_rack["q50"].to_numpy(), by_rack["q95"].to_numpy()
    worst = np.inf
    for at_peak in combinations(range(len(usual)), k):
        hand.kw = usual.copy()
        hand.kw[list(at_peak)] = peak[list(at_peak)]
        worst = min(worst, hand.margin_kw(pairs))
    return worst


def pairs_of(result: pdnopt.Result) -> tuple[tuple[int, int], ...]:
    at = {f"ups:R{k + 1}": k for k in range(3)} | {"": -1}
    return tuple(
        (at[a], at[n]) for a, n in zip(result.backing["active"], result.backing["next"], strict=True)
    )


@pytest.mark.parametrize(("seed", "k"), [(0, 1), (1, 2), (3, 3)])
def test_margin_is_that_of_every_choice_and_every_set_of_peaks(seed: int, k: int) -> None:
    net = drawn(seed)
    loads = usual_and_peak(net, seed)
    result = pdnopt.solve(net, "reserve", loads=loads, peaks=k, time_limit_s=60.0).raise_for_status()
    assert result.status == "optimal"
    hand = Room.of(net)
    best_kw = max(worst_kw(net, loads, k, pairs) for pairs in product(*hand.choices()))
    slack_kw = SLACK * float(hand.rated_kva.mean())
    assert worst_kw(net, loads, k, pairs_of(result)) >= best_kw - slack_kw
    assert result.objective["margin"] == pytest.approx(best_kw, abs=slack_kw)
    assert result.bound["margin"] >= best_kw - slack_kw
    reserves = result.margins[result.margins["component"].str.startswith("ups:R")]
    assert reserves["margin_kw"].min() == pytest.approx(best_kw, abs=slack_kw)


def test_no_peak_is_the_usual_load_and_all_peaks_are_one_vector() -> None:
    net = drawn(5)
    loads = usual_and_peak(net, 5)
    none = pdnopt.solve(net, "reserve", loads=loads, peaks=0, time_limit_s=60.0)
    usual = pdnopt.solve(net, "reserve", loads=loads[["q50"]], time_limit_s=60.0)
    assert none.objective["margin"] == pytest.approx(usual.objective["margin"], abs=0.05)
    every = pdnopt.solve(net, "reserve", loads=loads, peaks=99, time_limit_s=60.0)
    peak = pdnopt.solve(net, "reserve", loads=loads[["q95"]], time_limit_s=60.0)
    assert every.objective["margin"] == pytest.approx(peak.objective["margin"], abs=0.05)
    one = pdnopt.solve(net, "reserve", loads=loads, peaks=1, time_limit_s=60.0)
    assert every.objective["margin"] < one.objective["margin"] < none.objective["margin"]


def test_what_peaks_cannot_be() -> None:
    net = drawn(5)
    loads = usual_and_peak(net, 5)
    for keywords, kind in (
        ({"loads": loads[["q50"]], "peaks": 1}, "Columns"),
        ({"peaks": 1}, "Columns"),
        ({"loads": loads[["q95", "q50"]], "peaks": 1}, "BoundsCrossed"),
        ({"loads": loads, "peaks": -1}, "Range"),
    ):
        with pytest.raises(pdnopt.InputError) as caught:
            pdnopt.solve(net, "reserve", **keywords)
        assert {issue.kind for issue in caught.value.issues} == {kind}
