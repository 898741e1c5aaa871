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
    cord_kvar = cord_kw * demand.cord_tan_phi
    powers = {}
    for table, p_name, q_name in (
        ("load", "load_p_kw", "load_q_kvar"),
        ("asymmetric_load", "asymmetric_load_p_kw", "asymmetric_load_q_kvar"),
    ):
        mine = demand.cord_table == table
        at = net[table].index.get_indexer(demand.cord_row[mine])
        p_kw, q_kvar = np.zeros((n, len(net[table]))), np.zeros((n, len(net[table])))
        p_kw[:, at], q_kvar[:, at] = cord_kw[:, mine], cord_kvar[:, mine]
        powers[p_name], powers[q_name] = p_kw, q_kvar
    return FlowCases(
        switch_closed=np.array([state.closed for state in states]),
        ext_grid_on=_sources_on(net, grid, states),
        ups_mode=np.array([state.ups_mode for state in states], dtype=object).reshape(
            n, len(grid.upss.index)
        ),
        storage_p_kw=np.array([_storage_kw(grid, state) for state in states]),
        dead_bus=np.array([state.dead[: len(net.bus)] for state in states]),
        **powers,
    )


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
