"""The sets of a network model: blocks, arcs, feeds and service modes. Structure only, no failure in it.

* *arc* (s, d): switch s used from tail to head (d = 0) or head to tail (d = 1).
* *site* of a unit: a block that one of its cords hangs on. Units with the same sites form a *group*.
* *feed* (group, T): exactly the sites T (a non-empty subset) live.
* *mode*: a unit under one feed of its group. What each cord draws is fixed by the mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid

__all__ = ["NetworkSets", "read_sets"]

MAX_SITES = 6


@dataclass(frozen=True)
class NetworkSets:
    """Index sets as arrays. K blocks, S switches, F feeds, M modes."""

    tail_block: np.ndarray  # (S,)
    head_block: np.ndarray  # (S,)
    groups: tuple[tuple[int, ...], ...]  # sites of each group
    unit_group: np.ndarray  # (D,)
    feed_group: np.ndarray  # (F,)
    feed_sites: tuple[tuple[int, ...], ...]  # (F,)
    mode_unit: np.ndarray  # (M,)
    mode_feed: np.ndarray  # (M,)
    part_mode: np.ndarray  # one row per mode and cord of its unit
    part_cord: np.ndarray
    part_site_lives: np.ndarray  # bool: the cord's block is in the mode's feed

    @property
    def n_modes(self) -> int:
        """Number of modes."""
        return len(self.mode_unit)


def read_sets(grid: Grid, demand: Demand) -> NetworkSets:
    """Build the sets. Raises InputError for a rack whose cords hang on more than six separate blocks."""
    block = grid.nodes.block
    cord_block = block[demand.cord_node]
    order = np.argsort(demand.cord_unit, kind="stable")
    sites: list[list[int]] = [[] for _ in range(demand.n)]
    cords: list[list[int]] = [[] for _ in range(demand.n)]
    for cord in order:
        unit = demand.cord_unit[cord]
        cords[unit].append(int(cord))
        if cord_block[cord] not in sites[unit]:
            sites[unit].append(int(cord_block[cord]))
    wide = [demand.name[u] for u, s in enumerate(sites) if len(s) > MAX_SITES]
    if wide:
        raise InputError(
            [Issue("Range", "net.load", n, "too many separate feeds", f"at most {MAX_SITES}", "Merge cords.") for n in wide]
        )
    group_of: dict[tuple[int, ...], int] = {}
    unit_group = np.array([group_of.setdefault(tuple(sorted(s)), len(group_of)) for s in sites], dtype=int)
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
    mode_unit, mode_feed, part_mode, part_cord, lives = [], [], [], [], []
    for unit in range(demand.n):
        for feed in feeds_of[unit_group[unit]]:
            mode = len(mode_unit)
            mode_unit.append(unit)
            mode_feed.append(feed)
            for cord in cords[unit]:
                part_mode.append(mode)
                part_cord.append(cord)
                lives.append(int(cord_block[cord]) in feed_sites[feed])
    return NetworkSets(
        tail_block=block[grid.switches.tail],
        head_block=block[grid.switches.head],
        groups=groups,
        unit_group=unit_group,
        feed_group=np.array(feed_group, dtype=int),
        feed_sites=tuple(feed_sites),
        mode_unit=np.array(mode_unit, dtype=int),
        mode_feed=np.array(mode_feed, dtype=int),
        part_mode=np.array(part_mode, dtype=int),
        part_cord=np.array(part_cord, dtype=int),
        part_site_lives=np.array(lives, dtype=bool),
    )
