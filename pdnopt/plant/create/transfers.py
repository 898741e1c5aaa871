"""Transfer devices, with their positions."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Any

import pandapower as pp

from pdnopt.plant.create.rows import add_row, create_native

__all__ = ["create_transfer"]


def create_transfer(
    net: Any,
    bus: int,
    sources: Sequence[int],
    name: str,
    kind: str = "ATS",
    closed_on: int | None = 0,
    transfer_ms: float = 100.0,
    transition: str = "open",
    parallel_ms: float = 100.0,
    auto: bool = True,
    preferred: int | None = 0,
    retransfer_s: float = inf,
    min_dwell_s: float = 0.0,
    in_ka: float = nan,
) -> int:
    """Create a transfer device: its positions are bus-bus switches from each source bus to ``bus``.

    Parameters
    ----------
    bus : int
        Output bus.
    sources : sequence of int
        Source buses, one position each.
    closed_on, preferred : int or None
        *Position* (0, 1, ...) that is closed now, and that is preferred.
    transfer_ms : float
        Time without voltage of a transfer. ATS 50-150 ms, STS about 4 ms, micro-ATS below 5 ms.

    Returns
    -------
    int : index in ``net.transfer``.
    """
    idx = add_row(
        net,
        "transfer",
        {
            "name": name,
            "kind": kind,
            "bus": bus,
            "transfer_ms": transfer_ms,
            "transition": transition,
            "parallel_ms": parallel_ms,
            "auto": auto,
            "retransfer_s": retransfer_s,
            "min_dwell_s": min_dwell_s,
        },
    )
    switches = []
    for position, source in enumerate(sources):
        switch = int(
            create_native(
                pp.create_switch,
                net,
                "switch",
                source,
                bus,
                et="b",
                closed=position == closed_on,
                name=f"{name}/{position + 1}",
                in_ka=in_ka,
                columns={"transfer": float(idx), "t_operate_ms": transfer_ms},
            )
        )
        switches.append(switch)
    if preferred is not None:
        net.transfer.loc[idx, "preferred"] = float(switches[preferred])
    return idx
