"""Write the numbers of one solve into the compiled model: bounds, right-hand sides, costs, coefficients.

Never structure. Positions are looked up once; `write` is a handful of vectorised assignments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from formulations.blocks.flow import ANGLES_DEG
from formulations.blocks.numbers import NetworkNumbers
from formulations.blocks.radial import auto_pairs
from pdnopt.engine.compiled import CompiledModel
from pdnopt.plant.state import State
from pdnopt.problem import Flows

if TYPE_CHECKING:
    from formulations.reroute import RerouteData

__all__ = ["Relaxable", "RerouteUpdate"]

NEGLIGIBLE_KW = 1e-3
"""A cap below this is the solver's rounding, not a decision."""


@dataclass(frozen=True)
class Relaxable:
    """A limit of the model: the column that exceeds it, whose limit it is, and what is allowed already."""

    column: int
    component: str
    limit: str
    unit: str
    allowed: float


class RerouteUpdate:
    """Positions of everything that may change, and `write` and `read`."""

    def __init__(self, model: CompiledModel, data: RerouteData) -> None:
        self.model, self.data = model, data
        grid, demand, sets = data.grid, data.demand, data.sets
        s_all, k_all = range(len(sets.tail_block)), range(grid.n_blocks)
        g_all, u_all, e_all = (range(len(t.index)) for t in (grid.sources, grid.upss, grid.storages))
        between = [int(s) for s in np.flatnonzero(sets.tail_block != sets.head_block)]
        arcs = [(s, d) for s in between for d in (0, 1)]
        self._arc_s = np.array([s for s, _ in arcs], dtype=int)
        self._arc_d = np.array([d for _, d in arcs], dtype=int)
        self.z = model.columns("z_closed", s_all)
        self.y = model.columns("y_live", k_all)
        self.g = model.columns("g_source", g_all)
        self.e = model.columns("e_joined", g_all)
        self.online, self.battery = model.columns("u_online", u_all), model.columns("u_battery", u_all)
        self.form = model.columns("f_form", e_all)
        self.on_unit = model.columns("on_unit", range(demand.n))
        self.s_mode = model.columns("s_mode_kw", range(sets.n_modes))
        self.m_feed = model.columns("m_feed", range(len(sets.feed_group)))
        self.cap = model.columns("cap_kw", range(demand.n))
        self.w_keep = model.columns("w_keep", arcs)
        self.w_source, self.w_ups = model.columns("w_source", g_all), model.columns("w_ups", u_all)
        self.w_form = model.columns("w_form", e_all)
        self.p_form = model.columns("p_form_kw", e_all)
        self.p_source, self.p_store = model.columns("p_source_kw", g_all), model.columns("p_store_kw", e_all)
        self.over_branch = model.columns("over_branch_kva", range(len(grid.branches.index)))
        self.over_switch = model.columns("over_switch_kva", s_all)
        self.over_ups = model.columns("over_ups_kva", u_all)
        self.over_source = model.columns("over_source_kw", g_all)
        self.over_battery = model.columns("over_battery_kw", u_all)
        self.under_v = model.columns("under_v", range(len(grid.nodes.bus)))
        self.ups_energy = model.rows("ups_energy", u_all)
        self._ratings(model, data)
        self._service(model, data)
        self.ups_on_mains, self.ups_kept = model.rows("ups_on_mains", u_all), model.rows("ups_kept", u_all)
        self.transfer_auto = model.rows("transfer_auto", auto_pairs(sets))
        self.joined_held = model.rows("joined_held", g_all)
        self.bypass = grid.upss.bypass
        positions = grid.transfers.positions
        self._positions = np.concatenate([*positions, np.zeros(0)]).astype(int)
        self._device = np.repeat(np.arange(len(positions)), [len(mine) for mine in positions]).astype(int)

    def _ratings(self, model: CompiledModel, data: RerouteData) -> None:
        grid, both = data.grid, range(2 * len(ANGLES_DEG))
        branches, switches = range(len(grid.branches.index)), range(len(grid.switches.index))
        upss, sources = range(len(grid.upss.index)), range(len(grid.sources.index))
        self._branch_rows = np.array(
            [model.rows("branch_rating", [(k, a) for a in both]) for k in branches], dtype=int
        )
        self._switch_rows = np.array(
            [model.rows("switch_rating", [(s, a) for a in both]) for s in switches], dtype=int
        ).reshape(len(switches), len(both))
        some = range(len(ANGLES_DEG))
        self._ups_rows = np.array([model.rows("ups_rating", [(j, a) for a in some]) for j in upss], dtype=int)
        self._ups_rows = self._ups_rows.reshape(len(upss), len(some))
        active = model.rows("ups_active", upss)
        n_some = len(ANGLES_DEG)
        modes = (self.online, self.battery)
        self._ups_disc = [model.entries(self._ups_rows.ravel(), np.repeat(u, n_some)) for u in modes]
        self._ups_active = [model.entries(active, u) for u in modes]
        beyond = model.rows("ups_beyond", upss)
        self._ups_beyond = [model.entries(beyond, u) for u in modes]
        rated = (
            np.flatnonzero((self._switch_rows >= 0).any(axis=1))
            if len(self._switch_rows)
            else np.zeros(0, int)
        )
        self._rated = rated
        self._switch_beyond = model.entries(model.rows("switch_beyond", rated), self.z[rated])
        known = self._switch_rows >= 0
        self._switch_known = known
        columns = np.broadcast_to(self.z[:, None], self._switch_rows.shape)[known] if len(self.z) else self.z
        self._switch_disc = model.entries(self._switch_rows[known], columns)
        rows = model.rows("source_high", sources)
        self._source_cap = model.entries(rows, self.g) if len(rows) else np.zeros(0, dtype=int)
        joined = self.e >= 0
        self._joined_cap = model.entries(rows[joined], self.e[joined])

    def _service(self, model: CompiledModel, data: RerouteData) -> None:
        sets, demand = data.sets, data.demand
        live = np.flatnonzero(sets.part_site_lives)
        self._parts = live
        node = demand.cord_node[sets.part_cord[live]]
        column = self.s_mode[sets.part_mode[live]]
        nodes = range(len(data.grid.nodes.bus))
        self._p_entry = model.entries(model.rows("power_balance", nodes)[node], column)
        self._q_entry = model.entries(model.rows("reactive_balance", nodes)[node], column)
        classes, groups = range(sets.n_classes), range(len(sets.groups))
        self._class_entry = model.entries(model.rows("class_power", classes)[sets.unit_class], self.on_unit)
        modes = range(sets.n_modes)
        self._mode_entry = model.entries(model.rows("mode_feed", modes), self.m_feed[sets.mode_feed])
        capped = np.flatnonzero(self.cap >= 0)
        self._capped = capped
        self._floor = model.entries(model.rows("cap_floor", capped), self.on_unit[capped])
        limited = np.arange(len(sets.limited_unit))
        some = limited[self.cap[sets.limited_unit] >= 0] if len(limited) else limited
        self._limited_cap = some
        pairs = list(zip(sets.limited_unit.tolist(), sets.limited_feed.tolist(), strict=True))
        rows = model.rows("cord_limit", [pairs[r] for r in some])
        self._limit_rows = rows
        self._limit_on = model.entries(rows, self.on_unit[sets.limited_unit[some]])
        self._limit_feed = model.entries(rows, self.m_feed[sets.limited_feed[some]])
        self._unfit_rows = model.rows("feed_unfit", pairs)
        self._never_rows = model.rows("never_shed", range(len(sets.firm_unit)))
        self._gone_shed, self._gone_dark = model.rows("gone_shed", groups), model.rows("gone_dark", groups)
        h_group = model.columns("h_group", groups)
        self._gone_on = model.entries(self._gone_shed[sets.unit_group], self.on_unit)
        self._gone_h = model.entries(self._gone_dark, h_group)

    def write(self, numbers: NetworkNumbers) -> None:
        """Write all numbers of one solve."""
        self._d_kw, self._may_serve = numbers.d_kw, numbers.may_serve
        self._write_structure(numbers)
        self._write_supply(numbers)
        self._write_service(numbers)
        self._write_limits(numbers)
        self._write_costs(numbers)

    def _write_structure(self, v: NetworkNumbers) -> None:
        model = self.model
        model.set_bounds(self.z, v.z_low, v.z_high)
        model.set_bounds(self.y, 0.0, v.y_high)
        model.row_high[self.transfer_auto] = np.where(v.auto_free, 1.0, 2.0)
        model.set_bounds(self.w_keep, 0.0, v.keep_arc[self._arc_s, self._arc_d].astype(float))
        model.set_bounds(self.w_source, 0.0, v.keep_source.astype(float))
        model.set_bounds(self.w_ups, 0.0, v.keep_ups.astype(float))
        model.set_bounds(self.w_form, 0.0, v.keep_form.astype(float))

    def _write_supply(self, v: NetworkNumbers) -> None:
        model, m_kw = self.model, self.data.flow.m_kw
        joined = self.e >= 0
        model.set_bounds(self.g, np.where(joined, 0.0, v.source_low), v.source_high)
        model.set_bounds(self.e, 0.0, v.source_high)
        model.row_low[self.joined_held[joined]] = v.source_low[joined]
        model.set_bounds(self.p_source, -m_kw, np.minimum(v.source_fuel_kw, m_kw))
        model.set_bounds(self.online, 0.0, v.online_high)
        model.set_bounds(self.battery, 0.0, v.battery_high)
        model.row_high[self.ups_energy] = np.minimum(v.battery_kw, m_kw)
        for never in (self.over_battery, self.over_source, self.under_v):
            model.set_bounds(never, 0.0, 0.0)
        model.row_high[self.ups_on_mains] = 2.0 - v.rectifier_ok
        model.row_low[self.ups_kept] = v.inverter_low
        model.set_bounds(self.form, 0.0, v.form_high)
        model.set_bounds(self.p_form, 0.0, np.minimum(-v.store_low_kw, m_kw))
        model.set_bounds(self.p_store, np.maximum(v.store_low_kw, -m_kw), np.minimum(v.store_high_kw, m_kw))

    def _write_service(self, v: NetworkNumbers) -> None:
        model, sets, data = self.model, self.data.sets, self.model.matrix.data
        data[self._p_entry] = 0.0
        data[self._q_entry] = 0.0
        fraction = v.part_fraction[self._parts]
        np.add.at(data, self._p_entry, -fraction)
        np.add.at(data, self._q_entry, -fraction * v.part_tan_phi[self._parts])
        data[self._class_entry] = -v.d_kw
        whole = np.bincount(sets.unit_class, weights=v.d_kw, minlength=sets.n_classes)
        data[self._mode_entry] = -whole[sets.mode_class]
        model.set_bounds(self.s_mode, 0.0, np.where(v.mode_ok, whole[sets.mode_class], 0.0))
        fits = np.bincount(sets.mode_class, weights=v.mode_ok, minlength=sets.n_classes)[sets.unit_class] > 0
        able = fits & v.may_serve
        model.set_bounds(self.on_unit, (able & v.kept).astype(float), able.astype(float))
        data[self._floor] = -(v.d_kw - v.min_kw)[self._capped]
        excess = v.limited_excess_kw[self._limited_cap]
        data[self._limit_on] = excess
        data[self._limit_feed] = excess
        model.row_high[self._limit_rows] = excess
        model.row_high[self._unfit_rows] = np.where(v.limited_ok, 2.0, 1.0)
        self._write_firm(v)
        lit_kw = np.where(v.lit, v.d_kw, 0.0)
        group_kw = np.bincount(sets.unit_group, weights=lit_kw, minlength=len(sets.groups))
        data[self._gone_on] = lit_kw
        data[self._gone_h] = group_kw
        model.row_low[self._gone_shed] = group_kw
        model.row_low[self._gone_dark] = group_kw

    def _write_firm(self, v: NetworkNumbers) -> None:
        """A firm unit is bound to a feed only if that feed can serve it."""
        sets = self.data.sets
        able = np.zeros((sets.n_classes, len(sets.feed_group)), dtype=bool)
        able[sets.mode_class, sets.mode_feed] = v.mode_ok
        bound = able[sets.unit_class[sets.firm_unit], sets.firm_feed] & v.may_serve[sets.firm_unit]
        n_feeds = len(sets.feed_group)
        unfit = (sets.limited_unit * n_feeds + sets.limited_feed)[~v.limited_ok]
        bound &= ~np.isin(sets.firm_unit * n_feeds + sets.firm_feed, unfit)
        self.model.row_low[self._never_rows] = np.where(bound, 0.0, -1.0)

    def _write_limits(self, v: NetworkNumbers) -> None:
        model, limits = self.model, v.limits
        known = self._branch_rows >= 0
        if known.size:
            model.row_high[self._branch_rows[known]] = np.broadcast_to(
                limits.branch_kva[:, None], known.shape
            )[known]
        model.set_bounds(self.over_branch, 0.0, limits.branch_extra_kva)
        data = model.matrix.data
        if len(self._switch_disc):
            data[self._switch_disc] = -np.broadcast_to(limits.switch_kva[:, None], self._switch_known.shape)[
                self._switch_known
            ]
        model.set_bounds(self.over_switch, 0.0, limits.switch_extra_kva)
        data[self._switch_beyond] = -limits.switch_extra_kva[self._rated]
        for beyond in self._ups_beyond:
            data[beyond] = -limits.ups_extra_kva
        for disc, active in zip(self._ups_disc, self._ups_active, strict=True):
            data[disc] = -np.repeat(limits.ups_kva, len(ANGLES_DEG))
            data[active] = -limits.ups_kw
        model.set_bounds(self.over_ups, 0.0, limits.ups_extra_kva)
        cap = np.minimum(limits.source_kw, self.data.flow.m_kw)
        model.matrix.data[self._source_cap] = -cap
        model.matrix.data[self._joined_cap] = -cap[self.e >= 0]

    def _write_costs(self, v: NetworkNumbers) -> None:
        model, demand = self.model, self.data.demand
        for priority in self.data.priorities:
            name = f"unserved_p{priority}"
            if name in model.cost:
                mine = demand.priority == priority
                model.set_cost(name, self.on_unit[mine], -v.d_kw[mine])
                model.offset[name] = float(v.d_kw[mine].sum())
        if "overload" in model.cost:
            self._write_overload(v)
        if "actions" in model.cost:
            self._write_actions(v)

    def _write_overload(self, v: NetworkNumbers) -> None:
        """Cost of an overload: the part of its budget that it uses over the horizon."""
        limits, model = v.limits, self.model
        for columns, extra, use in (
            (self.over_branch, limits.branch_extra_kva, limits.branch_use),
            (self.over_switch, limits.switch_extra_kva, limits.switch_use),
            (self.over_ups, limits.ups_extra_kva, limits.ups_use),
        ):
            per_kva = np.where(extra > 0, use / np.where(extra > 0, extra, 1.0), 0.0)
            model.set_cost("overload", columns, per_kva)

    def _write_actions(self, v: NetworkNumbers) -> None:
        """Cost 1 for leaving the present position; a device without one costs 1 for taking any."""
        model, grid = self.model, self.data.grid
        cost = np.zeros(model.n_columns)
        constant = 0.0
        sw = grid.switches
        plain = (sw.transfer < 0) & (sw.ups < 0)
        closed = v.z_start > 0.5
        _add(cost, self.z[plain], np.where(closed[plain], -1.0, 1.0))
        constant += float(closed[plain].sum())
        at, device = self._positions, self._device
        stands = np.bincount(device, weights=closed[at], minlength=len(grid.transfers.index)) > 0
        chosen = closed[at] | ~stands[device]
        _add(cost, self.z[at[chosen]], np.where(stands[device[chosen]], -1.0, 1.0))
        constant += float(closed[at].sum())
        running = v.source_start > 0.5
        genset = grid.sources.kind == "genset"
        for columns in (self.g, self.e):
            _add(cost, columns[genset], np.where(running[genset], -1.0, 1.0))
        constant += float((running & genset).sum())
        inverter, bypass = v.ups_start == "inverter", v.ups_start == "bypass"
        off = v.ups_start == "off"
        for columns in (self.online, self.battery):
            _add(cost, columns, np.where(inverter, -1.0, np.where(off, 1.0, 0.0)))
        has = self.bypass >= 0
        _add(cost, self.z[self.bypass[has & bypass]], -1.0)
        _add(cost, self.z[self.bypass[has & off]], 1.0)
        constant += float(inverter.sum() + (bypass & has).sum())
        _add(cost, self.form, np.where(v.form_start > 0.5, 0.0, 1.0))
        model.cost["actions"][:] = cost
        model.offset["actions"] = constant

    def structure(self, numbers: NetworkNumbers) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of switches and gensets, and where they stand after the automatic response.

        Devices that the failure forces elsewhere keep what their bounds allow. Transfer devices and UPS modes are not
        among them: they are what answers a lost feed with the switches as they stand.
        """
        plain = self.data.grid.switches.transfer < 0
        columns = np.r_[self.z[plain], self.g, self.form]
        values = np.r_[numbers.z_start[plain], numbers.source_start, numbers.form_start]
        ok = columns >= 0
        low, high = self.model.col_low[columns[ok]], self.model.col_high[columns[ok]]
        return columns[ok], np.clip(values[ok], low, high)

    def position(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of all switches, gensets, UPS modes and batteries, and where they stand in a state."""
        return self._standing(state, True)

    def _standing(self, state: State, chosen: np.ndarray | bool) -> tuple[np.ndarray, np.ndarray]:
        """As `position`, of the devices chosen: switches, sources, batteries, then UPSs twice (online, on battery)."""
        mode = state.ups_mode
        columns = np.r_[self.z, self.g, self.form, self.online, self.battery]
        stands = (state.closed, state.source_on, state.storage_on, mode == "online", mode == "battery")
        values = np.concatenate([np.asarray(part, dtype=float) for part in stands])
        ok = (columns >= 0) & chosen
        low, high = self.model.col_low[columns[ok]], self.model.col_high[columns[ok]]
        return columns[ok], np.clip(values[ok], low, high)

    def point(self, state: State, live: np.ndarray, on: np.ndarray, flows: Flows) -> np.ndarray:
        """Return a state as values of all columns: devices, blocks that live, service and flows; the rest is zero.

        ``live`` (blocks,) and ``on`` (D,) say which blocks have voltage and which units are served.
        """
        x = np.zeros(self.model.n_columns)

        def put(columns: np.ndarray, values: np.ndarray) -> None:
            ok = columns >= 0
            x[columns[ok]] = np.asarray(values, dtype=float)[ok]

        columns, values = self.position(state)
        x[columns] = values
        put(self.y, live)
        put(self.on_unit, on)
        put(self.cap, np.where(on, self._d_kw * (1.0 - state.served), 0.0))
        inverting = [flows.ups_kw * (state.ups_mode == mode) for mode in ("online", "battery")]
        for variable, part in (
            ("p_branch_kw", flows.branch_kw),
            ("q_branch_kvar", flows.branch_kvar),
            ("p_switch_kw", flows.switch_kw),
            ("q_switch_kvar", flows.switch_kvar),
            ("p_source_kw", flows.source_kw),
            ("q_source_kvar", flows.source_kvar),
            ("p_online_kw", inverting[0]),
            ("p_battery_kw", inverting[1]),
            ("q_ups_kvar", flows.ups_kvar),
        ):
            put(self.model.columns(variable, range(len(part))), part)
        return x

    def outside(self, near: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of all devices and units away from some blocks (bool, shape (blocks,)), and what holds them.

        The devices stand as in ``state``; the units are served in full where they can be.
        """
        grid, demand, block = self.data.grid, self.data.demand, self.data.grid.nodes.block
        sw, ups = grid.switches, grid.upss
        switch = near[block[sw.tail]] | near[block[sw.head]]
        for positions in grid.transfers.positions:
            switch[positions] = switch[positions].any()
        modes = near[block[ups.in_node]] | near[block[ups.out_node]]
        switch[sw.ups >= 0] = modes[sw.ups[sw.ups >= 0]]
        devices = (switch, near[block[grid.sources.node]], near[block[grid.storages.node]], modes, modes)
        held, values = self._standing(state, ~np.concatenate(devices))
        far = demand.sum_by_unit(near[block[demand.cord_node]].astype(float)) == 0
        on, cap = self.on_unit[far], self.cap[far]
        on, cap = on[on >= 0], cap[cap >= 0]
        return np.r_[held, on, cap], np.r_[values, self.model.col_high[on], self.model.col_low[cap]]

    def service(self) -> np.ndarray:
        """Return the integer columns that say who is served."""
        return np.asarray(self.on_unit[self.on_unit >= 0])

    def relaxable(self) -> list[Relaxable]:
        """Return every limit that could be relaxed, with its column and what of it the budgets allow now."""
        grid, high = self.data.grid, self.model.col_high
        kinds = (
            (self.over_branch, grid.branches.name, "rating", "kVA"),
            (self.over_switch, grid.switches.name, "rating", "kVA"),
            (self.over_ups, grid.upss.name, "rating", "kVA"),
            (self.over_source, grid.sources.name, "largest power", "kW"),
            (self.over_battery, grid.upss.name, "battery energy over the horizon", "kW"),
            (self.under_v, grid.nodes.name, "lowest voltage", "pu^2"),
        )
        return [
            Relaxable(int(column), name, limit, unit, float(high[column]))
            for columns, names, limit, unit in kinds
            for column, name in zip(columns, names, strict=True)
            if column >= 0
        ]

    def elastic_rows(self) -> np.ndarray:
        """Return the rows that tie an overload to its budget: free them to ask what more than that would serve."""
        upss, switches = range(len(self.data.grid.upss.index)), range(len(self.data.grid.switches.index))
        rows = np.r_[self.model.rows("ups_beyond", upss), self.model.rows("switch_beyond", switches)]
        return np.asarray(rows[rows >= 0])

    def service_columns(self, unit: int) -> tuple[int, int, np.ndarray]:
        """Return a unit's columns: on_unit, cap_kw (-1: cannot be capped), and s_mode_kw of its class."""
        modes = np.flatnonzero(self.data.sets.mode_class == self.data.sets.unit_class[unit])
        return int(self.on_unit[unit]), int(self.cap[unit]), self.s_mode[modes]

    def read(self, x: np.ndarray, start: State) -> State:
        """Return the state that a solution asks for, beginning from the state ``start``."""
        data = self.data

        def at(columns: np.ndarray) -> np.ndarray:
            return np.where(columns >= 0, x[np.maximum(columns, 0)], 0.0)

        closed = np.where(self.z >= 0, at(self.z) > 0.5, start.closed)
        joined = at(self.e) > 0.5
        source_on = (at(self.g) > 0.5) | joined
        mode = np.full(len(self.online), "off", dtype=object)
        has = np.flatnonzero(self.bypass >= 0)
        for j in has[closed[self.bypass[has]]]:
            mode[j] = "eco" if start.ups_mode[j] == "eco" else "bypass"
        mode[at(self.battery) > 0.5] = "battery"
        mode[at(self.online) > 0.5] = "online"
        d_kw = self._d_kw
        capped_kw = at(self.cap)
        on = at(self.on_unit) > 0.5
        served = np.where(on, 1.0 - np.where(d_kw > 0, capped_kw / np.maximum(d_kw, 1e-12), 0.0), 0.0)
        served = np.where(capped_kw < NEGLIGIBLE_KW, on.astype(float), np.clip(served, 0.0, 1.0))
        # nobody commands what no path reaches, nor sheds what may not be shed
        commanded = self._may_serve & (data.demand.sheddable | (served > 0))
        served = np.where(commanded, served, start.served)
        return start.but(
            closed=closed,
            source_on=source_on | (start.source_on & (data.grid.sources.kind != "genset") & start.source_ok),
            ups_mode=mode,
            storage_on=at(self.form) > 0.5,
            storage_kw=at(self.p_store),
            served=served,
        )


def _add(cost: np.ndarray, columns: np.ndarray, values: np.ndarray | float) -> None:
    ok = columns >= 0
    np.add.at(cost, columns[ok], np.broadcast_to(values, columns.shape)[ok])
