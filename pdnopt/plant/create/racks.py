"""Racks, one at a time or in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.plant.create.rows import create_native

__all__ = ["Cords", "create_rack", "create_racks", "read_cords"]


def create_rack(
    net: Any,
    buses: Sequence[int],
    name: str,
    p_mw: float,
    power_factor: float = 0.98,
    shares: Sequence[float] | None = None,
    priority: int = 3,
    min_p_mw: float = nan,
    sheddable: bool = True,
    max_p_mw: float = nan,
    holdup_ms: float = 20.0,
    restart_s: float = 0.0,
    breaker_a: float = nan,
) -> list[int]:
    """Create one rack with a cord to each bus of ``buses``; see `create_racks` for many at once.

    Parameters
    ----------
    p_mw : float
        Demand of the whole rack; ``min_p_mw`` its power cap floor (NaN: cannot be capped).
    shares : sequence of float, optional
        Part of each cord; default equal.
    max_p_mw : float
        Largest power of one cord.

    Returns
    -------
    list of int : rows of ``net.load``, one a cord.
    """
    rows = create_racks(
        net,
        np.asarray([buses]),
        [name],
        np.asarray([p_mw]),
        power_factor,
        shares,
        np.asarray([priority]),
        np.asarray([min_p_mw]),
        np.asarray([sheddable]),
        max_p_mw,
        holdup_ms,
        restart_s,
        breaker_a,
    )
    return [int(row) for row in rows[0]]


def create_racks(
    net: Any,
    buses: np.ndarray,
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
    """Create many racks in bulk (``create_load`` row by row costs 1 ms each).

    Parameters
    ----------
    buses : ndarray of int, shape (racks, cords)
    names : sequence of str, shape (racks,)
    p_mw, priority, min_p_mw, sheddable : shape (racks,) or scalar

    Returns
    -------
    ndarray of int, shape (racks, cords) : rows of ``net.load``.
    """
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
    rows = create_native(
        pp.create_loads,
        net,
        "load",
        buses.ravel(),
        p_mw=cords.p_mw,
        q_mvar=cords.p_mw * float(np.tan(np.arccos(power_factor))),
        name=cords.name,
        columns=cords.columns,
    )
    return np.asarray(rows, dtype=int).reshape(buses.shape)


@dataclass(frozen=True)
class Cords:
    """Rows of a table of loads, cord after cord: names, powers, and pdnopt's columns."""

    name: list[str]
    p_mw: np.ndarray
    columns: dict[str, Any]


def read_cords(
    buses: np.ndarray,
    names: Sequence[str],
    p_mw: np.ndarray,
    shares: Sequence[float] | None,
    priority: np.ndarray | int,
    min_p_mw: np.ndarray | float,
    sheddable: np.ndarray | bool,
    of_each_cord: dict[str, float],
) -> Cords:
    """Spread racks over their cords; arguments as in `create_racks`, ``of_each_cord`` columns alike for all."""
    n_racks, n_cords = buses.shape
    share = np.full(n_cords, 1.0 / n_cords) if shares is None else np.asarray(shares, dtype=float)
    share = share / share.sum()
    demand_mw = np.broadcast_to(np.asarray(p_mw, dtype=float), (n_racks,))
    floor_mw = np.broadcast_to(np.asarray(min_p_mw, dtype=float), (n_racks,))
    letters = [chr(ord("A") + k) for k in range(n_cords)]
    return Cords(
        [f"{name}/{letter}" for name in names for letter in letters],
        (demand_mw[:, None] * share).ravel(),
        {
            "rack": np.repeat(np.asarray(names, dtype=object), n_cords),
            "cord": np.tile(np.asarray(letters, dtype=object), n_racks),
            "share": np.tile(share, n_racks),
            "priority": np.repeat(np.broadcast_to(np.asarray(priority, dtype=float), (n_racks,)), n_cords),
            "min_p_mw": (floor_mw[:, None] * share).ravel(),
            "sheddable": np.repeat(np.broadcast_to(np.asarray(sheddable, dtype=bool), (n_racks,)), n_cords),
            **of_each_cord,
        },
    )
