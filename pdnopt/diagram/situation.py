"""What a drawing shows: the plant as the failure left it, and after the plan; what lives, from which source, how loaded.

One batch of the AC power flow serves both moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.endstate import replay
from pdnopt.errors import InputError, PowerFlowError
from pdnopt.plan import Plan
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.state import State, islands, living_cords
from pdnopt.response import Response, draw_kw, flow_case, loadings, respond

__all__ = ["Feed", "Moment", "Situation", "read_situation"]


@dataclass(frozen=True)
class Feed:
    """Where power comes from: a utility feed, a genset, a battery. ``kind`` is "utility", "genset" or "battery"."""

    name: str
    kind: str


@dataclass(frozen=True)
class Moment:
    """The plant at one moment.

    Attributes
    ----------
    title : str
    state : State
    feed : int, shape (N,)
        Position in ``Situation.feeds`` of what feeds each node, -1 without voltage.
    percent : dict
        Loading in percent of the limit, by component name; empty where there is no power flow.
    cord_live : bool, shape (cords,)
    cord_kw : float, shape (cords,)
        What each cord draws.
    served_kw : float, shape (D,)
    moved : frozenset of str
        Devices that stand otherwise than in the moment before (as given, for the first).
    """

    title: str
    state: State
    feed: np.ndarray
    percent: Mapping[str, float]
    cord_live: np.ndarray
    cord_kw: np.ndarray
    served_kw: np.ndarray
    moved: frozenset[str]


@dataclass(frozen=True)
class Situation:
    """A plant, a failure and a plan: two moments on one grid.

    Attributes
    ----------
    failed : frozenset of str
        Names of the components that failed, without their form.
    remark : str
        What could not be found, in words; "" for nothing.
    backing : dict
        Where a transfer device goes first when what it stands on dies, by the device's name; empty where nobody asked.
    """

    net: Any
    grid: Grid
    demand: Demand
    feeds: tuple[Feed, ...]
    given: Moment
    moments: tuple[Moment, Moment]
    failed: frozenset[str]
    remark: str
    backing: Mapping[str, str]


def read_situation(net: Any, plan: Plan, backing: Mapping[str, str] | None = None) -> Situation:
    """Return what a plan's failure left behind on a network, and what the plan makes of it.

    Parameters
    ----------
    net : pandapowerNet
        The network that was solved. Never changed.
    plan : Plan
    backing : mapping of str to str, optional
        See `Situation`.

    Raises
    ------
    InputError, PlanError
        The plan names what this network does not have.
    """
    import pandas as pd

    grid = read_grid(net)
    loads = {table: pd.Series(dict(rows), dtype=float) for table, rows in plan.loads_kw.items() if rows}
    demand = with_load_kw(read_demand(net, grid), loads.get("load"), loads.get("asymmetric_load"))
    outages = parse_failed(net, plan.failed)
    response = respond(grid, demand, outages)
    after = replay(response, demand, plan)
    states = (response.before, response.state, after)
    percents, remark = _percents(net, response.grid, demand, states[1:])
    feeds = _feeds(grid)
    titles = ("As given", "As the failure left it" if plan.failed else "As given", "After the plan")
    moved = (
        frozenset[str](),
        _moved(grid, states[0], states[1]),
        _moved(grid, states[1], states[2]),
    )
    moments = [
        _moment(titles[k], response, demand, states[k], percents[k - 1] if k else {}, moved[k])
        for k in range(3)
    ]
    return Situation(
        net=net,
        grid=response.grid,
        demand=demand,
        feeds=feeds,
        given=moments[0],
        moments=(moments[1], moments[2]),
        failed=frozenset(name.partition("@")[0] for name in plan.failed),
        remark=remark,
        backing=backing or {},
    )


def _percents(
    net: Any, grid: Grid, demand: Demand, states: tuple[State, ...]
) -> tuple[list[dict[str, float]], str]:
    """Return the loading of every rated component in each state, from one batch, and what could not be found."""
    none: list[dict[str, float]] = [{} for _ in states]
    try:
        flow = FlowEngine(net).run(flow_case(net, grid, demand, states))
    except (InputError, PowerFlowError) as error:
        return none, f"No AC power flow: {str(error).splitlines()[0]}"
    out = []
    for k, state in enumerate(states):
        found = loadings(net, grid, flow, state, k)
        pairs = zip(found.name, found.ratio, strict=True)
        out.append({n: 100.0 * float(r) for n, r in pairs} if bool(flow.converged[k]) else {})
    names = ("as the failure left it", "after the plan")
    remarks = [
        f"No AC power flow of the network {name}: it did not converge."
        for name, ok in zip(names, flow.converged, strict=True)
        if not ok
    ]
    return out, " ".join(remarks)


def _feeds(grid: Grid) -> tuple[Feed, ...]:
    """Return utility feeds and gensets in table order, and last "battery", which stands for all of them."""
    kinds = ("genset" if kind == "genset" else "utility" for kind in grid.sources.kind)
    feeds = [Feed(name, kind) for name, kind in zip(grid.sources.name, kinds, strict=True)]
    return (*feeds, Feed("battery", "battery"))


def _moment(
    title: str,
    response: Response,
    demand: Demand,
    state: State,
    percent: Mapping[str, float],
    moved: frozenset[str],
) -> Moment:
    grid = response.grid
    feed = _feed_of_nodes(grid, state)
    live = living_cords(demand, state, feed >= 0)
    kw = draw_kw(demand, state, live, response.living_as_given)
    return Moment(title, state, feed, percent, live, kw, demand.sum_by_unit(kw), moved)


def _feed_of_nodes(grid: Grid, state: State) -> np.ndarray:
    """Follow every node back to a source, through the UPSs that are online; shape (N,), -1 without voltage."""
    isl = islands(grid, state)
    battery = len(grid.sources.index)
    of_island = np.full(int(isl.island.max(initial=0)) + 1, -1)
    waiting = []
    for (kind, k, _), island in zip(isl.roots, isl.root_island, strict=True):
        if kind == "source":
            of_island[island] = k
        elif kind == "storage" or state.ups_mode[k] == "battery":
            of_island[island] = battery if of_island[island] < 0 else of_island[island]
        else:
            waiting.append((int(island), int(isl.island[grid.upss.in_node[k]])))
    for _ in range(len(waiting)):  # UPSs behind UPSs settle in as many rounds as they are deep
        todo = [pair for pair in waiting if of_island[pair[0]] < 0 <= of_island[pair[1]]]
        if not todo:
            break
        for island, feeding in todo:
            of_island[island] = of_island[feeding]
    for island, _ in waiting:  # an inverter whose input is dead lives on its battery
        of_island[island] = battery if of_island[island] < 0 else of_island[island]
    return np.where(isl.energised, of_island[isl.island], -1)


def _moved(grid: Grid, before: State, after: State) -> frozenset[str]:
    """Return the names of devices that stand differently."""
    pairs = (
        (grid.switches.name, before.closed != after.closed),
        (grid.upss.name, before.ups_mode != after.ups_mode),
        (grid.sources.name, before.source_on != after.source_on),
        (grid.storages.name, before.storage_on != after.storage_on),
        (grid.storages.name, before.storage_kw != after.storage_kw),
    )
    return frozenset(names[k] for names, changed in pairs for k in np.flatnonzero(changed))
