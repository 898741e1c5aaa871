"""``mim_pod``: what is built, and what its failures ask for, by hand.

The sums
--------
420 kW at near PDUs, power factor 0.97: 33.7 % on phase a, 141.5 kW; 33.6 % on b, 141.1 kW; 32.7 % on c, 137.3 kW.
13 kW at each far PDU: 9.1, 2.6, 1.3 kW.

* Each UPS carries half: 229.9 kVA, 51.1 % of 450 kVA; as the racks hang, 82.3 kVA on phase a, 54.9 % of 150 kVA.
* A far transformer turns single-phase currents into line-to-line ones: its other side has no neutral current, and so a UPS's
  phase a carries less than hangs on it, 52.8 %.
* One UPS lost: the other has 433 kW, 446.4 kVA, 99.2 %, which is no overload; 155.3 kVA of it hang on phase a,
  103.5 % of 150 kVA, and cables add 0.6 %: for good a phase carries 157.5 kVA, 105 %.
* Then 13 kW are dark. With QX closed 164.7 kVA hang on phase a, and 7.2 kVA, 7 kW, must be capped there.
* A utility lost: the tie between the MV boards brings the UPS back; nobody has to go.
* Unbalance at a far PDU: a PDU draws 13.4 kVA with parts 0.7, 0.2, 0.1: I2 / I1 = sqrt(0.7^2 + 0.2^2 + 0.1^2 - 0.7 * 0.2
  - 0.7 * 0.1 - 0.2 * 0.1) = 0.557. On 31.5 kVA the transformer has 0.032 + j 0.048, and the cable 0.233 ohm + j 0.008 ohm,
  0.043 + j 0.001, of 5.47 ohm: 0.090 in all; times 13.4 / 31.5 and 0.557 that is 2.13 %, and the voltage is
  about 3 % below nominal and its currents that much higher, 3 % squared with |V1| in the denominator: 2.3 %.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    assert (len(table), table["kw"].sum()) == (128, pytest.approx(446.0))
    assert (table["cords"].to_numpy() == np.repeat([2, 1], [108, 20])).all()
    assert [(table["priority"] == p).mean() for p in (1, 2, 3)] == pytest.approx([0.30, 0.40, 0.30], abs=0.02)
    rows = net.asymmetric_load
    assert ((rows[PHASES] > 0).sum(axis=1) == 1).all()
    of_pdu = 1000.0 * rows.groupby("bus")[PHASES].sum()
    of_pdu.index = pd.Index(net.bus.loc[of_pdu.index, "name"])
    far = of_pdu.index.isin(["PDU-A7", "PDU-B7"])
    assert of_pdu[~far].to_numpy() == pytest.approx(np.tile([11.795, 11.76, 11.445], (12, 1)))
    assert of_pdu[far].to_numpy() == pytest.approx(np.tile([9.1, 2.6, 1.3], (2, 1)))
    kva = rows[PHASES].sum(axis=1) / 0.97
    assert (
        2.0 * 1e3 * kva < rows["breaker_a"] * 0.415 / np.sqrt(3.0)
    ).all()  # one cord alone carries its rack


def test_micro_inverters_are_a_tenth_of_the_load(net: Any) -> None:
    """12 x 3 x 0.4 + 8 x 3 x 1.25 = 44.4 kVA of 446 kW, at all PDUs."""
    mims = net.asymmetric_sgen
    assert set(mims["kind"]) == {"mim"}
    assert (mims[PHASES].to_numpy() == 0.0).all()
    assert 3e3 * mims["s_max_mva"].sum() == pytest.approx(44.4)
    assert set(mims["bus"]) == set(net.asymmetric_load["bus"])
    linked = mims["storage"].dropna().astype(int)
    assert (net.storage.loc[linked, "coupling"] == "dc").all()
    assert (net.storage.loc[linked, "bus"].to_numpy() == mims.loc[linked.index, "bus"]).all()
    assert len(linked) == len(net.storage) == 10


def test_it_is_sound_and_its_loadings_are_those_of_the_sums(net: Any) -> None:
    flow = assert_sound(net)
    assert flow.res_ups["loading_percent"].to_numpy() == pytest.approx([51.1, 51.1], abs=0.3)
    assert_engines_agree(net)


def test_the_three_phase_flow_shows_the_full_phase(net: Any) -> None:
    ours, theirs = (powerflow(net, engine=engine, three_phase=True) for engine in ("pgm", "pandapower"))
    voltages = ["vm_a_pu", "vm_b_pu", "vm_c_pu"]
    np.testing.assert_allclose(ours.res_bus_3ph[voltages], theirs.res_bus_3ph[voltages], atol=1e-5)
    assert ours.res_ups["loading_percent"].to_numpy() == pytest.approx([52.8, 52.8], abs=0.2)
    full = ours.res_trafo_3ph[["loading_a_percent", "loading_b_percent", "loading_c_percent"]].iloc[2:]
    assert full.to_numpy() == pytest.approx(np.tile([96.3, 64.4, 20.4], (2, 1)), abs=0.2)
    assert ours.res_line_3ph["i_n_ka"].max() > 0.001


def test_the_far_row_is_unbalanced_by_more_than_two_percent(net: Any) -> None:
    """2.3 % by hand, see above; near PDUs and everything before the UPSs are far below."""
    flow = powerflow(net, engine="pandapower", three_phase=True)
    percent = pd.Series(flow.res_bus_3ph["unbalance_percent"].to_numpy(), index=net.bus["name"])
    far = percent[["PDU-A7", "PDU-B7"]].to_numpy()
    assert far == pytest.approx([2.3, 2.3], abs=0.15)
    assert (far > 2.0).all()
    assert percent.drop(["PDU-A7", "PDU-B7", "PDU-A7 in", "PDU-B7 in"]).max() < 0.1


def test_it_is_the_same_each_time_and_survives_json(net: Any, tmp_path: Path) -> None:
    assert_same_each_time(net, mim_pod(), mim_pod(seed=1))
    assert_kept_by_json(net, tmp_path / "mim_pod.json")


def test_a_ups_lost_leaves_no_room_on_phase_a_for_the_far_row(session: Session) -> None:
    result = session.solve(failed=["ups:UPS-A"])
    assert result.ok
    (clock,) = result.clocks
    assert (clock.component, clock.kind) == ("ups:UPS-B", "overload")
    assert clock.ratio == pytest.approx(1.041, abs=0.002)
    assert clock.deadline_s > 3e7  # no overload: for good
    assert result.interrupted_kw >= 13.0 - 1e-6  # PDU-A7 is dark until QX closes
    assert result.worst_loading_percent <= 105.0 + 1e-6
    on_a = [
        a
        for a in result.plan.actions
        if a.action in ("cap", "shed") and "a" in a.device.removeprefix("rack:")
    ]
    assert ("switch:QX", "close") in {(a.device, a.action) for a in result.plan.actions}
    assert sum(a.before - (a.after if a.action == "cap" else 0.0) for a in on_a) >= 7.0


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
