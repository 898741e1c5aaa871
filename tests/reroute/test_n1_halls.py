"""Single failures of the halls at 60 to 95 % of installed UPS kW; all of them: ``python -m tests.benchmarks.n1_halls``."""

import pytest

import cases
from cases.hall import load_level_kw
from pdnopt.session import Session
from tests.benchmarks.n1_halls import LEVELS, least_unserved_kw

HALLS = {
    "hall_2n": ["ups:UPS-A", "trafo:TX-B", "ext_grid:Utility-1", "transfer:STS-A-B-1"],
    "hall_4n3": ["ups:UPS-B", "trafo:TX-A", "ext_grid:Utility-2", "transfer:STS-A-B"],
}


@pytest.fixture(scope="module", params=sorted(HALLS))
def hall(request):
    net = cases.build(request.param)
    return request.param, net, Session(net)


@pytest.mark.parametrize("level", LEVELS)
def test_every_plan_is_verified_and_spares_priority_1(hall, level: float) -> None:
    name, net, session = hall
    p_load_kw = load_level_kw(net, level)
    for failed in HALLS[name]:
        result = session.solve(failed=[failed], p_load_kw=p_load_kw, explain=False, time_limit_s=120.0)
        assert result.ok, (failed, level, [str(issue) for issue in result.issues])
        assert not [issue for issue in result.issues if issue.severity == "error"]
        bound_kw = least_unserved_kw(net, failed, p_load_kw)
        assert result.unserved_by_priority[1] <= bound_kw + 0.5, (failed, level)
        assert result.unserved_kw == pytest.approx(sum(result.unserved_by_priority.values()))


def test_at_75_percent_the_automatic_response_of_4n3_carries_a_lost_ups(hall) -> None:
    name, net, session = hall
    if name != "hall_4n3":
        pytest.skip("a 2N hall carries a lost UPS up to 50 %")
    result = session.solve(failed=["ups:UPS-C"], p_load_kw=load_level_kw(net, 0.75), explain=False)
    assert result.status == "optimal"
    assert result.plan.actions == ()
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)


def test_a_session_answers_as_a_fresh_one_does() -> None:
    """Whatever was solved before, the numbers of the model are those of this failure and load."""
    net = cases.build("hall_2n")
    used = Session(net)
    used.solve(failed=["ups:UPS-B"], p_load_kw=load_level_kw(net, 0.95), explain=False)
    used.solve(failed=["trafo:TX-A"], explain=False)
    again = used.solve(failed=["ups:UPS-A"], p_load_kw=load_level_kw(net, 0.6), explain=False)
    fresh = Session(net).solve(failed=["ups:UPS-A"], p_load_kw=load_level_kw(net, 0.6), explain=False)
    assert again.status == fresh.status == "optimal"
    assert again.plan.to_json() == fresh.plan.to_json()
    assert dict(again.objective) == pytest.approx(dict(fresh.objective))
