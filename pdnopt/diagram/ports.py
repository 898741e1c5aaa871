"""How each wire runs: as a stem, beside one, across to a neighbour, or by a lane; and what room that takes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pdnopt.diagram.collapse import Scheme
from pdnopt.diagram.labels import Label
from pdnopt.diagram.levels import Tree
from pdnopt.diagram.ordering import sequence

__all__ = ["Ports", "assign"]


@dataclass
class Ports:
    """The wires at every node.

    Attributes
    ----------
    tops : dict of int to list of int
        Wires that come down into a node, from left to right: its stem, its sources, then lanes.
    slots : dict of int to list of (str, int)
        What stands below a node, from left to right: ("node", child), ("side", wire), ("lane", wire),
        ("gap", position in ``gaps``).
    gaps : list of (float, int)
        Room for a wire between neighbours, px, and its level.
    across : list of int
        Wires between neighbours on one level.
    side : dict of int to tuple of int
        Wires that run down beside a stem: wire -> (upper, lower).
    lanes : dict of int to tuple of int
        Wires that run by a lane: wire -> (upper, lower); on one level the lane is above both.
    risers : dict of int to list of int
        Wires that leave a node upwards to a lane above it.
    """

    tops: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    slots: dict[int, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[tuple[float, int]] = field(default_factory=list)
    across: list[int] = field(default_factory=list)
    side: dict[int, tuple[int, int]] = field(default_factory=dict)
    lanes: dict[int, tuple[int, int]] = field(default_factory=dict)
    risers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def assign(
    scheme: Scheme, tree: Tree, labels: list[list[Label]], positions: frozenset[str] = frozenset()
) -> Ports:
    """Decide how every wire runs.

    ``labels`` has one label a part, by wire; ``positions`` names the positions of transfer devices.
    """
    ports = Ports()
    order = sequence(tree)
    shared = [n for top in tree.shared for n in _under(tree, top)]
    rows: dict[int, list[int]] = defaultdict(list)
    for n in order:
        rows[tree.level[n]].append(n)
    seat = {n: k for row in rows.values() for k, n in enumerate(row)}
    stems = {k: n for n, k in tree.stem.items()}
    for k, n in stems.items():
        if n in seat or n in set(shared):
            ports.tops[n].append(k)
    joined: set[tuple[int, int]] = set()
    gaps: dict[tuple[int, int], float] = {}
    in_tree, below = set(order), set(shared)
    for k, wire in enumerate(scheme.wires):
        if k in stems:
            continue
        if scheme.nodes[wire.a].is_head or scheme.nodes[wire.b].is_head:
            ports.tops[wire.b if scheme.nodes[wire.a].is_head else wire.a].append(k)
            continue
        if wire.a == wire.b:
            continue
        a, b = sorted((wire.a, wire.b), key=lambda n: (n in below, tree.level[n], seat.get(n, 0)))
        if a in in_tree and b in in_tree and not _into_transfer(scheme, k, positions):
            if tree.level[a] == tree.level[b] and seat[b] == seat[a] + 1 and (a, b) not in joined:
                joined.add((a, b))
                ports.across.append(k)
                gaps[a, b] = sum(max(label.width_px, 14.0) + 10.0 for label in labels[k])
                continue
            if a in tree.line(b) and _is_last(tree, rows, seat, a, b):
                ports.side[k] = (a, b)
                continue
        ports.lanes[k] = (a, b)
    _free_sides(tree, ports)
    _fill_slots(tree, ports, gaps)
    return ports


def _into_transfer(scheme: Scheme, k: int, positions: frozenset[str]) -> bool:
    """Return whether a wire ends in a position of a transfer device: those stand side by side."""
    return any(name in positions for parts in scheme.wires[k].parts for name in parts.names)


def _free_sides(tree: Tree, ports: Ports) -> None:
    """Let wires beside a stem run by a lane where a lane would come between them and their bar."""
    while True:
        passing: dict[int, int] = defaultdict(int)  # node -> the lowest level that a lane of it goes down to
        for a, b in ports.lanes.values():
            passing[a] = max(passing[a], tree.level[b])
        for k, (a, b) in ports.side.items():
            line = tree.line(b)
            if any(passing[m] > tree.level[b] for m in line[1 : line.index(a)]):
                ports.lanes[k] = ports.side.pop(k)
                break
        else:
            return


def _under(tree: Tree, top: int) -> list[int]:
    out = [top]
    for n in out:
        out += tree.children.get(n, [])
    return out


def _is_last(tree: Tree, rows: dict[int, list[int]], seat: dict[int, int], a: int, b: int) -> bool:
    """Return whether ``b`` is the rightmost on its level in the branch of ``a`` that it is in."""
    row, line = rows[tree.level[b]], tree.line(b)
    branch = line[line.index(a) - 1]
    after = seat[b] + 1
    return after >= len(row) or branch not in tree.line(row[after])


def _fill_slots(tree: Tree, ports: Ports, gaps: dict[tuple[int, int], float]) -> None:
    beside: dict[int, list[int]] = defaultdict(list)  # first child of the branch -> wires, the shortest first
    for k, (a, b) in sorted(ports.side.items(), key=lambda item: tree.level[item[1][1]]):
        line = tree.line(b)
        beside[line[line.index(a) - 1]].append(k)
    before: dict[int, list[int]] = defaultdict(list)  # node -> gaps to what stands left of it
    for (a, b), px in gaps.items():
        up, down = tree.line(a), tree.line(b)
        meet = next(n for n in down if n in set(up))
        before[down[down.index(meet) - 1]].append(len(ports.gaps))
        ports.gaps.append((px, tree.level[a]))
    for n, row in list(tree.children.items()):
        for child in row:
            ports.slots[n] += [("gap", k) for k in before[child]]
            ports.slots[n].append(("node", child))
            ports.slots[n] += [("side", k) for k in beside[child]]
    started: set[tuple[int, int]] = set()
    for k, (a, b) in ports.lanes.items():
        level = tree.level[b]
        if tree.level[a] == level:
            ports.risers[a].append(k)
        elif (a, level) not in started:
            started.add((a, level))
            ports.slots[a].append(("lane", k))
        ports.tops[b].append(k)
