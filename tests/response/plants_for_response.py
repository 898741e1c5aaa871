"""Small plants for the tests of the response; every number is chosen for sums by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandapower as pp

from pdnopt.plant import (
    create_empty_plant,
    create_racks,
    create_switch,
    create_transfer,
    create_ups,
    create_utility,
)

KV = 0.4


def buses(net: Any, *names: str) -> list[int]:
    """Create 0.4 kV buses."""
    return [int(pp.create_bus(net, KV, name=name)) for name in names]


def racks(net: Any, at: list[list[int]], kw: float = 10.0, **more: Any) -> None:
    """Create racks R1, R2, ... with cords to the buses of each entry."""
    names = [f"R{k + 1}" for k in range(len(at))]
    create_racks(net, np.array(at), names, np.full(len(at), kw / 1000.0), power_factor=1.0, **more)


def two_sources(*names: str) -> tuple[Any, list[int]]:
    """Utilities A and B at "grid A" and "grid B", switches QA, QB to "main A", "main B"; then more buses."""
    net = create_empty_plant()
    grid_a, grid_b, main_a, main_b = buses(net, "grid A", "grid B", "main A", "main B")
    create_utility(net, grid_a, "A")
    create_utility(net, grid_b, "B")
    create_switch(net, grid_a, main_a, "QA")
    create_switch(net, grid_b, main_b, "QB")
    return net, [main_a, main_b, *buses(net, *names)]


@cache
def one_transfer(transfer_ms: float, **more: Any) -> Any:
    """One single-corded 10 kW rack R1 behind transfer T on main A, main B. Shared: copy before a change."""
    net, (main_a, main_b, out) = two_sources("out")
    create_transfer(net, out, [main_a, main_b], "T", transfer_ms=transfer_ms, **more)
    racks(net, [[out]])
    return net


def hall(n_buses: int = 100, n_loads: int = 1000, transfers: int = 20) -> Any:
    """Two mains, four UPSs, PDUs behind STSs; ``n_loads`` cords of dual-corded racks."""
    net, (main_a, main_b) = two_sources()
    outs = buses(net, *(f"out {k}" for k in range(4)))
    for k, out in enumerate(outs):
        main = (main_a, main_b)[k % 2]
        create_ups(net, main, out, f"U{k}", 1.0, 1.0, bypass_bus=main, e_max_mwh=0.1)
    pdus = buses(net, *(f"pdu {k}" for k in range(n_buses - 8)))
    for k, pdu in enumerate(pdus):
        if k < transfers:
            pair = [outs[k % 4], outs[(k + 1) % 4]]
            create_transfer(net, pdu, pair, f"T{k}", transfer_ms=4.0)
        else:
            create_switch(net, outs[k % 4], pdu, f"F{k}")
    n = n_loads // 2
    ends = np.array([[pdus[k % len(pdus)], pdus[(k + 1) % len(pdus)]] for k in range(n)])
    create_racks(net, ends, [f"R{k}" for k in range(n)], np.full(n, 0.006))
    return net
