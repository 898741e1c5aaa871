"""What every failure puts at stake: for each scenario, the loads, limits and losses as numbers linear in the positions.

All rows are in kW of load, as in `pdnopt.allocation.exposure`: the load of a component that is rated in kVA, or above a UPS,
is divided by what one kW of load adds to it. Stations and fixed boards that load the same rows alike are one *group*; rows
that no choice can overload are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

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
    end : int, shape (D, P)
        Position on which a device ends for each on which it may stand; -1: none.
    group : int, shape (D, P)
        Group that a device loads in the end for each position on which it may stand; -1: none that matters.
    hang_kw : float, shape (D, V, N)
        What hangs on each device once the cords have shared.
    loss : float, shape (D, P, V)
        Expected kWh-equivalents lost behind a device by position, beside overload.
    critical_kw : float, shape (D, P, V)
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
    end: np.ndarray
    group: np.ndarray
    hang_kw: np.ndarray
    loss: np.ndarray
    critical_kw: np.ndarray
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
        return np.asarray(self.hang_kw.sum(axis=2).reshape(len(self.hang_kw), n_steps, -1))

    @property
    def label(self) -> str:
        """The name as row names have it: without spaces."""
        return self.name.replace(" ", "") or "nothing"

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
        self._sum = self._sums()
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
        at = self.plant.devices.station[np.arange(len(held)), held]
        np.add.at(board_p, at, p_kw)
        np.add.at(board_s, at, s_kva)
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
        end = reading.end(plant.devices)
        station = np.take_along_axis(plant.devices.station, np.maximum(end, 0), axis=1)
        group = np.where(end >= 0, columns[station], -1)
        loss, critical, fixed, fixed_critical = self._losses(c, end, sharing[0], cord_kw, hours)
        return Stake(
            name=name,
            step=step,
            scenario=scenario,
            p=p,
            hours=hours,
            end=end,
            group=group,
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
        part[demand.min_kw >= demand.d_kw] = 1.0  # no floor is given: it cannot be capped
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
            batteries = self.plant.batteries
            for b, d in enumerate(batteries.device):
                most[self._stations(d)] += batteries.charge_kw[b]
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
        p_kw = self._hung(draw).max(axis=1)
        most = np.zeros(self.frame.n_stations)
        rows, positions = np.nonzero(self.plant.devices.station >= 0)
        np.add.at(most, self.plant.devices.station[rows, positions], p_kw[rows])
        return most

    def _hung(self, draw: np.ndarray) -> np.ndarray:
        """Return what cords draw behind each device, (D, V)."""
        hung = np.zeros((self.plant.devices.n, draw.shape[1]))
        for part in self._sum[0]:
            hung += part @ draw
        return hung

    def _stations(self, d: int) -> np.ndarray:
        """Return the stations that a device reaches."""
        station = self.plant.devices.station[d]
        return np.unique(station[station >= 0])

    def _by_priority(
        self, draw: np.ndarray, columns: np.ndarray, n_groups: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return draws summed by priority: behind each device, (D, V, N), and of fixed boards by group, (J, V, N)."""
        by_device, by_board = self._sum
        hang = np.stack([part @ draw for part in by_device], axis=2)
        out = np.zeros((n_groups, draw.shape[1], len(self.priorities)))
        at = columns[self.frame.n_stations :]
        on = at >= 0
        if on.any():
            for n, part in enumerate(by_board):
                np.add.at(out[:, :, n], at[on], (part @ draw)[on])
        return hang, out

    def _sums(self) -> tuple[list[csr_array], list[csr_array]]:
        """Return by priority what sums cords by device, (D, cords), and by board, (B, cords)."""
        reader, demand = self.frame.reader, self.plant.demand
        rank = self.rank[demand.cord_unit]
        out: tuple[list[csr_array], list[csr_array]] = ([], [])
        for n in range(len(self.priorities)):
            for at, rows, found in (
                (reader.cord_device, self.plant.devices.n, out[0]),
                (reader.cord_board - self.frame.n_stations, len(reader.board_node), out[1]),
            ):
                mine = np.flatnonzero((at >= 0) & (rank == n))
                shape = (rows, len(demand.cord_unit))
                found.append(csr_array((np.ones(len(mine)), (at[mine], mine)), shape=shape))
        return out

    # --- what goes dark

    def _losses(
        self, c: int, end: np.ndarray, living: np.ndarray, cord_kw: np.ndarray, hours: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return what is lost behind devices by position, and whatever the positions are; see `Stake`."""
        devices, n_vectors = self.plant.devices, cord_kw.shape[1]
        loss = np.zeros((devices.n, devices.width, n_vectors))
        at_risk = np.zeros_like(loss)
        if c == 0:
            return loss, at_risk, np.zeros(n_vectors), np.zeros(n_vectors)
        demand = self.plant.demand
        weight, critical = self.weight[self.rank], self.rank == 0
        unit_kw = self._by_unit(cord_kw)
        dark = unit_kw * (demand.sum_by_unit(living.astype(float)) <= 0)[:, None]
        fixed = (weight @ dark) * (hours + self.prices.interruption_h)
        kw, lost, hit, critical_hit = self._behind(living, unit_kw, hours, ~self.plant.devices.auto)
        stays = np.where(devices.auto, devices.fail_auto, 0.0)[:, None]
        moved = stays * lost + (1.0 - stays) * hit
        on = np.arange(devices.width)
        nowhere, elsewhere = end < 0, (end >= 0) & (end != on)
        loss += nowhere[:, :, None] * lost[:, None] + elsewhere[:, :, None] * moved[:, None]
        at_risk += nowhere[:, :, None] * kw[:, None] + elsewhere[:, :, None] * critical_hit[:, None]
        return loss, at_risk, fixed, dark[critical].sum(axis=0)

    def _by_unit(self, cord_kw: np.ndarray) -> np.ndarray:
        unit_kw = np.zeros((self.plant.demand.n, cord_kw.shape[1]))
        np.add.at(unit_kw, self.plant.demand.cord_unit, cord_kw)
        return unit_kw

    def _behind(
        self, living: np.ndarray, unit_kw: np.ndarray, hours: float, always: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return by device and moment, (D, V), of load that has no other way: critical kW, kWh-equivalents if its output
        stays dead, kWh-equivalents if it is dead for a transfer only, critical kW that such a transfer interrupts.

        ``always``: devices whose transfer takes longer than any hold-up.
        """
        demand, devices = self.plant.demand, self.plant.devices
        only = self.only_behind(living)
        units = np.flatnonzero(only >= 0)
        shape = (devices.n, demand.n)
        slow = always[only[units]] | (demand.holdup_s[units] < devices.transfer_s[only[units]])
        weight, critical = self.weight[self.rank[units]], self.rank[units] == 0

        def total(value: np.ndarray) -> np.ndarray:
            return np.asarray(csr_array((value.astype(float), (only[units], units)), shape=shape) @ unit_kw)

        bridged = self._bridges(unit_kw)
        lost = total(weight) * (hours + self.prices.interruption_h)
        hit = total(weight * slow) * self.prices.interruption_h * ~bridged
        return total(critical), lost, hit, total(critical & slow) * ~bridged

    def only_behind(self, living: np.ndarray) -> np.ndarray:
        """Return for each unit the device behind which all its living cords are; -1: there is another way, or none."""
        demand, device = self.plant.demand, self.frame.reader.cord_device
        low = np.full(demand.n, np.iinfo(np.int64).max)
        high = np.full(demand.n, -2)
        at = np.where(device >= 0, device, -1)[living]
        np.minimum.at(low, demand.cord_unit[living], at)
        np.maximum.at(high, demand.cord_unit[living], at)
        return np.where((low == high) & (high >= 0), high, -1)

    def _bridges(self, unit_kw: np.ndarray) -> np.ndarray:
        """Return by device and moment whether a battery behind it holds its load through a transfer, (D, V)."""
        batteries, demand = self.plant.batteries, self.plant.demand
        out = np.zeros((self.plant.devices.n, unit_kw.shape[1]), dtype=bool)
        if not batteries.n:
            return out
        cord_kw = unit_kw[demand.cord_unit] * demand.cord_share[:, None]
        load = self._hung(cord_kw)
        for b, d in enumerate(batteries.device):
            if batteries.forms[b] and batteries.now_kwh[b] > batteries.low_kwh[b]:
                out[d] |= batteries.discharge_kw[b] >= load[d]
        return out

    def move_cost(self, course: Course) -> tuple[np.ndarray, np.ndarray]:
        """Return what a planned transfer of each device costs in each step, (D, T): expected risk, and wear alone.

        Where it breaks before it makes, load without another way is interrupted unless its hold-up or a battery bridges;
        with ``fail_move`` it stays open, and that load is dark for the horizon.
        """
        devices = self.plant.devices
        unit_kw = self._by_unit(course.cord_kw @ course.weight)
        never = np.zeros(devices.n, dtype=bool)
        _, lost, hit, _ = self._behind(self._sharing(0)[0], unit_kw, self.hold_s / 3600.0, never)
        open_way = ~self.plant.grid.transfers.closed_transition[devices.transfer][:, None]
        fail = devices.fail_move[:, None]
        risk = fail * lost + (1.0 - fail) * hit * open_way
        wear = np.repeat(self.prices.wear_kwh * devices.wear[:, None], course.n_steps, axis=1)
        return risk, wear

    def charge_room(self, nominal: Stake, course: Course) -> np.ndarray:
        """Return what each battery may charge beside the load on its device's own position, kW, (B, P_max, T)."""
        batteries, devices = self.plant.batteries, self.plant.devices
        kw = nominal.hung_kw(course.n_steps).max(axis=2)[batteries.device]
        room = devices.rated_kva[batteries.device][:, :, None] / self.frame.mean_kva_per_kw - kw[:, None]
        return np.asarray(np.clip(room, 0.0, batteries.charge_kw[:, None, None]))

    def imports(self, course: Course) -> tuple[np.ndarray, np.ndarray]:
        """Return kW from the grid per kW behind each device by position, (D, P), and what no choice moves, (T, S)."""
        one, frame = self.readings[0].scenario, self.frame
        source = frame.reader.components.table == "source"
        gain = np.asarray((one.p + one.s * frame.mean_kva_per_kw)[source].sum(axis=0)).ravel()
        base = np.zeros((course.n_steps, course.n_scenarios))
        for s in range(course.n_scenarios):
            draw = frame.draw_kw(self._sharing(0), course.cord_kw[:, :, s])
            _, _, board_p, board_s = frame.hangs(draw)
            base[:, s] = (one.p @ board_p + one.s @ board_s + one.fixed[:, None])[source].sum(axis=0)
        return gain[self.plant.devices.station], base
