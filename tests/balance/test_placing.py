"""Where inverters stand: against a cone model, against draws, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower.networks as pn
import pytest

from pdnopt.acflow import powerflow
from pdnopt.balancing import place_inverters
from pdnopt.errors import InputError
from pdnopt.plant import create_empty_plant
from pdnopt.session import solve
from tests.balance.cones import least_unbalance_percent
from tests.balance.pods import pod

POWERS = (("p", "kw"), ("q", "kvar"))
THREE = ((9.0, 5.0, 4.0), (4.0, 8.0, 6.0), (2.0, 2.0, 9.0))


def bare(kw: tuple[tuple[float, float, float], ...] = THREE) -> Any:
    """Return a pod without inverters; PDUs are buses 2, 3, ..."""
    net = pod(kw)
    net.asymmetric_sgen = net.asymmetric_sgen.iloc[:0]
    return net


def vuf_percent(net: Any) -> float:
    flow = powerflow(net, engine="pandapower", three_phase=True)
    return float(np.nanmax(flow.res_bus_3ph["unbalance_percent"]))


@pytest.mark.parametrize("total_kva", [0.5, 3.0, 6.0])
def test_as_good_as_true_circles(total_kva: float) -> None:
    net = bare()
    found = place_inverters(net, total_kva)
    told = found.ratings.reindex([2, 3, 4])
    p, q = (told[[f"{word}_{k}_{unit}" for k in "abc"]].fillna(0.0).to_numpy() for word, unit in POWERS)
    best = least_unbalance_percent(net, [2, 3, 4], total_kva, at_kva=p + 1j * q)
    assert 3.0 * found.ratings["s_max_kva"].sum() <= total_kva * (1 + 1e-9)
    assert found.bound_percent == pytest.approx(best, abs=1e-3)  # at a flow that is not quite the same
    assert found.vuf_percent == pytest.approx(best, abs=3e-3)
    assert found.vuf_percent < 0.95 * found.vuf_before_percent


def test_no_drawn_ratings_of_the_same_sum_are_better() -> None:
    net, rng = bare(), np.random.default_rng(1)
    found = place_inverters(net, 3.0)
    for _ in range(5):
        each = rng.dirichlet(np.ones(3))
        assert least_unbalance_percent(net, [2, 3, 4], each_kva=each) > found.vuf_percent - 1e-3


def test_set_points_give_in_runpp_3ph_what_is_told() -> None:
    net = bare()
    found = place_inverters(net, 3.0)
    assert vuf_percent(net) == pytest.approx(found.vuf_before_percent, abs=1e-3)
    after = found.apply(net)
    for k in "abc":
        after.asymmetric_sgen[f"p_{k}_mw"] = found.ratings[f"p_{k}_kw"].to_numpy() / 1e3
        after.asymmetric_sgen[f"q_{k}_mvar"] = found.ratings[f"q_{k}_kvar"].to_numpy() / 1e3
    assert vuf_percent(after) == pytest.approx(found.vuf_percent, abs=1e-3)
    p, q = (found.ratings[[f"{word}_{k}_{unit}" for k in "abc"]].to_numpy() for word, unit in POWERS)
    assert p.sum(axis=1) == pytest.approx(-0.03 * np.hypot(p, q).sum(axis=1), abs=1e-3)
    assert (np.hypot(p, q) <= found.ratings[["s_max_kva"]].to_numpy() + 1e-9).all()


def test_balance_reaches_it_with_the_new_inverters() -> None:
    """Inscribed polygons lose 1.9 % of what inverters can do."""
    net = bare()
    found = place_inverters(net, 3.0)
    after = found.apply(net)
    result = solve(after, "balance")
    assert result.status == "optimal"
    reached = vuf_percent(result.plan.apply(after))
    gain = found.vuf_before_percent - found.vuf_percent
    assert abs(reached - found.vuf_percent) < 0.02 * gain + 0.005


def test_one_uneven_pdu_gets_them_all() -> None:
    """Two PDUs on equal cables, one even: what stands there reaches only the board, not the uneven one's own cable."""
    found = place_inverters(bare(((9.0, 5.0, 4.0), (6.0, 6.0, 6.0))), 1.0)
    assert list(found.ratings.index) == [2]
    assert found.ratings["bus"].tolist() == ["PDU-0"]
    assert found.ratings["s_max_kva"].tolist() == pytest.approx([1.0 / 3.0], rel=1e-3)


def test_no_more_than_helps() -> None:
    """All unbalance is gone with far less than 100 kVA."""
    found = place_inverters(bare(), 100.0)
    assert found.vuf_percent < 0.002
    assert 3.0 * found.ratings["s_max_kva"].sum() < 30.0


def test_inverters_that_stand_already_stay() -> None:
    net = pod(THREE)
    net.asymmetric_sgen.loc[0, ["p_a_mw", "p_b_mw", "p_c_mw"]] = [0.0015, -0.0005, -0.0011]
    found = place_inverters(net, 1.0)
    assert found.vuf_before_percent == pytest.approx(vuf_percent(net), abs=3e-3)
    assert len(found.apply(net).asymmetric_sgen) == 3 + len(found.ratings)


def test_european_lv_cannot_be_halved_by_a_tenth_of_its_load() -> None:
    """0.731 % as it is. Three of 55 customers' buses are worth an inverter: at the ends of the feeder's branches."""
    net = pn.ieee_european_lv_asymmetric("on_peak_566")
    net.asymmetric_sgen = create_empty_plant("").asymmetric_sgen
    kw = 1e3 * float(net.asymmetric_load[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy().sum())
    found = place_inverters(net, 0.1 * kw)
    assert vuf_percent(net) == pytest.approx(found.vuf_before_percent, abs=1e-3)
    assert found.vuf_percent == pytest.approx(found.bound_percent, abs=2e-3)
    assert 0.5 * found.vuf_before_percent < found.bound_percent < 0.49
    assert len(found.ratings) < 6


def test_bad_input_is_told_all_at_once() -> None:
    net = bare()
    net.bus.loc[3, "in_service"] = False
    with pytest.raises(InputError) as caught:
        place_inverters(net, float("nan"), buses=[3, 77], loss_percent=100.0)
    assert [(issue.kind, issue.id) for issue in caught.value.issues] == [
        ("Range", ""), ("Range", ""), ("InvalidId", "bus:3"), ("InvalidId", "bus:77"),
    ]  # fmt: skip
    assert all(issue.path and issue.allowed and issue.todo for issue in caught.value.issues)
    with pytest.raises(InputError, match="at least one bus"):
        place_inverters(bare(), 1.0, buses=[])
    short = bare()
    short.line.loc[0, "r0_ohm_per_km"] = np.nan
    with pytest.raises(InputError, match="MissingZeroSequence"):
        place_inverters(short, 1.0)
