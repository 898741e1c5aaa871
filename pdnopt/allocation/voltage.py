"""Voltage on the way from a reserve system to a device: which choices are out, and what each output has.

A UPS's output is a source of its own voltage v_0; the drop down to a station is about sum (r P + x Q) over the branches
between, in pu of `min_vm_pu`'s base. Here each device counts with its own load alone, so that what is excluded is excluded
whatever the others choose; that all of them together keep the limits is for the AC power flow of the checker to say.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.allocation.exposure import Exposure, Frame
from pdnopt.plant.grid import Grid
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["output_vm_pu", "within_voltage"]


def within_voltage(
    net: Any, frame: Frame, data: Exposure, ups_of_station: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return the choices of each device that keep its output above ``min_vm_pu``, by its own load alone.

    Where none does so in every scenario: those that do with nothing failed; where none does even then: all.
    """
    choices = data.choices
    base = frame.scenarios[0]
    bad = _too_low(net, frame, data, base.grid, ups_of_station)
    out = list(frame.allowed)
    for d in np.flatnonzero(bad.any(axis=1)).tolist():
        may, stands = frame.allowed[d], data.stands[choices.kind[d]]
        low = np.where(stands >= 0, bad[d][np.maximum(stands, 0)], False)
        for ruled_out in (low.any(axis=0), low[0]):
            left = may & ~ruled_out
            if left.any():
                break
        out[d] = left if left.any() else may
    return tuple(out)


def _too_low(net: Any, frame: Frame, data: Exposure, grid: Grid, ups_of_station: np.ndarray) -> np.ndarray:
    """Return whether a device's own load at a station would bring its output below its limit, (D, Q)."""
    parts, choices = frame.reader.components, data.choices
    n = len(choices.station_node)
    branch = ~np.isin(parts.table, ("switch", "ups", "source"))
    rows = np.flatnonzero(branch)
    way = frame.scenarios[0].s[rows][:, :n].toarray()  # 1 below the first UPS above, 0 elsewhere
    at = parts.position[rows]
    r_pu, x_pu = way.T @ grid.branches.r_pu[at], way.T @ grid.branches.x_pu[at]
    p_kw, s_kva = data.p_kw.max(axis=(0, 2)), data.s_kva.max(axis=(0, 2))
    q_kvar = np.sqrt(np.maximum(s_kva**2 - p_kw**2, 0.0))
    drop = (np.outer(p_kw, r_pu) + np.outer(q_kvar, x_pu)) / KW_PER_MW
    least = _limits(net, grid, choices.output)
    return np.asarray(_source_vm(net, grid, ups_of_station)[None, :] - drop < least[:, None])


def _source_vm(net: Any, grid: Grid, ups_of_station: np.ndarray) -> np.ndarray:
    """Return the voltage of the UPS above each station, (Q,); infinite where there is none."""
    owner, vm = values(net, "ext_grid", "ups"), net.ext_grid["vm_pu"].to_numpy(float)
    of_ups = {int(k): float(v) for k, v in zip(owner, vm, strict=True) if k == k}
    index = grid.upss.index
    return np.array([of_ups.get(int(index[u]), np.inf) if u >= 0 else np.inf for u in ups_of_station])


def _limits(net: Any, grid: Grid, nodes: np.ndarray) -> np.ndarray:
    low = net.bus["min_vm_pu"].to_numpy(float) if "min_vm_pu" in net.bus else np.full(len(net.bus), np.nan)
    return np.asarray(np.nan_to_num(low[net.bus.index.get_indexer(grid.nodes.bus[nodes])], nan=0.0))


def output_vm_pu(net: Any, grid: Grid, nodes: np.ndarray, vm_pu: np.ndarray) -> np.ndarray:
    """Return the voltages of outputs, given those of all buses."""
    return np.asarray(vm_pu[net.bus.index.get_indexer(grid.nodes.bus[nodes])])
