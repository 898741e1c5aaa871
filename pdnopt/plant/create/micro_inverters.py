"""Micro-inverters (MIM): inverters at a PDU or rack that inject per phase."""

from __future__ import annotations

from math import nan
from typing import Any

import pandapower as pp

from pdnopt.plant.create.rows import create_native

__all__ = ["create_micro_inverter"]


def create_micro_inverter(
    net: Any,
    bus: int,
    name: str,
    s_max_mva: float,
    storage: int | None = None,
    loss_percent: float = 3.0,
    active_filter: bool = False,
) -> int:
    """Create a micro-inverter: a row of ``net.asymmetric_sgen`` of kind "mim" that injects nothing yet.

    Parameters
    ----------
    s_max_mva : float
        Largest apparent power of each phase.
    storage : int, optional
        Index in ``net.storage`` of the DC-coupled battery on its DC link; without one the powers of its
        phases add up to its loss.

    Returns
    -------
    int : index in ``net.asymmetric_sgen``.
    """
    return int(
        create_native(
            pp.create_asymmetric_sgen,
            net,
            "asymmetric_sgen",
            bus,
            name=name,
            columns={
                "kind": "mim",
                "s_max_mva": s_max_mva,
                "storage": nan if storage is None else float(storage),
                "loss_percent": loss_percent,
                "active_filter": active_filter,
            },
        )
    )
