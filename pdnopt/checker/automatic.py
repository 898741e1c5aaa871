"""What the plant's devices do by themselves: UPSs, island-forming batteries, automatic transfers.

A UPS that loses its input goes on battery at once and back online when the input returns; without energy in
its battery it passes its bypass through where that is live, else it is off. An automatic transfer whose
position is dead while another is live opens at once and closes ``transfer_ms`` later, on the preferred live
source first. A grid-forming battery holds its island while nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PASSING, PlantView
from pdnopt.checker.situation import Situation, Supply, supply
from pdnopt.checker.tolerances import TIME_S

__all__ = ["Devices"]

PASSING_OR_OFF = ("bypass", "off")
MAX_ROUNDS = 200
"""More moves than this without an end is hunting."""


class Devices:
    """The automatic devices of one plant under one outage."""

    def __init__(self, view: PlantView, out: Outage) -> None:
        self.view, self.out = view, out
        self.hunting: list[str] = []

    def strike(self, before: Situation) -> Situation:
        """Return the situation right after the failure: protection has opened what it must, nothing moved
        yet.
        """
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
            elif s.mode[k] == "eco" and self._rectifier_failed(k) and v.ups_e_kwh[k] > 0:
                self._set_mode(s, k, "battery")
        return s

    def settle(self, s: Situation, t_s: float) -> Supply:
        """Let everything that needs no time react, in place; start the clocks of what does. Return the
        supply.
        """
        while True:
            for _ in range(MAX_ROUNDS):
                if self._settle_upss(s, bridged=True):
                    continue
                self.hold_islands(s)
                if not (self._settle_upss(s, bridged=True) or self._settle_upss(s, bridged=False)):
                    break
            else:
                self.hunting.append("ups")
            # an automatic transfer that lost its source opens at once; what hung on it reacts in turn
            if not self._open_transfers(s, t_s):
                break
        return supply(self.view, self.out, s)

    def next_event(self, s: Situation) -> tuple[float, list[int]]:
        """Return when the next automatic transfers open or close, and which; (inf, []) for never."""
        v = self.view
        due = np.where(s.tr_goal >= 0, s.tr_since + v.tr_s, s.tr_since)
        due = np.where(np.isnan(due), np.inf, due)
        if not len(due) or not np.isfinite(due.min()):
            return np.inf, []
        first = float(due.min())
        return first, [int(k) for k in np.flatnonzero(due <= first + TIME_S)]

    def until(self, s: Situation, t_s: float, end_s: float) -> Iterator[tuple[float, Supply]]:
        """Run the devices in place up to ``end_s``; yield after every event that takes time."""
        for _ in range(MAX_ROUNDS):
            due, which = self.next_event(s)
            if not due < end_s - TIME_S:
                return
            t_s = max(due, t_s)
            for k in which:
                if s.tr_goal[k] >= 0:
                    s.closed[s.tr_goal[k]] = True
                    s.tr_orphan[k] = False
                    s.tr_dwell_until[k] = t_s + self.view.tr_min_dwell_s[k]
                s.tr_goal[k], s.tr_since[k] = -1, np.nan
            yield t_s, self.settle(s, t_s)
        self.hunting.append("transfer")

    # --- what needs no time -------------------------------------------------------------------------------

    def _set_mode(self, s: Situation, k: int, mode: str) -> None:
        s.mode[k] = mode
        if self.view.ups_switch[k] >= 0:
            s.closed[self.view.ups_switch[k]] = mode in PASSING

    def _rectifier_failed(self, k: int) -> bool:
        """True for ``@rectifier``, not for an input in a dead zone (eco needs none)."""
        return bool(self.out.ups_no_rectifier[k] and not self.out.node_dead[self.view.ups_in[k]])

    def _has_bypass(self, k: int) -> bool:
        switch = self.view.ups_switch[k]
        return bool(switch >= 0 and self.out.sw_forced[switch] != 0)

    def _settle_upss(self, s: Situation, bridged: bool) -> bool:
        """Move the first UPS that must change its mode; return whether one did.

        With ``bridged`` only where its own battery or its input carries it: one without a battery drops out
        only after the batteries in the rows have had their chance to hold its input.
        """
        v, out = self.view, self.out
        if not v.n_ups:
            return False
        now = supply(v, out, s)
        for k in range(v.n_ups):
            if out.ups_dead[k] or s.mode[k] == "off":
                continue
            goal = self._ups_goal(s, now, k)
            dropping = s.mode[k] != "bypass" and goal in PASSING_OR_OFF
            if goal != s.mode[k] and not (bridged and dropping):
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

    def hold_islands(self, s: Situation) -> None:
        """Let grid-forming batteries hold, in place, the islands that no other source feeds, and no others."""
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

    def _open_transfers(self, s: Situation, t_s: float) -> bool:
        """Let automatic transfers leave a dead source; return whether one opened. In dwell they wait."""
        v = self.view
        if not v.tr_auto.any():
            return False
        now = supply(v, self.out, s)
        opened = False
        asked = v.tr_auto & ~self.out.tr_stuck & (s.tr_goal < 0)
        if not s.st_forming.any():  # one that stands somewhere and is fed has no reason to move
            content = asked & (v.closed_positions(s.closed) > 0) & now.live[v.tr_out]
            s.tr_since[content] = np.nan
            asked &= ~content
        for k in np.flatnonzero(asked):
            goal = self._goal(s, now, int(k))
            if goal < 0:
                s.tr_since[k] = np.nan
            elif t_s < s.tr_dwell_until[k] - TIME_S:
                s.tr_since[k] = s.tr_dwell_until[k]
            else:
                opened |= bool(s.closed[v.tr_positions[k]].any())
                s.closed[v.tr_positions[k]] = False
                s.tr_goal[k], s.tr_since[k] = goal, t_s
        return opened

    def _goal(self, s: Situation, now: Supply, k: int) -> int:
        """Return the switch that transfer ``k`` would go to by itself, -1 where it has no reason or choice.

        A position counts as live by what feeds it from its own side: not through the transfer itself.
        """
        v = self.view
        rows, feeds = v.tr_positions[k], v.tr_feeds[k]
        here = v.transfer_position(k, s.closed)
        if here < 0 and not s.tr_orphan[k]:
            return -1
        if here >= 0:
            if self.out.sw_locked[here]:
                return -1
            if now.live[v.tr_out[k]]:
                if not s.st_forming.any():
                    return -1
                apart = s.copy()
                apart.closed[here] = False
                now = supply(v, self.out, apart)
            if now.live[feeds[rows == here]].all():
                return -1
        choice = rows[now.live[feeds] & ~self.out.sw_locked[rows] & (rows != here)]
        if not len(choice):
            return -1
        return int(s.tr_preferred[k]) if s.tr_preferred[k] in choice else int(choice[0])
