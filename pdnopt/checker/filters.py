"""Compensation currents of active filters: are they commands at all, and do they fit into the rms rating of each phase?

The fundamental current of a phase is its set-point over its voltage by AC power flow; with all harmonics its rms must not
be above ``s_max_mva`` over the nominal voltage. A phase that compensates nothing is judged by its apparent power alone.
Only an inverter with ``active_filter`` that works may be told to compensate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.acflow import powerflow
from pdnopt.checker.findings import Findings
from pdnopt.checker.tolerances import RATING
from pdnopt.errors import InputError, PowerFlowError
from pdnopt.plant.tables import values

__all__ = ["COMPENSATE", "check_filters", "commanded", "flow_by_phase", "phasors"]

COMPENSATE = "compensate"
TABLE = "asymmetric_sgen"
ROUNDED_A = 2e-3
"""What rounding of single currents may add to an rms value."""
KEYS = {"order", "i_a", "angle_degree"}


def commanded(item: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return orders (H,), rms currents (A) and angles (degrees), (H, 3); None where it is no such command."""
    if not isinstance(item.after, dict) or set(item.after) != KEYS:
        return None
    try:
        order, size, angle = (
            np.asarray(item.after[key], dtype=float) for key in ("order", "i_a", "angle_degree")
        )
    except (TypeError, ValueError):
        return None
    shape = (len(order), 3) if order.ndim == 1 else ()
    if not len(shape) or size.shape != shape or angle.shape != shape:
        return None
    whole = np.isfinite(order).all() and (order % 1 == 0).all() and (order >= 2).all()
    if not whole or len(set(order)) != len(order) or not (np.isfinite(size) & np.isfinite(angle)).all():
        return None
    return (order.astype(int), size, angle) if (size >= 0).all() else None


def flow_by_phase(net: Any) -> Any:
    """Return a copy of a network with its AC power flow by phase. Raises PowerFlowError, InputError."""
    try:
        return powerflow(net, three_phase=True)
    except InputError:  # delta loads
        return powerflow(net, engine="pandapower", three_phase=True)


def phasors(flow: Any, bus: int) -> np.ndarray:
    """Return the fundamental voltages of a bus, pu of phase to neutral."""
    row = flow.res_bus_3ph.loc[bus]
    return np.array([row[f"vm_{k}_pu"] * np.exp(1j * np.radians(row[f"va_{k}_degree"])) for k in "abc"])


def check_filters(after: Any, told: list[tuple[int, Any, str]], findings: Findings) -> None:
    """Check compensation commands (row, action, path) on the network with its set-points carried out."""
    good = []
    for row, item, path in told:
        place = after[TABLE].index.get_loc(row)
        if not values(after, TABLE, "active_filter")[place]:
            todo = "Leave it out: it cannot compensate."
            findings.add("NoFilter", path, item.device, item.action, "an inverter with active_filter", todo)
            continue
        currents = commanded(item)
        if currents is None:
            allowed = "order (whole, from 2, each once), i_a and angle_degree: three finite numbers an order"
            findings.add("BadAction", path, item.device, item.after, allowed, "Correct the command.")
            continue
        good.append((row, item, path, currents))
    if not good:
        return
    try:
        flow = flow_by_phase(after)
    except (InputError, PowerFlowError):
        return  # told by the judgement of the set-points
    for row, item, path, (_, size, _) in good:
        line = after[TABLE].loc[row]
        volt = float(after.bus.at[line["bus"], "vn_kv"]) / np.sqrt(3.0)
        s = np.array([complex(line[f"p_{k}_mw"], line[f"q_{k}_mvar"]) for k in "abc"]) * line["scaling"] * 1e3
        one = np.abs(s / phasors(flow, int(line["bus"]))) / volt
        rms = np.sqrt(one**2 + (size**2).sum(axis=0))
        most = float(values(after, TABLE, "s_max_mva")[after[TABLE].index.get_loc(row)]) * 1e3 / volt
        worst = rms[(size > 0).any(axis=0)].max(initial=0.0)
        if not worst <= most * (1.0 + RATING) + ROUNDED_A:
            allowed = f"at most {most:.3f} A rms a phase, fundamental included"
            todo = "Compensate less, or lower the set-point."
            findings.add("Overload", path, item.device, f"{worst:.3f} A rms", allowed, todo)
