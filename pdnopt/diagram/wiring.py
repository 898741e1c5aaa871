"""The plant as stations and links: buses where something branches off, and what lies in series between them.

A *station* is a node of the grid with a load, a generator or more than two connections; every source and every battery
is a station of its own. A *link* is a chain of components between two stations; what it passes on the way
carries nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid

__all__ = ["Link", "Part", "Station", "Wiring", "read_wiring"]


@dataclass(frozen=True)
class Part:
    """One component in series; ``kind`` is "switch", "line", "trafo", "winding", "impedance" or "ups".

    ``position`` is its place in the Grid's table of that kind; ``on`` says whether it is in service.
    """

    kind: str
    name: str
    position: int
    on: bool = True


@dataclass(frozen=True)
class Station:
    """``kind`` is "bus", "source", "storage" or "generator"; ``node`` the grid's node, ``position`` the device's."""

    kind: str
    name: str
    node: int
    position: int = -1


@dataclass(frozen=True)
class Link:
    """Parts in series from station ``a`` to station ``b``; ``nodes`` before, between and after them."""

    a: int
    b: int
    parts: tuple[Part, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Wiring:
    """Stations and links; ``station_of`` gives the station of each node, -1 for one inside a link."""

    stations: tuple[Station, ...]
    links: tuple[Link, ...]
    station_of: np.ndarray


Edge = tuple[int, int, Part | None]


def read_wiring(grid: Grid, demand: Demand) -> Wiring:
    """Return the stations and links of a grid."""
    n = len(grid.nodes.bus)
    devices = _devices(grid, n)
    edges = _edges(grid) + [(device.node, n + k, None) for k, device in enumerate(devices)]
    ways: list[list[int]] = [[] for _ in range(n + len(devices))]
    for k, (tail, head, _) in enumerate(edges):
        ways[tail].append(k)
        ways[head].append(k)
    keep = np.array([len(way) != 2 for way in ways], dtype=bool)
    keep[n:] = True
    keep[demand.cord_node] = True
    keep[grid.transfers.node] = True
    _break_rings(edges, ways, keep)
    station_of = np.full(n + len(devices), -1)
    alone = np.array([not way and node < n and grid.nodes.bus[node] < 0 for node, way in enumerate(ways)])
    at = np.flatnonzero(keep & ~alone)
    station_of[at] = np.arange(len(at))
    stations = tuple(
        devices[i - n] if i >= n else Station("bus", grid.nodes.name[i], int(i)) for i in at.tolist()
    )
    return Wiring(stations, tuple(_links(edges, ways, station_of, n)), station_of[:n])


def _devices(grid: Grid, n: int) -> list[Station]:
    """Return sources, batteries and generators; each becomes a station beside its node."""
    src, store = grid.sources, grid.storages
    out = [Station("source", src.name[k], int(src.node[k]), k) for k in range(len(src.index))]
    out += [Station("storage", store.name[k], int(store.node[k]), k) for k in range(len(store.index))]
    injecting = np.flatnonzero((grid.injection_p_kw[:n] != 0) | (grid.injection_q_kvar[:n] != 0))
    out += [Station("generator", f"generation at {grid.nodes.name[k]}", int(k), int(k)) for k in injecting]
    return out


def _edges(grid: Grid) -> list[Edge]:
    br, sw, ups = grid.branches, grid.switches, grid.upss
    kinds = {"line": "line", "trafo": "trafo", "trafo3w": "winding"}
    out: list[Edge] = []
    columns = zip(br.tail.tolist(), br.head.tolist(), br.table, br.name, br.in_service.tolist(), strict=True)
    for k, (tail, head, table, name, on) in enumerate(columns):
        out.append((tail, head, Part(kinds.get(str(table), "impedance"), name, k, on)))
    for k, (tail, head, name) in enumerate(zip(sw.tail.tolist(), sw.head.tolist(), sw.name, strict=True)):
        out.append((tail, head, Part("switch", name, k)))
    for k, (tail, head, name) in enumerate(
        zip(ups.in_node.tolist(), ups.out_node.tolist(), ups.name, strict=True)
    ):
        out.append((tail, head, Part("ups", name, k)))
    return out


def _break_rings(edges: list[Edge], ways: list[list[int]], keep: np.ndarray) -> None:
    """Keep one node of every ring that has no station, and the node between two devices."""
    from pdnopt.plant.graph import connected_parts

    tail = np.array([edge[0] for edge in edges], dtype=int)
    head = np.array([edge[1] for edge in edges], dtype=int)
    inner = ~keep[tail] & ~keep[head] if len(edges) else np.zeros(0, dtype=bool)
    run = connected_parts(len(ways), tail[inner], head[inner])
    border = ~keep[tail] ^ ~keep[head] if len(edges) else inner
    ends = np.bincount(np.where(keep[tail], run[head], run[tail])[border], minlength=len(ways) + 1)
    device = np.array([edge[2] is None for edge in edges], dtype=bool)
    fed = np.bincount(run[tail[device]], minlength=len(ways) + 1)
    for part in np.unique(run[~keep]):
        if ends[part] == 0 or fed[part] > 1:
            keep[np.flatnonzero((run == part) & ~keep)[0]] = True


def _links(edges: list[Edge], ways: list[list[int]], station_of: np.ndarray, n: int) -> list[Link]:
    done = np.zeros(len(edges), dtype=bool)
    links = []
    for start in np.flatnonzero(station_of >= 0).tolist():
        for first in ways[start]:
            if done[first]:
                continue
            parts: list[Part] = []
            nodes = [start]
            here, k = start, first
            while True:
                done[k] = True
                tail, head, part = edges[k]
                here = head if here == tail else tail
                if part is None:  # the way between a device and its node: no component
                    nodes[-1] = here if here < n else nodes[-1]
                else:
                    parts.append(part)
                    nodes.append(here)
                if station_of[here] >= 0:
                    break
                k = next(other for other in ways[here] if other != k)
            links.append(Link(int(station_of[start]), int(station_of[here]), tuple(parts), tuple(nodes)))
    return links
