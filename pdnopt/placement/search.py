"""From the room to racks in panels that AC power flow finds nothing wrong with.

Solve the assignment without losses (its bound is the proof), put the racks into panels, and have the contingencies judged
by AC power flow. What that finds beyond the model tightens the limits, and the assignment is solved again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.placement.adding import with_racks
from pdnopt.placement.assignment import Answer, Assignment, Kinds, read_kinds
from pdnopt.placement.classes import Classes, read_classes
from pdnopt.placement.filling import Filling
from pdnopt.placement.heuristics import place_online
from pdnopt.placement.places import Places
from pdnopt.placement.racks import NewRacks
from pdnopt.placement.room import MOMENTS, Policy, Room
from pdnopt.placement.verification import Finding, Verdict, Verifier

__all__ = ["BATCH", "Found", "Search"]

BATCH = "batch"
MODEL_PART = 0.2
"""Part of the gap for the search; the rest is for losses, which the bound leaves out."""
ROUNDS = 8
LOOKED_AT = 0.5
"""Components used more than this are compared between model and AC power flow."""
NEAR = 0.93
"""Contingencies with a row used more than this are judged in every round; all of them in the last."""
EXTRA = 1e-4
"""What a limit is tightened by beyond what AC power flow found."""
LOW_VOLTAGE = 0.98
GENERIC, MANY, FLOOR, SAFETY = 200, 100_000, 0.75, 5e-4
"""Calibration: racks that fill the room, as good as endless many, their floor, and what is kept back beyond."""


@dataclass(frozen=True)
class Found:
    """Racks in their places, what AC power flow said of it, its value, and the bounds of value and kW."""

    filling: Filling
    verdict: Verdict
    faults: tuple[Finding, ...]
    value: float
    value_bound: float
    bound_kw: float
    rounds: int


class Search:
    """Solves, verifies, tightens."""

    def __init__(
        self,
        net: Any,
        racks: NewRacks,
        places: Places,
        allowed: np.ndarray,
        room: Room,
        policy: Policy,
        contingencies: Sequence[str],
        weights: Mapping[int, float],
        barred: np.ndarray,
    ) -> None:
        self.net, self.racks, self.places, self.room, self.policy = net, racks, places, room, policy
        self.allowed = allowed
        self.contingencies, self.barred = list(contingencies), barred
        self.classes: Classes = read_classes(room, places, allowed)
        self.kinds: Kinds = read_kinds(racks, weights, barred)
        self.assignment = Assignment(self.kinds, self.classes, *self._watched(room))
        self.timings = {"solve_s": 0.0, "verify_s": 0.0}

    def run(self, rule: str, gap: float, deadline_s: float) -> Found:
        """Solve until AC power flow finds nothing; after the deadline searches are short, and verified all the same."""
        room, rounds = self.room if rule == BATCH else self._calibrated(), 0
        bound: Answer | None = None
        while True:
            rounds += 1
            begun = time.perf_counter()
            if rule == BATCH:
                # the first answer is to find the losses: a better one would be thrown away
                answer = (
                    self.assignment.quick(room)
                    if rounds == 1
                    else self.assignment.solve(room, MODEL_PART * gap, deadline_s)
                )
                answer = self.assignment.balanced(room, answer)
                filling = self._into_panels(room, answer)
                bound = bound or answer
            else:
                filling = place_online(room, self.racks, self.classes, rule, self.barred)
                bound = bound or self.assignment.relaxed(self.room)
            self.timings["solve_s"] += time.perf_counter() - begun
            verdict, faults = self._judged(filling)
            wanting = (
                rounds == 1
                and rule == BATCH
                and self._value(filling) < (1.0 - MODEL_PART * gap) * bound.bound
            )
            if (not faults and not wanting) or rounds >= ROUNDS:
                return Found(
                    filling,
                    verdict,
                    tuple(faults),
                    self._value(filling),
                    bound.bound,
                    self._most_kw(bound),
                    rounds,
                )
            room = self._tightened(room, filling, verdict, faults)

    def _value(self, filling: Filling) -> float:
        """Return the value of the items that are placed."""
        first = np.array([mine[0] for mine in self.racks.members()], dtype=int)
        item_value = np.zeros(len(first))
        for k, items in enumerate(self.kinds.items):
            item_value[items] = self.kinds.value[k]
        return float(item_value[filling.place[first] >= 0].sum())

    def _most_kw(self, bound: Answer) -> float:
        """Return an upper bound of the kW that can be placed, whatever the weights."""
        if (self.kinds.value == self.kinds.p_kw).all():
            return bound.bound
        return self.assignment.relaxed(self.room, self.kinds.p_kw).bound

    def _calibrated(self) -> Room:
        """Return the room with the losses that AC power flow finds where it is full of racks of one kind.

        One at a time nobody is moved again, so that limits must not depend on what comes later.
        """
        twin = self._filled_with(1.0, MANY)
        most_kw = twin.assignment.relaxed(self.room).bound
        if most_kw <= 0:
            return self.room
        twin = self._filled_with(most_kw / GENERIC, 2 * GENERIC)
        filling = twin._into_panels(self.room, twin.assignment.quick(self.room))
        verdict, faults = twin._judged(filling)
        room = twin._tightened(self.room, filling, verdict, faults)
        return room.tightened(room.scale - SAFETY)

    def _filled_with(self, p_kw: float, n: int) -> Search:
        """Return a search for racks of one kind, with a floor of FLOOR of their power."""
        cords = np.full(n, int(self.places.cords.max()))
        generic = NewRacks(
            name=[f"generic {k}" for k in range(n)],
            p_kw=np.full(n, p_kw),
            floor_kw=np.full(n, FLOOR * p_kw),
            min_p_kw=np.full(n, FLOOR * p_kw),
            cords=cords,
            priority=np.ones(n, dtype=int),
            redundant=np.zeros(n, dtype=bool),
            breaker_a=np.full(n, np.nan),
            item=np.arange(n),
        )
        none = np.zeros(n, dtype=bool)
        return Search(
            self.net, generic, self.places, self.allowed, self.room, self.policy, self.contingencies, {}, none
        )

    # --- from counts to panels

    def _watched(self, room: Room) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the classes whose use is evened out (UPSs where there are any), and what is there already."""
        first = np.array([part[0] for part in self.classes.parts], dtype=int)
        alone = np.array([len(part) == 1 for part in self.classes.parts], dtype=bool)
        ups = np.array([str(room.component[r]).startswith("ups:") for r in first], dtype=bool)
        return np.flatnonzero(alone & (ups if ups.any() else True)), (1.0 - room.free)[first]

    def _into_panels(self, room: Room, answer: Answer) -> Filling:
        """Give every item of a class its panels, then try those that are left anywhere."""
        filling, members = Filling(room, self.racks), self.racks.members()
        waiting: list[int] = []
        todo: list[tuple[float, int, int]] = []
        for k, items in enumerate(self.kinds.items):
            count = np.round(answer.count[k]).astype(int)
            goal = np.repeat(np.arange(len(count)), count)
            todo += [(-self.kinds.p_kw[k], int(i), int(c)) for i, c in zip(items, goal, strict=False)]
            waiting += [int(i) for i in items[len(goal) :]]
        for _, item, c in sorted(todo):
            if not filling.put_all(members[item], self.classes.members[c]):
                waiting.append(item)
        value = self.racks.sum_by_item(self.racks.p_kw)
        for item in sorted(waiting, key=lambda i: (-value[i], i)):
            for c in self._classes_for(item):
                if filling.put_all(members[item], self.classes.members[c]):
                    break
        return filling

    def _classes_for(self, item: int) -> list[int]:
        if self.barred[item]:
            return []
        rack = int(np.flatnonzero(self.racks.item == item)[0])
        fits = self.classes.cords == self.racks.cords[rack]
        fits &= self.classes.allowed[:, int(self.racks.redundant[rack])]
        return [int(c) for c in np.flatnonzero(fits)]

    # --- AC power flow

    def _judged(self, filling: Filling) -> tuple[Verdict, list[Finding]]:
        """Judge what may bind first, and all contingencies if that is in order."""
        begun = time.perf_counter()
        after = with_racks(self.net, self.racks, self.buses_of(filling), self.policy.power_factor)
        live = [self.racks.name[k] for k in np.flatnonzero(filling.place >= 0)]
        redundant = [self.racks.name[k] for k in np.flatnonzero((filling.place >= 0) & self.racks.redundant)]
        verifier = Verifier(after, self.policy, live, redundant)
        used = filling.load + 1.0 - self.room.free
        near = set(self.room.contingency[used > NEAR * filling.room.scale])
        verdict = verifier.judge([name for name in self.contingencies if name in near])
        faults = self._ours(filling, verdict)
        if not faults:
            verdict = verifier.judge(self.contingencies)
            faults = self._ours(filling, verdict)
        self.timings["verify_s"] += time.perf_counter() - begun
        return verdict, faults

    def buses_of(self, filling: Filling) -> dict[str, tuple[int, ...]]:
        """Return the buses of each rack that is placed."""
        put = np.flatnonzero(filling.place >= 0)
        return {self.racks.name[k]: self.places.buses_of(int(filling.place[k])) for k in put}

    def _ours(self, filling: Filling, verdict: Verdict) -> list[Finding]:
        """Return the findings to which new racks add: the others are the network's own."""
        rows = filling.load > 1e-12
        loaded = set(zip(self.room.moment[rows].tolist(), self.room.component[rows], strict=True))
        buses = {
            f"bus:{self.places.bus_name[b]}"
            for j in filling.place[filling.place >= 0]
            for b in self.places.pair[j]
        }
        return [
            finding
            for finding in verdict.findings
            if (finding.moment, finding.component) in loaded
            or finding.component in buses
            or finding.component.startswith(("rack:", "load:"))
            or not finding.component
        ]

    def _tightened(self, room: Room, filling: Filling, verdict: Verdict, faults: Sequence[Finding]) -> Room:
        """Return the room with the limits that AC power flow found to be nearer than the model thinks."""
        scale = room.scale.copy()
        used = filling.load + 1.0 - room.free
        at = {name: k for k, name in enumerate(verdict.component)}
        column = np.array([at.get(str(name), -1) for name in room.component])
        over = {(f.moment, f.component) for f in faults}
        for moment in range(len(MOMENTS)):
            for c in np.unique(column[(column >= 0) & (room.moment == moment)]):
                rows = (column == c) & (room.moment == moment)
                by_ac, by_model = float(verdict.by_component[moment, c]), float(used[rows].max())
                if by_ac < LOOKED_AT or by_model <= 0:
                    continue
                new = min(by_model / by_ac, 1.0)
                if (moment, verdict.component[c]) in over:
                    new = min(new, float(scale[rows].min())) - EXTRA
                scale[rows] = np.minimum(scale[rows], new)
        for fault in faults:
            if fault.component.startswith("bus:"):
                self._relieve(scale, room, used, fault)
        return room.tightened(scale)

    def _relieve(self, scale: np.ndarray, room: Room, used: np.ndarray, fault: Finding) -> None:
        """Lower the limit nearest to a bus whose voltage is too low."""
        name = fault.component.partition(":")[2]
        mine = np.array([name in self.places.name_of(j) for j in range(self.places.n)], dtype=bool)
        rows = np.flatnonzero((room.moment == fault.moment) & (room.at[mine] > 0).any(axis=0) & (used > 0))
        if len(rows):
            own = rows[int(np.argmin((room.at[:, rows] > 0).sum(axis=0)))]
            same = (room.component == room.component[own]) & (room.moment == fault.moment)
            scale[same] = np.minimum(scale[same], LOW_VOLTAGE * used[own])
