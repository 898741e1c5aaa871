"""Carry out a plan step by step on the plant, with what the plant's devices do in between.

Commands take effect at their ``t_s``. A break-before-make transfer leaves its output dead for ``transfer_s``
before that; the state in between is a segment of its own, marked transient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.checker.automatic import Devices
from pdnopt.checker.commands import Commands
from pdnopt.checker.findings import Findings
from pdnopt.checker.plant_view import PASSING, PlantView
from pdnopt.checker.situation import Situation, Supply
from pdnopt.checker.synchronism import labels

__all__ = ["Replay", "Segment"]


@dataclass
class Segment:
    """One state that the plant is in from ``t_s`` to ``until_s``; step 0 = before the first command took
    effect.
    """

    t_s: float
    until_s: float
    step: int
    situation: Situation
    supply: Supply
    transient: bool = False

    @property
    def path(self) -> str:
        """Where in the plan this state is."""
        return f"plan.step[{self.step}]" if self.step else "plan.post_fault"


class Replay:
    """The states that one plan leads through, in order of time."""

    def __init__(self, view: PlantView, devices: Devices, commands: Commands, findings: Findings) -> None:
        self.view, self.devices, self.commands, self.findings = view, devices, commands, findings
        self.segments: list[Segment] = []
        self._now = 0.0
        self._step = 0

    def run(self, struck: Situation, actions: list[Any]) -> list[Segment]:
        """Return the segments from the failure to the end state (the last one, without an end)."""
        s = struck.copy()
        self._note(0.0, s, self.devices.settle(s, 0.0))
        groups: dict[tuple[float, int, str], list[Any]] = {}
        for item in actions:
            # one step takes effect at one time; anything else is a finding of the timing rules
            groups.setdefault((float(item.t_s), int(item.step), item.device.partition(":")[0]), []).append(
                item
            )
        for (t_s, step, table), items in sorted(groups.items(), key=lambda pair: pair[0][:2]):
            if table == "transfer":
                waiting: list[Any] = []
                for item in items:
                    if item.action == "prefer":
                        waiting.append(item)
                        continue
                    s = self._transfer(self._prefer(s, waiting, t_s, step), item, t_s, step)
                    waiting = []
                s = self._prefer(s, waiting, t_s, step)
                continue
            s = self._wait(s, t_s)
            before = self.segments[-1].supply
            self._step = step
            loads = self.commands.check_all(s, before, items)
            s = s.copy()
            if loads is not None:
                loads.apply(s)
            else:
                for item in items:
                    self.apply(s, item, t_s)
            self._note(t_s, s, self.devices.settle(s, t_s))
        self._wait(s, np.inf)
        return self.segments

    def apply(self, s: Situation, item: Any, t_s: float) -> None:
        """Carry out one command in place; one without a device changes nothing (it is a finding)."""
        v = self.view
        table = item.device.partition(":")[0]
        k = self.commands.position(item.device)
        if k is None:
            return
        if table == "switch":
            s.closed[k] = bool(item.after)
        elif table == "ups":
            s.mode[k] = str(item.after)
            s.ups_waiting[k] = False
            if v.ups_switch[k] >= 0:
                s.closed[v.ups_switch[k]] = item.after in PASSING
        elif table == "ext_grid":
            s.src_on[k] = bool(item.after)
        elif table == "storage":
            if item.action == "form":
                s.st_forming[k] = bool(item.after)
                s.st_held[k] = not item.after
            else:
                s.st_kw[k] = float(item.after)
        elif item.action == "prefer":
            s.tr_preferred[k] = v.at["switch"].get(str(item.after), -1)
        elif table == "transfer":
            goal = v.at["switch"].get(str(item.after), -1) if item.after is not None else -1
            s.closed[v.tr_positions[k]] = False
            s.tr_orphan[k] = False
            s.tr_goal[k], s.tr_since[k] = -1, np.nan
            s.tr_dwell_until[k] = t_s + v.tr_min_dwell_s[k]
            if goal >= 0:
                s.closed[goal] = True
        else:
            s.may_kw[k] = float(item.after)

    def _prefer(self, s: Situation, items: list[Any], t_s: float, step: int) -> Situation:
        """Change where devices go first; nothing moves, so those of one step are one state."""
        if not items:
            return s
        s = self._wait(s, t_s)
        self._step = step
        s = s.copy()
        for item in items:
            self.commands.check(s, self.segments[-1].supply, item)
            self.apply(s, item, t_s)
        self._note(t_s, s, self.devices.settle(s, t_s))
        return s

    def _transfer(self, s: Situation, item: Any, t_s: float, step: int) -> Situation:
        v = self.view
        k = self.commands.position(item.device)
        if k is None:
            return s
        begin_s = max(t_s - float(v.tr_s[k]), self._now)
        s = self._wait(s, begin_s)
        now = self.segments[-1].supply
        self._step = step
        self.commands.check(s, now, item)
        s = s.copy()
        goal = v.at["switch"].get(str(item.after), -1) if item.after is not None else -1
        if not (v.tr_closed_transition[k] and self._in_step(s, now, v.transfer_position(k, s.closed), goal)):
            s.closed[v.tr_positions[k]] = False
            s.tr_orphan[k] = False
            s.tr_goal[k], s.tr_since[k] = max(goal, 0), np.nan  # under way by command
            self._note(begin_s, s, self.devices.settle(s, begin_s))
            s = self._wait(s, t_s)
        s = s.copy()
        self.apply(s, item, t_s)
        self._note(t_s, s, self.devices.settle(s, t_s))
        return s

    def _in_step(self, s: Situation, now: Supply, old: int, new: int) -> bool:
        """True where both positions are live and in synchronism: a closed transition has no break then."""
        if old < 0 or new < 0:
            return False
        v = self.view
        k = int(v.sw_transfer[new])
        rows, feeds = v.tr_positions[k], v.tr_feeds[k]
        a, b = (int(feeds[rows == r][0]) for r in (old, new))
        if not (now.live[a] and now.live[b]):
            return False
        sync = labels(v, self.devices.out, s, now)
        return sync[int(now.part[a])] == sync[int(now.part[b])]

    def _wait(self, s: Situation, until_s: float) -> Situation:
        """Let time pass, with what moves by itself meanwhile."""
        s = s.copy()
        for t_s, sup in self.devices.until(s, self._now, until_s):
            self._note(t_s, s.copy(), sup)
        return s

    def _note(self, t_s: float, s: Situation, sup: Supply) -> None:
        t_s = max(t_s, self._now)
        if self.segments:
            self.segments[-1].until_s = t_s
        transient = bool((s.tr_goal >= 0).any())
        self.segments.append(Segment(t_s, np.inf, self._step, s, sup, transient))
        self._now = t_s
