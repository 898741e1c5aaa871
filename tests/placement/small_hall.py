"""A small 4N/3 room and the arithmetic of its UPSs, written out: what pdnopt's model is compared with."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cases.deployments import pdus, vacated
from cases.hall import hall

RATED_KVA = 100.0
POWER_FACTOR = 0.99
AT_ONCE, FOR_GOOD = 1.50, 1.05
"""The UPS's curve (cases/ratings.py): 150 % for a minute, 105 % always."""
PAIRS = list(combinations("ABCD", 2))


def empty_room() -> tuple[Any, list[str]]:
    """Return a room with four UPSs of 100 kVA and two panels each, and the names of the panels."""
    net = vacated(hall("4N/3", 0.4, 12))
    return net, pdus(net)


def random_racks(seed: int, n: int, low_kw: float = 30.0, high_kw: float = 110.0) -> pd.DataFrame:
    """Return racks so large that few fit: a third redundant, a third that can be capped, a third neither."""
    rng = np.random.default_rng(seed)
    p_kw = np.round(rng.uniform(low_kw, high_kw, n), 1)
    kind = rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "name": [f"N{k}" for k in range(n)],
            "p_kw": p_kw,
            "cords": 2,
            "priority": 1 + kind,
            "min_p_kw": np.where(kind == 1, np.round(0.75 * p_kw, 1), np.nan),
            "redundant": kind == 2,
        }
    )


def floors(racks: pd.DataFrame) -> np.ndarray:
    """Return what is left of each rack after the emergency actions, kW."""
    p_kw, least = racks["p_kw"].to_numpy(float), racks["min_p_kw"].to_numpy(float)
    return np.where(racks["redundant"].to_numpy(bool), 0.0, np.where(np.isnan(least), p_kw, least))


def most_kw(racks: pd.DataFrame, part: float) -> float:
    """Return the most power that any assignment to pairs of UPSs places, limits times ``part``: all are tried."""
    p_kw, floor = racks["p_kw"].to_numpy(float), floors(racks)
    choice = np.array(np.meshgrid(*[np.arange(-1, len(PAIRS))] * len(racks))).reshape(len(racks), -1)
    on = np.stack([choice == k for k in range(len(PAIRS))])  # (pairs, racks, assignments)
    good = np.ones(choice.shape[1], dtype=bool)
    limit_kw = part * RATED_KVA * POWER_FACTOR
    full = np.einsum("pra,r->pa", on, p_kw)
    least = np.einsum("pra,r->pa", on, floor)
    for ups in "ABCD":
        mine = [k for k, pair in enumerate(PAIRS) if ups in pair]
        good &= full[mine].sum(axis=0) / 2 <= limit_kw + 1e-9  # without a failure: half of each rack
        for failed in set("ABCD") - {ups}:
            both = [k for k in mine if failed in PAIRS[k]]  # these hang on this UPS alone now
            good &= (full[mine].sum(axis=0) + full[both].sum(axis=0)) / 2 <= AT_ONCE * limit_kw + 1e-9
            good &= (least[mine].sum(axis=0) + least[both].sum(axis=0)) / 2 <= FOR_GOOD * limit_kw + 1e-9
    placed = (choice >= 0).T @ p_kw
    return float(placed[good].max())
