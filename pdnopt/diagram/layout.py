"""Where everything stands, in px: levels from the sources down, every branch in a strip of its own.

Subtrees are packed side by side (`packing`), so that stems are straight and cross nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pdnopt.diagram.collapse import Scheme
from pdnopt.diagram.labels import Label
from pdnopt.diagram.lanes import Lane, allot, free_x
from pdnopt.diagram.levels import Tree
from pdnopt.diagram.ordering import sequence
from pdnopt.diagram.packing import BAR_END_PX, HALF_PX, pack
from pdnopt.diagram.ports import Ports

__all__ = ["Box", "Layout", "Run", "lay_out"]

ITEM_PX = 34.0
LANE_PX = 9.0
CAPTION_PX = 17.0
"""Height of the band above a level in which only the captions of its bars stand."""

BAR_PX = 5.0
BLOCK_PX = 36.0
LEFT_PX = 14.0


@dataclass
class Box:
    """Extents of a node: a bar or a block."""

    x0: float = 0.0
    x1: float = 0.0
    y0: float = 0.0
    y1: float = 0.0


@dataclass
class Run:
    """The way of a wire.

    Attributes
    ----------
    legs : list of list of (x, y)
        One polyline for each of the wire's points: before, between and after its parts.
    spots : list of (x, y)
        Where its parts stand.
    flat : bool
        Whether it runs from left to right.
    dots : list of (x, y)
        Where it branches off a lane.
    turned : bool
        Whether legs and spots count from ``b``.
    """

    legs: list[list[tuple[float, float]]]
    spots: list[tuple[float, float]]
    flat: bool = False
    dots: list[tuple[float, float]] = field(default_factory=list)
    turned: bool = False


@dataclass
class Layout:
    """A finished layout; ``captions`` is where the name of each bar begins."""

    boxes: dict[int, Box]
    runs: dict[int, Run]
    captions: dict[int, tuple[float, float]]
    width: float
    height: float


def lay_out(
    scheme: Scheme,
    tree: Tree,
    ports: Ports,
    node_labels: list[Label],
    part_labels: list[list[Label]],
    positions: frozenset[str] = frozenset(),
) -> Layout:
    """Return the layout. ``part_labels`` has one label a part, by wire; ``positions`` as in `ports.assign`."""
    return _Layouter(scheme, tree, ports, node_labels, part_labels, positions).run()


class _Layouter:
    def __init__(
        self,
        scheme: Scheme,
        tree: Tree,
        ports: Ports,
        node_labels: list[Label],
        part_labels: list[list[Label]],
        positions: frozenset[str],
    ) -> None:
        self.scheme, self.tree, self.ports, self.positions = scheme, tree, ports, positions
        self.node_labels, self.part_labels = node_labels, part_labels
        self.x_of_wire: dict[int, float] = {}  # of the column at its lower end
        self.x_of_riser: dict[int, float] = {}
        self.x_of_port: dict[tuple[int, int], float] = {}  # (node, level of the lane) -> x
        self.boxes: dict[int, Box] = {}

    def run(self) -> Layout:
        main = sequence(self.tree)
        rows = [self._with_children(top) for top in self.tree.shared]
        width = self._columns(main, rows)
        nodes = [*main, *(n for row in rows for n in row)]
        lanes = self._lanes(nodes)
        height = self._heights(nodes, lanes)
        runs = self._runs(lanes)
        return Layout(self.boxes, runs, self._captions(nodes), width, height)

    # --- across -------------------------------------------------------------------------------------------

    def _with_children(self, top: int) -> list[int]:
        out = [top]
        for n in out:
            out += self.tree.children.get(n, [])
        return out

    def _columns(self, main: list[int], rows: list[list[int]]) -> float:
        """Pack the tree and the shared row, centred over each other; return the width."""
        given = self.scheme, self.tree, self.ports, self.node_labels, self.part_labels
        packed = [
            pack(*given, main, self.tree.children[-1]),
            pack(*given, [n for row in rows for n in row], [row[0] for row in rows]),
        ]
        width = max(part.right - part.left for part in packed) + 2 * LEFT_PX
        for part in packed:
            x = (width - part.right - part.left) / 2
            self.x_of_wire.update({k: value + x for k, value in part.wire.items()})
            self.x_of_riser.update({k: value + x for k, value in part.riser.items()})
            self.x_of_port.update({key: value + x for key, value in part.port.items()})
            for n, (low, high) in part.extent.items():
                self.boxes[n] = Box(low + x, high + x)
        for k, ends in self.ports.side.items():
            for n in ends:
                box, x = self.boxes[n], self.x_of_wire[k]
                box.x0, box.x1 = min(box.x0, x - BAR_END_PX), max(box.x1, x + BAR_END_PX)
        return width

    def _lanes(self, nodes: list[int]) -> dict[int, list[Lane]]:
        """Return the lanes above each level, with their places; ports that clash with others move aside."""
        drops: dict[tuple[int, int], list[int]] = defaultdict(list)
        for k, (a, b) in self.ports.lanes.items():
            drops[a, self.tree.level[b]].append(k)
        taken: dict[int, list[float]] = defaultdict(list)
        for n in nodes:
            taken[self.tree.level[n]] += [self.x_of_wire[k] for k in self.ports.tops[n]]
            taken[self.tree.level[n]] += [self.x_of_riser[k] for k in self.ports.risers.get(n, [])]
        for k, (a, b) in self.ports.side.items():
            for level in range(self.tree.level[a] + 1, self.tree.level[b] + 1):
                taken[level].append(self.x_of_wire[k])
        out: dict[int, list[Lane]] = defaultdict(list)
        for (a, level), wires in drops.items():
            if self.tree.level[a] == level:
                starts = [self.x_of_riser[k] for k in wires]
            else:
                x = free_x(self.x_of_port[a, level], taken[level])
                self.x_of_port[a, level] = x
                taken[level].append(x)
                box = self.boxes[a]
                box.x0, box.x1 = min(box.x0, x - 8), max(box.x1, x + 8)
                starts = [x]
            xs = [*starts, *(self.x_of_wire[k] for k in wires)]
            out[level].append(Lane(a, level, min(xs), max(xs), tuple(wires)))
        return {level: allot(lanes) for level, lanes in out.items()}

    # --- down ---------------------------------------------------------------------------------------------

    def _heights(self, nodes: list[int], lanes: dict[int, list[Lane]]) -> float:
        """Set the heights of all levels; return that of the drawing."""
        tree, levels = self.tree, max((self.tree.level[n] for n in nodes), default=0) + 1
        items = [0.0] * levels
        tall = [BAR_PX] * levels
        caption = [0.0] * levels
        for n in nodes:
            level, node = tree.level[n], self.scheme.nodes[n]
            for k in self.ports.tops[n]:
                wire = self.scheme.wires[k]
                source = any(self.scheme.nodes[m].is_head for m in (wire.a, wire.b))
                items[level] = max(items[level], len(wire.parts) + float(source))
            if node.kind == "bar":
                caption[level] = CAPTION_PX
            else:
                tall[level] = BLOCK_PX
                caption[level] = max(caption[level], 8.0)
        for k, (a, _) in self.ports.side.items():
            level = tree.level[a] + 1
            items[level] = max(items[level], float(len(self.scheme.wires[k].parts)))
        self.lane_top, self.item_top, self.item_end = [0.0] * levels, [0.0] * levels, [0.0] * levels
        y = 6.0
        for level in range(levels):
            count = max((lane.place + 1 for lane in lanes.get(level, [])), default=0)
            self.lane_top[level] = y + 10
            y += 10 + LANE_PX * count if count else 4
            self.item_top[level] = y
            y += ITEM_PX * items[level]
            self.item_end[level] = y
            y += caption[level]
            for n in nodes:
                if tree.level[n] == level:
                    box = self.boxes[n]
                    box.y0, box.y1 = y, y + (BAR_PX if self.scheme.nodes[n].kind == "bar" else BLOCK_PX)
            y += tall[level] + 4
        return y + 10

    def _spots(self, x: float, level: int, count: int, low: bool = False) -> list[tuple[float, float]]:
        """Return the places of parts in series above a level, evenly, or as low as they go."""
        top, end = self.item_top[level], self.item_end[level]
        if low:
            return [(x, end - ITEM_PX * (count - k - 0.5)) for k in range(count)]
        step = (end - top) / max(count, 1)
        return [(x, top + step * (k + 0.5)) for k in range(count)]

    def _runs(self, lanes: dict[int, list[Lane]]) -> dict[int, Run]:
        out: dict[int, Run] = {}
        for n in list(self.boxes):
            for k in self.ports.tops[n]:
                if k not in self.ports.lanes:
                    out[k] = self._stem_or_source(k, n)
        for k, (a, b) in self.ports.side.items():
            x = self.x_of_wire[k]
            spots = self._spots(x, self.tree.level[a] + 1, len(self.scheme.wires[k].parts))
            out[k] = _vertical(x, self.boxes[a].y1, self.boxes[b].y0, spots)
            out[k].turned = self.scheme.wires[k].a != a
        for k in self.ports.across:
            out[k] = self._across(k)
        for row in lanes.values():
            for lane in row:
                for k in lane.wires:
                    out[k] = self._by_lane(k, lane)
        return out

    def _stem_or_source(self, k: int, n: int) -> Run:
        wire, x, level = self.scheme.wires[k], self.x_of_wire[k], self.tree.level[n]
        up = wire.a if wire.b == n else wire.b
        count = len(wire.parts)
        if self.scheme.nodes[up].is_head:
            spots = self._spots(x, level, count + 1)
            (sx, sy), rest = spots[0], spots[1:]
            self.boxes[up] = Box(sx - HALF_PX, sx + HALF_PX, sy - HALF_PX, sy + HALF_PX)
            run = _vertical(x, sy + 13, self.boxes[n].y0, rest)
        else:
            low = any(name in self.positions for parts in wire.parts for name in parts.names)
            run = _vertical(x, self.boxes[up].y1, self.boxes[n].y0, self._spots(x, level, count, low))
        run.turned = wire.a != up
        return run

    def _across(self, k: int) -> Run:
        wire = self.scheme.wires[k]
        a, b = sorted((wire.a, wire.b), key=lambda n: self.boxes[n].x0)
        x0, x1 = self.boxes[a].x1, self.boxes[b].x0
        y = (self.boxes[a].y0 + self.boxes[a].y0 + BAR_PX) / 2
        count = len(wire.parts)
        room = sum(max(label.width_px, 14.0) + 10.0 for label in self.part_labels[k]) + 12.0
        start = max(x1 - room, x0)  # right before its neighbour nothing else runs
        step = (x1 - start) / max(count, 1)
        spots = [(start + step * (i + 0.5), y) for i in range(count)]
        stops = [x0, *(x for x, _ in spots), x1]
        legs = [[(stops[i], y), (stops[i + 1], y)] for i in range(count + 1)]
        return Run(legs, spots, flat=True, turned=wire.a != a)

    def _by_lane(self, k: int, lane: Lane) -> Run:
        a, b = self.ports.lanes[k]
        y = self.lane_top[lane.level] + LANE_PX * lane.place
        x = self.x_of_wire[k]
        if self.tree.level[a] == lane.level:
            start = (self.x_of_riser[k], self.boxes[a].y0)
        else:
            start = (self.x_of_port[a, lane.level], self.boxes[a].y1)
        spots = self._spots(x, lane.level, len(self.scheme.wires[k].parts), low=True)
        run = _vertical(x, y, self.boxes[b].y0, spots)
        run.legs[0] = [start, (start[0], y), *run.legs[0]]
        if start[0] != lane.x0 or x != lane.x1:
            run.dots = [(x, y)] if lane.x0 < x < lane.x1 else []
        run.turned = self.scheme.wires[k].a != a
        return run

    def _captions(self, nodes: list[int]) -> dict[int, tuple[float, float]]:
        out = {}
        for n in nodes:
            box = self.boxes[n]
            if self.scheme.nodes[n].kind != "bar":
                continue
            tops = self.ports.tops[n]
            x = self.x_of_wire[tops[0]] + 6 if tops else box.x0
            out[n] = (x, box.y0 - 4)
        return out


def _vertical(x: float, y0: float, y1: float, spots: list[tuple[float, float]]) -> Run:
    stops = [y0, *(y for _, y in spots), y1]
    return Run([[(x, stops[i]), (x, stops[i + 1])] for i in range(len(stops) - 1)], spots)
