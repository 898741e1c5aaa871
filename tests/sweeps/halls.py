"""Plants of several parts: two halls behind one utility bus, and two plants side by side in one network."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from pdnopt.plant import (
    create_empty_plant,
    create_overload_curve,
    create_racks,
    create_switch,
    create_ups,
    create_utility,
)
from pdnopt.plant.reindex import reindex_elements
from pdnopt.plant.tables import ensure_tables

LABELS = ("name", "rack", "overload_curve", "sync_group")
"""Columns of names that must not meet those of another plant."""


def two_halls(utility_mw: float | None = None) -> Any:
    """Return two halls behind one utility bus, each with two UPSs of 30 kW and four dual-corded racks of 10 kW.

    Without a limit of the utility nothing joins the halls; with one they compete for it.
    """
    net = create_empty_plant()
    net["name"] = "two halls"
    create_overload_curve(net, "minute", [(1.5, 60.0)])
    grid = bus(net, "grid")
    limit = {} if utility_mw is None else {"max_p_mw": utility_mw}
    create_utility(net, grid, "Utility", **limit)
    for hall in ("H1", "H2"):
        main = bus(net, f"{hall} main")
        create_switch(net, grid, main, f"{hall} Q")
        pdus = []
        for side in ("A", "B"):
            out, pdu = bus(net, f"{hall} out {side}"), bus(net, f"{hall} PDU {side}")
            create_ups(
                net,
                main,
                out,
                f"{hall} UPS-{side}",
                p_rated_mw=0.030,
                s_rated_mva=0.030,
                overload_curve="minute",
            )
            create_switch(net, out, pdu, f"{hall} F{side}")
            pdus.append(pdu)
        names = [f"{hall} R{k}" for k in range(1, 5)]
        create_racks(net, np.array([pdus] * 4), names, np.full(4, 0.010), priority=np.array([1, 2, 3, 3]))
    return net


def bus(net: Any, name: str) -> int:
    """Create a 400 V bus."""
    return int(pp.create_bus(net, 0.4, name=name, min_vm_pu=0.9, max_vm_pu=1.1))


def side_by_side(one: Any, other: Any) -> Any:
    """Return a network with two plants that share nothing; the names of the second begin with "B "."""
    net, second = deepcopy(one), deepcopy(other)
    ensure_tables(net)
    tables = [
        table
        for table, frame in second.items()
        if isinstance(frame, pd.DataFrame) and len(frame) and not table.startswith(("_", "res_"))
    ]
    for table in tables:
        if table in ("std_types", "overload_curve"):
            continue
        offset = 1000
        reindex_elements(second, table, {int(i): int(i) + offset for i in second[table].index})
    for table in tables:
        frame = second[table]
        for column in set(LABELS) & set(frame.columns):
            frame[column] = [
                f"B {text}" if isinstance(text, str) and text else text for text in frame[column]
            ]
        if table == "overload_curve":
            frame.index = frame.index + 1000
        dtypes = net[table].dtypes
        net[table] = pd.concat([net[table], frame]) if len(net[table]) else frame
        for column in net[table].columns:
            if column in dtypes and net[table][column].notna().all():
                net[table][column] = net[table][column].astype(dtypes[column])
    net["name"] = f"{one.name} and {other.name}"
    return net
