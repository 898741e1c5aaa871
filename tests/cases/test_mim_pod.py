"""``mim_pod``: what is built, and what its failures ask for, by hand.

The sums
--------
432 kW at power factor 0.97: 36 % on phase a, 155.5 kW; 34 % on b, 146.9 kW; 30 % on c, 129.6 kW.

* Each UPS carries half: 222.7 kVA, 49.5 % of 450 kVA; its phase a 80.2 kVA, 53.4 % of 150 kVA.
* One UPS lost: 445.4 kVA, 99.0 %, which is no overload; but phase a has 160.3 kVA, 106.9 % of 150 kVA, and cables add
  0.4 %: one hour. For good a phase carries 157.5 kVA, 152.8 kW: at least 2.7 kW of phase a must go.
* A utility lost: the tie between the MV boards brings the UPS back; nobody has to go.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.mim_pod import mim_pod
from pdnopt.acflow import powerflow
from pdnopt.baselines import PlanWriter
from pdnopt.checker import check
from pdnopt.plan import Plan
from pdnopt.plant import create_single_phase_racks
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import respond
from pdnopt.session import Session
from tests.cases.soundness import (
    assert_engines_agree,
    assert_kept_by_json,
    assert_same_each_time,
    assert_sound,
    racks_of,
)

PHASES = ["p_a_mw", "p_b_mw", "p_c_mw"]


@pytest.fixture(scope="module")
def net() -> Any:
    return mim_pod()


@pytest.fixture(scope="module")
def session(net: Any) -> Session:
    return Session(net, validate=False, explain=False, time_limit_s=None)


def test_counts_and_phases(net: Any) -> None:
    table = racks_of(net, "asymmetric_load")
    assert (len(table), table["kw"].sum()) == (108, pytest.approx(432.0))
    assert (table["cords"] == 2).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx(
        [0.30, 0.40, 0.30], abs=0.012
    )
    rows = net.asymmetric_load
    assert ((rows[PHASES] > 0).sum(axis=1) == 1).all()
    assert (1000.0 * rows[PHASES].sum()).to_numpy() == pytest.approx([155.52, 146.88, 129.6])
    of_pdu = 1000.0 * rows.groupby("bus")[PHASES].sum()
    assert of_pdu.to_numpy() == pytest.approx(np.tile([12.96, 12.24, 10.8], (12, 1)))
    kva = rows[PHASES].sum(axis=1) / 0.97
    assert (
        2.0 * 1e3 * kva < rows["breaker_a"] * 0.415 / np.sqrt(3.0)
    ).all()  # one cord alone carries its rack


def test_a_micro_inverter_stands_at_every_pdu(net: Any) -> None:
    assert len(net.asymmetric_sgen) == 12
    assert set(net.asymmetric_sgen["kind"]) == {"mim"}
    assert (net.asymmetric_sgen[PHASES].to_numpy() == 0.0).all()
    linked = net.asymmetric_sgen["storage"].dropna().astype(int)
    assert (net.storage.loc[linked, "coupling"] == "dc").all()
    assert (net.storage.loc[linked, "bus"].to_numpy() == net.asymmetric_sgen.loc[linked.index, "bus"]).all()
    assert len(linked) == len(net.storage) == 6


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    assert flow.res_ups["loading_percent"].to_numpy() == pytest.approx([49.5, 49.5], abs=0.2)
    assert_engines_agree(net)


def test_the_three_phase_flow_shows_the_full_phase(net: Any) -> None:
    ours, theirs = (powerflow(net, engine=engine, three_phase=True) for engine in ("pgm", "pandapower"))
    voltages = ["vm_a_pu", "vm_b_pu", "vm_c_pu"]
    np.testing.assert_allclose(ours.res_bus_3ph[voltages], theirs.res_bus_3ph[voltages], atol=1e-5)
    assert ours.res_ups["loading_percent"].to_numpy() == pytest.approx([53.5, 53.5], abs=0.2)
    assert 0.005 < ours.res_bus_3ph["unbalance_percent"].max() < 1.0  # NEMA MG-1: 1 %
    assert ours.res_line_3ph["i_n_ka"].max() > 0.003


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, mim_pod(), mim_pod(seed=1))
    assert_kept_by_json(net, tmp_path / "mim_pod.json")


def test_a_ups_lost_fills_phase_a_for_an_hour(session: Session) -> None:
    result = session.solve(failed=["ups:UPS-A"])
    assert result.ok
    (clock,) = result.clocks
    assert (clock.component, clock.kind) == ("ups:UPS-B", "overload")
    assert clock.ratio == pytest.approx(1.073, abs=0.002)
    assert clock.deadline_s == pytest.approx(3600.0)
    assert result.interrupted_kw == 0.0
    assert result.worst_loading_percent <= 105.0 + 1e-6
    capped = [a for a in result.plan.actions if a.action == "cap" and "a" in a.device.removeprefix("rack:")]
    assert sum(a.before - a.after for a in capped) >= 2.7
    assert result.unserved_kw >= 2.7


def test_a_utility_lost_needs_only_the_tie(net: Any) -> None:
    grid = read_grid(net)
    demand = read_demand(net, grid)
    response = respond(grid, demand, parse_failed(net, ["ext_grid:Utility-1"]))
    writer = PlanWriter(response, demand, latency_s=0.5)
    for name, closed in (("QI-1", False), ("QT-MV", True)):
        writer.switch(grid.switches.name.index(f"switch:{name}"), closed)
    plan = Plan(failed=("ext_grid:Utility-1",), automatic=response.automatic, actions=tuple(writer.actions))
    assert check(net, plan) == []


def test_racks_on_a_phase_that_does_not_exist_are_refused(net: Any) -> None:
    with pytest.raises(ValueError, match="0, 1 or 2"):
        create_single_phase_racks(net, np.array([[0, 1]]), np.array([[0, 3]]), ["X"], np.array([0.001]))
