"""What runs out: overload budgets, batteries, fuel. Each is a level and a rate, so the next event has an exact time."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.checker.curves import WITH_CURVE
from pdnopt.checker.tolerances import POWER_KW, RATING
from pdnopt.emulator.world import Snapshot, World
from pdnopt.plant.tables import values
from pdnopt.units import S_PER_H

__all__ = ["Clocks", "Rates"]

SPENT = 1.0 - 1e-9
PICKUP_S = 0.02
"""No protection acts sooner: it needs one cycle of 50 Hz to see an overload. The 4 ms in which an STS moves trip nothing."""
EMPTY_KWH = 1e-9


@dataclass(frozen=True)
class Rates:
    """How fast levels change from one moment on.

    Attributes
    ----------
    used_per_s : dict of str to float array
        By table, the part of each overload budget that is used in a second; negative: it recovers.
    ups_kw, storage_kw, fuel_kw : float arrays
        Power that leaves batteries (stored side for those in the rows) and fuel; negative: it charges.
    due_s : float
        Seconds until the first of them has run out, or is full.
    """

    used_per_s: dict[str, np.ndarray]
    ups_kw: np.ndarray
    storage_kw: np.ndarray
    fuel_kw: np.ndarray
    due_s: float


class Clocks:
    """Overload budgets of everything with a curve; charging of UPSs.

    Attributes
    ----------
    used : dict of str to float array
        By table ("line", "trafo", "switch", "ups"), the part of each budget that is used: 1 trips.
    back_since_s : float, shape (n_ups,)
        When a UPS came back from its battery; it charges ``walk_in_s`` later. -inf: long ago.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        net = world.net
        self.used = {table: world.curves.used[table].astype(float).copy() for table in WITH_CURVE}
        names = values(net, "overload_curve", "name")
        recovery = values(net, "overload_curve", "recovery_s")
        by_name: dict[str, float] = {}
        for name, value in zip(names, recovery, strict=True):
            by_name[str(name)] = min(float(value), by_name.get(str(name), inf))
        self.recovery_s = {
            table: np.array([by_name.get(str(c), inf) for c in world.curves.names[table]])
            for table in WITH_CURVE
        }
        self.back_since_s = np.full(world.view.n_ups, -inf)

    def charging_kw(self, t_s: float) -> np.ndarray:
        """Return what each UPS charges its battery with, kW: what it was given, more once it has been discharged."""
        w = self.world
        if not w.view.n_ups:
            return np.zeros(0)
        live = w.now.live[w.view.ups_in] & ~w.outage.ups_no_rectifier
        ready = (w.s.mode == "online") & live & (t_s >= self.back_since_s + w.walk_in_s - 1e-9)
        hungry = w.view.ups_e_kwh < w.ups_size_kwh - EMPTY_KWH
        wanted = np.where(hungry, np.maximum(w.charge_max_kw, w.charge_given_kw), w.charge_given_kw)
        return np.where(ready, wanted, 0.0)

    def walk_in_due_s(self, t_s: float) -> float:
        """Return when the next UPS that came back may charge; inf for none."""
        due = self.back_since_s + self.world.walk_in_s
        due = due[np.isfinite(due) & (due > t_s + 1e-9)]
        return float(due.min(initial=inf))

    def rates(self, snap: Snapshot, charging_kw: np.ndarray) -> Rates:
        """Return the rates that hold while nothing changes."""
        w, v = self.world, self.world.view
        due = inf
        used: dict[str, np.ndarray] = {}
        for table, level in self.used.items():
            recovers = np.where((level > 0) & np.isfinite(self.recovery_s[table]), -1.0, 0.0)
            used[table] = recovers / np.where(self.recovery_s[table] > 0, self.recovery_s[table], 1e-9)
        for group in snap.groups:
            table = group_table(group.names)
            if table not in used:
                continue
            ratio = group.ratio[0]
            over = (ratio > group.limit * (1 + RATING)) & (group.curve != "")
            for m in np.flatnonzero(over):
                longest = w.curves.max_s(
                    str(group.curve[m]),
                    float(group.temperature_c[m]),
                    bool(group.on_battery[0, m]),
                    float(ratio[m]),
                    float(group.limit[m]),
                )
                longest = max(longest, PICKUP_S)
                used[table][m] = 1.0 / longest
                due = min(due, max(1.0 - self.used[table][m], 0.0) * longest)
        flow = snap.flow
        ups = np.where(snap.on_battery, np.nan_to_num(flow.ups_p_out_kw[0]), 0.0) if v.n_ups else np.zeros(0)
        ups = np.maximum(ups, 0.0) - charging_kw
        storage = (
            np.where(w.now.live[v.st_node] & ~w.outage.st_dead, w.s.st_kw, 0.0) if v.n_st else np.zeros(0)
        )
        for b in np.flatnonzero(v.st_src >= 0):
            if w.s.st_forming[b]:
                storage[b] = -np.nan_to_num(flow.ext_grid_p_kw[0, v.st_src[b]])
        storage = np.where(storage < 0, -storage / v.st_eta_out, -storage * v.st_eta_in)
        burns = w.s.src_on & np.isfinite(v.src_fuel_kwh) & ~v.src_companion
        fuel = np.where(burns, np.maximum(np.nan_to_num(flow.ext_grid_p_kw[0]), 0.0), 0.0)
        room = w.ups_size_kwh - v.ups_e_kwh
        ups = np.where((ups < 0) & (room <= EMPTY_KWH), 0.0, ups)  # a full battery is only kept full
        due = min(due, _until(v.ups_e_kwh, ups), _until(room, -ups))
        due = min(
            due,
            _until(v.st_now_kwh - v.st_floor_kwh, storage),
            _until(v.st_size_kwh - v.st_now_kwh, -storage),
        )
        due = min(due, _until(v.src_fuel_kwh, fuel))
        return Rates(used, ups, storage, fuel, due)

    def run(self, rates: Rates, dt_s: float) -> None:
        """Let time pass."""
        if dt_s <= 0:
            return
        v, hours = self.world.view, dt_s / S_PER_H
        for table, per_s in rates.used_per_s.items():
            level = self.used[table] + per_s * dt_s
            self.used[table] = np.maximum(level, 0.0)
        v.ups_e_kwh = np.clip(
            v.ups_e_kwh - rates.ups_kw * hours, 0.0, np.maximum(self.world.ups_size_kwh, v.ups_e_kwh)
        )
        v.st_now_kwh = np.minimum(v.st_now_kwh - rates.storage_kw * hours, v.st_size_kwh)
        v.src_fuel_kwh = v.src_fuel_kwh - rates.fuel_kw * hours

    def spent(self, rates: Rates) -> list[tuple[str, int]]:
        """Return (table, row) of every overload budget that is used up and still overloaded; UPSs first: they are faster."""
        return [
            (table, int(k))
            for table, level in sorted(self.used.items(), key=lambda item: item[0] != "ups")
            for k in np.flatnonzero((rates.used_per_s[table] > 0) & (level >= SPENT))
        ]

    def empty(self, rates: Rates) -> dict[str, list[int]]:
        """Return the rows of batteries and fuel that are empty while they are asked for."""
        v = self.world.view
        return {
            "ups": _rows(v.ups_e_kwh, rates.ups_kw),
            "storage": _rows(v.st_now_kwh - v.st_floor_kwh, rates.storage_kw),
            "ext_grid": _rows(v.src_fuel_kwh, rates.fuel_kw),
        }

    def full(self, rates: Rates) -> list[int]:
        """Return the rows of batteries in the rows that are full while they charge."""
        v = self.world.view
        return _rows(v.st_size_kwh - v.st_now_kwh, -rates.storage_kw)


def group_table(names: list[str]) -> str:
    """Return the table that a group of rated components belongs to."""
    return names[0].partition(":")[0] if names else ""


def _until(level_kwh: np.ndarray, out_kw: np.ndarray) -> float:
    drains = (out_kw > POWER_KW) & np.isfinite(level_kwh)
    if not drains.any():
        return inf
    return float((np.maximum(level_kwh[drains], 0.0) * S_PER_H / out_kw[drains]).min())


def _rows(level_kwh: np.ndarray, out_kw: np.ndarray) -> list[int]:
    near = np.maximum(EMPTY_KWH, 1e-9 * np.abs(out_kw))
    return [int(k) for k in np.flatnonzero((out_kw > POWER_KW) & (level_kwh <= near))]
