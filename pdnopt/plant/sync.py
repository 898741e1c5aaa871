"""Which live points may be joined: synchronism of sources.

Two points are in sync if one source feeds both, or sources of one non-empty ``sync_group`` do. The output of a
UPS that is online tracks what feeds its bypass; on battery, or without a live bypass, it is in sync with itself
only. In bypass mode the UPS passes its source through (its bypass switch is closed).
"""

from __future__ import annotations

import numpy as np

from pdnopt.plant.grid import Grid
from pdnopt.plant.state import Islands, State

__all__ = ["sync_labels"]


def sync_labels(grid: Grid, state: State, isl: Islands) -> np.ndarray:
    """Return one label a node, equal where points are in sync; "" without voltage, "?" where sources clash.

    Returns
    -------
    ndarray of object, shape (N,)
    """
    labels: list[str] = []
    for kind, k, _ in isl.roots:
        group = str(grid.sources.sync_group[k]) if kind == "source" else ""
        labels.append(f"group {group}" if group else f"{kind} {k}")
    tracked = [_bypass_feed(grid, state, kind, k) for kind, k, _ in isl.roots]
    of_island: dict[int, str] = {}
    for _ in range(len(labels) + 1):  # UPSs behind UPSs settle in as many rounds as they are deep
        of_island = {}
        for label, island in zip(labels, isl.root_island, strict=True):
            known = of_island.get(int(island))
            of_island[int(island)] = label if known in (None, label) else "?"
        new = [
            of_island.get(int(isl.island[node]), label) if node >= 0 else label
            for label, node in zip(labels, tracked, strict=True)
        ]
        if new == labels:
            break
        labels = new
    per_island = np.full(int(isl.island.max(initial=0)) + 1, "", dtype=object)
    for island, label in of_island.items():
        per_island[island] = label
    return np.where(isl.energised, per_island[isl.island], "")


def _bypass_feed(grid: Grid, state: State, kind: str, k: int) -> int:
    """Return the node that an online UPS tracks, or -1."""
    if kind != "ups" or state.ups_mode[k] != "online" or not state.bypass_ok[k]:
        return -1
    switch = int(grid.upss.bypass[k])
    tail, head = int(grid.switches.tail[switch]), int(grid.switches.head[switch])
    return tail if head == int(grid.upss.out_node[k]) else head
