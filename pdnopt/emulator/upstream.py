"""Which switches protection opens to take an overloaded line or transformer off."""

from __future__ import annotations

import numpy as np

from pdnopt.checker.situation import supply
from pdnopt.emulator.world import World

__all__ = ["switches_of"]


def switches_of(world: World, table: str, row: int) -> list[int]:
    """Return the closed switches of a branch: its own, else the nearest one that feeds it, else all around it."""
    w = world.view.wiring
    index = int(world.net[table].index[row])
    nodes = w.nodes_of[(table, index)]
    closed = world.s.closed
    own_ends = [n for n in nodes if n >= w.n_bus]
    own = np.flatnonzero(closed & (np.isin(w.sw_tail, own_ends) | np.isin(w.sw_head, own_ends)))
    if len(own):
        return [int(k) for k in own]
    block = w.block[nodes[0]]
    border = np.flatnonzero(closed & ((w.block[w.sw_tail] == block) ^ (w.block[w.sw_head] == block)))
    for k in border:
        trial = world.s.copy()
        trial.closed[k] = False
        if not supply(world.view, world.outage, trial).live[nodes[0]]:
            return [int(k)]
    return [int(k) for k in border]
