"""AC power flow against the limits, on arrays aligned with the Grid: what the linear model got wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, inverting
from pdnopt.response.casebook import flow_of
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["AcJudge", "Allowed", "Ratios"]

VOLTAGE_WEIGHT = 20.0
"""One per cent below the voltage limit counts as 20 % of overload when states are compared."""


@dataclass(frozen=True)
class Ratios:
    """Loading over limit of every component, by state: arrays (states, components); NaN-free, 0 where dead."""

    branch: np.ndarray
    switch: np.ndarray
    ups: np.ndarray
    source: np.ndarray
    source_kw: np.ndarray
    ups_kw: np.ndarray
    storage_kw: np.ndarray  # what batteries that form an island give
    under_v_pu: np.ndarray  # (states, nodes) how far below v_min
    losses_kw: np.ndarray
    converged: np.ndarray

    def only(self, state: int) -> Ratios:
        """Return the ratios of one state, as arrays with one row."""
        return Ratios(**{part.name: getattr(self, part.name)[state : state + 1] for part in fields(self)})

    def margin_lost(self, grid: Grid) -> float:
        """Return minus the smallest headroom over UPSs, sources and transformers of one state, pu (term (O6) of reroute)."""
        trafo = grid.branches.table != "line"
        parts = (self.ups, self.source, self.branch[:, trafo])
        return float(max(part.max(initial=0.0) for part in parts)) - 1.0

    def stress(self) -> np.ndarray:
        """Return how urgent each state is: its worst loading over limit, infinite where the flow does not converge."""
        parts = [part.max(axis=1, initial=0.0) for part in (self.branch, self.switch, self.ups, self.source)]
        voltage = 1.0 + VOLTAGE_WEIGHT * self.under_v_pu.max(axis=1, initial=0.0)
        worst = np.maximum.reduce([*parts, np.where(voltage > 1.0, voltage, 0.0)])
        return np.asarray(np.where(self.converged, worst, np.inf))


@dataclass(frozen=True)
class Allowed:
    """The largest loading over limit that each component may have for the whole horizon; inf where it has no limit."""

    branch: np.ndarray
    switch: np.ndarray
    ups: np.ndarray
    source: np.ndarray


class AcJudge:
    """One network's AC engine and limits; built once."""

    def __init__(self, net: Any, grid: Grid, engine: FlowEngine) -> None:
        self.net, self.engine = net, engine
        self._lines = np.flatnonzero(grid.branches.table == "line")
        self._trafos = np.flatnonzero(grid.branches.table == "trafo")
        self._line_limit = _limit(net.line)
        self._trafo_limit = _limit(net.trafo)
        index = {int(i): k for k, i in enumerate(net.ext_grid.index)}
        self._forms = grid.storages.source >= 0
        self._storage_rows = np.array([index.get(int(i), 0) for i in grid.storages.source], dtype=int)
        self._source_rows = np.array([index[int(i)] for i in grid.sources.index], dtype=int)
        self._bus_nodes = np.flatnonzero(grid.nodes.bus >= 0)

    def ratios(self, grid: Grid, demand: Demand, states: list[State]) -> Ratios:
        """Run the AC power flow of several states at once."""
        flow = flow_of(self.net, grid, demand, states, self.engine)
        n = len(states)
        branch = np.zeros((n, len(grid.branches.index)))
        branch[:, self._lines] = flow.line_loading_percent / 100.0 / self._line_limit
        branch[:, self._trafos] = flow.trafo_loading_percent / 100.0 / self._trafo_limit
        sw = grid.switches
        s_kva = SQRT3 * flow.switch_i_ka * grid.nodes.vn_kv[sw.tail] * KW_PER_MW
        p_source = flow.ext_grid_p_kw[:, self._source_rows]
        vm = flow.vm_pu
        low = grid.nodes.v_min_pu[self._bus_nodes]
        under = np.where(np.isfinite(vm), np.maximum(low - vm, 0.0), 0.0)
        ups = np.maximum(
            flow.ups_p_out_kw / np.maximum(grid.upss.p_rated_kw, 1e-9),
            np.hypot(flow.ups_p_out_kw, flow.ups_q_out_kvar)
            * flow.ups_phase_factor
            / np.maximum(grid.upss.s_rated_kva, 1e-9),
        )
        running = inverting(np.array([state.ups_mode for state in states], dtype=object))
        ups = np.where(running.reshape(ups.shape), ups, 0.0)  # what passes a static bypass loads its switch
        return Ratios(
            branch=_clean(branch),
            switch=_clean(s_kva / sw.s_max_kva),
            ups=_clean(ups),
            source=_clean(p_source / grid.sources.p_max_kw),
            source_kw=_clean(p_source),
            ups_kw=_clean(flow.ups_p_out_kw),
            storage_kw=_clean(np.where(self._forms, flow.ext_grid_p_kw[:, self._storage_rows], 0.0)),
            under_v_pu=under,
            losses_kw=flow.losses_kw,
            converged=flow.converged,
        )


def _limit(frame: Any) -> np.ndarray:
    if "max_loading_percent" not in frame:
        return np.ones(len(frame))
    limit = frame["max_loading_percent"].to_numpy(float)
    return np.where(np.isnan(limit), 100.0, limit) / 100.0


def _clean(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))
