"""Global and zonal level together: limits for the zones, the zones' set-points, and again where the flow disagrees.

One round, at a point (the flow at the present set-points):

1. caps: the zones that were the worst say how good they can be at best; nobody need be better;
2. every zone solves its own programme (`partial`): in the workers, all at once;
3. where zones would break together what they share, the global level plans the heads' currents of that island, says
   how far from it zones may stray (`exchange`), and its zones solve again within that.

A zone that cannot keep a cap says how much it needs: the caps of the next round. After a round the flow is
solved; zones in which it is what the programme expected are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pdnopt.balancing.data import S_BASE_KW, Point
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.levels.aggregate import aggregate
from pdnopt.balancing.levels.crew import Crew, Job
from pdnopt.balancing.levels.exchange import Exchange, limits_of, unlimited
from pdnopt.balancing.levels.partial import FREE, OPEN_PU, PartAnswer
from pdnopt.balancing.levels.slices import Part, Picker, cut, rows_of, unpack
from pdnopt.balancing.levels.tree import Tree
from pdnopt.balancing.levels.zones import Zone
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.balancing.points import Area

__all__ = ["Coordination", "Round"]

CRITICAL = 2
"""Zones that are asked first how good they can be, of unbalance and of spread."""
NEARLY = 1e-6
"""A limit is broken from this part of it on."""
CAP_PART, CAP_SLACK = 1e-3, (2e-5, 5e-4)
"""How much worse than the best a cap is, as in `programme`: for the sake of the terms after it."""


@dataclass(frozen=True)
class Round:
    """One round: set-points (pu, 3I), what zones may exchange, and the answers of zones and of islands by number."""

    s_pu: np.ndarray
    exchange: Exchange
    zones: dict[int, PartAnswer]
    islands: dict[int, PartAnswer]
    solved: bool


class Coordination:
    """The levels of one plant, prepared for many points.

    Parameters
    ----------
    network, area, inverters
        As a balance reads them.
    tree : Tree
    zones : tuple of Zone
    workers : int
        Processes; 1: this one.
    """

    def __init__(
        self,
        network: PhaseNetwork,
        area: Area,
        inverters: Inverters,
        tree: Tree,
        zones: tuple[Zone, ...],
        workers: int = 1,
    ) -> None:
        self.area, self.zones = area, zones
        self.whole = aggregate(network, area, tree, zones, inverters)
        s = area.structure
        own = [Part(zone.nodes, zone.feeders, zone.inverters) for zone in zones]
        self._of_zones, self._of_whole = (
            Picker(s, own),
            Picker(self.whole.structure, list(self.whole.islands)),
        )
        everything = Part(self.whole.nodes, self.whole.feeders, np.zeros(0, dtype=int))
        self._shared = Picker(s, [everything])
        large = {int(f): q for q, f in enumerate(self.whole.head)}
        at = np.searchsorted(self.whole.feeders, np.concatenate([zone.heads for zone in zones]))
        self._heads = np.split(
            np.array([large.get(int(f), -1) for f in at]), np.cumsum([len(zone.heads) for zone in zones])[:-1]
        )
        self.rating_pu = np.asarray((self.whole.shares > 0).T @ inverters.s_max_kva) / S_BASE_KW
        self.island = np.full(len(self.whole.head), -1)
        for k, part in enumerate(self.whole.islands):
            self.island[part.inverters] = k
        parts = [
            (cut(s, part), np.searchsorted(zone.feeders, zone.heads))
            for part, zone in zip(own, zones, strict=True)
        ]
        parts += [(cut(self.whole.structure, part), np.zeros(0, dtype=int)) for part in self.whole.islands]
        self.crew = Crew(parts, workers)
        self.worst = np.zeros((2, len(zones)))  # how good each zone could be when it was last asked
        self._kept = self.worst

    def keep(self) -> None:
        """Keep which zones are the worst: `rewind` goes back to it, so that an answer does not depend on those before."""
        self._kept = self.worst.copy()
        self.crew.keep()

    def rewind(self) -> None:
        """Forget what was learnt since `keep`."""
        self.worst = self._kept.copy()
        self.crew.rewind()

    # --- the levels, one by one

    def caps(self, point: Point, deadline_s: float = inf, all_zones: bool = False) -> tuple[float, float]:
        """Return the worst unbalance and spread that the plant need have, as far as the critical zones know."""
        n = len(self.zones)
        ranks = [np.argsort(-self.worst[k], kind="stable")[:CRITICAL] for k in range(2)]
        which = range(n) if all_zones else sorted({int(z) for z in np.concatenate(ranks)})
        free = unlimited(self.whole, 0.0, 0.0)
        jobs = self._jobs_of_zones(point, free, which)
        answers = self.crew.solve(jobs, ("violations", "vuf", "spread"), deadline_s)
        for z, answer in answers.items():
            if answer.solved:
                self.worst[:, z] = answer.terms["vuf"], answer.terms["spread"]
        asked = [a for a in answers.values() if a.solved]
        vuf, spread = (max((a.terms[name] for a in asked), default=0.0) for name in ("vuf", "spread"))
        return _eased(vuf, spread)

    def overall(
        self, point: Point, caps: tuple[float, float], deadline_s: float = inf
    ) -> tuple[Exchange, dict[int, PartAnswer], np.ndarray]:
        """Return the limits that the global level sets, its answers, and the set-points of inverters in no zone (pu)."""
        whole = self.whole
        large = self.point_of_whole(point)
        jobs = []
        for k, numbers in enumerate(self._of_whole.pick(large)):
            more = [OPEN_PU] * 4 + [*caps, 0.0]
            jobs.append((len(self.zones) + k, np.r_[numbers, more]))
        answers = {n - len(self.zones): a for n, a in self.crew.solve(jobs, (), deadline_s).items()}
        g, j = large.g_re + 1j * large.g_im, large.j_re + 1j * large.j_im
        s = np.conj(j / np.where(g != 0, g, 1.0))
        island = self.island.copy()
        for k, answer in answers.items():
            part = whole.islands[k]
            if answer.solved:
                s[rows_of(part.inverters)] = answer.s_pu
                caps = _raised(caps, answer)
            else:
                island[part.inverters] = -1
        change = g * np.conj(s) - j
        exchange = limits_of(whole, large, self.rating_pu, change, island, caps)
        return exchange, answers, s

    def alone(self) -> Exchange:
        """Return what zones go by that never heard of a global level: nothing limits them, each is as good as it can be."""
        return unlimited(self.whole, 0.0, 0.0)

    def zonal(
        self, point: Point, exchange: Exchange, which: Sequence[int] | None = None, deadline_s: float = inf
    ) -> dict[int, PartAnswer]:
        """Return the answers of zones within what they may exchange."""
        every = range(len(self.zones)) if which is None else which
        return self.crew.solve(self._jobs_of_zones(point, exchange, every), (), deadline_s)

    # --- together

    def round(
        self,
        point: Point,
        s_pu: np.ndarray,
        exchange: Exchange | None,
        which: Sequence[int] | None,
        deadline_s: float = inf,
    ) -> Round:
        """Solve once at a point; with ``exchange`` the global level is not asked again.

        Parameters
        ----------
        s_pu : complex, shape (3I,)
            Set-points that stay where nobody says anything else.
        which : sequence of int, optional
            Zones; all without it.
        """
        islands: dict[int, PartAnswer] = {}
        s = s_pu.copy()
        if exchange is not None:
            answers = self.zonal(point, exchange, which, deadline_s)
            caps = self._take(s, answers, (exchange.vuf_cap, exchange.spread_cap))
        else:
            exchange = unlimited(self.whole, *self.caps(point, deadline_s))
            answers = self.zonal(point, exchange, which, deadline_s)
            caps = self._take(s, answers, (exchange.vuf_cap, exchange.spread_cap))
            broken = self._broken(point, s, caps)
            if broken:
                limits, islands, large = self.overall(point, caps, deadline_s)
                for q in np.flatnonzero(self.whole.own >= 0):
                    s[rows_of(self.whole.own[[q]])] = large[rows_of(np.array([q]))]
                mine = np.repeat(np.isin(self.island, broken), 3)
                exchange = replace(limits, width=np.where(mine, limits.width, OPEN_PU))
                again = [z for z, heads in enumerate(self._heads) if self.island[heads[0]] in broken]
                more = self.zonal(point, exchange, again, deadline_s)
                caps = self._take(s, more, (exchange.vuf_cap, exchange.spread_cap))
                answers |= more
        exchange = replace(exchange, vuf_cap=caps[0], spread_cap=caps[1])
        solved = all(a.solved for a in answers.values()) and all(a.solved for a in islands.values())
        return Round(s, exchange, answers, islands, solved)

    def _take(
        self, s: np.ndarray, answers: dict[int, PartAnswer], caps: tuple[float, float]
    ) -> tuple[float, float]:
        """Write zones' set-points into ``s``; return the caps that all of them could keep."""
        for z, answer in answers.items():
            if answer.solved:
                s[rows_of(self.zones[z].inverters)] = answer.s_pu
                if answer.over > 0.0:
                    seen = answer.terms["vuf"], answer.terms["spread"]
                    self.worst[:, z] = np.maximum(self.worst[:, z], seen)
                    caps = _raised(caps, answer)
        return caps

    def _broken(self, point: Point, s: np.ndarray, caps: tuple[float, float]) -> list[int]:
        """Return the islands whose shared feeders or boards zones would break together, or with inverters in no zone."""
        st, whole = self.area.structure, self.whole
        change = (point.g_re + 1j * point.g_im) * np.conj(s) - (point.j_re + 1j * point.j_im)
        current = (point.turn_re + 1j * point.turn_im) * point.amps + st.reach.current @ change
        size = np.abs(current).reshape(-1, 3)
        over = (size > st.limit[:, None] * (1.0 + NEARLY)).any(axis=1)
        apart = (size.max(axis=1) - size.min(axis=1)) / st.scale
        over |= st.counts & (apart > caps[1] * (1.0 + NEARLY))
        turn = point.two_turn_re + 1j * point.two_turn_im
        one = 1.0 / np.maximum(np.abs(turn), 1e-12)
        two = np.abs(turn * one * point.two + (st.two @ (st.reach.voltage @ change)) / one)
        high = two > caps[0] * (1.0 + NEARLY)
        out = []
        for k, part in enumerate(whole.islands):
            feeders = part.feeders[whole.shared[part.feeders]]
            boards = part.nodes[whole.boards[part.nodes]]
            own = (whole.own[part.inverters] >= 0).any()
            if own or over[whole.feeders[feeders]].any() or high[whole.nodes[boards]].any():
                out.append(k)
        return out

    def point_of_whole(self, point: Point) -> Point:
        """Return the numbers of the aggregate."""
        picked = unpack(self._shared.pick(point)[0], self._shared.shapes[0])
        return self.whole.point(point, picked)

    def _jobs_of_zones(self, point: Point, exchange: Exchange, which: Sequence[int]) -> list[Job]:
        """Return the numbers of zones, their exchange turned to the currents at the point."""
        turn = point.turn_re + 1j * point.turn_im
        jobs = []
        for z, numbers in zip(which, self._of_zones.pick(point, which), strict=True):
            large = self._heads[z]
            rows = rows_of(np.maximum(large, 0))
            plan = exchange.plan[rows] / turn[rows_of(self.zones[z].heads)]
            width = np.where(np.repeat(large >= 0, 3), exchange.width[rows], OPEN_PU)
            low, high = plan.real - width, plan.real + width
            left, right = plan.imag - width, plan.imag + width
            more = [exchange.vuf_cap, exchange.spread_cap, 0.0]
            jobs.append((z, np.concatenate([numbers, low, high, left, right, more])))
        return jobs


def _eased(vuf: float, spread: float) -> tuple[float, float]:
    return (vuf * (1 + CAP_PART) + CAP_SLACK[0], spread * (1 + CAP_PART) + CAP_SLACK[1])


def _raised(caps: tuple[float, float], answer: PartAnswer) -> tuple[float, float]:
    """Return caps that also those can keep who could not."""
    if answer.over == 0.0:
        return caps
    most = _eased(min(answer.terms["vuf"], FREE), min(answer.terms["spread"], FREE))
    return max(caps[0], most[0]), max(caps[1], most[1])
