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
    "constraint_class_power",
    "constraint_cord_limit",
    "constraint_feed_sites",
    "constraint_feed_unfit",
    "constraint_mode_feed",
    "constraint_never_shed",
    "variables_service",
]


def variables_service(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """Declare m_feed(f), on_unit(u), cap_kw(u) and s_mode_kw(q).

    m_feed: exactly the sites of feed f live; continuous, integral where y_live is. cap_kw: kW below the demand
    of a unit that is on. s_mode_kw: power of a class served under a feed.
    """
    m.D = pyo.RangeSet(0, demand.n - 1)
    m.F = pyo.RangeSet(0, len(sets.feed_group) - 1)
    m.M = pyo.RangeSet(0, sets.n_modes - 1)
    m.CL = pyo.RangeSet(0, sets.n_classes - 1)
    m.C = pyo.Set(initialize=[int(u) for u in np.flatnonzero(demand.min_kw < demand.d_kw - 1e-9)])
    m.m_feed = pyo.Var(m.F, bounds=(0, 1))
    m.on_unit = pyo.Var(m.D, domain=pyo.Binary)
    m.cap_kw = pyo.Var(m.C, bounds=(0, None))
    m.s_mode_kw = pyo.Var(m.M, bounds=(0, None))


def constraint_feed_sites(m: Any, sets: NetworkSets) -> None:
    """(9) y_live[k] = sum of the feeds of a group that contain k; the feeds of a group exclude each other."""
    by_group: dict[int, list[int]] = {}
    for f, g in enumerate(sets.feed_group):
        by_group.setdefault(int(g), []).append(f)
    pairs = [(g, k) for g, members in enumerate(sets.groups) for k in members]
    m.GK = pyo.Set(initialize=pairs, dimen=2)
    m.feed_site = pyo.Constraint(
        m.GK,
        rule=lambda _, g, k: m.y_live[k] == sum(m.m_feed[f] for f in by_group[g] if k in sets.feed_sites[f]),
    )
    m.GG = pyo.Set(initialize=[g for g, members in enumerate(sets.groups) if len(members) > 1])
    m.feed_one = pyo.Constraint(m.GG, rule=lambda _, g: sum(m.m_feed[f] for f in by_group[g]) <= 1)


def constraint_class_power(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(10) What a class is served under its feeds is what its units draw: sum s_mode = sum d on_unit - cap_kw, kW."""
    units: dict[int, list[int]] = {c: [] for c in m.CL}
    modes: dict[int, list[int]] = {c: [] for c in m.CL}
    for u, c in enumerate(sets.unit_class):
        units[int(c)].append(u)
    for q, c in enumerate(sets.mode_class):
        modes[int(c)].append(q)

    def rule(_: Any, c: int) -> Any:
        drawn = sum(
            slot(float(demand.d_kw[u])) * m.on_unit[u] - (m.cap_kw[u] if u in m.C else 0) for u in units[c]
        )
        return sum(m.s_mode_kw[q] for q in modes[c]) - drawn == 0

    m.class_power = pyo.Constraint(m.CL, rule=rule)


def constraint_mode_feed(m: Any, sets: NetworkSets, demand: Demand) -> None:
    """(11) A class is served only under the feed that lives: s_mode[q] <= (its whole demand) m_feed[f], kW."""
    whole = np.bincount(sets.unit_class, weights=demand.d_kw, minlength=sets.n_classes)

    def rule(_: Any, q: int) -> Any:
        return m.s_mode_kw[q] <= slot(float(whole[sets.mode_class[q]])) * m.m_feed[int(sets.mode_feed[q])]

    m.mode_feed = pyo.Constraint(m.M, rule=rule)
    # a unit that can be capped to nothing is off, not "on at 0 kW", where no feed lives
    feeds: dict[int, list[int]] = {}
    for f, g in enumerate(sets.feed_group):
        feeds.setdefault(int(g), []).append(f)
    m.Z0 = pyo.Set(initialize=[u for u in m.C if demand.min_kw[u] <= 1e-6 * max(float(demand.d_kw[u]), 1.0)])
    m.zero_floor = pyo.Constraint(
        m.Z0, rule=lambda _, u: m.on_unit[u] <= sum(m.m_feed[f] for f in feeds[int(sets.unit_group[u])])
    )


def constraint_never_shed(m: Any, sets: NetworkSets) -> None:
    """(12) A unit that is not sheddable draws as soon as a cord lives: on_unit[u] >= m_feed[f] (if f can feed it)."""
    m.NS = pyo.RangeSet(0, len(sets.firm_unit) - 1)
    m.never_shed = pyo.Constraint(
        m.NS, rule=lambda _, r: m.on_unit[int(sets.firm_unit[r])] - m.m_feed[int(sets.firm_feed[r])] >= 0
    )


def constraint_cap_floor(m: Any, demand: Demand) -> None:
    """(13) cap_kw[u] <= (demand - floor) on_unit[u], kW."""
    room = demand.d_kw - demand.min_kw
    m.cap_floor = pyo.Constraint(m.C, rule=lambda _, u: m.cap_kw[u] <= slot(float(room[u])) * m.on_unit[u])


def constraint_cord_limit(m: Any, sets: NetworkSets) -> None:
    """(14) No cord beyond its limit: cap_kw[u] >= excess[u,f] (on_unit[u] + m_feed[f] - 1), kW."""
    pairs = zip(sets.limited_unit.tolist(), sets.limited_feed.tolist(), strict=True)
    m.LI = pyo.Set(initialize=list(pairs), dimen=2)

    def rule(_: Any, u: int, f: int) -> Any:
        if u not in m.C:
            return pyo.Constraint.Skip
        return 1.0 * m.on_unit[u] + 1.0 * m.m_feed[f] - m.cap_kw[u] <= 1.0

    m.cord_limit = pyo.Constraint(m.LI, rule=rule)


def constraint_feed_unfit(m: Any, sets: NetworkSets) -> None:
    """(14b) A feed whose cords cannot carry even the floor cannot serve the unit: on_unit[u] + m_feed[f] <= 1."""

    m.feed_unfit = pyo.Constraint(m.LI, rule=lambda _, u, f: m.on_unit[u] + m.m_feed[f] <= 2.0)
