"""Why a rack is not placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.placement.classes import Classes
from pdnopt.placement.filling import Filling, Tightest
from pdnopt.placement.permissions import Permissions
from pdnopt.placement.places import Places
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import MOMENTS, NORMALLY

__all__ = ["Refusal", "read_refusals"]


@dataclass(frozen=True)
class Refusal:
    """Why a rack is not placed: what stands in the way where least does, everybody else being where they are.

    Attributes
    ----------
    feeds : tuple of str
        Where it would fit best; () where no place is allowed at all.
    contingency, moment, component : str
        What binds there.
    lacks_kw : float
        By how much, kVA or kW of that component.
    reason : str
        The same in words.
    """

    rack: str
    p_kw: float
    feeds: tuple[str, ...]
    contingency: str
    moment: str
    component: str
    lacks_kw: float
    reason: str


def read_refusals(
    filling: Filling,
    places: Places,
    classes: Classes,
    permitted: Permissions,
    stops: Mapping[int, str],
    too_small: Sequence[str],
) -> tuple[Refusal, ...]:
    """Return every rack that is not placed, in order.

    Parameters
    ----------
    stops : mapping of int to str
        By cords a failure that forbids a place; no entry where there is no place for that many cords.
    too_small : sequence of str
        By rack what is wrong with the breaker of its own cord, "" for nothing.
    """
    racks = filling.racks
    members = racks.members()
    out = []
    for item in range(racks.n_items):
        mine = members[item]
        if filling.place[mine[0]] >= 0:
            continue
        if any(too_small[k] for k in mine):
            out += [_by_breaker(racks, int(k), [too_small[j] for j in mine], too_small[k]) for k in mine]
            continue
        first = int(mine[0])
        able = np.flatnonzero(
            (places.cords == racks.cords[first]) & permitted.allowed[:, int(racks.redundant[first])]
        )
        found = _binds(filling, mine, able, classes) if len(able) else None
        for rack in mine:
            out.append(_refusal(filling, places, int(rack), found, stops))
    return tuple(out)


def _by_breaker(racks: NewRacks, rack: int, of_item: Sequence[str], own: str) -> Refusal:
    reason = own or f"another rack of its deployment: {next(text for text in of_item if text)}"
    return Refusal(racks.name[rack], float(racks.p_kw[rack]), (), "", "", "", 0.0, reason)


def _binds(filling: Filling, mine: np.ndarray, able: np.ndarray, classes: Classes) -> Tightest:
    """Return what stops an item in the class of places that takes most of its racks."""
    if len(mine) == 1:
        return filling.tightest(int(mine[0]), able)
    best: tuple[int, float, Tightest] | None = None
    for c in np.unique(classes.of_place[able]):
        put: list[int] = []
        for rack in mine:
            place = filling.best(int(rack), classes.members[c])
            if place < 0:
                break
            filling.put(int(rack), place)
            put.append(int(rack))
        found = filling.tightest(int(mine[min(len(put), len(mine) - 1)]), classes.members[c])
        for rack in put:
            filling.take(rack)
        if best is None or (len(put), -found.lacks_kw) > best[:2]:
            best = (len(put), -found.lacks_kw, found)
    assert best is not None  # there is at least one place
    return best[2]


def _refusal(
    filling: Filling, places: Places, rack: int, found: Tightest | None, stops: Mapping[int, str]
) -> Refusal:
    room, racks = filling.room, filling.racks
    name, p_kw = racks.name[rack], float(racks.p_kw[rack])
    if found is None:
        cords = int(racks.cords[rack])
        text, why = f"{cords} cord{'s' if cords > 1 else ''}", stops.get(cords)
        if why is None:
            reason = f"no place is for {text}: name some with places=[...]"
            return Refusal(name, p_kw, (), "", "", "", 0.0, reason)
        reason = f"every place for {text} loses its voltage in some failure, for instance {why}"
        return Refusal(name, p_kw, (), why, "", "", 0.0, reason)
    row = found.row
    component, contingency = str(room.component[row]), str(room.contingency[row])
    moment = int(room.moment[row])
    when = "without a failure" if moment == NORMALLY else f"{MOMENTS[moment]} after {contingency}"
    feeds = places.name_of(found.place)
    reason = f"{component} lacks {found.lacks_kw:.1f} {_unit(component)} {when}, on {' + '.join(feeds)}"
    return Refusal(name, p_kw, feeds, contingency, MOMENTS[moment], component, found.lacks_kw, reason)


def _unit(component: str) -> str:
    table = component.partition(":")[0]
    return "kW" if table == "ext_grid" else "kVA"
