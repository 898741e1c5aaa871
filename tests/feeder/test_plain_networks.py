"""pandapower's and simbench's own networks run unchanged, and end no worse than they were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandapower.networks as pn
import pytest

import pdnopt

LOSSES = ("line", "trafo", "trafo3w")
NETWORKS: dict[str, Callable[[], Any]] = {
    "cigre_mv_der": lambda: pn.create_cigre_network_mv(with_der="pv_wind"),
    "mv_oberrhein": pn.mv_oberrhein,
    "case33bw": pn.case33bw,
    "cigre_lv": pn.create_cigre_network_lv,
    "four_loads": pn.four_loads_with_branches_out,
    "simple_mv_open_ring": pn.simple_mv_open_ring_net,
    "kerber_dorfnetz": pn.create_kerber_dorfnetz,
}
SIMBENCH = ("1-LV-rural1--0-sw", "1-MV-rural--0-sw", "1-MV-comm--0-sw", "1-MV-urban--0-sw")


def no_worse(net: Any, time_limit_s: float) -> None:
    given = pdnopt.powerflow(net)
    lost_kw = 1e3 * sum(float(given[f"res_{table}"]["pl_mw"].sum()) for table in LOSSES if len(given[table]))
    result = pdnopt.solve(net, "reroute", minimize=("unserved", "losses"), time_limit_s=time_limit_s)
    assert result.ok
    assert result.issues == []
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-3)
    assert result.losses_kw <= lost_kw * (1 + 1e-6)
    assert result.bound["losses"] <= result.losses_kw


@pytest.mark.parametrize("name", NETWORKS)
def test_pandapower_networks(name: str) -> None:
    no_worse(NETWORKS[name](), 8.0)


@pytest.mark.parametrize("code", SIMBENCH)
def test_simbench_networks(code: str) -> None:
    simbench = pytest.importorskip("simbench", reason="simbench is not installed: pip install pdnopt[test]")
    no_worse(simbench.get_simbench_net(code), 12.0)


def test_a_limit_that_the_network_breaks_as_given_is_kept_and_named() -> None:
    """CIGRE's MV network without generation overloads what feeds it: load goes, and the reason says where."""
    result = pdnopt.solve(
        pn.create_cigre_network_mv(), "reroute", minimize=("unserved", "losses"), time_limit_s=8.0
    )
    assert result.ok
    assert result.unserved_kw > 0
    assert result.bound["unserved_p3"] <= result.unserved_kw
    assert result.reasons
    assert all(reason.binding.startswith("trafo:") for reason in result.reasons)
