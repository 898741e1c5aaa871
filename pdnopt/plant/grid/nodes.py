"""Nodes: the buses, what is added behind switches and in three-winding transformers, and the blocks."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

import numpy as np

from pdnopt.plant.graph import connected_parts
from pdnopt.plant.grid.arrays import Branches, IntArray, Nodes
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values

__all__ = ["NodeTable", "finished_nodes"]

_TABLE_OF_ET = {"l": "line", "t": "trafo", "t3": "trafo3w"}


class NodeTable:
    """The nodes while a network is read: the buses in table order, then auxiliary nodes as they are needed.

    Every end of a line or transformer that has a switch gets an auxiliary node behind it at once.
    """

    def __init__(self, net: Any) -> None:
        frame = net.bus
        self.bus = [int(b) for b in frame.index]
        self.node_of_bus = {bus: node for node, bus in enumerate(self.bus)}
        self.name = component_names(net, "bus")
        self.vn_kv = list(frame["vn_kv"].to_numpy(float))
        self.v_min_pu = list(native_values(frame, "min_vm_pu", 0.0))
        self.v_max_pu = list(native_values(frame, "max_vm_pu", inf))
        self.in_service = list(frame["in_service"].to_numpy(bool))
        self._behind_switch: dict[tuple[str, int, int], int] = {}
        switch = net.switch
        for bus, element, et in zip(switch["bus"], switch["element"], switch["et"], strict=True):
            if et in _TABLE_OF_ET:
                self._add_behind_switch(_TABLE_OF_ET[et], int(element), int(bus))

    def _add_behind_switch(self, table: str, index: int, bus: int) -> None:
        if (table, index, bus) not in self._behind_switch:
            node = self.node_of_bus[bus]
            added = self.add(node, f"{table}:{index} end at {self.name[node]}")
            self._behind_switch[(table, index, bus)] = added

    def add(self, like: int, name: str) -> int:
        """Add an auxiliary node at the voltage level of the node ``like``; return its position."""
        self.bus.append(-1)
        self.name.append(name)
        self.vn_kv.append(self.vn_kv[like])
        self.v_min_pu.append(0.0)
        self.v_max_pu.append(inf)
        self.in_service.append(True)
        return len(self.bus) - 1

    def of(self, buses: Iterable[Any]) -> IntArray:
        """Return the nodes of buses (pandapower indices)."""
        return np.array([self.node_of_bus[int(b)] for b in buses], dtype=int)

    def end(self, table: str, index: int, bus: int) -> int:
        """Return the node where an element ends at ``bus``: behind its switch, if it has one there."""
        return self._behind_switch.get((table, index, bus), self.node_of_bus[bus])

    def across(self, bus: int, element: int, et: str) -> int:
        """Return the node on the far side of the switch at ``bus`` to ``element`` of pandapower's type ``et``."""
        if et == "b":
            return self.node_of_bus[element]
        return self._behind_switch[(_TABLE_OF_ET[et], element, bus)]


def finished_nodes(table: NodeTable, branches: Branches) -> Nodes:
    """Return the finished nodes, with the block of each."""
    on = branches.in_service
    return Nodes(
        bus=np.asarray(table.bus),
        name=table.name,
        vn_kv=np.asarray(table.vn_kv),
        v_min_pu=np.asarray(table.v_min_pu),
        v_max_pu=np.asarray(table.v_max_pu),
        in_service=np.asarray(table.in_service, dtype=bool),
        block=connected_parts(len(table.bus), branches.tail[on], branches.head[on]),
    )
