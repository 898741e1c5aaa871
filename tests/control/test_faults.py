"""The twenty faults of a controller over many seeds: the invariant holds, as the emulated plant and the guards judge.

No critical load unserved that a plan could serve, nothing trips where a plan existed, every command is written before it is
sent, none is carried out twice, and the end state is known or alarmed. A seed that fails is named: play it again with
``tests.control.scenarios.play(seed)``.
"""

import pytest

from tests.control.scenarios import FAULTS, play

SMALL, LARGE, CHUNK = 300, 10_000, 20


def broken(first: int, count: int) -> list[str]:
    outcomes = (play(seed) for seed in range(first, first + count))
    return [str(outcome) for outcome in outcomes if outcome.broken]


@pytest.mark.parametrize("chunk", range(SMALL // CHUNK))
def test_random_scenarios(chunk: int) -> None:
    assert len(FAULTS) == CHUNK  # so every chunk has every fault once
    assert broken(chunk * CHUNK, CHUNK) == []


@pytest.mark.soak
@pytest.mark.parametrize("chunk", range(SMALL // CHUNK, LARGE // CHUNK))
def test_random_scenarios_in_large_numbers(chunk: int) -> None:
    assert broken(chunk * CHUNK, CHUNK) == []


def test_a_scenario_is_the_same_twice() -> None:
    assert play(20) == play(20)


def test_the_judge_sees_what_is_wrong() -> None:
    """Without a controller the same plants lose load and trip: the invariant can fail."""
    from tests.control.rig import Rig

    rig = Rig("two_feed", 0)
    rig.loop._know.halted = "test"
    rig.run(3.0)
    rig.plant.fail("ups:UPS-A")
    rig.run(150.0)  # a minute to bypass, another until that trips too
    assert [item.component for item in rig.plant.ledger.trips][:1] == ["ups:UPS-B"]
    assert rig.unserved()[1] > rig.best_unserved()[1] + 1.0
    rig.close()
