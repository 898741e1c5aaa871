"""Write the numbers of one solve into the compiled model: bounds, right-hand sides, costs, coefficients.

Never structure. Positions are looked up once; `write` is a handful of vectorised assignments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from formulations.blocks.flow import ANGLES_DEG
from formulations.blocks.numbers import NetworkNumbers
from formulations.blocks.service import limited_modes
from pdnopt.engine.compiled import CompiledModel
from pdnopt.plant.state import State

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
        self.on_mode = model.columns("on_mode", range(sets.n_modes))
        self.cap = model.columns("cap_kw", range(sets.n_modes))
        self.kept = model.columns("kept", range(demand.n))
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
        self.ups_on_mains = model.rows("ups_on_mains", u_all)
        self.joined_held = model.rows("joined_held", g_all)
        self.bypass = grid.upss.bypass

    def _ratings(self, model: CompiledModel, data: RerouteData) -> None:
        grid, both = data.grid, range(2 * len(ANGLES_DEG))
        branches, switches = range(len(grid.branches.index)), range(len(grid.switches.index))
        upss, sources = range(len(grid.upss.index)), range(len(grid.sources.index))
        self._branch_rows = np.array([model.rows("branch_rating", [(k, a) for a in both]) for k in branches], dtype=int)
        self._switch_rows = np.array([model.rows("switch_rating", [(s, a) for a in both]) for s in switches], dtype=int)
        some = range(len(ANGLES_DEG))
        self._ups_rows = np.array([model.rows("ups_rating", [(j, a) for a in some]) for j in upss], dtype=int)
        self._ups_active = model.rows("ups_active", upss)
        rows = model.rows("source_high", sources)
        self._source_cap = model.entries(rows, self.g) if len(rows) else np.zeros(0, dtype=int)
        joined = self.e >= 0
        self._joined_cap = model.entries(rows[joined], self.e[joined])

    def _service(self, model: CompiledModel, data: RerouteData) -> None:
        sets, demand = data.sets, data.demand
        live = np.flatnonzero(sets.part_site_lives)
        self._parts = live
        node = demand.cord_node[sets.part_cord[live]]
        mode = sets.part_mode[live]
        p_rows = model.rows("power_balance", range(len(data.grid.nodes.bus)))[node]
        q_rows = model.rows("reactive_balance", range(len(data.grid.nodes.bus)))[node]
        self._p_on = model.entries(p_rows, self.on_mode[mode])
        self._q_on = model.entries(q_rows, self.on_mode[mode])
        self._capped = np.flatnonzero(self.cap[mode] >= 0)
        self._p_cap = model.entries(p_rows[self._capped], self.cap[mode[self._capped]])
        self._q_cap = model.entries(q_rows[self._capped], self.cap[mode[self._capped]])
        cap_modes = np.flatnonzero(self.cap >= 0)
        self._cap_modes = cap_modes
        self._floor = model.entries(model.rows("cap_floor", cap_modes), self.on_mode[cap_modes])
        self._limited = limited_modes(sets, demand)
        self._cord_limit = model.entries(model.rows("cord_limit", self._limited), self.on_mode[self._limited])
        self._never = np.flatnonzero(~demand.sheddable[sets.mode_unit])
        self._never_rows = model.rows("never_shed", self._never)

    def write(self, numbers: NetworkNumbers) -> None:
        """Write all numbers of one solve."""
        self._d_kw = numbers.d_kw
        self._write_structure(numbers)
        self._write_supply(numbers)
        self._write_service(numbers)
        self._write_limits(numbers)
        self._write_costs(numbers)

    def _write_structure(self, v: NetworkNumbers) -> None:
        model = self.model
        model.set_bounds(self.z, v.z_low, v.z_high)
        model.set_bounds(self.y, 0.0, v.y_high)
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
        model.set_bounds(self.form, 0.0, v.form_high)
        model.set_bounds(self.p_form, 0.0, np.minimum(-v.store_low_kw, m_kw))
        model.set_bounds(self.p_store, np.maximum(v.store_low_kw, -m_kw), np.minimum(v.store_high_kw, m_kw))

    def _write_service(self, v: NetworkNumbers) -> None:
        model, sets = self.model, self.data.sets
        unit = sets.mode_unit
        servable = v.mode_ok & v.may_serve[unit]
        model.set_bounds(self.on_mode, 0.0, servable.astype(float))
        any_mode = np.bincount(unit, weights=servable, minlength=len(v.d_kw)) > 0
        model.set_bounds(self.on_unit, 0.0, any_mode.astype(float))
        model.set_bounds(self.kept, 0.0, v.lit.astype(float))
        data, part = model.matrix.data, self._parts
        fraction = v.part_fraction[part]
        tan_phi = v.part_tan_phi[part]
        drawn_kw = fraction * v.d_kw[unit[sets.part_mode[part]]]
        cap = self._capped
        for entries in (self._p_on, self._q_on, self._p_cap, self._q_cap):
            data[entries] = 0.0
        np.add.at(data, self._p_on, -drawn_kw)
        np.add.at(data, self._q_on, -drawn_kw * tan_phi)
        np.add.at(data, self._p_cap, fraction[cap])
        np.add.at(data, self._q_cap, (fraction * tan_phi)[cap])
        room = v.d_kw - v.min_kw
        data[self._floor] = -room[unit[self._cap_modes]]
        data[self._cord_limit] = v.d_kw[unit[self._limited]] * (1.0 - v.mode_limit[self._limited])
        model.row_low[self._never_rows] = np.where(servable[self._never], 0.0, -1.0)

    def _write_limits(self, v: NetworkNumbers) -> None:
        model, limits = self.model, v.limits
        for rows, rating, over, extra in (
            (self._branch_rows, limits.branch_kva, self.over_branch, limits.branch_extra_kva),
            (self._switch_rows, limits.switch_kva, self.over_switch, limits.switch_extra_kva),
            (self._ups_rows, limits.ups_kva, self.over_ups, limits.ups_extra_kva),
        ):
            if not len(rows):
                continue
            known = rows >= 0
            model.row_high[rows[known]] = np.broadcast_to(rating[:, None], rows.shape)[known]
            model.set_bounds(over, 0.0, extra)
        model.row_high[self._ups_active] = limits.ups_kw
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
        if "interrupted" in model.cost:
            lit_kw = np.where(v.lit, v.d_kw, 0.0)
            model.set_cost("interrupted", self.kept, -lit_kw)
            model.offset["interrupted"] = float(lit_kw.sum())
        if "actions" in model.cost:
            self._write_actions(v)

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
        for positions in grid.transfers.positions:
            start = positions[closed[positions]]
            _add(cost, self.z[start if len(start) else positions], -1.0 if len(start) else 1.0)
            constant += float(len(start))
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

    def service_columns(self, unit: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Return a unit's columns: on_unit, on_mode of its modes, cap_kw of its modes (-1: cannot be capped)."""
        modes = np.flatnonzero(self.data.sets.mode_unit == unit)
        return int(self.on_unit[unit]), self.on_mode[modes], self.cap[modes]

    def read(self, x: np.ndarray, start: State) -> State:
        """Return the state that a solution asks for, beginning from the state ``start``."""
        data = self.data
        unit = data.sets.mode_unit

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
        capped_kw = np.bincount(unit, weights=at(self.cap), minlength=len(d_kw))
        on = at(self.on_unit) > 0.5
        served = np.where(on, 1.0 - np.where(d_kw > 0, capped_kw / np.maximum(d_kw, 1e-12), 0.0), 0.0)
        served = np.where(capped_kw < NEGLIGIBLE_KW, on.astype(float), np.clip(served, 0.0, 1.0))
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


