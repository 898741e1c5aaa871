"""An order for many planned moves: before anything fails, each moves a little load from one reserve system to another."""

from __future__ import annotations

import numpy as np

from pdnopt.allocation.choices import Choices
from pdnopt.allocation.exposure import Exposure
from pdnopt.plant.actions import Action
from pdnopt.plant.grid import Grid

__all__ = ["FEW_MOVES", "many_moves"]

FEW_MOVES = 30
"""Up to so many moves the search of `pdnopt.sequence` orders them; it looks at every pair of moves."""


def many_moves(
    grid: Grid, choices: Choices, data: Exposure, chosen: np.ndarray, latency_s: float, reason: str
) -> list[Action]:
    """Return one step a move: always the one that leaves the fullest component with most room (linear sums).

    The checker judges every state on the way, as of any plan.
    """
    active = [choices.kinds[k].active for k in choices.kind]
    held = choices.held
    left = [d for d in range(len(chosen)) if active[d][chosen[d]] != active[d][held[d]]]
    load = data.load_kw(held)[0, :, 0]
    limit = np.maximum(data.limit_kw[0], 1e-9)
    change = np.zeros((len(left), len(load)))
    for i, d in enumerate(left):
        stands = data.stands[int(choices.kind[d])][0]
        for choice, sign in ((held[d], -1.0), (chosen[d], 1.0)):
            q = int(stands[choice])
            if q >= 0:
                change[i] += sign * (
                    data.kp[0, :, q] * data.p_kw[0, d, 0] + data.ks[0, :, q] * data.s_kva[0, d, 0]
                )
    names, tr = grid.switches.name, grid.transfers
    actions: list[Action] = []
    waiting = np.ones(len(left), dtype=bool)
    t_s = latency_s
    for step in range(1, len(left) + 1):
        rows = np.flatnonzero(waiting)
        fullest = ((load + change[rows]) / limit).max(axis=1)
        i = int(rows[int(fullest.argmin())])
        waiting[i] = False
        load = load + change[i]
        d = left[i]
        t_s += float(tr.transfer_s[choices.transfer[d]])
        switches = choices.switches[d]
        before, after = (names[int(switches[active[d][c]])] for c in (held[d], chosen[d]))
        actions.append(Action(step, t_s, choices.name[d], "transfer", before, after, reason))
    return actions
