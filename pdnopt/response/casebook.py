"""States of the plant as cases of the AC power flow: who draws what, through which switches.

The sequencer, the overload clocks and the cascade all judge states by AC power flow; this is the one place
that says what a State means to the engine. A state that was judged is not judged again in the same call of `solve`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.plant.demand import Demand, cord_draw_kw
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, inverting, islands, living_cords

if TYPE_CHECKING:
    from pdnopt.acflow import FlowCases, FlowEngine, FlowResult

__all__ = ["flow_case", "flow_of"]


def flow_case(net: Any, grid: Grid, demand: Demand, states: Sequence[State]) -> FlowCases:
    """Return the cases that ``FlowEngine(net).run`` takes, one a state, in the order of ``states``.

    Loads draw what their living cords share (`plant.demand`), times what is served; loads without
    voltage draw nothing. UPS companions draw nothing here: the engine finds their input. A battery that
    forms its island is a source, every other one a given power.
    """
    return _Casebook(net).cases(grid, demand, states)


def flow_of(net: Any, grid: Grid, demand: Demand, states: Sequence[State], engine: FlowEngine) -> FlowResult:
    """Return the AC power flow of several states: those seen before from memory, the others in one batch.

    What was found is kept with the demand, which is new for every call of `solve`: the last digits of a flow may depend
    on the batch that it was in, and a plan must not depend on what was solved before.

    Parameters
    ----------
    engine : FlowEngine
        Of ``net``, whose tables are read once for each engine.
    """
    from pdnopt.acflow import FlowResult

    book = engine.memory.recall("casebook", lambda: _Casebook(net))
    keys = [(engine, state.position, state.draw) for state in states]
    at = {key: demand.memory.find(key) for key in keys}
    fresh = {key: state for key, state in zip(keys, states, strict=True) if at[key] is None}
    if fresh:
        last = demand.memory.find(engine)
        new = engine.run(book.cases(grid, demand, list(fresh.values())), guess_kw=last)
        if new.converged[-1]:
            demand.memory.keep(engine, new.ups_p_in_kw[-1])
        for k, key in enumerate(fresh):
            at[key] = (new, k)
            demand.memory.keep(key, at[key])
        if len(fresh) == len(states):
            return new
    rows = [at[key] for key in keys]
    return FlowResult(
        **{f.name: np.array([getattr(flow, f.name)[k] for flow, k in rows]) for f in fields(FlowResult)}
    )


class _Casebook:
    """What is read once of a network to write states of its plant as cases."""

    def __init__(self, net: Any) -> None:
        self._row = {table: net[table].index for table in ("load", "asymmetric_load", "ext_grid")}
        self._known: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self.n_bus = len(net.bus)
        frame = net.asymmetric_load
        p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy(float)
        q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].to_numpy(float)
        total = p.sum(axis=1, keepdims=True)
        some = np.where(total > 0, total, 1.0)
        self._p_share = np.where(total > 0, p / some, 1.0 / 3.0)
        self._q_share = np.where(total > 0, q / some, 0.0)

    def cases(self, grid: Grid, demand: Demand, states: Sequence[State]) -> FlowCases:
        """Write states as cases; see `flow_case`."""
        from pdnopt.acflow import FlowCases

        n = len(states)
        start = initial_state(grid, demand)
        as_given = living_cords(demand, start, islands(grid, start).energised)
        living = [living_cords(demand, state, islands(grid, state).energised) for state in states]
        full_kw = np.array([cord_draw_kw(demand, alive, as_given) for alive in living])
        served = np.array([state.served for state in states])
        cord_kw = (full_kw * served[:, demand.cord_unit]).reshape(n, len(demand.cord_unit))
        mine = demand.cord_table == "load"
        at = self._rows("load", demand.cord_row)[mine]
        p_kw, q_kvar = (np.zeros((n, len(self._row["load"]))) for _ in "pq")
        p_kw[:, at], q_kvar[:, at] = cord_kw[:, mine], cord_kw[:, mine] * demand.cord_tan_phi[mine]
        asymmetric_p_kw, asymmetric_q_kvar = self._by_phase(demand, cord_kw)
        return FlowCases(
            switch_closed=np.array([state.closed for state in states]),
            ext_grid_on=self._sources_on(grid, states),
            ups_mode=np.array([state.ups_mode for state in states], dtype=object).reshape(
                n, len(grid.upss.index)
            ),
            storage_p_kw=np.array([_storage_kw(grid, state) for state in states]),
            dead_bus=np.array([state.dead[: self.n_bus] for state in states]),
            load_p_kw=p_kw,
            load_q_kvar=q_kvar,
            asymmetric_p_kw=asymmetric_p_kw,
            asymmetric_q_kvar=asymmetric_q_kvar,
        )

    def _rows(self, table: str, index: np.ndarray) -> np.ndarray:
        """Return the position in a table of each index, -1 where it is none; looked up once for each array."""
        key = (table, id(index))
        if key not in self._known:  # the array is kept too, so that its id stays its own
            self._known[key] = (index, self._row[table].get_indexer(index))
        return self._known[key][1]

    def _by_phase(self, demand: Demand, cord_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return P and Q of net.asymmetric_load, (states, rows, 3), split over phases as in the table."""
        p_kw, q_kvar = (np.zeros((len(cord_kw), len(self._row["asymmetric_load"]), 3)) for _ in "pq")
        mine = demand.cord_table == "asymmetric_load"
        if mine.any():
            at = self._rows("asymmetric_load", demand.cord_row)[mine]
            p_kw[:, at] = cord_kw[:, mine, None] * self._p_share[at]
            q_kvar[:, at] = cord_kw[:, mine, None] * self._q_share[at]
        return p_kw, q_kvar

    def _sources_on(self, grid: Grid, states: Sequence[State]) -> np.ndarray:
        """Return bool (states, rows of net.ext_grid): sources, and the companions of UPSs and batteries."""
        src, ups, sto = grid.sources, grid.upss, grid.storages
        on = np.zeros((len(states), len(self._row["ext_grid"])), dtype=bool)
        has = sto.source >= 0
        at_src, at_ups, at_sto = (
            self._rows("ext_grid", rows) for rows in (src.index, ups.source, sto.source)
        )
        for k, state in enumerate(states):
            on[k, at_src] = state.source_on & ~state.dead[src.node]
            on[k, at_ups] = inverting(state.ups_mode) & ~state.dead[ups.out_node]
            on[k, at_sto[has]] = (state.storage_on & ~state.dead[sto.node])[has]
        return on


def _storage_kw(grid: Grid, state: State) -> np.ndarray:
    """Return the power of each battery that follows, charging positive; 0 for a DC-coupled one."""
    sto = grid.storages
    ac = (sto.p_charge_max_kw > 0) | (sto.p_discharge_max_kw > 0)
    return np.where(ac & state.storage_ok & ~state.storage_on & ~state.dead[sto.node], state.storage_kw, 0.0)
