"""The solver's process: one that hangs, dies, floods or lies is ended, and the answer says so in time."""

import os
import signal
import time

import pytest

import pdnopt
from pdnopt.control.desk import Answer, Ask
from pdnopt.control.planner import InProcessPlanner, WorkerPlanner
from pdnopt.plan import Plan

READY = "import sys, time, os; sys.path[:] = {path!r}; print('ready', flush=True); sys.stdin.readline(); "
PROGRAMS = {
    "hangs": (READY + "time.sleep(600)", "late"),
    "dies": (READY + "sys.stdin.readline(); os._exit(3)", "died"),
    "answers nonsense": (READY + "print('nonsense', flush=True); time.sleep(600)", "died"),
    "answers with something else": (READY + "print('[1, 2]', flush=True); time.sleep(600)", "died"),
}
ASK = Ask("reroute", {}, ("ups:UPS-A",), 1.0)


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_process_that_fails(what: str) -> None:
    program, status = PROGRAMS[what]
    planner = WorkerPlanner(pdnopt.load_case("two_feed"), program=program)
    try:
        assert planner.wait_ready(60.0)
        first = planner.pid
        answer = planner.answer(ASK, 1.0)
        assert (answer.status, answer.plan) == (status, None)
        assert planner.pid != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
    finally:
        planner.close()


def test_a_process_answers_as_this_one_does_and_is_replaced_when_killed() -> None:
    net = pdnopt.load_case("two_feed")
    planner = WorkerPlanner(net)
    try:
        assert planner.wait_ready(120.0)
        answer = planner.answer(ASK, 60.0)
        here = InProcessPlanner(net).answer(ASK, 60.0)
        assert answer.plan == here.plan
        assert dict(answer.unserved_by_priority) == dict(here.unserved_by_priority)
        os.kill(planner.pid, signal.SIGKILL)
        assert planner.answer(ASK, 5.0).status == "died"
        assert planner.answer(ASK, 5.0).status == "late"  # a new one is starting
        assert planner.wait_ready(120.0)
        assert planner.answer(ASK, 60.0).plan == here.plan
    finally:
        planner.close()


def test_the_process_ends_with_its_parent() -> None:
    planner = WorkerPlanner(pdnopt.load_case("two_feed"), program=READY + "sys.stdin.read()")
    assert planner.wait_ready(60.0)
    process = planner._child.process
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60.0) == 0
    planner.close()


def test_questions_and_answers_survive_a_line_of_json() -> None:
    ask = Ask(
        "shift",
        {"switch": {"closed": [True, False]}},
        ("a", "b"),
        2.0,
        {"index": ["x"], "columns": [0], "values": [[0.5]]},
    )
    assert Ask.from_json(ask.to_json()) == ask
    answer = Answer("optimal", Plan(failed=("ups:A",)), 1.0, {1: 0.0, 2: 1.0}, ("load:1",), 0.1, "", {"x": 1})
    assert Answer.from_json(answer.to_json()) == answer


def test_bad_numbers_are_told_not_raised() -> None:
    began = time.monotonic()
    answer = InProcessPlanner(pdnopt.load_case("two_feed")).answer(Ask("reroute", {}, ("ups:NOBODY",)), 60.0)
    assert answer.status == "error"
    assert "NOBODY" in answer.why
    assert time.monotonic() - began < 60.0
