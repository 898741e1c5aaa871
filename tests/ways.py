"""Is there a way to an end state at all? Every order of commands, judged on the way by the checker.

All that may be shed is off while devices move, so that no way is refused for load that could have gone for a
moment. Every order of the commands that lead from the failure to the end state is tried, depth first; a branch
ends where the checker refuses a state that has been passed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pdnopt.baselines import PlanWriter
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State
from pdnopt.response import Response

__all__ = ["find_way"]

MAX_CHECKS = 600
SORT = {"online": "inverter", "battery": "inverter", "eco": "bypass"}

Command = Callable[[PlanWriter], None]


def find_way(
    checker: Checker, response: Response, demand: Demand, failed: list[str], target: State, kw: np.ndarray
) -> Plan | None:
    """Return a plan to ``target`` with ``kw`` for every unit that the checker accepts in every state; None: there is none.

    Raises RuntimeError where MAX_CHECKS did not decide it.
    """
    writer = PlanWriter(response, demand, 0.5)
    was_kw = response.state.served * demand.d_kw
    dead = demand.sum_by_unit(response.living.astype(float)) == 0
    mine = [u for u in range(demand.n) if was_kw[u] > 0 and (kw[u] > 0 or demand.sheddable[u] or dead[u])]
    low = {u: 0.0 if demand.sheddable[u] else float(kw[u]) for u in mine}
    writer.loads({u: v for u, v in low.items() if v < was_kw[u] - 1e-9})
    up = {u: float(kw[u]) for u, v in low.items() if kw[u] > v + 1e-9}
    return _Ways(checker, response, failed, target, up).visit(writer)


class _Ways:
    def __init__(
        self, checker: Checker, response: Response, failed: list[str], target: State, up: dict[int, float]
    ) -> None:
        self.checker, self.response, self.failed = checker, response, failed
        self.target, self.up = target, up
        self.checks = 0

    def visit(self, writer: PlanWriter) -> Plan | None:
        commands = list(self._commands(writer.state))
        if not commands:
            last = _copy(writer)
            last.loads(self.up)
            return self._plan(last) if not self._errors(last, ended=True) else None
        for command in commands:
            after = _copy(writer)
            command(after)
            if self._errors(after, ended=False):
                continue
            found = self.visit(after)
            if found is not None:
                return found
        return None

    def _plan(self, writer: PlanWriter) -> Plan:
        actions = tuple(writer.actions)
        return Plan(failed=tuple(self.failed), automatic=self.response.automatic, actions=actions)

    def _errors(self, writer: PlanWriter, ended: bool) -> list[Any]:
        self.checks += 1
        if self.checks > MAX_CHECKS:
            raise RuntimeError("too many ways to try")
        issues = self.checker.report(self._plan(writer), self.failed).issues
        return [i for i in issues if i.severity == "error" and (ended or i.path != "plan.end")]

    def _commands(self, state: State) -> Iterator[Command]:
        """Every command towards the target that is left."""
        grid, target = self.response.grid, self.target
        sw, src = grid.switches, grid.sources
        for g in np.flatnonzero(~state.source_on & target.source_on & (src.kind == "genset")):
            yield lambda w, g=int(g): w.start(g)
        for s in np.flatnonzero((sw.transfer < 0) & (sw.ups < 0) & (state.closed != target.closed)):
            yield lambda w, s=int(s): w.switch(s, bool(target.closed[s]))
        for t, positions in enumerate(grid.transfers.positions):
            held, goal = positions[state.closed[positions]], positions[target.closed[positions]]
            if not np.array_equal(held, goal):
                yield lambda w, t=t, goal=goal: w.transfer(t, int(goal[0]) if len(goal) else None)
        for j, (now, then) in enumerate(zip(state.ups_mode, target.ups_mode, strict=True)):
            if SORT.get(now, now) != SORT.get(then, then):
                yield lambda w, j=j, then=str(then): w.mode(j, then)


def _copy(writer: PlanWriter) -> PlanWriter:
    other = copy.copy(writer)
    other.actions = list(writer.actions)
    return other
