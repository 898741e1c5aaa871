"""Spectra for tests and benchmarks. All are generated, none is measured: odd harmonics that fall with the order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["filtered", "generated"]

PERCENT = {
    3: 20.0,
    5: 12.0,
    7: 8.0,
    9: 4.0,
    11: 3.0,
    13: 2.5,
    15: 2.0,
    17: 1.5,
    19: 1.2,
    21: 1.0,
    23: 0.8,
    25: 0.7,
}
"""Shape of a rectifier with little correction, far above a server power supply with active correction (THD 5 to 10 %)."""


def generated(
    net: Any, orders: tuple[int, ...] = tuple(PERCENT), scale: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Return a spectrum for every phase of every single-phase circuit: sizes within 30 %, angles within 30 degrees."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, row in net.asymmetric_load.iterrows():
        for phase in "abc":
            if row[f"p_{phase}_mw"] > 0:
                for h in orders:
                    size = scale * PERCENT[h] * rng.uniform(0.7, 1.3)
                    angle = (180.0 if h % 4 == 3 else 0.0) + rng.uniform(-30.0, 30.0)
                    rows.append((f"asymmetric_load:{k}", h, phase, size, angle))
    return pd.DataFrame(rows, columns=["circuit", "order", "phase", "percent", "angle_degree"])


def filtered(net: Any) -> Any:
    """Return the network with an active filter in every inverter."""
    net.asymmetric_sgen["active_filter"] = True
    return net
