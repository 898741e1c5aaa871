"""From an outlook to states of the plant: what is commanded now, and what is intended later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State
from pdnopt.shifting.course import Course
from pdnopt.shifting.outlook import Outlook
from pdnopt.shifting.plant import ShiftPlant
from pdnopt.shifting.stakes import Stake

__all__ = ["SETPOINT_KW", "schedule", "target"]

SETPOINT_KW = 0.05
"""Battery powers and caps below this are no commands."""

COLUMNS = ("step", "t_s", "device", "action", "before", "after", "kw", "kwh", "committed")


def target(
    plant: ShiftPlant, demand: Demand, state: State, stake: Stake, outlook: Outlook, step: int, storage: bool
) -> State:
    """Return the state that the outlook wants in a step, from what ``state`` says of everything else.

    ``storage``: with the batteries' powers and the caps of the step, which hold for this step only.
    """
    devices = plant.devices
    closed = state.closed.copy()
    closed[devices.switch[devices.switch >= 0]] = False
    closed[devices.switch[np.arange(devices.n), outlook.position[step]]] = True
    if not storage:
        return state.but(closed=closed)
    storage_kw = state.storage_kw.copy()
    power = outlook.charge_kw[step] - outlook.discharge_kw[step]
    storage_kw[plant.batteries.row] = np.where(np.abs(power) > SETPOINT_KW, power, 0.0)
    served = state.served * _served(plant, demand, stake, outlook, step)
    return state.but(closed=closed, storage_kw=storage_kw, served=served)


def _served(plant: ShiftPlant, demand: Demand, stake: Stake, outlook: Outlook, step: int) -> np.ndarray:
    """Return the part of its demand that each unit may draw: the same part of what can be capped in a group and priority.

    A unit with cords in two groups is capped as far as the one that needs it more.
    """
    out = np.ones(demand.n)
    mine = np.flatnonzero(stake.step == step)
    if not stake.n_groups or not outlook.cap_kw[mine].max(initial=0.0) > SETPOINT_KW:
        return out
    priorities = np.unique(demand.priority)
    rank = np.searchsorted(priorities, demand.priority)
    room = stake.board_kw - stake.board_floor_kw
    group = np.full(len(demand.cord_unit), -1)
    device, board = plant.reader.cord_device, plant.reader.cord_board
    of_device = stake.group[np.arange(len(stake.group)), outlook.position[step]]
    on = of_device >= 0
    np.add.at(room, of_device[on], (stake.hang_kw - stake.floor_kw)[on])
    group[device >= 0] = of_device[device[device >= 0]]
    group[board >= 0] = stake.column[board[board >= 0]]
    part = np.zeros(outlook.cap_kw.shape[1:])
    for v in mine:
        cap, most = outlook.cap_kw[v], room[:, v]
        part = np.maximum(
            part, np.where(cap > SETPOINT_KW, np.minimum(cap / np.maximum(most, 1e-9), 1.0), 0.0)
        )
    cord = np.flatnonzero(group >= 0)
    depth = np.zeros(demand.n)
    np.maximum.at(depth, demand.cord_unit[cord], part[group[cord], rank[demand.cord_unit[cord]]])
    floor = np.where(demand.d_kw > 0, demand.min_kw / np.maximum(demand.d_kw, 1e-9), 1.0)
    return np.asarray(1.0 - depth * (1.0 - np.minimum(floor, 1.0)))


def schedule(
    plant: ShiftPlant, course: Course, stake: Stake, outlook: Outlook, latency_s: float
) -> pd.DataFrame:
    """Return every intended action, one row each; those of the first step are committed, the rest is advisory.

    Columns: step (from 1), t_s, device, action, before, after, kw (load moved, or power, charging positive), kwh (of a
    battery: energy at the AC side in the step; of a transfer that a battery bridges: what it gives), committed.
    """
    devices, batteries = plant.devices, plant.batteries
    names = plant.grid.switches.name
    kw = stake.hung_kw(course.n_steps).max(axis=2)
    rows: list[tuple[object, ...]] = []
    before = devices.held
    power_before = plant.grid.storages.p_now_kw[batteries.row]
    for t in range(course.n_steps):
        start_s, first = t * course.step_s + latency_s, t == 0
        for d in np.flatnonzero(outlook.position[t] != before):
            old, new = (names[devices.switch[d, p]] for p in (before[d], outlook.position[t, d]))
            bridged = 0.0
            if d in batteries.device:
                bridged = kw[d, t] * devices.transfer_s[d] / 3600.0
            rows.append((t + 1, start_s, devices.name[d], "transfer", old, new, kw[d, t], bridged, first))
        power = outlook.charge_kw[t] - outlook.discharge_kw[t]
        power = np.where(np.abs(power) > SETPOINT_KW, power, 0.0)
        for b in np.flatnonzero(np.abs(power - power_before) > SETPOINT_KW):
            values = (float(power_before[b]), float(power[b]), float(power[b]))
            rows.append((t + 1, start_s, batteries.name[b], "power", *values, power[b] * course.hours, first))
        before, power_before = outlook.position[t], power
    return pd.DataFrame(rows, columns=list(COLUMNS))
