"""Loading of everything that has a rating, in every state, and the limits without a time (rules 8, 10, 11,
15).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.checker import tolerances as tol
from pdnopt.checker.curves import ROOM_TEMPERATURE_C, WITH_CURVE, Curves
from pdnopt.checker.demand_view import DemandView
from pdnopt.checker.findings import Findings
from pdnopt.checker.flows import PhaseShape, States
from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import INVERTING, PlantView
from pdnopt.checker.replay import Segment

__all__ = ["Rated", "check_cords", "check_power_limits", "check_steady", "check_voltages", "rated"]


@dataclass(frozen=True)
class Rated:
    """Components of one table.

    Attributes
    ----------
    names : list of str, shape (m,)
    ratio : float, shape (n, m)
        Load over rating in each state.
    limit : float, shape (m,)
        Ratio that is allowed for ever.
    curve : object, shape (m,)
        Name of the overload curve, "" for none.
    used : float, shape (m,)
        Part of the budget that was used before the failure.
    temperature_c : float, shape (m,)
    on_battery : bool, shape (n, m)
    """

    names: list[str]
    ratio: np.ndarray
    limit: np.ndarray
    curve: np.ndarray
    used: np.ndarray
    temperature_c: np.ndarray
    on_battery: np.ndarray


def rated(
    view: PlantView,
    demand: DemandView,
    out: Outage,
    curves: Curves,
    shape: PhaseShape,
    segments: list[Segment],
    states: States,
) -> list[Rated]:
    """Return the loading of lines, transformers, switches, UPSs and sources in every state."""
    flow = states.flow
    n = len(segments)

    def group(
        table: str,
        ratio: np.ndarray,
        limit: np.ndarray,
        temperature_c: np.ndarray | None = None,
        on_battery: np.ndarray | None = None,
    ) -> Rated:
        m = len(limit)
        has_curve = table in WITH_CURVE
        return Rated(
            names=view.names[table],
            ratio=np.nan_to_num(ratio, nan=0.0, posinf=0.0),
            limit=limit,
            curve=curves.names[table] if has_curve else np.full(m, "", dtype=object),
            used=curves.used[table] if has_curve else np.zeros(m),
            temperature_c=np.full(m, ROOM_TEMPERATURE_C) if temperature_c is None else temperature_c,
            on_battery=np.zeros((n, m), dtype=bool) if on_battery is None else on_battery,
        )

    found = [
        group("line", flow.line_loading_percent / 100.0, view.line_limit / 100.0),
        group("trafo", flow.trafo_loading_percent / 100.0, view.trafo_limit / 100.0),
        group("trafo3w", flow.trafo3w_loading_percent / 100.0, view.trafo3w_limit / 100.0),
        group("switch", flow.switch_i_ka / view.sw_in_ka, np.ones(view.n_sw)),
        group("ext_grid", _source_ratio(view, flow.ext_grid_p_kw), np.ones(view.n_src)),
    ]
    if view.n_ups:
        ratio = _ups_ratio(view, demand, out, shape, segments, states)
        found.append(group("ups", ratio, np.ones(view.n_ups), view.ups_temperature_c, states.ups_on_battery))
    return [item for item in found if len(item.limit)]


def _source_ratio(view: PlantView, p_kw: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(p_kw > tol.POWER_KW, p_kw / view.src_max_kw, 0.0)
    return np.where(np.isinf(ratio), 1e6, ratio)  # any power from a source that may give none


def _ups_ratio(
    view: PlantView,
    demand: DemandView,
    out: Outage,
    shape: PhaseShape,
    segments: list[Segment],
    states: States,
) -> np.ndarray:
    """A UPS is loaded by what its inverter gives; what passes its static bypass loads that switch (rule 15)."""
    inverting = np.isin(np.array([seg.situation.mode for seg in segments], dtype=object), INVERTING)
    p = np.where(inverting, states.flow.ups_p_out_kw, 0.0)
    s = np.where(inverting, np.hypot(p, states.flow.ups_q_out_kvar), 0.0)
    if shape.n_asym:
        for k, seg in enumerate(segments):
            for u in range(view.n_ups):
                if s[k, u] > tol.POWER_KW:
                    node = int(view.ups_out[u])
                    s[k, u] *= shape.worst_phase(demand, seg, states.cord_kw[k], states.cord_kvar[k], node)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.maximum(p / (view.ups_p_kw * out.ups_factor), s / (view.ups_s_kva * out.ups_factor))
    return np.where(np.isinf(ratio), 1e6, ratio)


def check_steady(
    findings: Findings,
    kind: str,
    names: list[str],
    stress: np.ndarray,
    segments: list[Segment],
    paths: list[str],
    wanted: list[bool],
    what: str,
    todo: str,
) -> None:
    """Judge limits that know no time: ``stress`` (n, m) is the load over what is allowed for ever.

    Beyond the limit is forbidden in every state that the plan makes and in the end state. What the failure
    itself left beyond it may stay until the plan relieves it, as long as no action makes it worse.
    """
    beyond = stress > 1 + tol.RATING
    last = len(segments) - 1
    before = None
    for k, seg in enumerate(segments):
        if seg.transient:
            continue
        bad = beyond[k].copy()
        if k < last:
            if seg.step == 0 or not wanted[k]:
                bad[:] = False
            elif before is not None:
                bad &= ~(beyond[before] & (stress[k] <= stress[before] * (1 + tol.RATING)))
        for m in np.flatnonzero(bad):
            value = f"{100 * stress[k, m]:.2f} % of its limit"
            findings.add(kind, paths[k], names[m], value, what, todo)
        before = k


def check_voltages(
    view: PlantView,
    findings: Findings,
    segments: list[Segment],
    states: States,
    paths: list[str],
    wanted: list[bool],
) -> None:
    """Judge bus voltages where the bus has limits and is live."""
    v = states.flow.vm_pu
    with np.errstate(divide="ignore", invalid="ignore"):
        high = np.nan_to_num(v / view.bus_max_pu, nan=0.0)
        low = np.nan_to_num(np.where(np.isfinite(view.bus_min_pu), view.bus_min_pu, 0.0) / v, nan=0.0)
    for stress, word in ((high, "max_vm_pu"), (low, "min_vm_pu")):
        what = f"a voltage within {word}"
        todo = "Relieve the path to this bus."
        check_steady(findings, "Voltage", view.names["bus"], stress, segments, paths, wanted, what, todo)


def check_cords(
    demand: DemandView,
    findings: Findings,
    horizon_s: float,
    segments: list[Segment],
    states: States,
    paths: list[str],
    wanted: list[bool],
) -> None:
    """Judge what each cord draws against its ``max_p_mw`` and its breaker."""
    todo = "Cap or shed its rack."
    if np.isfinite(demand.max_kw).any():
        with np.errstate(divide="ignore", invalid="ignore"):
            stress = np.nan_to_num(states.cord_kw / demand.max_kw, nan=0.0)
        what = "max_p_mw of the cord"
        check_steady(findings, "CordLimit", demand.cord_name, stress, segments, paths, wanted, what, todo)
    if not np.isnan(demand.breaker_a).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            part = demand.breaker_part(states.cord_kw, states.cord_kvar, horizon_s)
        stress = np.nan_to_num(part, nan=0.0)
        what = "breaker_a of the cord (80 % of it from 3 h on)"
        check_steady(findings, "Breaker", demand.cord_name, stress, segments, paths, wanted, what, todo)


def check_power_limits(
    view: PlantView,
    findings: Findings,
    segments: list[Segment],
    states: States,
    paths: list[str],
    wanted: list[bool],
) -> None:
    """Judge the least power of sources that carry load, the steps of gensets and the power of batteries."""
    p = states.flow.ext_grid_p_kw
    last = len(segments) - 1
    before = 0
    for k, seg in enumerate(segments):
        if seg.transient or not (wanted[k] or k == last):
            continue
        s = seg.situation
        for g in np.flatnonzero(s.src_on & np.isfinite(view.src_min_kw) & ~view.src_companion):
            carries = k == last or abs(p[k, g]) > tol.POWER_KW
            slack = tol.RATING * abs(view.src_min_kw[g]) + tol.POWER_KW
            if carries and p[k, g] < view.src_min_kw[g] - slack:
                allowed = f"at least {view.src_min_kw[g]:g} kW"
                todo = "Give it more load, or stop it."
                findings.add(
                    "SourceMinimum", paths[k], view.names["ext_grid"][g], f"{p[k, g]:.3f} kW", allowed, todo
                )
        for g in np.flatnonzero(np.isfinite(view.src_step_kw) & ~view.src_companion):
            more = p[k, g] - p[before, g]
            if seg.step and more > view.src_step_kw[g] * (1 + tol.RATING) + tol.POWER_KW:
                allowed = f"at most {view.src_step_kw[g]:g} kW a step"
                todo = "Let it pick up its load in smaller steps."
                findings.add("LoadStep", paths[k], view.names["ext_grid"][g], f"{more:.3f} kW", allowed, todo)
        before = k
