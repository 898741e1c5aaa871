"""States of the plant as cases of the AC power flow: who draws what, through which switches.

The sequencer, the overload clocks and the cascade all judge states by AC power flow; this is the one place
that says what a State means to the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, islands, living_cords

if TYPE_CHECKING:
    from pdnopt.acflow import FlowCases

__all__ = ["flow_case"]


def flow_case(net: Any, grid: Grid, demand: Demand, states: Sequence[State]) -> FlowCases:
    """Return the cases that ``FlowEngine(net).run`` takes, one a state, in the order of ``states``.

    Loads draw what their living cords share (`plant.demand`), times what is served; loads without
    voltage draw nothing. UPS companions draw nothing here: the engine finds their input. A battery that
    forms its island is a source, every other one a given power.
    """
    from pdnopt.acflow import FlowCases

    n = len(states)
    start = initial_state(grid, demand)
    as_given = living_cords(demand, start, islands(grid, start).energised)
    cord_kw = np.zeros((n, len(demand.cord_unit)))
    for k, state in enumerate(states):
        living = living_cords(demand, state, islands(grid, state).energised)
        cord_kw[k] = cord_draw_kw(demand, living, as_given) * state.served[demand.cord_unit]
    mine = demand.cord_table == "load"
    at = net.load.index.get_indexer(demand.cord_row[mine])
    load_p_kw, load_q_kvar = np.zeros((n, len(net.load))), np.zeros((n, len(net.load)))
    load_p_kw[:, at], load_q_kvar[:, at] = cord_kw[:, mine], cord_kw[:, mine] * demand.cord_tan_phi[mine]
    asymmetric_p_kw, asymmetric_q_kvar = _by_phase(net, demand, cord_kw)
    return FlowCases(
        switch_closed=np.array([state.closed for state in states]),
        ext_grid_on=_sources_on(net, grid, states),
        ups_mode=np.array([state.ups_mode for state in states], dtype=object).reshape(
            n, len(grid.upss.index)
        ),
        storage_p_kw=np.array([_storage_kw(grid, state) for state in states]),
        dead_bus=np.array([state.dead[: len(net.bus)] for state in states]),
        load_p_kw=load_p_kw,
        load_q_kvar=load_q_kvar,
        asymmetric_p_kw=asymmetric_p_kw,
        asymmetric_q_kvar=asymmetric_q_kvar,
    )


def _by_phase(net: Any, demand: Demand, cord_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P and Q of net.asymmetric_load, (states, rows, 3), split over phases as in the table."""
    n, frame = len(cord_kw), net.asymmetric_load
    p_kw, q_kvar = np.zeros((n, len(frame), 3)), np.zeros((n, len(frame), 3))
    mine = demand.cord_table == "asymmetric_load"
    if not mine.any():
        return p_kw, q_kvar
    at = frame.index.get_indexer(demand.cord_row[mine])
    p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy(float)[at]
    q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].to_numpy(float)[at]
    total = p.sum(axis=1, keepdims=True)
    some = np.where(total > 0, total, 1.0)
    share = np.where(total > 0, p / some, 1.0 / 3.0)
    p_kw[:, at] = cord_kw[:, mine, None] * share
    q_kvar[:, at] = cord_kw[:, mine, None] * np.where(total > 0, q / some, 0.0)
    return p_kw, q_kvar


def _sources_on(net: Any, grid: Grid, states: Sequence[State]) -> np.ndarray:
    """Return bool (states, rows of net.ext_grid): sources, and the companions of UPSs and batteries."""
    index = net.ext_grid.index
    src, ups, sto = grid.sources, grid.upss, grid.storages
    on = np.zeros((len(states), len(index)), dtype=bool)
    has = sto.source >= 0
    at_src, at_ups, at_sto = (index.get_indexer(rows) for rows in (src.index, ups.source, sto.source[has]))
    for k, state in enumerate(states):
        on[k, at_src] = state.source_on & ~state.dead[src.node]
        on[k, at_ups] = np.isin(state.ups_mode, ("online", "battery")) & ~state.dead[ups.out_node]
        on[k, at_sto] = (state.storage_on & ~state.dead[sto.node])[has]
    return on


def _storage_kw(grid: Grid, state: State) -> np.ndarray:
    """Return the power of each battery that follows, charging positive; 0 for a DC-coupled one."""
    sto = grid.storages
    ac = (sto.p_charge_max_kw > 0) | (sto.p_discharge_max_kw > 0)
    return np.where(ac & state.storage_ok & ~state.storage_on & ~state.dead[sto.node], state.storage_kw, 0.0)
