"""Few moves that bring lasting voltage back, found by search over states rather than by optimisation.

Most failures that need a decision leave a part of the plant dark, or UPSs on battery, and one to six moves mend that: a
tie closed, a genset started, a static bypass taken. This module looks for such moves by best-first search
(Hart, Nilsson, Raphael, "A formal basis for the heuristic determination of minimum cost paths", IEEE Trans. Systems Science
and Cybernetics 4(2), 1968): a node is how the plant is switched, what it costs is its number of steps, and its branches are
the ways to mend the first thing that needs it.
Ratings are not looked at here: AC power flow judges what is found, and optimisation decides who is served
where a repair alone is not enough.

Voltage is *lasting* where a utility feed or genset gives it, directly or through UPSs that are online: not where a
battery holds it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, fed_units
from pdnopt.response import Response, Supply, lasting_supply, settle
from pdnopt.service.forest import SWITCH, grow_forest

__all__ = ["Repair", "Repairs", "count_moves", "repairs"]

MAX_STATES = 80
"""States looked at before the search is given up: a repair takes few moves, or is left to optimisation."""

MAX_WAYS = 8
"""Ways tried to mend one thing, the shortest first."""


@dataclass(frozen=True)
class Repair:
    """A state at rest in which nothing waits for voltage.

    ``steps`` is what it cost in the search: moves made on purpose, not those that devices then make by themselves.
    ``complete`` is False where a UPS was switched off, or a unit left dark, because nothing feeds it.
    """

    state: State
    steps: int
    complete: bool = True


@dataclass(frozen=True)
class _Node:
    """A state of the search. ``given_up``: UPSs and units that are left without."""

    state: State
    steps: int
    given_up: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True)
class _Way:
    """Moves that mend one thing: switches to close and to open, gensets to start, a UPS's new mode."""

    steps: int
    close: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    mode: tuple[int, str] | None = None


def repairs(
    demand: Demand, response: Response, enduring: frozenset[str] = frozenset(), until_s: float = inf
) -> Iterator[Repair]:
    """Yield states in which all that can be fed is fed for good, the fewest moves first.

    Parameters
    ----------
    demand : Demand
    response : Response
        What the failure and the plant's own devices left behind.
    enduring : frozenset of str
        UPSs on battery whose batteries last as long as the end state must: they need no repair.
    until_s : float
        When the search ends, on the clock of time.perf_counter.

    Yields
    ------
    Repair : complete ones first, and each kind in the order of steps; nothing is said about ratings.
    """
    search = _Search(demand, response, enduring)
    first = _Node(response.state, 0)
    heap: list[tuple[bool, int, int, int, _Node]] = [(False, 0, 0, 0, first)]
    seen: set[bytes] = set()
    count = 0
    for _ in range(MAX_STATES):
        if not heap or time.perf_counter() > until_s:
            return
        node = heappop(heap)[-1]
        key = _key(node)
        if key in seen:
            continue
        seen.add(key)
        found = lasting_supply(response.grid, node.state)
        need = search.first_need(node, found)
        if need is None:
            yield Repair(node.state, node.steps, not node.given_up)
            continue
        for following in search.mended(node, need, found):
            count += 1
            left = search.least_steps(following)
            heappush(heap, (bool(following.given_up), following.steps + left, left, count, following))


class Repairs:
    """The repairs of one failure, searched for as they are asked for and kept for whoever asks again.

    Parameters
    ----------
    demand, response, enduring, until_s
        See `repairs`.
    """

    def __init__(self, demand: Demand, response: Response, enduring: frozenset[str], until_s: float) -> None:
        self._more = repairs(demand, response, enduring, until_s)
        self._known: list[Repair] = []

    def __iter__(self) -> Iterator[Repair]:
        yield from self._known
        for repair in self._more:
            self._known.append(repair)
            yield repair


def _key(node: _Node) -> bytes:
    state = node.state
    mode = ",".join(state.ups_mode.tolist()).encode()
    given_up = repr(sorted(node.given_up)).encode()
    return b"|".join((state.closed.tobytes(), state.source_on.tobytes(), mode, given_up))


class _Search:
    """What waits for voltage in a state, and the ways to give it some."""

    def __init__(self, demand: Demand, response: Response, enduring: frozenset[str]) -> None:
        self.demand, self.response, self.grid = demand, response, response.grid
        self.servable = ~response.unservable & response.state.unit_ok
        self.enduring = np.array([name in enduring for name in self.grid.upss.name], dtype=bool)
        start = response.state
        sw = self.grid.switches
        movable = ~start.locked & (sw.tail != sw.head)
        in_transfer = sw.transfer >= 0
        if len(self.grid.transfers.index):
            free = start.transfer_ok & (self.grid.transfers.dwell_left_s <= 0)
            movable &= ~in_transfer | free[np.maximum(sw.transfer, 0)]
        self.movable = movable & (sw.ups < 0)

    def first_need(self, node: _Node, found: Supply) -> tuple[str, int] | None:
        """Return what to mend first: ("ups", position) or ("unit", position); None where nothing waits."""
        waiting = (node.state.ups_mode == "battery") & ~self.enduring
        for j in np.flatnonzero(waiting).tolist():
            if ("ups", j) not in node.given_up:
                return "ups", j
        lasting = found.energised
        inverting = (node.state.ups_mode == "battery") & self.enduring
        held = np.isin(found.island, found.island[self.grid.upss.out_node[inverting]])
        dark = self.servable & (node.state.served > 0) & ~fed_units(self.demand, node.state, lasting | held)
        for u in np.flatnonzero(dark).tolist():
            if ("unit", u) not in node.given_up:
                return "unit", u
        return None

    def least_steps(self, node: _Node) -> int:
        """Return a number of steps that a state needs at least: one step gives no more than one island its voltage."""
        found, state = lasting_supply(self.grid, node.state), node.state
        waiting = (state.ups_mode == "battery") & ~self.enduring
        waiting[[k for kind, k in node.given_up if kind == "ups"]] = False
        fed = found.energised[self.grid.upss.in_node]
        islands = found.island[self.grid.upss.in_node[waiting & ~fed]]
        return len(np.unique(islands)) + int((waiting & fed).any())

    def mended(self, node: _Node, need: tuple[str, int], found: Supply) -> Iterator[_Node]:
        """Yield the states after each way to mend one thing; last that it is left without."""
        kind, k = need
        for way in self._ups_ways(node, k, found) if kind == "ups" else self._unit_ways(node, k, found):
            state = self._after(node.state, way)
            if state is None:
                continue
            yield _Node(state, node.steps + way.steps, node.given_up)
            lean = self._lean(node.state, state, found) if kind == "unit" else None
            if lean is not None:
                yield _Node(lean, node.steps + way.steps + 1, node.given_up)
        if kind == "ups":
            mode = node.state.ups_mode.copy()
            mode[k] = "off"
            state = settle(self.response, node.state.but(ups_mode=mode))
            yield _Node(state, node.steps + 1, node.given_up | {need})
        else:
            island = found.island[self._cords(k)]
            mates = np.unique(self.demand.cord_unit[np.isin(found.island[self.demand.cord_node], island)])
            yield _Node(node.state, node.steps, node.given_up | {("unit", int(u)) for u in mates})

    def _lean(self, before: State, after: State, found: Supply) -> State | None:
        """Return the state with those feeders open that came back to life and lead to nobody who was dark; None without any.

        What gave a dark board its voltage back may not carry all that hangs on it, and racks that live by their other
        cord do not need it.
        """
        forest = grow_forest(self.grid, after)
        if forest is None:
            return None
        demand, sw = self.demand, self.grid.switches
        dark = self.servable & ~fed_units(demand, before, found.energised)
        needed = np.bincount(demand.cord_node, weights=dark[demand.cord_unit], minlength=len(forest.parent))
        drawn = np.bincount(demand.cord_node, minlength=len(forest.parent)).astype(float)
        for level in reversed(forest.levels):
            np.add.at(needed, forest.parent[level], needed[level])
            np.add.at(drawn, forest.parent[level], drawn[level])
        plain = self.movable & (sw.transfer < 0)
        opened = []
        for level in forest.levels:
            feeds = (forest.kind[level] == SWITCH) & (needed[level] == 0) & (needed[forest.parent[level]] > 0)
            feeds &= ~found.energised[level] & (drawn[level] > 0)
            at = forest.position[level[feeds]]
            opened += at[plain[at]].tolist()
        if not opened:
            return None
        closed = after.closed.copy()
        closed[opened] = False
        return settle(self.response, after.but(closed=closed))

    def _cords(self, unit: int) -> np.ndarray:
        return np.asarray(self.demand.cord_node[(self.demand.cord_unit == unit) & self.demand.cord_ok])

    def _ups_ways(self, node: _Node, j: int, found: Supply) -> Iterator[_Way]:
        ups, sw, state = self.grid.upss, self.grid.switches, node.state
        bypass = int(ups.bypass[j])
        if bypass >= 0 and state.bypass_ok[j] and not state.locked[bypass]:
            far = sw.tail[bypass] if sw.head[bypass] == ups.out_node[j] else sw.head[bypass]
            if found.energised[far] and found.island[far] != found.island[ups.out_node[j]]:
                yield _Way(1, close=(bypass,), mode=(j, "bypass"))
        if state.rectifier_ok[j] and not state.dead[ups.in_node[j]]:
            yield from self._feeds(state, int(found.island[ups.in_node[j]]), found)

    def _unit_ways(self, node: _Node, unit: int, found: Supply) -> Iterator[_Way]:
        for island in dict.fromkeys(found.island[self._cords(unit)].tolist()):
            yield from self._feeds(node.state, int(island), found)

    def _feeds(self, state: State, island: int, found: Supply) -> Iterator[_Way]:
        """Yield the ways to give one island lasting voltage, the shortest first."""
        sw, src = self.grid.switches, self.grid.sources
        here = found.island
        source_island = here[src.node]
        ready = state.source_ok & ~state.source_on & (src.kind == "genset") & ~state.dead[src.node]
        starting = {int(i): int(k) for k, i in reversed(list(enumerate(source_island))) if ready[k]}
        ways: list[_Way] = []
        if island in starting:
            ways.append(_Way(1, start=(starting[island],)))
        edges = np.flatnonzero(self.movable & ~state.closed & ~state.dead[sw.tail] & ~state.dead[sw.head])
        tail, head = here[sw.tail[edges]], here[sw.head[edges]]
        path = _shortest(
            tail, head, edges, np.flatnonzero(found.live), starting, self._barred(state, found), island
        )
        for s, a, b in zip(edges.tolist(), tail.tolist(), head.tolist(), strict=True):
            if (a == island) == (b == island):
                continue
            other = b if a == island else a
            if other in path:
                closes, starts = path[other]
                way = _Way(1 + len(closes) + len(starts), close=(*closes, s), start=starts)
                ways.append(way)
        for way in sorted(ways, key=lambda way: (way.steps, way.close, way.start))[:MAX_WAYS]:
            yield from self._unlocked(state, way, found)

    def _barred(self, state: State, found: Supply) -> np.ndarray:
        """Return which islands a way may not cross: those that a battery holds now."""
        ups, sto = self.grid.upss, self.grid.storages
        held = np.zeros(len(found.live), dtype=bool)
        held[found.island[ups.out_node[state.ups_mode == "battery"]]] = True
        held[found.island[sto.node[state.storage_on]]] = True
        return held

    def _unlocked(self, state: State, way: _Way, found: Supply) -> Iterator[_Way]:
        """Yield the way with what interlocks and transfer devices make it open; nothing where that darkens what lives."""
        sw, locks = self.grid.switches, self.grid.interlocks
        closed = state.closed.copy()
        opened: list[int] = []
        for s in way.close:
            device = int(sw.transfer[s])
            if device >= 0:
                held = [int(p) for p in self.grid.transfers.positions[device] if closed[p] and p != s]
                opened += held
                closed[held] = False
            closed[s] = True
        steps = way.steps
        for members, most in zip(locks.switches, locks.max_closed, strict=True):
            shut = [int(s) for s in members if closed[s]]
            lives = found.energised
            free = [s for s in shut if s not in way.close and self.movable[s]]
            free = [s for s in free if not (lives[sw.tail[s]] and lives[sw.head[s]])]
            excess = len(shut) - int(most)
            if excess <= 0:
                continue
            if len(free) < excess or not set(shut) & set(way.close):
                return
            for s in free[:excess]:
                opened.append(s)
                closed[s] = False
                steps += 1
        yield _Way(steps, way.close, tuple(opened), way.start, way.mode)

    def _after(self, state: State, way: _Way) -> State | None:
        """Return the state at rest after a way was gone; None where it does not bring what it should."""
        closed, source_on, mode = state.closed.copy(), state.source_on.copy(), state.ups_mode.copy()
        closed[list(way.open)] = False
        closed[list(way.close)] = True
        source_on[list(way.start)] = True
        if way.mode is not None:
            mode[way.mode[0]] = way.mode[1]
        moved = state.but(closed=closed, source_on=source_on, ups_mode=mode)
        if _joined(self.grid, moved):
            return None
        return settle(self.response, moved)


def count_moves(grid: Grid, start: State, target: State) -> int:
    """Return how many devices stand elsewhere: plain switches, transfer devices, UPSs, gensets (as (O4) counts them)."""
    sw, ups = grid.switches, grid.upss
    moved = start.closed != target.closed
    plain = (sw.transfer < 0) & (sw.ups < 0)
    transfers = np.unique(sw.transfer[moved & (sw.transfer >= 0)])
    kinds = [
        np.where(np.isin(s.ups_mode, ("online", "battery")), "inverter", s.ups_mode) for s in (start, target)
    ]
    gensets = (start.source_on != target.source_on) & (grid.sources.kind == "genset")
    return int(
        (moved & plain).sum()
        + len(transfers)
        + (kinds[0] != kinds[1])[: len(ups.index)].sum()
        + gensets.sum()
    )


def _joined(grid: Grid, state: State) -> bool:
    """Whether two sources feed one island: in synchronism it may be allowed, but it is no repair."""
    found = lasting_supply(grid, state)
    at = found.island[
        np.r_[grid.sources.node[state.source_on], grid.upss.out_node[state.ups_mode == "online"]]
    ]
    return len(np.unique(at)) < len(at)


def _shortest(
    tail: np.ndarray,
    head: np.ndarray,
    edges: np.ndarray,
    live: np.ndarray,
    starting: dict[int, int],
    barred: np.ndarray,
    goal: int,
) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return (switches to close, gensets to start) that give each island voltage, by breadth-first search.

    Islands that live cost nothing, those with a genset one start; ``barred`` ones and the goal are not crossed.
    """
    path: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {int(i): ((), ()) for i in live}
    beside: dict[int, list[tuple[int, int]]] = {}
    for s, a, b in zip(edges.tolist(), tail.tolist(), head.tolist(), strict=True):
        beside.setdefault(a, []).append((s, b))
        beside.setdefault(b, []).append((s, a))
    front = [i for i in path if i in beside]
    for depth in range(len(beside) + 1):
        if depth == 1:
            begun = {i: ((), (k,)) for i, k in starting.items() if i not in path and i != goal}
            path.update(begun)
            front += list(begun)
        following = []
        for here in front:
            closes, starts = path[here]
            for s, there in beside.get(here, ()):
                if there not in path and there != goal and not barred[there]:
                    path[there] = ((*closes, s), starts)
                    following.append(there)
        if not following and depth:
            break
        front = following
    return path
