"""From a pandapower network to a :class:`Grid`: the order in which its parts are read."""

from __future__ import annotations

from typing import Any

from pdnopt.plant.grid.arrays import Grid
from pdnopt.plant.grid.branches import read_branches
from pdnopt.plant.grid.injections import read_injections
from pdnopt.plant.grid.interlocks import read_interlocks
from pdnopt.plant.grid.nodes import NodeTable, finished_nodes
from pdnopt.plant.grid.sources import read_sources
from pdnopt.plant.grid.storages import read_storages
from pdnopt.plant.grid.switches import read_switches
from pdnopt.plant.grid.transfers import read_transfers
from pdnopt.plant.grid.ups import read_upss

__all__ = ["read_grid"]


def read_grid(net: Any) -> Grid:
    """Read a validated pandapower network into a :class:`Grid`. ``net`` is not changed."""
    nodes = NodeTable(net)
    branches = read_branches(net, nodes)  # adds the star points of three-winding transformers to the nodes
    switches = read_switches(net, nodes)
    injection_p_kw, injection_q_kvar = read_injections(net, nodes)
    return Grid(
        nodes=finished_nodes(nodes, branches),
        branches=branches,
        switches=switches,
        sources=read_sources(net, nodes, branches, switches),
        upss=read_upss(net, nodes, switches),
        transfers=read_transfers(net, nodes, switches),
        interlocks=read_interlocks(net, switches),
        storages=read_storages(net, nodes),
        injection_p_kw=injection_p_kw,
        injection_q_kvar=injection_q_kvar,
        node_of_bus=nodes.node_of_bus,
    )
