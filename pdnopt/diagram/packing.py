"""Left to right: subtrees packed side by side as close as they fit on every level.

A node's stem stands over the middle of the boards that hang on it, so that stems are straight; no bar or column of one
subtree comes between those of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pdnopt.diagram.collapse import Scheme
from pdnopt.diagram.labels import Label
from pdnopt.diagram.levels import Tree
from pdnopt.diagram.ports import Ports

__all__ = ["BAR_END_PX", "HALF_PX", "Columns", "pack"]

HALF_PX = 15.0
"""Half the width of the widest symbol in a column."""

GAP_PX = 9.0
CORD_PX = 14.0
POSITION_PX = 24.0
BAR_END_PX = 12.0
STORAGE_PX = 26.0
"""Room of the symbol in a battery's block."""
APART_PX = 10.0
ACROSS_PX = 34.0
"""Length of a wire to a neighbour besides its label."""

Contour = dict[int, tuple[float, float]]
"""Extents of a subtree on every level."""


@dataclass
class Columns:
    """Where everything stands from left to right, px.

    Attributes
    ----------
    wire : dict of int to float
        Line of each wire at its lower end.
    riser : dict of int to float
        Line of each wire that leaves its upper node upwards.
    port : dict of (int, int) to float
        Where a node's lane to a level begins.
    extent : dict of int to (float, float)
        Of each node's bar or block.
    left, right : float
        Of the whole.
    """

    wire: dict[int, float] = field(default_factory=dict)
    riser: dict[int, float] = field(default_factory=dict)
    port: dict[tuple[int, int], float] = field(default_factory=dict)
    extent: dict[int, tuple[float, float]] = field(default_factory=dict)
    left: float = 0.0
    right: float = 0.0


def pack(
    scheme: Scheme,
    tree: Tree,
    ports: Ports,
    node_labels: list[Label],
    part_labels: list[list[Label]],
    nodes: list[int],
    tops: list[int],
) -> Columns:
    """Pack trees in a row.

    Parameters
    ----------
    nodes : list of int
        All nodes, parents before their children.
    tops : list of int
        The roots, from left to right.
    """
    packer = _Packer(scheme, tree, ports, node_labels, part_labels)
    for n in reversed(nodes):
        packer.settle(n)
    return packer.place(nodes, tops)


class _Packer:
    """Settles nodes from the leaves up, each relative to an origin of its own."""

    def __init__(
        self,
        scheme: Scheme,
        tree: Tree,
        ports: Ports,
        node_labels: list[Label],
        part_labels: list[list[Label]],
    ) -> None:
        self.scheme, self.tree, self.ports = scheme, tree, ports
        self.node_labels, self.part_labels = node_labels, part_labels
        self.contour: dict[int, Contour] = {}
        self.origin: dict[int, float] = {}  # of a child, relative to its parent's
        self.at = Columns()  # relative to the origin of the node that they are at

    def settle(self, n: int) -> None:
        """Place what hangs on a node, and the node over it."""
        shape, stems, ends = self._row(self.ports.slots.get(n, []), n)
        trunk = [x for child, x in stems.items() if self.scheme.nodes[child].kind in ("bar", "block")]
        over = trunk or list(stems.values())
        anchor = (over[0] + over[-1]) / 2 if over else 0.0
        ends += stems.values()
        low, high = self._tops(n, anchor)
        lines = [self.at.wire[k] for k in self.ports.tops[n]]
        lines += [self.at.riser[k] for k in self.ports.risers.get(n, [])]
        label = self.node_labels[n]
        if self.scheme.nodes[n].kind == "bar":
            reach = [*ends, *lines] or [0.0]
            extent = min(reach) - BAR_END_PX, max(reach) + BAR_END_PX
            if not self.ports.tops[n]:
                extent = extent[0], max(extent[1], extent[0] + label.width_px + 12)
        else:
            middle = (min(lines) + max(lines)) / 2 if lines else anchor
            wide = label.width_px + (STORAGE_PX if self.scheme.nodes[n].kind == "storage" else 0.0)
            half = max(wide + 14, 44.0) / 2
            extent = (
                min([middle - half, *(x - 8 for x in (*ends, *lines))]),
                max([middle + half, *(x + 8 for x in (*ends, *lines))]),
            )
        self.at.extent[n] = extent
        level = self.tree.level[n]
        shape[level] = min(low, extent[0]), max(high, extent[1])
        self.contour[n] = shape

    def place(self, nodes: list[int], tops: list[int]) -> Columns:
        """Return everything relative to one origin."""
        out = Columns()
        shape, _, _ = self._row(self.ports.slots[-1] if tops == self.tree.children[-1] else _row_of(tops), -1)
        absolute: dict[int, float] = {-1: 0.0}
        for n in nodes:
            parent = -1 if n in tops else self.tree.parent[n]
            x = absolute[n] = absolute[parent] + self.origin[n]
            low, high = self.at.extent[n]
            out.extent[n] = low + x, high + x
            out.wire.update({k: self.at.wire[k] + x for k in self.ports.tops[n]})
            out.riser.update({k: self.at.riser[k] + x for k in self.ports.risers.get(n, [])})
            for kind, value in self.ports.slots.get(n, []):
                if kind == "side":
                    out.wire[value] = self.at.wire[value] + x
                elif kind == "lane":
                    key = n, self.tree.level[self.ports.lanes[value][1]]
                    out.port[key] = self.at.port[key] + x
        out.left = min((low for low, _ in shape.values()), default=0.0)
        out.right = max((high for _, high in shape.values()), default=0.0)
        return out

    def _row(self, slots: list[tuple[str, int]], n: int) -> tuple[Contour, dict[int, float], list[float]]:
        """Pack slots; return their contour, the stem of each child, and where other wires leave the node."""
        shape: Contour = {}
        stems: dict[int, float] = {}
        ends: list[float] = []
        for kind, value in slots:
            if kind == "node":
                mine = self.contour[value]
            elif kind == "gap":
                px, level = self.ports.gaps[value]
                mine = {level: (0.0, px + ACROSS_PX - 2 * APART_PX)}
            else:
                left, right = self._symbol_room(value) if kind == "side" else (0.0, 0.0)
                left, right = max(left, CORD_PX / 2 - 4), max(right, CORD_PX / 2 - 4)
                upper, lower = (self.ports.side if kind == "side" else self.ports.lanes)[value]
                span = range(self.tree.level[upper] + 1, self.tree.level[lower] + 1)
                mine = dict.fromkeys(span, (-left, right))
            shift = max(
                (shape[level][1] + APART_PX - mine[level][0] for level in mine if level in shape), default=0.0
            )
            for level, (low, high) in mine.items():
                before = shape.get(level, (low + shift, high + shift))
                shape[level] = min(before[0], low + shift), max(before[1], high + shift)
            if kind == "node":
                self.origin[value] = shift
                if value in self.tree.stem:
                    stems[value] = self.at.wire[self.tree.stem[value]] + shift
            elif kind == "side":
                self.at.wire[value] = shift
                ends.append(shift)
            elif kind == "lane":
                self.at.port[n, self.tree.level[self.ports.lanes[value][1]]] = shift
                ends.append(shift)
        return shape, stems, ends

    def _tops(self, n: int, anchor: float) -> tuple[float, float]:
        """Place what comes into a node from above, the first line at ``anchor``; return the extents."""
        tops, risers = self.ports.tops[n], self.ports.risers.get(n, [])
        if not tops and not risers:
            return anchor, anchor
        rooms = [self._column(k, n) for k in tops]
        if n in self.tree.shared or not tops:
            x = anchor - (sum(map(sum, rooms)) + CORD_PX * len(risers)) / 2
        else:
            x = anchor - rooms[0][0]
        low = x
        for k, (left, right) in zip(tops, rooms, strict=True):
            self.at.wire[k] = x + left
            x += left + right
        for k in risers:
            self.at.riser[k] = x + CORD_PX / 2
            x += CORD_PX
        return low, x - GAP_PX if not risers else x

    def _column(self, k: int, n: int) -> tuple[float, float]:
        """Return the room left and right of the line of a wire that comes down into node ``n``."""
        wire = self.scheme.wires[k]
        half, wide = self._symbol_room(k)
        source = next((m for m in (wire.a, wire.b) if self.scheme.nodes[m].is_head), -1)
        if source >= 0:
            half, wide = HALF_PX, max(wide, HALF_PX + self.node_labels[source].width_px)
        if self.ports.tops[n][0] == k and self.scheme.nodes[n].kind == "bar":
            wide = max(wide, self.node_labels[n].width_px + 6)
        if not wire.parts and not wide:
            return CORD_PX / 2, CORD_PX / 2
        if n in self.tree.shared and wide <= POSITION_PX / 2:
            return POSITION_PX / 2, POSITION_PX / 2
        return half + 4, wide + GAP_PX

    def _symbol_room(self, k: int) -> tuple[float, float]:
        """Return half the width of a wire's widest symbol, and what its labels reach to the right."""
        parts = self.scheme.wires[k].parts
        reach = [
            (HALF_PX if part.kind == "ups" else 7.0, label.width_px)
            for part, label in zip(parts, self.part_labels[k], strict=True)
        ]
        half = max((room for room, _ in reach), default=0.0)
        return half, max((room + 9.0 + wide for room, wide in reach if wide), default=half)


def _row_of(tops: list[int]) -> list[tuple[str, int]]:
    return [("node", n) for n in tops]
