"""A genset takes its load in steps: what is too much at once is off for a moment and comes back in portions."""

from __future__ import annotations

import pytest

import pdnopt

BOTH = ["ext_grid:Utility-A", "ext_grid:Utility-B"]


@pytest.mark.parametrize("step_kw", [35.0, 25.0, 16.0])
def test_load_comes_in_steps(step_kw: float) -> None:
    net = pdnopt.load_case("two_feed")
    total_kw = 1000.0 * float(net.load.loc[net.load["rack"].notna() & (net.load["rack"] != ""), "p_mw"].sum())
    assert step_kw < total_kw
    free = pdnopt.solve(net, "reroute", failed=BOTH, explain=False)
    net.ext_grid.loc[net.ext_grid["kind"] == "genset", "step_mw"] = step_kw / 1000.0
    issues = pdnopt.check(net, free.plan)
    assert "LoadStep" in {issue.kind for issue in issues}  # at once it is too much
    result = pdnopt.solve(net, "reroute", failed=BOTH, explain=False)
    assert result.ok, (result.status, [str(issue) for issue in result.issues])
    assert result.unserved_kw == pytest.approx(free.unserved_kw, abs=0.1)
    restores = {action.step for action in result.plan.actions if action.action == "restore"}
    assert restores
