"""Which blocks live, from where: one parent each, so every live island is a tree from one source.

Parent-orientation of a radial network (after Taylor and Hover 2012, "Convex models of distribution system
reconfiguration", IEEE Trans. Power Syst. 27(3), eq. 8-11), at the level of blocks and switches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks.sets import NetworkSets
from pdnopt.plant.grid import Grid

__all__ = [
    "constraint_arc_live",
    "constraint_arc_or_open",
    "constraint_interlock",
    "constraint_one_parent",
    "constraint_parallel_group",
    "constraint_same_life",
    "constraint_transfer_auto",
    "constraint_transfer_exclusive",
    "constraint_ups_modes",
    "parallel_groups",
    "variables_radial",
]


def parallel_groups(grid: Grid) -> dict[str, list[int]]:
    """Return sync groups that have at least two sources marked ``parallel``: name -> sources."""
    src = grid.sources
    found: dict[str, list[int]] = {}
    for k in np.flatnonzero(src.parallel):
        if src.sync_group[k]:
            found.setdefault(str(src.sync_group[k]), []).append(int(k))
    return {name: members for name, members in found.items() if len(members) > 1}


def variables_radial(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """Declare z_closed(s), a_arc(s,d), y_live(k), g_source(i), u_online(j), u_battery(j), f_form(e), e_joined(i)."""
    m.S = pyo.RangeSet(0, len(sets.tail_block) - 1)
    m.K = pyo.RangeSet(0, grid.n_blocks - 1)
    m.G = pyo.RangeSet(0, len(grid.sources.index) - 1)
    m.U = pyo.RangeSet(0, len(grid.upss.index) - 1)
    m.E = pyo.RangeSet(0, len(grid.storages.index) - 1)
    between = [int(s) for s in np.flatnonzero(sets.tail_block != sets.head_block)]
    m.A = pyo.Set(initialize=[(s, d) for s in between for d in (0, 1)], dimen=2)
    m.B = pyo.Set(initialize=between)
    m.z_closed = pyo.Var(m.S, domain=pyo.Binary)
    m.a_arc = pyo.Var(m.A, bounds=(0, 1))
    for s, d in m.A:  # a static bypass feeds the UPS's output, never its source
        ups = int(grid.switches.ups[s])
        if ups >= 0 and arc_ends(sets, s, d)[0] == int(grid.nodes.block[grid.upss.out_node[ups]]):
            m.a_arc[s, d].setub(0)
        if sets.one_way[s] == (-1 if d == 0 else 1):
            m.a_arc[s, d].setub(0)
    m.y_live = pyo.Var(m.K, domain=pyo.Binary)
    m.g_source = pyo.Var(m.G, domain=pyo.Binary)
    m.u_online = pyo.Var(m.U, domain=pyo.Binary)
    m.u_battery = pyo.Var(m.U, domain=pyo.Binary)
    m.f_form = pyo.Var(m.E, domain=pyo.Binary)
    groups = parallel_groups(grid)
    m.J = pyo.Set(initialize=sorted(k for members in groups.values() for k in members))
    m.e_joined = pyo.Var(m.J, domain=pyo.Binary)
    m.P = pyo.RangeSet(0, len(groups) - 1)
    m.l_group = pyo.Var(m.P, m.K, bounds=(0, 1))


def arc_ends(sets: NetworkSets, s: int, d: int) -> tuple[int, int]:
    """Return (from block, to block) of an arc."""
    a, b = int(sets.tail_block[s]), int(sets.head_block[s])
    return (a, b) if d == 0 else (b, a)


def constraint_one_parent(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """(1) y_live[k] = roots at k + arcs into k."""
    block = grid.nodes.block
    into: dict[int, list[Any]] = {k: [] for k in m.K}
    for s, d in m.A:
        into[arc_ends(sets, s, d)[1]].append(m.a_arc[s, d])
    for i in m.G:
        into[int(block[grid.sources.node[i]])].append(m.g_source[i])
    for j in m.U:
        into[int(block[grid.upss.out_node[j]])] += [m.u_online[j], m.u_battery[j]]
    for e in m.E:
        into[int(block[grid.storages.node[e]])].append(m.f_form[e])
    m.one_parent = pyo.Constraint(m.K, rule=lambda _, k: m.y_live[k] == sum(into[k]))


def constraint_arc_live(m: Any, sets: NetworkSets) -> None:
    """(2) a_arc[s,0] + a_arc[s,1] <= z_closed[s];  a_arc[s,d] <= y_live[from block]."""
    m.arc_closed = pyo.Constraint(m.B, rule=lambda _, s: m.a_arc[s, 0] + m.a_arc[s, 1] <= m.z_closed[s])
    m.arc_fed = pyo.Constraint(m.A, rule=lambda _, s, d: m.a_arc[s, d] <= m.y_live[arc_ends(sets, s, d)[0]])


def constraint_same_life(m: Any, sets: NetworkSets) -> None:
    """(3) A closed switch joins equals: |y_live[tail] - y_live[head]| <= 1 - z_closed[s]."""

    def rule(_: Any, s: int, d: int) -> Any:
        a, b = arc_ends(sets, s, d)
        return m.y_live[a] - m.y_live[b] <= 1 - m.z_closed[s]

    m.same_life = pyo.Constraint(m.A, rule=rule)


def constraint_arc_or_open(m: Any, sets: NetworkSets) -> None:
    """(4) In a live island every closed switch is an arc, so there is no loop: a0 + a1 >= z + y[tail] - 1."""

    def rule(_: Any, s: int) -> Any:
        live = m.y_live[int(sets.tail_block[s])]
        return m.a_arc[s, 0] + m.a_arc[s, 1] >= m.z_closed[s] + live - 1

    m.arc_or_open = pyo.Constraint(m.B, rule=rule)


def constraint_transfer_exclusive(m: Any, grid: Grid) -> None:
    """(5) At most one position of a transfer device is closed."""
    positions = grid.transfers.positions
    m.T = pyo.RangeSet(0, len(positions) - 1)

    def rule(_: Any, t: int) -> Any:
        if len(positions[t]) < 2:
            return pyo.Constraint.Skip
        return sum(m.z_closed[int(s)] for s in positions[t]) <= 1

    m.transfer_exclusive = pyo.Constraint(m.T, rule=rule)


def auto_pairs(sets: NetworkSets) -> list[tuple[int, int, int]]:
    """Return the index of (5b): transfer, position held, other position."""
    columns = (sets.auto_transfer, sets.auto_held, sets.auto_other)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def constraint_transfer_auto(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """(5b) An automatic transfer leaves a dead position for a live one: z[s] + y[feed of other] - y[output] <= 1.

    `update` relaxes it where the device or the other position cannot move.
    """
    m.TA = pyo.Set(initialize=auto_pairs(sets), dimen=3)
    block = grid.nodes.block

    def rule(_: Any, t: int, s: int, other: int) -> Any:
        out = int(block[grid.transfers.node[t]])
        tail, head = int(sets.tail_block[other]), int(sets.head_block[other])
        feed = tail if head == out else head
        return m.z_closed[s] + m.y_live[feed] - m.y_live[out] <= 1

    m.transfer_auto = pyo.Constraint(m.TA, rule=rule)


def constraint_interlock(m: Any, grid: Grid) -> None:
    """(6) At most max_closed of an interlock's switches are closed."""
    locks = grid.interlocks
    m.I = pyo.RangeSet(0, len(locks.name) - 1)
    m.interlock = pyo.Constraint(
        m.I, rule=lambda _, i: sum(m.z_closed[int(s)] for s in locks.switches[i]) <= int(locks.max_closed[i])
    )


def constraint_ups_modes(m: Any, grid: Grid) -> None:
    """(7) One mode a UPS: online, battery or bypass. Online needs a live input; on battery only without one."""
    block = grid.nodes.block
    bypass = grid.upss.bypass

    def one_mode(_: Any, j: int) -> Any:
        closed = m.z_closed[int(bypass[j])] if bypass[j] >= 0 else 0
        return m.u_online[j] + m.u_battery[j] + closed <= 1

    def live(j: int) -> Any:
        return m.y_live[int(block[grid.upss.in_node[j]])]

    m.ups_one_mode = pyo.Constraint(m.U, rule=one_mode)
    m.ups_kept = pyo.Constraint(m.U, rule=lambda _, j: m.u_online[j] + m.u_battery[j] >= 0)  # 1: held so
    m.ups_input = pyo.Constraint(m.U, rule=lambda _, j: m.u_online[j] <= live(j))
    # 2 - rectifier_ok on the right: with a failed rectifier the UPS may discharge on a live input
    m.ups_on_mains = pyo.Constraint(m.U, rule=lambda _, j: m.u_battery[j] + live(j) <= 1)


def constraint_parallel_group(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """(8) A source of a parallel group may join an island that a source of its group roots.

    l_group[p,k] = 1 where group p feeds block k; it is the same at both ends of an arc; a foreign root makes it 0.
    """
    groups = parallel_groups(grid)
    block = grid.nodes.block
    at = {k: int(block[grid.sources.node[k]]) for k in m.G}
    group_of = {k: p for p, members in enumerate(groups.values()) for k in members}
    members_of = list(groups.values())
    m.joined_or_root = pyo.Constraint(m.J, rule=lambda _, i: m.g_source[i] + m.e_joined[i] <= 1)
    m.joined_group = pyo.Constraint(m.J, rule=lambda _, i: m.e_joined[i] <= m.l_group[group_of[i], at[i]])
    m.joined_held = pyo.Constraint(m.J, rule=lambda _, i: m.g_source[i] + m.e_joined[i] >= 0)

    def arc_rule(_: Any, p: int, s: int, d: int) -> Any:
        a, b = arc_ends(sets, s, d)
        return m.l_group[p, a] - m.l_group[p, b] <= 1 - m.a_arc[s, 0] - m.a_arc[s, 1]

    m.group_arc = pyo.Constraint(m.P, m.A, rule=arc_rule)
    m.group_live = pyo.Constraint(m.P, m.K, rule=lambda _, p, k: m.l_group[p, k] <= m.y_live[k])
    m.FR = pyo.Set(initialize=[(p, i) for p in m.P for i in m.G if i not in members_of[p]], dimen=2)
    m.group_foreign = pyo.Constraint(m.FR, rule=lambda _, p, i: m.l_group[p, at[i]] <= 1 - m.g_source[i])
    m.group_ups = pyo.Constraint(
        m.P,
        m.U,
        rule=lambda _, p, j: (
            m.l_group[p, int(block[grid.upss.out_node[j]])] <= 1 - m.u_online[j] - m.u_battery[j]
        ),
    )
    m.group_form = pyo.Constraint(
        m.P, m.E, rule=lambda _, p, e: m.l_group[p, int(block[grid.storages.node[e]])] <= 1 - m.f_form[e]
    )
