"""``node_mesh``: a tree of power nodes made of 10 kW modules, with open ties between the nodes of each level.

::

    feed A -----+-----------+--------     feed B --+-----------+-----        (two utility services, 400 V)
                |           |                      |           |
               N1 ---o---- N2 ---o---- N3 ---o---- N4 ---o---- N1            4 roots of 9 modules, 90 kVA
              / | \\
            A1-o-A2-o-A3-o-A4 ... A12-o-A1                                   12 aggregators of 3 modules, 30 kVA
           // \\\\
          L1-1 L1-2 L1-3 L1-4                                                48 leaves of 1 module, 10 kVA
           o    o    o    o
          L2-1 L2-2 L2-3 L2-4 ...                                            --o-- open tie, node to node

* Every root has a solid-state transfer switch between both feeds, which moves by itself: N1 and N3 stand on A.
* Leaf k of each aggregator is tied to leaf k of the next one, aggregators and roots to the next one too, in a ring.
* A leaf feeds four outlets, 4.6 kW in all: two devices with one cord (2.3 kW), two with cord A here and cord B three
  aggregators on, which is under the next root and on the other feed; and two cords B from three aggregators back.

What is hard: a node that dies takes all below it. Ties bring it back, but each neighbour has only little to spare
(10 - 4.7 kVA a leaf, 30 - 19 an aggregator), so the way around must be spread over many, and where a root dies even
nodes that still live have to move on to make room. What a first search finds restores a part only.

Ratings
-------
* Module 10 kVA, as the power node was conceived (5..10 kW each, stacked for more). A node's rating is that of its
  input switch; ties carry as much as one of their nodes.
* Solid-state switches: 1 ms. SOURCE: below a millisecond is what such switches promise (commonly quoted).
* Cables: copper, r of IEC 60228 class 2 at 20 degC, warm (`ratings`): leaf 4 mm2 4.61, aggregator 16 mm2 1.15 ohm/km;
  ampacity in air IEC 60364-5-52 table B.52.12, method E: 42 and 100 A (commonly quoted), grouping 0.8;
  x = 0.09 ohm/km typical. Service: `ratings.PDU_CABLE`, 30 m.
* Outlet: IEC 60320 C13, 10 A at 230 V. Outlets of a leaf are spread over its phases and are modelled as balanced.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import draw_groups
from pdnopt.plant import create_empty_plant, create_racks, create_utility

__all__ = ["node_mesh"]

ROOTS = 4
AGGREGATORS = 12
LEAVES = 4
"""Leaves under one aggregator."""
MODULE_KVA = 10.0
ROOT_MODULES, AGGREGATOR_MODULES = 9, 3
KIND_KW = 2.3
"""Of one leaf: its devices with one cord, and those with cord A on it."""
DEVICES_OF_KIND = 2
PARTNER = 3
"""Cord B is so many aggregators further on."""
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 15.0
"""SOURCE: server power supplies, 10..20 ms at full load (typical)."""
RESTART_S = 120.0
"""SOURCE: a server starts within minutes (commonly quoted)."""
SST_MS = 1.0
OUTLET_KW = 10.0 * 0.230 * POWER_FACTOR
WARM = 1.0 + 0.00393 * 70.0
LEAF_CABLE = rt.Conductor(4.61 * WARM, 0.09, 0.042, df=0.8)
AGGREGATOR_CABLE = rt.Conductor(1.15 * WARM, 0.09, 0.100, df=0.8)
LEAF_LENGTH_KM, AGGREGATOR_LENGTH_KM, SERVICE_LENGTH_KM = 0.005, 0.015, 0.030
SERVICE_KA = 0.63


def node_mesh(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the powers of devices inside each leaf, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        192 devices, 288 circuits, 220.8 kW; 4 roots, 12 aggregators, 48 leaves, 64 open ties.
    """
    d = Drawing()
    grids, boards = _services(d)
    roots = _roots(d, boards)
    of_root = np.repeat(roots, AGGREGATORS // ROOTS).tolist()
    aggregators = _level(
        d, "A", of_root, [f"{k + 1}" for k in range(AGGREGATORS)], AGGREGATOR_MODULES, AGGREGATOR_CABLE
    )
    names = [f"{a + 1}-{k + 1}" for a in range(AGGREGATORS) for k in range(LEAVES)]
    leaves = _level(d, "L", np.repeat(aggregators, LEAVES).tolist(), names, 1, LEAF_CABLE)
    _ties(d, "N", roots, ROOT_MODULES, 1)
    _ties(d, "A", aggregators, AGGREGATOR_MODULES, 1)
    _ties(d, "L", leaves, 1, LEAVES)
    net = create_empty_plant("node_mesh")
    d.write(net)
    for side, bus in zip("AB", grids, strict=True):
        create_utility(
            net, bus, f"Utility-{side}", max_p_mw=sqrt(3.0) * rt.LV_KV * SERVICE_KA, sync_group="grid"
        )
    _devices(net, np.array(leaves), seed)
    return net


def _ka(modules: int) -> float:
    return modules * MODULE_KVA / (sqrt(3.0) * rt.LV_KV) / 1000.0


def _services(d: Drawing) -> tuple[list[int], list[int]]:
    """Two services with a breaker; returns the buses of the utilities, and the boards."""
    grids, boards = [], []
    for side in "AB":
        grids.append(d.bus(f"grid {side}", rt.LV_KV))
        boards.append(d.bus(f"feed {side}", rt.LV_KV))
        line = d.line(f"service {side}", grids[-1], boards[-1], SERVICE_LENGTH_KM, rt.PDU_CABLE)
        d.switch(f"QF-{side}", grids[-1], line, SERVICE_KA, rt.CLOSE_MS, et="l")
        d.switch(f"QI-{side}", boards[-1], line, SERVICE_KA, rt.CLOSE_MS, et="l")
    return grids, boards


def _roots(d: Drawing, boards: list[int]) -> list[int]:
    """Roots behind their transfer switches, in turn on one feed and on the other."""
    roots = []
    for k in range(ROOTS):
        roots.append(d.bus(f"N{k + 1}", rt.LV_KV))
        d.transfer(
            f"S-N{k + 1}", "STS", roots[-1], boards if k % 2 == 0 else boards[::-1], _ka(ROOT_MODULES), SST_MS
        )
    return roots


def _level(
    d: Drawing, letter: str, parents: list[int], names: list[str], modules: int, cable: rt.Conductor
) -> list[int]:
    """Nodes below their parents: outlet switch, cable, input switch."""
    nodes = []
    length_km = AGGREGATOR_LENGTH_KM if letter == "A" else LEAF_LENGTH_KM
    for name, parent in zip(names, parents, strict=True):
        nodes.append(d.bus(f"{letter}{name}", rt.LV_KV))
        line = d.line(f"cable {letter}{name}", parent, nodes[-1], length_km, cable)
        d.switch(f"F-{letter}{name}", parent, line, _ka(modules), SST_MS, et="l")
        d.switch(f"S-{letter}{name}", nodes[-1], line, _ka(modules), SST_MS, et="l")
    return nodes


def _ties(d: Drawing, letter: str, nodes: list[int], modules: int, step: int) -> None:
    """Open ties from every node to the one ``step`` further on in the ring of its level."""
    for k, node in enumerate(nodes):
        name = f"T-{letter}{k + 1}" if step == 1 else f"T-{letter}{k // step + 1}-{k % step + 1}"
        d.switch(name, node, nodes[(k + step) % len(nodes)], _ka(modules), SST_MS, closed=False)


def _devices(net: Any, leaves: np.ndarray, seed: int) -> None:
    """Devices with two cords (priorities 1 and 2), and with one (2 and 3)."""
    rng = np.random.default_rng(seed)
    partners = np.roll(leaves, -PARTNER * LEAVES)
    for kind, buses, parts in (
        ("D", np.column_stack([leaves, partners]), {1: 0.6, 2: 0.4}),
        ("S", leaves[:, None], {2: 0.4, 3: 0.6}),
    ):
        draw = draw_groups(rng, len(leaves), DEVICES_OF_KIND, KIND_KW, parts)
        create_racks(
            net,
            np.repeat(buses, DEVICES_OF_KIND, axis=0),
            [f"{kind}{k + 1:03d}" for k in range(draw.p_mw.size)],
            draw.p_mw.ravel(),
            power_factor=POWER_FACTOR,
            priority=draw.priority.ravel(),
            min_p_mw=draw.min_p_mw.ravel(),
            max_p_mw=OUTLET_KW / 1000.0,
            holdup_ms=HOLDUP_MS,
            restart_s=RESTART_S,
        )
