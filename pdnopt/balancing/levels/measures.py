"""The terms of a balance as the flow has them: no linear model, no polygons."""

from __future__ import annotations

import numpy as np

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.points import Area, Sight

__all__ = ["measure"]


def measure(area: Area, inverters: Inverters, sight: Sight, s_kva: np.ndarray) -> dict[str, float]:
    """Return all terms at a solved flow, in the units of `formulations.balance`.

    Parameters
    ----------
    s_kva : complex, shape (3I,)
        Set-points of that flow.
    """
    s = area.structure
    rows = (3 * area.feeders[:, None] + np.arange(3)).ravel()
    amps = np.abs(sight.current[rows]).reshape(-1, 3)
    neutral = np.abs(sight.neutral[area.feeders])
    volts = np.abs(sight.v[area.rows])
    spread = ((amps.max(axis=1) - amps.min(axis=1)) / s.scale)[s.counts]
    over = np.maximum(amps / s.limit[:, None] - 1.0, 0.0).sum()
    beyond = np.maximum(s.v_min - volts, 0.0).sum() + np.maximum(volts - s.v_max, 0.0).sum()
    kva = np.abs(s_kva).reshape(-1, 3).sum(axis=1) / S_BASE_KW
    link = s_kva.real.reshape(-1, 3).sum(axis=1) / S_BASE_KW + inverters.loss * kva
    return {
        "violations": float(over + beyond),
        "vuf": float(sight.unbalance[area.nodes].max(initial=0.0)),
        "spread": float(spread.max(initial=0.0)),
        "spread_sum": float(spread.sum()),
        "neutral": float((neutral / s.scale)[s.counts].sum()),
        "losses": float((2.0 * area.r_pu[:, None] * amps**2).sum() + (inverters.loss * kva).sum()),
        "effort": float(kva.sum() + np.abs(link).sum()),
    }
