"""How far every rated component is loaded, and when it trips if nobody acts (rules 8 and 13, PLANT.md).

Loading of a line or switch is its worst-end current over its rating, of a transformer pandapower's
``loading_percent``, of a UPS the worst of P/p_rated, S/s_rated and the worst phase over s_rated/3, of a source
P/max_p_mw, of a battery that forms its island P over its power. The limit is ``max_loading_percent`` times the rating.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.plant.budgets import Curve, CurveBook, read_curves
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, inverting
from pdnopt.response.casebook import flow_of
from pdnopt.units import KW_PER_MW, S_PER_H, SQRT3

if TYPE_CHECKING:
    from pdnopt.acflow import FlowEngine, FlowResult
    from pdnopt.response.aftermath import Response

__all__ = ["Loadings", "Overload", "loadings", "overloads", "reserves_kwh"]

OVER = 1e-6
"""A component is over its limit beyond this part (AC power flow's own accuracy is 1e-8 pu)."""


@dataclass(frozen=True)
class Loadings:
    """One row a rated component; all arrays have shape (rated components,).

    Attributes
    ----------
    name : list of str
    table : object
        "line", "trafo", "trafo3w", "switch", "ups", "source" or "storage".
    position : int
        In Branches, Switches, Upss, Sources or Storages of the Grid.
    loading, rating : float
        kVA for line, trafo, switch and (where that binds) UPS, else kW; ``unit`` says which.
    ratio : float
        Loading over limit; 0 without voltage.
    curve : object
        Name of the overload curve, "" = no time-limited rating.
    used : float
        Part of the overload budget used before the failure.
    temperature_c : float
    on_battery : bool
    """

    name: list[str]
    table: np.ndarray
    position: np.ndarray
    loading: np.ndarray
    rating: np.ndarray
    unit: np.ndarray
    ratio: np.ndarray
    curve: np.ndarray
    used: np.ndarray
    temperature_c: np.ndarray
    on_battery: np.ndarray

    def over(self) -> np.ndarray:
        """Return the rows beyond their limit, worst first."""
        rows = np.flatnonzero(self.ratio > 1.0 + OVER)
        return rows[np.argsort(-self.ratio[rows], kind="stable")]

    def curve_of(self, book: CurveBook, row: int) -> Curve:
        """Return the curve that holds for a row at its temperature and supply."""
        return book.curve(self.curve[row], float(self.temperature_c[row]), bool(self.on_battery[row]))


@dataclass(frozen=True)
class Overload:
    """An overload, or a battery or fuel that runs down, in one state.

    Attributes
    ----------
    component : str
    kind : str
        "overload", "battery" or "fuel".
    loading, rating : float
        In ``unit``; of a battery or fuel: the power drawn and the component's rated power.
    ratio : float
        Loading over limit.
    deadline_s : float
        Seconds from this state until it trips or is empty; 0 for an overload without a curve (rule 8).
    protected : bool
        False where no protection is modelled: it never trips by itself, and must be relieved at once.
    used : float
        Part of the budget that was used before this state.
    """

    component: str
    kind: str
    loading: float
    rating: float
    unit: str
    ratio: float
    deadline_s: float
    protected: bool = True
    used: float = 0.0


def loadings(net: Any, grid: Grid, flow: FlowResult, state: State | None = None, case: int = 0) -> Loadings:
    """Return the loading of every rated component in one case of an AC power flow.

    Parameters
    ----------
    state : State, optional
        Says which UPSs run on battery; default: as the network is given.
    case : int
        Row of ``flow``.
    """
    return _meters(net, grid).read(grid, flow, grid.upss.mode if state is None else state.ups_mode, case)


def _meters(net: Any, grid: Grid) -> _Meters:
    return grid.memory.recall("meters", lambda: _Meters(net, grid))


class _Meters:
    """What is the same in every state: which components are rated, and where their loading is in a flow."""

    def __init__(self, net: Any, grid: Grid) -> None:
        br, sw, src, sto = grid.branches, grid.switches, grid.sources, grid.storages
        self.book = read_curves(net)
        parts = []
        self.at: dict[str, np.ndarray] = {}
        self.scale: dict[str, np.ndarray] = {}
        for table in ("line", "trafo"):
            rows = np.flatnonzero((br.table == table) & np.isfinite(br.s_max_kva))
            self.at[table] = net[table].index.get_indexer(br.index[rows])
            self.scale[table] = 0.01 / _limit(net[table])[self.at[table]]
            names, rating = [br.name[k] for k in rows], br.s_max_kva[rows]
            parts.append(_part(names, table, rows, rating, "kVA", br.curve[rows], br.budget_used[rows]))
        # a three-winding transformer is three branches: its first stands for it
        first = np.unique(br.index[br.table == "trafo3w"], return_index=True)[1]
        rows = np.flatnonzero(br.table == "trafo3w")[first]
        self.at["trafo3w"] = net.trafo3w.index.get_indexer(br.index[rows])
        self.scale["trafo3w"] = 0.01 / _limit(net.trafo3w)[self.at["trafo3w"]]
        parts.append(_part([br.name[k] for k in rows], "trafo3w", rows, br.s_max_kva[rows], "kVA", "", 0.0))
        rows = self.at["switch"] = np.flatnonzero(np.isfinite(sw.s_max_kva))
        kva_per_ka = SQRT3 * grid.nodes.vn_kv[sw.tail[rows]] * KW_PER_MW
        self.scale["switch"] = kva_per_ka / np.maximum(sw.s_max_kva[rows], 1e-9)
        names, rating = [sw.name[k] for k in rows], sw.s_max_kva[rows]
        parts.append(_part(names, "switch", rows, rating, "kVA", sw.curve[rows], sw.budget_used[rows]))
        ups = grid.upss
        rows = np.arange(len(ups.index))
        parts.append(
            _part(ups.name, "ups", rows, ups.p_rated_kw, "kW", ups.curve, ups.budget_used, ups.temperature_c)
        )
        index = net.ext_grid.index
        self.source = index.get_indexer(src.index)
        self.storage = index.get_indexer(sto.source)
        rows = np.flatnonzero(np.isfinite(src.p_max_kw))
        self.at["source"], self.scale["source"] = (
            self.source[rows],
            1.0 / np.maximum(src.p_max_kw[rows], 1e-9),
        )
        parts.append(_part([src.name[k] for k in rows], "source", rows, src.p_max_kw[rows], "kW", "", 0.0))
        rows = np.flatnonzero(
            (sto.source >= 0) & np.isfinite(sto.p_discharge_max_kw) & (sto.p_discharge_max_kw > 0)
        )
        rating = sto.p_discharge_max_kw[rows]
        self.at["storage"], self.scale["storage"] = self.storage[rows], 1.0 / rating
        parts.append(_part([sto.name[k] for k in rows], "storage", rows, rating, "kW", "", 0.0))
        columns = [f for f in Loadings.__dataclass_fields__ if f != "name"]
        self.blank = Loadings(
            name=[name for part in parts for name in part.name],
            **{column: np.concatenate([getattr(part, column) for part in parts]) for column in columns},
        )
        self.ups = np.flatnonzero(self.blank.table == "ups")

    def read(self, grid: Grid, flow: FlowResult, mode: np.ndarray, case: int) -> Loadings:
        """Return the loadings in one case, UPSs running in these modes."""
        percent = {
            "line": flow.line_loading_percent,
            "trafo": flow.trafo_loading_percent,
            "trafo3w": flow.trafo3w_loading_percent,
            "switch": flow.switch_i_ka,
        }
        before = [percent[table][case][self.at[table]] * self.scale[table] for table in percent]
        after = [flow.ext_grid_p_kw[case][self.at[t]] * self.scale[t] for t in ("source", "storage")]
        by_ups, active = _ups_ratio(grid, flow, mode, case)
        ratio = np.nan_to_num(np.concatenate([*before, by_ups, *after]), nan=0.0, posinf=0.0)
        rating, unit, on_battery = (
            values.copy() for values in (self.blank.rating, self.blank.unit, self.blank.on_battery)
        )
        rating[self.ups] = np.where(active, grid.upss.p_rated_kw, grid.upss.s_rated_kva)
        unit[self.ups] = np.where(active, "kW", "kVA")
        on_battery[self.ups] = mode == "battery"
        return replace(
            self.blank, loading=ratio * rating, rating=rating, unit=unit, ratio=ratio, on_battery=on_battery
        )


def _ups_ratio(grid: Grid, flow: FlowResult, mode: np.ndarray, case: int) -> tuple[np.ndarray, np.ndarray]:
    """UPSs by what their inverters give, and where that binds by kW; what passes a bypass loads its switch (rule 15)."""
    ups, running = grid.upss, inverting(mode)
    p_kw = np.where(running, np.nan_to_num(flow.ups_p_out_kw[case]), 0.0)
    s_kva = np.hypot(p_kw, np.where(running, np.nan_to_num(flow.ups_q_out_kvar[case]), 0.0))
    s_kva = s_kva * np.nan_to_num(flow.ups_phase_factor[case], nan=1.0)  # three times its worst phase
    by_p, by_s = p_kw / np.maximum(ups.p_rated_kw, 1e-9), s_kva / np.maximum(ups.s_rated_kva, 1e-9)
    return np.maximum(by_p, by_s), by_p >= by_s * (1.0 - 1e-3)  # the same but for rounding: kW


def _part(
    name: list[str],
    table: str,
    position: np.ndarray,
    rating: np.ndarray,
    unit: str,
    curve: np.ndarray | str,
    used: np.ndarray | float,
    temperature_c: np.ndarray | None = None,
) -> Loadings:
    """Return the components of one table, without a loading yet."""
    n = len(name)
    return Loadings(
        name=list(name),
        table=np.full(n, table, dtype=object),
        position=position,
        loading=np.zeros(n),
        rating=np.asarray(rating, dtype=float),
        unit=np.full(n, unit, dtype=object),
        ratio=np.zeros(n),
        curve=np.full(n, curve, dtype=object) if isinstance(curve, str) else curve,
        used=np.full(n, used) if isinstance(used, float) else used,
        temperature_c=np.full(n, 25.0) if temperature_c is None else temperature_c,
        on_battery=np.zeros(n, dtype=bool),
    )


def _limit(frame: Any) -> np.ndarray:
    """Return max_loading_percent / 100; missing means 100 %."""
    if "max_loading_percent" not in frame:
        return np.ones(len(frame))
    limit = frame["max_loading_percent"].to_numpy(float)
    return np.where(np.isnan(limit), 100.0, limit) / 100.0


def reserves_kwh(grid: Grid) -> dict[str, np.ndarray]:
    """Return the energy at hand before the failure: "ups", "storage" and "source" (fuel), kWh each."""
    return {
        "ups": grid.upss.e_kwh.copy(),
        "storage": grid.storages.e_usable_kwh.copy(),
        "source": grid.sources.fuel_kwh.copy(),
    }


def overloads(
    net: Any,
    grid: Grid,
    demand: Demand,
    response: Response,
    engine: FlowEngine,
    state: State | None = None,
    used: dict[str, float] | None = None,
) -> tuple[Overload, ...]:
    """Return every overload and every battery or fuel that runs down, the most urgent first.

    Parameters
    ----------
    grid : Grid
        ``response.grid`` (with derated UPSs).
    state : State, optional
        Default: the state that the response left.
    used : dict, optional
        Part of its budget that a component has used, where it is not the table's ``overload_used``.
    """
    state = response.state if state is None else state
    flow = flow_of(net, grid, demand, [state], engine)
    table = loadings(net, grid, flow, state)
    book = _meters(net, grid).book
    found = []
    for row in table.over():
        curve = table.curve_of(book, int(row))
        protected = len(curve.ratio) > 0
        name = table.name[row]
        spent = float(table.used[row]) if used is None else used.get(name, float(table.used[row]))
        left = max(1.0 - spent, 0.0)
        deadline_s = left * curve.max_time_s(float(table.ratio[row])) if protected else 0.0
        loading, rating, ratio = float(table.loading[row]), float(table.rating[row]), float(table.ratio[row])
        found.append(
            Overload(
                name, "overload", loading, rating, str(table.unit[row]), ratio, deadline_s, protected, spent
            )
        )
    found += _running_down(net, grid, flow, state)
    return tuple(sorted(found, key=lambda item: (item.deadline_s, -item.ratio, item.component)))


def drains_kw(net: Any, grid: Grid, flow: FlowResult, state: State, case: int = 0) -> dict[str, np.ndarray]:
    """Return the power in kW drawn from UPS batteries, row batteries and fuel; keys as `reserves_kwh`."""
    sto, src, meters = grid.storages, grid.sources, _meters(net, grid)
    p_source = np.nan_to_num(flow.ext_grid_p_kw[case])
    forming = np.zeros(len(sto.index))
    has = sto.source >= 0
    forming[has] = p_source[meters.storage[has]]
    storage = np.where(state.storage_on, forming, np.where(state.storage_ok, -state.storage_kw, 0.0))
    battery = np.where(state.ups_mode == "battery", np.nan_to_num(flow.ups_p_out_kw[case]), 0.0)
    fuel = np.where(state.source_on & np.isfinite(src.fuel_kwh), p_source[meters.source], 0.0)
    return {key: np.maximum(p, 0.0) for key, p in (("ups", battery), ("storage", storage), ("source", fuel))}


def _running_down(net: Any, grid: Grid, flow: FlowResult, state: State) -> list[Overload]:
    reserve, drain = reserves_kwh(grid), drains_kw(net, grid, flow, state)
    tables = (
        ("ups", grid.upss.name, grid.upss.p_rated_kw),
        ("storage", grid.storages.name, grid.storages.p_discharge_max_kw),
        ("source", grid.sources.name, grid.sources.p_max_kw),
    )
    out = []
    for key, name, rated in tables:
        kind = "fuel" if key == "source" else "battery"
        for k in np.flatnonzero(drain[key] > 1e-6):
            p_kw, rating = float(drain[key][k]), float(rated[k])
            seconds = S_PER_H * float(reserve[key][k]) / p_kw
            ratio = p_kw / rating if 0 < rating < inf else 0.0
            out.append(Overload(name[k], kind, p_kw, rating, "kW", ratio, seconds))
    return out
