"""Every failure of the network with the new racks in it, by AC power flow: nothing of the model is believed.

The network is read anew. For each contingency the plant's own devices respond; then every rated component, every voltage
and every new rack is looked at: at once, after the emergency actions, and once batteries that nothing charges are empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.placement.effects import NORMAL, lasting_state
from pdnopt.placement.room import AT_ONCE, HELD, MOMENTS, NORMALLY, Policy
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import CONTINUOUS_S, Demand, read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.state import State, fed_units, initial_state, islands
from pdnopt.response import Loadings, flow_of, loadings, respond

if TYPE_CHECKING:
    from pdnopt.acflow import FlowResult

__all__ = ["Finding", "Verdict", "Verifier"]

OVER = 1e-5
"""A component is over what it may carry beyond this part."""


@dataclass(frozen=True)
class Finding:
    """What is not allowed in one state.

    ``use`` is loading over what is allowed (a voltage: limit over value); ``component`` is a rack where one is dark.
    """

    contingency: str
    moment: int
    component: str
    use: float

    def __str__(self) -> str:
        when = MOMENTS[self.moment]
        if self.component.startswith("rack:"):
            return f"{self.component} has no voltage after {self.contingency}"
        if not np.isfinite(self.use):
            return f"the AC power flow does not converge after {self.contingency} ({when})"
        after = "" if self.moment == NORMALLY else f" after {self.contingency}"
        return f"{self.component} at {100 * self.use:.2f} % of what it may carry {when}{after}"


@dataclass(frozen=True)
class Verdict:
    """One row a state that was judged.

    Attributes
    ----------
    contingency, worst : list of str
        ``worst`` is the component nearest to what it may carry.
    moment : int, shape (states,)
    use : float, shape (states,)
        Loading of the worst component over what it may carry.
    component : list of str
        Rated components, (components,).
    by_component : float, shape (moments, components)
        The highest use of each component in any state of a moment.
    findings : tuple of Finding
    """

    contingency: list[str]
    worst: list[str]
    moment: np.ndarray
    use: np.ndarray
    component: list[str]
    by_component: np.ndarray
    findings: tuple[Finding, ...]


class Verifier:
    """Judges one network.

    Parameters
    ----------
    net : pandapowerNet
        With the new racks.
    new : collection of str
        Names of the new racks: they must keep their voltage.
    redundant : collection of str
        Those of them that may be shed.
    """

    def __init__(self, net: Any, policy: Policy, new: Iterable[str], redundant: Iterable[str]) -> None:
        from pdnopt.acflow import FlowEngine

        self.net, self.policy = net, policy
        self.grid: Grid = read_grid(net)
        self.demand: Demand = read_demand(net, self.grid)
        self.engine = FlowEngine(net)
        self.book = read_curves(net)
        names = np.array([name.partition(":")[2] for name in self.demand.name], dtype=object)
        self._may_go = np.isin(names, list(redundant))
        self._new = np.isin(names, list(new))
        self._must_live = self._new & ~self._may_go
        d_kw = self.demand.d_kw
        floor = np.where(d_kw > 0, self.demand.min_kw / np.maximum(d_kw, 1e-12), 1.0)
        shed = (
            np.isin(self.demand.priority, policy.shed_priorities)
            & self.demand.sheddable
            & ~np.isin(names, list(new))
        )
        self._floor = np.where(self._may_go | shed, 0.0, floor)
        self._low = self.grid.nodes.v_min_pu[np.flatnonzero(self.grid.nodes.bus >= 0)]

    def judge(self, contingencies: Sequence[str]) -> Verdict:
        """Judge the network as given, and after each contingency."""
        start = initial_state(self.grid, self.demand)
        cases: list[tuple[str, int, Grid, State]] = [(NORMAL, NORMALLY, self.grid, start)]
        dark = self._cords(NORMAL, NORMALLY, self.demand.cord_kw, CONTINUOUS_S)
        for name in contingencies:
            response = respond(self.grid, self.demand, parse_failed(self.net, [name]))
            held = response.state.but(served=self._floor)
            dark += self._cords(name, AT_ONCE, response.draw_kw, 0.0)
            part = self._floor[self.demand.cord_unit]
            dark += self._cords(name, HELD, response.draw_kw * part, self.policy.hold_s)
            cases += [(name, AT_ONCE, response.grid, response.state), (name, HELD, response.grid, held)]
            later = lasting_state(response)
            if later is not None:
                cases.append((name, HELD, response.grid, later.but(served=self._floor)))
            dark += self._dark(name, response.interrupted, response.unservable, later)
        flow = flow_of(self.net, self.grid, self.demand, [case[3] for case in cases], self.engine)
        return self._read(cases, flow, dark)

    def _cords(self, name: str, moment: int, draw_kw: np.ndarray, time_s: float) -> list[Finding]:
        """Return the cords of new racks that draw more than their breakers carry for a time."""
        part = draw_kw / np.maximum(self.demand.cord_limit_kw(time_s), 1e-9)
        over = np.flatnonzero((part > 1.0 + OVER) & self._new[self.demand.cord_unit])
        return [Finding(name, moment, self.demand.cord_name[k], float(part[k])) for k in over]

    def _dark(
        self, name: str, interrupted: np.ndarray, lost: np.ndarray, later: State | None
    ) -> list[Finding]:
        """Return the new racks that lose their voltage although a path survives."""
        if later is not None:
            live = islands(self.grid, later).energised
            interrupted = interrupted | ~fed_units(self.demand, later, live)
        bad = np.flatnonzero(interrupted & ~lost & self._must_live)
        return [Finding(name, AT_ONCE, self.demand.name[u], 1.0) for u in bad]

    def _read(
        self, cases: Sequence[tuple[str, int, Grid, State]], flow: FlowResult, dark: list[Finding]
    ) -> Verdict:
        use, worst = np.zeros(len(cases)), []
        found = list(dark)
        names: list[str] = []
        highest = np.zeros((len(MOMENTS), 0))
        for k, (name, moment, grid, state) in enumerate(cases):
            table = loadings(self.net, grid, flow, state, k)
            if not names:
                names, highest = table.name, np.zeros((len(MOMENTS), len(table.name)))
            if not flow.converged[k]:
                found.append(Finding(name, moment, "", np.inf))
                use[k] = np.inf
                worst.append("")
                continue
            part = table.ratio / self._allowed(table, moment)
            highest[moment] = np.maximum(highest[moment], part)
            top = int(np.argmax(part)) if len(part) else -1
            use[k] = part[top] if top >= 0 else 0.0
            worst.append(names[top] if top >= 0 else "")
            found += [
                Finding(name, moment, names[c], float(part[c])) for c in np.flatnonzero(part > 1.0 + OVER)
            ]
            found += self._voltages(name, moment, flow.vm_pu[k])
        return Verdict(
            contingency=[case[0] for case in cases],
            worst=worst,
            moment=np.array([case[1] for case in cases]),
            use=use,
            component=names,
            by_component=highest,
            findings=tuple(found),
        )

    def _allowed(self, table: Loadings, moment: int) -> np.ndarray:
        """Return the ratio that each component may have at a moment."""
        if moment == NORMALLY:
            return np.ones(len(table.name))
        key = ("allowed", moment, table.on_battery.tobytes())
        return self.engine.memory.recall(key, lambda: self._carried(table, moment))

    def _carried(self, table: Loadings, moment: int) -> np.ndarray:
        time_s = self.policy.emergency_s if moment == AT_ONCE else self.policy.hold_s
        return np.array(
            [
                table.curve_of(self.book, row).sustainable_ratio(time_s, float(table.used[row]))
                for row in range(len(table.name))
            ]
        )

    def _voltages(self, name: str, moment: int, vm_pu: np.ndarray) -> list[Finding]:
        low = np.flatnonzero(np.nan_to_num(vm_pu, nan=np.inf) < self._low - OVER)
        names = self.grid.nodes.name
        return [Finding(name, moment, names[b], float(self._low[b] / vm_pu[b])) for b in low]
