"""Two controllers and one lease: never two leaders at once by their own belief, and tokens only rise."""

from pathlib import Path

import pytest

from pdnopt.control.lease import Lease, LeaseError


class HandClock:
    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return 1e9 + self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def pair(tmp_path: Path) -> tuple[Lease, HandClock, Lease, HandClock]:
    """The clocks have nothing to do with each other: one began long before."""
    north, south = HandClock(1e6), HandClock(3.0)
    return (
        Lease(tmp_path / "lease", "north", north),
        north,
        Lease(tmp_path / "lease", "south", south),
        south,
    )


def test_the_first_leads_and_the_second_waits(tmp_path: Path) -> None:
    north, _, south, clock = pair(tmp_path)
    assert north.renew()
    assert not south.renew()
    clock.now_s += 9.0
    north.renew()
    assert not south.renew()
    clock.now_s += 9.0
    assert not south.renew()
    assert (north.token, south.token) == (1, 0)
    north.close()
    south.close()


def test_a_leader_that_stands_still_loses_the_lease_and_knows_it(tmp_path: Path) -> None:
    north, north_clock, south, south_clock = pair(tmp_path)
    north.renew()
    south.renew()
    for clock in (north_clock, south_clock):
        clock.now_s += 10.0
    assert not north.leads  # before anybody has taken over
    assert south.renew()
    assert south.token == 2
    assert not north.renew()
    assert not north.leads
    south_clock.now_s += 4.0
    assert south.renew()
    assert south.token == 2  # a renewal is no change of leader
    north.close()
    south.close()


def test_whoever_comes_back_gets_a_higher_token(tmp_path: Path) -> None:
    north, _, south, clock = pair(tmp_path)
    tokens = []
    for _ in range(3):
        assert north.renew()
        tokens.append(north.token)
        north.give_up()
        clock.now_s += 0.1
        assert south.renew()
        tokens.append(south.token)
        south.give_up()
    assert tokens == [1, 2, 3, 4, 5, 6]
    north.close()
    south.close()


def test_a_name_that_restarts_leads_at_once_with_a_new_token(tmp_path: Path) -> None:
    north, _, south, _ = pair(tmp_path)
    north.renew()
    again = Lease(tmp_path / "lease", "north", HandClock())
    assert again.renew()
    assert again.token == 2
    assert not north.renew()  # the life before, if it still lives
    for lease in (north, south, again):
        lease.close()


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LeaseError, match="lease"):
        Lease(tmp_path / "missing" / "lease", "north", HandClock())
