"""The linear model of the flow, one step from a point at 80 % of the load, against runpp_3ph at base load."""

from __future__ import annotations

import pandapower.networks as pn
import pytest

from pdnopt.library import load_case
from tests.balance.linear import pandapower_errors_percent
from tests.balance.pods import pod


def test_mim_pod_within_half_a_percent() -> None:
    """Full, uneven transformers behind long cables; UPSs between two parts of the plant."""
    found = pandapower_errors_percent(load_case("mim_pod"))
    assert found["agreed"] < 0.001
    assert 0.01 < found["from 80 %"] < 0.5


def test_european_lv_within_half_a_percent() -> None:
    """A zero-sequence magnetising path, which its transformer is given, is not modelled: 0.06 % (docs/THREE_PHASE.md)."""
    found = pandapower_errors_percent(pn.ieee_european_lv_asymmetric("on_peak_566"))
    assert found["agreed"] < 0.1
    assert found["from 80 %"] < 0.5


@pytest.mark.parametrize("group", ["Dyn", "YNyn"])
def test_one_step_errs_less_the_nearer_its_point(group: str) -> None:
    net = pod(kw=((20.0, 2.0, 5.0), (10.0, 4.0, 1.0)))
    net.trafo["vector_group"] = group
    found = pandapower_errors_percent(net)
    assert (
        found["agreed"] < 0.02
    )  # the impedance of the source in negative sequence, and where runpp_3ph stops
    assert found["from 80 %"] < min(0.5, found["from none"])
