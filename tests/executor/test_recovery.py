"""Ways back, judged by the independent checker on two_feed, whose every answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import pdnopt
from pdnopt.errors import Issue
from pdnopt.executor import procedure_of, recoveries, sheet
from pdnopt.executor.recovery import way_back
from pdnopt.executor.sheet import confirm_on_terminal
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action

MOVE = Action(1, 0.6, "transfer:T", "transfer", "switch:T1", "switch:T2", "away from a worn rectifier")
CLOSE = Action(2, 1.0, "switch:Q", "close", False, True)
CAP = Action(2, 1.0, "rack:R", "cap", 8.0, 5.0)


def test_what_undoes_what() -> None:
    back = way_back((MOVE, CLOSE, CAP, replace(CLOSE, device="ext_grid:G", action="start")), 3, 2.0)
    assert [(item.device, item.action, item.before, item.after) for item in back] == [
        ("ext_grid:G", "stop", True, False),
        ("switch:Q", "open", True, False),
        ("transfer:T", "transfer", "switch:T2", "switch:T1"),
    ]  # the last first; a cap stays
    assert way_back((CAP,), 2, 1.0) == ()


def test_only_what_the_checker_takes() -> None:
    """The checker is asked for the plan up to each step, the step with the device stalled open, and the way back."""
    asked: list[Plan] = []

    def check(plan: Plan) -> list[Issue]:
        asked.append(plan)
        warning = Issue("Wear", "plan", "", 1, "0", "Sign it off.", "warning")
        refused = Issue("Parallel", "plan", "", 1, "0", "Do not.")
        return [warning, refused] if any(item.device == "switch:Q" for item in plan.actions) else [warning]

    found = recoveries(Plan(actions=(MOVE, CLOSE)), check)
    assert set(found) == {1}
    stalled, back = asked[0].actions
    assert (stalled.after, back.before, back.after) == (None, None, "switch:T1")
    assert asked[1].actions[:2] == (MOVE, CLOSE)


@pytest.mark.parametrize(
    ("case", "failed", "expected"),
    [
        # taps go back to the loaded reserve system, which carries it for ten minutes
        (
            "ring_bus",
            "ups:P2",
            {
                1: [("transfer:IBT-1-1", "transfer", "switch:IBT-1-1/1")],
                2: [("transfer:IBT-1-3", "transfer", "switch:IBT-1-3/1")],
            },
        ),
        ("two_feed", "ups:UPS-A", {}),  # caps stay
    ],
)
def test_ways_back_of_real_plans(case: str, failed: str, expected: dict[int, Any]) -> None:
    net = pdnopt.load_case(case)
    plan = pdnopt.solve(net, "reroute", failed=[failed], time_limit_s=20.0).plan
    found = recoveries(plan, lambda tried: pdnopt.check(net, tried))
    assert {n: [(b.device, b.action, b.after) for b in back] for n, back in found.items()} == expected
    # held for an hour the state before would not do: that is why there is a plan
    assert not recoveries(plan, lambda tried: pdnopt.check(net, tried), hold_s=3600.0)


def test_the_switching_sheet() -> None:
    procedure = procedure_of(
        Plan(actions=(MOVE, CLOSE)), 1, {"transfer:T": 0.1}, {1: way_back((MOVE,), 2, 2.0)}
    )
    lines = sheet(procedure).splitlines()
    assert lines[1] == "step 1, not before 0.5 s, done by 0.6 s"
    assert lines[2] == "  [ ] transfer:T: transfer to switch:T2, now switch:T1   (away from a worn rectifier)"
    assert lines[4] == "  [ ] switch:Q: close to yes, now no"
    assert lines[5] == "  if step 1 fails, back: transfer:T: transfer to switch:T1"


@pytest.mark.parametrize(
    ("answer", "sent"), [("y", True), (" YES ", True), ("", False), ("no", False), (None, False)]
)
def test_a_person_says_yes_or_no(answer: str | None, sent: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(question: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    step = procedure_of(Plan(actions=(CLOSE,)), 1).steps[0]
    assert (confirm_on_terminal(step, ask) is not None) == sent
    assert "switch:Q: close" in capsys.readouterr().out
