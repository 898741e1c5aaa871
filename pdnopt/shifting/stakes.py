"""What every failure puts at stake: for each scenario, the loads, limits and losses as numbers linear in the positions.

All rows are in kW of load, as in `pdnopt.allocation.exposure`: the load of a component that is rated in kVA, or above a UPS,
is divided by what one kW of load adds to it. Stations and fixed boards that load the same rows alike are one *group*; rows
that no choice can overload are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.allocation.exposure import Frame
from pdnopt.allocation.margins import loads_by_component
from pdnopt.shifting.course import Course
from pdnopt.shifting.plant import Reading, ShiftPlant
from pdnopt.shifting.prices import Prices

__all__ = ["Stake", "StakeReader"]

MEANT = 0.03
"""A component that carries less of its rating says nothing about its AC factor."""

FACTORS = (0.9, 1.15)
"""What an AC factor may be."""


@dataclass(frozen=True)
class Stake:
    """One scenario over V moments: pairs (step, load scenario). D devices, N priorities, J groups, R rows.

    Attributes
    ----------
    name : str
        What happened; "" for nothing.
    step, scenario : int, shape (V,)
    p : float, shape (V,)
        Probability of each moment's outcome; of a terminal scenario the weight of what it would leave unserved.
    hours : float
        How long what is unserved stays so.
    group : tuple of int arrays, (P,), by device
        Group that a device loads in the end for each position on which it may stand; -1: none that matters.
    hang_kw : float, shape (D, V, N)
        What hangs on each device once the cords have shared.
    loss : tuple of float arrays, (P, V), by device
        Expected kWh-equivalents lost behind a device by position, beside overload.
    critical_kw : tuple of float arrays, (P, V), by device
        Load of the most critical priority that is dark or interrupted behind it.
    fixed_loss : float, shape (V,)
        kWh-equivalents lost whatever the positions are; ``fixed_critical_kw`` likewise.
    gain : float, shape (R, J); rest_kw : float, shape (R, V); row : list of str
        gain @ (what hangs by group) <= rest_kw, or load must go.
    board_kw : float, shape (J, V, N)
        What of a group hangs on fixed boards.
    floor_kw : float, shape (D, V, N) and board_floor_kw : (J, V, N)
        What caps leave of it.
    column : int, shape (Q + B,)
        Group of each station and board, -1: none that matters.
    """

    name: str
    step: np.ndarray
    scenario: np.ndarray
    p: np.ndarray
    hours: float
    group: tuple[np.ndarray, ...]
    hang_kw: np.ndarray
    loss: tuple[np.ndarray, ...]
    critical_kw: tuple[np.ndarray, ...]
    fixed_loss: np.ndarray
    fixed_critical_kw: np.ndarray
    gain: np.ndarray
    rest_kw: np.ndarray
    row: list[str]
    board_kw: np.ndarray
    floor_kw: np.ndarray
    board_floor_kw: np.ndarray
    column: np.ndarray

    def hung_kw(self, n_steps: int) -> np.ndarray:
        """Return what hangs on each device, (D, T, S), of a stake that has every moment, step by step."""
        return self.hang_kw.sum(axis=2).reshape(len(self.hang_kw), n_steps, -1)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.gain.shape[1])


class StakeReader:
    """Turns readings into stakes, for one plant and one set of readings; loads may change from call to call."""

    def __init__(self, plant: ShiftPlant, readings: Sequence[Reading], prices: Prices, hold_s: float) -> None:
        self.plant, self.readings, self.prices, self.hold_s = plant, list(readings), prices, hold_s
        self.frame: Frame = plant.frame(self.readings)
        demand = plant.demand
        self.priorities = [int(p) for p in np.unique(demand.priority)]
        self.weight = np.array([prices.of(p) for p in self.priorities])
        self.rank = np.searchsorted(self.priorities, demand.priority)
        self.frame.factor = self._factors()
        self._limit = self._limits()

    # --- limits

    def _factors(self) -> np.ndarray:
        """Return AC load over linear load of every component in the network as given, (E,)."""
        plant, parts = self.plant, self.frame.reader.components
        kw = plant.demand.cord_kw[:, None]
        linear = self.load_of(0, kw, plant.devices.held)[:, 0]
        found = loads_by_component(plant.net, plant.grid, plant.demand, [plant.given], plant.engine)[0]
        ac = np.array([found.get((n, bool(p)), 0.0) for n, p in zip(parts.name, parts.by_p, strict=True)])
        loaded = linear / np.maximum(parts.rating, 1e-9) > MEANT
        factor = np.where(loaded, np.clip(ac / np.maximum(linear, 1e-9), *FACTORS), 1.0)
        for table in set(parts.table):
            mine = parts.table == table
            like = factor[mine & loaded]
            factor[mine & ~loaded] = max(float(np.median(like)), 1.0) if len(like) else 1.0
        return np.asarray(factor)

    def load_of(
        self, c: int, cord_kw: np.ndarray, held: np.ndarray, extra_kw: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the load of every component in its unit, (E, V), with devices on given positions.

        ``extra_kw``: more at stations and boards, (Q + B,): batteries.
        """
        one, frame = self.readings[c].scenario, self.frame
        p_kw, s_kva, board_p, board_s = frame.hangs(frame.draw_kw(frame.sharing[c], cord_kw))
        for d, position in enumerate(held):
            q = int(self.plant.devices.station[d][position])
            board_p[q] += p_kw[d]
            board_s[q] += s_kva[d]
        if extra_kw is not None:
            board_p, board_s = board_p + extra_kw[:, None], board_s + extra_kw[:, None]
        return np.asarray(one.p @ board_p + one.s @ board_s + one.fixed[:, None])

    def _limits(self) -> np.ndarray:
        """Return what each component carries in each scenario in kW of load, (C, R)."""
        frame, parts = self.frame, self.frame.reader.components
        out, known = [], {}
        for c, one in enumerate(self.readings):
            grid, on_battery = one.scenario.grid, one.scenario.on_battery
            key = on_battery.tobytes() + grid.upss.p_rated_kw.tobytes() + bytes([c == 0])
            if key not in known:
                limit = parts.rating if c == 0 else parts.limits(self.plant.book, self.hold_s, on_battery)
                mine = parts.table == "ups"
                at = parts.position[mine]
                left = np.ones(len(parts.name))
                left[mine] = grid.upss.p_rated_kw[at] / np.maximum(self.plant.grid.upss.p_rated_kw[at], 1e-9)
                known[key] = (limit * left / (frame.sense * frame.factor))[frame.row]
            out.append(known[key])
        return np.array(out)

    # --- one stake

    def read(
        self,
        c: int,
        name: str,
        course: Course,
        moments: Sequence[tuple[int, int]],
        p: np.ndarray,
        hours: float,
        margin: float,
    ) -> Stake:
        """Read scenario ``c`` at some moments (step, load scenario).

        Parameters
        ----------
        margin : float
            Part of every limit that may be used.
        """
        plant, reading = self.plant, self.readings[c]
        step, scenario = (np.array(part, dtype=int) for part in zip(*moments, strict=True))
        cord_kw = course.cord_kw[:, step, scenario]
        sharing = self._sharing(c)
        draw = self.frame.draw_kw(sharing, cord_kw)
        gain, rest, rows, columns = self._rows(c, draw, margin)
        floor = draw * self._floor(cord_kw)
        hang, board = self._by_priority(draw, columns, gain.shape[1])
        low, board_low = self._by_priority(floor, columns, gain.shape[1])
        n_stations = len(plant.choices.station_node)
        group = []
        for d, station in enumerate(plant.devices.station):
            end = reading.end(plant.devices, d)
            at = columns[:n_stations][station]
            group.append(np.where(end >= 0, at[end], -1))
        loss, critical, fixed, fixed_critical = self._losses(c, sharing[0], cord_kw, hours)
        return Stake(
            name=name,
            step=step,
            scenario=scenario,
            p=p,
            hours=hours,
            group=tuple(group),
            hang_kw=hang,
            loss=loss,
            critical_kw=critical,
            fixed_loss=fixed,
            fixed_critical_kw=fixed_critical,
            gain=gain,
            rest_kw=rest,
            row=rows,
            board_kw=board,
            floor_kw=low,
            board_floor_kw=board_low,
            column=columns,
        )

    def _sharing(self, c: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return how cords share (`Frame.weights`); behind a dead output none lives."""
        dead = self.readings[c].output_dead
        if not dead.any():
            return self.frame.sharing[c]
        device = self.frame.reader.cord_device
        living = self.frame.sharing[c][0] & ~((device >= 0) & dead[np.maximum(device, 0)])
        return self.frame.weights(living)

    def _floor(self, cord_kw: np.ndarray) -> np.ndarray:
        """Return the part of each cord's draw that a cap leaves, (cords, V)."""
        demand = self.plant.demand
        unit_kw = np.zeros((demand.n, cord_kw.shape[1]))
        np.add.at(unit_kw, demand.cord_unit, cord_kw)
        part = np.minimum(demand.min_kw[:, None] / np.maximum(unit_kw, 1e-9), 1.0)
        return np.asarray(part[demand.cord_unit])

    def _rows(
        self, c: int, draw: np.ndarray, margin: float
    ) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
        """Return gains by group, what is left for choices, names of the rows that can bind, the group of each column."""
        frame, one = self.frame, self.readings[c].scenario
        row, parts = frame.row, frame.reader.components
        scale = 1.0 / frame.sense[row]
        by_kw = (one.p + one.s * frame.mean_kva_per_kw)[row].toarray() * scale[:, None]
        _, _, board_p, board_s = frame.hangs(draw)
        base = (one.p @ board_p + one.s @ board_s + one.fixed[:, None])[row] * scale[:, None]
        n_stations = frame.n_stations
        most = self._most(draw)
        if c == 0:  # a battery that charges adds to it
            for b, d in enumerate(self.plant.batteries.device):
                most[np.unique(self.plant.devices.station[d])] += self.plant.batteries.charge_kw[b]
        rest = margin * self._limit[c][:, None] - base
        can_bind = by_kw[:, :n_stations] @ most > rest.min(axis=1) + 1e-9
        keep = np.flatnonzero(can_bind & (by_kw.max(axis=1, initial=0.0) > 1e-12))
        columns = np.full(by_kw.shape[1], -1)
        if not len(keep):
            return np.zeros((0, 0)), np.zeros((0, draw.shape[1])), [], columns
        _, first, kind = np.unique(by_kw[keep].round(9), axis=0, return_index=True, return_inverse=True)
        least = np.full((len(first), draw.shape[1]), np.inf)  # of rows with the same gains the tightest binds
        np.minimum.at(least, kind.ravel(), rest[keep])
        part = by_kw[keep[first]]
        loads = part.max(axis=0) > 1e-12
        gain, group = np.unique(part[:, loads].round(9), axis=1, return_inverse=True)
        columns[loads] = group.ravel()
        return gain, least, [parts.name[row[r]] for r in keep[first]], columns

    def _most(self, draw: np.ndarray) -> np.ndarray:
        """Return the most that can hang on each station, (Q,)."""
        frame, devices = self.frame, self.plant.devices
        p_kw = frame.hangs(draw)[0].max(axis=1, initial=0.0)
        most = np.zeros(frame.n_stations)
        for d, station in enumerate(devices.station):
            most[np.unique(station)] += p_kw[d]
        return most

    def _by_priority(
        self, draw: np.ndarray, columns: np.ndarray, n_groups: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return draws summed by priority: behind each device, (D, V, N), and of fixed boards by group, (J, V, N)."""
        frame, demand = self.frame, self.plant.demand
        device, board = frame.reader.cord_device, frame.reader.cord_board
        n_vectors = draw.shape[1]
        rank = self.rank[demand.cord_unit]
        hang = np.zeros((self.plant.devices.n, n_vectors, len(self.priorities)))
        mine = device >= 0
        for n in range(len(self.priorities)):
            here = mine & (rank == n)
            np.add.at(hang[:, :, n], device[here], draw[here])
        out = np.zeros((n_groups, n_vectors, len(self.priorities)))
        at = np.where(board >= 0, columns[np.maximum(board, 0)], -1)
        on = at >= 0
        for n in range(len(self.priorities)):
            here = on & (rank == n)
            np.add.at(out[:, :, n], at[here], draw[here])
        return hang, out

    # --- what goes dark

    def _losses(
        self, c: int, living: np.ndarray, cord_kw: np.ndarray, hours: float
    ) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Return what is lost behind devices by position, and whatever the positions are; see `Stake`."""
        demand, devices, reading = self.plant.demand, self.plant.devices, self.readings[c]
        n_vectors = cord_kw.shape[1]
        unit_kw = np.zeros((demand.n, n_vectors))
        np.add.at(unit_kw, demand.cord_unit, cord_kw)
        interruption_h = self.prices.interruption_h
        weight = self.weight[self.rank]
        critical = self.rank == 0
        fed = demand.sum_by_unit(living.astype(float)) > 0
        dark = unit_kw[~fed]
        fixed = (weight[~fed] @ dark) * (hours + interruption_h) if c else np.zeros(n_vectors)
        fixed_critical = dark[critical[~fed]].sum(axis=0) if c else np.zeros(n_vectors)
        only = self.only_behind(living)
        forms = self._bridges(cord_kw)
        loss, at_risk = [], []
        for d, station in enumerate(devices.station):
            cost, kw = np.zeros((len(station), n_vectors)), np.zeros((len(station), n_vectors))
            units = np.flatnonzero(only == d)
            if c and len(units):
                lost = weight[units] @ unit_kw[units] * (hours + interruption_h)
                critical_kw = unit_kw[units][critical[units]].sum(axis=0)
                gap = ~devices.auto[d] | (demand.holdup_s[units] < devices.transfer_s[d])
                hit = (weight[units] * gap) @ unit_kw[units] * interruption_h * ~forms[d]
                critical_hit = unit_kw[units][critical[units] & gap].sum(axis=0) * ~forms[d]
                end = reading.end(devices, d)
                for p in range(len(station)):
                    if end[p] < 0:
                        cost[p], kw[p] = lost, critical_kw
                    elif end[p] != p:
                        stays = float(devices.fail_auto[d]) if devices.auto[d] else 0.0
                        cost[p] = stays * lost + (1.0 - stays) * hit
                        kw[p] = critical_hit
            loss.append(cost)
            at_risk.append(kw)
        return tuple(loss), tuple(at_risk), fixed, fixed_critical

    def only_behind(self, living: np.ndarray) -> np.ndarray:
        """Return for each unit the device behind which all its living cords are; -1: there is another way, or none."""
        demand, device = self.plant.demand, self.frame.reader.cord_device
        low = np.full(demand.n, np.iinfo(np.int64).max)
        high = np.full(demand.n, -2)
        at = np.where(device >= 0, device, -1)[living]
        np.minimum.at(low, demand.cord_unit[living], at)
        np.maximum.at(high, demand.cord_unit[living], at)
        return np.where((low == high) & (high >= 0), high, -1)

    def _bridges(self, cord_kw: np.ndarray) -> np.ndarray:
        """Return by device and moment whether a battery behind it holds its load through a transfer, (D, V)."""
        batteries, frame = self.plant.batteries, self.frame
        out = np.zeros((self.plant.devices.n, cord_kw.shape[1]), dtype=bool)
        load = frame.hangs(frame.draw_kw(frame.sharing[0], cord_kw))[0]
        for b, d in enumerate(batteries.device):
            if batteries.forms[b] and batteries.now_kwh[b] > batteries.low_kwh[b]:
                out[d] |= batteries.discharge_kw[b] >= load[d]
        return out

    def move_cost(self, course: Course) -> tuple[np.ndarray, np.ndarray]:
        """Return what a planned transfer of each device costs in each step, (D, T): expected risk, and wear alone.

        Where it breaks before it makes, load without another way is interrupted unless its hold-up or a battery bridges;
        with ``fail_move`` it stays open, and that load is dark for the horizon.
        """
        demand, devices = self.plant.demand, self.plant.devices
        kw = course.cord_kw @ course.weight
        unit_kw = np.zeros((demand.n, kw.shape[1]))
        np.add.at(unit_kw, demand.cord_unit, kw)
        only = self.only_behind(self._sharing(0)[0])
        weight, hold_h = self.weight[self.rank], self.hold_s / 3600.0
        forms = self._bridges(kw)
        risk = np.zeros((devices.n, kw.shape[1]))
        closed = self.plant.grid.transfers.closed_transition[devices.transfer]
        for d in range(devices.n):
            units = np.flatnonzero(only == d)
            if not len(units):
                continue
            lost = weight[units] @ unit_kw[units] * (hold_h + self.prices.interruption_h)
            gap = demand.holdup_s[units] < devices.transfer_s[d]
            hit = (weight[units] * gap) @ unit_kw[units] * self.prices.interruption_h * ~forms[d]
            fail = devices.fail_move[d]
            risk[d] = fail * lost + (1.0 - fail) * (hit if not closed[d] else 0.0)
        wear = np.repeat(self.prices.wear_kwh * devices.wear[:, None], kw.shape[1], axis=1)
        return risk, wear

    def charge_room(self, nominal: Stake, course: Course) -> np.ndarray:
        """Return what each battery may charge beside the load on its device's own position, kW, (B, P_max, T)."""
        batteries, devices = self.plant.batteries, self.plant.devices
        width = max((len(s) for s in devices.station), default=1)
        out = np.zeros((batteries.n, width, course.n_steps))
        kw = nominal.hung_kw(course.n_steps).max(axis=2)
        for b, d in enumerate(batteries.device):
            room = devices.rated_kva[d][:, None] / self.frame.mean_kva_per_kw - kw[d]
            out[b, : len(room)] = np.clip(room, 0.0, batteries.charge_kw[b])
        return out

    def imports(self, course: Course) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return kW from the grid per kW behind each device by position, and what no choice moves, (T, S)."""
        one, frame = self.readings[0].scenario, self.frame
        source = frame.reader.components.table == "source"
        gain = np.asarray((one.p + one.s * frame.mean_kva_per_kw)[source].sum(axis=0)).ravel()
        base = np.zeros((course.n_steps, course.n_scenarios))
        for s in range(course.n_scenarios):
            draw = frame.draw_kw(self._sharing(0), course.cord_kw[:, :, s])
            _, _, board_p, board_s = frame.hangs(draw)
            base[:, s] = (one.p @ board_p + one.s @ board_s + one.fixed[:, None])[source].sum(axis=0)
        return tuple(gain[: frame.n_stations][station] for station in self.plant.devices.station), base
