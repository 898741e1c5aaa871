"""Racks on single-phase circuits: rows of ``net.asymmetric_load``, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.create.racks import read_cords
from pdnopt.plant.create.rows import create_native

__all__ = ["create_single_phase_racks"]

PHASES = "abc"


def create_single_phase_racks(
    net: Any,
    buses: np.ndarray,
    phases: np.ndarray,
    names: Sequence[str],
    p_mw: np.ndarray,
    power_factor: float = 0.98,
    shares: Sequence[float] | None = None,
    priority: np.ndarray | int = 3,
    min_p_mw: np.ndarray | float = nan,
    sheddable: np.ndarray | bool = True,
    max_p_mw: float = nan,
    holdup_ms: float = 20.0,
    restart_s: float = 0.0,
    breaker_a: float = nan,
) -> np.ndarray:
    """Create many racks whose cords are single-phase circuits, phase to neutral.

    Parameters
    ----------
    buses : ndarray of int, shape (racks, cords)
    phases : ndarray of int, shape (racks, cords)
        0, 1, 2 for phase a, b, c.
    names : sequence of str, shape (racks,)
    p_mw, priority, min_p_mw, sheddable : shape (racks,) or scalar
        Others as in `create_racks`; ``breaker_a`` is that of one pole.

    Returns
    -------
    ndarray of int, shape (racks, cords) : rows of ``net.asymmetric_load``.

    Raises
    ------
    ValueError
        ``phases`` has another shape than ``buses``, or another value than 0, 1, 2.
    """
    if phases.shape != buses.shape or not np.isin(phases, (0, 1, 2)).all():
        raise ValueError("phases must be 0, 1 or 2 for every cord")
    cords = read_cords(
        buses,
        names,
        p_mw,
        shares,
        priority,
        min_p_mw,
        sheddable,
        {"max_p_mw": max_p_mw, "holdup_ms": holdup_ms, "restart_s": restart_s, "breaker_a": breaker_a},
    )
    tan_phi = float(np.tan(np.arccos(power_factor)))
    on = phases.ravel()[:, None] == np.arange(len(PHASES))
    native: dict[str, Any] = {"name": cords.name, "bus": buses.ravel(), "scaling": 1.0, "in_service": True}
    for k, phase in enumerate(PHASES):
        native[f"p_{phase}_mw"] = np.where(on[:, k], cords.p_mw, 0.0)
        native[f"q_{phase}_mvar"] = native[f"p_{phase}_mw"] * tan_phi
    rows = create_native(
        _append, net, "asymmetric_load", {**native, "type": "wye"}, columns={**cords.columns, "poles": 1.0}
    )
    return np.asarray(rows, dtype=int).reshape(buses.shape)


def _append(net: Any, native: dict[str, Any]) -> np.ndarray:
    """Append rows to ``net.asymmetric_load`` (pandapower creates them one by one only); return their indices."""
    frame = net.asymmetric_load
    first = int(frame.index.max()) + 1 if len(frame) else 0
    index = pd.RangeIndex(first, first + len(native["name"]))
    new = pd.DataFrame(
        {
            name: pd.Series(native[name], index=index).astype(frame[name].dtype)
            for name in frame.columns
            if name in native
        },
        index=index,
    ).reindex(columns=frame.columns)
    for name in frame.columns.difference(list(native)):
        if frame[name].dtype == float:
            new[name] = new[name].astype(float)
    net["asymmetric_load"] = pd.concat([frame, new]) if len(frame) else new
    net["asymmetric_load"].index = net["asymmetric_load"].index.astype("int64")
    return index.to_numpy()
