"""What each failure does to the places: which lose voltage, which component then carries what.

A failure is looked at twice: once the plant's own devices have acted, and, where a UPS then runs on a battery that no
command can charge again (no surviving way to its input), once that battery is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, living_cords
from pdnopt.response import Response, draw_kw, respond, settle
from pdnopt.response.supply import Supply, reachable, supply

__all__ = ["NORMAL", "Effect", "lasting_state", "read_effects"]

NORMAL = "no failure"


@dataclass(frozen=True)
class Effect:
    """One state that the plant is in by itself.

    Attributes
    ----------
    name : str
        The contingency.
    lasting : bool
        True for what is left once batteries that nothing charges are empty.
    living, dark, unservable : bool, shape (B,)
        Buses with voltage; those that lose it for longer than a power supply holds up; those without a surviving path.
    old_kw : float, shape (cords,)
        What the cords of the racks that are there already draw.
    """

    name: str
    lasting: bool
    grid: Grid
    state: State
    supply: Supply
    living: np.ndarray
    dark: np.ndarray
    unservable: np.ndarray
    old_kw: np.ndarray


def read_effects(
    net: Any, grid: Grid, demand: Demand, nodes: np.ndarray, contingencies: Sequence[str], holdup_s: float
) -> list[Effect]:
    """Return the network as given, then what each contingency leaves; the first of equal ones stands for all.

    Parameters
    ----------
    demand : Demand
        The racks that are there already.
    nodes : int, shape (B,)
        Where new racks could hang.
    """
    probed, mine = _with_probes(demand, nodes)
    start = initial_state(grid, probed)
    now = supply(grid, start)
    as_given = living_cords(probed, start, now.energised)
    none = np.zeros(len(nodes), dtype=bool)
    old = draw_kw(probed, start, as_given, as_given)[~mine]
    found = [Effect(NORMAL, False, grid, start, now, as_given[mine], ~as_given[mine], none, old)]
    for name in contingencies:
        response = respond(grid, probed, parse_failed(net, [name]))
        units = slice(demand.n, None)
        found.append(
            Effect(
                name=name,
                lasting=False,
                grid=response.grid,
                state=response.state,
                supply=supply(response.grid, response.state),
                living=response.living[mine],
                dark=response.dark_s[units] > holdup_s + 1e-9,
                unservable=response.unservable[units],
                old_kw=response.draw_kw[~mine],
            )
        )
        later = lasting_state(response)
        if later is not None:
            after = supply(response.grid, later)
            living = living_cords(probed, later, after.energised)
            found.append(
                replace(
                    found[-1],
                    lasting=True,
                    state=later,
                    supply=after,
                    living=living[mine],
                    dark=~living[mine] | found[-1].dark,
                    old_kw=draw_kw(probed, later, living, response.living_as_given)[~mine],
                )
            )
    return found


def lasting_state(response: Response) -> State | None:
    """Return where devices rest once the batteries are empty that no command can charge again; None if there are none.

    A UPS whose input has a surviving way to a feed or a genset is taken to be fed again while its battery lasts.
    """
    grid, state = response.grid, response.state
    if not (state.ups_mode == "battery").any():
        return None
    drained = replace(grid, upss=replace(grid.upss, e_kwh=np.zeros(len(grid.upss.index))))
    hopeless = ~reachable(drained, state)[grid.upss.in_node]
    begun = state
    for _ in range(len(grid.upss.index)):
        empty = (state.ups_mode == "battery") & hopeless
        if not empty.any():
            break
        state = settle(response, state.but(ups_mode=np.where(empty, "off", state.ups_mode).astype(object)))
    return None if state is begun else state


def _with_probes(demand: Demand, nodes: np.ndarray) -> tuple[Demand, np.ndarray]:
    """Return the demand with a unit of one cord and no power at each node, and which cords these are."""
    n = len(nodes)
    names = [f"place {k}" for k in range(n)]
    probe: dict[str, Any] = {
        "name": names,
        "priority": np.ones(n, dtype=int),
        "holdup_s": np.full(n, inf),
        "cord_unit": demand.n + np.arange(n),
        "cord_node": nodes,
        "cord_share": np.ones(n),
        "cord_max_kw": np.full(n, inf),
        "cord_breaker_kva": np.full(n, inf),
        "cord_table": np.full(n, "load", dtype=object),
        "cord_row": np.full(n, -1),
        "cord_name": names,
    }
    flags = ("sheddable", "cord_ok")
    joined: dict[str, Any] = {}
    for field in fields(Demand):
        old = getattr(demand, field.name)
        new = probe.get(field.name, np.ones(n, dtype=bool) if field.name in flags else np.zeros(n))
        joined[field.name] = old + new if isinstance(old, list) else np.concatenate([old, new])
    return Demand(**joined), np.arange(len(demand.cord_unit) + n) >= len(demand.cord_unit)
