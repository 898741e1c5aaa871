"""Demand for an empty hall, as deployments arrive: synthetic, in the shape of published ones.

The shape is that of Flex (Zhang et al., ISCA 2021): deployments of some tens of racks of 5..20 kW, each deployment of
one kind - software-redundant (may be shed in an emergency), cap-able (to a floor) or neither. Sizes, powers, floors and
the parts of the kinds below are ours, drawn from a seed; no trace of anybody's is used.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.tables import values

__all__ = ["KINDS", "deployments", "pdus", "vacated"]

SIZES = (5, 10, 20)
"""Racks of a deployment, each as likely."""
LOW_KW, HIGH_KW = 5.0, 20.0
"""Power of a rack: uniform, the same for all racks of a deployment, in steps of 0.1 kW."""
KINDS = {"redundant": 0.15, "capable": 0.55, "fixed": 0.30}
"""Parts of the deployments (of the order that Flex reports; commonly quoted, not read again)."""
FLOOR = (0.70, 0.85)
"""Floor of cap-able racks as a part of their power."""
PRIORITY = {"redundant": 3, "capable": 2, "fixed": 1}


def deployments(total_kw: float, seed: int, grouped: bool = True) -> pd.DataFrame:
    """Draw deployments until together they ask for at least ``total_kw``.

    Parameters
    ----------
    total_kw : float
    seed : int
        The same seed gives the same table.
    grouped : bool
        False: every rack for itself, without the column ``deployment``.

    Returns
    -------
    DataFrame : the table that `pdnopt.place` takes; racks of two cords.
    """
    if not total_kw > 0:
        raise ValueError(f"total_kw must be positive, not {total_kw}")
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    asked_kw, number = 0.0, 0
    while asked_kw < total_kw:
        number += 1
        size = int(rng.choice(SIZES))
        p_kw = round(float(rng.uniform(LOW_KW, HIGH_KW)), 1)
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        floor = round(p_kw * float(rng.uniform(*FLOOR)), 2)
        for k in range(size):
            rows.append(
                {
                    "name": f"D{number:03d}-{k + 1:02d}",
                    "p_kw": p_kw,
                    "cords": 2,
                    "priority": PRIORITY[kind],
                    "min_p_kw": floor if kind == "capable" else np.nan,
                    "redundant": kind == "redundant",
                    "deployment": f"D{number:03d}",
                }
            )
        asked_kw += size * p_kw
    frame = pd.DataFrame(rows)
    return frame if grouped else frame.drop(columns="deployment")


def vacated(net: Any) -> Any:
    """Return a copy of a network without its racks and loads; what stands for the input of a UPS stays."""
    out = deepcopy(net)
    out.load = out.load[values(out, "load", "kind") == "ups_input"]
    out.asymmetric_load = out.asymmetric_load.iloc[:0]
    return out


def pdus(net: Any) -> list[str]:
    """Return the names of a hall's PDU buses, the places of new racks."""
    return [str(name) for name in net.bus["name"] if str(name).startswith("PDU-")]
