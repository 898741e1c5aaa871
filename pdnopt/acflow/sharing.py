"""Sources that meet on one bus: who delivers how much.

Sources joined by switches without impedance are one bus; what each delivers is then a convention. It is
pandapower's: P by ``slack_weight``, Q equally. power-grid-model would split by the impedance of its links
instead, so the split and the flows of those switches are set here, by nodal balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pdnopt.acflow.model import Model
from pdnopt.plant.graph import connected_parts
from pdnopt.units import SQRT3

if TYPE_CHECKING:
    from pdnopt.acflow.engine import Solution

__all__ = ["share_among_sources", "tree_flows"]

Meetings = tuple[tuple[np.ndarray, np.ndarray], ...]
"""Sources (rows of net.ext_grid) that meet, and the closed links between them."""


def share_among_sources(model: Model, solution: Solution, link_on: np.ndarray, source_on: np.ndarray) -> None:
    """Correct in place the power of sources that meet, and of the switches between them."""
    for case in np.flatnonzero(solution.ok & (source_on.sum(axis=1) > 1)):
        for who, links in _who_meet(model, link_on[case], source_on[case]):
            _share(model, solution, int(case), who, links)


def _who_meet(model: Model, link_on: np.ndarray, source_on: np.ndarray) -> Meetings:
    """Return the groups of sources that meet, each with the closed links inside it."""
    key = ("meetings", np.packbits(link_on).tobytes(), np.packbits(source_on).tobytes())
    return model.memory.recall(key, lambda: _meetings(model, link_on, source_on))


def _meetings(model: Model, link_on: np.ndarray, source_on: np.ndarray) -> Meetings:
    on = np.flatnonzero(link_on)
    tail, head = model.link_tail[on], model.link_head[on]
    group = connected_parts(model.n_bus, tail, head)
    live = np.flatnonzero(source_on)
    label = group[model.source_bus[live]]
    found = [(live[label == g], on[group[tail] == g]) for g in np.unique(label)]
    return tuple((who, links) for who, links in found if len(who) > 1)


def _share(model: Model, solution: Solution, case: int, who: np.ndarray, links: np.ndarray) -> None:
    """Share one group's power among its sources ``who``; ``links`` are the closed links inside it."""
    p, q = solution.source["p"][case], solution.source["q"][case]
    weight = model.source_weight[who]
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(who), 1 / len(who))
    new_p, new_q = p[who].sum() * weight, np.full(len(who), q[who].sum() / len(who))
    change = np.zeros(model.n_bus, dtype=complex)
    np.add.at(change, model.source_bus[who], (new_p - p[who]) + 1j * (new_q - q[who]))
    p[who], q[who] = new_p, new_q
    if not len(links):
        return
    flow = tree_flows(model.link_tail[links], model.link_head[links], change)
    out = solution.link
    out["p_from"][case, links] += flow.real
    out["q_from"][case, links] += flow.imag
    volt = solution.node["u_pu"][case, model.link_tail[links]] * model.vn_kv[model.link_tail[links]] * 1e3
    out["i_from"][case, links] = np.hypot(out["p_from"][case, links], out["q_from"][case, links]) / (
        SQRT3 * volt
    )


def tree_flows(tail: np.ndarray, head: np.ndarray, injection: np.ndarray) -> np.ndarray:
    """Return the flow tail -> head of edges of equal, vanishing impedance that carries the injections.

    On a tree it is the nodal balance; in a loop the flows of equal resistances (least squares).

    Parameters
    ----------
    tail, head : int, shape (E,)
    injection : complex, shape (nodes,)
        What enters at each node; sums to zero in each connected part.

    Returns
    -------
    complex, shape (E,)
    """
    nodes, place = np.unique(np.r_[tail, head], return_inverse=True)
    a, b = place[: len(tail)], place[len(tail) :]
    incidence = np.zeros((len(nodes), len(tail)))
    incidence[a, np.arange(len(tail))] += 1.0
    incidence[b, np.arange(len(tail))] -= 1.0
    return np.asarray(np.linalg.lstsq(incidence, injection[nodes], rcond=None)[0])
