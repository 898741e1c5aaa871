"""``place``: which new racks fit where, every single failure carried.

What the failures do to the places is read (`effects`), then what room they leave (`room`), then the racks are assigned and
verified (`search`); at the end stands who is refused, and why (`refusals`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.placement.breakers import cord_excess
from pdnopt.placement.effects import Effect, read_effects
from pdnopt.placement.heuristics import RULES
from pdnopt.placement.outcome import Placement
from pdnopt.placement.permissions import Permissions, read_permissions
from pdnopt.placement.places import Places, read_places
from pdnopt.placement.racks import NewRacks, read_racks
from pdnopt.placement.refusals import read_refusals
from pdnopt.placement.room import Policy, read_room
from pdnopt.placement.search import BATCH, Found, Search
from pdnopt.placement.verification import Finding
from pdnopt.plant.demand import CONTINUOUS_S, read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import read_grid
from pdnopt.plant.state import islands
from pdnopt.sweeps.components import contingencies as all_contingencies
from pdnopt.units import DEFAULT_HOLDUP_MS, KW_PER_MW, MS_PER_S

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["place"]


def place(
    net: Any,
    racks: pd.DataFrame,
    *,
    places: Sequence[Any] | None = None,
    contingencies: Sequence[str] | str | None = None,
    weights: Mapping[int, float] | None = None,
    online: bool = False,
    rule: str = "lookahead",
    shed_priorities: Sequence[int] = (),
    power_factor: float = 0.99,
    emergency_s: float = 10.0,
    hold_s: float = CONTINUOUS_S,
    refeed_s: float = 60.0,
    gap: float = 5e-3,
    time_limit_s: float = 10.0,
) -> Placement:
    """Find which new racks fit where, so that every single failure is carried.

    Carried means: without a failure nothing is beyond its rating; after one, once the plant's own devices have
    acted, every overload is one that the component's curve allows for ``emergency_s``; after the emergency actions
    (capping to the floor, shedding what is redundant) one that it allows for ``hold_s``; and no rack that must run loses
    its voltage, except with its own panel where no plan could feed it.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    racks : DataFrame
        One row a rack: ``name``, ``p_kw``, and optionally ``cords`` (1 or 2; default 2), ``priority`` (default 3),
        ``min_p_kw`` (power cap floor; NaN: cannot be capped), ``redundant`` (may be shed in an emergency; default
        False), ``breaker_a`` (of each cord; 80 % of it for good), ``deployment`` (racks of one
        deployment are placed all or none, on panels of the same UPSs).
    places : sequence, optional
        Buses (each a place for one cord, each pair for two), or tuples of buses (exactly these places), by name or
        index. Default: the buses and pairs of buses that racks hang on now.
    contingencies : sequence of str, optional
        What may fail, as for `pdnopt.sweep`; default all components but final rack circuits.
    weights : mapping of int to float, optional
        Value of a kW by priority; default 1 for each: most power.
    online : bool
        Place the items one at a time in the order of the table, by ``rule``: "lookahead", or as a baseline
        "round_robin", "first_fit" or "balanced".
    shed_priorities : sequence of int
        Racks of the network of these priorities may be shed; all may be capped.
    power_factor : float
        Of the new racks.
    emergency_s, hold_s, refeed_s : float
        Until racks are capped and shed; how long the state after that lasts (inf: the rating itself); until a UPS on
        battery has its input back where a way survives.
    gap : float
        Part of the load (that there is, and the bound of what is placed) within which the placement counts as proved
        optimal. The bound leaves out losses, which take about 0.3 % of a hall.
    time_limit_s : float
        Wall time of all searches together.

    Returns
    -------
    Placement

    Raises
    ------
    InputError
        Every fault of the table and of the arguments, all at once.
    """
    began = time.perf_counter()
    policy = Policy(emergency_s, hold_s, refeed_s, tuple(int(p) for p in shed_priorities), power_factor)
    new = _checked(net, racks, policy, weights, online, rule, gap, time_limit_s)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    where = read_places(net, grid, demand, places)
    if isinstance(contingencies, str) or contingencies is None:
        names = all_contingencies(net, contingencies)
    else:
        names = list(contingencies)
        parse_failed(net, names)
    effects = read_effects(net, grid, demand, where.node, names, DEFAULT_HOLDUP_MS / MS_PER_S)
    permitted = read_permissions(where, effects)
    stops = {
        int(cords): next(
            (why for j, why in enumerate(permitted.stops) if why and where.cords[j] == cords), ""
        )
        for cords in np.unique(where.cords)
    }
    usable = np.flatnonzero(permitted.allowed.any(axis=1))
    if len(usable):
        where, permitted = where.only(usable), permitted.only(usable)
    room = read_room(net, grid, demand, where, effects, policy)
    vn_kv = float(net.bus.loc[where.bus, "vn_kv"].min())
    too_small = cord_excess(new, vn_kv, policy)
    barred = new.sum_by_item(np.array([bool(text) for text in too_small], dtype=float)) > 0
    search = Search(net, new, where, permitted.allowed, room, policy, names, dict(weights or {}), barred)
    read_s = time.perf_counter() - began
    rule = rule if online else BATCH
    found = search.run(rule, gap, began + time_limit_s)
    existing_kw = float(demand.d_kw.sum())
    proved = found.value_bound - found.value <= gap * (existing_kw + found.value_bound) + 1e-9
    timings = {"read_s": read_s, **search.timings, "total_s": time.perf_counter() - began}
    ups_kw = float((net.ups["p_rated_mw"] * net.ups["in_service"]).sum()) * KW_PER_MW if "ups" in net else 0.0
    return Placement(
        network=str(getattr(net, "name", "") or ""),
        status="failed" if found.faults else ("optimal" if proved else "feasible"),
        rule=rule,
        racks=new,
        buses=search.buses_of(found.filling),
        refused=read_refusals(found.filling, where, search.classes, permitted, stops, too_small),
        installed_kw=ups_kw,
        existing_kw=existing_kw,
        fed_by=_fed_by(effects[0], where),
        verdict=found.verdict,
        bound_kw=found.bound_kw,
        value=found.value,
        value_bound=found.value_bound,
        rounds=found.rounds,
        power_factor=power_factor,
        timings=timings,
        **_of_racks(new, where, permitted, found),
    )


def _fed_by(normal: Effect, places: Places) -> dict[str, str]:
    """Return the source of each bus without a failure; "" for a bus without voltage."""
    grid, live = normal.grid, islands(normal.grid, normal.state)
    names = {"source": grid.sources.name, "ups": grid.upss.name, "storage": grid.storages.name}
    out = {}
    for bus, node in zip(places.bus_name, places.node, strict=True):
        roots = [names[live.roots[k][0]][live.roots[k][1]] for k in live.roots_of(int(node))]
        out[bus] = " and ".join(roots)
    return out


def _of_racks(racks: NewRacks, places: Places, permitted: Permissions, found: Found) -> dict[str, Any]:
    """Return what a Placement says of its racks, and of the findings that are left."""
    put = np.flatnonzero(found.filling.place >= 0)
    at = found.filling.place[put]
    ours = set(found.faults)
    others = [finding for finding in found.verdict.findings if finding not in ours]
    return {
        "placed": {racks.name[k]: places.name_of(int(j)) for k, j in zip(put, at, strict=True)},
        "asked_kw": float(racks.p_kw.sum()),
        "placed_kw": float(racks.p_kw[put].sum()),
        "exposed": {
            racks.name[k]: permitted.exposed[j] for k, j in zip(put, at, strict=True) if permitted.exposed[j]
        },
        "already_over": tuple(str(finding) for finding in others),
        "issues": tuple(_issue(finding) for finding in found.faults),
    }


def _issue(finding: Finding) -> Issue:
    kind = "Dark" if finding.component.startswith("rack:") else "Overload"
    todo = "Place less, or give the search more time."
    return Issue(kind, f"after {finding.contingency}", finding.component, str(finding), "at most 100 %", todo)


def _checked(
    net: Any,
    racks: pd.DataFrame,
    policy: Policy,
    weights: Mapping[int, float] | None,
    online: bool,
    rule: str,
    gap: float,
    time_limit_s: float,
) -> NewRacks:
    """Return the racks. Raises InputError with every fault of the table and of the arguments."""
    issues: list[Issue] = []

    def need(good: bool, path: str, value: Any, allowed: str) -> None:
        if not good:
            issues.append(Issue("Range", path, "", value, allowed, "Correct the argument."))

    need(0 < policy.power_factor <= 1, "power_factor", policy.power_factor, "above 0, up to 1")
    need(policy.emergency_s >= 0, "emergency_s", policy.emergency_s, "0 s or more")
    need(policy.hold_s > 0, "hold_s", policy.hold_s, "more than 0 s (inf: for good)")
    need(policy.refeed_s > 0, "refeed_s", policy.refeed_s, "more than 0 s")
    need(gap >= 0, "gap", gap, "0 or more")
    need(time_limit_s > 0, "time_limit_s", time_limit_s, "more than 0 s")
    need(rule in RULES, "rule", rule, f"one of {', '.join(RULES)}")
    for priority, weight in (weights or {}).items():
        need(isfinite(weight) and weight > 0, f"weights[{priority}]", weight, "a finite number above 0")
    try:
        new = read_racks(net, racks)
    except InputError as error:
        raise InputError([*error.issues, *issues]) from None
    if issues:
        raise InputError(issues)
    return new
