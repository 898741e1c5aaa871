"""Zones: parts of the plant behind a few feeders, each small enough to be solved in milliseconds.

A zone is what hangs behind its *heads*: one feeder, or several that leave the same board (the row of PDUs on
one busway). All that a zone and the rest of the plant have to do with each other is the voltage in front of its
heads and the current through them, phase by phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.levels.tree import Tree
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.balancing.points import Area
from pdnopt.errors import InputError, Issue

__all__ = ["MOST_INVERTERS", "Zone", "ZoneSpec", "find_zones"]

MOST_INVERTERS = 20
"""In a zone that is found by itself: small programmes together are quicker than one large one."""

ZoneSpec = int | Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Zone:
    """Positions in an `Area`: of nodes (``area.nodes``), feeders (``area.feeders``), inverters.

    Attributes
    ----------
    name : str
        Of its first head, or as given.
    heads : int
        Positions of feeders through which it hangs on the rest.
    head_nodes : int
        Positions of nodes right behind them.
    parent : int
        Node of the network in front of it.
    nodes, feeders, inverters : int
        All of it, heads included.
    """

    name: str
    heads: np.ndarray
    head_nodes: np.ndarray
    parent: int
    nodes: np.ndarray
    feeders: np.ndarray
    inverters: np.ndarray


def find_zones(
    network: PhaseNetwork,
    area: Area,
    inverters: Inverters,
    tree: Tree,
    spec: ZoneSpec = MOST_INVERTERS,
) -> tuple[Zone, ...]:
    """Cut the plant into zones. Inverters in none are decided by the global solve.

    Parameters
    ----------
    spec : int, sequence of str, or mapping of str to sequence of str
        The most inverters of a zone, which are then the largest such parts, siblings together; or the feeders that zones
        begin with, for instance ``["trafo:TX 0", "line:cable A1"]``; or a name for each group of such feeders.

    Raises
    ------
    InputError
        Unknown feeders, zones inside zones, zones that are joined by a second way, heads of one zone that leave different
        boards: all at once.
    """
    if isinstance(spec, bool) or (isinstance(spec, int) and spec < 1):
        allowed = "a whole number, 1 or more; or names of feeders"
        raise InputError(
            Issue("Range", "zones", "", spec, allowed, "Leave it out for zones of 20 inverters.")
        )
    groups = _found(tree, area, network, spec) if isinstance(spec, int) else _given(tree, area, network, spec)
    member = _members(tree, network, groups)
    _refuse(tree, network, area, groups, member)
    place = np.full(network.n, -1)
    place[area.nodes] = np.arange(len(area.nodes))
    at = member[inverters.rows[::3] // 3]
    zone_of_feeder = np.where(tree.below >= 0, member[tree.below], -1)
    zones = []
    for number, (name, heads) in enumerate(groups.items()):
        first = np.flatnonzero(np.isin(tree.below, heads) & tree.entry & area.structure.counts)
        zones.append(
            Zone(
                name=name,
                heads=first,
                head_nodes=place[tree.below[first]],
                parent=int(tree.parent[heads[0]]),
                nodes=place[np.flatnonzero((member == number) & (place >= 0))],
                feeders=np.flatnonzero(zone_of_feeder == number),
                inverters=np.flatnonzero(at == number),
            )
        )
    return tuple(zones)


def _found(tree: Tree, area: Area, network: PhaseNetwork, most: int) -> dict[str, list[int]]:
    """Return the largest parts with at most so many inverters; small ones on one board together."""
    name = _names(tree, area, network)
    heads = [
        node
        for node in tree.order
        if tree.parent[node] >= 0
        and tree.behind[node] > 0
        and (tree.behind[node] <= most or not _has_children(tree, node))
        and (tree.depth[tree.parent[node]] == 0 or tree.behind[tree.parent[node]] > most)
        and node in name
    ]
    groups: dict[str, list[int]] = {}
    open_at: dict[int, tuple[str, int]] = {}
    for node in heads:
        parent, count = int(tree.parent[node]), int(tree.behind[node])
        key, used = open_at.get(parent, ("", most))
        if used + count > most:
            key, used = name[node], 0
            groups[key] = []
        groups[key].append(int(node))
        open_at[parent] = (key, used + count)
    return groups


def _has_children(tree: Tree, node: int) -> bool:
    return bool((tree.behind[np.flatnonzero(tree.parent == node)] > 0).any())


def _names(tree: Tree, area: Area, network: PhaseNetwork) -> dict[int, str]:
    """Return the name of the feeder in front of every node."""
    return {
        int(tree.below[k]): network.feeders.name[area.feeders[k]]
        for k in np.flatnonzero(tree.entry)
        if area.structure.counts[k]
    }


def _given(
    tree: Tree, area: Area, network: PhaseNetwork, spec: Sequence[str] | Mapping[str, Sequence[str]]
) -> dict[str, list[int]]:
    """Return the nodes behind the feeders that are named."""
    named = spec if isinstance(spec, Mapping) else {str(name): [name] for name in spec}
    node_of = {name: node for node, name in _names(tree, area, network).items()}
    issues: list[Issue] = []
    groups: dict[str, list[int]] = {}
    for key, names in named.items():
        groups[str(key)] = []
        for position, feeder in enumerate(names):
            if feeder not in node_of:
                allowed = "a line or transformer with inverters behind it, for instance " + next(
                    iter(node_of), "none"
                )
                path = f"zones[{key}][{position}]"
                issues.append(Issue("InvalidName", path, str(feeder), feeder, allowed, "Correct the name."))
            else:
                groups[str(key)].append(node_of[feeder])
    if issues:
        raise InputError(issues)
    return {key: nodes for key, nodes in groups.items() if nodes}


def _members(tree: Tree, network: PhaseNetwork, groups: Mapping[str, list[int]]) -> np.ndarray:
    """Return the zone of every node, -1: none."""
    member = np.full(network.n, -1)
    for number, heads in enumerate(groups.values()):
        member[heads] = number
    for node in tree.order:
        above = tree.parent[node]
        if above >= 0 and member[node] < 0:
            member[node] = member[above]
    return member


def _refuse(
    tree: Tree,
    network: PhaseNetwork,
    area: Area,
    groups: Mapping[str, list[int]],
    member: np.ndarray,
) -> None:
    """Raise InputError for what is no partition into zones."""
    issues = []
    names, all_heads = list(groups), {node for heads in groups.values() for node in heads}
    for number, (name, heads) in enumerate(groups.items()):
        parents = {int(tree.parent[node]) for node in heads}
        if len(parents) > 1:
            allowed = "feeders that leave one board"
            issues.append(
                Issue("NotHeld", "zones", name, name, allowed, "Make a zone of each board's feeders.")
            )
        for parent in parents:
            if member[parent] >= 0 and member[parent] != number:
                inside = names[member[parent]]
                todo = "Name the inner feeders only, or the outer one."
                issues.append(
                    Issue("NotUnique", "zones", name, f"lies in zone {inside}", "zones apart", todo)
                )
    ends = member[tree.edges]
    head = np.isin(tree.edges, list(all_heads))
    tie = ends[:, 0] != ends[:, 1]
    a, b = tree.edges[:, 0], tree.edges[:, 1]
    entry = (head[:, 0] & (tree.parent[a] == b)) | (head[:, 1] & (tree.parent[b] == a))
    # a node between two lines belongs to no zone by itself: its edges are part of the feeder in front of it
    between = np.isin(tree.edges, _between(tree, area, network)).any(axis=1)
    reached = (tree.depth[tree.edges] >= 0).all(axis=1)
    for k in np.flatnonzero(tie & ~entry & reached & ~between & (ends.max(axis=1) >= 0)):
        who = " and ".join(names[z] if z >= 0 else "the rest" for z in ends[k])
        todo = "Put both ends of the loop into one zone."
        issues.append(Issue("Mesh", "zones", who, "joined by a second way", "one way in", todo))
    if issues:
        raise InputError(issues)


def _between(tree: Tree, area: Area, network: PhaseNetwork) -> np.ndarray:
    """Return the nodes that the area has eliminated."""
    gone = np.ones(network.n, dtype=bool)
    gone[area.nodes] = False
    gone[network.slack[::3]] = False
    return np.flatnonzero(gone)
