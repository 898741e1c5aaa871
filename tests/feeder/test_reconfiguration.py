"""Minimum-loss reconfiguration through `solve`: published systems, and judged by pandapower on the network applied."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pandapower as pp
import pytest

import pdnopt
from tests.feeder.systems import SYSTEMS, best_known_kw, system

TERMS = ("unserved", "losses")
QUICK = ("dnr_16_civanlar", "dnr_33_baran_wu", "rrdn_case1", "rrdn_case2", "rrdn_case4")


def solved(name: str, time_limit_s: float) -> tuple[Any, pdnopt.Result]:
    net = system(name)
    return net, pdnopt.solve(net, "reroute", minimize=TERMS, time_limit_s=time_limit_s)


def judge(net: Any, result: pdnopt.Result) -> None:
    """Assert by pandapower alone that the end state is radial, feeds all load, and loses what the result says."""
    after = result.plan.apply(net)
    pp.runpp(after, numba=False, tolerance_mva=1e-10)
    assert after.res_bus.loc[after.load["bus"], "vm_pu"].notna().all()
    loss_kw = 1e3 * float(after.res_line["pl_mw"].sum() + after.res_trafo["pl_mw"].sum())
    assert result.losses_kw == pytest.approx(loss_kw, rel=1e-5, abs=1e-6)
    graph = pp.topology.create_nxgraph(after)
    sources = sorted(after.ext_grid["bus"])
    graph.add_edges_from((sources[0], other, ("source", other)) for other in sources[1:])
    live = nx.node_connected_component(graph, sources[0])
    assert graph.subgraph(live).number_of_edges() == len(live) - 1


@pytest.mark.parametrize("name", QUICK)
def test_least_loss_of_published_systems(name: str) -> None:
    net, result = solved(name, 20.0)
    assert result.ok
    assert result.issues == []
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)
    assert result.losses_kw <= best_known_kw(name) * 1.0005
    assert result.bound["losses"] <= result.losses_kw
    assert result.bound["losses"] <= best_known_kw(name) * (1 + 1e-4)
    assert result.gap["losses"] == pytest.approx(1 - result.bound["losses"] / result.objective["losses"])
    assert result.gap["losses"] <= 0.03
    judge(net, result)


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in QUICK])
def test_least_loss_of_large_systems(name: str) -> None:
    net, result = solved(name, 60.0)
    assert result.ok
    assert result.losses_kw <= best_known_kw(name) * 1.0005
    assert result.bound["losses"] <= best_known_kw(name) * (1 + 1e-4)
    judge(net, result)


def test_the_same_input_gives_the_same_plan() -> None:
    first, second = (solved("rrdn_case1", 20.0)[1] for _ in range(2))
    assert [str(a) for a in first.plan.actions] == [str(a) for a in second.plan.actions]
    assert first.objective == second.objective


def test_losses_stay_the_milps_where_another_term_comes_first() -> None:
    net = system("rrdn_case1")
    result = pdnopt.solve(net, "reroute", time_limit_s=10.0)
    assert result.ok
    assert result.plan.actions == ()


def test_a_network_given_with_a_loop_is_no_worse_after() -> None:
    net = system("rrdn_case1")
    net.switch["closed"] = True
    net.ext_grid = net.ext_grid.iloc[:1]
    given = pdnopt.powerflow(net)
    result = pdnopt.solve(net, "reroute", minimize=TERMS, time_limit_s=10.0)
    assert result.ok
    assert result.losses_kw <= 1e3 * given.res_line["pl_mw"].sum() * (1 + 1e-6)
