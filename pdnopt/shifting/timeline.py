"""The course of a shift as a table: loads by feed, state of charge, risk and actions, one row a step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pdnopt.shifting.data import ShiftData
from pdnopt.shifting.outlook import Outlook
from pdnopt.shifting.plant import ShiftPlant
from pdnopt.shifting.stakes import StakeReader

__all__ = ["timeline"]


def timeline(plant: ShiftPlant, reader: StakeReader, data: ShiftData, outlook: Outlook) -> pd.DataFrame:
    """Return one row a step.

    Columns: step, t_s, p_fail (probability that any of the failures happens in the step), at_stake_kwh (what they are
    expected to cost then), transfers, moved_kw, charge_kw (of all batteries, discharging negative), stored_kwh, soc_percent,
    cap_kw, and one column ``kW ups:NAME`` a UPS: its load in the scenario with most load.
    """
    course, devices = data.course, data.devices
    scenario = course.dearest
    n_steps = course.n_steps
    p_fail = np.zeros(n_steps)
    for stake in data.failures:
        np.add.at(p_fail, stake.step, stake.p)
    kw = data.nominal.hung_kw(course.n_steps).max(axis=2)
    moved = outlook.moves(devices.held)
    cap_kw = np.zeros(n_steps)
    if outlook.cap_kw.size:
        np.maximum.at(cap_kw, data.nominal.step, outlook.cap_kw.sum(axis=(1, 2)))
    capacity = float(data.batteries.high_kwh.sum())
    stored = outlook.stored_kwh.sum(axis=1)
    power = outlook.charge_kw - outlook.discharge_kw
    columns: dict[str, object] = {
        "step": np.arange(1, n_steps + 1),
        "t_s": course.step_s * np.arange(n_steps),
        "p_fail": p_fail,
        "at_stake_kwh": outlook.at_stake,
        "transfers": moved.sum(axis=1),
        "moved_kw": (moved * kw.T).sum(axis=1),
        "charge_kw": power.sum(axis=1),
        "stored_kwh": stored,
        "soc_percent": 100.0 * stored / capacity if capacity > 0 else np.full(n_steps, np.nan),
        "cap_kw": cap_kw,
    }
    for name, loads in _ups_loads(plant, reader, data, outlook, scenario).items():
        columns[f"kW {name}"] = loads
    return pd.DataFrame(columns)


def _ups_loads(
    plant: ShiftPlant, reader: StakeReader, data: ShiftData, outlook: Outlook, scenario: int
) -> dict[str, np.ndarray]:
    """Return the load of every UPS by step, kW."""
    parts = reader.frame.reader.components
    mine = np.flatnonzero((parts.table == "ups") & parts.by_p)
    out = {parts.name[e]: np.zeros(data.course.n_steps) for e in mine}
    for t in range(data.course.n_steps):
        extra = np.zeros(len(plant.reader.feeding))
        for b, d in enumerate(data.batteries.device):
            q = int(plant.devices.station[d, outlook.position[t, d]])
            extra[q] += outlook.charge_kw[t, b] - outlook.discharge_kw[t, b]
        cord_kw = data.course.cord_kw[:, t, scenario][:, None]
        load = reader.load_of(0, cord_kw, outlook.position[t], extra)[:, 0]
        for e in mine:
            out[parts.name[e]][t] = load[e]
    return out
