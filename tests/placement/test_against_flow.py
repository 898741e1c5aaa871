"""Placed racks looked at by others: pandapower on states switched by hand, and reroute with the independent checker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pdnopt
from cases.deployments import deployments, pdus, vacated
from cases.hall import hall
from tests.placement.small_hall import AT_ONCE, FOR_GOOD, empty_room, floors, random_racks

CLOSE_PERCENT = 0.02


@pytest.fixture(scope="module")
def filled() -> tuple[pd.DataFrame, pdnopt.Placement, Any]:
    net, panels = empty_room()
    racks = random_racks(3, 14, 10.0, 60.0)
    found = pdnopt.place(net, racks, places=panels, time_limit_s=1.0)
    return racks, found, found.apply(net)


def _without(net: Any, ups: str, served: pd.Series) -> Any:
    """Return pandapower's own flow without a UPS: every rack on its living cord, times what is served of it."""
    from copy import deepcopy

    out = deepcopy(net)
    out.ups.loc[out.ups["name"] == f"UPS-{ups}", "mode"] = "off"
    rack = out.load["rack"].fillna("").astype(str)
    mine = rack != ""
    letter = out.bus["name"].reindex(out.load["bus"]).str.removeprefix("PDU-").str[0].to_numpy()
    dead = mine & (letter == ups)
    for column in ("p_mw", "q_mvar"):
        whole = out.load[mine].groupby("rack")[column].sum()
        living = (mine & ~dead).groupby(rack).sum()
        each = rack.map(whole) / rack.map(living) * rack.map(served)
        out.load.loc[mine, column] = np.where(dead, 0.0, each)[mine]
    return pdnopt.powerflow(out, engine="pandapower")


def test_pandapower_finds_every_ups_within_what_its_curve_allows(filled: Any) -> None:
    racks, found, net = filled
    assert found.verified
    assert found.refused  # the room is full: otherwise the test would say little
    full = pd.Series(1.0, index=racks["name"])
    floor = pd.Series(floors(racks) / racks["p_kw"].to_numpy(), index=racks["name"])
    calm = pdnopt.powerflow(net, engine="pandapower")
    assert calm.res_ups["loading_percent"].max() <= 100.0 + CLOSE_PERCENT
    highest = 0.0
    for ups in "ABCD":
        others = (net.ups["name"] != f"UPS-{ups}").to_numpy()
        at_once = _without(net, ups, full).res_ups["loading_percent"][others].max()
        held = _without(net, ups, floor).res_ups["loading_percent"][others].max()
        assert at_once <= 100.0 * AT_ONCE + CLOSE_PERCENT
        assert held <= 100.0 * FOR_GOOD + CLOSE_PERCENT
        highest = max(highest, at_once)
        rows = found.margins().query("contingency == @name", local_dict={"name": f"ups:UPS-{ups}"})
        told = rows.set_index("moment")["use_percent"]
        assert told["at once"] >= at_once / AT_ONCE - CLOSE_PERCENT
    assert highest > 100.0  # some failure does overload a UPS for its ten seconds


def test_reroute_and_the_checker_serve_everybody_who_must_run() -> None:
    net = vacated(hall("4N/3", 1.2, 60))
    racks = deployments(1.1 * 1200.0, 5, grouped=False)
    found = pdnopt.place(net, racks, places=pdus(net))
    after = found.apply(net)
    assert found.verified
    for ups in "AC":
        result = pdnopt.solve(
            after, "reroute", failed=[f"ups:UPS-{ups}"], horizon_s=10_800.0, time_limit_s=5.0, explain=False
        )
        assert result.ok
        must = racks[~racks["redundant"]]
        assert set(result.plan.to_frame().query("action == 'shed'")["device"]) <= {
            f"rack:{name}" for name in racks[racks["redundant"]]["name"]
        }
        fixed = must[must["min_p_kw"].isna()]["name"]
        cut = {a.device for a in result.plan.actions if a.action == "cap"}
        assert not cut & {f"rack:{name}" for name in fixed}


def test_the_model_loads_each_ups_as_ac_power_flow_does_but_for_losses(filled: Any) -> None:
    from pdnopt.placement.effects import read_effects
    from pdnopt.placement.places import read_places
    from pdnopt.placement.room import AT_ONCE as MOMENT
    from pdnopt.placement.room import Policy, read_room
    from pdnopt.placement.verification import Verifier
    from pdnopt.plant.demand import read_demand
    from pdnopt.plant.grid import read_grid

    _, _, net = filled
    grid = read_grid(net)
    demand = read_demand(net, grid)
    places = read_places(net, grid, demand, None)
    policy = Policy(10.0, 10_800.0, 60.0, (), 0.99)
    names = [f"ups:UPS-{letter}" for letter in "ABCD"]
    room = read_room(
        net, grid, demand, places, read_effects(net, grid, demand, places.node, names, 0.02), policy
    )
    verdict = Verifier(net, policy, [], []).judge(names)
    compared = 0
    for name in names:
        rows = (room.component == name) & (room.moment == MOMENT)
        if rows.any():
            by_model = (1.0 - room.free[rows]).max()
            by_ac = verdict.by_component[MOMENT, verdict.component.index(name)]
            assert by_model <= by_ac + 1e-4  # without losses: never more
            assert by_model >= 0.985 * by_ac
            compared += 1
    assert compared == 4
