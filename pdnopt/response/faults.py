"""What a failure is, on the array view: rule 1 of ARCHITECTURE, before any device has answered.

A failed bus, line, transformer or impedance kills its block (all nodes joined to it without a switch);
every switch at the block's border opens and is locked. A switch that is stuck closed cannot open: the zone
reaches through it to the next switches (breaker failure). Everything else fails behind its own breaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.actions import Action
from pdnopt.plant.demand import Demand
from pdnopt.plant.failures import Outage
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State

__all__ = ["Struck", "strike"]

_BRANCHES = ("line", "trafo", "trafo3w", "impedance")
_INJECTIONS = ("sgen", "asymmetric_sgen", "gen", "shunt")


@dataclass(frozen=True)
class Struck:
    """The plant at t = 0, after protection, before automatic devices.

    Attributes
    ----------
    grid : Grid
        With derated UPSs (``@module``).
    state : State
    trips : tuple of Action
        Zone switches that opened, UPSs that changed mode by the failure itself; step 0, t = 0.
    barred : bool, shape (S,)
        Switches that the failure locks (a part of ``state.locked``), for automatic devices too.
    """

    grid: Grid
    state: State
    trips: tuple[Action, ...]
    barred: np.ndarray


def strike(grid: Grid, demand: Demand, state: State, outages: Sequence[Outage]) -> Struck:
    """Apply outages to a state.

    Raises
    ------
    InputError
        An outage of a table that cannot fail (interlock); all at once.
    """
    blow = _Blow(grid, demand, state)
    issues: list[Issue] = []
    for outage in outages:
        if outage.table in _BRANCHES or outage.table == "bus":
            blow.fault(outage)
        elif outage.table in ("switch", "transfer", "ups", "ext_grid", "storage"):
            getattr(blow, f"fail_{outage.table}")(outage)
        elif outage.table in ("load", "asymmetric_load", "rack"):
            blow.fail_load(outage)
        elif outage.table not in _INJECTIONS:  # those switch nothing: the power flow leaves them out
            issues.append(
                Issue("Enum", "failed", outage.name, outage.table, "a part that carries power", "Remove it.")
            )
    if issues:
        raise InputError(issues)
    return blow.finish()


class _Blow:
    """Collects what the outages do, then works out zones and modes."""

    def __init__(self, grid: Grid, demand: Demand, state: State) -> None:
        self.grid, self.demand, self.before = grid, demand, state
        n_switches, n_ups = len(grid.switches.index), len(grid.upss.index)
        self.zone_of_block: dict[int, str] = {}
        self.forced_open = np.zeros(n_switches, dtype=bool)
        self.forced_closed = np.zeros(n_switches, dtype=bool)
        self.why_switch: dict[int, str] = {}
        self.why_ups: dict[int, str] = {}
        self.ups_failed = np.zeros(n_ups, dtype=bool)
        self.to_bypass = np.zeros(n_ups, dtype=bool)
        self.factor = np.ones(n_ups)
        self.source_ok = state.source_ok.copy()
        self.storage_ok = state.storage_ok.copy()
        self.rectifier_ok = state.rectifier_ok.copy()
        self.rectifier_lost = np.zeros(n_ups, dtype=bool)
        self.inverter_ok = state.inverter_ok.copy()
        self.bypass_ok = state.bypass_ok.copy()
        self.transfer_ok = state.transfer_ok.copy()
        self.unit_ok = state.unit_ok.copy()
        self.psu_dead = state.psu_dead.copy()

    # --- what each outage marks

    def fault(self, outage: Outage) -> None:
        block = self.grid.nodes.block
        if outage.table == "bus":
            self.zone_of_block.setdefault(int(block[self.grid.node_of_bus[int(outage.index)]]), outage.name)
            return
        br = self.grid.branches
        for k in np.flatnonzero((br.table == outage.table) & (br.index == outage.index) & br.in_service):
            self.zone_of_block.setdefault(int(block[br.tail[k]]), outage.name)

    def fail_switch(self, outage: Outage) -> None:
        k = _row(self.grid.switches.index, outage)
        closed = outage.form == "stuck_closed"
        (self.forced_closed if closed else self.forced_open)[k] = True
        self.why_switch[k] = outage.name
        ups, transfer = int(self.grid.switches.ups[k]), int(self.grid.switches.transfer[k])
        if ups >= 0 and closed:
            self.to_bypass[ups] = True
            self.inverter_ok[ups] = False
            self.why_ups[ups] = f"{outage.name}: its static bypass conducts"
        elif ups >= 0:
            self.bypass_ok[ups] = False
            self.why_ups.setdefault(ups, f"{outage.name}: its static bypass is gone")
        if transfer >= 0 and closed:  # it holds this position, mechanically exclusive, and cannot leave it
            self.transfer_ok[transfer] = False
            others = self.grid.transfers.positions[transfer]
            self.forced_open[others[others != k]] = True
            self.why_switch.update({int(s): outage.name for s in others if s != k})

    def fail_transfer(self, outage: Outage) -> None:
        k = _row(self.grid.transfers.index, outage)
        self.transfer_ok[k] = False
        if outage.form == "failed":
            for s in self.grid.transfers.positions[k]:
                self.forced_open[s] = True
                self.why_switch[int(s)] = outage.name

    def fail_ups(self, outage: Outage) -> None:
        self._ups(_row(self.grid.upss.index, outage), outage.form, outage.name)

    def _ups(self, k: int, form: str, name: str) -> None:
        self.why_ups[k] = name
        if form == "failed":
            self.ups_failed[k] = True
            self.rectifier_ok[k] = self.inverter_ok[k] = self.bypass_ok[k] = False
        elif form == "rectifier":
            self.rectifier_ok[k] = False
            self.rectifier_lost[k] = True
        elif form == "module" and self.grid.upss.n_modules[k] > 1:
            n = int(self.grid.upss.n_modules[k])
            self.factor[k] = (n - 1) / n
        else:  # to_bypass, or the only module
            self.to_bypass[k] = True
            self.inverter_ok[k] = False

    def fail_ext_grid(self, outage: Outage) -> None:
        grid = self.grid
        for k in np.flatnonzero(grid.sources.index == outage.index):
            self.source_ok[k] = False
            self.zone_of_block.setdefault(int(grid.nodes.block[grid.sources.node[k]]), outage.name)
        for k in np.flatnonzero(grid.upss.source == outage.index):  # the inverter of a UPS
            self._ups(int(k), "to_bypass", outage.name)
        self.storage_ok[grid.storages.source == outage.index] = False

    def fail_storage(self, outage: Outage) -> None:
        self.storage_ok[self.grid.storages.index == outage.index] = False

    def fail_load(self, outage: Outage) -> None:
        demand = self.demand
        if outage.table == "rack":
            name = f"rack:{outage.index}"
            self._lose_units(np.array([k for k, unit in enumerate(demand.name) if unit == name], dtype=int))
            return
        cord = (demand.cord_table == outage.table) & (demand.cord_row == outage.index)
        self.psu_dead |= cord
        if outage.table == "load":
            for k in np.flatnonzero(self.grid.upss.load == outage.index):  # the rectifier of a UPS
                self._ups(int(k), "rectifier", outage.name)
        units = np.unique(demand.cord_unit[cord])
        single = np.array([not demand.name[u].startswith("rack:") for u in units], dtype=bool)
        if outage.form == "failed" and len(units):
            self._lose_units(units[single])

    def _lose_units(self, units: np.ndarray) -> None:
        self.unit_ok[units] = False
        self.psu_dead |= np.isin(self.demand.cord_unit, units)

    # --- what follows

    def finish(self) -> Struck:
        grid, before, sw, ups = self.grid, self.before, self.grid.switches, self.grid.upss
        dead = before.dead | self._zones()
        fresh = dead & ~before.dead
        border = fresh[sw.tail] | fresh[sw.head]
        barred = border | self.forced_open | self.forced_closed
        failed_ups = np.flatnonzero(self.ups_failed & (ups.bypass >= 0))
        barred[ups.bypass[failed_ups]] = True
        closed = (before.closed & ~border & ~self.forced_open) | self.forced_closed
        source_ok = self.source_ok & ~fresh[grid.sources.node]
        storage_ok = self.storage_ok & ~fresh[grid.storages.node]
        out_dead, in_dead = dead[ups.out_node], dead[ups.in_node]
        rectifier_ok = self.rectifier_ok & ~out_dead & ~in_dead
        inverter_ok = self.inverter_ok & ~out_dead
        bypass_ok = self.bypass_ok & ~out_dead
        has = ups.bypass >= 0
        bypass_ok[has] &= ~border[ups.bypass[has]]
        mode = self._modes(out_dead, in_dead, rectifier_ok, inverter_ok, bypass_ok)
        closed[ups.bypass[has]] = np.isin(mode[has], ("bypass", "eco"))
        state = before.but(
            closed=closed,
            locked=before.locked | barred,
            transfer_ok=self.transfer_ok & ~dead[grid.transfers.node],
            source_on=before.source_on & source_ok,
            source_ok=source_ok,
            ups_mode=mode,
            rectifier_ok=rectifier_ok,
            inverter_ok=inverter_ok,
            bypass_ok=bypass_ok,
            storage_on=before.storage_on & storage_ok,
            storage_ok=storage_ok,
            storage_kw=np.where(storage_ok, before.storage_kw, 0.0),
            served=np.where(self.unit_ok, before.served, 0.0),
            unit_ok=self.unit_ok,
            dead=dead,
            psu_dead=self.psu_dead,
        )
        return Struck(self._derated(), state, tuple(self._trips(state, border)), barred)

    def _zones(self) -> np.ndarray:
        """Return the nodes of all failed zones; a switch that is stuck closed does not bound one."""
        block, sw = self.grid.nodes.block, self.grid.switches
        struck = np.isin(block, np.array(list(self.zone_of_block), dtype=int))
        stuck = np.flatnonzero(self.forced_closed)
        grown = True
        while grown and len(stuck):
            grown = False
            for k in stuck:
                a, b = int(sw.tail[k]), int(sw.head[k])
                if struck[a] != struck[b]:
                    inside, outside = (a, b) if struck[a] else (b, a)
                    why = self.zone_of_block[int(block[inside])]
                    self.zone_of_block[int(block[outside])] = f"{why} through {self.why_switch[int(k)]}"
                    struck |= block == block[outside]
                    grown = True
        return struck

    def _modes(
        self,
        out_dead: np.ndarray,
        in_dead: np.ndarray,
        rectifier_ok: np.ndarray,
        inverter_ok: np.ndarray,
        bypass_ok: np.ndarray,
    ) -> np.ndarray:
        ups = self.grid.upss
        mode = self.before.ups_mode.copy()
        battery = inverter_ok & (ups.e_kwh > 0)
        running = mode != "off"
        mode[running & self.to_bypass] = "bypass"
        # on battery: the rectifier failed (online or eco), or the input lies in a dead zone (online)
        lost = self.rectifier_lost & np.isin(mode, ("online", "eco"))
        lost |= in_dead & (mode == "online")
        mode[lost & battery] = "battery"
        passing = np.isin(mode, ("bypass", "eco")) & ~bypass_ok
        mode[passing & (mode == "eco") & inverter_ok] = "online"  # and from there on battery, if it must
        mode[passing & np.isin(mode, ("bypass", "eco"))] = "off"
        mode[self.ups_failed | out_dead] = "off"
        return mode

    def _derated(self) -> Grid:
        if (self.factor == 1.0).all():
            return self.grid
        ups = self.grid.upss
        modules = np.where(self.factor < 1.0, ups.n_modules - 1, ups.n_modules)
        upss = replace(
            ups,
            p_rated_kw=ups.p_rated_kw * self.factor,
            s_rated_kva=ups.s_rated_kva * self.factor,
            n_modules=modules,
        )
        return replace(self.grid, upss=upss)

    def _trips(self, state: State, border: np.ndarray) -> list[Action]:
        grid, before = self.grid, self.before
        sw, tr, ups = grid.switches, grid.transfers, grid.upss
        out: list[Action] = []
        told: set[int] = set()
        for k in np.flatnonzero(state.closed != before.closed):
            if sw.ups[k] >= 0:
                continue  # told by the mode of its UPS
            why, owner = self._why(int(k), border), int(sw.transfer[k])
            if owner >= 0:
                if owner not in told:
                    told.add(owner)
                    was, now = held_position(grid, before, owner), held_position(grid, state, owner)
                    out.append(Action(0, 0.0, tr.name[owner], "transfer", was, now, why))
                continue
            action = "close" if state.closed[k] else "open"
            out.append(Action(0, 0.0, sw.name[k], action, bool(before.closed[k]), bool(state.closed[k]), why))
        for k in np.flatnonzero(state.ups_mode != before.ups_mode):
            was, now = before.ups_mode[k], state.ups_mode[k]
            out.append(Action(0, 0.0, ups.name[k], "mode", was, now, self._why_ups(int(k), state)))
        return out

    def _why(self, k: int, border: np.ndarray) -> str:
        if border[k]:
            block = self.grid.nodes.block
            for node in (self.grid.switches.tail[k], self.grid.switches.head[k]):
                if int(block[node]) in self.zone_of_block:
                    return f"clears the fault zone of {self.zone_of_block[int(block[node])]}"
        return f"failed: {self.why_switch[k]}"

    def _why_ups(self, k: int, state: State) -> str:
        block, ups = self.grid.nodes.block, self.grid.upss
        if k in self.why_ups:
            return f"failed: {self.why_ups[k]}"
        for node, end in ((ups.out_node[k], "output"), (ups.in_node[k], "input")):
            if state.dead[node]:
                zone = self.zone_of_block.get(int(block[node]), "an earlier failure")
                return f"its {end} lies in the fault zone of {zone}"
        return "its bypass lies at a fault zone"


def held_position(grid: Grid, state: State, k: int) -> str | None:
    """Return the name of the position that transfer ``k`` holds, or None."""
    at = grid.transfers.positions[k]
    closed = at[state.closed[at]]
    return grid.switches.name[int(closed[0])] if len(closed) else None


def _row(index: np.ndarray, outage: Outage) -> int:
    return int(np.flatnonzero(index == outage.index)[0])
