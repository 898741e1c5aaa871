"""The emulated plant and `pdnopt.response` were written apart: they must agree on what devices do and on what trips when.

`respond` and `cascade` know no restart of racks and no recharging, so both are off here. The clocks of `cascade` begin when
the automatic devices have come to rest, those of the plant when the overload begins, and the plant's protection needs one
cycle to see it: times may differ by that much, and by what follows from it. Beyond the end of its curve a component trips at
once, and which of several is first is a matter of milliseconds: the comparison ends there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import pdnopt
from cases.hall import with_load
from pdnopt.candidates import contingencies
from pdnopt.emulator import EmulatedPlant
from pdnopt.plant.demand import read_demand
from pdnopt.plant.failures import FORMS, parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.response import cascade, respond

HOURS_S = 6 * 3600.0
PICKUP_S = 0.02
END_OF_CURVES = 140.0
RUNS_OUT = ("trips", "goes to bypass", "goes off", "battery empty", "fuel empty", "has no power flow")
CASES = (
    ("two_feed", None, 4),
    ("hall_2n", 0.9, 60),
    ("hall_3n2", None, 90),
    ("hall_4n3", 0.9, 80),
    ("hall_catcher", 0.9, 110),
    ("ring_bus", None, 130),
    ("micro_ats_row", None, 70),
    ("mim_pod", None, 50),
    ("node_mesh", None, 150),
)


def prepared(name: str, level: float | None) -> Any:
    net = pdnopt.load_case(name)
    if level is not None:
        net = with_load(net, level)
    for table in ("load", "asymmetric_load"):
        net[table]["restart_s"] = 0.0
    net.ups["p_charge_max_mw"] = 0.0
    net.ups["p_charge_mw"] = 0.0
    return net


def all_failures(net: Any) -> list[str]:
    plain = contingencies(net)
    milder = [
        f"{name}@{form}"
        for name in plain
        for form in FORMS.get(name.partition(":")[0], ())
        if form != "failed"
    ]
    return plain + milder


def compare(net: Any, name: str, grid: Any, demand: Any) -> None:
    """Raise AssertionError where the two differ."""
    response = respond(grid, demand, parse_failed(net, [name]))
    rest_s = max((item.t_s for item in response.automatic), default=0.0)
    events = cascade(net, response.grid, demand, response, horizon_s=HOURS_S)
    plant = EmulatedPlant(net)
    plant.fail(name)
    first = min((item.t_s for item in events), default=np.inf)
    plant.advance(rest_s + 1e-6)
    if first > rest_s + PICKUP_S:
        s = plant.world.s
        assert (s.closed == response.state.closed).all(), name
        assert (s.mode == response.state.ups_mode).all(), name
        assert (s.st_forming == response.state.storage_on).all(), name
    plant.advance(HOURS_S)
    beyond = [item.t_s for item in events if percent_of(item.reason) > END_OF_CURVES]
    until_s = min(beyond, default=np.inf) - len(events) * (rest_s + PICKUP_S)
    mine = sorted(
        (item.component, item.what.removeprefix("overloaded, "), item.t_s)
        for item in plant.ledger.happenings
        if item.t_s < until_s
        and (
            item.what in ("trips", "battery empty", "fuel empty", "has no power flow")
            or "overloaded" in item.what
        )
    )
    theirs = sorted(
        (item.component, item.what, item.t_s)
        for item in events
        if item.t_s < until_s
        and item.what in RUNS_OUT
        and (item.what not in ("goes to bypass", "goes off") or "too long" in item.reason)
    )
    assert [item[:2] for item in mine] == [item[:2] for item in theirs], name
    for a, b in zip(mine, theirs, strict=True):
        assert a[2] == pytest.approx(b[2], rel=1e-3, abs=len(events) * (rest_s + PICKUP_S) + 1e-6), name


def percent_of(reason: str) -> float:
    found = re.match(r"(\d+) % of its limit", reason)
    return float(found.group(1)) if found else 0.0


def run(case: str, level: float | None, step: int) -> None:
    net = prepared(case, level)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    for name in all_failures(net)[::step]:
        compare(net, name, grid, demand)


@pytest.mark.parametrize(("case", "level", "step"), CASES, ids=[case for case, _, _ in CASES])
def test_same_devices_same_trips(case: str, level: float | None, step: int) -> None:
    run(case, level, step)


@pytest.mark.soak
@pytest.mark.parametrize("case", [case for case, _, _ in CASES])
@pytest.mark.parametrize("level", [None, 0.9])
def test_same_devices_same_trips_everywhere(case: str, level: float | None) -> None:
    if level is not None and not case.startswith("hall"):
        pytest.skip("levels are those of halls")
    run(case, level, 1)
