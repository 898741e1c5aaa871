"""How the plant stands: who is not served, what is overloaded, what cannot be counted on - from one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pdnopt.control.beliefs import Beliefs
from pdnopt.control.picture import Picture, Pictures
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.units import DEFAULT_LATENCY_S

__all__ = ["Standing", "out_of_count", "overloaded", "pinned_numbers", "standing_of", "stay_plan", "worse"]

SAME_KW, WORTH_PART = 0.5, 0.005
OVER = 1.005
"""What a meter of class 0.5 may show at the rating."""


@dataclass(frozen=True)
class Standing:
    """Load that is not served, kW, by priority."""

    unserved_by_priority: Mapping[int, float]

    @property
    def unserved_kw(self) -> float:
        """Return the sum."""
        return float(sum(self.unserved_by_priority.values()))


def standing_of(pictures: Pictures, picture: Picture) -> Standing:
    """Return what is not served: units without voltage, and what limits keep from the others."""
    d = pictures.demand
    lacking: dict[int, float] = {}
    for k, name in enumerate(d.name):
        wants = picture.demand_kw[name]
        gets = 0.0 if name in picture.dark else min(picture.limits_kw.get(name, wants), wants)
        lacking[int(d.priority[k])] = lacking.get(int(d.priority[k]), 0.0) + wants - gets
    return Standing(lacking)


def worse(one: Mapping[int, float], other: Mapping[int, float], demand_kw: float = 0.0) -> bool:
    """Return whether ``one`` leaves so much more unserved than ``other`` that moving racks is worth it.

    The most critical priority first. What counts is more than ``SAME_KW`` of it; of the others also more than
    ``WORTH_PART`` of the whole demand: for less no rack is capped in place of another.
    """
    for priority in sorted({*one, *other}):
        difference = one.get(priority, 0.0) - other.get(priority, 0.0)
        if abs(difference) > (SAME_KW if priority <= 1 else max(SAME_KW, WORTH_PART * demand_kw)):
            return difference > 0
    return False


def stay_plan(picture: Picture, failed: tuple[str, ...]) -> Plan:
    """Return the plan that does nothing: the limits that stand, and nothing else."""
    actions = tuple(
        Action(
            1,
            DEFAULT_LATENCY_S,
            device,
            "shed" if limit <= 0 else "cap",
            picture.demand_kw.get(device, 0.0),
            limit,
            "stands",
        )
        for device, limit in sorted(picture.limits_kw.items())
        if limit < picture.demand_kw.get(device, 0.0)
    )
    return Plan("reroute", failed, (), actions)


def overloaded(pictures: Pictures, seen: Beliefs) -> tuple[str, ...]:
    """Return the components whose own meters say that they are over their rating."""
    found = []
    upss = pictures.grid.upss
    for k, name in enumerate(upss.name):
        p_kw, q_kvar = (float(seen.value(name, quantity, 0.0)) for quantity in ("p_kw", "q_kvar"))
        if max(p_kw / float(upss.p_rated_kw[k]), np.hypot(p_kw, q_kvar) / float(upss.s_rated_kva[k])) > OVER:
            found.append(name)
    for table in ("line", "trafo"):
        for name in pictures.names(table):
            if float(seen.value(name, "loading_percent", 0.0)) > 100.0 * OVER:
                found.append(name)
    return tuple(found)


def out_of_count(pictures: Pictures, picture: Picture, distrusted: frozenset[str]) -> tuple[str, ...]:
    """Return what a plan may not count on: what has failed, and what does not say or do as it should, as it stands now."""
    found = list(picture.failed)
    base = {name.partition("@")[0] for name in found}
    for device in sorted((picture.unknown | distrusted) - base):
        table = device.partition(":")[0]
        if table == "switch":
            found.append(f"{device}@stuck_{'closed' if pictures.is_closed(device) else 'open'}")
        elif table == "transfer":
            found.append(f"{device}@stuck" if pictures.position(device) else device)
    return tuple(sorted(found))


def pinned_numbers(pictures: Pictures, picture: Picture, units: frozenset[str]) -> Picture:
    """Return the picture with units that do not do as they are told neither to be shed nor capped."""
    d = pictures.demand
    mine = np.isin(d.cord_unit, [k for k, name in enumerate(d.name) if name in units])
    if not mine.any():
        return picture
    numbers = {table: dict(columns) for table, columns in picture.numbers.items()}
    for table, power in (("load", "p_mw"), ("asymmetric_load", None)):
        rows = d.cord_row[mine & (d.cord_table == table)]
        if not len(rows):
            continue
        frame = pictures.base[table]
        at = frame.index.get_indexer(rows)
        sheddable = [bool(v) for v in pictures.column(table, "sheddable")]
        floor = [float(v) for v in pictures.column(table, "min_p_mw")]
        for k in at:
            sheddable[k] = False
            floor[k] = float(numbers[table][power][k]) if power else float("nan")
        numbers[table]["sheddable"], numbers[table]["min_p_mw"] = sheddable, floor
    return replace(picture, numbers=numbers)
