"""What the plant's devices do by themselves: UPSs, island-forming batteries, automatic transfers.

A UPS that loses its input goes on battery at once and back online when the input returns; without energy in its
battery it passes its bypass through where that is live, else it is off. An automatic transfer that has had a dead
source and a live one to go to for ``transfer_ms`` moves, to the preferred live source first. A grid-forming battery
holds its island while nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PASSING, PlantView
from pdnopt.checker.situation import Situation, Supply, supply
from pdnopt.checker.tolerances import TIME_S

__all__ = ["Devices"]

MAX_ROUNDS = 200
"""More moves than this without an end is hunting."""


class Devices:
    """The automatic devices of one plant under one outage."""

    def __init__(self, view: PlantView, out: Outage) -> None:
        self.view, self.out = view, out
        self.hunting: list[str] = []

    def strike(self, before: Situation) -> Situation:
        """Return the situation right after the failure: protection has opened what it must, nothing moved yet."""
        v, out, s = self.view, self.out, before.copy()
        for k in range(v.n_tr):
            rows = v.tr_positions[k]
            s.tr_orphan[k] = bool((s.closed[rows] & (out.sw_forced[rows] == 0)).any())
        s.closed[out.sw_forced == 1] = True
        s.closed[out.sw_forced == 0] = False
        s.src_on &= ~out.src_dead
        s.st_kw[out.st_dead] = 0.0
        s.st_forming &= ~out.st_dead
        for k in range(v.n_ups):
            if out.ups_dead[k]:
                self._set_mode(s, k, "off")
            elif out.ups_no_inverter[k] and s.mode[k] != "off":
                self._set_mode(s, k, "bypass" if self._has_bypass(k) else "off")
            elif out.ups_no_rectifier[k] and s.mode[k] == "eco" and v.ups_e_kwh[k] > 0:
                self._set_mode(s, k, "battery")
        return s

    def settle(self, s: Situation, t_s: float) -> Supply:
        """Let everything that needs no time react, in place; start the clocks of what does. Return the supply."""
        for _ in range(MAX_ROUNDS):
            if not self._settle_upss(s):
                break
        else:
            self.hunting.append("ups")
        self._settle_storages(s)
        self._settle_upss(s)
        self._start_clocks(s, t_s)
        return supply(self.view, self.out, s)

    def next_move(self, s: Situation, busy: int = -1) -> tuple[float, list[int]]:
        """Return when the next automatic transfers move, and which; (inf, []) for never."""
        v = self.view
        due = np.maximum(s.tr_since + v.tr_s, s.tr_dwell_until)
        due = np.where(np.isnan(s.tr_since), np.inf, due)
        if busy >= 0:
            due[busy] = np.inf
        if not len(due) or not np.isfinite(due.min()):
            return np.inf, []
        first = float(due.min())
        return first, [int(k) for k in np.flatnonzero(due <= first + TIME_S)]

    def move(self, s: Situation, transfers: list[int], t_s: float) -> None:
        """Move automatic transfers to the source they go to, in place."""
        firm = supply(self.view, self.out, s, batteries=False)
        for k in transfers:
            goal = self._goal(s, firm, k)
            if goal >= 0:
                s.closed[self.view.tr_positions[k]] = False
                s.closed[goal] = True
                s.tr_orphan[k] = False
                s.tr_dwell_until[k] = t_s + self.view.tr_min_dwell_s[k]
            s.tr_since[k] = np.nan

    def until(self, s: Situation, t_s: float, end_s: float, busy: int = -1) -> Iterator[tuple[float, Supply]]:
        """Run the devices in place up to ``end_s``; yield after every move that takes time."""
        for _ in range(MAX_ROUNDS):
            due, which = self.next_move(s, busy)
            if not due < end_s - TIME_S:
                return
            t_s = max(due, t_s)
            self.move(s, which, t_s)
            yield t_s, self.settle(s, t_s)
        self.hunting.append("transfer")

    # --- what needs no time -------------------------------------------------------------------------------

    def _set_mode(self, s: Situation, k: int, mode: str) -> None:
        s.mode[k] = mode
        if self.view.ups_switch[k] >= 0:
            s.closed[self.view.ups_switch[k]] = mode in PASSING

    def _has_bypass(self, k: int) -> bool:
        switch = self.view.ups_switch[k]
        return bool(switch >= 0 and not self.out.sw_locked[switch])

    def _settle_upss(self, s: Situation) -> bool:
        """Move the first UPS that must change its mode; return whether one did."""
        v, out = self.view, self.out
        if not v.n_ups:
            return False
        now = supply(v, out, s)
        for k in range(v.n_ups):
            if out.ups_dead[k] or s.mode[k] == "off":
                continue
            goal = self._ups_goal(s, now, k)
            if goal != s.mode[k]:
                s.ups_waiting[k] = goal == "battery"
                self._set_mode(s, k, goal)
                return True
        return False

    def _ups_goal(self, s: Situation, now: Supply, k: int) -> str:
        """Return the mode that a UPS goes to by itself; its own where it stays."""
        v, mode = self.view, str(s.mode[k])
        fed = bool(now.live[v.ups_in[k]]) and not self.out.ups_no_rectifier[k]
        if mode == "online":
            return mode if fed else self._without_input(now, k)
        if mode == "battery":
            if not fed:
                s.ups_waiting[k] = True
                return self._without_input(now, k)
            return "online" if s.ups_waiting[k] or v.ups_e_kwh[k] <= 0 else mode
        if self._has_bypass(k) and now.live[v.ups_bypass_node[k]]:
            return mode
        if mode == "bypass":
            return "off"
        return "online" if fed else self._without_input(now, k)  # eco

    def _without_input(self, now: Supply, k: int) -> str:
        if self.view.ups_e_kwh[k] > 0:
            return "battery"
        if self._has_bypass(k) and now.live[self.view.ups_bypass_node[k]]:
            return "bypass"
        return "off"

    def _settle_storages(self, s: Situation) -> None:
        v, out = self.view, self.out
        able = v.st_forms & ~out.st_dead & ~s.st_held & (v.st_now_kwh > v.st_floor_kwh)
        if not (able.any() or s.st_forming.any()):
            return
        was = s.st_forming.copy()
        s.st_forming[:] = False
        order = [*np.flatnonzero(was & able), *np.flatnonzero(~was & able)]
        for k in order:  # who holds an island goes on holding it
            now = supply(v, out, s)
            node = v.st_node[k]
            if not now.live[node] and v.wiring.node_ok[node] and not out.node_dead[node]:
                s.st_forming[k] = True

    # --- what takes its time ------------------------------------------------------------------------------

    def _start_clocks(self, s: Situation, t_s: float) -> None:
        v = self.view
        if not v.tr_auto.any():
            return
        firm = supply(v, self.out, s, batteries=False)
        for k in np.flatnonzero(v.tr_auto & ~self.out.tr_stuck):
            wants = self._goal(s, firm, int(k)) >= 0
            if wants and np.isnan(s.tr_since[k]):
                s.tr_since[k] = t_s
            elif not wants:
                s.tr_since[k] = np.nan

    def _goal(self, s: Situation, firm: Supply, k: int) -> int:
        """Return the switch that transfer ``k`` would go to by itself, -1 where it has no reason or no choice."""
        v = self.view
        rows, feeds = v.tr_positions[k], v.tr_feeds[k]
        here = v.transfer_position(k, s.closed)
        if here < 0 and not s.tr_orphan[k]:
            return -1
        if here >= 0 and (firm.live[feeds[rows == here]].all() or self.out.sw_locked[here]):
            return -1
        choice = rows[firm.live[feeds] & ~self.out.sw_locked[rows] & (rows != here)]
        if not len(choice):
            return -1
        return int(v.tr_preferred[k]) if v.tr_preferred[k] in choice else int(choice[0])
