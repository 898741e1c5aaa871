"""Which blocks, and so which units, never lose voltage on the way to the end state."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from formulations.blocks.radial import arc_ends
from formulations.blocks.sets import NetworkSets
from pdnopt.plant.grid import Grid

__all__ = ["constraint_block_kept", "constraint_unit_kept", "variables_continuity"]


def variables_continuity(m: Any) -> None:
    """Declare c_live(k), w_keep(s,d), w_source(i), w_ups(j), w_form(e), kept(u): all 0..1, integral where z is."""
    m.c_live = pyo.Var(m.K, bounds=(0, 1))
    m.w_keep = pyo.Var(m.A, bounds=(0, 1))
    m.w_source = pyo.Var(m.G, bounds=(0, 1))
    m.w_ups = pyo.Var(m.U, bounds=(0, 1))
    m.w_form = pyo.Var(m.E, bounds=(0, 1))
    m.kept = pyo.Var(m.D, bounds=(0, 1))


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


def constraint_unit_kept(m: Any, sets: NetworkSets) -> None:
    """(16) kept[u] <= on_unit[u] and kept[u] <= sum of c_live over the unit's sites."""
    m.kept_on = pyo.Constraint(m.D, rule=lambda _, u: m.kept[u] <= m.on_unit[u])
    m.kept_site = pyo.Constraint(
        m.D, rule=lambda _, u: m.kept[u] <= sum(m.c_live[k] for k in sets.groups[sets.unit_group[u]])
    )
