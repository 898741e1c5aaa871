"""The linear model of the flow at some points, and how far its voltages are from those of another tool at base load."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from pdnopt.acflow import powerflow
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import Injections, PhaseFlow, read_injections
from pdnopt.balancing.network import read_phase_network
from pdnopt.plan import Plan

__all__ = ["pandapower_errors_percent", "voltages"]

VOLTS = ["vm_a_pu", "vm_b_pu", "vm_c_pu"]


def voltages(flow: PhaseFlow, told: Injections) -> dict[str, np.ndarray]:
    """Return voltages at base load, complex pu by row of the network.

    "agreed": the linear model asked for again until it agrees with itself; "from 80 %": of one step, the point at 80 % of
    the load; "from none": of one step from the voltages without load.
    """
    nobody, nothing = np.zeros(0, dtype=int), np.zeros(0, dtype=complex)

    def step(part: float) -> np.ndarray:
        less = Injections(told.plus, told.minus, part * told.s_pu, told.z, told.i)
        point = flow.solve(less, nobody, nothing)
        current = -flow.drawn(told, point.v)
        for at, p_kw, tan_phi in zip(flow._at_ups, point.ups_in_kw, flow.network.ups.tan_phi, strict=True):
            current[at] -= np.conj(p_kw * (1.0 + 1j * tan_phi) / 3.0 / S_BASE_KW / point.v[at])
        v = flow.network.v_slack.copy()
        assert flow._lu is not None
        v[flow.free] = flow._lu.solve(current[flow.free] + flow.no_load)
        return v

    return {
        "agreed": flow.solve(told, nobody, nothing).v,
        "from 80 %": step(0.8),
        "from none": step(0.0),
    }


def pandapower_errors_percent(net: Any) -> dict[str, float]:
    """Return the largest error of a phase's voltage against runpp_3ph, percent of nominal, of all live buses."""
    truth = powerflow(net, engine="pandapower", three_phase=True).res_bus_3ph[VOLTS].to_numpy(float)
    base = Plan(problem="balance").apply(deepcopy(net))
    network = read_phase_network(base)
    told = read_injections(base, network, np.zeros(0, dtype=int))
    live = network.node >= 0
    assert np.isfinite(truth[live]).all()
    return {
        word: float(100.0 * np.abs(np.abs(v).reshape(-1, 3)[network.node[live]] - truth[live]).max())
        for word, v in voltages(PhaseFlow(network), told).items()
    }
