"""What is drawn: the wiring with racks, final circuits and final panels gathered into blocks where there are many.

Only what looks the same is gathered: panels behind the same board, with voltage from the same source at every moment,
and neither failed nor moved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from pdnopt.diagram.situation import Situation
from pdnopt.diagram.wiring import Link, Part, Wiring

__all__ = ["Node", "Parts", "Scheme", "Wire", "gather"]

SINGLY = 24
"""So many racks or loads are drawn one by one; more are gathered."""

FEW = 3
"""So many circuits or panels of one kind behind one board are drawn one by one."""


@dataclass(frozen=True)
class Parts:
    """Components of one kind at the same place of parallel links; one, unless panels were gathered."""

    kind: str
    names: tuple[str, ...]
    positions: tuple[int, ...]
    on: bool


@dataclass(frozen=True)
class Node:
    """Something with a place of its own.

    Attributes
    ----------
    kind : str
        "bar" (one bus), "block" (gathered panels), "source", "storage", "generator", "racks"; in the parts of
        a large plant "areas" (all that hangs on the backbone) and "stub" (a bar of the backbone).
    names : tuple of str
        Its buses or its device; of racks: the units.
    points : tuple of int
        The grid's nodes.
    position : int
        Of the device in the Grid, else -1.
    units : tuple of int
        Of racks: positions in the Demand.
    transfers : tuple of int
        Transfer devices whose output it is.
    inside : dict of str to str
        Components that are not drawn because they are gathered here: name -> kind.
    """

    kind: str
    names: tuple[str, ...]
    points: tuple[int, ...]
    position: int = -1
    units: tuple[int, ...] = ()
    transfers: tuple[int, ...] = ()
    inside: Mapping[str, str] | None = None

    @property
    def is_head(self) -> bool:
        """True for what stands above its bar: a source, or the end of a wire from elsewhere."""
        return self.kind in ("source", "stub")

    @property
    def is_load(self) -> bool:
        """True for what stands for racks or loads."""
        return self.kind in ("racks", "areas")


@dataclass(frozen=True)
class Wire:
    """A link, or parallel links of gathered panels, from node ``a`` to node ``b``.

    ``points`` are the grid's nodes before, between and after the parts, of the first link. A cord of racks
    has no parts.
    """

    a: int
    b: int
    parts: tuple[Parts, ...]
    points: tuple[int, ...]

    def turned(self) -> Wire:
        """Return the same wire, told from its other end."""
        return Wire(self.b, self.a, self.parts[::-1], self.points[::-1])


@dataclass(frozen=True)
class Scheme:
    """Nodes and wires to be drawn."""

    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]


def gather(situation: Situation, wiring: Wiring) -> Scheme:
    """Return the scheme of a wiring."""
    work = _Gathering(situation, wiring)
    if situation.demand.n > SINGLY:
        work.absorb_circuits()
        work.join_panels()
    return work.scheme()


class _Gathering:
    """Stations while they are absorbed into others or joined; ``rep`` is where each one is drawn."""

    def __init__(self, situation: Situation, wiring: Wiring) -> None:
        self.s, self.w = situation, wiring
        self.rep = list(range(len(wiring.stations)))
        self.absorbed: set[int] = set()
        self.joined: set[int] = set()  # representatives of several
        self.hidden: set[int] = set()  # the links of absorbed stations
        self.at: list[list[int]] = [[] for _ in wiring.stations]
        for k, link in enumerate(wiring.links):
            self.at[link.a].append(k)
            self.at[link.b].append(k)
        demand = situation.demand
        self.cord_station = wiring.station_of[demand.cord_node]
        self.units: list[set[int]] = [set() for _ in wiring.stations]
        for unit, station in zip(demand.cord_unit.tolist(), self.cord_station.tolist(), strict=True):
            self.units[station].add(unit)
        moved = frozenset().union(*(m.moved for m in (situation.given, *situation.moments)))
        self.special = moved | situation.failed
        self.transfer_at: dict[int, list[int]] = defaultdict(list)
        for k, node in enumerate(situation.grid.transfers.node.tolist()):
            self.transfer_at[int(wiring.station_of[node])].append(k)

    def absorb_circuits(self) -> None:
        """Absorb buses that feed one unit only into the board before them, where it has many such."""
        found: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
        for station, links in enumerate(self.at):
            if len(links) == 1 and len(self.units[station]) == 1 and self.w.stations[station].kind == "bus":
                board = self._other(links[0], station)
                if self.w.stations[board].kind == "bus" and len(self.at[board]) > 1:
                    found[board, self._look(station, links)].append(station)
        for (board, _), stations in found.items():
            if len(stations) <= FEW:
                continue
            for station in stations:
                self.rep[station] = board
                self.absorbed.add(station)
                self.hidden.update(self.at[station])
                self.units[board] |= self.units[station]

    def join_panels(self) -> None:
        """Join final stations that hang on the same boards and look the same, from the boards down."""
        boards = self._final()
        waiting = sorted(boards)
        while waiting:
            ready = [s for s in waiting if not any(b in boards and b in waiting for b in boards[s])]
            groups: dict[Hashable, list[int]] = defaultdict(list)
            for station in ready or waiting:
                above = tuple(sorted(self.rep[b] for b in boards[station]))
                inner = any(b in self.joined for b in above)
                groups[above, inner, self._look(station, self._ways_in(station, boards), inner)].append(
                    station
                )
            for (_, inner, _), stations in groups.items():  # type: ignore[misc]
                if len(stations) > (1 if inner else FEW):
                    for station in stations:
                        self.rep[station] = stations[0]
                    self.joined.add(stations[0])
            waiting = [s for s in waiting if s not in set(ready or waiting)]

    def _final(self) -> dict[int, tuple[int, ...]]:
        """Return the stations that lead to final ones only, with the boards that they hang on.

        A final station has one way in: one link, or the positions of one transfer device.
        """
        boards: dict[int, tuple[int, ...]] = {}
        queue = [s for s in range(len(self.at)) if self.rep[s] == s]
        while queue:
            again: set[int] = set()
            for station in queue:
                if station in boards or self.w.stations[station].kind == "source":
                    continue
                ways = self._ways_in(station, boards)
                plain = all(part.kind != "ups" for k in ways for part in self.w.links[k].parts)
                if ways and plain and self._one_way_in(station, ways):
                    boards[station] = tuple(sorted({self._other(k, station) for k in ways}))
                    again |= set(boards[station]) - set(boards)
            queue = sorted(again)
        return boards

    def _ways_in(self, station: int, boards: Mapping[int, tuple[int, ...]]) -> list[int]:
        """Return the links of a station but those to final stations that hang on it."""
        return [
            k
            for k in self.at[station]
            if k not in self.hidden and station not in boards.get(self._other(k, station), ())
        ]

    def scheme(self) -> Scheme:
        """Return nodes and wires as they stand."""
        inside: dict[int, dict[str, str]] = defaultdict(dict)
        members: dict[int, list[int]] = defaultdict(list)
        for station in range(len(self.rep)):
            members[self._home(station)].append(station)
        for k in self.hidden:
            home = self._home(self.w.links[k].a)
            inside[home].update({part.name: part.kind for part in self.w.links[k].parts})
        number: dict[int, int] = {}
        nodes: list[Node] = []
        for home, mine in members.items():
            number[home] = len(nodes)
            nodes.append(self._node(home, mine, inside[home]))
        wires = self._wires(number)
        self._racks(number, nodes, wires)
        return Scheme(tuple(nodes), tuple(wires))

    def _home(self, station: int) -> int:
        while self.rep[station] != station:
            station = self.rep[station]
        return station

    def _other(self, link: int, station: int) -> int:
        found: Link = self.w.links[link]
        return found.b if found.a == station else found.a

    def _position_of(self, link: int) -> int:
        """Return the transfer device that a link passes through, or -1."""
        transfer = self.s.grid.switches.transfer
        own = (int(transfer[p.position]) for p in self.w.links[link].parts if p.kind == "switch")
        return next((t for t in own if t >= 0), -1)

    def _one_way_in(self, station: int, links: list[int]) -> bool:
        if len(links) == 1:
            return True
        devices = {self._position_of(k) for k in links}
        return len(devices) == 1 and devices <= set(self.transfer_at.get(station, []))

    def _look(self, station: int, links: Iterable[int], inner: bool = False) -> Hashable:
        """Return what must be equal for two stations to be drawn as one; less behind boards that are joined."""
        found = self.w.stations[station]
        parts = [part for k in links for part in self.w.links[k].parts]
        kinds = tuple(sorted(part.kind for part in parts))
        transfers = tuple(str(self.s.grid.transfers.kind[t]) for t in self.transfer_at.get(station, []))
        names = {found.name, *(part.name for part in parts)}
        failed = len(names & self.s.failed)
        if inner:
            return found.kind, kinds, transfers, failed
        states = tuple(int(moment.feed[found.node]) for moment in (self.s.given, *self.s.moments))
        return found.kind, kinds, transfers, failed, states, len(names & self.special)

    def _node(self, home: int, mine: list[int], inside: dict[str, str]) -> Node:
        station = self.w.stations[home]
        panels = [s for s in mine if s not in self.absorbed]
        inside = inside | {self.w.stations[s].name: "bus" for s in mine if s in self.absorbed}
        kind = "block" if len(panels) > 1 else {"bus": "bar"}.get(station.kind, station.kind)
        return Node(
            kind=kind,
            names=tuple(self.w.stations[s].name for s in panels),
            points=tuple(self.w.stations[s].node for s in panels),
            position=station.position,
            transfers=tuple(t for s in panels for t in self.transfer_at.get(s, [])),
            inside=inside,
        )

    def _wires(self, number: dict[int, int]) -> list[Wire]:
        self.count = Counter(self._home(s) for s in range(len(self.rep)) if s not in self.absorbed)
        bundles: dict[Hashable, list[Link]] = defaultdict(list)
        for k, link in enumerate(self.w.links):
            if k in self.hidden:
                continue
            a, b = self._home(link.a), self._home(link.b)
            if number[a] > number[b]:
                a, b = b, a
                link = Link(link.b, link.a, link.parts[::-1], link.nodes[::-1])
            alone = self.count[a] == self.count[b] == 1
            key = (a, b, tuple(part.kind for part in link.parts), k if alone else -1)
            bundles[key].append(link)
        wires = []
        for links in bundles.values():
            parts = tuple(_parts(column) for column in zip(*(link.parts for link in links), strict=True))
            ends = number[self._home(links[0].a)], number[self._home(links[0].b)]
            wires.append(Wire(*ends, parts, links[0].nodes))
        return wires

    def _racks(self, number: dict[int, int], nodes: list[Node], wires: list[Wire]) -> None:
        """Add the units, one by one or by where their cords are."""
        demand = self.s.demand
        homes: list[dict[int, int]] = [{} for _ in range(demand.n)]  # of each unit: node number -> grid node
        for unit, station, node in zip(
            demand.cord_unit.tolist(), self.cord_station.tolist(), demand.cord_node.tolist(), strict=True
        ):
            homes[unit].setdefault(number[self._home(station)], node)
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for unit, where in enumerate(homes):
            groups[tuple(sorted(where)), unit if demand.n <= SINGLY else -1].append(unit)
        behind = Counter(at for where in homes for at in where)
        for units in groups.values():
            names = tuple(demand.name[u] for u in units)
            where = homes[units[0]]
            host = next(iter(where))
            if (
                demand.n > SINGLY
                and len(where) == 1
                and behind[host] == len(units)
                and self._ends(host, nodes, wires)
            ):
                end = nodes[host]  # a transfer device and its racks are one symbol
                inside = {**(end.inside or {}), **dict.fromkeys(end.names, "bus")}
                nodes[host] = Node(
                    "racks", names, end.points, units=tuple(units), transfers=end.transfers, inside=inside
                )
                continue
            at = len(nodes)
            nodes.append(Node("racks", names, (), units=tuple(units)))
            wires += [Wire(k, at, (), (node,)) for k, node in sorted(where.items())]

    def _ends(self, node: int, nodes: list[Node], wires: list[Wire]) -> bool:
        """Return whether a node is the output of transfer devices and leads nowhere but to its racks."""
        transfer = self.s.grid.switches.transfer
        mine = [wire for wire in wires if node in (wire.a, wire.b)]
        return bool(nodes[node].transfers) and all(
            any(p.kind == "switch" and int(transfer[p.positions[0]]) >= 0 for p in wire.parts)
            for wire in mine
        )


def _parts(column: tuple[Part, ...]) -> Parts:
    return Parts(
        column[0].kind,
        tuple(part.name for part in column),
        tuple(part.position for part in column),
        all(part.on for part in column),
    )
