"""What trips if nobody acts: from one exhausted budget to the next, until nothing is pending.

Loop: AC power flow -> the next overload budget or battery that runs out -> it trips -> automatic devices
answer -> budgets carry on (and recover where the overload is gone). Rules: an overloaded UPS goes to its
static bypass where that works and is live, else off; a line, transformer or switch is opened at its own
switches, else at the nearest one upstream; a component without a curve never trips; what has tripped stays
open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, fed_units
from pdnopt.response.aftermath import Response, longest_dark_s
from pdnopt.response.casebook import flow_of
from pdnopt.response.clocks import drains_kw, loadings, reserves_kwh
from pdnopt.response.devices import Devices, Moment, positions_held
from pdnopt.response.supply import supply
from pdnopt.units import S_PER_H

if TYPE_CHECKING:
    from pdnopt.acflow import FlowEngine

__all__ = ["Event", "cascade"]

DAY_S = 24.0 * S_PER_H
SAME_S = 1e-6
MAX_ROUNDS = 1000


@dataclass(frozen=True)
class Event:
    """Something that happens by itself.

    Attributes
    ----------
    t_s : float
        Seconds after the failure.
    component, what, reason : str
        ``what`` is "trips", "goes to bypass", "goes off", "battery empty", "fuel empty", "goes on battery",
        "goes online", "transfers", "holds its island", "leaves its island" or "has no power flow".
    lost_kw, lost_by_priority : float, dict
        Load that is dark afterwards and was not before. Of what happens together, the first event carries it.
    dark : tuple of str
        The units that it darkens.
    interrupted_kw : float
        Load that loses voltage longer than its hold-up, that which comes back included.
    """

    t_s: float
    component: str
    what: str
    reason: str = ""
    lost_kw: float = 0.0
    lost_by_priority: dict[int, float] = field(default_factory=dict)
    dark: tuple[str, ...] = ()
    interrupted_kw: float = 0.0


def cascade(
    net: Any,
    grid: Grid,
    demand: Demand,
    response: Response,
    engine: FlowEngine | None = None,
    horizon_s: float = DAY_S,
) -> tuple[Event, ...]:
    """Follow what trips after a failure if nobody acts.

    Parameters
    ----------
    grid : Grid
        ``response.grid`` (with derated UPSs).
    engine : FlowEngine, optional
        Of the same network; built where it is missing.
    horizon_s : float
        The cascade is followed so long.
    """
    if engine is None:
        from pdnopt.acflow import FlowEngine as Engine

        engine = Engine(net)
    return _Cascade(net, grid, demand, response, engine).follow(horizon_s)


class _Cascade:
    """The plant while time passes: its state, budgets used (by component) and energy left."""

    def __init__(self, net: Any, grid: Grid, demand: Demand, response: Response, engine: FlowEngine) -> None:
        self.net, self.grid, self.demand, self.engine = net, grid, demand, engine
        self.book = read_curves(net)
        self.state = response.state
        self.t_s = max((item.t_s for item in response.automatic), default=0.0)
        self.used: dict[str, float] = {}
        self.recovery_s: dict[str, float] = {}
        self.left_kwh = reserves_kwh(grid)
        self.devices = Devices(
            grid,
            response.barred.copy(),
            battery_ok=self.left_kwh["ups"] > 0,
            on_return=response.state.ups_mode == "battery",
            storage_energy=self.left_kwh["storage"] > 0,
        )
        self.events: list[Event] = []
        self.lit = self._lit(response.state)

    def follow(self, horizon_s: float) -> tuple[Event, ...]:
        for _ in range(MAX_ROUNDS):
            flow = flow_of(self.net, self.grid, self.demand, [self.state], self.engine)
            if not bool(flow.converged[0]):
                self.events.append(Event(self.t_s, "", "has no power flow", "voltage collapse, or data"))
                break
            table = loadings(self.net, self.grid, flow, self.state)
            drain = drains_kw(self.net, self.grid, flow, self.state)
            rate, trips_in = self._overload_clocks(table)
            empty_in = {
                key: np.where(p > 1e-6, S_PER_H * self.left_kwh[key] / np.where(p > 1e-6, p, 1.0), inf)
                for key, p in drain.items()
            }
            wait = min(
                [*trips_in.values(), *(float(s.min(initial=inf)) for s in empty_in.values())], default=inf
            )
            if self.t_s + wait > horizon_s:
                break
            self._pass_time(wait, rate, drain)
            tripped = [name for name, s in trips_in.items() if s <= wait + SAME_S]
            rows = {name: k for k, name in enumerate(table.name)}
            self._strike(
                table, [rows[name] for name in tripped], {k: s <= wait + SAME_S for k, s in empty_in.items()}
            )
        return tuple(self.events)

    def _overload_clocks(self, table: Any) -> tuple[dict[str, float], dict[str, float]]:
        """Return by component the part of its budget used per second, and the seconds until it trips."""
        rate: dict[str, float] = {}
        trips_in: dict[str, float] = {}
        for row in table.over():
            curve = table.curve_of(self.book, int(row))
            name = table.name[row]
            self.used.setdefault(name, float(table.used[row]))
            if not len(curve.ratio):
                continue
            longest_s = curve.max_time_s(float(table.ratio[row]))
            self.recovery_s[name] = curve.recovery_s
            rate[name] = 1.0 / longest_s if longest_s > 0 else inf
            trips_in[name] = max(1.0 - self.used[name], 0.0) * longest_s
        return rate, trips_in

    def _pass_time(self, dt_s: float, rate: dict[str, float], drain: dict[str, np.ndarray]) -> None:
        self.t_s += dt_s
        for name in self.used:
            if name in rate:
                self.used[name] += rate[name] * dt_s if dt_s > 0 else 0.0
            else:
                back = dt_s / self.recovery_s[name] if self.recovery_s.get(name, 0.0) > 0 else 0.0
                self.used[name] = max(self.used[name] - back, 0.0)
        for key, p_kw in drain.items():
            self.left_kwh[key] = self.left_kwh[key] - p_kw * dt_s / S_PER_H

    # --- what runs out

    def _strike(self, table: Any, rows: list[int], empty: dict[str, np.ndarray]) -> None:
        grid = self.grid
        before, held = self.state, positions_held(grid, self.state)
        said: list[Event] = []
        for row in rows:
            name, k, kind = table.name[row], int(table.position[row]), table.table[row]
            why = f"{100 * table.ratio[row]:.0f} % of its limit for too long"
            said.append(Event(self.t_s, name, self._trip(kind, k), why))
        for k in np.flatnonzero(empty["ups"]).tolist():
            self.devices.battery_ok[k] = False
            said.append(Event(self.t_s, grid.upss.name[k], "battery empty"))
        for k in np.flatnonzero(empty["storage"]).tolist():
            self.devices.storage_energy[k] = False
            power = self.state.storage_kw.copy()
            power[k] = max(power[k], 0.0)
            self.state = self.state.but(storage_kw=power)
            said.append(Event(self.t_s, grid.storages.name[k], "battery empty"))
        for k in np.flatnonzero(empty["source"]).tolist():
            on, ok = self.state.source_on.copy(), self.state.source_ok.copy()
            on[k] = ok[k] = False
            self.state = self.state.but(source_on=on, source_ok=ok)
            said.append(Event(self.t_s, grid.sources.name[k], "fuel empty"))
        self.devices.actions.clear()
        moments = self.devices.run(self.state, held, self.t_s)
        moments = [Moment(self.t_s, moments[0].state, moments[0].supply), *moments[1:]]
        self.state, self.t_s = moments[-1].state, moments[-1].t_s
        said += [_event_of(action) for action in self.devices.actions]
        self._account(before, said, moments)

    def _trip(self, table: str, k: int) -> str:
        """Open or transfer what is overloaded; return what it does, in words."""
        if table == "ups":
            takes = self.devices.bypass_takes(self.state, supply(self.grid, self.state), k)
            self._ups_mode(k, "bypass" if takes else "off")
            return "goes to bypass" if takes else "goes off"
        if table == "switch":
            self._open(np.array([k]))
        else:
            self._open(self._switches_of_branch(k))
        return "trips"

    def _ups_mode(self, k: int, mode: str) -> None:
        modes, closed = self.state.ups_mode.copy(), self.state.closed.copy()
        modes[k] = mode
        s = int(self.grid.upss.bypass[k])
        if s >= 0:
            closed[s] = mode == "bypass"
        self.state = self.state.but(ups_mode=modes, closed=closed)

    def _open(self, switches: np.ndarray) -> None:
        """Open and lock switches; a transfer device that trips is locked, a static bypass is lost."""
        sw = self.grid.switches
        closed, locked = self.state.closed.copy(), self.state.locked.copy()
        transfer_ok, bypass_ok = self.state.transfer_ok.copy(), self.state.bypass_ok.copy()
        closed[switches], locked[switches], self.devices.barred[switches] = False, True, True
        owner = sw.transfer[switches]
        transfer_ok[owner[owner >= 0]] = False
        ups = sw.ups[switches]
        bypass_ok[ups[ups >= 0]] = False
        self.state = self.state.but(
            closed=closed, locked=locked, transfer_ok=transfer_ok, bypass_ok=bypass_ok
        )

    def _switches_of_branch(self, k: int) -> np.ndarray:
        """Return the closed switches that take branch ``k`` off: its own, else the nearest one upstream."""
        sw, br, nodes = self.grid.switches, self.grid.branches, self.grid.nodes
        shut = self.state.closed
        ends = [n for n in (br.tail[k], br.head[k]) if nodes.bus[n] < 0]
        own = np.flatnonzero(shut & (np.isin(sw.tail, ends) | np.isin(sw.head, ends)))
        if len(own):
            return own
        block = nodes.block[br.tail[k]]
        border = np.flatnonzero(shut & ((nodes.block[sw.tail] == block) ^ (nodes.block[sw.head] == block)))
        for s in border:
            closed = shut.copy()
            closed[s] = False
            if not supply(self.grid, self.state.but(closed=closed)).energised[br.tail[k]]:
                return np.array([s])
        return border

    # --- what it costs

    def _lit(self, state: State) -> np.ndarray:
        energised = supply(self.grid, state).energised
        return np.asarray(fed_units(self.demand, state, energised) & (state.served > 0))

    def _account(self, before: State, said: list[Event], moments: list[Moment]) -> None:
        demand = self.demand
        lit = self._lit(self.state)
        lost = self.lit & ~lit
        cut = self.lit & (longest_dark_s(demand, moments) > demand.holdup_s + 1e-9)
        drawn_kw = demand.d_kw * before.served
        self.lit = lit
        if not said:
            return
        first = said[0]
        by = {
            int(p): float(drawn_kw[lost & (demand.priority == p)].sum())
            for p in np.unique(demand.priority[lost])
        }
        names = tuple(demand.name[u] for u in np.flatnonzero(lost))
        self.events.append(
            Event(
                first.t_s,
                first.component,
                first.what,
                first.reason,
                float(drawn_kw[lost].sum()),
                by,
                names,
                float(drawn_kw[cut].sum()),
            )
        )
        self.events += said[1:]


def _event_of(action: Action) -> Event:
    what = {
        "battery": "goes on battery",
        "online": "goes online",
        "bypass": "goes to bypass",
        "off": "goes off",
    }
    if action.action == "mode":
        return Event(action.t_s, action.device, what[action.after], action.reason)
    if action.action == "form":
        word = "holds its island" if action.after else "leaves its island"
        return Event(action.t_s, action.device, word, action.reason)
    return Event(action.t_s, action.device, "transfers", f"to {action.after}: {action.reason}")
