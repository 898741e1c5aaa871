"""The plant as a shift sees it: which devices are decided, which batteries hang behind them, what each failure leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.allocation.choices import Choices, read_choices
from pdnopt.allocation.exposure import Frame
from pdnopt.allocation.scenarios import Scenario, ScenarioReader
from pdnopt.plant.budgets import CurveBook, read_curves
from pdnopt.plant.demand import Demand, read_demand
from pdnopt.plant.failures import Outage
from pdnopt.plant.grid import Grid, read_grid, same_structure
from pdnopt.plant.state import initial_state
from pdnopt.plant.tables import native_values, values
from pdnopt.response.supply import supply
from pdnopt.units import KW_PER_MW

__all__ = ["Batteries", "Devices", "Reading", "ShiftPlant"]


@dataclass(frozen=True)
class Devices:
    """The decided transfer devices, (D,). P is the most positions of any; of absent ones station and switch are -1.

    Attributes
    ----------
    name : list of str
    transfer : int
        Position in the Grid's transfers.
    switch, station : int, shape (D, P)
        Position in the Grid's switches, and row of ``Choices.station_node`` behind it; positions in table order.
    order : int, shape (D, P, P)
        Row p: the positions in the order in which a device that stands on p uses them; -1 behind the last.
    held : int
        Position on which it stands now.
    may : bool, shape (D, P)
        Positions to which a plan may move it; the one on which it stands always.
    auto : bool
        Moves by itself when its source dies.
    transfer_s, fail_auto, fail_move, wear, min_dwell_s, dwell_left_s : float
    rated_kva : float, shape (D, P)
        Rating of each position.
    """

    name: list[str]
    transfer: np.ndarray
    switch: np.ndarray
    station: np.ndarray
    order: np.ndarray
    held: np.ndarray
    may: np.ndarray
    auto: np.ndarray
    transfer_s: np.ndarray
    fail_auto: np.ndarray
    fail_move: np.ndarray
    wear: np.ndarray
    min_dwell_s: np.ndarray
    dwell_left_s: np.ndarray
    rated_kva: np.ndarray

    @property
    def width(self) -> int:
        """P, the most positions of any device."""
        return int(self.station.shape[1])

    @property
    def n(self) -> int:
        """Number of devices."""
        return len(self.name)


@dataclass(frozen=True)
class Batteries:
    """Batteries behind decided devices, (B,); energies are stored energy.

    Attributes
    ----------
    row : int
        Position in the Grid's storages.
    device : int
        Decided device behind which it hangs.
    charge_kw, discharge_kw : float
        Largest powers, at the AC side.
    low_kwh, high_kwh, now_kwh : float
        Floor, capacity, and what is stored now.
    eta_in, eta_out : float
    wear_per_kwh : float
        Money for each kWh discharged.
    forms : bool
        Can hold the voltage of its output by itself.
    """

    name: list[str]
    row: np.ndarray
    device: np.ndarray
    charge_kw: np.ndarray
    discharge_kw: np.ndarray
    low_kwh: np.ndarray
    high_kwh: np.ndarray
    now_kwh: np.ndarray
    eta_in: np.ndarray
    eta_out: np.ndarray
    wear_per_kwh: np.ndarray
    forms: np.ndarray

    @property
    def n(self) -> int:
        """Number of batteries."""
        return len(self.name)


@dataclass(frozen=True)
class Reading:
    """What some outages leave.

    Attributes
    ----------
    scenario : Scenario
        Of the plant above the devices.
    lives : bool, shape (D, P)
        Positions that have voltage and work.
    output_dead : bool, shape (D,)
        Devices whose output is dead whatever they do.
    moves : bool, shape (D,)
        Devices that can still move.
    """

    scenario: Scenario
    lives: np.ndarray
    output_dead: np.ndarray
    moves: np.ndarray

    def end(self, devices: Devices) -> np.ndarray:
        """Return the position on which each device ends by that on which it may stand, (D, P); -1: on none."""
        order = devices.order.copy()
        order[~self.moves, :, 1:] = -1
        rows = np.arange(devices.n)[:, None, None]
        live = self.lives[rows, order] & (order >= 0) & ~self.output_dead[:, None, None]
        first = live.argmax(axis=2)
        position = np.take_along_axis(order, first[:, :, None], axis=2)[:, :, 0]
        return np.where(live.any(axis=2), position, -1)


class ShiftPlant:
    """A network read for shifts. Scenarios are read without batteries: what these do is decided."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.grid = read_grid(net)
        self.demand: Demand = read_demand(net, self.grid)
        self.book: CurveBook = read_curves(net)
        self.engine = FlowEngine(net)
        self.given = initial_state(self.grid, self.demand)
        bare = _without_batteries(self.grid)
        state = initial_state(bare, self.demand)
        self.choices: Choices = read_choices(bare, self.demand, state)
        eager = np.zeros(len(bare.transfers.name), dtype=bool)
        eager[self.choices.transfer] = (
            True  # after a failure the reroute moves those that do not move by themselves
        )
        transfers = replace(bare.transfers, auto=bare.transfers.auto | eager)
        self.bare = replace(bare, transfers=transfers)
        self.choices = read_choices(self.bare, self.demand, state)
        self.reader = ScenarioReader(self.bare, self.demand, self.choices)
        self.devices = self._devices()
        self.batteries, self.left_out = self._batteries()
        self.nothing = self.read("", ())

    def read(self, name: str, outages: Sequence[Outage]) -> Reading:
        """Let the plant above the devices respond to outages."""
        scenario = self.reader.read(name, outages)
        devices, alone = self.devices, self.reader.alone
        lives = (devices.station >= 0) & scenario.alive[devices.station]
        dead = np.zeros(devices.n, dtype=bool)
        for outage in outages:
            at = alone.get((outage.table, int(outage.index))) if not isinstance(outage.index, str) else None
            if at is None or outage.form not in ("failed", "stuck_open"):
                continue
            d, position = at
            if position < 0:
                dead[d] = True
            else:
                lives[d, position] = False
        moves = scenario.state.transfer_ok[devices.transfer]
        return Reading(scenario, lives, dead, moves)

    def stored_kwh(self, hours: float) -> np.ndarray:
        """Return what batteries will have stored if they go on for some hours as they do now, (B,)."""
        bat = self.batteries
        power_kw = self.grid.storages.p_now_kw[bat.row]
        drain = np.where(power_kw > 0, power_kw * bat.eta_in, power_kw / np.maximum(bat.eta_out, 1e-9))
        return np.asarray(np.clip(bat.now_kwh + drain * hours, bat.low_kwh, bat.high_kwh))

    def resembles(self, other: ShiftPlant) -> bool:
        """Return whether what failures leave above the devices is the same as in another reading of the plant."""
        mine, theirs = self.bare, other.bare
        decided = np.isin(mine.switches.transfer, self.choices.transfer)
        return bool(
            same_structure(mine, theirs)
            and self.choices.name == other.choices.name
            and all(
                np.array_equal(a, b) for a, b in zip(self.devices.station, other.devices.station, strict=True)
            )
            and np.array_equal(mine.switches.closed[~decided], theirs.switches.closed[~decided])
            and np.array_equal(mine.upss.mode, theirs.upss.mode)
            and np.array_equal(mine.upss.e_kwh > 0, theirs.upss.e_kwh > 0)
            and np.array_equal(mine.transfers.stuck, theirs.transfers.stuck)
            and np.array_equal(mine.sources.running, theirs.sources.running)
            and np.array_equal(self.demand.cord_ok, other.demand.cord_ok)
            and np.array_equal(self.demand.cord_node, other.demand.cord_node)
        )

    def frame(self, readings: Sequence[Reading]) -> Frame:
        """Return what loads what in each of these."""
        return Frame(self.reader, self.demand, [one.scenario for one in readings])

    def _devices(self) -> Devices:
        grid, choices, net = self.grid, self.choices, self.net
        tr, at = grid.transfers, choices.transfer
        n, width = len(at), max((len(rows) for rows in choices.switches), default=1)
        switch, station = np.full((n, width), -1), np.full((n, width), -1)
        order, may = np.full((n, width, width), -1), np.zeros((n, width), dtype=bool)
        held = np.zeros(n, dtype=int)
        for d, k in enumerate(at):
            kind, rows = choices.kinds[choices.kind[d]], choices.switches[d]
            size = len(rows)
            switch[d, :size], station[d, :size] = rows, kind.stations
            given = np.flatnonzero(rows == tr.preferred[k])
            first = int(given[0]) if len(given) else -1
            order[d, :size, :size] = [_order(size, p, first) for p in range(size)]
            held[d] = kind.active[choices.held[d]]
            may[d, kind.active[choices.allowed[d]]] = True
            may[d, :size] &= grid.switches.operable[rows] & bool(self.given.transfer_ok[k])
            may[d, held[d]] = True

        def of(column: str) -> np.ndarray:
            return np.asarray(values(net, "transfer", column)[at], dtype=float)

        return Devices(
            name=list(choices.name),
            transfer=at,
            switch=switch,
            station=station,
            order=order,
            held=held,
            may=may,
            auto=tr.auto[at],
            transfer_s=tr.transfer_s[at],
            fail_auto=of("fail_auto"),
            fail_move=of("fail_move"),
            wear=of("move_cost"),
            min_dwell_s=tr.min_dwell_s[at],
            dwell_left_s=tr.dwell_left_s[at],
            rated_kva=np.where(switch >= 0, grid.switches.s_max_kva[switch], 0.0),
        )

    def _batteries(self) -> tuple[Batteries, tuple[str, ...]]:
        """Return the batteries behind decided devices, and the names of the others."""
        sto, net = self.grid.storages, self.net
        opened = self.choices.opened(self.given)
        island = supply(self.grid, opened).island
        owner = {int(island[node]): d for d, node in enumerate(self.choices.output)}
        device = np.array([owner.get(int(island[node]), -1) for node in sto.node], dtype=int)
        usable = sto.in_service & (sto.p_charge_max_kw + sto.p_discharge_max_kw > 0)
        mine = np.flatnonzero((device >= 0) & usable)
        size = native_values(net.storage, "max_e_mwh", 0.0)[mine] * KW_PER_MW
        soc = native_values(net.storage, "soc_percent", 50.0)[mine] / 100.0

        def of(column: str) -> np.ndarray:
            return np.asarray(values(net, "storage", column), dtype=float)[mine]

        return Batteries(
            name=[sto.name[k] for k in mine],
            row=mine,
            device=device[mine],
            charge_kw=np.minimum(sto.p_charge_max_kw[mine], 1e6),
            discharge_kw=np.minimum(sto.p_discharge_max_kw[mine], 1e6),
            low_kwh=np.minimum(of("soc_min_percent") / 100.0 * size, soc * size),
            high_kwh=size,
            now_kwh=soc * size,
            eta_in=of("efficiency_charge"),
            eta_out=of("efficiency_discharge"),
            wear_per_kwh=sto.cycle_cost_per_kwh[mine],
            forms=sto.grid_forming[mine],
        ), tuple(sto.name[k] for k in np.flatnonzero(usable & (device < 0)))


def _order(n: int, active: int, preferred: int) -> list[int]:
    """Return the positions in the order in which a device uses them (rule 2 of `pdnopt.response.devices`)."""
    first = [active, *([preferred] if preferred >= 0 and preferred != active else [])]
    return [*first, *(p for p in range(n) if p not in first)]


def _without_batteries(grid: Grid) -> Grid:
    sto = grid.storages
    empty: dict[str, Any] = {f.name: getattr(sto, f.name)[:0] for f in fields(sto)}
    return replace(grid, storages=type(sto)(**empty))
