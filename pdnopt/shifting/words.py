"""Why a shift moves, or does not: in words, with numbers."""

from __future__ import annotations

import numpy as np

from pdnopt.shifting.commands import SETPOINT_KW
from pdnopt.shifting.data import ShiftData
from pdnopt.shifting.outlook import Outlook
from pdnopt.shifting.plant import ShiftPlant

__all__ = ["notes_of", "summary"]


def summary(data: ShiftData, outlook: Outlook, idle: Outlook | None) -> str:
    """Return the first sentence: what is moved now, what that avoids and what it costs."""
    moved = outlook.moves(data.devices.held)
    first = data.nominal.step == 0
    kw = data.nominal.hang_kw[:, first].sum(axis=2).max(axis=1, initial=0.0)
    n_now, n_all = int(moved[0].sum()), int(moved.sum())
    power = outlook.charge_kw[0].sum() - outlook.discharge_kw[0].sum()
    parts = [
        f"moves {kw[moved[0]].sum():.0f} kW now ({n_now} of {n_all} transfers)"
        if n_now
        else "moves nothing now"
    ]
    if not n_now and n_all:
        parts[0] += f" ({n_all} transfers later)"
    if abs(power) > SETPOINT_KW:
        parts.append(f"{'charges' if power > 0 else 'discharges'} batteries with {abs(power):.0f} kW")
    text = " and ".join(parts)
    if idle is None:
        return text
    avoided = idle.bill.expected + idle.bill.nominal - outlook.bill.expected - outlook.bill.nominal
    n = f"{n_all} transfer{'s' if n_all != 1 else ''}"
    return (
        f"{text}: over the horizon expected {avoided:.2f} kWh-eq at risk avoided of {idle.bill.expected:.2f},"
        f" costs {n} ({outlook.bill.moves:.2f} kWh-eq) and {outlook.bill.cycling:.2f} kWh-eq of cycling"
    )


def notes_of(plant: ShiftPlant, data: ShiftData, outlook: Outlook, idle: Outlook | None) -> tuple[str, ...]:
    """Return what a person should know of this shift."""
    notes = [summary(data, outlook, idle), *_bridges(plant, data, outlook)]
    if outlook.beyond_kw.max(initial=0.0) > SETPOINT_KW:
        t = int(outlook.beyond_kw.argmax())
        notes.append(
            f"no choice keeps all limits in step {t + 1}: {outlook.beyond_kw[t]:.1f} kW beyond"
            f" ({', '.join(data.nominal.row[:3])}); shed load, or add capacity"
        )
    if outlook.unsafe:
        name, kw = outlook.unsafe[0]
        others = ", after others no more" if len(outlook.unsafe) > 1 else ""
        notes.append(
            f"the end state is not N-1 safe, and no positions at no higher cost are:"
            f" {kw:.1f} kW must go after losing {name}{others}"
        )
    if plant.left_out:
        names = ", ".join(plant.left_out[:4])
        notes.append(f"batteries not decided, no decided device is above them: {names}")
    if plant.choices.left_out:
        names = ", ".join(plant.choices.left_out[:4])
        notes.append(f"devices not decided, more than load hangs on them: {names}")
    return tuple(notes)


def _bridges(plant: ShiftPlant, data: ShiftData, outlook: Outlook) -> list[str]:
    """Say which batteries hold their loads while a transfer of the first step is slower than the hold-up."""
    devices, batteries = data.devices, data.batteries
    kw = data.nominal.hung_kw(data.course.n_steps)[:, 0].max(axis=1)
    holdup_s = float(plant.demand.holdup_s.min(initial=0.0))
    lines = []
    for d in np.flatnonzero(outlook.moves(devices.held)[0]):
        held_s = float(devices.transfer_s[d])
        for b in np.flatnonzero((batteries.device == d) & batteries.forms):
            if held_s > holdup_s:
                lines.append(
                    f"{batteries.name[b]} bridges the transfer of {devices.name[d]}:"
                    f" {kw[d]:.1f} kW for {1000 * held_s:.0f} ms, {1000 * kw[d] * held_s / 3600:.2f} Wh"
                )
    return lines
