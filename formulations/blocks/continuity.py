"""Which blocks, and so which units, never lose voltage on the way to the end state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks.radial import arc_ends
from formulations.blocks.sets import NetworkSets
from pdnopt.engine.compiled import slot
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid

__all__ = ["constraint_block_kept", "constraint_group_kept", "variables_continuity"]


def variables_continuity(m: Any, sets: NetworkSets) -> None:
    """Declare c_live(k), w_keep(s,d), w_source(i), w_ups(j), w_form(e), h_group(g), all 0..1, integral where z is;
    and gone_kw(g): demand of a group's units that lose voltage.
    """
    m.c_live = pyo.Var(m.K, bounds=(0, 1))
    m.w_keep = pyo.Var(m.A, bounds=(0, 1))
    m.w_source = pyo.Var(m.G, bounds=(0, 1))
    m.w_ups = pyo.Var(m.U, bounds=(0, 1))
    m.w_form = pyo.Var(m.E, bounds=(0, 1))
    m.H = pyo.RangeSet(0, len(sets.groups) - 1)
    m.h_group = pyo.Var(m.H, bounds=(0, 1))
    m.gone_kw = pyo.Var(m.H, bounds=(0, None))


def constraint_block_kept(m: Any, grid: Grid, sets: NetworkSets) -> None:
    """(15) c_live[k] <= roots kept at k + arcs kept into k; w_keep[s,d] <= a_arc[s,d], c_live[from block]."""
    block = grid.nodes.block
    into: dict[int, list[Any]] = {k: [] for k in m.K}
    for s, d in m.A:
        into[arc_ends(sets, s, d)[1]].append(m.w_keep[s, d])
    for i in m.G:
        into[int(block[grid.sources.node[i]])].append(m.w_source[i])
    for j in m.U:
        into[int(block[grid.upss.out_node[j]])].append(m.w_ups[j])
    for e in m.E:
        into[int(block[grid.storages.node[e]])].append(m.w_form[e])
    m.block_kept = pyo.Constraint(m.K, rule=lambda _, k: m.c_live[k] - sum(into[k]) <= 0)
    m.keep_arc = pyo.Constraint(m.A, rule=lambda _, s, d: m.w_keep[s, d] <= m.a_arc[s, d])
    m.keep_fed = pyo.Constraint(m.A, rule=lambda _, s, d: m.w_keep[s, d] <= m.c_live[arc_ends(sets, s, d)[0]])
    joined = set(m.J)
    m.keep_source = pyo.Constraint(
        m.G, rule=lambda _, i: m.w_source[i] <= m.g_source[i] + (m.e_joined[i] if i in joined else 0)
    )
    m.keep_ups = pyo.Constraint(m.U, rule=lambda _, j: m.w_ups[j] <= m.u_online[j] + m.u_battery[j])
    m.keep_form = pyo.Constraint(m.E, rule=lambda _, e: m.w_form[e] <= m.f_form[e])


def constraint_group_kept(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(16) h_group[g] <= sum of c_live over its sites; gone_kw[g] >= sum d (1 - on_unit), >= (sum d) (1 - h_group).

    The larger of the two is exact: either the whole group loses voltage or just the units that are shed. Only
    units that have had voltage so far count.
    """
    units: dict[int, list[int]] = {g: [] for g in m.H}
    for u, g in enumerate(sets.unit_group):
        units[int(g)].append(u)
    whole = np.bincount(sets.unit_group, weights=demand.d_kw, minlength=len(sets.groups))
    m.group_site = pyo.Constraint(
        m.H, rule=lambda _, g: m.h_group[g] <= sum(m.c_live[k] for k in sets.groups[g])
    )

    def shed(_: Any, g: int) -> Any:
        return m.gone_kw[g] + sum(slot(float(demand.d_kw[u])) * m.on_unit[u] for u in units[g]) >= float(
            whole[g]
        )

    m.gone_shed = pyo.Constraint(m.H, rule=shed)
    m.gone_dark = pyo.Constraint(
        m.H, rule=lambda _, g: m.gone_kw[g] + slot(float(whole[g])) * m.h_group[g] >= float(whole[g])
    )
