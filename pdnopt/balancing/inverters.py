"""The micro-inverters of a plant, and what each may be told now; every fault of the input at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.flow import PHASES
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_name, find_component
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = [
    "Batteries",
    "Bounds",
    "Inverters",
    "nearer",
    "read_batteries",
    "read_bounds",
    "read_inverters",
    "told_rows",
]

TABLE = "asymmetric_sgen"
S_PER_H = 3600.0


@dataclass(frozen=True)
class Batteries:
    """What stands on the DC links, (I,); zeros where nothing does. Power is that at the DC link."""

    there: np.ndarray
    stored_kwh: np.ndarray
    least_kwh: np.ndarray
    most_kwh: np.ndarray
    charge_kw: np.ndarray
    discharge_kw: np.ndarray
    eta_charge: np.ndarray
    eta_discharge: np.ndarray


@dataclass(frozen=True)
class Inverters:
    """I inverters that may be told something; three rows each, phases a, b, c.

    Attributes
    ----------
    index : int, shape (I,)
        Of ``net.asymmetric_sgen``.
    rows : int, shape (3I,)
        Rows of the network at which they deliver.
    s_max_kva : float, shape (I,)
        Of each phase.
    loss : float, shape (I,)
        Part of the apparent power of all phases.
    b_low_kw, b_high_kw : float, shape (I,)
        What the battery on the DC link may deliver over the horizon; 0 without one.
    now_kva : complex, shape (3I,)
        Present set-points.
    batteries : Batteries
    """

    index: np.ndarray
    name: tuple[str, ...]
    rows: np.ndarray
    s_max_kva: np.ndarray
    loss: np.ndarray
    b_low_kw: np.ndarray
    b_high_kw: np.ndarray
    now_kva: np.ndarray
    batteries: Batteries


@dataclass(frozen=True)
class Bounds:
    """What each phase of each inverter may be told, kW and kvar, (3I,); the battery, (I,); ``told``: not failed or stale."""

    p_low: np.ndarray
    p_high: np.ndarray
    q_low: np.ndarray
    q_high: np.ndarray
    b_low: np.ndarray
    b_high: np.ndarray
    told: np.ndarray
    failed: np.ndarray


def told_rows(net: Any) -> np.ndarray:
    """Return which rows of ``net.asymmetric_sgen`` are micro-inverters in service."""
    return np.asarray((values(net, TABLE, "kind") == "mim") & net[TABLE]["in_service"].to_numpy(bool))


def read_inverters(net: Any, network: PhaseNetwork, horizon_s: float) -> Inverters:
    """Read the inverters of kind "mim" in service at live buses.

    Raises
    ------
    InputError
        There is none.
    """
    at = pd.Index(net.bus.index)
    frame = net[TABLE]
    node = network.node[at.get_indexer(frame["bus"].to_numpy(int))] if len(frame) else np.zeros(0, dtype=int)
    use = np.flatnonzero(told_rows(net) & (node >= 0)) if len(frame) else np.zeros(0, dtype=int)
    if not len(use):
        todo = "Add some with pdnopt.plant.create_micro_inverter."
        allowed = "a micro-inverter (kind 'mim') in service at a bus with voltage"
        raise InputError(Issue("NoDevice", f"net.{TABLE}", "", 0, allowed, todo))
    batteries = read_batteries(net, values(net, TABLE, "storage")[use])
    low, high = _steady_kw(batteries, horizon_s)
    now = np.column_stack(
        [frame[f"p_{k}_mw"].to_numpy(float) + 1j * frame[f"q_{k}_mvar"].to_numpy(float) for k in PHASES]
    )[use]
    scale = frame["scaling"].to_numpy(float)[use, None]
    return Inverters(
        index=frame.index.to_numpy(int)[use],
        name=tuple(component_name(net, TABLE, int(row)) for row in frame.index[use]),
        rows=(3 * node[use][:, None] + np.arange(3)).ravel(),
        s_max_kva=values(net, TABLE, "s_max_mva")[use] * KW_PER_MW,
        loss=values(net, TABLE, "loss_percent")[use] / 100.0,
        b_low_kw=low,
        b_high_kw=high,
        now_kva=(now * scale * KW_PER_MW).ravel(),
        batteries=batteries,
    )


def read_batteries(net: Any, battery: np.ndarray) -> Batteries:
    """Return the batteries of the inverters whose ``storage`` is ``battery`` (a row of ``net.storage``, NaN: none)."""
    out = {name: np.zeros(len(battery)) for name in Batteries.__dataclass_fields__ if name != "there"}
    out["eta_charge"] += 1.0
    out["eta_discharge"] += 1.0
    there = np.zeros(len(battery), dtype=bool)
    names = ("soc_min_percent", "efficiency_charge", "efficiency_discharge")
    known = {name: values(net, "storage", name) for name in names} if len(net.storage) else {}
    for k in np.flatnonzero(~np.isnan(battery.astype(float))):
        place = net.storage.index.get_loc(int(battery[k]))
        row = net.storage.iloc[place]
        if not row["in_service"]:
            continue
        there[k] = True
        whole_kwh = row["max_e_mwh"] * KW_PER_MW
        charge, discharge = (row.get(name, np.nan) for name in ("max_p_mw", "min_p_mw"))
        out["stored_kwh"][k] = row["soc_percent"] / 100.0 * whole_kwh
        out["least_kwh"][k] = known["soc_min_percent"][place] / 100.0 * whole_kwh
        out["most_kwh"][k] = whole_kwh
        out["charge_kw"][k] = np.inf if charge != charge else abs(charge) * KW_PER_MW
        out["discharge_kw"][k] = np.inf if discharge != discharge else abs(discharge) * KW_PER_MW
        out["eta_charge"][k] = known["efficiency_charge"][place]
        out["eta_discharge"][k] = known["efficiency_discharge"][place]
    return Batteries(there=there, **out)


def _steady_kw(batteries: Batteries, horizon_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and most kW that each may deliver all through the horizon (charging negative)."""
    hours = max(horizon_s, 1.0) / S_PER_H
    b = batteries
    give = np.maximum(b.stored_kwh - b.least_kwh, 0.0) * b.eta_discharge / hours
    take = np.maximum(b.most_kwh - b.stored_kwh, 0.0) / b.eta_charge / hours
    return -np.minimum(take, b.charge_kw), np.minimum(give, b.discharge_kw)


def nearer(bounds: Bounds, s_kva: np.ndarray, radius_kva: np.ndarray) -> Bounds:
    """Return the bounds within a distance of set-points (3I): what is linear at a point is right near it."""
    return replace(
        bounds,
        p_low=np.maximum(bounds.p_low, np.minimum(s_kva.real - radius_kva, bounds.p_high)),
        p_high=np.minimum(bounds.p_high, np.maximum(s_kva.real + radius_kva, bounds.p_low)),
        q_low=np.maximum(bounds.q_low, np.minimum(s_kva.imag - radius_kva, bounds.q_high)),
        q_high=np.minimum(bounds.q_high, np.maximum(s_kva.imag + radius_kva, bounds.q_low)),
    )


def read_bounds(
    net: Any, inverters: Inverters, failed: Sequence[str], stale: Sequence[str], ramp_kva: float | None
) -> Bounds:
    """Return what may be told now: a failed one gives nothing, a stale one stays, all ramp at most ``ramp_kva``.

    Raises
    ------
    InputError
        Names that are no inverter of this plant.
    """
    at = {int(index): k for k, index in enumerate(inverters.index)}
    hit: dict[str, np.ndarray] = {}
    issues: list[Issue] = []
    for path, names in (("failed", failed), ("stale", stale)):
        hit[path] = np.zeros(len(inverters.index), dtype=bool)
        for position, name in enumerate(names):
            try:
                table, index = find_component(net, name, f"{path}[{position}]")
            except InputError as error:
                issues += error.issues
                continue
            if table != TABLE or int(index) not in at:
                allowed = "a micro-inverter in service, for instance asymmetric_sgen:MIM-A1"
                todo = "Answer other failures by problem 'reroute' first."
                issues.append(Issue("InvalidName", f"{path}[{position}]", name, name, allowed, todo))
                continue
            hit[path][at[int(index)]] = True
    if issues:
        raise InputError(issues)
    wide = np.repeat(inverters.s_max_kva, 3)
    now = inverters.now_kva
    limits: list[tuple[np.ndarray, np.ndarray]] = []
    for present in (now.real, now.imag):
        low, high = -wide, wide
        if ramp_kva is not None:
            low, high = np.maximum(low, present - ramp_kva), np.minimum(high, present + ramp_kva)
        for flags, value in ((hit["stale"], present), (hit["failed"], np.zeros(len(present)))):
            low, high = (np.where(np.repeat(flags, 3), value, side) for side in (low, high))
        limits.append((low, high))
    free = ~hit["failed"] & ~hit["stale"]
    # what cannot be told keeps whatever its DC link does; a failed one does nothing
    wild = np.where(hit["stale"] & ~hit["failed"], np.inf, 0.0)
    b_low = np.where(free, inverters.b_low_kw, -wild)
    b_high = np.where(free, inverters.b_high_kw, wild)
    return Bounds(*limits[0], *limits[1], b_low, b_high, free, hit["failed"])
