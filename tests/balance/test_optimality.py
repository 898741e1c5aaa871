"""Is it the optimum? Against a second-order-cone model of the same linear network, and a search over AC power flow."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from pdnopt.acflow import powerflow
from pdnopt.session import Options, Session
from tests.balance.pods import pod

POLYGON = 1.0 - np.cos(np.pi / 16)
"""What the polygons may cost: 1.9 %."""

TIGHT = {"s_max_kva": 1.5, "kw": ((9.0, 5.0, 4.0), (4.0, 8.0, 5.0))}
"""Too little to even out all phases: every term has a value above 0."""


def cone_model(runner: Any, s_kva: np.ndarray) -> dict[str, float]:
    """Solve vuf and spread one after another with true circles (Clarabel), in dense complex algebra.

    Everything is said again: currents from the difference of voltages over dense matrices, |.| as cones, no polygon and no
    variables of the LP. The point is the flow at ``s_kva``.
    """
    told = runner._loads(Options())
    sight, area, inverters = runner._sight(told, s_kva), runner.area, runner.inverters
    v0, s = sight.v, area.structure
    impedance = np.linalg.inv(s.y.toarray()) @ s.enters.toarray()
    at = inverters.rows
    p, q = cp.Variable(len(at)), cp.Variable(len(at))
    now = s_kva / 100.0
    change = cp.multiply(1.0 / np.conj(v0[at]), (p - 1j * q) - np.conj(now))
    dv = impedance @ change
    current = sight.current[(3 * area.feeders[:, None] + np.arange(3)).ravel()]
    di = s.current.toarray() @ dv
    way = np.where(np.abs(now) > 0, now / np.maximum(np.abs(now), 1e-12), 0.0)
    lost = np.repeat(s.loss, 3)
    rows = []
    for k in range(len(inverters.index)):
        own = slice(3 * k, 3 * k + 3)
        link = cp.sum(p[own]) + lost[own] @ (
            cp.multiply(way.real[own], p[own]) + cp.multiply(way.imag[own], q[own])
        )
        rows.append(link == 0)
    rows.append(cp.abs(p + 1j * q) <= np.repeat(inverters.s_max_kva, 3) / 100.0)
    one = np.abs(v0.reshape(-1, 3) @ np.array([1.0, np.exp(2j * np.pi / 3), np.exp(-2j * np.pi / 3)]) / 3)[
        area.nodes
    ]
    two = (v0.reshape(-1, 3) @ np.array([1.0, np.exp(-2j * np.pi / 3), np.exp(2j * np.pi / 3)]) / 3)[
        area.nodes
    ]
    vuf = cp.max(cp.multiply(1.0 / one, cp.abs(two + s.two.toarray() @ dv)))
    along = np.abs(current) + cp.real(cp.multiply(np.conj(current) / np.abs(current), di))
    spreads = [
        (cp.max(along[3 * f : 3 * f + 3]) - cp.min(along[3 * f : 3 * f + 3])) / s.scale[f]
        for f in np.flatnonzero(s.counts)
    ]
    found: dict[str, float] = {}
    for name, aim in (("vuf", vuf), ("spread", cp.max(cp.hstack(spreads)))):
        problem = cp.Problem(cp.Minimize(aim), rows)
        found[name] = float(problem.solve(solver=cp.CLARABEL))
        slack = {"vuf": 2e-5, "spread": 5e-4}[name]
        rows.append(aim <= found[name] * 1.001 + slack)
    return found


def set_points(net: Any, result: Any) -> np.ndarray:
    after = result.plan.apply(net).asymmetric_sgen
    p = after[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy(float)
    q = after[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].to_numpy(float)
    return np.asarray(1e3 * (p + 1j * q)).ravel()


@pytest.mark.parametrize("s_max_kva", [0.8, 1.1])
def test_as_good_as_true_circles(s_max_kva: float) -> None:
    net = pod(**(TIGHT | {"s_max_kva": s_max_kva}))
    session = Session(net, "balance")
    result = session.solve()
    assert result.status == "optimal"
    best = cone_model(session._runner, set_points(net, result))
    assert best["vuf"] > 1e-4
    # circles are larger than the inscribed polygons by 1.9 % of what inverters can do, and |V2| is understated by as much
    done = {name: none - best[name] for name, none in without(net).items() if name in best}
    for name, value in best.items():
        assert abs(result.objective[name] - value) <= 2 * POLYGON * (done[name] + value), name


def without(net: Any) -> dict[str, float]:
    """Return vuf and spread of the network as it stands, by runpp_3ph."""
    return measures(net, np.zeros(6, dtype=complex))


def measures(net: Any, s_kva: np.ndarray) -> dict[str, float]:
    """Return the largest VUF and spread by power-grid-model with set-points."""
    for k, letter in enumerate("abc"):
        net.asymmetric_sgen[f"p_{letter}_mw"] = s_kva.real[k::3] / 1e3
        net.asymmetric_sgen[f"q_{letter}_mvar"] = s_kva.imag[k::3] / 1e3
    flow = powerflow(net, three_phase=True)
    lines = flow.res_line_3ph[["i_a_ka", "i_b_ka", "i_c_ka"]].to_numpy(float) / net.line[
        ["max_i_ka"]
    ].to_numpy(float)
    rated = net.trafo["sn_mva"].iloc[0] / (np.sqrt(3.0) * net.trafo["vn_lv_kv"].iloc[0])
    trafo = flow.res_trafo_3ph[["i_a_lv_ka", "i_b_lv_ka", "i_c_lv_ka"]].to_numpy(float) / rated
    loading = np.vstack([lines, trafo])
    spread = float((loading.max(axis=1) - loading.min(axis=1)).max())
    return {"vuf": float(flow.res_bus_3ph["unbalance_percent"].max()) / 100.0, "spread": spread}


def test_a_search_over_ac_power_flow_finds_nothing_better() -> None:
    """Spread alone, by power-grid-model: Nelder-Mead from the answer, and from nothing, over all that keeps the rules."""
    net = pod(**TIGHT)
    result = Session(net, "balance", minimize=("spread", "effort")).solve()
    start = set_points(net, result)
    loss, s_max = 0.03, 1.5

    def whole(x: np.ndarray) -> np.ndarray:
        """Return set-points within the ratings whose DC link is even, from 2 free p and 3 q by inverter."""
        out = []
        for part in x.reshape(2, 5):
            p = np.array([part[0], part[1], 0.0])
            q = part[2:]
            for _ in range(20):
                p[2] = -(p[0] + p[1]) - loss * np.abs(p + 1j * q).sum()
            out.append(p + 1j * q)
        return np.concatenate(out)

    def cost(x: np.ndarray) -> float:
        s = whole(x)
        over = np.maximum(np.abs(s) - s_max, 0.0).sum()
        return measures(net, s)["spread"] * (1.0 + 10.0 * over) + over

    ours = measures(net, start)["spread"]
    free = np.concatenate([[*s[:2].real, *s.imag] for s in start.reshape(2, 3)])
    best = ours
    for x0 in (free, np.zeros(10)):
        found = minimize(cost, x0, method="Nelder-Mead", options={"maxfev": 40})
        best = min(best, float(found.fun))
    before = without(net)["spread"]
    assert ours < 0.8 * before
    assert best >= ours - POLYGON * (before - ours) - 0.01 * ours
