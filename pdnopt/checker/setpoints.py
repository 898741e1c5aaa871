"""Are set-points of micro-inverters safe? Said again from the tables, and judged by three-phase AC power flow.

Rules: a command names a micro-inverter in service that has not failed, with three finite kW and kvar; each phase within
its apparent power; what the phases give and lose comes from the battery on the DC link, within its power and for the horizon
within its energy (0 without one); a load changes its phase only to one of its options, and as a whole; with all commands
carried out every phase of every bus, line, transformer and UPS output is within its limit. Cords whose bus is without
voltage draw nothing here: what else happened is another problem's plan.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from pdnopt.acflow import powerflow
from pdnopt.checker.filters import COMPENSATE, check_filters
from pdnopt.checker.findings import CheckReport, Findings
from pdnopt.checker.tolerances import ENERGY, RATING
from pdnopt.errors import InputError, PowerFlowError
from pdnopt.plant.tables import values

__all__ = ["WORD", "check_setpoints", "is_setpoint"]

WORD = "setpoint"
PHASE = "phase"
LOADS = "asymmetric_load"
TABLE = "asymmetric_sgen"
LINK = 5e-3
"""Of an inverter's rating: what losses that are linear around a point, and rounding, may leave on the DC link."""
LETTERS = "abc"


def is_setpoint(item: Any) -> bool:
    """Whether a command is one for an inverter, or for the phase of a load."""
    return str(item.device).partition(":")[0] == TABLE or item.action == PHASE


def check_setpoints(net: Any, plan: Any, names: Any) -> CheckReport:
    """Return the findings on a plan of set-points; ``names`` are the failed inverters."""
    findings = Findings()
    after = deepcopy(net)
    by_name = _names(net)
    down = set()
    for position, name in enumerate(names):
        if str(name) not in by_name:
            todo = "Answer other failures by problem 'reroute' first."
            findings.add("InvalidName", f"failed[{position}]", str(name), name, "a micro-inverter", todo)
            continue
        down.add(by_name[str(name)])
        after[TABLE].loc[by_name[str(name)], "in_service"] = False
    _loads(after, plan, findings)
    told: dict[int, np.ndarray] = {}
    devices = {name: values(net, TABLE, name) for name in ("s_max_mva", "loss_percent", "storage")}
    filters = []
    for item in plan.actions:
        path = f"plan.step[{item.step}]"
        if not is_setpoint(item):
            todo = "Send switching commands as a plan of their own."
            findings.add("BadAction", path, str(item.device), item.action, "set-points only", todo)
            continue
        if item.action == PHASE:
            _phase(net, after, item, path, findings)
            continue
        row = by_name.get(str(item.device))
        if row is None:
            todo = "Solve again for this network."
            findings.add("UnknownDevice", path, str(item.device), item.device, "a micro-inverter", todo)
            continue
        kva = None if item.action == COMPENSATE else _power(item)
        if item.action not in (WORD, COMPENSATE) or (item.action == WORD and kva is None):
            allowed = "'setpoint' with p_kw and q_kvar, three finite numbers each"
            findings.add("BadAction", path, item.device, item.after, allowed, "Correct the command.")
            continue
        if row in down or not net[TABLE].at[row, "in_service"]:
            todo = "Leave it out: solve again with it failed."
            findings.add("DeadDevice", path, item.device, item.action, "an inverter that works", todo)
            continue
        if kva is None:
            filters.append((row, item, path))
            continue
        told[row] = kva
        _rating(net, devices, row, kva, item.device, path, plan.horizon_s, findings)
    _carry_out(after, told)
    check_filters(after, filters, findings)
    return _judge(after, findings)


def _carry_out(after: Any, told: dict[int, np.ndarray]) -> None:
    """Write the set-points into the tables."""
    rows = list(told)
    for k, letter in enumerate(LETTERS):
        after[TABLE].loc[rows, f"p_{letter}_mw"] = [kva[k].real / 1e3 for kva in told.values()]
        after[TABLE].loc[rows, f"q_{letter}_mvar"] = [kva[k].imag / 1e3 for kva in told.values()]
    after[TABLE].loc[rows, "scaling"] = 1.0


def _phase(net: Any, after: Any, item: Any, path: str, findings: Findings) -> None:
    """A load moves as a whole from its only phase to one that it may draw from."""
    frame = net[LOADS]
    rows = [k for k in frame.index if item.device in (f"{LOADS}:{k}", f"{LOADS}:{frame.at[k, 'name']}")]
    if not rows:
        todo = "Solve again for this network."
        findings.add("UnknownDevice", path, str(item.device), item.device, "a load by phase", todo)
        return
    row = rows[-1]
    text = frame.at[row, "phase_options"] if "phase_options" in frame else None
    allowed = {word.strip() for word in text.split(",")} if isinstance(text, str) else set()
    used = {k for k in LETTERS if frame.at[row, f"p_{k}_mw"] or frame.at[row, f"q_{k}_mvar"]}
    if item.after not in allowed & set(LETTERS) or used != {item.before} or item.after == item.before:
        options = f"from its only phase to one of its phase_options, {text!r}"
        findings.add(
            "BadAction", path, item.device, f"{item.before} to {item.after}", options, "Solve again."
        )
        return
    for name, unit in (("p", "mw"), ("q", "mvar")):
        old, new = (f"{name}_{letter}_{unit}" for letter in (item.before, item.after))
        after[LOADS].loc[row, [new, old]] = [after[LOADS].at[row, old], 0.0]


def _names(net: Any) -> dict[str, int]:
    """Return the micro-inverters by name and by index, names first."""
    out = {}
    mims = net[TABLE].index[values(net, TABLE, "kind") == "mim"] if len(net[TABLE]) else ()
    for row in mims:
        out[f"{TABLE}:{row}"] = int(row)
    for row in mims:
        name = net[TABLE].at[row, "name"]
        if isinstance(name, str) and name:
            out[f"{TABLE}:{name}"] = int(row)
    return out


def _power(item: Any) -> np.ndarray | None:
    """Return kW + j kvar by phase, None for anything else than three finite numbers each."""
    if not isinstance(item.after, dict) or set(item.after) != {"p_kw", "q_kvar"}:
        return None
    try:
        p, q = (np.asarray(item.after[name], dtype=float) for name in ("p_kw", "q_kvar"))
    except (TypeError, ValueError):
        return None
    if p.shape != (3,) or q.shape != (3,) or not (np.isfinite(p).all() and np.isfinite(q).all()):
        return None
    return np.asarray(p + 1j * q)


def _rating(
    net: Any,
    devices: dict[str, np.ndarray],
    row: int,
    kva: np.ndarray,
    device: str,
    path: str,
    horizon_s: float,
    findings: Findings,
) -> None:
    """Apparent power of each phase, and the balance of the DC link."""
    place = net[TABLE].index.get_loc(row)
    s_max = devices["s_max_mva"][place] * 1e3
    worst = float(np.abs(kva).max())
    if worst > s_max * (1.0 + RATING):
        allowed = f"at most {s_max:g} kVA a phase"
        findings.add("Overload", path, device, f"{worst:.3f} kVA", allowed, "Lower the set-point.")
    lost = devices["loss_percent"][place] / 100.0
    link_kw = float(kva.real.sum() + lost * np.abs(kva).sum())
    low, high = 0.0, 0.0
    battery = devices["storage"][place]
    if battery == battery and bool(net.storage.at[int(battery), "in_service"]):
        at = net.storage.index.get_loc(int(battery))
        most = abs(float(net.storage["max_p_mw"].iloc[at])) * 1e3
        least = abs(float(net.storage["min_p_mw"].iloc[at])) * 1e3
        soc = float(net.storage["soc_percent"].iloc[at]) / 100.0
        whole = float(net.storage["max_e_mwh"].iloc[at]) * 1e3
        hours = max(horizon_s, 1.0) / 3600.0
        stored = max(soc - values(net, "storage", "soc_min_percent")[at] / 100.0, 0.0) * whole
        room = (1.0 - soc) * whole
        gives = stored * values(net, "storage", "efficiency_discharge")[at] / hours
        takes = room / values(net, "storage", "efficiency_charge")[at] / hours
        high = min(least, gives * (1.0 + ENERGY)) if least == least else gives
        low = -min(most, takes * (1.0 + ENERGY)) if most == most else -takes
    slack = LINK * s_max
    if not low - slack <= link_kw <= high + slack:
        allowed = f"from {low:.3f} to {high:.3f} kW from the DC link (within {slack:.3f} kW)"
        todo = "What phases give and lose must come from other phases or a battery."
        findings.add("DcLink", path, device, f"{link_kw:.3f} kW", allowed, todo)


def _loads(after: Any, plan: Any, findings: Findings) -> None:
    """Write the demands that the plan was made for, reactive power at constant power factor."""
    for table, rows in plan.loads_kw.items():
        columns = ("p_mw", "q_mvar") if table == "load" else tuple(
            f"{q}_{k}_{u}" for k in LETTERS for q, u in (("p", "mw"), ("q", "mvar"))
        )  # fmt: skip
        real = [column for column in columns if column.startswith("p_")]
        frame = after[table]
        known = [row for row, kw in rows.items() if row in frame.index and np.isfinite(kw)]
        before = dict(zip(known, frame.loc[known, real].sum(axis=1).to_numpy(float), strict=True))
        scaled = {row: rows[row] / 1e3 / before[row] for row in known if before[row] > 0}
        for row, kw in rows.items():
            if row not in before:
                todo, allowed = "Solve again for this network.", "a row and its kW"
            elif row not in scaled and kw > 0:
                todo = "Give the row a power in the table first: its phases and power factor come from there."
                allowed = "0 kW: it draws nothing"
            else:
                continue
            findings.add("PlanNetMismatch", "plan.loads_kw", f"{table}:{row}", kw, allowed, todo)
        factor = np.array(list(scaled.values()))[:, None]
        frame.loc[list(scaled), list(columns)] = (
            frame.loc[list(scaled), list(columns)].to_numpy(float) * factor
        )
        frame.loc[list(scaled), "scaling"] = 1.0


def _judge(after: Any, findings: Findings) -> CheckReport:
    """Run the flow by phase and compare everything with its limit."""
    try:
        try:
            flow = powerflow(after, three_phase=True)
        except InputError:  # delta loads
            flow = powerflow(after, engine="pandapower", three_phase=True)
    except InputError as error:
        return CheckReport([*findings.issues, *error.issues])
    except PowerFlowError as error:
        findings.add("Diverged", "plan.end", "", str(error), "a state with a solution", "Take load off it.")
        return CheckReport(findings.issues)
    names, loading = [], []
    for table in ("line", "trafo"):
        result = flow.get(f"res_{table}_3ph")
        if result is None or not len(flow[table]):
            continue
        phases = result[[f"loading_{k}_percent" for k in LETTERS]].to_numpy(float)
        part = (
            flow[table]["max_loading_percent"].to_numpy(float)
            if "max_loading_percent" in flow[table]
            else 100.0
        )
        most = np.where(np.isnan(part), 100.0, part)
        names += [f"{table}:{name}" for name in flow[table]["name"]]
        loading += list(100.0 * np.nan_to_num(phases).max(axis=1) / most)
    if "ups" in flow and len(flow.ups) and "res_ups" in flow:
        names += [f"ups:{name}" for name in flow.ups["name"]]
        loading += list(np.nan_to_num(flow.res_ups["loading_percent"].to_numpy(float)))
    for name, percent in zip(names, loading, strict=True):
        if percent > 100.0 * (1.0 + RATING):
            findings.add(
                "Overload", "plan.end", name, f"{percent:.2f} %", "100 % a phase", "Take load off it."
            )
    volts = flow.res_bus_3ph[[f"vm_{k}_pu" for k in LETTERS]].to_numpy(float)
    for column, sign in (("min_vm_pu", -1.0), ("max_vm_pu", 1.0)):
        if column not in flow.bus:
            continue
        limit = flow.bus[column].to_numpy(float)[:, None]
        with np.errstate(invalid="ignore"):
            beyond = (sign * (volts - limit) > RATING * limit).any(axis=1)
        for k in np.flatnonzero(beyond):
            value = f"{(sign * volts[k]).max() * sign:.4f} pu"
            words = f"{'at most' if sign > 0 else 'at least'} {limit[k, 0]:g} pu in every phase"
            findings.add(
                "Voltage",
                "plan.end",
                f"bus:{flow.bus['name'].iloc[k]}",
                value,
                words,
                "Lower what draws there.",
            )
    worst = int(np.argmax(loading)) if loading else -1
    return CheckReport(
        findings.issues,
        losses_kw=_losses_kw(flow),
        worst_component=names[worst] if loading else "",
        worst_loading_percent=float(loading[worst]) if loading else 0.0,
        unserved_kw=0.0,
        interrupted_kw=0.0,
    )


def _losses_kw(flow: Any) -> float:
    """Return losses of lines, transformers and of the conversion in UPSs."""
    out = 0.0
    for table in ("line", "trafo"):
        result = flow[f"res_{table}_3ph"] if f"res_{table}_3ph" in flow and len(flow[table]) else None
        if result is not None:
            out += float(np.nansum(result[[f"pl_{k}_mw" for k in LETTERS]].to_numpy(float))) * 1e3
    if "ups" in flow and len(flow.ups) and "res_ups" in flow:
        online = flow.ups["mode"].to_numpy() == "online"
        gap = (flow.res_ups["p_in_mw"] - flow.res_ups["p_out_mw"]).to_numpy(float)
        out += float(np.nansum(np.where(online, gap, 0.0))) * 1e3
    return out
