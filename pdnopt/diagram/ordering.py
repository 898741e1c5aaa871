"""Left to right: children in the order that keeps ties and second feeds short."""

from __future__ import annotations

from itertools import pairwise

from pdnopt.diagram.collapse import Scheme
from pdnopt.diagram.levels import Tree

__all__ = ["arrange", "sequence"]

SWEEPS = 6


def sequence(tree: Tree) -> list[int]:
    """Return all nodes that hang in the tree, parents before children, left to right."""
    out: list[int] = []
    waiting = [*reversed(tree.children[-1])]
    while waiting:
        node = waiting.pop()
        out.append(node)
        waiting += reversed(tree.children.get(node, []))
    return out


def arrange(scheme: Scheme, tree: Tree) -> None:
    """Order the children of every node, and the shared row, by the mean place of what they are joined to."""
    stems = set(tree.stem.values())
    ties = [(w.a, w.b) for k, w in enumerate(scheme.wires) if k not in stems]
    main = set(sequence(tree))
    inner = [(a, b) for a, b in ties if a in main and b in main]
    best = {n: list(row) for n, row in tree.children.items()}
    given_row = _places(tree)
    cost = _cost(tree, inner)
    for _ in range(SWEEPS if inner else 0):
        _sweep(tree, inner)
        now = _cost(tree, inner)
        if now >= cost:
            break
        cost, best = now, {n: list(row) for n, row in tree.children.items()}
    tree.children.update(best)
    _face(tree, given_row)
    for row in tree.children.values():  # what leads nowhere stands on the right
        row.sort(key=lambda n: scheme.nodes[n].kind not in ("bar", "block"))
    place = _places(tree)
    pull: dict[int, list[int]] = {n: [] for n in tree.shared}
    for a, b in ties:
        for n, far in ((a, b), (b, a)):
            if n in pull and far in place:
                pull[n].append(place[far])
    given = {n: k for k, n in enumerate(tree.shared)}
    tree.shared.sort(key=lambda n: (sum(pull[n]) / len(pull[n]) if pull[n] else 0.0, given[n]))


def _face(tree: Tree, given: dict[int, int]) -> None:
    """Mirror the tree where that brings more siblings into the order of the tables; ties stay as short."""
    pairs = [(a, b) for row in tree.children.values() for a, b in pairwise(row) if a in given and b in given]
    if 2 * sum(given[a] > given[b] for a, b in pairs) > len(pairs):
        for row in tree.children.values():
            row.reverse()


def _places(tree: Tree) -> dict[int, int]:
    return {n: k for k, n in enumerate(sequence(tree))}


def _cost(tree: Tree, ties: list[tuple[int, int]]) -> int:
    place = _places(tree)
    return sum(abs(place[a] - place[b]) for a, b in ties)


def _sweep(tree: Tree, ties: list[tuple[int, int]]) -> None:
    """Sort the children of every node once by where the ties out of their subtrees lead."""
    place = _places(tree)
    pull: dict[int, list[int]] = {}
    for a, b in ties:
        up, down = tree.line(a)[:-1], tree.line(b)[:-1]
        both = set(up) & set(down)
        for line, far in ((up, b), (down, a)):
            for n in line:
                if n not in both:
                    pull.setdefault(n, []).append(place[far])
    for row in tree.children.values():
        if len(row) > 1 and any(n in pull for n in row):
            row.sort(key=lambda n: sum(pull[n]) / len(pull[n]) if n in pull else float(place[n]))
