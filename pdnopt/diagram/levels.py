"""Which node stands on which level, and under which other one: from the sources down, as the plant is given."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pdnopt.diagram.collapse import Scheme
from pdnopt.diagram.situation import Situation

__all__ = ["Tree", "grow"]


@dataclass
class Tree:
    """Where every node hangs.

    Attributes
    ----------
    level : list of int
        Of each node; a source stands above its bar and has its level.
    parent : list of int
        The node above, -1 for a root.
    stem : dict of int to int
        The wire that a node hangs on; a node that hangs between several others has none.
    children : dict of int to list of int
        From left to right; -1 holds the roots.
    shared : list of int
        Nodes fed from several others that stand in a row of their own at the bottom, from left to right.
    """

    level: list[int]
    parent: list[int]
    stem: dict[int, int] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    shared: list[int] = field(default_factory=list)

    def line(self, node: int) -> list[int]:
        """Return a node and all that it hangs under, up to -1."""
        out = [node]
        while out[-1] >= 0:
            out.append(self.parent[out[-1]])
        return out


def grow(scheme: Scheme, situation: Situation) -> Tree:
    """Return the tree of a scheme."""
    ways: list[list[int]] = [[] for _ in scheme.nodes]
    for k, wire in enumerate(scheme.wires):
        ways[wire.a].append(k)
        ways[wire.b].append(k)
    tree = Tree([-1] * len(scheme.nodes), [-1] * len(scheme.nodes))
    shared = [n for n in range(len(scheme.nodes)) if _is_shared(scheme, situation, n, ways)]
    below = {
        n for n, node in enumerate(scheme.nodes) if node.is_load or node.kind in ("storage", "generator")
    }
    below |= set(shared)
    boards = [n for n, node in enumerate(scheme.nodes) if node.kind in ("bar", "block") and n not in below]
    closed = [_is_closed(scheme, situation, k) for k in range(len(scheme.wires))]
    _spread(scheme, tree, ways, closed, boards, situation)
    _hang_below(scheme, tree, ways, below, shared)
    for n, node in enumerate(scheme.nodes):
        if node.is_head:
            tree.level[n] = tree.level[_far(scheme, ways[n][0], n)] if ways[n] else 0
    return tree


def _far(scheme: Scheme, wire: int, node: int) -> int:
    found = scheme.wires[wire]
    return found.b if found.a == node else found.a


def _is_closed(scheme: Scheme, situation: Situation, k: int) -> bool:
    state = situation.given.state
    for parts in scheme.wires[k].parts:
        if not parts.on:
            return False
        if parts.kind == "switch" and not any(state.closed[p] for p in parts.positions):
            return False
        if parts.kind == "ups" and all(
            state.ups_mode[p] in ("off", "bypass", "eco") for p in parts.positions
        ):
            return False
    return True


def _is_shared(scheme: Scheme, situation: Situation, n: int, all_ways: list[list[int]]) -> bool:
    """Return whether a node is fed from several others and leads to nothing but racks of its own."""
    node, ways = scheme.nodes[n], all_ways[n]
    if node.is_load:
        return len({_far(scheme, k, n) for k in ways}) > 1
    if node.kind not in ("bar", "block") or not node.transfers:
        return False
    for k in ways:
        far = _far(scheme, k, n)
        if scheme.nodes[far].is_load and len(all_ways[far]) > 1:
            return False
    up = [k for k in ways if not scheme.nodes[_far(scheme, k, n)].is_load]
    transfer = situation.grid.switches.transfer

    def is_position(k: int) -> bool:
        parts = scheme.wires[k].parts
        return any(p.kind == "switch" and int(transfer[p.positions[0]]) in node.transfers for p in parts)

    boards = {_far(scheme, k, n) for k in up}
    plain = all(scheme.nodes[b].kind in ("bar", "block") for b in boards)
    return len(boards) > 1 and plain and all(is_position(k) for k in up)


def _spread(
    scheme: Scheme,
    tree: Tree,
    ways: list[list[int]],
    closed: list[bool],
    boards: list[int],
    situation: Situation,
) -> None:
    """Give boards their levels: along closed wires from running sources, then along any wire."""
    mine = set(boards)
    source_on, feed = situation.given.state.source_on, situation.given.feed
    hosts = {True: [], False: []}  # type: dict[bool, list[int]]
    for n, node in enumerate(scheme.nodes):
        for k in ways[n] if node.is_head else ():
            on = bool(source_on[node.position] if node.kind == "source" else feed[node.points[0]] >= 0)
            hosts[on and closed[k]].append(_far(scheme, k, n))
    for live in (True, False):
        starts = [n for n in dict.fromkeys(hosts[live]) if n in mine and tree.level[n] < 0]
        if live or not any(tree.level[n] >= 0 for n in boards):
            for n in starts:
                tree.level[n] = 0
                tree.children[-1].append(n)
            _walk(scheme, tree, ways, [k if closed[k] else -1 for k in range(len(closed))], starts, mine)
    while True:
        left = [n for n in boards if tree.level[n] < 0]
        if not left:
            return
        rim = []
        for n in left:
            near = {_far(scheme, k, n) for k in ways[n]}
            reached = [m for m in near if m in mine and tree.level[m] >= 0]
            if reached:
                rim.append((n, sorted(reached)))
        if not rim:
            n = left[0]
            tree.level[n] = 0
            tree.children[-1].append(n)
            rim_nodes = [n]
        else:
            for n, reached in rim:
                tree.level[n] = max(tree.level[m] for m in reached) + 1
            for n, reached in rim:
                if len(reached) == 1:
                    stem = next(k for k in ways[n] if _far(scheme, k, n) == reached[0])
                    _hang(tree, n, reached[0], stem)
                else:
                    _hang_between(tree, n, reached)
            rim_nodes = [n for n, _ in rim]
        _walk(scheme, tree, ways, [k if closed[k] else -1 for k in range(len(closed))], rim_nodes, mine)


def _walk(
    scheme: Scheme, tree: Tree, ways: list[list[int]], open_to: list[int], starts: list[int], mine: set[int]
) -> None:
    """Walk along closed wires breadth first and hang every new board under the one it was reached from."""
    queue = list(starts)
    for n in queue:
        for k in ways[n]:
            far = _far(scheme, k, n)
            if open_to[k] >= 0 and far in mine and tree.level[far] < 0:
                tree.level[far] = tree.level[n] + 1
                _hang(tree, far, n, k)
                queue.append(far)


def _hang(tree: Tree, node: int, parent: int, stem: int) -> None:
    tree.parent[node] = parent
    tree.stem[node] = stem
    tree.children[parent].append(node)


def _hang_between(tree: Tree, node: int, reached: list[int]) -> None:
    """Hang a node without a stem under the lowest node above all those it is joined to, between them."""
    lines = [tree.line(m)[::-1] for m in reached]
    depth = next(
        (d for d in range(min(map(len, lines))) if len({line[d] for line in lines}) > 1), min(map(len, lines))
    )
    above = lines[0][depth - 1]
    tree.parent[node] = above
    row = tree.children[above]
    at = [row.index(line[depth]) for line in lines if len(line) > depth]
    row.insert(round(sum(at) / len(at) + 0.5) if at else len(row), node)


def _hang_below(
    scheme: Scheme, tree: Tree, ways: list[list[int]], below: set[int], shared: list[int]
) -> None:
    """Hang racks, batteries and generators under their bar; the shared ones in a row at the bottom."""
    rest = sorted(below - set(shared))
    row = set(shared)
    early = [n for n in rest if not ways[n] or _far(scheme, ways[n][0], n) not in row]
    for n in early:
        if ways[n]:
            host = _far(scheme, ways[n][0], n)
            tree.level[n] = tree.level[host] + 1
            _hang(tree, n, host, ways[n][0])
        else:
            tree.level[n] = 0
            tree.children[-1].append(n)
    bottom = max(tree.level, default=0) + 1
    for n in shared:
        tree.level[n] = bottom
    for n in sorted(set(rest) - set(early)):
        tree.level[n] = bottom + 1
        _hang(tree, n, _far(scheme, ways[n][0], n), ways[n][0])
    tree.shared = shared
