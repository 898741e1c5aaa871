"""The three-phase flow and its linear model, against power-grid-model and runpp_3ph."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from pdnopt.acflow import powerflow
from pdnopt.balancing.flow import PhaseFlow, read_injections
from pdnopt.balancing.inverters import read_bounds, read_inverters
from pdnopt.balancing.network import read_phase_network
from pdnopt.balancing.points import look, point_of, read_area
from pdnopt.errors import InputError
from pdnopt.library import load_case
from tests.balance.pods import pod

VOLTS = ["vm_a_pu", "vm_b_pu", "vm_c_pu"]


def largest_error(net: Any, engine: str) -> float:
    """Return the largest difference of a phase's voltage, pu, with the table's set-points."""
    reference = powerflow(net, engine=engine, three_phase=True)
    network = read_phase_network(deepcopy(net))
    told = read_injections(net, network, np.zeros(0, dtype=int))
    v = np.abs(PhaseFlow(network).solve(told, np.zeros(0, dtype=int), np.zeros(0)).v).reshape(-1, 3)
    live = network.node >= 0
    there = reference.res_bus_3ph[VOLTS].to_numpy(float)[live]
    assert np.isfinite(there).all()
    return float(np.abs(v[network.node[live]] - there).max())


@pytest.mark.parametrize(("engine", "most"), [("pgm", 5e-6), ("pandapower", 1e-5)])
def test_mim_pod(engine: str, most: float) -> None:
    net = load_case("mim_pod")
    net.asymmetric_sgen.loc[:, ["p_a_mw", "p_b_mw", "p_c_mw"]] = [0.002, -0.001, -0.0012]
    assert largest_error(net, engine) < most


def test_delta_loads() -> None:
    net = pod()
    pp.create_asymmetric_load(net, 2, p_a_mw=0.004, q_a_mvar=0.001, p_b_mw=0.001, type="delta", name="delta")
    assert largest_error(net, "pandapower") < 5e-5  # where runpp_3ph stops


def test_voltage_dependent_loads() -> None:
    net = pod()
    pp.create_load(
        net, 2, 0.006, 0.002, const_z_p_percent=40, const_z_q_percent=30, const_i_p_percent=20, name="zip"
    )
    assert largest_error(net, "pgm") < 1e-6


@pytest.mark.parametrize("group", ["YNyn", "Dyn"])
def test_vector_groups(group: str) -> None:
    net = pod(kw=((20.0, 2.0, 5.0), (10.0, 4.0, 1.0)))
    net.trafo["vector_group"] = group
    net.trafo["shift_degree"] = 0.0 if group == "YNyn" else 330.0
    assert largest_error(net, "pandapower") < 1e-4


def test_linear_model_is_right_near_its_point() -> None:
    """Asked for at no set-points, right to 0.5 % of nominal at set-points of 5 kVA in runpp_3ph (and far better)."""
    net = pod()
    network = read_phase_network(deepcopy(net))
    inverters = read_inverters(net, network, 3600.0)
    told = read_injections(net, network, inverters.index)
    flow = PhaseFlow(network)
    s = np.zeros(6, dtype=complex)
    sight = look(flow, told, inverters, flow.solve(told, inverters.rows, s).v, s)
    area = read_area(net, network, inverters, sight)
    point = point_of(area, inverters, read_bounds(net, inverters, (), (), None), sight, s)
    kva = np.array([4, -3, -1.2, -2 + 2j, 1.5 - 3j, 0.2])
    extra = (point.g_re + 1j * point.g_im) * np.conj(kva) / 100.0
    dv = np.linalg.solve(area.structure.y.toarray(), area.structure.enters @ extra)
    linear = np.abs(sight.v[area.rows] + dv)
    for k, letter in enumerate("abc"):
        net.asymmetric_sgen[f"p_{letter}_mw"] = kva.real[[k, 3 + k]] / 1e3
        net.asymmetric_sgen[f"q_{letter}_mvar"] = kva.imag[[k, 3 + k]] / 1e3
    truth = powerflow(net, engine="pandapower", three_phase=True).res_bus_3ph[VOLTS].to_numpy(float)
    size = np.zeros(3 * network.n)
    size[area.rows] = linear
    seen = size.reshape(-1, 3)[network.node]
    there = seen[:, 0] > 0
    moved = np.abs(truth - np.abs(sight.v).reshape(-1, 3)[network.node])[there].max()
    assert moved > 0.005
    assert np.abs(seen - truth)[there].max() < 0.0005


def test_a_dead_part_has_no_node() -> None:
    net = pod()
    net.line.loc[1, "in_service"] = False
    network = read_phase_network(deepcopy(net))
    assert list(network.node >= 0) == [True, True, True, False]


def test_what_has_no_model_by_phase_is_named_all_at_once() -> None:
    net = pod()
    net.trafo["vector_group"] = "Zzn"
    pp.create_shunt(net, 1, 0.01, name="filter")
    with pytest.raises(InputError) as caught:
        read_phase_network(net)
    assert {issue.id for issue in caught.value.issues} == {"trafo:TX", "shunt:filter"}


def test_missing_zero_sequence_data_is_named() -> None:
    net = pod()
    net.line.loc[1, "r0_ohm_per_km"] = np.nan
    with pytest.raises(InputError) as caught:
        read_phase_network(net)
    assert [(issue.kind, issue.id) for issue in caught.value.issues] == [
        ("MissingZeroSequence", "line:cable 1")
    ]
