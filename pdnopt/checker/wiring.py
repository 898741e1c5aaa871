"""The plant as a graph: buses and open branch ends are nodes; branches and switches are edges.

A switch at the end of a branch gets a node of its own behind it, so that opening it leaves the branch
hanging. A *block* is what hangs together without any switch: the smallest part that a protection can cut out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["Wiring", "components"]

_ENDS = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
    "impedance": ("from_bus", "to_bus"),
}
KEPT_PARTS = 512
_TABLE_OF_ET = {"l": "line", "t": "trafo", "t3": "trafo3w"}


def components(n: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Return the number of the connected part of each of ``n`` nodes, shape (n,)."""
    if not n:
        return np.zeros(0, dtype=int)
    graph = coo_matrix((np.ones(len(tail), dtype=np.int8), (tail, head)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=int)


class Wiring:
    """Nodes and edges of one network.

    Attributes
    ----------
    n_bus, n_node : int
        Nodes 0..n_bus-1 are the rows of ``net.bus``.
    node_ok : bool, shape (n_node,)
        In service.
    tail, head : int, shape (E,)
        Branch edges that are in service (a three-winding transformer has three, to a star node).
    sw_tail, sw_head : int, shape (n_switch,)
        The two sides of each switch: its bus, and the other bus or the branch end behind it.
    block : int, shape (n_node,)
    nodes_of : dict
        (table, row) of a branch -> its nodes.
    ends : dict
        "line", "trafo" -> the two nodes of each row, in the order of the table, shape (rows, 2).
    """

    def __init__(self, net: Any) -> None:
        self.n_bus = len(net.bus)
        self.bus_at = {int(i): k for k, i in enumerate(net.bus.index)}
        ok = [bool(v) for v in net.bus["in_service"]]
        self._count = self.n_bus
        ends: dict[tuple[str, int, int], int] = {}
        self.sw_tail = np.zeros(len(net.switch), dtype=int)
        self.sw_head = np.zeros(len(net.switch), dtype=int)
        columns = (net.switch[c].to_numpy() for c in ("bus", "element", "et"))
        for k, (bus, element, et) in enumerate(zip(*columns, strict=True)):
            at = self.bus_at[int(bus)]
            if et == "b":
                self.sw_tail[k], self.sw_head[k] = at, self.bus_at[int(element)]
                continue
            key = (_TABLE_OF_ET[et], int(element), int(bus))
            self.sw_tail[k] = ends.get(key, at)
            self.sw_head[k] = ends[key] = self._new_node(ok)
        tail, head = [], []
        self.nodes_of: dict[tuple[str, int], list[int]] = {}
        for table, columns_of_ends in _ENDS.items():
            if table not in net or not len(net[table]):
                continue
            frame = net[table]
            buses = np.column_stack([frame[c].to_numpy() for c in columns_of_ends]).astype(int)
            alive = frame["in_service"].to_numpy(bool)
            for index, row, on in zip(frame.index, buses, alive, strict=True):
                nodes = [ends.get((table, int(index), int(b)), self.bus_at[int(b)]) for b in row]
                if table == "trafo3w":
                    star = self._new_node(ok)
                    pairs = [(star, node) for node in nodes]
                    nodes = [*nodes, star]
                else:
                    pairs = [(nodes[0], nodes[1])]
                self.nodes_of[(table, int(index))] = nodes
                if on:
                    tail += [a for a, _ in pairs]
                    head += [b for _, b in pairs]
        self.ends = {
            table: np.array([self.nodes_of[(table, int(i))] for i in net[table].index], dtype=int).reshape(
                -1, 2
            )
            for table in ("line", "trafo")
        }
        self.n_node = self._count
        self.node_ok = np.array(ok, dtype=bool)
        self.tail, self.head = np.array(tail, dtype=int), np.array(head, dtype=int)
        use = self.node_ok[self.tail] & self.node_ok[self.head]
        self.tail, self.head = self.tail[use], self.head[use]
        self.block = components(self.n_node, self.tail, self.head)
        self.n_block = int(self.block.max()) + 1 if self.n_node else 0
        self._parts: dict[bytes, np.ndarray] = {}

    def _new_node(self, ok: list[bool]) -> int:
        ok.append(True)
        self._count += 1
        return self._count - 1

    def bus_node(self, index: float) -> int:
        """Return the node of a bus index, -1 for NaN (no such connection)."""
        return -1 if np.isnan(index) else self.bus_at[int(index)]

    def parts(self, closed: np.ndarray, dead: np.ndarray) -> np.ndarray:
        """Return which part each node belongs to with these switches closed, (n_node,).

        ``dead`` marks whole blocks: nothing passes through them. Answers are kept for the next question.
        """
        key = closed.tobytes() + dead.tobytes()
        if key not in self._parts:
            if len(self._parts) >= KEPT_PARTS:
                self._parts.clear()
            alive = self.node_ok & ~dead
            use = closed & alive[self.sw_tail] & alive[self.sw_head]
            of_block = components(self.n_block, self.block[self.sw_tail[use]], self.block[self.sw_head[use]])
            self._parts[key] = of_block[self.block]
        return self._parts[key]
