"""Compensation: never worse than nothing, as good as a second-order-cone model says, within ratings, only by filters."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

from formulations.blocks.harmonics import HARMONICS, sure
from pdnopt.acflow import powerflow
from pdnopt.balancing.harmonics.limits import current_limits, voltage_limits
from pdnopt.checker.harmonic_network import HarmonicNetwork
from pdnopt.session import Session
from tests.balance.pods import pod
from tests.balance.spectra import filtered, generated

ORDERS = (3, 5, 7)
KV = 0.415


def sessions(s_max_kva: float, scale: float) -> tuple[Any, Session, pd.DataFrame]:
    """Return a pod, a session and generated spectra. Loads are even, so that the ratings are left for harmonics."""
    net = filtered(pod(kw=((6.0, 6.0, 6.0), (5.0, 5.0, 5.0)), s_max_kva=s_max_kva))
    frame = generated(net, ORDERS, scale)
    return net, Session(net, "balance", spectra=frame, time_limit_s=60.0), frame


@pytest.fixture(scope="module")
def small() -> tuple[Any, Session, pd.DataFrame]:
    """Filters that can compensate a part; no limit of currents is broken."""
    return sessions(0.3, 0.4)


@pytest.fixture(scope="module")
def poor() -> tuple[Any, Session, pd.DataFrame]:
    """Circuits far beyond the limits."""
    return sessions(1.0, 3.0)


def rms_a(result: Any) -> pd.Series:
    """Return the rms of the compensation by inverter and phase, A."""
    table = result.compensation
    return np.sqrt((table["i_a"] ** 2).groupby([table["inverter"], table["phase"]]).sum())


def test_a_large_filter_takes_all_harmonics_away() -> None:
    """By hand: what the circuit draws is what the filter on its bus must inject."""
    net, session, frame = sessions(5.0, 1.0)
    result = session.solve()
    assert result.status == "optimal"
    assert result.issues == []
    assert result.distortion["total_before_percent"].max() > 10.0
    assert result.distortion["total_after_percent"].max() < 0.05
    assert (result.distortion["broken_after"] == "").all()
    told = result.compensation.set_index(["inverter", "order", "phase"])["i_a"]
    after = powerflow(result.plan.apply(net), three_phase=True).res_bus_3ph
    for row in frame.to_dict("records"):
        k = int(row["circuit"].partition(":")[2])
        s = complex(
            *(net.asymmetric_load.at[k, f"{x}_{row['phase']}_{u}"] for x, u in (("p", "mw"), ("q", "mvar")))
        )
        vm = after.at[net.asymmetric_load.at[k, "bus"], f"vm_{row['phase']}_pu"]
        amps = row["percent"] / 100 * abs(s) * 1e3 / (vm * KV / np.sqrt(3))
        assert told[f"asymmetric_sgen:MIM-{k}", row["order"], row["phase"]] == pytest.approx(
            amps, rel=0.01, abs=0.02
        )


def test_ratings_hold_the_fundamental_and_all_harmonics(poor: tuple[Any, Session, pd.DataFrame]) -> None:
    net, session, _ = poor
    result = session.solve()
    after = result.plan.apply(net)
    flow = powerflow(after, three_phase=True).res_bus_3ph
    volt = KV / np.sqrt(3)
    used = []
    for (name, phase), amps in rms_a(result).items():
        row = after.asymmetric_sgen[after.asymmetric_sgen["name"] == name.partition(":")[2]].iloc[0]
        one = (
            np.hypot(row[f"p_{phase}_mw"], row[f"q_{phase}_mvar"])
            * 1e3
            / flow.at[row["bus"], f"vm_{phase}_pu"]
        )
        used.append(np.hypot(one / volt, amps) / (1.0 / volt))
    assert max(used) <= 1.0 + 1e-4
    assert max(used) > sure(len(ORDERS)) - 0.01  # and they are used


@pytest.mark.parametrize("seed", range(4))
def test_never_worse_than_doing_nothing(seed: int) -> None:
    """The first measure that differs is better: limits broken, worst THD, worst TDD."""
    rng = np.random.default_rng(seed)
    kw = tuple(tuple(rng.uniform(2.0, 9.0, 3)) for _ in range(2))
    net = filtered(pod(kw=kw, s_max_kva=float(rng.uniform(0.1, 4.0))))  # type: ignore[arg-type]
    session = Session(net, "balance", spectra=generated(net, (3, 5), float(rng.uniform(0.2, 6.0)), seed))
    frame = session.solve().distortion
    before, after = (
        [
            frame[f"beyond_{word}_percent"].sum(),
            frame.loc[frame["kind"] == "voltage", f"total_{word}_percent"].max(),
            frame.loc[frame["kind"] == "current", f"total_{word}_percent"].max(),
        ]
        for word in ("before", "after")
    )
    changed = [k for k in range(3) if abs(after[k] - before[k]) > 1e-2 * max(before[k], 1e-3)]
    assert changed
    assert after[changed[0]] < before[changed[0]]


def test_worst_thd_against_a_second_order_cone_model(small: tuple[Any, Session, pd.DataFrame]) -> None:
    """cvxpy and Clarabel on the checker's network (windings, ohms): exact circles, ratings of all filters.

    The polygons cost at most (1 / unused - 1) of the distortion that was there before: with the optimum's currents times
    ``sure`` every polygon is kept, and voltages are between those of nothing and of the optimum.
    """
    net, session, frame = small
    result = session.solve()
    assert (result.distortion["broken_before"] == "").all()  # so that THD is the first term
    flow = powerflow(result.plan.apply(net), three_phase=True)
    network = HarmonicNetwork(flow)
    buses = [b for b in flow.bus.index if flow.bus.at[b, "vn_kv"] < 1.0]
    one = {
        b: [flow.res_bus_3ph.at[b, f"vm_{k}_pu"] * flow.bus.at[b, "vn_kv"] * 1e3 / np.sqrt(3) for k in "abc"]
        for b in flow.bus.index
    }
    mims = flow.asymmetric_sgen
    at = [(network.node[b], k) for b in mims["bus"] for k in range(3)]
    current = {h: cp.Variable(len(at), complex=True) for h in ORDERS}
    parts: dict[tuple[int, int], list[Any]] = {}
    for h in ORDERS:
        unit = []
        for n, k in at:
            amps = np.zeros((network.n, 3), dtype=complex)
            amps[n, k] = 1.0
            unit.append(network.volts(h, amps))
        load = np.zeros((network.n, 3), dtype=complex)
        for row in frame[frame["order"] == h].to_dict("records"):
            line = flow.asymmetric_load.loc[int(row["circuit"].partition(":")[2])]
            k = "abc".index(row["phase"])
            va = flow.res_bus_3ph.at[line["bus"], f"va_{row['phase']}_degree"]
            s = abs(complex(line[f"p_{row['phase']}_mw"], line[f"q_{row['phase']}_mvar"])) * 1e6
            size = row["percent"] / 100 * s / one[line["bus"]][k]
            load[network.node[line["bus"]], k] -= size * np.exp(1j * np.radians(row["angle_degree"] + h * va))
        quiet = network.volts(h, load)
        for b in flow.bus.index:
            for k in range(3):
                transfer = np.array([u[network.node[b], k] for u in unit])
                volts = quiet[network.node[b], k] + transfer @ current[h]
                parts.setdefault((b, k), []).append(100.0 / one[b][k] * volts)
    worst = cp.Variable()
    rows = [
        cp.norm(cp.hstack([cp.hstack([cp.real(x), cp.imag(x)]) for x in xs])) <= worst
        for xs in parts.values()
    ]
    for j, (_, k) in enumerate(at):
        mim, phase = mims.iloc[j // 3], "abc"[k]
        s = np.hypot(mim[f"p_{phase}_mw"], mim[f"q_{phase}_mvar"]) * 1e6
        room = np.sqrt((0.3e3 / (KV * 1e3 / np.sqrt(3))) ** 2 - (s / one[mim["bus"]][k]) ** 2)
        own = [current[h][j] for h in ORDERS]
        rows.append(cp.norm(cp.hstack([cp.hstack([cp.real(x), cp.imag(x)]) for x in own])) <= room)
    optimum = cp.Problem(cp.Minimize(worst), rows).solve(solver=cp.CLARABEL)
    own = result.distortion[result.distortion["kind"] == "voltage"]
    before, found = own["total_before_percent"].max(), own["total_after_percent"].max()
    assert len(buses) == 3
    assert optimum < 0.9 * before
    assert found >= optimum * (1 - 1e-4)
    assert found <= optimum + (1 / sure(len(ORDERS)) - 1) * before


def test_polygons_are_outside_their_circles_by_the_stated_part() -> None:
    """At random vectors of any number of orders: r is at least the norm and at most the norm over `sure`."""
    from formulations.blocks.harmonics import _rms

    rng = np.random.default_rng(0)
    for h in (1, 2, 5, 12):
        for _ in range(5):
            z = rng.normal(size=(2, h)) * rng.uniform(0.2, 1, h) ** 3
            rows, _, total = _rms(cp.Constant(z[0]), cp.Constant(z[1]), h, "t")
            value = cp.Problem(cp.Minimize(cp.sum(total)), rows).solve(solver=cp.HIGHS)
            assert 1 - 1e-6 <= value / np.linalg.norm(z) <= 1 / sure(h) + 1e-6


def test_a_failed_or_stale_inverter_compensates_nothing(poor: tuple[Any, Session, pd.DataFrame]) -> None:
    _, session, _ = poor
    for keyword in ("failed", "stale"):
        told = session.solve(**{keyword: ["asymmetric_sgen:MIM-0"]}).compensation
        assert set(told["inverter"]) == {"asymmetric_sgen:MIM-1"}
    everybody = session.solve()  # a failure is a bound: nothing of it stays
    assert set(everybody.compensation["inverter"]) == {"asymmetric_sgen:MIM-0", "asymmetric_sgen:MIM-1"}
    pd.testing.assert_frame_equal(everybody.compensation, session.solve().compensation)


def test_only_inverters_with_a_filter_compensate() -> None:
    net = pod()
    net.asymmetric_sgen["active_filter"] = [False, True]
    frame = generated(net, (3, 5), 2.0)
    some = Session(net, "balance", spectra=frame).solve()
    assert set(some.compensation["inverter"]) == {"asymmetric_sgen:MIM-1"}
    net.asymmetric_sgen["active_filter"] = False
    none = Session(net, "balance", spectra=frame).solve()
    assert len(none.compensation) == 0
    assert none.distortion["total_after_percent"].equals(none.distortion["total_before_percent"])
    assert {action.action for action in none.plan.actions} == {"setpoint"}


def test_limits_of_the_standard() -> None:
    """IEEE 519-2022 tables 1 and 2, as commonly quoted: some cells by hand, borders included."""
    single, thd = voltage_limits(np.array([0.415, 1.0, 20.0, 110.0, 220.0]))
    assert single.tolist() == [5.0, 5.0, 3.0, 1.5, 1.0]
    assert thd.tolist() == [8.0, 8.0, 5.0, 2.5, 1.5]
    kv, ratio = np.array([0.4, 0.4, 20.0, 110.0, 220.0]), np.array([19.9, 20.0, 1000.0, 60.0, 30.0])
    each, tdd = current_limits(kv, ratio, np.array([2, 3, 8, 11, 17, 23, 35]))
    assert tdd.tolist() == [5.0, 8.0, 20.0, 6.0, 2.5]
    assert each[:, 0].tolist() == [2.0, 4.0, 4.0, 2.0, 1.5, 0.6, 0.3]
    assert each[1].tolist() == [4.0, 7.0, 15.0, 5.0, 2.0]


def test_bad_spectra_are_named_all_at_once() -> None:
    from pdnopt.errors import InputError

    net = pod(kw=((9.0, 0.0, 4.0), (4.0, 8.0, 6.0)))
    good = ("asymmetric_load:load 1", 3, "a", 10.0, 0.0)
    rows = [
        good,
        good,
        ("asymmetric_load:nobody", 3, "a", 10.0, 0.0),
        ("bus:board", 3, "a", 10.0, 0.0),
        ("asymmetric_load:load 1", 1, "b", 10.0, 0.0),
        ("asymmetric_load:load 1", 2.5, "b", 10.0, 0.0),
        ("asymmetric_load:load 1", 5, "d", 10.0, 0.0),
        ("asymmetric_load:load 0", 5, "b", 10.0, 0.0),
        ("asymmetric_load:load 1", 7, "a", -1.0, 0.0),
        ("asymmetric_load:load 1", 7, "b", np.nan, 0.0),
        ("asymmetric_load:load 1", 7, "c", 10.0, np.nan),
    ]
    frame = pd.DataFrame(rows, columns=["circuit", "order", "phase", "i_a", "angle_degree"])
    with pytest.raises(InputError) as raised:
        Session(net, "balance", spectra=frame)
    found = sorted((issue.kind, issue.path) for issue in raised.value.issues)
    assert found == sorted(
        [
            ("NotUnique", "spectra[1].circuit"), ("InvalidId", "spectra[2].circuit"),
            ("InvalidName", "spectra[3].circuit"), ("Range", "spectra[4].order"), ("Range", "spectra[5].order"),
            ("Enum", "spectra[6].phase"), ("NoSuchPhase", "spectra[7].phase"), ("Range", "spectra[8].i_a"),
            ("NonFinite", "spectra[9].i_a"), ("NonFinite", "spectra[10].angle_degree"),
        ]
    )  # fmt: skip
    for wrong, kind in ((frame.drop(columns="angle_degree"), "Missing"), (frame.iloc[:0], "Empty")):
        with pytest.raises(InputError) as raised:
            Session(net, "balance", spectra=wrong)
        assert [issue.kind for issue in raised.value.issues] == [kind]


def test_an_ideal_source_is_refused() -> None:
    from pdnopt.errors import InputError

    net = pod()
    net.ext_grid["s_sc_max_mva"] = np.nan
    with pytest.raises(InputError, match="MissingImpedance"):
        Session(net, "balance", spectra=generated(net, (3,)))


def test_terms_are_those_of_the_programme() -> None:
    assert HARMONICS.terms == ("excess", "thd_v", "tdd", "filtering")
