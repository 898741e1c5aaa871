"""What is believed, one rule a test, against what was put in."""

from typing import Any

from pdnopt.control.beliefs import Believing
from pdnopt.protocols.readings import Quality, Reading

DEVICE = "load:1"


def reading(
    value: Any, t_s: float, quantity: str = "p_kw", path: str = "", stamp_s: float | None = None
) -> Reading:
    return Reading(DEVICE, quantity, value, Quality.GOOD, t_s if stamp_s is None else stamp_s, t_s, path)


def test_a_stamp_from_the_future_is_rejected() -> None:
    found = Believing().judge([reading(5.0, 100.0, stamp_s=103.0)], 100.0).of(DEVICE, "p_kw")
    assert (found.usable, found.quality) == (False, Quality.BAD)


def test_a_clock_that_is_behind_is_believed_as_long_as_it_goes_on() -> None:
    judge = Believing()
    for t in range(0, 100, 5):
        assert (
            judge.judge([reading(5.0 + t, float(t), stamp_s=t - 3600.0)], float(t)).value(DEVICE, "p_kw")
            == 5.0 + t
        )


def test_a_stamp_that_stands_still_goes_stale() -> None:
    judge = Believing()
    usable = [
        judge.judge([reading(5.0, float(t), stamp_s=0.0)], float(t)).of(DEVICE, "p_kw").usable
        for t in (0, 5, 10, 30, 35)
    ]
    assert usable == [True, True, True, True, False]


def feed(values: list[float], quantity: str = "p_kw") -> list[Quality]:
    judge = Believing()
    return [
        judge.judge([reading(value, 5.0 * k, quantity)], 5.0 * k).of(DEVICE, quantity).quality
        for k, value in enumerate(values)
    ]


def test_a_power_that_moved_and_stands_still_is_suspect() -> None:
    moving = [5.0, 5.1, 5.05, 5.2, 5.15]
    qualities = feed([*moving, *[5.15] * 12])
    assert set(qualities[:-1]) == {Quality.GOOD}
    assert qualities[-1] is Quality.SUSPECT


def test_what_never_moved_may_stand_still() -> None:
    assert set(feed([5.0] * 60)) == {Quality.GOOD}


def test_what_moves_in_steps_may_stand_still_between_them() -> None:
    steps = [v for k in range(8) for v in [5.0 + k] * 7]
    assert set(feed([*steps, *[12.0] * 9])) == {Quality.GOOD}
    assert feed([*steps, *[12.0] * 13])[-1] is Quality.SUSPECT


def test_a_dead_circuit_stands_still_at_zero() -> None:
    assert set(feed([5.0, 5.1, 5.2, 5.3, *[0.0] * 50])) == {Quality.GOOD}


def together(quantity: str, one: Any, other: Any) -> tuple[Any, Quality]:
    both = [reading(one, 1.0, quantity, "a"), reading(other, 1.0, quantity, "b")]
    found = Believing().judge(both, 1.0).of(DEVICE, quantity)
    return found.value, found.quality


def test_meters_that_disagree_give_the_worst_plausible_value() -> None:
    assert together("p_kw", 10.0, 10.3) == (10.0, Quality.GOOD)
    assert together("p_kw", 10.0, 14.0) == (14.0, Quality.SUSPECT)
    assert together("soc_percent", 90.0, 40.0) == (40.0, Quality.SUSPECT)


def test_a_position_that_is_told_in_two_ways_is_not_known() -> None:
    assert together("position", "switch:A", "switch:B") == (None, Quality.BAD)
    assert together("closed", True, True) == (True, Quality.GOOD)


def test_one_way_that_is_silent_does_not_matter() -> None:
    lost = Reading(DEVICE, "p_kw", None, Quality.MISSING, 1.0, 1.0, "b", "no answer")
    judge = Believing()
    assert judge.judge([reading(7.0, 1.0, path="a"), lost], 1.0).value(DEVICE, "p_kw") == 7.0
    assert judge.judge([lost], 1.0).missing_part() == 1.0
