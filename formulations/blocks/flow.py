"""Power, voltage and losses: LinDistFlow with tangent losses, ratings as polygons.

Branch flow of Baran and Wu (1989), IEEE Trans. Power Delivery 4(1), eq. 1-3, without the loss term in the
voltage drop (LinDistFlow). Losses are bounded from below by tangent planes of r (P^2 + Q^2) / V^2 at 1 pu, so
that they are true to first order at the points chosen, and the currents that they cause are in the ratings.
A disc P^2 + Q^2 <= S^2 is a circumscribed polygon, tight near the power factors of a plant; what it lets
through is caught by the AC power flow and tightened.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks.sets import NetworkSets, one_way_switches
from pdnopt.engine.compiled import slot
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.units import UNLIMITED_KVA

__all__ = [
    "ANGLES_DEG",
    "FlowData",
    "constraint_branch_rating",
    "constraint_loss_tangent",
    "constraint_power_balance",
    "constraint_reactive_balance",
    "constraint_switch_flow",
    "constraint_switch_rating",
    "constraint_voltage_drop",
    "constraint_voltage_limit",
    "constraint_voltage_source",
    "read_flow",
    "variables_flow",
]

ANGLES_DEG = (0.0, 4.0, 8.1, 11.5, 16.0, 26.0, 45.0, -20.0)
"""Tangent directions of the rating polygons, for flow forwards; mirrored for flow backwards.

8.1 and 11.5 degrees are the power factors 0.99 and 0.98 of IT loads: there the polygon is the circle; between 0 and 16
degrees it is at most 0.08 % outside.
"""

TANGENTS = tuple(float(f) for f in np.geomspace(0.15, 1.0, 6))
"""Points of the loss tangents, as parts of the largest flow: between two of them a loss is at most 3.5 % too low."""

TANGENT_ANGLE_DEG = 12.0
"""Angle of the loss tangents: power factor 0.98, that of IT loads."""

VOLTAGE_SLACK = 1.5
"""Squared voltage difference, pu, that an open switch may hold: above any two voltages within limits."""


@dataclass(frozen=True)
class FlowData:
    """Fixed numbers of the flow block."""

    m_kw: float  # no flow is larger
    lossy: np.ndarray  # branches whose loss is modelled
    largest_kw: np.ndarray  # (L,) largest flow of a branch
    voltages: bool  # the network has voltage limits or drops worth modelling
    one_way: np.ndarray  # (L,) 1: only tail to head, -1: only head to tail, 0: either way


def read_flow(grid: Grid, demand: Demand, voltages: bool) -> FlowData:
    """Choose what is modelled: losses where they exceed 0.01 % of the largest flow, voltages if asked for.

    Voltages seldom bind inside a plant: the session asks for them once AC power flow has found one below its limit.
    """
    charge = float(grid.upss.p_charge_kw.sum())
    total = float(demand.d_kw.sum()) + charge + float(np.abs(grid.injection_p_kw).sum())
    # installed UPS power too, so that heavier loads of the same plant fit the model that is already compiled
    m_kw = max(2.0 * total, 2.0 * float(grid.upss.p_rated_kw.sum()), 1.0)
    largest = np.minimum(1.1 * grid.branches.s_max_kva, m_kw)
    loss_share = grid.branches.r_pu * largest / 1000.0
    limited = bool((grid.nodes.v_min_pu > 0).any() or np.isfinite(grid.nodes.v_max_pu).any())
    return FlowData(m_kw, np.flatnonzero(loss_share > 1e-4), largest, voltages and limited, _one_way(grid))


def _one_way(grid: Grid) -> np.ndarray:
    """Find branches that can only be fed from one end: those of a block with one way in and no source.

    Seen from the node of that way, such a block is fed outwards along a search tree (its blocks are radial inside).
    """
    br, sw, block = grid.branches, grid.switches, grid.nodes.block
    sign = np.zeros(len(br.index), dtype=int)
    border = np.zeros(grid.n_blocks, dtype=int)
    gate = np.full(grid.n_blocks, -1)
    for ends in (sw.tail, sw.head):
        np.add.at(border, block[ends], 1)
        gate[block[ends]] = ends
    closed = border == 1
    into = one_way_switches(grid)
    for way, ends in ((1, sw.head), (-1, sw.tail)):
        closed[block[ends[into == way]]] = True
        gate[block[ends[into == way]]] = ends[into == way]
    for nodes in (
        grid.sources.node,
        grid.upss.out_node,
        grid.storages.node,
        np.flatnonzero(grid.injection_p_kw > 0),
    ):
        closed[block[nodes]] = False
    sizes = np.bincount(block[br.tail], minlength=grid.n_blocks)
    closed &= sizes == np.bincount(block, minlength=grid.n_blocks) - 1  # a tree inside
    adjacent: dict[int, list[tuple[int, int, int]]] = {}
    for k in np.flatnonzero(closed[block[br.tail]] & br.in_service):
        adjacent.setdefault(int(br.tail[k]), []).append((int(k), int(br.head[k]), 1))
        adjacent.setdefault(int(br.head[k]), []).append((int(k), int(br.tail[k]), -1))
    queue = [int(n) for n in gate[closed] if n >= 0]
    seen = set(queue)
    for here in queue:
        for branch, there, way in adjacent.get(here, ()):
            if there not in seen:
                seen.add(there)
                sign[branch] = way
                queue.append(there)
    return sign


def variables_flow(m: Any, grid: Grid, flow: FlowData) -> None:
    """Declare p/q of branches, switches, sources, UPSs and batteries (kW, kvar), losses (kW) and v_sq(n) (pu^2)."""
    big = flow.m_kw
    m.N = pyo.RangeSet(0, len(grid.nodes.bus) - 1)
    m.L = pyo.RangeSet(0, len(grid.branches.index) - 1)
    m.LO = pyo.Set(initialize=[int(k) for k in flow.lossy])
    m.p_branch_kw = pyo.Var(m.L, bounds=(-big, big))
    m.q_branch_kvar = pyo.Var(m.L, bounds=(-big, big))
    m.p_switch_kw = pyo.Var(m.S, bounds=(-big, big))
    m.q_switch_kvar = pyo.Var(m.S, bounds=(-big, big))
    m.loss_kw = pyo.Var(m.LO, bounds=(0, big))
    m.p_source_kw = pyo.Var(m.G, bounds=(-big, big))
    m.q_source_kvar = pyo.Var(m.G, bounds=(-big, big))
    m.p_online_kw = pyo.Var(m.U, bounds=(0, big))
    m.p_battery_kw = pyo.Var(m.U, bounds=(0, big))
    m.q_ups_kvar = pyo.Var(m.U, bounds=(-big, big))
    m.p_form_kw = pyo.Var(m.E, bounds=(0, big))
    m.q_form_kvar = pyo.Var(m.E, bounds=(-big, big))
    m.p_store_kw = pyo.Var(m.E, bounds=(-big, big))
    m.over_branch_kva = pyo.Var(m.L, bounds=(0, None))
    m.over_switch_kva = pyo.Var(m.S, bounds=(0, None))
    if flow.voltages:
        m.v_sq = pyo.Var(m.N, bounds=(0, 1.5**2))
        m.under_v = pyo.Var(m.N, bounds=(0, None))


def _node_terms(m: Any, grid: Grid, p: bool) -> dict[int, list[Any]]:
    """Collect what flows into each node through branches, switches, sources, UPSs and batteries."""
    into: dict[int, list[Any]] = {n: [] for n in m.N}
    br, sw = grid.branches, grid.switches
    branch, switch = (m.p_branch_kw, m.p_switch_kw) if p else (m.q_branch_kvar, m.q_switch_kvar)
    for k in m.L:
        into[int(br.tail[k])].append(-branch[k])
        into[int(br.head[k])].append(branch[k])
    for s in m.S:
        into[int(sw.tail[s])].append(-switch[s])
        into[int(sw.head[s])].append(switch[s])
    for i in m.G:
        into[int(grid.sources.node[i])].append((m.p_source_kw if p else m.q_source_kvar)[i])
    for j in m.U:
        out, feed = int(grid.upss.out_node[j]), int(grid.upss.in_node[j])
        drawn = (1.0 + float(grid.upss.loss_slope[j])) * m.p_online_kw[j]
        drawn += float(grid.upss.loss_fixed_kw[j] + grid.upss.p_charge_kw[j]) * m.u_online[j]
        if p:
            into[out] += [m.p_online_kw[j], m.p_battery_kw[j]]
            into[feed].append(-drawn)
        else:
            into[out].append(m.q_ups_kvar[j])
            into[feed].append(-float(grid.upss.input_tan_phi[j]) * drawn)
    for e in m.E:
        node = int(grid.storages.node[e])
        into[node] += [m.p_form_kw[e], -m.p_store_kw[e]] if p else [m.q_form_kvar[e]]
    return into


def _served(m: Any, sets: NetworkSets, demand: Demand, reactive: bool) -> dict[int, list[Any]]:
    """Collect what the cords at each node draw: fraction * s_mode_kw (times tan phi for reactive power).

    The fractions here are the cords' shares; `update` writes those of the failure. Cords of one class at one
    node are gathered in one coefficient.
    """
    gathered: dict[tuple[int, int], float] = {}
    for q, cord, lives in zip(sets.part_mode, sets.part_cord, sets.part_site_lives, strict=True):
        if lives:
            key = (int(demand.cord_node[cord]), int(q))
            factor = float(demand.cord_tan_phi[cord]) if reactive else 1.0
            gathered[key] = gathered.get(key, 0.0) + float(demand.cord_share[cord]) * factor
    drawn: dict[int, list[Any]] = {n: [] for n in m.N}
    for (node, q), factor in gathered.items():
        drawn[node].append(slot(factor) * m.s_mode_kw[q])
    return drawn


def constraint_power_balance(m: Any, grid: Grid, sets: NetworkSets, demand: Demand) -> None:
    """(17) Active power at node n: inflow = cords + half of the adjacent losses + no-load losses - injections, kW."""
    into = _node_terms(m, grid, p=True)
    drawn = _served(m, sets, demand, reactive=False)
    block = grid.nodes.block
    for k in m.LO:
        for node in (int(grid.branches.tail[k]), int(grid.branches.head[k])):
            into[node].append(-0.5 * m.loss_kw[k])
    for k in np.flatnonzero(grid.branches.in_service & (grid.branches.p_fixed_kw > 0)):
        node = int(grid.branches.tail[k])
        into[node].append(-float(grid.branches.p_fixed_kw[k]) * m.y_live[int(block[node])])
    for n in np.flatnonzero(grid.injection_p_kw):
        into[int(n)].append(float(grid.injection_p_kw[n]) * m.y_live[int(block[n])])
    m.power_balance = pyo.Constraint(m.N, rule=lambda _, n: _equals(into[n], drawn[n]))


def constraint_reactive_balance(m: Any, grid: Grid, sets: NetworkSets, demand: Demand) -> None:
    """(18) Reactive power at node n, kvar; a branch consumes x / r times its active loss."""
    into = _node_terms(m, grid, p=False)
    drawn = _served(m, sets, demand, reactive=True)
    block = grid.nodes.block
    for k in m.LO:
        ratio = float(grid.branches.x_pu[k] / grid.branches.r_pu[k])
        for node in (int(grid.branches.tail[k]), int(grid.branches.head[k])):
            into[node].append(-0.5 * ratio * m.loss_kw[k])
    for n in np.flatnonzero(grid.injection_q_kvar):
        into[int(n)].append(float(grid.injection_q_kvar[n]) * m.y_live[int(block[n])])
    m.reactive_balance = pyo.Constraint(m.N, rule=lambda _, n: _equals(into[n], drawn[n]))


def _equals(into: list[Any], drawn: list[Any]) -> Any:
    if not into and not drawn:
        return pyo.Constraint.Skip
    return sum(into) - sum(drawn) == 0


def constraint_switch_flow(m: Any, grid: Grid, sets: NetworkSets, flow: FlowData) -> None:
    """(19) Flow only through closed switches, forwards along an arc: p <= M a0, p >= -M a1; |q| <= M z.

    A dead block then has no inflow and nothing that draws, so its branches carry nothing either.
    """
    big = flow.m_kw
    backwards = bool((grid.injection_p_kw > 0).any() or len(grid.storages.index))
    m.SD = pyo.Set(initialize=[(s, d) for s in m.S for d in (0, 1)], dimen=2)

    def p_rule(_: Any, s: int, d: int) -> Any:
        sign = 1 if d == 0 else -1
        if s not in m.B or backwards:
            return sign * m.p_switch_kw[s] <= big * m.z_closed[s]
        return sign * m.p_switch_kw[s] <= big * m.a_arc[s, d]

    def q_rule(_: Any, s: int, d: int) -> Any:
        return (1 if d == 0 else -1) * m.q_switch_kvar[s] <= big * m.z_closed[s]

    m.switch_p = pyo.Constraint(m.SD, rule=p_rule)
    m.switch_q = pyo.Constraint(m.SD, rule=q_rule)
    for k in np.flatnonzero(~grid.branches.in_service):
        m.p_branch_kw[int(k)].fix(0.0)
        m.q_branch_kvar[int(k)].fix(0.0)


def directions() -> list[tuple[float, float]]:
    """Return the unit vectors of the rating polygons."""
    forward = [(cos(radians(a)), sin(radians(a))) for a in ANGLES_DEG]
    return forward + [(-c, -s) for c, s in forward]


def _ways() -> dict[int, range]:
    """Return which directions bound a flow that goes either way (0), forwards only (1), backwards only (-1)."""
    half = len(ANGLES_DEG)
    return {0: range(2 * half), 1: range(half), -1: range(half, 2 * half)}


def constraint_branch_rating(m: Any, grid: Grid, flow: FlowData) -> None:
    """(20) Branch: P cos a + Q sin a <= S + over_branch, kVA, for every direction a; half its loss rides along."""
    rated = [k for k in m.L if grid.branches.s_max_kva[k] < UNLIMITED_KVA]
    ways, way = _ways(), directions()
    m.LR = pyo.Set(initialize=[(k, a) for k in rated for a in ways[int(flow.one_way[k])]], dimen=2)
    lossy = set(m.LO)

    def rule(_: Any, k: int, a: int) -> Any:
        c, s = way[a]
        loss = 0.5 * m.loss_kw[k] * abs(c) if k in lossy else 0
        left = c * m.p_branch_kw[k] + s * m.q_branch_kvar[k] + loss - m.over_branch_kva[k]
        return left <= float(grid.branches.s_max_kva[k])

    m.branch_rating = pyo.Constraint(m.LR, rule=rule)


def constraint_switch_rating(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """(21) Switch: P cos a + Q sin a <= S z_closed + over_switch, over_switch <= (what the budget allows) z_closed, kVA."""
    rated = [s for s in m.S if grid.switches.s_max_kva[s] < UNLIMITED_KVA]
    ways, way = _ways(), directions()
    m.SR = pyo.Set(initialize=[(s, a) for s in rated for a in ways[int(sets.one_way[s])]], dimen=2)

    def rule(_: Any, s: int, a: int) -> Any:
        c, d = way[a]
        rating = float(grid.switches.s_max_kva[s])
        return c * m.p_switch_kw[s] + d * m.q_switch_kvar[s] - m.over_switch_kva[s] <= rating * m.z_closed[s]

    m.switch_rating = pyo.Constraint(m.SR, rule=rule)
    m.RS = pyo.Set(initialize=rated)
    m.switch_beyond = pyo.Constraint(m.RS, rule=lambda _, s: m.over_switch_kva[s] <= 1.0 * m.z_closed[s])


def constraint_loss_tangent(m: Any, grid: Grid, flow: FlowData) -> None:
    """(22) loss >= r (2 P0 P + 2 Q0 Q - (P0^2 + Q0^2) y) / 1000, kW, at points (P0, Q0) both ways (perspective)."""
    points = [(way * f * cos(radians(TANGENT_ANGLE_DEG)), way * f * sin(radians(TANGENT_ANGLE_DEG)))
              for f in TANGENTS for way in (1.0, -1.0)]  # fmt: skip
    ways = {0: range(len(points)), 1: range(0, len(points), 2), -1: range(1, len(points), 2)}
    m.LT = pyo.Set(initialize=[(k, t) for k in m.LO for t in ways[int(flow.one_way[k])]], dimen=2)
    block = grid.nodes.block

    def rule(_: Any, k: int, t: int) -> Any:
        p0, q0 = (float(flow.largest_kw[k]) * part for part in points[t])
        r = float(grid.branches.r_pu[k]) / 1000.0
        live = m.y_live[int(block[grid.branches.tail[k]])]
        tangent = 2 * p0 * m.p_branch_kw[k] + 2 * q0 * m.q_branch_kvar[k] - (p0**2 + q0**2) * live
        return m.loss_kw[k] >= r * tangent

    m.loss_tangent = pyo.Constraint(m.LT, rule=rule)


def constraint_voltage_drop(m: Any, grid: Grid) -> None:
    """(23) v[tail] / ratio^2 - v[head] = 2 (r P + x Q) / 1000 along a branch; equal across a closed switch, pu^2."""
    br, sw = grid.branches, grid.switches

    def drop(_: Any, k: int) -> Any:
        if not br.in_service[k]:
            return pyo.Constraint.Skip
        fall = 2.0 * (float(br.r_pu[k]) * m.p_branch_kw[k] + float(br.x_pu[k]) * m.q_branch_kvar[k]) / 1000.0
        return m.v_sq[int(br.tail[k])] / float(br.ratio[k]) ** 2 - m.v_sq[int(br.head[k])] == fall

    def joined(_: Any, s: int, d: int) -> Any:
        a, b = (sw.tail[s], sw.head[s]) if d == 0 else (sw.head[s], sw.tail[s])
        return m.v_sq[int(a)] - m.v_sq[int(b)] <= VOLTAGE_SLACK * (1 - m.z_closed[s])

    m.voltage_drop = pyo.Constraint(m.L, rule=drop)
    m.voltage_switch = pyo.Constraint(m.SD, rule=joined)


def constraint_voltage_source(m: Any, grid: Grid) -> None:
    """(24) An active source holds its set-point: v = v_set^2."""
    roots: list[tuple[int, float, Any]] = []
    joined = set(m.J)
    for i in m.G:
        on = m.g_source[i] + (m.e_joined[i] if i in joined else 0)
        roots.append((int(grid.sources.node[i]), float(grid.sources.vm_pu[i]), on))
    for j in m.U:
        roots.append((int(grid.upss.out_node[j]), float(grid.upss.vm_pu[j]), m.u_online[j] + m.u_battery[j]))
    for e in m.E:
        roots.append((int(grid.storages.node[e]), 1.0, m.f_form[e]))
    m.R = pyo.RangeSet(0, len(roots) - 1)
    m.voltage_source_low = pyo.Constraint(
        m.R, rule=lambda _, r: m.v_sq[roots[r][0]] >= roots[r][1] ** 2 * roots[r][2]
    )
    m.voltage_source_high = pyo.Constraint(
        m.R, rule=lambda _, r: m.v_sq[roots[r][0]] <= roots[r][1] ** 2 + VOLTAGE_SLACK * (1 - roots[r][2])
    )


def constraint_voltage_limit(m: Any, grid: Grid) -> None:
    """(25) v_min^2 - under_v <= v <= v_max^2 at every live node that has limits, pu^2; under_v is zero (see supply)."""
    block = grid.nodes.block
    low, high = grid.nodes.v_min_pu, grid.nodes.v_max_pu

    def least(_: Any, n: int) -> Any:
        if low[n] <= 0:
            return pyo.Constraint.Skip
        return m.v_sq[n] + m.under_v[n] >= float(low[n]) ** 2 * m.y_live[int(block[n])]

    def most(_: Any, n: int) -> Any:
        return m.v_sq[n] <= float(high[n]) ** 2 if np.isfinite(high[n]) else pyo.Constraint.Skip

    m.voltage_low = pyo.Constraint(m.N, rule=least)
    m.voltage_high = pyo.Constraint(m.N, rule=most)
