"""The whole plant as the global level sees it: every head of a zone with all inverters behind it as one large inverter.

In the linear model a current in front of the heads changes by the sum of the inverters' currents behind it
(their own place in the zone does not matter), so that shared feeders and boards are seen exactly. What is
approximate: the large inverter may do whatever the sum of the small ones may do at equal shares, and the zones'
inner limits are not seen. So its answer bounds what zones can reach together, and what it plans for a zone is a
plan: the zone says what it can do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.sparse import coo_array, csr_array, kron

from pdnopt.balancing.data import Point, Structure
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.levels.slices import Part, cut, reach_part, rows_of
from pdnopt.balancing.levels.tree import Tree
from pdnopt.balancing.levels.zones import Zone
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.balancing.points import Area

__all__ = ["Aggregate", "aggregate"]

SUMMED = {"j", "p", "q", "s", "b"}
"""Vectors of a `Point` that add up over inverters; of the others the mean counts, by rating."""


@dataclass(frozen=True)
class Aggregate:
    """Q large inverters: one for each head, and those that stand in no zone by themselves.

    Attributes
    ----------
    structure : Structure
        Of shared nodes and feeders, and of the heads.
    nodes, feeders : int
        Positions in the area of what it has.
    shares : csr_array, shape (I, Q)
        Part of each inverter in a large one, by rating; columns add up to 1.
    head : int, shape (Q,)
        Position among ``feeders`` of the head, -1: an inverter in no zone.
    own : int, shape (Q,)
        The inverter in no zone, -1: a head.
    shared, boards : bool, shape (len(feeders),) and (len(nodes),)
        Feeders, and nodes, in no zone.
    islands : tuple of Part
        Parts that nothing joins, those without shared feeders left out; positions in ``structure``.
    """

    structure: Structure
    nodes: np.ndarray
    feeders: np.ndarray
    shares: csr_array
    head: np.ndarray
    own: np.ndarray
    shared: np.ndarray
    boards: np.ndarray
    islands: tuple[Part, ...]

    def point(self, point: Point, picked: Point) -> Point:
        """Return the numbers: of large inverters from ``point``; ``picked`` has those of nodes and feeders."""
        each = csr_array(kron(self.shares, np.eye(3)))
        many = csr_array((self.shares > 0).T.astype(float))
        many3, mean3 = csr_array((each > 0).T.astype(float)), csr_array(each.T)
        changes = {}
        for field in fields(Point):
            word = field.name.split("_")[0]
            value = getattr(point, field.name)
            if word == "b":
                changes[field.name] = many @ value
            elif word in SUMMED:
                changes[field.name] = many3 @ value
            elif word in ("g", "loss"):
                changes[field.name] = mean3 @ value
        return replace(picked, **changes)


def aggregate(
    network: PhaseNetwork, area: Area, tree: Tree, zones: tuple[Zone, ...], inverters: Inverters
) -> Aggregate:
    """Return the plant with its zones as large inverters."""
    s, rating, at = area.structure, inverters.s_max_kva, inverters.rows[::3] // 3
    in_zone = np.full(len(area.feeders), -1)
    keep_node, keep_feeder = np.ones(len(area.nodes), dtype=bool), np.ones(len(area.feeders), dtype=bool)
    common = np.ones(len(area.nodes), dtype=bool)
    for number, zone in enumerate(zones):
        common[zone.nodes] = False
        in_zone[zone.feeders] = number
        keep_node[zone.nodes], keep_feeder[zone.feeders] = False, False
        keep_node[zone.head_nodes] = True
        heads = area.nodes[zone.head_nodes]
        keep_feeder[zone.feeders[np.isin(tree.below[zone.feeders], heads)]] = (
            True  # both sides of transformers
        )
    nodes, feeders = np.flatnonzero(keep_node), np.flatnonzero(keep_feeder)
    column, head, own = _large(tree, area, zones, at, feeders)
    first = np.unique(column, return_index=True)[1]
    weight = rating / np.bincount(column, weights=rating, minlength=len(head))[column]
    shares = csr_array(coo_array((weight, (np.arange(len(rating)), column)), shape=(len(rating), len(head))))
    each = csr_array(kron(shares, np.eye(3)))
    v, f = rows_of(nodes), rows_of(feeders)
    part = Part(nodes, feeders, np.arange(len(rating)))
    whole = cut(s, part)
    structure = replace(
        whole,
        enters=csr_array((len(v), each.shape[1])),
        at_source=csr_array((len(f), each.shape[1]), dtype=complex),
        reach=reach_part(s, part, whole.reach.voltage @ each, whole.reach.current @ each),
        loss=np.asarray(shares.T @ s.loss),
    )
    shared, boards = in_zone[feeders] < 0, common[nodes]
    islands = _islands(network, area, tree, nodes, feeders, shared, network.island[at[first]])
    return Aggregate(structure, nodes, feeders, shares, head, own, shared, boards, islands)


def _large(
    tree: Tree, area: Area, zones: tuple[Zone, ...], at: np.ndarray, feeders: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the large inverter of each inverter, and head and own inverter of each large one."""
    column = np.full(len(at), -1)
    head: list[int] = []
    own: list[int] = []
    for zone in zones:
        first = {int(node): k for k, node in zip(zone.heads, area.nodes[zone.head_nodes], strict=True)}
        number: dict[int, int] = {}
        for i in zone.inverters:
            node = int(at[i])
            while node not in first:
                node = int(tree.parent[node])
            if node not in number:
                number[node] = len(head)
                head.append(int(np.searchsorted(feeders, first[node])))
                own.append(-1)
            column[i] = number[node]
    for i in np.flatnonzero(column < 0):
        column[i] = len(head)
        head.append(-1)
        own.append(int(i))
    return column, np.array(head, dtype=int), np.array(own, dtype=int)


def _islands(
    network: PhaseNetwork,
    area: Area,
    tree: Tree,
    nodes: np.ndarray,
    feeders: np.ndarray,
    shared: np.ndarray,
    large: np.ndarray,
) -> tuple[Part, ...]:
    """Return the parts with shared feeders; ``large``: the island of each."""
    node_island = network.island[area.nodes[nodes]]
    below, source = tree.below[feeders], network.feeders.node[area.feeders[feeders]]
    feeder_island = network.island[np.where(below >= 0, below, source)]
    return tuple(
        Part(np.flatnonzero(node_island == k), np.flatnonzero(feeder_island == k), np.flatnonzero(large == k))
        for k in np.unique(large)
        if shared[feeder_island == k].any()
    )
