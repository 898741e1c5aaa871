"""Transfer devices over time: break, make, inhibit, stall, return to the preferred source."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.plant.tables import values

if TYPE_CHECKING:
    from pdnopt.emulator.plant import EmulatedPlant

__all__ = ["Transfers"]

SAME_S = 1e-9


class Transfers:
    """The transfer devices of one plant."""

    def __init__(self, plant: EmulatedPlant) -> None:
        self.plant = plant
        self._back_due_s = np.full(plant.world.view.n_tr, inf)
        self._retransfer_s = values(plant.world.net, "transfer", "retransfer_s")

    def due_s(self) -> float:
        """Return when the next one arrives, looks again after its dwell, or returns to its preferred source."""
        w = self.plant.world
        return float(min(w.devices.next_event(w.s)[0], self._back_due_s.min(initial=inf)))

    def begin(self, k: int, goal: int) -> None:
        """Break: leave the position, and make the other one ``transfer_ms`` later."""
        w = self.plant.world
        w.s.closed[w.view.tr_positions[k]] = False
        w.s.tr_orphan[k] = False
        w.s.tr_goal[k], w.s.tr_since[k] = goal, self.plant.t_s

    def end(self) -> None:
        """Make: those that are due arrive, if nothing forbids it by now."""
        w, v = self.plant.world, self.plant.world.view
        due, which = w.devices.next_event(w.s)
        if due > self.plant.t_s + SAME_S:
            return
        for k in which:
            goal, name = int(w.s.tr_goal[k]), v.names["transfer"][k]
            w.s.tr_goal[k], w.s.tr_since[k] = -1, np.nan
            if goal < 0:
                continue  # its dwell has ended: it looks again
            feed, out = int(v.tr_feeds[k][v.tr_positions[k] == goal][0]), int(v.tr_out[k])
            w.now = w.devices.settle(w.s, self.plant.t_s)
            if self.plant.misbehaves(name, "stall_open"):
                self.plant.ledger.say(
                    self.plant.t_s, name, "stalls open", f"on the way to {v.names['switch'][goal]}"
                )
            elif w.outage.tr_stuck[k] or w.outage.sw_locked[goal]:
                w.s.tr_orphan[k] = True
                self.plant.ledger.say(self.plant.t_s, name, "stalls open", "its goal was lost on the way")
            elif w.now.live[feed] and w.now.live[out] and not w.yields(out):
                self.plant.ledger.say(self.plant.t_s, name, "inhibits", "its output is fed otherwise")
            else:
                w.s.closed[goal] = True
                w.s.tr_dwell_until[k] = self.plant.t_s + v.tr_min_dwell_s[k]
                w.s.tr_orphan[k] = False
                self.plant.ledger.say(self.plant.t_s, name, "transfers", f"to {v.names['switch'][goal]}")
            w.settle(self.plant.t_s)

    def watch(self) -> None:
        """Start or stop the clocks of those that return to their preferred source (``retransfer_s``)."""
        w, v = self.plant.world, self.plant.world.view
        for k in np.flatnonzero(np.isfinite(self._retransfer_s) & v.tr_auto):
            want = int(w.s.tr_preferred[k])
            here = v.transfer_position(int(k), w.s.closed)
            able = want >= 0 and here >= 0 and here != want and not w.outage.tr_stuck[k]
            if able:
                feed = int(v.tr_feeds[k][v.tr_positions[k] == want][0])
                able = (
                    bool(w.now.live[feed]) and not w.outage.sw_locked[want] and not w.outage.sw_locked[here]
                )
            if not able:
                self._back_due_s[k] = inf
            elif not isfinite(self._back_due_s[k]):
                self._back_due_s[k] = self.plant.t_s + self._retransfer_s[k]

    def go_back(self) -> None:
        """Let those go back to their preferred source that have been waiting long enough."""
        v = self.plant.world.view
        for k in np.flatnonzero(self._back_due_s <= self.plant.t_s + SAME_S):
            self._back_due_s[k] = inf
            want = v.names["switch"][int(self.plant.world.s.tr_preferred[k])]
            self.plant.panel.take(v.names["transfer"][k], "transfer", want)
