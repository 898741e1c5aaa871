"""The sets of a network model: blocks, arcs, feeds, classes and service modes. Structure only, no failure in it.

* *arc* (s, d): switch s used from tail to head (d = 0) or head to tail (d = 1).
* *site* of a unit: a block that one of its cords hangs on. Units with the same sites form a *group*.
* *feed* (group, T): exactly the sites T (a non-empty subset) live.
* *class*: units of one group whose cords hang on the same nodes and share alike. What a class draws where is the
  same part of its power, so a class needs one flow variable a feed, not one a unit.
* *mode*: a class under one feed of its group.

A network is first modelled with *coarse* classes. A solve in which units of one class no longer share alike (a power
supply failed, meters differ) uses the *fine* sets, in which every unit is a class of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import CONTINUOUS_S, Demand, share_out
from pdnopt.plant.grid import Grid

__all__ = ["NetworkSets", "one_way_switches", "read_sets", "still_alike"]

MAX_SITES = 6
DIGITS = 7

SPREAD = 1.3
"""A unit may rise by this beyond the level at which the plant's UPSs are full before a cord limit without a row matters."""


@dataclass(frozen=True)
class NetworkSets:
    """Index sets as arrays. K blocks, S switches, F feeds, classes, M modes."""

    tail_block: np.ndarray  # (S,)
    head_block: np.ndarray  # (S,)
    one_way: np.ndarray  # (S,) see one_way_switches
    groups: tuple[tuple[int, ...], ...]  # sites of each group
    unit_group: np.ndarray  # (D,)
    feed_group: np.ndarray  # (F,)
    feed_sites: tuple[tuple[int, ...], ...]  # (F,)
    unit_class: np.ndarray  # (D,)
    class_group: np.ndarray
    class_unit: np.ndarray  # a unit that stands for the class
    mode_class: np.ndarray  # (M,)
    mode_feed: np.ndarray  # (M,)
    part_mode: np.ndarray  # one row per mode and cord of the unit that stands for the class
    part_cord: np.ndarray
    part_site_lives: np.ndarray  # bool: the cord's block is in the mode's feed
    limited_unit: np.ndarray  # rows (unit, feed) in which a cord limit may bind
    limited_feed: np.ndarray
    limited_part: np.ndarray  # one row per limited row and cord of its unit: the limited row
    limited_cord: np.ndarray
    limited_lives: np.ndarray  # bool
    quiet_kw: np.ndarray  # (D,) up to this demand the feeds that are in no such row overload no cord
    firm_unit: np.ndarray  # rows (unit, feed) of units that may not be shed
    firm_feed: np.ndarray
    auto_transfer: np.ndarray  # rows (transfer device that moves by itself, position held, other position)
    auto_held: np.ndarray
    auto_other: np.ndarray
    pattern: np.ndarray  # (cords, 4) how the cords shared when the sets were read
    interlocked: np.ndarray  # sorted numbers a * S + b of switches that one interlock names both

    @property
    def n_modes(self) -> int:
        """Number of modes."""
        return len(self.mode_class)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_group)


def _cords_of(demand: Demand) -> list[list[int]]:
    cords: list[list[int]] = [[] for _ in range(demand.n)]
    for cord in np.lexsort((demand.cord_node, demand.cord_unit)):
        cords[demand.cord_unit[cord]].append(int(cord))
    return cords


def _pattern(demand: Demand) -> np.ndarray:
    """Return what must be equal for cords to count as alike: part of the demand, share, tan phi, state."""
    d_kw = demand.d_kw[demand.cord_unit]
    part = np.where(d_kw > 0, demand.cord_kw / np.where(d_kw > 0, d_kw, 1.0), demand.cord_share)
    rows = np.column_stack([part, demand.cord_share, demand.cord_tan_phi, demand.cord_ok])
    return np.asarray(np.round(rows, DIGITS))


def still_alike(sets: NetworkSets, demand: Demand, psu_dead: np.ndarray) -> bool:
    """True if the units of every class still share alike under these loads and power supplies.

    And if no cord can be beyond its limit under a feed for which the sets have no row.
    """
    if (demand.d_kw > sets.quiet_kw).any():
        return False
    watched = np.isfinite(sets.quiet_kw)[demand.cord_unit]
    rows = np.column_stack([_pattern(demand), psu_dead])
    if watched.any():
        as_built = np.abs(rows - np.column_stack([sets.pattern, np.zeros(len(rows))])).max(axis=1)
        idle = demand.d_kw[demand.cord_unit] <= 0
        if (as_built[watched & ~idle] > 2 * 10.0**-DIGITS).any():
            return False
    if sets.n_classes == demand.n:
        return True
    order = np.lexsort((demand.cord_node, demand.cord_unit))
    first = np.searchsorted(demand.cord_unit[order], np.arange(demand.n))
    rank = np.arange(len(order)) - first[demand.cord_unit[order]]
    stand_in = sets.class_unit[sets.unit_class[demand.cord_unit[order]]]
    mine, theirs = rows[order], rows[order[first[stand_in] + rank]]
    idle = (demand.d_kw[demand.cord_unit[order]] <= 0) | (demand.d_kw[stand_in] <= 0)
    return bool(np.all(np.abs(mine - theirs).max(axis=1, initial=0.0)[~idle] <= 2 * 10.0**-DIGITS))


def read_sets(grid: Grid, demand: Demand, fine: bool = False) -> NetworkSets:
    """Build the sets. Raises InputError for a rack whose cords hang on more than six separate blocks."""
    block = grid.nodes.block
    cords = _cords_of(demand)
    sites = [tuple(sorted({int(block[demand.cord_node[c]]) for c in mine})) for mine in cords]
    wide = [demand.name[u] for u, members in enumerate(sites) if len(members) > MAX_SITES]
    if wide:
        raise InputError(
            [
                Issue(
                    "Range", "net.load", n, "too many separate feeds", f"at most {MAX_SITES}", "Merge cords."
                )
                for n in wide
            ]
        )
    group_of: dict[tuple[int, ...], int] = {}
    unit_group = np.array([group_of.setdefault(members, len(group_of)) for members in sites], dtype=int)
    groups = tuple(group_of)
    feed_group: list[int] = []
    feed_sites: list[tuple[int, ...]] = []
    feeds_of: list[list[int]] = []
    for g, members in enumerate(groups):
        feeds_of.append([])
        for size in range(1, len(members) + 1):
            for subset in combinations(members, size):
                feeds_of[g].append(len(feed_sites))
                feed_group.append(g)
                feed_sites.append(subset)
    pattern = _pattern(demand)
    class_of: dict[object, int] = {}
    stand_in: list[int] = []
    unit_class = np.zeros(demand.n, dtype=int)
    for u, mine in enumerate(cords):
        key = u if fine else (tuple(int(demand.cord_node[c]) for c in mine), pattern[mine].tobytes())
        if key not in class_of:
            class_of[key] = len(stand_in)
            stand_in.append(u)
        unit_class[u] = class_of[key]
    class_unit = np.array(stand_in, dtype=int)
    class_group = unit_group[class_unit] if len(class_unit) else np.zeros(0, dtype=int)
    modes = [(c, f) for c, g in enumerate(class_group) for f in feeds_of[g]]
    parts = [
        (q, cord, int(block[demand.cord_node[cord]]) in feed_sites[f])
        for q, (c, f) in enumerate(modes)
        for cord in cords[class_unit[c]]
    ]
    has_limit = np.isfinite(demand.cord_max_kw) | np.isfinite(demand.cord_breaker_kva)
    limited = np.flatnonzero(demand.sum_by_unit(has_limit.astype(float)) > 0)
    limited_rows = [(int(u), f) for u in limited for f in feeds_of[unit_group[u]]]
    limited_parts = [
        (r, cord, int(block[demand.cord_node[cord]]) in feed_sites[f])
        for r, (u, f) in enumerate(limited_rows)
        for cord in cords[u]
    ]
    parts_of_limits = np.array(limited_parts, dtype=int).reshape(-1, 3)
    limited_array = np.array(limited_rows, dtype=int).reshape(-1, 2)
    most_kw = _most_kw(demand, parts_of_limits, len(limited_rows))
    quiet = (
        np.zeros(len(limited_rows), dtype=bool)
        if fine
        else most_kw >= _heaviest_kw(grid, demand)[limited_array[:, 0]]
    )
    quiet_kw = np.full(demand.n, inf)
    np.minimum.at(quiet_kw, limited_array[quiet, 0], most_kw[quiet])
    number = np.cumsum(~quiet) - 1
    parts_of_limits = parts_of_limits[~quiet[parts_of_limits[:, 0]]]
    limited_array = limited_array[~quiet]
    firm_rows = [(int(u), f) for u in np.flatnonzero(~demand.sheddable) for f in feeds_of[unit_group[u]]]

    autos = np.array(_auto_pairs(grid), dtype=int).reshape(-1, 3)

    def column(rows: list[tuple[int, int]], k: int) -> np.ndarray:
        return np.array([row[k] for row in rows], dtype=int)

    return NetworkSets(
        tail_block=block[grid.switches.tail],
        head_block=block[grid.switches.head],
        one_way=one_way_switches(grid),
        groups=groups,
        unit_group=unit_group,
        feed_group=np.array(feed_group, dtype=int),
        feed_sites=tuple(feed_sites),
        unit_class=unit_class,
        class_group=class_group,
        class_unit=class_unit,
        mode_class=column(modes, 0),
        mode_feed=column(modes, 1),
        part_mode=np.array([p[0] for p in parts], dtype=int),
        part_cord=np.array([p[1] for p in parts], dtype=int),
        part_site_lives=np.array([p[2] for p in parts], dtype=bool),
        limited_unit=limited_array[:, 0],
        limited_feed=limited_array[:, 1],
        limited_part=number[parts_of_limits[:, 0]],
        limited_cord=parts_of_limits[:, 1],
        limited_lives=parts_of_limits[:, 2] > 0,
        quiet_kw=quiet_kw,
        pattern=pattern,
        firm_unit=column(firm_rows, 0),
        firm_feed=column(firm_rows, 1),
        auto_transfer=autos[:, 0],
        auto_held=autos[:, 1],
        auto_other=autos[:, 2],
        interlocked=_interlocked(grid),
    )


def one_way_switches(grid: Grid) -> np.ndarray:
    """Return 1 for a switch that can only feed its head, -1: only its tail, 0: either; shape (S,).

    Such a switch is the only way into a block without a source; or all ways into it are positions of one transfer device, of
    which one is closed at most. Switches that can only feed out of a block are no way into it, so this is repeated from the
    racks upwards. Where something may feed backwards (injections, batteries) none is found.
    """
    sw, block = grid.switches, grid.nodes.block
    sign = np.zeros(len(sw.index), dtype=int)
    if (grid.injection_p_kw > 0).any() or len(grid.storages.index):
        return sign
    barren = np.ones(grid.n_blocks, dtype=bool)
    for nodes in (grid.sources.node, grid.upss.out_node):
        barren[block[nodes]] = False
    tail, head = block[sw.tail], block[sw.head]
    switch = np.flatnonzero(tail != head)
    gate = np.where(sw.transfer[switch] < 0, switch, -1 - sw.transfer[switch])
    while True:
        into = np.r_[sign[switch] >= 0, sign[switch] <= 0]  # it may feed its head, its tail
        ends = np.column_stack([np.r_[head[switch], tail[switch]], np.r_[gate, gate]])[into]
        ways = np.bincount(np.unique(ends, axis=0)[:, 0], minlength=grid.n_blocks)
        pocket = barren & (ways == 1)
        found = pocket[head[switch]].astype(int) - pocket[tail[switch]].astype(int)
        new = (found != 0) & (sign[switch] == 0)
        if not new.any():
            return sign
        sign[switch[new]] = found[new]


def _heaviest_kw(grid: Grid, demand: Demand) -> np.ndarray:
    """Return what each unit may draw, kW, in the coarse sets: loads that fill all UPSs, and a spread around them."""
    total_kw = float(demand.d_kw.sum())
    full = float(grid.upss.p_rated_kw.sum()) / total_kw if total_kw > 0 else 1.0
    return np.asarray(SPREAD * max(full, 1.0) * demand.d_kw)


def _most_kw(demand: Demand, parts: np.ndarray, n_rows: int) -> np.ndarray:
    """Return for each row (unit, feed) the largest demand at which no living cord is beyond its limit, kW.

    ``parts`` has one row a cord: row, cord, whether its site lives. Whether cords draw as given or by their shares depends
    on what lived before the failure: the worse counts. Breakers are those of a continuous load.
    """
    row, cord, lives = parts[:, 0], parts[:, 1], (parts[:, 2] > 0) & demand.cord_ok[parts[:, 1]]
    unit_kw = demand.d_kw[demand.cord_unit[cord]]
    share = demand.cord_share[cord]
    part = np.where(unit_kw > 0, demand.cord_kw[cord] / np.where(unit_kw > 0, unit_kw, 1.0), share)
    drawn = np.zeros(len(parts))
    for as_given in (lives, np.zeros(len(parts), dtype=bool)):
        drawn = np.maximum(drawn, share_out(row, n_rows, part, share, lives, as_given))
    limit_kw = demand.cord_limit_kw(CONTINUOUS_S)[cord]
    most = np.full(n_rows, inf)
    np.minimum.at(most, row, np.where(drawn > 0, limit_kw / np.where(drawn > 0, drawn, 1.0), inf))
    return most


def _auto_pairs(grid: Grid) -> list[tuple[int, int, int]]:
    """Return (transfer, position held, other position) of the transfer devices that move by themselves."""
    tr = grid.transfers
    return [
        (int(t), int(s), int(other))
        for t in np.flatnonzero(tr.auto)
        for s in tr.positions[t]
        for other in tr.positions[t]
        if s != other
    ]


def _interlocked(grid: Grid) -> np.ndarray:
    n = len(grid.switches.index)
    members = grid.interlocks.switches
    return np.unique([int(a) * n + int(b) for mine in members for a in mine for b in mine if a != b]).astype(
        int
    )
