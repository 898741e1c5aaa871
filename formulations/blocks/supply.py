"""What sources, UPSs and batteries can give: ratings, minimum load, fuel and energy over the horizon."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.blocks.flow import ANGLES_DEG, directions
from pdnopt.plant.grid import Grid
from pdnopt.units import UNLIMITED_KVA

__all__ = [
    "constraint_form_capacity",
    "constraint_source_capacity",
    "constraint_store_live",
    "constraint_ups_capacity",
    "constraint_ups_rating",
    "variables_supply",
]


def variables_supply(m: Any) -> None:
    """Declare what may go beyond a limit: over_ups_kva(j) within the overload budget.

    over_source_kw(i) and over_battery_kw(j) are zero, except when a reason is sought: how much more would serve.
    """
    m.over_ups_kva = pyo.Var(m.U, bounds=(0, None))
    m.over_source_kw = pyo.Var(m.G, bounds=(0, None))
    m.over_battery_kw = pyo.Var(m.U, bounds=(0, None))


def constraint_source_capacity(m: Any, grid: Grid, m_kw: float) -> None:
    """(26) p_min on <= p_source <= p_max on, |q| <= M on, kW; on = root or joined."""
    joined = set(m.J)
    src = grid.sources

    def on(i: int) -> Any:
        return m.g_source[i] + (m.e_joined[i] if i in joined else 0)

    def high(_: Any, i: int) -> Any:
        cap = float(src.p_max_kw[i])
        return m.p_source_kw[i] - m.over_source_kw[i] <= (cap if cap < UNLIMITED_KVA else m_kw) * on(i)

    def low(_: Any, i: int) -> Any:
        least = float(src.p_min_kw[i])
        return m.p_source_kw[i] >= (least if least > -inf else -m_kw) * on(i)

    m.GD = pyo.Set(initialize=[(i, d) for i in m.G for d in (0, 1)], dimen=2)
    m.source_high = pyo.Constraint(m.G, rule=high)
    m.source_low = pyo.Constraint(m.G, rule=low)
    m.source_q = pyo.Constraint(
        m.GD, rule=lambda _, i, d: (1 if d == 0 else -1) * m.q_source_kvar[i] <= m_kw * on(i)
    )


def constraint_ups_capacity(m: Any, grid: Grid, m_kw: float) -> None:
    """(27) A UPS gives power only in the mode it is in: p_online <= M u_online, p_battery <= M u_battery, |q| <= M on.

    On battery no more than the energy carries over the horizon: p_battery <= e / h + over_battery, kW.
    """
    m.UD = pyo.Set(initialize=[(j, d) for j in m.U for d in (0, 1)], dimen=2)
    cap = [min(2.0 * float(s), m_kw) for s in grid.upss.s_rated_kva]
    m.ups_online_p = pyo.Constraint(m.U, rule=lambda _, j: m.p_online_kw[j] <= cap[j] * m.u_online[j])
    m.ups_battery_p = pyo.Constraint(m.U, rule=lambda _, j: m.p_battery_kw[j] <= cap[j] * m.u_battery[j])
    m.ups_energy = pyo.Constraint(m.U, rule=lambda _, j: m.p_battery_kw[j] - m.over_battery_kw[j] <= m_kw)
    m.ups_q = pyo.Constraint(
        m.UD,
        rule=lambda _, j, d: (
            (1 if d == 0 else -1) * m.q_ups_kvar[j] <= cap[j] * (m.u_online[j] + m.u_battery[j])
        ),
    )


def constraint_ups_rating(m: Any, grid: Grid) -> None:
    """(28) P cos a + Q sin a <= S on + over_ups for every direction a; P <= P_rated on + (P_rated / S) over_ups, kVA, kW.

    over_ups <= (what the budget allows) on;  on = u_online + u_battery. Scaling the rating by the mode keeps the
    LP from using inverter and bypass at once.
    """
    way = directions()
    m.UR = pyo.Set(initialize=[(j, a) for j in m.U for a in range(len(ANGLES_DEG))], dimen=2)
    ups = grid.upss

    def disc(_: Any, j: int, a: int) -> Any:
        c, s = way[a]
        p_kw = m.p_online_kw[j] + m.p_battery_kw[j]
        on = m.u_online[j] + m.u_battery[j]
        return c * p_kw + s * m.q_ups_kvar[j] - m.over_ups_kva[j] <= float(ups.s_rated_kva[j]) * on

    def active(_: Any, j: int) -> Any:
        part = float(ups.p_rated_kw[j] / ups.s_rated_kva[j])
        on = m.u_online[j] + m.u_battery[j]
        return (
            m.p_online_kw[j] + m.p_battery_kw[j] - part * m.over_ups_kva[j] <= float(ups.p_rated_kw[j]) * on
        )

    def beyond(_: Any, j: int) -> Any:
        return m.over_ups_kva[j] <= 1.0 * (m.u_online[j] + m.u_battery[j])

    m.ups_beyond = pyo.Constraint(m.U, rule=beyond)
    m.ups_rating = pyo.Constraint(m.UR, rule=disc)
    m.ups_active = pyo.Constraint(m.U, rule=active)


def constraint_form_capacity(m: Any, grid: Grid, m_kw: float) -> None:
    """(29) A battery that holds an island gives at most its power (a bound), and only then: p_form, |q_form| <= M f."""
    m.ED = pyo.Set(initialize=[(e, d) for e in m.E for d in (0, 1)], dimen=2)
    m.form_p = pyo.Constraint(m.E, rule=lambda _, e: m.p_form_kw[e] <= m_kw * m.f_form[e])
    m.form_q = pyo.Constraint(
        m.ED, rule=lambda _, e, d: (1 if d == 0 else -1) * m.q_form_kvar[e] <= m_kw * m.f_form[e]
    )


def constraint_store_live(m: Any, grid: Grid, m_kw: float) -> None:
    """(30) A battery that follows works in a live block that it does not hold itself: |p_store| <= M (y - f)."""
    block = grid.nodes.block
    at = np.asarray(block)[grid.storages.node] if len(grid.storages.index) else np.zeros(0, int)
    m.store_live = pyo.Constraint(
        m.ED,
        rule=lambda _, e, d: (
            (1 if d == 0 else -1) * m.p_store_kw[e] <= m_kw * (m.y_live[int(at[e])] - m.f_form[e])
        ),
    )
