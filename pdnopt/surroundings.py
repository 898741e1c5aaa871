"""What lies near a disturbance: the part of the plant in which an answer is looked for first.

A failure disturbs a few blocks: those that lost their voltage, the ends of what is overloaded, UPSs on battery. An answer
that moves only what lies a few switches around them is found in a small model, however large the plant; where it serves
everybody, no other answer serves more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import fed_units, islands
from pdnopt.response import Overload, Response

__all__ = ["surroundings"]

RADII = (2, 4, 8)
"""Switches and UPSs between the disturbance and what may move."""

LOCAL = 0.6
"""A part of the plant larger than this is not local: the whole model is as good."""


def surroundings(demand: Demand, response: Response, found: Sequence[Overload]) -> Iterator[np.ndarray]:
    """Yield ever larger sets of blocks around what a failure disturbed, bool, shape (blocks,)."""
    grid = response.grid
    near = _disturbed(grid, demand, response, {item.component for item in found})
    block, sw, ups = grid.nodes.block, grid.switches, grid.upss
    tail = block[np.r_[sw.tail, ups.in_node].astype(int)]
    head = block[np.r_[sw.head, ups.out_node].astype(int)]
    if not near.any():
        return
    for hop in range(1, max(RADII) + 1):
        joined = near[tail] | near[head]
        near = near.copy()
        near[tail[joined]] = True
        near[head[joined]] = True
        if near.mean() > LOCAL:
            return
        if hop in RADII:
            yield near


def _disturbed(grid: Grid, demand: Demand, response: Response, over: set[str]) -> np.ndarray:
    """Return the blocks that lost their voltage, feed units without any, or join what is overloaded or on battery."""
    block, ups, now, before = grid.nodes.block, grid.upss, response.state, response.before
    energised = response.islands.energised
    lost = islands(grid, before).energised & ~energised
    dark = ~fed_units(demand, now, energised) & ~response.unservable
    nodes = [np.flatnonzero(lost), demand.cord_node[dark[demand.cord_unit]]]
    waiting = (now.ups_mode == "battery") | np.isin(ups.name, list(over))
    nodes += [ups.in_node[waiting], ups.out_node[waiting]]
    for table in (grid.branches, grid.switches):
        named = np.isin(table.name, list(over))
        nodes += [table.tail[named], table.head[named]]
    for points in (grid.sources, grid.storages):
        nodes.append(points.node[np.isin(points.name, list(over))])
    near = np.zeros(grid.n_blocks, dtype=bool)
    near[block[np.concatenate(nodes).astype(int)]] = True
    return near
