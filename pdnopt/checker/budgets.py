"""Overload budgets in time, battery energy and fuel (rules 9 and 13)."""

from __future__ import annotations

import numpy as np

from pdnopt.checker import tolerances as tol
from pdnopt.checker.curves import Curves
from pdnopt.checker.findings import Findings
from pdnopt.checker.flows import States
from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.ratings import Rated
from pdnopt.checker.replay import Segment
from pdnopt.units import S_PER_H

__all__ = ["check_budgets", "check_energy", "check_fuel"]


def check_budgets(
    curves: Curves,
    group: Rated,
    findings: Findings,
    segments: list[Segment],
    paths: list[str],
    horizon_s: float,
    latency_s: float,
) -> dict[str, float]:
    """Add up dt / max_s(ratio) from the failure on; return the used part at the last action's end, by
    component.

    Used up before the end: BudgetExceeded; a warning where it is used up before any command can take effect
    (``latency_s``), for which no plan is to blame. In the end state the rest of the budget must carry
    ``horizon_s``: Overload.
    """
    used_by: dict[str, float] = {}
    over = (group.ratio > group.limit * (1 + tol.RATING)).any(axis=0) & (group.curve != "")
    for m in np.flatnonzero(over):
        name, used = group.names[m], float(group.used[m])
        told = unavoidable = False
        for k, seg in enumerate(segments):
            ratio = float(group.ratio[k, m])
            limit_s = curves.max_s(
                str(group.curve[m]),
                float(group.temperature_c[m]),
                bool(group.on_battery[k, m]),
                ratio,
                float(group.limit[m]),
            )
            lasting = k == len(segments) - 1
            dt_s = horizon_s if lasting else seg.until_s - seg.t_s
            spent = 0.0 if dt_s == 0 or np.isinf(limit_s) else np.inf if limit_s == 0 else dt_s / limit_s
            if not told and not lasting and used + spent > 1 - tol.BUDGET:
                when = seg.t_s + max(0.0, 1.0 - used) * limit_s
                unavoidable = when < latency_s
                findings.add(
                    "BudgetExceeded",
                    paths[k],
                    name,
                    f"{100 * ratio:.2f} % of its rating, budget used up at {when:.3f} s",
                    f"relieved before {when:.3f} s",
                    "No command is that fast: it may trip; lower the load beforehand."
                    if unavoidable
                    else "Relieve it earlier.",
                    "warning" if unavoidable else "error",
                )
                told = True
            elif lasting and (unavoidable or not told) and spent > 0 and used + spent > 1 - tol.BUDGET:
                rest_s = max(0.0, 1.0 - used) * limit_s
                findings.add(
                    "Overload",
                    paths[k],
                    name,
                    f"{100 * ratio:.2f} % of its rating",
                    f"a ratio that it holds for {horizon_s:g} s (this one for {rest_s:.3f} s)",
                    "Take more load off it.",
                )
            if not lasting:
                used += spent
        used_by[name] = used
    return used_by


def check_energy(
    view: PlantView,
    out: Outage,
    findings: Findings,
    segments: list[Segment],
    states: States,
    paths: list[str],
    horizon_s: float,
) -> None:
    """Follow the energy of UPS batteries and of batteries in the rows from the failure to the horizon.

    A UPS battery gives what its output delivers: ``e_max_mwh`` is usable energy. A battery in the row gives
    discharge / efficiency_discharge and takes charge * efficiency_charge.
    """
    hours = np.array([seg.until_s - seg.t_s for seg in segments])
    hours[-1] = horizon_s
    hours = hours / S_PER_H
    flow = states.flow
    if view.n_ups:
        p = np.where(states.ups_on_battery, np.nan_to_num(flow.ups_p_out_kw), 0.0)
        spent = np.cumsum(p * hours[:, None], axis=0)
        for u in range(view.n_ups):
            _energy(
                findings, view.names["ups"][u], spent[:, u], float(view.ups_e_kwh[u]), paths, "Feed its input"
            )
    if view.n_st:
        p = np.array([seg.situation.st_kw for seg in segments], dtype=float)
        for k, seg in enumerate(segments):
            p[k] = np.where(seg.supply.live[view.st_node] & ~out.st_dead, p[k], 0.0)
        for b in np.flatnonzero(view.st_src >= 0):
            given = np.nan_to_num(flow.ext_grid_p_kw[:, view.st_src[b]])
            forming = np.array([seg.situation.st_forming[b] for seg in segments])
            p[:, b] = np.where(forming, -given, p[:, b])
        with np.errstate(divide="ignore", invalid="ignore"):
            drain = np.where(p < 0, -p / view.st_eta_out, -p * view.st_eta_in)
        level = view.st_now_kwh - np.cumsum(drain * hours[:, None], axis=0)
        for n in range(view.n_st):
            if not np.isfinite(view.st_size_kwh[n]):
                continue
            room = float(view.st_now_kwh[n] - view.st_floor_kwh[n])
            name = view.names["storage"][n]
            _energy(findings, name, view.st_now_kwh[n] - level[:, n], room, paths, "Discharge it less")
            full = view.st_size_kwh[n] * (1 + tol.ENERGY)
            for k in np.flatnonzero(level[:, n] > full)[:1]:
                value, allowed = f"{level[k, n]:.3f} kWh", f"at most {view.st_size_kwh[n]:g} kWh"
                findings.add("BatteryEnergy", paths[k], name, value, allowed, "Charge it less.")


def _energy(
    findings: Findings, name: str, spent: np.ndarray, room: float, paths: list[str], todo: str
) -> None:
    short = np.flatnonzero(spent > room * (1 + tol.ENERGY) + tol.POWER_KW / S_PER_H)
    if len(short):
        k = int(short[0])
        what = "asked for up to this state" if k < len(paths) - 1 else "asked for up to the horizon"
        value = f"{spent[k]:.3f} kWh {what}"
        findings.add(
            "BatteryEnergy", paths[k], name, value, f"at most {room:.3f} kWh", f"{todo}, or take load off it."
        )


def check_fuel(
    view: PlantView,
    findings: Findings,
    segments: list[Segment],
    states: States,
    paths: list[str],
    horizon_s: float,
) -> None:
    """Add up what sources with a limited store deliver, up to the horizon."""
    hours = np.array([seg.until_s - seg.t_s for seg in segments])
    hours[-1] = horizon_s
    p = np.maximum(np.nan_to_num(states.flow.ext_grid_p_kw), 0.0)
    spent = np.cumsum(p * hours[:, None] / S_PER_H, axis=0)
    for g in np.flatnonzero(np.isfinite(view.src_fuel_kwh) & ~view.src_companion):
        short = np.flatnonzero(spent[:, g] > view.src_fuel_kwh[g] * (1 + tol.ENERGY))
        if len(short):
            k = int(short[0])
            name, room = view.names["ext_grid"][g], float(view.src_fuel_kwh[g])
            value = f"{spent[k, g]:.3f} kWh asked for"
            findings.add(
                "Fuel", paths[k], name, value, f"at most {room:.3f} kWh", "Use another source, or less load."
            )
