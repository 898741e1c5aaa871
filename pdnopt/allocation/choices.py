"""Which transfer devices are decided, and what each can choose: where it stands, and where it goes first.

A device is decided where all that hangs on its output is load: no source, UPS or battery, and no other decided device.
Of devices in a chain the last one is decided; those above it respond as they are given. What a device can choose is a
pair (active, next). When its active position dies, an automatic device goes to its preferred position first, then to
the others in table order (rule 2 of `pdnopt.response.devices`); so a pair says the whole order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.response.devices import positions_held
from pdnopt.response.supply import supply

__all__ = ["Choices", "Kind", "read_choices"]


@dataclass(frozen=True)
class Kind:
    """Devices with the same stations in the same order and the same manner: their choices mean the same.

    Attributes
    ----------
    stations : int, shape (P,)
        Station (row of ``Choices.station_node``) behind each position, in table order.
    auto : bool
        Moves by itself when its position dies.
    active, following : int, shape (K,)
        Position on which a choice stands, and the one it goes to first; -1: it goes nowhere.
    order : int, shape (K, P)
        Stations in the order in which a choice uses them, the active one first.
    """

    stations: np.ndarray
    auto: bool
    active: np.ndarray
    following: np.ndarray
    order: np.ndarray

    def stands(self, alive: np.ndarray) -> np.ndarray:
        """Return the station on which each choice ends, -1 for none; ``alive`` by station, shape (..., Q)."""
        reach = self.order if self.auto else self.order[:, :1]
        lives = alive[..., reach]
        first = lives.argmax(axis=-1)
        station = np.take_along_axis(np.broadcast_to(reach, lives.shape), first[..., None], axis=-1)[..., 0]
        return np.asarray(np.where(lives.any(axis=-1), station, -1))


@dataclass(frozen=True)
class Choices:
    """The devices that are decided; arrays over devices have shape (D,).

    Attributes
    ----------
    transfer : int
        Position in the Grid's transfers.
    name : list of str
    station_node : int, shape (Q,)
        Nodes that positions stand on.
    station_name : list of str
    kind : int
        Row in ``kinds``.
    kinds : tuple of Kind
    switches : tuple of int arrays
        The positions of each device, in the Grid's switches.
    allowed : tuple of bool arrays, (K,)
        Choices that each device may take.
    held : int
        The choice that the network as given has made; -1 where the device stands nowhere.
    output : int
        Node of the output.
    left_out : tuple of str
        Devices that are not decided because other sources, UPSs or decided devices hang on them.
    """

    transfer: np.ndarray
    name: list[str]
    station_node: np.ndarray
    station_name: list[str]
    kind: np.ndarray
    kinds: tuple[Kind, ...]
    switches: tuple[np.ndarray, ...]
    allowed: tuple[np.ndarray, ...]
    held: np.ndarray
    output: np.ndarray
    left_out: tuple[str, ...]

    @cached_property
    def members(self) -> tuple[np.ndarray, ...]:
        """Devices of each kind."""
        return tuple(np.flatnonzero(self.kind == k) for k in range(len(self.kinds)))

    def opened(self, state: State) -> State:
        """Return the state with all decided devices standing nowhere."""
        closed = state.closed.copy()
        closed[np.concatenate([*self.switches, np.zeros(0, dtype=int)]).astype(int)] = False
        return state.but(closed=closed)

    def active_switch(self, chosen: np.ndarray) -> np.ndarray:
        """Return the switch on which each device stands under a choice, shape (D,)."""
        return np.array(
            [
                rows[self.kinds[k].active[c]]
                for rows, k, c in zip(self.switches, self.kind, chosen, strict=True)
            ],
            dtype=int,
        )

    def preferred_switch(self, grid: Grid, chosen: np.ndarray) -> np.ndarray:
        """Return the ``preferred`` position that makes each device go where its choice says, shape (D,).

        The one it has now, where that does.
        """
        out = np.full(len(chosen), -1)
        for d, choice in enumerate(chosen):
            kind, rows = self.kinds[self.kind[d]], self.switches[d]
            active, following = int(kind.active[choice]), int(kind.following[choice])
            given = int(grid.transfers.preferred[self.transfer[d]])
            place = int(np.flatnonzero(rows == given)[0]) if given in rows else -1
            out[d] = given
            if following < 0 or _next(len(rows), active, place) == following:
                continue
            out[d] = rows[active] if _next(len(rows), active, active) == following else rows[following]
        return out


def _next(n: int, active: int, preferred: int) -> int:
    """Return the position that a device of ``n`` positions looks at first when its active one dies."""
    if preferred >= 0 and preferred != active:
        return preferred
    return next((p for p in range(n) if p != active), -1)


def read_choices(grid: Grid, demand: Demand, state: State) -> Choices:
    """Read the devices that are decided in a network that is switched as ``state`` says."""
    tr, sw = grid.transfers, grid.switches
    held = positions_held(grid, state)
    decided = [int(k) for k in np.flatnonzero(tr.in_service) if held[k] >= 0 and len(tr.positions[k])]
    far = [np.where(sw.tail[p] == tr.node[k], sw.head[p], sw.tail[p]) for k, p in enumerate(tr.positions)]
    left_out: list[int] = []
    while True:
        unfit = _unfit(grid, state, decided, far)
        if not unfit:
            break
        left_out += unfit
        decided = [k for k in decided if k not in unfit]
    stations = np.unique(np.concatenate([*(far[k] for k in decided), np.zeros(0, dtype=int)])).astype(int)
    keys: dict[tuple[object, ...], int] = {}
    kinds: list[Kind] = []
    kind_of, allowed, given = [], [], []
    for k in decided:
        at = np.searchsorted(stations, far[k])
        auto = bool(tr.auto[k] and state.transfer_ok[k])
        key = (tuple(at.tolist()), auto)
        if key not in keys:
            keys[key] = len(kinds)
            kinds.append(_kind(at, auto))
        kind = kinds[keys[key]]
        kind_of.append(keys[key])
        rows = tr.positions[k]
        active = int(np.flatnonzero(rows == held[k])[0])
        preferred = np.flatnonzero(rows == tr.preferred[k])
        following = _next(len(rows), active, int(preferred[0]) if len(preferred) else -1) if auto else -1
        mine = int(np.flatnonzero((kind.active == active) & (kind.following == following))[0])
        given.append(mine)
        free = bool(state.transfer_ok[k]) and not tr.dwell_left_s[k] > 0.0
        may = sw.operable[rows][kind.active] if free else kind.active == active
        may = may | (np.arange(len(may)) == mine)
        allowed.append(may if bool(state.transfer_ok[k]) else np.arange(len(may)) == mine)
    return Choices(
        transfer=np.array(decided, dtype=int),
        name=[tr.name[k] for k in decided],
        station_node=stations,
        station_name=[grid.nodes.name[n] for n in stations],
        kind=np.array(kind_of, dtype=int),
        kinds=tuple(kinds),
        switches=tuple(tr.positions[k] for k in decided),
        allowed=tuple(allowed),
        held=np.array(given, dtype=int),
        output=tr.node[np.array(decided, dtype=int)],
        left_out=tuple(tr.name[k] for k in sorted(left_out)),
    )


def _kind(stations: np.ndarray, auto: bool) -> Kind:
    """Return all pairs of a device with these stations."""
    n = len(stations)
    if not auto or n < 2:
        active, following = np.arange(n), np.full(n, -1)
    else:
        pairs = [(a, f) for a in range(n) for f in range(n) if a != f]
        active, following = np.array([a for a, _ in pairs]), np.array([f for _, f in pairs])
    order = np.array(
        [
            [a, *([f] if f >= 0 else []), *(p for p in range(n) if p not in (a, f))]
            for a, f in zip(active.tolist(), following.tolist(), strict=True)
        ],
        dtype=int,
    ).reshape(len(active), n)
    return Kind(stations, auto, active, following, stations[order])


def _unfit(grid: Grid, state: State, decided: list[int], far: list[np.ndarray]) -> list[int]:
    """Return the devices on whose outputs more hangs than load, with all of ``decided`` standing nowhere."""
    closed = state.closed.copy()
    for k in decided:
        closed[grid.transfers.positions[k]] = False
    trial = state.but(closed=closed)
    island = supply(grid, trial).island
    taken: dict[int, int] = {}
    for node in (*grid.sources.node, *grid.upss.in_node, *grid.upss.out_node, *grid.storages.node):
        taken[int(island[node])] = -1
    for k in decided:
        for node in far[k]:
            taken.setdefault(int(island[node]), -1)
    outputs: dict[int, int] = {}
    unfit = []
    for k in decided:
        at = int(island[grid.transfers.node[k]])
        if at in taken or at in outputs:
            unfit.append(k)
        outputs[at] = k
    return unfit
