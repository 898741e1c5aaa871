"""Reroute: *something has failed - which switches, transfers and loads do I move, and who has to go dark?*

The state to start from is the one that the plant's own devices left behind (:mod:`pdnopt.response`).

Sets
    N nodes, K blocks, L branches, S switches, G sources, U UPSs, E batteries, D units (racks and loads),
    F feeds, classes of units that share alike, M modes (:mod:`formulations.blocks.sets`).
Data
    demands d and floors (kW), ratings S (kVA), r, x (pu on 1 MVA), overload budgets, energies over the horizon.
Variables
    z_closed, a_arc, y_live, g_source, u_online, u_battery, f_form (structure); m_feed, on_unit, cap_kw, s_mode_kw
    (service); p, q in kW and kvar, loss_kw, v_sq in pu^2, over_*_kva (flow); c_live, w_*, h_group, gone_kw
    (continuity); margin.

Minimise, strictly one after another
    (O1) unserved_pk  = sum over units of priority k of d (1 - on_unit) + cap_kw                            [kW]
    (O2) interrupted  = sum over groups of gone_kw (units that had voltage and lose it)                      [kW]
    (O3) overload     = sum over components of the part of their overload budgets that the horizon uses     [pu]
    (O4) actions      = moves of switches, transfer devices, UPS modes, genset starts and stops              [1]
    (O5) losses       = sum of branch losses + UPS conversion + no-load losses                              [kW]
    (O6) margin       = - smallest (1 - loading) over UPSs, sources and transformers                        [pu]

subject to
    (1)-(8)    one parent for every live block, exclusive devices, UPS modes, parallel groups  (blocks.radial)
    (9)-(14b)  whole units, feeds by living cords, caps above the floor, cord limits           (blocks.service)
    (15)-(16)  what never loses voltage                                                        (blocks.continuity)
    (17)-(25)  power and reactive balance, ratings, losses, voltages                           (blocks.flow)
    (26)-(30)  sources, UPSs, batteries                                                        (blocks.supply)
    (31)       margin <= 1 - P / S of every UPS, source and transformer

Assumptions
    Balanced three-phase flow at LinDistFlow accuracy; UPS losses a straight line over 20..100 % load; the end
    state must hold ``horizon_s``. AC power flow judges the answer and tightens ratings that it breaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks import continuity, flow, radial, service, supply
from formulations.blocks.flow import FlowData, read_flow
from formulations.blocks.numbers import (
    Limits,
    NetworkNumbers,
    held_in_place,
    read_limits,
    read_numbers,
    tighten_limits,
)
from formulations.blocks.sets import NetworkSets, read_sets, still_alike
from pdnopt.engine.compiled import CompiledModel, slot
from pdnopt.errors import InputError, Issue
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.response import Response
from pdnopt.units import UNLIMITED_KVA

__all__ = ["REROUTE", "TERMS", "Reroute", "RerouteData"]

TERMS = ("unserved", "interrupted", "overload", "actions", "losses", "margin")


@dataclass(frozen=True)
class RerouteData:
    """What the structure is built from: the plant as arrays and its sets. What failed is not in it."""

    grid: Grid
    demand: Demand
    sets: NetworkSets
    flow: FlowData
    minimize: tuple[str, ...] = TERMS

    @property
    def priorities(self) -> list[int]:
        """Priorities that occur, most critical first."""
        return sorted({int(p) for p in self.demand.priority})


@dataclass(frozen=True)
class Reroute:
    """The formulation, as the protocol wants it (:mod:`pdnopt.problem`)."""

    name: str = "reroute"
    kind: str = "switching"
    terms: tuple[str, ...] = TERMS

    def data(
        self,
        grid: Grid,
        demand: Demand,
        minimize: tuple[str, ...],
        fine: bool = False,
        voltages: bool = False,
    ) -> RerouteData:
        """Collect the data of a network for `build`. Raises InputError for an unknown or repeated term."""
        wrong = [term for term in minimize if term not in TERMS] or [
            t for t in minimize if minimize.count(t) > 1
        ]
        if wrong:
            allowed = "each of " + ", ".join(TERMS) + " at most once"
            raise InputError(
                Issue("Enum", "solve(minimize=...)", "", wrong[0], allowed, "Correct the list of terms.")
            )
        return RerouteData(
            grid, demand, read_sets(grid, demand, fine), read_flow(grid, demand, voltages), minimize
        )

    def fits(self, sets: NetworkSets, demand: Demand, psu_dead: np.ndarray) -> bool:
        """Return whether the classes of a compiled model still hold units that share alike."""
        return still_alike(sets, demand, psu_dead)

    def limits(self, grid: Grid, curves: CurveBook, horizon_s: float, spent: Mapping[str, float]) -> Limits:
        """Return the ratings to start from; ``spent`` of its budget a component uses before the end state begins."""
        return read_limits(grid, curves, horizon_s, spent)

    def tighten(
        self, limits: Limits, nominal: Limits, ratios: Any, over: float, extra: float
    ) -> Limits | None:
        """Return lower limits where AC power flow breaks the nominal ones; None where it breaks none."""
        return tighten_limits(limits, nominal, ratios, over, extra)

    def numbers(
        self,
        sets: NetworkSets,
        demand: Demand,
        response: Response,
        limits: Limits,
        horizon_s: float,
        firm: bool = True,
        held: Collection[str] = (),
        battery_use: float = 1.0,
    ) -> NetworkNumbers:
        """Return the numbers of one solve.

        ``firm``: what may not be shed and is fed stays fed. ``held``: devices that stay where they stand.
        ``battery_use``: part of every battery's energy that the end state may count on.
        """
        numbers = read_numbers(sets, demand, response, limits, horizon_s, firm, battery_use)
        return held_in_place(numbers, response.grid, held) if held else numbers

    def build(self, data: RerouteData) -> Any:
        """Return the Pyomo model: a table of contents of the mathematical programme."""
        grid, sets, demand, lines = data.grid, data.sets, data.demand, data.flow
        m = pyo.ConcreteModel("reroute")

        radial.variables_radial(m, grid, sets)
        service.variables_service(m, sets, demand)
        continuity.variables_continuity(m, sets)
        flow.variables_flow(m, grid, lines)
        supply.variables_supply(m)
        m.margin = pyo.Var(bounds=(-10, 1))

        for term in data.minimize:
            OBJECTIVES[term](m, data)

        radial.constraint_one_parent(m, grid, sets)  # (1)
        radial.constraint_arc_live(m, sets)  # (2)
        radial.constraint_same_life(m, sets)  # (3)
        radial.constraint_arc_or_open(m, sets)  # (4)
        radial.constraint_transfer_exclusive(m, grid)  # (5)
        radial.constraint_transfer_auto(m, grid, sets)  # (5b)
        radial.constraint_interlock(m, grid)  # (6)
        radial.constraint_ups_modes(m, grid)  # (7)
        radial.constraint_parallel_group(m, grid, sets)  # (8)
        service.constraint_feed_sites(m, sets)  # (9)
        service.constraint_class_power(m, sets, demand)  # (10)
        service.constraint_mode_feed(m, sets, demand)  # (11)
        service.constraint_never_shed(m, sets)  # (12)
        service.constraint_cap_floor(m, demand)  # (13)
        service.constraint_cord_limit(m, sets)  # (14)
        service.constraint_feed_unfit(m, sets)  # (14b)
        continuity.constraint_block_kept(m, grid, sets)  # (15)
        continuity.constraint_group_kept(m, sets, demand)  # (16)
        flow.constraint_power_balance(m, grid, sets, demand)  # (17)
        flow.constraint_reactive_balance(m, grid, sets, demand)  # (18)
        flow.constraint_switch_flow(m, grid, sets, lines)  # (19)
        flow.constraint_branch_rating(m, grid, lines)  # (20)
        flow.constraint_switch_rating(m, grid, sets)  # (21)
        flow.constraint_loss_tangent(m, grid, lines)  # (22)
        if lines.voltages:
            flow.constraint_voltage_drop(m, grid)  # (23)
            flow.constraint_voltage_source(m, grid)  # (24)
            flow.constraint_voltage_limit(m, grid)  # (25)
        supply.constraint_source_capacity(m, grid, lines.m_kw)  # (26)
        supply.constraint_ups_capacity(m, grid, lines.m_kw)  # (27)
        supply.constraint_ups_rating(m, grid)  # (28)
        supply.constraint_form_capacity(m, grid, lines.m_kw)  # (29)
        supply.constraint_store_live(m, grid, lines.m_kw)  # (30)
        constraint_margin(m, grid)  # (31)
        return m

    def updater(self, compiled: CompiledModel, data: RerouteData) -> Any:
        """Return the object that writes new numbers into the compiled model."""
        from formulations.blocks.update import RerouteUpdate

        return RerouteUpdate(compiled, data)

    def relaxation(self, compiled: CompiledModel, data: RerouteData) -> Any:
        """Return what bounds unserved load from below over the compiled model."""
        from formulations.blocks.relaxation import UnservedRelaxation

        return UnservedRelaxation(compiled, data)


def objective_unserved(m: Any, data: RerouteData) -> None:
    """(O1) One term a priority: d (1 - on_unit) + cap_kw over its units, kW."""
    d_kw = data.demand.d_kw
    for priority in data.priorities:
        mine = [int(u) for u in np.flatnonzero(data.demand.priority == priority)]
        shed = sum(slot(float(d_kw[u])) * (1 - m.on_unit[u]) for u in mine)
        expression = shed + sum(m.cap_kw[u] for u in mine if u in m.C)
        m.add_component(f"unserved_p{priority}", pyo.Objective(expr=expression))


def objective_interrupted(m: Any, data: RerouteData) -> None:
    """(O2) gone_kw over groups: demand of units that have had voltage so far and lose it, kW."""
    m.interrupted = pyo.Objective(expr=sum(m.gone_kw[g] for g in m.H) + 0.0 * m.margin)


def objective_overload(m: Any, data: RerouteData) -> None:
    """(O3) Budget used over the horizon by branches, switches and UPSs, pu; `update` writes what a kVA costs."""
    grid = data.grid
    terms = [
        m.over_branch_kva[k] / float(grid.branches.s_max_kva[k])
        for k in m.L
        if grid.branches.s_max_kva[k] < UNLIMITED_KVA
    ]
    terms += [
        m.over_switch_kva[s] / float(grid.switches.s_max_kva[s])
        for s in m.S
        if grid.switches.s_max_kva[s] < UNLIMITED_KVA
    ]
    terms += [m.over_ups_kva[j] / float(grid.upss.s_rated_kva[j]) for j in m.U]
    m.overload = pyo.Objective(expr=sum(terms) if terms else 0.0 * m.margin)


def objective_actions(m: Any, data: RerouteData) -> None:
    """(O4) Moves: |z - z_start| of switches, one a transfer device, UPS mode or genset, one a battery that must form.

    The signs depend on where each device stands, so `update` writes the coefficients and the constant.
    """
    moves = (
        sum(m.z_closed[s] for s in m.S) + sum(m.g_source[i] for i in m.G) + sum(m.e_joined[i] for i in m.J)
    )
    moves += sum(m.u_online[j] + m.u_battery[j] for j in m.U) + sum(m.f_form[e] for e in m.E)
    m.actions = pyo.Objective(expr=moves)


def objective_losses(m: Any, data: RerouteData) -> None:
    """(O5) Branch losses, UPS conversion and no-load losses, kW."""
    ups, br, block = data.grid.upss, data.grid.branches, data.grid.nodes.block
    losses = sum(m.loss_kw[k] for k in m.LO)
    losses += sum(
        float(ups.loss_slope[j]) * m.p_online_kw[j] + float(ups.loss_fixed_kw[j]) * m.u_online[j] for j in m.U
    )
    fixed = [k for k in m.L if br.p_fixed_kw[k] > 0 and br.in_service[k]]
    losses += sum(float(br.p_fixed_kw[k]) * m.y_live[int(block[br.tail[k]])] for k in fixed)
    m.losses = pyo.Objective(expr=losses + 0.0 * m.margin)


def objective_margin(m: Any, data: RerouteData) -> None:
    """(O6) Minus the smallest headroom, pu."""
    m.margin_lost = pyo.Objective(expr=-m.margin)


OBJECTIVES = {
    "unserved": objective_unserved,
    "interrupted": objective_interrupted,
    "overload": objective_overload,
    "actions": objective_actions,
    "losses": objective_losses,
    "margin": objective_margin,
}


def constraint_margin(m: Any, grid: Grid) -> None:
    """(31) margin <= 1 - P / S of every UPS, every source with a limit, every transformer (both ways)."""
    ups, src, br = grid.upss, grid.sources, grid.branches
    limited = [i for i in m.G if np.isfinite(src.p_max_kw[i]) and src.p_max_kw[i] > 0]
    trafos = [k for k in m.L if br.table[k] != "line" and np.isfinite(br.s_max_kva[k])]
    m.MG = pyo.Set(initialize=limited)
    m.ML = pyo.Set(initialize=[(k, d) for k in trafos for d in (0, 1)], dimen=2)
    m.margin_ups = pyo.Constraint(
        m.U,
        rule=lambda _, j: m.margin + (m.p_online_kw[j] + m.p_battery_kw[j]) / float(ups.p_rated_kw[j]) <= 1,
    )
    m.margin_source = pyo.Constraint(
        m.MG, rule=lambda _, i: m.margin + m.p_source_kw[i] / float(src.p_max_kw[i]) <= 1
    )
    m.margin_trafo = pyo.Constraint(
        m.ML,
        rule=lambda _, k, d: (
            m.margin + (1 if d == 0 else -1) * m.p_branch_kw[k] / float(br.s_max_kva[k]) <= 1
        ),
    )


REROUTE = Reroute()
