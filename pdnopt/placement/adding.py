"""A network with new racks in it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from pdnopt.placement.racks import NewRacks
from pdnopt.plant import create_racks
from pdnopt.units import KW_PER_MW

__all__ = ["with_racks"]


def with_racks(net: Any, racks: NewRacks, buses: Mapping[str, tuple[int, ...]], power_factor: float) -> Any:
    """Return a copy of a network with those racks that have buses; redundant ones are sheddable, the others are not."""
    out = deepcopy(net)
    mine = np.array([name in buses for name in racks.name], dtype=bool)
    for cords in np.unique(racks.cords[mine]):
        rows = np.flatnonzero(mine & (racks.cords == cords))
        created = create_racks(
            out,
            np.array([buses[racks.name[k]] for k in rows]),
            [racks.name[k] for k in rows],
            racks.p_kw[rows] / KW_PER_MW,
            power_factor=power_factor,
            priority=racks.priority[rows],
            min_p_mw=racks.min_p_kw[rows] / KW_PER_MW,
            sheddable=racks.redundant[rows],
        )
        out.load.loc[created.ravel(), "breaker_a"] = np.repeat(racks.breaker_a[rows], cords)
    return out
