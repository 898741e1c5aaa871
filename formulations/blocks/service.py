"""How units are served: whole or not at all, capped to a floor, fed through the cords that live."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks.sets import NetworkSets
from pdnopt.engine.compiled import slot
from pdnopt.plant.demand import Demand

__all__ = [
    "constraint_cap_floor",
    "constraint_cord_limit",
    "constraint_feed_sites",
    "constraint_mode_feed",
    "constraint_never_shed",
    "constraint_unit_modes",
    "limited_modes",
    "variables_service",
]


def limited_modes(sets: NetworkSets, demand: Demand) -> np.ndarray:
    """Return the modes of units that have a cord limit (max_p_mw or breaker) and can be capped to it."""
    has_limit = np.isfinite(demand.cord_max_kw) | np.isfinite(demand.cord_breaker_kva)
    limited = demand.sum_by_unit(has_limit.astype(float)) > 0
    cappable = demand.min_kw < demand.d_kw - 1e-9
    return np.flatnonzero((limited & cappable)[sets.mode_unit])


def variables_service(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """Declare m_feed(f), on_unit(u), on_mode(q) and cap_kw(q).

    m_feed: exactly the sites of feed f live; continuous, integral where y_live is.
    on_mode: unit served under mode q; cap_kw: kW below its demand then.
    """
    cappable = demand.min_kw < demand.d_kw - 1e-9
    m.D = pyo.RangeSet(0, demand.n - 1)
    m.F = pyo.RangeSet(0, len(sets.feed_group) - 1)
    m.M = pyo.RangeSet(0, sets.n_modes - 1)
    m.C = pyo.Set(initialize=[int(q) for q in np.flatnonzero(cappable[sets.mode_unit])])
    m.m_feed = pyo.Var(m.F, bounds=(0, 1))
    m.on_unit = pyo.Var(m.D, domain=pyo.Binary)
    m.on_mode = pyo.Var(m.M, bounds=(0, 1))
    m.cap_kw = pyo.Var(m.C, bounds=(0, None))


def constraint_feed_sites(m: Any, sets: NetworkSets) -> None:
    """(9) y_live[k] = sum of the feeds of a group that contain k; the feeds of a group exclude each other."""
    by_group: dict[int, list[int]] = {}
    for f, g in enumerate(sets.feed_group):
        by_group.setdefault(int(g), []).append(f)
    pairs = [(g, k) for g, members in enumerate(sets.groups) for k in members]
    m.GK = pyo.Set(initialize=pairs, dimen=2)
    m.feed_site = pyo.Constraint(
        m.GK, rule=lambda _, g, k: m.y_live[k] == sum(m.m_feed[f] for f in by_group[g] if k in sets.feed_sites[f])
    )
    m.GG = pyo.Set(initialize=[g for g, members in enumerate(sets.groups) if len(members) > 1])
    m.feed_one = pyo.Constraint(m.GG, rule=lambda _, g: sum(m.m_feed[f] for f in by_group[g]) <= 1)


def constraint_unit_modes(m: Any, sets: NetworkSets) -> None:
    """(10) on_unit[u] = sum of on_mode over its modes."""
    modes: dict[int, list[int]] = {u: [] for u in m.D}
    for q, u in enumerate(sets.mode_unit):
        modes[int(u)].append(q)
    m.unit_modes = pyo.Constraint(m.D, rule=lambda _, u: m.on_unit[u] == sum(m.on_mode[q] for q in modes[u]))


def constraint_mode_feed(m: Any, sets: NetworkSets) -> None:
    """(11) on_mode[q] <= m_feed[feed of q]."""
    m.mode_feed = pyo.Constraint(m.M, rule=lambda _, q: m.on_mode[q] <= m.m_feed[int(sets.mode_feed[q])])


def constraint_never_shed(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(12) A unit that is not sheddable draws as soon as a cord lives: on_mode[q] >= m_feed[f] - (mode cannot feed)."""
    stuck = [int(q) for q in np.flatnonzero(~demand.sheddable[sets.mode_unit])]
    m.N_shed = pyo.Set(initialize=stuck)
    m.never_shed = pyo.Constraint(m.N_shed, rule=lambda _, q: m.on_mode[q] - m.m_feed[int(sets.mode_feed[q])] >= 0)


def constraint_cap_floor(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(13) cap_kw[q] <= (demand - floor) * on_mode[q], in kW."""
    room = demand.d_kw - demand.min_kw
    m.cap_floor = pyo.Constraint(
        m.C, rule=lambda _, q: m.cap_kw[q] <= slot(float(room[sets.mode_unit[q]])) * m.on_mode[q]
    )


def constraint_cord_limit(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(14) No cord beyond its limit: cap_kw[q] >= demand * (1 - largest share) * on_mode[q]."""
    m.CL = pyo.Set(initialize=[int(q) for q in limited_modes(sets, demand)])
    m.cord_limit = pyo.Constraint(m.CL, rule=lambda _, q: m.cap_kw[q] >= 1.0 * m.on_mode[q])
