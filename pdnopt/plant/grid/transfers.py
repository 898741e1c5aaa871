"""Transfer devices, with their positions among the switches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pdnopt.plant.grid.arrays import Switches, Transfers
from pdnopt.plant.grid.nodes import NodeTable
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values

__all__ = ["read_transfers"]


def read_transfers(net: Any, nodes: NodeTable, switches: Switches) -> Transfers:
    """Read ``net.transfer``; ``switches`` know to which of them they belong."""
    frame = net["transfer"] if "transfer" in net else pd.DataFrame({"bus": []})

    def of(name: str) -> np.ndarray:
        return values(net, "transfer", name)

    at = {int(i): k for k, i in enumerate(switches.index)}
    return Transfers(
        index=frame.index.to_numpy(),
        name=component_names(net, "transfer"),
        kind=of("kind"),
        node=nodes.of(of("bus")),
        transfer_s=of("transfer_ms") / 1000.0,
        closed_transition=of("transition") == "closed",
        auto=of("auto"),
        preferred=np.array([at.get(int(v), -1) if v == v else -1 for v in of("preferred")], dtype=int),
        retransfer_s=of("retransfer_s"),
        min_dwell_s=of("min_dwell_s"),
        dwell_left_s=of("dwell_left_s"),
        stuck=of("stuck"),
        in_service=of("in_service"),
        positions=tuple(np.flatnonzero(switches.transfer == k) for k in range(len(frame))),
    )
