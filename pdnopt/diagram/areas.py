"""A large plant in parts: the backbone from the sources down, and areas that hang on it, each drawn on its own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from pdnopt.diagram.collapse import Node, Scheme, Wire
from pdnopt.diagram.levels import Tree
from pdnopt.plant.graph import connected_parts

__all__ = ["Area", "split"]

LEAST = 3
"""Fewer areas than this are no areas."""

LARGEST = 0.6
"""An area with more than this part of all nodes is no part."""


@dataclass(frozen=True)
class Area:
    """One area: its name, what is drawn of it (with stubs of the backbone), its racks or loads."""

    name: str
    scheme: Scheme
    units: tuple[int, ...]


def split(scheme: Scheme, tree: Tree) -> tuple[Scheme, list[Area]] | None:
    """Return the backbone, its areas gathered into blocks, and the areas; None where there are no areas.

    The backbone is the fewest levels from the sources down whose removal leaves areas.
    """
    for depth in range(max(tree.level, default=0)):
        cut = np.array(
            [
                node.kind in ("bar", "block") and level <= depth
                for node, level in zip(scheme.nodes, tree.level, strict=True)
            ],
            dtype=bool,
        )
        for wire in scheme.wires:  # a source is where its bar is
            for one, other in ((wire.a, wire.b), (wire.b, wire.a)):
                if scheme.nodes[one].kind == "source" and cut[other] and scheme.nodes[other].kind != "source":
                    cut[one] = True
        for part in _parts(scheme, cut):  # what hangs on the backbone itself is no area
            if not any(scheme.nodes[n].kind in ("bar", "block") for n in part):
                cut[part] = True
        parts = _parts(scheme, cut)
        sizes = [len(part) for part in parts]
        if len(parts) >= LEAST and max(sizes) <= LARGEST * len(scheme.nodes):
            areas = [_area(scheme, tree, part) for part in parts]
            return _backbone(scheme, cut, parts, areas), areas
    return None


def _parts(scheme: Scheme, cut: np.ndarray) -> list[list[int]]:
    tail = np.array([wire.a for wire in scheme.wires], dtype=int)
    head = np.array([wire.b for wire in scheme.wires], dtype=int)
    inner = ~cut[tail] & ~cut[head]
    part = connected_parts(len(scheme.nodes), tail[inner], head[inner])
    found: dict[int, list[int]] = defaultdict(list)
    for n in np.flatnonzero(~cut).tolist():
        found[int(part[n])].append(n)
    return list(found.values())


def _area(scheme: Scheme, tree: Tree, mine: list[int]) -> Area:
    number = {n: k for k, n in enumerate(mine)}
    nodes = [scheme.nodes[n] for n in mine]
    wires = []
    for wire in scheme.wires:
        if wire.a in number and wire.b in number:
            wires.append(Wire(number[wire.a], number[wire.b], wire.parts, wire.points))
        elif wire.a in number or wire.b in number:
            outer = wire if wire.b in number else wire.turned()
            wires.append(Wire(len(nodes), number[outer.b], outer.parts, outer.points))
            nodes.append(Node("stub", scheme.nodes[outer.a].names, outer.points[:1]))
    bars = [n for n in mine if scheme.nodes[n].kind in ("bar", "block")]
    top = min((tree.level[n] for n in bars), default=0)
    heads = [scheme.nodes[n].names[0] for n in bars if tree.level[n] == top]
    first = next(iter(heads or nodes[0].names))
    name = first if len(heads) < 2 else f"{heads[0]} \u2013 {heads[-1].partition(':')[2] or heads[-1]}"
    units = tuple(u for n in mine for u in scheme.nodes[n].units)
    return Area(name.partition(":")[2] or name, Scheme(tuple(nodes), tuple(wires)), units)


def _backbone(scheme: Scheme, cut: np.ndarray, parts: list[list[int]], areas: list[Area]) -> Scheme:
    """Return the backbone with one block of racks for the areas behind the same bars."""
    kept = np.flatnonzero(cut).tolist()
    number = {n: k for k, n in enumerate(kept)}
    nodes = [scheme.nodes[n] for n in kept]
    wires = [
        Wire(number[w.a], number[w.b], w.parts, w.points)
        for w in scheme.wires
        if w.a in number and w.b in number
    ]
    of_node = {n: k for k, part in enumerate(parts) for n in part}
    boards: list[dict[int, int]] = [{} for _ in parts]  # of each area: bar of the backbone -> grid node
    for wire in scheme.wires:
        for w in (wire, wire.turned()):
            if w.a in number and w.b in of_node:
                boards[of_node[w.b]].setdefault(number[w.a], w.points[0])
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for k, where in enumerate(boards):
        groups[tuple(sorted(where))].append(k)
    for bars, members in groups.items():
        units = tuple(u for k in members for u in areas[k].units)
        inside = {
            name: areas[k].name
            for k in members
            for n in parts[k]
            for name in (*scheme.nodes[n].names, *(scheme.nodes[n].inside or {}))
        }
        at = len(nodes)
        nodes.append(Node("areas", tuple(areas[k].name for k in members), (), units=units, inside=inside))
        wires += [Wire(bar, at, (), (boards[members[0]][bar],)) for bar in bars]
    return Scheme(tuple(nodes), tuple(wires))
