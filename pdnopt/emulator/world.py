"""How the emulated plant stands at one moment: who is switched how, what is broken, how much energy is left.

It stands on the reading of a network that the checker has (`pdnopt.checker`), which shares nothing with the models: a
plan's author and its judge never use the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine, FlowResult
from pdnopt.checker.automatic import Devices
from pdnopt.checker.curves import Curves
from pdnopt.checker.demand_view import DemandView
from pdnopt.checker.flows import flow_of
from pdnopt.checker.outage import Outage, read_outage
from pdnopt.checker.plant_view import PASSING, PlantView
from pdnopt.checker.ratings import Rated, rated
from pdnopt.checker.replay import Segment
from pdnopt.checker.situation import Supply, base_situation, supply
from pdnopt.checker.synchronism import labels
from pdnopt.emulator.inverters import Inverters
from pdnopt.errors import InputError, Issue
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["Snapshot", "World"]


@dataclass(frozen=True)
class Snapshot:
    """The AC power flow of one moment, and what follows from it.

    Attributes
    ----------
    converged : bool
        False: there is no power flow, the voltage has collapsed.
    cord_kw, cord_kvar : float, shape (cords,)
    served_kw : float, shape (units,)
        What each unit gets.
    on_battery : bool, shape (n_ups,)
    groups : list of Rated
        Loading over limit by table, one row each.
    flow : FlowResult
        One case.
    """

    converged: bool
    cord_kw: np.ndarray
    cord_kvar: np.ndarray
    served_kw: np.ndarray
    on_battery: np.ndarray
    groups: list[Rated]
    flow: FlowResult


class World:
    """One plant: what does not change (its tables), what does (its situation), and what is broken.

    Attributes
    ----------
    net : pandapowerNet
        A copy of the network as given.
    view : PlantView
        Its tables. ``ups_e_kwh``, ``st_now_kwh``, ``src_fuel_kwh`` and ``ups_temperature_c`` change with time.
    demand : DemandView
        What the units ask for now.
    outage : Outage
        What is broken: failures by name, and what has tripped.
    s : Situation
        How everything is switched.
    now : Supply
        What has voltage.
    cap_kw : float, shape (units,)
        What each unit has been told that it may draw; inf: no cap.
    down : bool, shape (units,)
        Lost voltage for longer than its hold-up and has not restarted yet.
    """

    def __init__(self, net: Any) -> None:
        self.net = deepcopy(net)
        self.view = PlantView(self.net)
        self.as_given = DemandView(self.view)
        self.demand = self.as_given
        view = self.view
        self.curves, self.inverters = Curves(self.net), Inverters(self.net, view)
        self.engine = FlowEngine(self.inverters.engine_network(self.net))
        self.failed: list[str] = []
        self._taken: list[tuple[str, int]] = []
        self.tripped: list[int] = []
        self.outage = Outage.none(view)
        self.devices = Devices(view, self.outage)
        self.s = base_situation(view, self.demand.d_kw, self.demand.node)
        self.s.ups_waiting |= self.s.mode == "battery"
        self.cap_kw = np.full(self.demand.n, np.inf)
        self.down = np.zeros(self.demand.n, dtype=bool)
        restart_s = np.zeros(self.demand.n)
        for number, table in enumerate(("load", "asymmetric_load")):
            mine = self.demand.table == number
            cords = values(self.net, table, "restart_s")[self.demand.row[mine]]
            np.maximum.at(restart_s, self.demand.unit[mine], cords)
        self.restart_s = restart_s
        self.ups_size_kwh = values(self.net, "ups", "e_max_mwh") * KW_PER_MW
        self.charge_max_kw = values(self.net, "ups", "p_charge_max_mw") * KW_PER_MW
        self.charge_given_kw = values(self.net, "ups", "p_charge_mw") * KW_PER_MW
        self.walk_in_s = values(self.net, "ups", "walk_in_s")
        self.devices.hold_islands(self.s)
        self.now = self.settle(0.0)
        self.down |= ~self.fed & (self.demand.d_kw > 0)

    # --- what lives

    @property
    def living(self) -> np.ndarray:
        """Which cords have voltage and a working power supply, shape (cords,)."""
        d, out = self.demand, self.outage
        broken = np.zeros(len(d.unit), dtype=bool)
        for number, table in enumerate(("load", "asymmetric_load")):
            mine = d.table == number
            broken[mine] = out.row_dead[table][d.row[mine]]
        return np.asarray(self.now.live[d.node] & d.works & ~broken)

    @property
    def fed(self) -> np.ndarray:
        """Which units have a living cord, shape (units,)."""
        return self.demand.fed(self.living)

    def settle(self, t_s: float) -> Supply:
        """Let everything that needs no time react; start the clocks of what does."""
        self.now = self.devices.settle(self.s, t_s)
        return self.now

    # --- what is asked for

    def set_loads(self, loads_kw: Mapping[str, Mapping[int, float]]) -> None:
        """Give rows of ``net.load`` and ``net.asymmetric_load`` other demands, kW; those that are not named: as given."""
        self.demand = self.as_given.with_loads(loads_kw)

    def allow(self) -> None:
        """Write into the situation what each unit may draw: its demand, its cap, nothing while it is down."""
        self.s.may_kw = np.where(self.down, 0.0, np.minimum(self.cap_kw, self.demand.d_kw))

    # --- what is broken

    def strike(self, failed: Iterable[str], t_s: float) -> None:
        """Let this be all that has failed, beside what has tripped; protection and devices answer.

        Raises
        ------
        InputError
            Names that mean nothing; nothing has changed then.
        """
        names = list(failed)
        out = read_outage(self.view, names)
        if out.issues:
            raise InputError(out.issues)
        waiting = self.s.tr_orphan.copy()
        self.failed, self.outage = names, out
        self._lock_tripped()
        self.devices = Devices(self.view, out)
        self.s = self.devices.strike(self.s)
        stands = self.view.closed_positions(self.s.closed) > 0
        self.s.tr_orphan |= waiting & ~stands
        lost = {row for table, row in out.taken_out if table == "asymmetric_sgen"}
        self.inverters.on = self.inverters.in_service & ~np.isin(self.inverters.index, list(lost))
        taken = [item for item in out.taken_out if item[0] != "asymmetric_sgen"]
        if taken != self._taken:
            net = deepcopy(self.net)
            for table, row in taken:
                net[table].loc[row, "in_service"] = False
            self.engine, self._taken = FlowEngine(self.inverters.engine_network(net)), taken
        self.settle(t_s)

    def unknown_failure(self, name: str) -> list[Issue]:
        """Return what is wrong with the name of a failure; nothing changes."""
        return read_outage(self.view, [name]).issues

    def trip(self, switches: Iterable[int]) -> None:
        """Open switches for good: they stay locked until a person has looked at them."""
        self.tripped += [k for k in switches if k not in self.tripped]
        self._lock_tripped()

    def _lock_tripped(self) -> None:
        v, out = self.view, self.outage
        for k in self.tripped:
            self.s.closed[k] = False
            out.sw_locked[k] = out.sw_failed[k] = True
            out.sw_forced[k] = 0
            if v.sw_transfer[k] >= 0:
                out.tr_stuck[v.sw_transfer[k]] = True

    def forget_supplies(self) -> None:
        """What has voltage is kept by position of switches; an empty battery changes that too."""
        self.outage.supplies.clear()

    # --- physics

    def snapshot(self) -> Snapshot:
        """Run the AC power flow of this moment."""
        self.allow()
        segment = Segment(0.0, 0.0, 0, self.s, self.now)
        states = flow_of(self.view, self.demand, self.outage, [segment], self.engine, self.inverters)
        ok = bool(states.flow.converged[0])
        groups = rated(self.view, self.demand, self.outage, self.curves, self.inverters, [segment], states)
        return Snapshot(
            converged=ok,
            cord_kw=states.cord_kw[0],
            cord_kvar=states.cord_kvar[0],
            served_kw=states.served_kw[0] if ok else np.zeros(self.demand.n),
            on_battery=states.ups_on_battery[0],
            groups=groups if ok else [],
            flow=states.flow,
        )

    def charge(self, charging_kw: np.ndarray) -> None:
        """Let UPSs that are online draw so much beside their load, kW."""
        if self.view.n_ups:
            self.engine.model.ups.p_charge_kw[:] = charging_kw

    # --- single devices

    def set_mode(self, k: int, mode: str) -> None:
        """Switch a UPS, its static bypass with it."""
        self.s.mode[k] = mode
        if self.view.ups_switch[k] >= 0:
            self.s.closed[self.view.ups_switch[k]] = mode in PASSING

    def bypass_takes(self, k: int) -> bool:
        """True where the static bypass of a UPS works, is live, and joins no second source."""
        v, out = self.view, self.outage
        switch = int(v.ups_switch[k])
        if switch < 0 or out.sw_locked[switch] or out.sw_forced[switch] == 0:
            return False
        quiet = self.s.copy()
        quiet.mode[k] = "off"
        quiet.closed[switch] = False
        quiet.st_forming[:] = False
        without = supply(v, out, quiet)
        return bool(without.live[v.ups_bypass_node[k]] and not without.live[v.ups_out[k]])

    def yields(self, node: int) -> bool:
        """True where only batteries in the rows hold a node: they synchronise, and give way to a source."""
        return all(kind == "storage" for kind, _ in self.now.by_part().get(int(self.now.part[node]), []))

    def in_sync(self, a: int, b: int) -> bool:
        """True where two nodes may be joined now: one is dead, they are one part already, or in synchronism."""
        now = self.now
        if not (now.live[a] and now.live[b]) or now.part[a] == now.part[b]:
            return True
        heads = now.by_part()
        if any(heads[int(now.part[n])][0][0] == "storage" for n in (a, b)):
            return True  # an island-forming inverter synchronises before it hands over
        sync = labels(self.view, self.outage, self.s, now)
        return sync[int(now.part[a])] == sync[int(now.part[b])]

    def in_sync_if_started(self, k: int) -> bool:
        """True where a genset's bus is dead, or fed by sources of its own group that run in parallel with it."""
        v, now = self.view, self.now
        node = int(v.src_node[k])
        if not now.live[node]:
            return True
        group = str(v.src_group[k])
        others = now.by_part().get(int(now.part[node]), [])
        return bool(group and v.src_parallel[k]) and all(
            kind == "ext_grid" and str(v.src_group[row]) == group and v.src_parallel[row]
            for kind, row in others
        )
