"""Write a state back into a pandapower network: what a plan leaves behind (PLANT.md)."""

from __future__ import annotations

import copy
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import PlanError
from pdnopt.plan import Plan
from pdnopt.plant.actions import Actuator
from pdnopt.plant.demand import Demand, cord_draw_kw, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.names import component_names
from pdnopt.plant.state import State, fed_units, initial_state, islands, living_cords
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

if TYPE_CHECKING:
    from pdnopt.response import Response

__all__ = ["end_state_network", "replay", "write_state"]

INVERTERS = "asymmetric_sgen"


def replay(response: Response, demand: Demand, plan: Plan) -> State:
    """Return the state after all steps of a plan, the devices' own reactions to each step included."""
    from pdnopt.response import settle

    actuator = Actuator(response.grid, demand)
    state = response.state
    # set-points, compensation currents and phases change no state
    switching = [item for item in plan.actions if item.action not in ("setpoint", "compensate", "phase")]
    for _, batch in groupby(switching, key=lambda item: item.step):
        state = settle(response, actuator.act(state, batch))
    return state


def end_state_network(net: Any, plan: Plan) -> Any:
    """Return a copy of ``net`` in the end state of ``plan``."""
    import pandas as pd

    from pdnopt.response import respond

    grid = read_grid(net)
    given = read_demand(net, grid)
    loads = {table: pd.Series(dict(rows), dtype=float) for table, rows in plan.loads_kw.items() if rows}
    demand = with_load_kw(given, loads.get("load"), loads.get("asymmetric_load"))
    outages = parse_failed(net, plan.failed)
    response = respond(grid, demand, outages)
    state = replay(response, demand, plan)
    after = write_state(net, response.grid, demand, state)
    _write_settings(after, response.grid, plan)
    down = [int(outage.index) for outage in outages if outage.table == INVERTERS]
    after[INVERTERS].loc[down, "in_service"] = False
    _write_setpoints(after, plan)
    _write_phases(after, plan)
    return after


def _write_phases(after: Any, plan: Plan) -> None:
    """Write the phases that loads were told to draw from."""
    row = dict(zip(component_names(after, "asymmetric_load"), after["asymmetric_load"].index, strict=True))
    for item in plan.actions:
        if item.action == "phase":
            if item.device not in row:
                raise PlanError(f"{item.device} is no load of this network; solve again for it")
            for name, unit in (("p", "mw"), ("q", "mvar")):
                old, new = (f"{name}_{phase}_{unit}" for phase in (item.before, item.after))
                frame, at = after["asymmetric_load"], row[item.device]
                frame.loc[at, [new, old]] = [frame.at[at, new] + frame.at[at, old], 0.0]


def _write_setpoints(after: Any, plan: Plan) -> None:
    """Write what inverters were told to deliver."""
    row = dict(zip(component_names(after, INVERTERS), after[INVERTERS].index, strict=True))
    for item in plan.actions:
        if item.action == "setpoint":
            if item.device not in row:
                raise PlanError(f"{item.device} is no inverter of this network; solve again for it")
            for k, phase in enumerate("abc"):
                after[INVERTERS].loc[row[item.device], f"p_{phase}_mw"] = item.after["p_kw"][k] / KW_PER_MW
                after[INVERTERS].loc[row[item.device], f"q_{phase}_mvar"] = (
                    item.after["q_kvar"][k] / KW_PER_MW
                )
            after[INVERTERS].loc[row[item.device], "scaling"] = 1.0


def _write_settings(after: Any, grid: Grid, plan: Plan) -> None:
    """Write the positions that transfer devices were told to prefer."""
    position = dict(zip(grid.switches.name, grid.switches.index, strict=True))
    device = dict(zip(grid.transfers.name, grid.transfers.index, strict=True))
    for item in plan.actions:
        if item.action == "prefer":
            if item.after not in position:
                todo = "solve again for this network"
                raise PlanError(
                    f"{item.device} is to prefer {item.after!r}, no switch of this network; {todo}"
                )
            after.transfer.loc[device[item.device], "preferred"] = float(position[item.after])


def write_state(net: Any, grid: Grid, demand: Demand, state: State) -> Any:
    """Return a copy of ``net`` with one state written into pandapower's own columns."""
    from pdnopt.acflow import write_companions

    after = copy.deepcopy(net)
    isl = islands(grid, state)
    _write_zones(after, grid, state)
    after.switch["closed"] = state.closed
    _write_sources(after, grid, state)
    _write_storage(after, grid, state)
    _write_loads(after, grid, demand, state, isl.energised)
    write_companions(after)
    return after


def _write_zones(after: Any, grid: Grid, state: State) -> None:
    nodes, br = grid.nodes, grid.branches
    real = nodes.bus >= 0
    after.bus.loc[nodes.bus[real & state.dead], "in_service"] = False
    gone = state.dead[br.tail] | state.dead[br.head]
    for table in ("line", "trafo", "trafo3w", "impedance"):
        rows = np.unique(br.index[gone & (br.table == table)])
        if len(rows):
            after[table].loc[rows, "in_service"] = False


def _write_sources(after: Any, grid: Grid, state: State) -> None:
    src, ups = grid.sources, grid.upss
    after.ext_grid.loc[src.index, "in_service"] = state.source_ok & ~state.dead[src.node]
    if "running" in after.ext_grid:
        running = after.ext_grid["running"].astype(object)
        gensets = src.kind == "genset"
        running.loc[src.index[gensets]] = [bool(v) for v in state.source_on[gensets]]
        after.ext_grid["running"] = running
    if len(ups.index):
        after.ups.loc[ups.index, "mode"] = state.ups_mode
        after.ups.loc[ups.index, "in_service"] = state.inverter_ok | state.bypass_ok


def _write_storage(after: Any, grid: Grid, state: State) -> None:
    store = grid.storages
    if not len(store.index):
        return
    after.storage.loc[store.index, "in_service"] = state.storage_ok
    power = np.where(state.storage_on, 0.0, state.storage_kw) / KW_PER_MW
    ac = values(after, "storage", "coupling") == "ac"
    after.storage.loc[store.index[ac], "p_mw"] = power[ac]
    after.storage.loc[store.index, "scaling"] = 1.0
    has = store.source >= 0
    after.ext_grid.loc[store.source[has], "in_service"] = state.storage_on[has]


def _write_loads(after: Any, grid: Grid, demand: Demand, state: State, energised: np.ndarray) -> None:
    """Every cord's final draw, ``scaling`` = served / demand; units without power out of service."""
    start = initial_state(grid, demand)
    living = living_cords(demand, state, energised)
    as_given = living_cords(demand, start, islands(grid, start).energised)
    draw_kw = cord_draw_kw(demand, living, as_given)
    fed = fed_units(demand, state, energised)
    served = np.where(fed & state.unit_ok, state.served, 0.0)[demand.cord_unit]
    for table in ("load", "asymmetric_load"):
        mine = demand.cord_table == table
        rows = demand.cord_row[mine]
        if not len(rows):
            continue
        frame = after[table]
        p_mw = draw_kw[mine] / KW_PER_MW
        if table == "load":
            frame.loc[rows, "p_mw"] = p_mw
            frame.loc[rows, "q_mvar"] = p_mw * demand.cord_tan_phi[mine]
        else:
            before = frame.loc[rows, ["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_numpy(float)
            factor = np.where(before > 0, p_mw / np.where(before > 0, before, 1.0), 0.0)
            for column in ("p_a_mw", "p_b_mw", "p_c_mw", "q_a_mvar", "q_b_mvar", "q_c_mvar"):
                frame.loc[rows, column] = frame.loc[rows, column].to_numpy(float) * factor
        frame.loc[rows, "scaling"] = np.where(served[mine] > 0, served[mine], 1.0)
        frame.loc[rows, "in_service"] = served[mine] > 0
        if "psu_ok" in frame:
            frame.loc[rows, "psu_ok"] = (demand.cord_ok & ~state.psu_dead)[mine]
