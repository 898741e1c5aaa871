"""The picture of two_feed by hand: eight racks of 10 kW, each with two cords of 5 kW."""

from typing import Any

import pytest

from pdnopt.control.beliefs import Belief, Beliefs
from pdnopt.control.picture import Picture, Pictures, with_numbers
from pdnopt.control.standing import out_of_count, standing_of
from pdnopt.protocols.readings import Quality
from tests.control.rig import plant_of

RACKS = [f"R{k}" for k in range(1, 9)]


class Seen:
    """What is read, all well at first."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Belief] = {}
        for rack in RACKS:
            self.tell(f"rack:{rack}", limit_kw=None)
            for side in "AB":
                self.tell(f"load:{rack}/{side}", p_kw=5.0, fed=True, available=True)
        for side in "AB":
            self.tell(f"ups:UPS-{side}", mode="online", p_kw=40.0, p_in_kw=41.7, available=True)

    def tell(self, device: str, quality: Quality = Quality.GOOD, **values: Any) -> None:
        for name, value in values.items():
            self.found[device, name] = Belief(value, quality)

    def lose(self, device: str, *quantities: str) -> None:
        for name in quantities:
            self.found[device, name] = Belief(None, Quality.MISSING)


@pytest.fixture
def pictures() -> Pictures:
    return Pictures(plant_of("two_feed"))


def look(pictures: Pictures, seen: Seen, t_s: float = 0.0) -> Picture:
    return pictures.picture(Beliefs(dict(seen.found)), t_s)


def test_what_is_measured_is_the_demand(pictures: Pictures) -> None:
    seen = Seen()
    seen.tell("load:R1/A", p_kw=7.0)
    seen.tell("ups:UPS-A", p_kw=42.0)
    found = look(pictures, seen)
    assert found.demand_kw["rack:R1"] == pytest.approx(12.0)
    assert found.total_kw == pytest.approx(82.0)
    assert (found.failed, found.dark, found.estimated_part, found.notes) == ((), frozenset(), 0.0, ())


def test_a_cord_that_is_not_read_draws_what_it_drew_and_a_tenth(pictures: Pictures) -> None:
    seen = Seen()
    look(pictures, seen)
    seen.lose("load:R1/A", "p_kw", "fed")
    for k in range(3):  # it does not grow with every look
        found = look(pictures, seen, 5.0 + 5.0 * k)
        assert found.demand_kw["rack:R1"] == pytest.approx(5.0 + 5.5)
    assert found.estimated_part == pytest.approx(10.5 / 80.5)


def test_a_ups_that_delivers_more_says_what_blind_cords_draw(pictures: Pictures) -> None:
    seen = Seen()
    look(pictures, seen)
    seen.lose("load:R1/A", "p_kw")
    seen.tell("ups:UPS-A", p_kw=45.0)  # 35 kW are measured below it: R1/A draws 10
    found = look(pictures, seen, 5.0)
    assert found.demand_kw["rack:R1"] == pytest.approx(5.0 + 10.0)
    assert len(found.notes) == 1


def test_a_frozen_meter_cannot_hide_load(pictures: Pictures) -> None:
    seen = Seen()
    look(pictures, seen)
    seen.tell("load:R1/A", Quality.SUSPECT, p_kw=5.0)
    seen.tell("ups:UPS-A", p_kw=48.0)
    assert look(pictures, seen, 5.0).demand_kw["rack:R1"] == pytest.approx(5.0 + 13.0)


def test_a_limit_hides_the_demand_and_it_is_remembered(pictures: Pictures) -> None:
    seen = Seen()
    look(pictures, seen)
    seen.tell("rack:R8", limit_kw=0.0)
    for side in "AB":
        seen.tell(f"load:R8/{side}", p_kw=0.0)
        seen.tell(f"ups:UPS-{side}", p_kw=35.0)
    found = look(pictures, seen, 5.0)
    assert found.demand_kw["rack:R8"] == pytest.approx(10.0)
    assert dict(found.limits_kw) == {"rack:R8": 0.0}
    assert standing_of(pictures, found).unserved_kw == pytest.approx(10.0)
    seen.lose("rack:R8", "limit_kw")
    assert dict(look(pictures, seen, 10.0).limits_kw) == {"rack:R8": 0.0}
    seen.tell("rack:R8", limit_kw=None)
    assert dict(look(pictures, seen, 15.0).limits_kw) == {}


def test_a_lost_ups_leaves_the_other_cord_the_whole_load(pictures: Pictures) -> None:
    seen = Seen()
    look(pictures, seen)
    seen.tell("ups:UPS-A", mode="off", available=False, p_kw=0.0, p_in_kw=0.0)
    seen.tell("ups:UPS-B", p_kw=80.0, p_in_kw=83.0)
    for rack in RACKS:
        seen.tell(f"load:{rack}/A", p_kw=0.0, fed=False)
        seen.tell(f"load:{rack}/B", p_kw=10.0)
    found = look(pictures, seen, 5.0)
    assert found.failed == ("ups:UPS-A",)
    assert found.total_kw == pytest.approx(80.0)
    assert standing_of(pictures, found).unserved_kw == pytest.approx(0.0)
    net = with_numbers(pictures.base, found.numbers)
    cords = net.load[net.load["name"].str.startswith("R")]
    assert cords.p_mw.sum() == pytest.approx(0.080)  # shares stand in the tables; who lives carries all
    for name in ("available", "mode"):
        seen.lose("ups:UPS-A", name)
    assert look(pictures, seen, 10.0).failed == ("ups:UPS-A",)  # until it is seen to be another way


def test_what_is_out_of_sight_for_long_is_not_counted_on(pictures: Pictures) -> None:
    seen = Seen()
    seen.tell("switch:QT", closed=False, available=True)
    assert "switch:QT" not in look(pictures, seen, 0.0).unknown
    seen.lose("switch:QT", "closed", "available")
    assert "switch:QT" not in look(pictures, seen, 10.0).unknown
    found = look(pictures, seen, 20.0)
    assert "switch:QT" in found.unknown
    assert "switch:QT@stuck_open" in out_of_count(pictures, found, frozenset())


def test_the_fingerprint_is_of_the_state_and_not_of_the_loads(pictures: Pictures) -> None:
    seen = Seen()
    seen.tell("switch:QT", closed=False)
    first = look(pictures, seen).fingerprint
    seen.tell("load:R1/A", p_kw=6.0)
    assert look(pictures, seen).fingerprint == first
    seen.tell("switch:QT", closed=True)
    assert look(pictures, seen).fingerprint != first
