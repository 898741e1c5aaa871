"""How the plant stands at one moment, and what has voltage then."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import INVERTING, PASSING, PlantView

__all__ = ["Situation", "Supply", "base_situation", "supply"]


@dataclass
class Situation:
    """Positions of everything that can be moved, and the clocks of what moves by itself.

    Attributes
    ----------
    closed : bool, shape (n_switch,)
    src_on : bool, shape (n_ext_grid,)
        Utilities that are there, gensets that run; companions are not read here.
    mode : object, shape (n_ups,)
    st_forming, st_held : bool, shape (n_storage,)
        Holds its island; was told not to.
    st_kw : float, shape (n_storage,)
        Charging positive.
    may_kw : float, shape (n_units,)
        Power that each unit may draw.
    ups_waiting : bool, shape (n_ups,)
        On battery because its input was lost: goes online when it returns.
    tr_orphan : bool, shape (n_transfer,)
        Stands nowhere because its position failed, not because it was told to.
    tr_goal : int, shape (n_transfer,)
        Switch that it is about to close (it is open meanwhile), -1 while it rests.
    tr_since : float, shape (n_transfer,)
        When it opened to move, or will open when its dwell ends; NaN while it has no reason.
    tr_dwell_until : float, shape (n_transfer,)
        It may not open before.
    tr_preferred : int, shape (n_transfer,)
        Switch that it goes to first by itself, -1 for none.
    """

    closed: np.ndarray
    src_on: np.ndarray
    mode: np.ndarray
    st_forming: np.ndarray
    st_held: np.ndarray
    st_kw: np.ndarray
    may_kw: np.ndarray
    ups_waiting: np.ndarray
    tr_orphan: np.ndarray
    tr_goal: np.ndarray
    tr_since: np.ndarray
    tr_dwell_until: np.ndarray
    tr_preferred: np.ndarray

    def copy(self) -> Situation:
        """Return an independent copy."""
        return replace(self, **{name: value.copy() for name, value in vars(self).items()})


@dataclass(frozen=True)
class Supply:
    """What has voltage in a situation.

    Attributes
    ----------
    part : int, shape (n_node,)
        Which connected part a node belongs to.
    live : bool, shape (n_node,)
    sources : list of (kind, row)
        Active sources: ("ext_grid", row), ("ups", row) or ("storage", row).
    at : list of int
        Node of each.
    """

    part: np.ndarray
    live: np.ndarray
    sources: list[tuple[str, int]]
    at: list[int]

    def by_part(self) -> dict[int, list[tuple[str, int]]]:
        """Return the sources of each part that has any."""
        found: dict[int, list[tuple[str, int]]] = {}
        for source, node in zip(self.sources, self.at, strict=True):
            found.setdefault(int(self.part[node]), []).append(source)
        return found


def supply(view: PlantView, out: Outage, s: Situation) -> Supply:
    """Search the graph for what has voltage; what was found under an outage is kept for the next question.

    An inverter is a source on battery (while the battery holds any energy) and online with a live input.
    """
    key = (s.closed.tobytes(), s.src_on.tobytes(), s.st_forming.tobytes(), *s.mode)
    found: Supply | None = out.supplies.get(key)
    if found is None:
        found = out.supplies[key] = _search(view, out, s)
    return found


def _search(view: PlantView, out: Outage, s: Situation) -> Supply:
    w = view.wiring
    part = w.parts(s.closed, out.node_dead)
    sources: list[tuple[str, int]] = []
    at: list[int] = []
    for k in np.flatnonzero(s.src_on & ~view.src_companion & ~out.src_dead & w.node_ok[view.src_node]):
        sources.append(("ext_grid", int(k)))
        at.append(int(view.src_node[k]))
    for k in np.flatnonzero(s.st_forming & ~out.st_dead):
        sources.append(("storage", int(k)))
        at.append(int(view.st_node[k]))
    waiting = []
    for k in np.flatnonzero([m in INVERTING for m in s.mode]) if view.n_ups else ():
        if out.ups_dead[k] or out.ups_no_inverter[k] or not w.node_ok[view.ups_out[k]]:
            continue
        if view.ups_e_kwh[k] > 0:
            sources.append(("ups", int(k)))
            at.append(int(view.ups_out[k]))
        elif s.mode[k] == "online" and not out.ups_no_rectifier[k]:
            waiting.append(int(k))
    on = np.zeros(int(part.max()) + 1 if len(part) else 0, dtype=bool)
    on[part[at]] = True
    while True:
        ready = [u for u in waiting if on[part[view.ups_in[u]]]]
        if not ready:
            break
        for u in ready:
            waiting.remove(u)
            sources.append(("ups", u))
            at.append(int(view.ups_out[u]))
            on[part[view.ups_out[u]]] = True
    live = on[part] & w.node_ok & ~out.node_dead
    live.setflags(write=False)
    return Supply(part, live, sources, at)


def base_situation(view: PlantView, may_kw: np.ndarray, load_nodes: np.ndarray) -> Situation:
    """Return how the plant stands as the network is given.

    A genset runs if its ``running`` says so, else if its part of the plant has load and no other source (rule
    4).
    """
    closed = view.sw_closed.copy()
    for k in np.flatnonzero(view.ups_switch >= 0):
        closed[view.ups_switch[k]] = view.ups_mode[k] in PASSING
    src_on = view.src_ok & ~view.src_genset
    part = view.wiring.parts(closed, np.zeros(view.wiring.n_node, dtype=bool))
    firm = np.flatnonzero(src_on & ~view.src_companion)
    fed = {int(part[view.src_node[k]]) for k in firm}
    fed |= {int(part[view.ups_out[k]]) for k in range(view.n_ups) if view.ups_mode[k] in INVERTING}
    loaded = {int(p) for p in part[load_nodes]}
    loaded |= {int(part[view.ups_in[k]]) for k in range(view.n_ups) if view.ups_mode[k] == "online"}
    loaded |= {int(part[view.ups_bypass_node[k]]) for k in range(view.n_ups) if view.ups_mode[k] in PASSING}
    for k in np.flatnonzero(view.src_ok & view.src_genset):
        told = view.src_running[k]
        here = int(part[view.src_node[k]])
        src_on[k] = bool(told) if told is not None else here in loaded and here not in fed
    forming = np.zeros(view.n_st, dtype=bool)
    has = view.st_src >= 0
    forming[has] = view.src_ok[view.st_src[has]] & view.st_forms[has]
    return Situation(
        closed=closed,
        src_on=src_on,
        mode=view.ups_mode.copy(),
        st_forming=forming,
        st_held=np.zeros(view.n_st, dtype=bool),
        st_kw=view.st_kw.copy(),
        may_kw=may_kw.copy(),
        ups_waiting=np.zeros(view.n_ups, dtype=bool),
        tr_orphan=np.zeros(view.n_tr, dtype=bool),
        tr_goal=np.full(view.n_tr, -1),
        tr_since=np.full(view.n_tr, np.nan),
        tr_dwell_until=view.tr_dwell_left_s.copy(),
        tr_preferred=view.tr_preferred.copy(),
    )
