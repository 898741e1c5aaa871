"""Large problems: the LP over groups of devices that are alike, and whole choices that come near its parts.

Devices of one group have the same choices and the same pattern of load over the scenarios; only how much hangs on them
differs. The LP in which all devices of a group split alike is small, and its duals price the devices one by one: that is a
valid bound, and a good one, because many devices can come near any split.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdnopt.allocation.descent import Descent, Target, soft_least
from pdnopt.allocation.exposure import Core

__all__ = ["group_core", "groups_of", "near"]


def groups_of(data: Core, allowed: tuple[np.ndarray, ...], by_held: bool) -> np.ndarray:
    """Return the group of each device, (D,); devices of different ``held`` choices apart if asked for."""
    keys: dict[tuple[object, ...], int] = {}
    first = np.maximum(data.p_kw[:1], 1e-9)
    shape = (data.p_kw / first).round(6)
    out = np.zeros(len(allowed), dtype=int)
    for d, may in enumerate(allowed):
        key = (int(data.choices.kind[d]), may.tobytes(), shape[:, d].tobytes())
        held = int(data.choices.held[d]) if by_held else -1
        out[d] = keys.setdefault((*key, held), len(keys))
    return out


def group_core(data: Core, group: np.ndarray) -> Core:
    """Return the core whose devices are groups."""
    n = int(group.max()) + 1
    lead = np.array([int(np.flatnonzero(group == g)[0]) for g in range(n)])
    choices = data.choices
    hot = (group[None, :] == np.arange(n)[:, None]).astype(float)
    grouped = replace(
        choices,
        transfer=choices.transfer[lead],
        name=[choices.name[d] for d in lead],
        kind=choices.kind[lead],
        switches=tuple(choices.switches[d] for d in lead),
        allowed=tuple(choices.allowed[d] for d in lead),
        held=choices.held[lead],
        output=choices.output[lead],
    )
    return replace(data, choices=grouped, p_kw=hot @ data.p_kw, s_kva=hot @ data.s_kva)


def near(
    descent: Descent, group: np.ndarray, parts: list[np.ndarray], target: Target, tau: float
) -> np.ndarray:
    """Return whole choices near the parts of the groups: device by device, the largest load first.

    A device takes, of the choices that its group uses, the one with the best least slack while all later devices still
    split as their group does.

    Parameters
    ----------
    parts : list of float arrays, (K,), by group
    """
    data = descent.data
    choices = data.choices
    weights = [
        np.array([parts[group[d]] for d in members]) if len(members) else np.zeros((0, 0))
        for members in choices.members
    ]
    hung = data.hung_by_parts_kw(weights)
    chosen = np.array([int(part.argmax()) for part in (parts[g] for g in group)], dtype=int)
    for d in np.argsort(-data.p_kw[0].max(axis=1), kind="stable"):
        part = parts[group[d]]
        options = np.flatnonzero(part > 1e-6)
        stands = data.stands[int(choices.kind[d])]
        if len(options) < 2:
            continue
        load = device_load_kw(data, int(d), stands[:, options])
        hung = hung - np.tensordot(load, part[options] / part[options].sum(), axes=(3, 0))
        if target.spread < np.inf:
            trials = [
                soft_least(descent.slack_kw(hung + load[..., j], target), tau) for j in range(len(options))
            ]
        else:
            trials = _soft_changes(data.rest_kw - hung - target.margin_kw, load, tau)
        best = int(np.argmin(trials))
        hung = hung + load[..., best]
        chosen[d] = options[best]
    return chosen


def device_load_kw(data: Core, d: int, at: np.ndarray) -> np.ndarray:
    """Return what a device hangs on every row if it stands at some stations, (C, n); shape (C, R, V, n)."""
    c = np.arange(len(at))[:, None]
    q = np.maximum(at, 0)
    load = data.kp[c, :, q][:, :, :, None] * data.p_kw[:, d][:, None, None, :]
    if data.ks.any():
        load = load + data.ks[c, :, q][:, :, :, None] * data.s_kva[:, d][:, None, None, :]
    load = np.where((at >= 0)[:, :, None, None], load, 0.0)  # (C, n, R, V)
    return np.asarray(np.moveaxis(load, 1, 3))


def _soft_changes(room: np.ndarray, load: np.ndarray, tau: float) -> list[float]:
    """Return how much worse sum exp(-slack / tau) gets by each of some loads, (C, R, V, n); only where they add."""
    at = np.nonzero((load != 0.0).any(axis=(2, 3)) & np.isfinite(room[:, :, 0]))
    slack, more = room[at], load[at]
    least = float((slack[..., None] - more).min(initial=np.inf))
    then = np.exp(-(slack[..., None] - more - least) / tau).sum(axis=(0, 1))
    return [float(value) for value in then - np.exp(-(slack - least) / tau).sum()]
