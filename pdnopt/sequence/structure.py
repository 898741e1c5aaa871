"""Is a state allowed on the way? Sources in sync, at most one loop that the next action opens, interlocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import Islands, State, islands
from pdnopt.plant.sync import sync_labels

__all__ = ["Structure", "inspect"]


@dataclass(frozen=True)
class Structure:
    """What the switches of one state make of the plant.

    ``clash``: unsynchronised sources meet, an interlock or a transfer device is violated (never allowed).
    ``extra``: loops and parallel sources in sync, beyond those of the network as given (allowed for a moment).
    """

    islands: Islands
    clash: bool
    extra: int


def inspect(grid: Grid, state: State) -> Structure:
    """Inspect one state."""
    key = ("structure", state.position, state.bypass_ok.tobytes())
    return grid.memory.recall(key, lambda: _inspect(grid, state))


def _inspect(grid: Grid, state: State) -> Structure:
    isl = islands(grid, state)
    labels = sync_labels(grid, state, isl)
    clash = bool((labels == "?").any()) or _locks_violated(grid, state)
    return Structure(isl, clash, _loops(grid, state, isl) + _parallel(grid, isl))


def _locks_violated(grid: Grid, state: State) -> bool:
    for members, most in zip(grid.interlocks.switches, grid.interlocks.max_closed, strict=True):
        if state.closed[members].sum() > most:
            return True
    return any(state.closed[positions].sum() > 1 for positions in grid.transfers.positions)


def _loops(grid: Grid, state: State, isl: Islands) -> int:
    """Count independent loops of closed switches between live blocks."""
    block = grid.nodes.block
    tail, head = block[grid.switches.tail], block[grid.switches.head]
    live = np.zeros(grid.n_blocks, dtype=bool)
    live[block[isl.energised]] = True
    on = state.closed & live[tail] & live[head] & (tail != head)
    part = connected_parts(grid.n_blocks, tail[on], head[on])
    parts = int(part.max(initial=-1)) + 1
    return int(on.sum()) - (grid.n_blocks - parts)


def _parallel(grid: Grid, isl: Islands) -> int:
    """Count sources beyond the first in each island, those of a parallel group left out."""
    count = 0
    for island in np.unique(isl.root_island):
        members = [isl.roots[k] for k in np.flatnonzero(isl.root_island == island)]
        if len(members) > 1 and not all(
            kind == "source" and grid.sources.parallel[k] for kind, k, _ in members
        ):
            count += len(members) - 1
    return count
