"""What a failure leaves behind once the plant's own devices have acted: the state a plan starts from.

The question an operator asks: *after the first milliseconds, what is dark, what runs on battery, and which
racks have already gone down?*
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand, cord_draw_kw, read_demand, with_load_kw
from pdnopt.plant.failures import Outage, parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.memory import Memory
from pdnopt.plant.state import Islands, State, fed_units, initial_state, islands, living_cords
from pdnopt.response.devices import Devices, Moment, joined_sources, positions_held
from pdnopt.response.faults import strike
from pdnopt.response.supply import reachable, supply
from pdnopt.units import DEFAULT_HORIZON_S

__all__ = ["Response", "draw_kw", "respond", "respond_network", "settle"]

KEPT_RESTS = 1024


@dataclass(frozen=True)
class Response:
    """What the devices have done, and what it means for the load.

    Attributes
    ----------
    grid : Grid
        With derated UPSs.
    before, state : State
        As given; after all automatic devices.
    automatic : tuple of Action
        Step 0, ordered by ``t_s``; carried out on ``before`` (with what failed) they give ``state``.
    islands : Islands
        Of ``state``.
    living, living_as_given : bool, shape (cords,)
        Cords with voltage and a working power supply, after, and in the network as given.
    draw_kw : float, shape (cords,)
        What each cord draws after, capped and shed units included.
    dark_s : float, shape (D,)
        Longest time without voltage; inf for a unit that does not come back by itself.
    interrupted : bool, shape (D,)
        Dark longer than its hold-up (rule 3).
    unservable : bool, shape (D,)
        No surviving path, or failed itself (rule 2).
    conflicts : tuple of str
        Islands in which sources run in parallel that must not.
    barred : bool, shape (S,)
        Switches that the failure locked.
    """

    grid: Grid
    before: State
    state: State
    automatic: tuple[Action, ...]
    islands: Islands
    living: np.ndarray
    living_as_given: np.ndarray
    draw_kw: np.ndarray
    dark_s: np.ndarray
    interrupted: np.ndarray
    unservable: np.ndarray
    conflicts: tuple[str, ...]
    barred: np.ndarray

    @cached_property
    def memory(self) -> Memory:
        """Where devices come to rest after this failure, by what they were found in."""
        return Memory(KEPT_RESTS)


def draw_kw(demand: Demand, state: State, living: np.ndarray, living_as_given: np.ndarray) -> np.ndarray:
    """Return what each cord draws, shape (cords,), kW: shared among living cords, times what is served."""
    full_kw = cord_draw_kw(demand, living, living_as_given)
    return np.asarray(full_kw * state.served[demand.cord_unit])


def respond(
    grid: Grid,
    demand: Demand,
    outages: Sequence[Outage],
    state: State | None = None,
    horizon_s: float = DEFAULT_HORIZON_S,
) -> Response:
    """Let protection and automatic devices answer a failure, until nothing moves any more.

    Parameters
    ----------
    outages : sequence of Outage
        From `plant.failures.parse_failed`.
    state : State, optional
        How the plant is switched now; default: as the network is given.
    horizon_s : float
        Automatic moves that end later are not followed.
    """
    given = _with_forming(grid, initial_state(grid, demand))
    before = given if state is None else _with_forming(grid, state)
    living_as_given = living_cords(demand, given, supply(grid, given).energised)
    hit = strike(grid, demand, before, outages)
    devices = _devices(hit.grid, hit.barred)
    devices.on_return |= (hit.state.ups_mode == "battery") & (before.ups_mode != "battery")
    moments = devices.run(hit.state, positions_held(grid, before), horizon_s=horizon_s)
    after, energised = moments[-1].state, moments[-1].supply.energised
    living = living_cords(demand, after, energised)
    dark_s = longest_dark_s(demand, moments)
    reach = living_cords(demand, after, reachable(hit.grid, after))
    return Response(
        grid=hit.grid,
        before=before,
        state=after,
        automatic=(*hit.trips, *devices.actions),
        islands=islands(hit.grid, after),
        living=living,
        living_as_given=living_as_given,
        draw_kw=draw_kw(demand, after, living, living_as_given),
        dark_s=dark_s,
        interrupted=dark_s > demand.holdup_s + 1e-9,
        unservable=~after.unit_ok | (demand.sum_by_unit((reach | living).astype(float)) == 0),
        conflicts=joined_sources(hit.grid, after),
        barred=hit.barred,
    )


def respond_network(net: Any, failed: Iterable[str] | str | None = None, p_load_kw: Any = None) -> Response:
    """Read a network and let it respond to ``failed=[...]``; see `respond`."""
    grid = read_grid(net)
    demand = read_demand(net, grid)
    if p_load_kw is not None:
        demand = with_load_kw(demand, p_load_kw)
    return respond(grid, demand, parse_failed(net, failed))


def settle(response: Response, state: State) -> State:
    """Return ``state`` after the plant's own devices have reacted to it, for instance to a command.

    A UPS on battery goes back online when its input returns, an automatic transfer leaves a dead position,
    a battery holds an island that lost its source.
    """
    rest = response.memory.recall((state.position, state.fitness), lambda: _at_rest(response, state))
    if rest.position == state.position:
        return state
    return state.but(closed=rest.closed, ups_mode=rest.ups_mode, storage_on=rest.storage_on)


def _at_rest(response: Response, state: State) -> State:
    """Return the state in which the devices come to rest; they move switches, UPS modes and forming batteries only."""
    devices = _devices(response.grid, response.barred)
    devices.on_return |= state.ups_mode == "battery"
    held = positions_held(response.grid, state)
    given = positions_held(response.grid, response.before)
    orphan = (held < 0) & (given >= 0) & (positions_held(response.grid, response.state) < 0)
    orphan[orphan] = response.barred[
        given[orphan]
    ]  # its position failed: it moves as soon as another one lives
    return devices.run(state, np.where(orphan, given, held))[-1].state


def longest_dark_s(demand: Demand, moments: Sequence[Moment]) -> np.ndarray:
    """Return each unit's longest time in s without voltage, shape (D,); inf if it ends dark."""
    since = np.full(demand.n, np.nan)
    longest = np.zeros(demand.n)
    for moment in moments:
        lives = fed_units(demand, moment.state, moment.supply.energised)
        back = lives & ~np.isnan(since)
        longest[back] = np.maximum(longest[back], moment.t_s - since[back])
        since = np.where(lives, np.nan, np.where(np.isnan(since), moment.t_s, since))
    return np.where(np.isnan(since), longest, inf)


def _with_forming(grid: Grid, state: State) -> State:
    """Return the state with grid-forming batteries on where an island has no other source (PLANT.md)."""
    devices = _devices(grid, np.zeros(len(grid.switches.index), dtype=bool))
    return devices.forming(state, supply(grid, state), 0.0) or state


def _devices(grid: Grid, barred: np.ndarray) -> Devices:
    return Devices(
        grid,
        barred,
        battery_ok=grid.upss.e_kwh > 0,
        on_return=np.zeros(len(grid.upss.index), dtype=bool),
        storage_energy=grid.storages.e_usable_kwh > 0,
    )
