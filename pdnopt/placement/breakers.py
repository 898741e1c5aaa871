"""The breaker of a rack's own cord: 80 % of its rating for good, all of it until racks are capped (rules 10 and 11)."""

from __future__ import annotations

import numpy as np

from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import Policy
from pdnopt.plant.demand import CONTINUOUS_S
from pdnopt.units import SQRT3

__all__ = ["cord_excess"]

FOR_GOOD = 0.8
"""NEC 210.20(A): at most 80 % of a breaker for three hours or more."""


def cord_excess(racks: NewRacks, vn_kv: float, policy: Policy) -> list[str]:
    """Return in words why the breaker of its own cord is too small for each rack; "" where it is not.

    Without a failure each cord carries its part; when a rack of two cords loses one, the other carries all at once,
    and its floor for good.

    Parameters
    ----------
    vn_kv : float
        Of the buses.
    """
    rated_kva = SQRT3 * vn_kv * racks.breaker_a
    held = FOR_GOOD if policy.hold_s >= CONTINUOUS_S else 1.0
    full, floor = racks.p_kw / policy.power_factor, racks.floor_kw / policy.power_factor
    tests = (
        ("without a failure", full / racks.cords - FOR_GOOD * rated_kva),
        ("at once when it is its only cord", np.where(racks.cords > 1, full - rated_kva, -1.0)),
        ("for good when it is its only cord", np.where(racks.cords > 1, floor - held * rated_kva, -1.0)),
    )
    said = [""] * len(racks.name)
    for when, excess in tests:
        for k in np.flatnonzero(np.nan_to_num(excess, nan=-1.0) > 1e-9).tolist():
            text = f"its own breaker of {racks.breaker_a[k]:g} A lacks {excess[k]:.1f} kVA {when}"
            said[k] = said[k] or text
    return said
