"""The plant as it is now, made of what is believed: a network that a session can go on with, and what has failed.

Of every component it is asked: what does it say of itself (position, mode, running), and is it available? What is not
available has failed - as a whole or in one of the milder forms (PLANT.md) - unless a person has it in local mode, which
looks the same and is treated the same: it cannot be counted on.

Demand is what a unit would draw if nobody limited it. It is measured while the unit is fed and under no limit of ours;
otherwise the last measured value stands. A cord that is not measured is taken to draw what it last drew and a tenth more
(`UNSEEN_FACTOR`), or what the tables say if it was never measured: never less than what a feeder's own meter demands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdnopt.control.beliefs import Beliefs
from pdnopt.plant.demand import read_demand
from pdnopt.plant.grid import read_grid
from pdnopt.plant.names import component_names
from pdnopt.plant.state import State, initial_state, islands
from pdnopt.plant.tables import UPS_MODES, values
from pdnopt.protocols.readings import Quality
from pdnopt.units import KW_PER_MW

__all__ = ["Numbers", "Picture", "Pictures", "with_numbers", "with_shares"]

UNSEEN_FACTOR = 1.1
UNSEEN_S = 12.0
"""So long a device that is not read is taken to be where it was. It is read again before it is moved."""
BALANCE_PART, BALANCE_KW = 0.05, 1.0
"""Meters of a UPS and of what hangs below it may differ by so much (two meters of class 1 to 2, losses of the wires)."""
COMPANIONS = ("ups", "storage")

Numbers = dict[str, dict[str, list[Any]]]
"""Table -> column -> one plain value a row: all that differs from the network as given."""


def with_numbers(net: Any, numbers: Numbers) -> Any:
    """Return the network with columns replaced; tables that are not named are shared with ``net``."""
    out = copy(net)
    for table, columns in numbers.items():
        frame = net[table].copy()
        for name, column in columns.items():
            frame[name] = np.asarray(column, dtype=object if name in ("mode", "running") else None)
        out[table] = frame
    return out


@dataclass(frozen=True)
class Picture:
    """One moment.

    Attributes
    ----------
    t_s : float
        UTC.
    numbers : dict
        What `with_numbers` writes into the network as given.
    failed : tuple of str
        In the words of ``solve(failed=...)``, sorted.
    fingerprint : str
        Of every position, mode and failure: what a plan stands on. Loads are no part of it.
    demand_kw : dict
        Unit -> what it would draw.
    dark : frozenset of str
        Units without voltage, as far as it is known.
    unknown : frozenset of str
        Devices whose position, mode or running is not known now: the last one known is taken.
    estimated_part : float
        Part of the demand that is no measurement of now.
    limits_kw : dict
        Unit -> what it has been told that it may draw; units without a limit are not in it.
    notes : tuple of str
        What does not add up.
    """

    t_s: float
    numbers: Numbers
    failed: tuple[str, ...]
    fingerprint: str
    demand_kw: Mapping[str, float]
    dark: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    estimated_part: float = 0.0
    total_kw: float = 0.0
    limits_kw: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Pictures:
    """Makes pictures of one plant.

    Parameters
    ----------
    net : pandapowerNet
        As given; validated.
    """

    def __init__(self, net: Any) -> None:
        self.base = with_shares(net)
        self.grid = read_grid(self.base)
        self.demand = read_demand(self.base, self.grid)
        self._names = {
            table: component_names(net, table) for table in TABLES if table in net and len(net[table])
        }
        kinds = values(net, "ext_grid", "kind")
        self._source_kind = [str(kind) for kind in kinds]
        owner = values(net, "switch", "transfer")
        self._owned = owner == owner
        ups = values(net, "switch", "ups")
        self._bypass = ups == ups
        self._position_row = {name: k for k, name in enumerate(self._names.get("switch", ()))}
        self._closed = net.switch["closed"].to_numpy(bool).copy() if len(net.switch) else np.zeros(0, bool)
        self._mode = [str(mode) for mode in values(net, "ups", "mode")] if "ups" in self._names else []
        self._running = [bool(v) for v in _running(net)]
        self._cord_kw = self.demand.cord_kw.copy()
        self._d_kw = self.demand.d_kw.copy()
        self._initial: State | None = None
        self._now_s = 0.0
        self._flags: dict[tuple[str, str], Any] = {}
        self._seen_s: dict[str, float] = {}
        self.limits_kw: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        """Everything that is read, in order."""
        racks = (name for name in self.demand.name if name.startswith("rack:"))
        return (*self.status_devices, *racks, *self.demand.cord_name)

    @property
    def status_devices(self) -> tuple[str, ...]:
        """What says how the plant is switched and what is broken: read often, since a failure does not wait for the tick."""
        out: list[str] = []
        for table, names in self._names.items():
            for k, name in enumerate(names):
                if table == "ext_grid" and self._source_kind[k] in COMPANIONS:
                    continue
                if table == "switch" and (self._owned[k] or self._bypass[k]):
                    continue
                out.append(name)
        return tuple(out)

    def names(self, table: str) -> tuple[str, ...]:
        """Return the names of a table's components."""
        return tuple(self._names.get(table, ()))

    def is_closed(self, switch: str) -> bool:
        """Return how a switch was seen last."""
        return bool(self._closed[self._position_row[switch]])

    def position(self, transfer: str) -> str | None:
        """Return where a transfer device was seen last."""
        k = self.grid.transfers.name.index(transfer)
        rows = [int(row) for row in self.grid.transfers.positions[k] if self._closed[row]]
        return self._names["switch"][rows[0]] if rows else None

    def parts_of(self, units: Iterable[str]) -> frozenset[str]:
        """Return the units and their cords."""
        mine = set(units)
        d = self.demand
        cords = (name for name, u in zip(d.cord_name, d.cord_unit, strict=True) if d.name[u] in mine)
        return frozenset({*mine, *cords}) if mine else frozenset()

    def column(self, table: str, name: str) -> np.ndarray:
        """Return a column of the network as given, with defaults."""
        return np.asarray(values(self.base, table, name))

    def picture(self, seen: Beliefs, t_s: float) -> Picture:
        """Return what is believed as a network and its failures."""
        self._now_s = t_s
        failed: list[str] = []
        unknown: set[str] = set()
        numbers: Numbers = {}
        self._switches(seen, failed, unknown, numbers)
        self._upss(seen, failed, unknown, numbers)
        self._sources(seen, failed, unknown, numbers)
        self._stores(seen, failed, numbers)
        for table in ("bus", "line", "trafo", "trafo3w", "impedance"):
            names = self._names.get(table, ())
            failed += [name for name in names if self._flag(seen, name, "available", True) is False]
        failed += [
            name for name in self.demand.cord_name if self._flag(seen, name, "available", True) is False
        ]
        dark, estimated = self._loads(seen, numbers)
        self._budgets(seen, numbers)
        failed = sorted(failed)
        finger = hashlib.sha256(
            repr((self._closed.tolist(), self._mode, self._running, failed)).encode()
        ).hexdigest()
        return Picture(
            t_s,
            numbers,
            tuple(failed),
            finger,
            dict(zip(self.demand.name, self._d_kw.tolist(), strict=True)),
            frozenset(dark),
            frozenset(unknown),
            estimated,
            float(self._d_kw.sum()),
            dict(self.limits_kw),
            self.notes,
        )

    def _flag(self, seen: Beliefs, name: str, quantity: str, default: Any) -> Any:
        """Return a value that stands until it is seen to be another one: what has failed stays so while it is not read."""
        found = seen.value(name, quantity)
        if found is not None:
            self._flags[name, quantity] = found
        return self._flags.get((name, quantity), default)

    def _lost_sight(self, name: str, known: bool) -> bool:
        """Whether a device has not been read for so long that it may be elsewhere."""
        if known:
            self._seen_s[name] = self._now_s
            return False
        return self._now_s - self._seen_s.get(name, float("-inf")) > UNSEEN_S

    # --- positions, modes, failures

    def _switches(self, seen: Beliefs, failed: list[str], unknown: set[str], numbers: Numbers) -> None:
        names = self._names.get("switch", ())
        for k, name in enumerate(names):
            if self._owned[k] or self._bypass[k]:
                continue
            closed = seen.value(name, "closed")
            if self._lost_sight(name, closed is not None):
                unknown.add(name)
            if closed is not None:
                self._closed[k] = bool(closed)
            if self._flag(seen, name, "available", True) is False:
                failed.append(f"{name}@stuck_{'closed' if self._closed[k] else 'open'}")
        grid = self.grid.transfers
        for k, name in enumerate(grid.name):
            found = seen.of(name, "position")
            rows = grid.positions[k]
            if self._lost_sight(name, found.usable):
                unknown.add(name)
            if found.usable:
                self._closed[rows] = False
                if found.value in self._position_row:
                    self._closed[self._position_row[found.value]] = True
            if self._flag(seen, name, "available", True) is False:
                failed.append(f"{name}@stuck" if self._closed[rows].any() else name)
        if len(names):
            numbers.setdefault("switch", {})["closed"] = self._closed.tolist()
        if len(grid.name):
            left = [float(seen.value(name, "dwell_left_s", 0.0)) for name in grid.name]
            numbers["transfer"] = {"dwell_left_s": left}

    def _upss(self, seen: Beliefs, failed: list[str], unknown: set[str], numbers: Numbers) -> None:
        names = self._names.get("ups", ())
        if not names:
            return
        frame = self.base.ups
        soc, warm = values(self.base, "ups", "soc_percent"), values(self.base, "ups", "temperature_c")
        bypass = dict(zip(self.grid.upss.name, self.grid.upss.bypass, strict=True))
        for k, name in enumerate(names):
            mode = seen.value(name, "mode")
            if self._lost_sight(name, mode in UPS_MODES):
                unknown.add(name)
            if mode in UPS_MODES:
                self._mode[k] = mode
            if bypass[name] >= 0:
                self._closed[bypass[name]] = self._mode[k] in ("bypass", "eco")
            if self._flag(seen, name, "available", True) is False:
                failed.append(name)
            else:
                if self._flag(seen, name, "inverter_ok", True) is False:
                    failed.append(f"{name}@to_bypass")
                if self._flag(seen, name, "rectifier_ok", True) is False:
                    failed.append(f"{name}@rectifier")
                if float(self._flag(seen, name, "modules_part", 1.0)) < 1.0:
                    failed.append(f"{name}@module")
                if self._flag(seen, name, "bypass_ok", True) is False and bypass[name] >= 0:
                    switch = self._names["switch"][bypass[name]]
                    failed.append(f"{switch}@stuck_open")  # it has tripped, for instance
            soc[k] = float(seen.value(name, "soc_percent", soc[k]))
            warm[k] = float(seen.value(name, "temperature_c", warm[k]))
        assert len(frame) == len(names)
        numbers["ups"] = {"mode": list(self._mode), "soc_percent": list(soc), "temperature_c": list(warm)}
        if len(self._closed):
            numbers.setdefault("switch", {})["closed"] = self._closed.tolist()

    def _sources(self, seen: Beliefs, failed: list[str], unknown: set[str], numbers: Numbers) -> None:
        names = self._names.get("ext_grid", ())
        for k, name in enumerate(names):
            if self._source_kind[k] in COMPANIONS:
                continue
            running = seen.value(name, "running")
            if self._lost_sight(name, running is not None):
                unknown.add(name)
            if running is not None:
                self._running[k] = bool(running)
            dead = self._flag(seen, name, "available", True) is False
            if dead or (not self._running[k] and self._source_kind[k] == "utility"):
                failed.append(name)
        if any(kind == "genset" for kind in self._source_kind):
            told = [
                self._running[k] if kind == "genset" else None for k, kind in enumerate(self._source_kind)
            ]
            numbers["ext_grid"] = {"running": told}

    def _stores(self, seen: Beliefs, failed: list[str], numbers: Numbers) -> None:
        names = self._names.get("storage", ())
        if not names:
            return
        soc = self.base.storage["soc_percent"].to_numpy(float).copy()
        power = self.base.storage["p_mw"].to_numpy(float).copy()
        for k, name in enumerate(names):
            soc[k] = float(seen.value(name, "soc_percent", soc[k]))
            power[k] = float(seen.value(name, "setpoint_kw", power[k] * KW_PER_MW)) / KW_PER_MW
            if self._flag(seen, name, "available", True) is False:
                failed.append(name)
        numbers["storage"] = {"soc_percent": soc.tolist(), "p_mw": power.tolist()}

    def _budgets(self, seen: Beliefs, numbers: Numbers) -> None:
        for table in ("ups", "line", "trafo", "switch"):
            names = self._names.get(table, ())
            used = [float(seen.value(name, "overload_used", 0.0)) for name in names]
            if any(used) or (table in numbers and "overload_used" in self.base[table].columns):
                numbers.setdefault(table, {})["overload_used"] = [min(max(u, 0.0), 1.0) for u in used]

    # --- loads

    def _loads(self, seen: Beliefs, numbers: Numbers) -> tuple[list[str], float]:
        d = self.demand
        n = len(d.cord_unit)
        kw, fed, known = np.zeros(n), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        for k, name in enumerate(d.cord_name):
            power, alive = seen.of(name, "p_kw"), seen.of(name, "fed")
            known[k] = power.quality is Quality.GOOD and power.value is not None
            kw[k] = max(float(power.value), 0.0) if known[k] else self._cord_kw[k] * UNSEEN_FACTOR
            fed[k] = bool(alive.value) if alive.usable else kw[k] > 0
        for name in d.name:
            found = seen.of(name, "limit_kw")
            if found.usable and found.value is not None:
                self.limits_kw[name] = float(found.value)
            elif found.usable:
                self.limits_kw.pop(name, None)
        limited = np.array([name in self.limits_kw for name in d.name], dtype=bool)
        some_fed = d.sum_by_unit(fed.astype(float)) > 0
        self.notes = self._balanced(seen, kw, fed, known)
        drawn = d.sum_by_unit(kw * fed)
        free = some_fed & ~limited & (drawn > 0)
        self._d_kw = np.where(free, drawn, self._d_kw)
        self._cord_kw = np.where(known & free[d.cord_unit], kw, self._cord_kw)
        all_fed = d.sum_by_unit((~fed).astype(float)) == 0
        measured = (free & all_fed)[d.cord_unit]
        # a cord without voltage keeps its share in the tables: that the others carry it follows from the network
        draws = np.where(measured, kw, self._d_kw[d.cord_unit] * d.cord_share)
        self._write_loads(draws, numbers)
        dark = [d.name[k] for k in np.flatnonzero(~some_fed & (self._d_kw > 0))]
        total = float(self._d_kw.sum())
        unmeasured = d.sum_by_unit((~known & fed).astype(float)) > 0
        return dark, float(self._d_kw[unmeasured].sum()) / total if total > 0 else 0.0

    def _balanced(self, seen: Beliefs, kw: np.ndarray, fed: np.ndarray, known: np.ndarray) -> tuple[str, ...]:
        """Raise what cords are taken to draw where the meter of the UPS above them says that they draw more.

        What is missing goes to cords that are not measured, as far as there are any, else to all. The other way round
        nothing is lowered: the larger of two answers is the safe one.
        """
        d, notes = self.demand, []
        state = self._state().but(closed=self._closed.copy(), ups_mode=np.array(self._mode, dtype=object))
        isl = islands(self.grid, state)
        at = isl.island[d.cord_node]
        for k, name in enumerate(self.grid.upss.name):
            power = seen.of(name, "p_kw")
            if power.quality is not Quality.GOOD or self._mode[k] not in ("online", "battery"):
                continue
            mine = np.flatnonzero(fed & (at == isl.island[self.grid.upss.out_node[k]]))
            through_kw = self._passed_on(seen, isl.island, int(isl.island[self.grid.upss.out_node[k]]))
            lacking_kw = float(power.value or 0.0) - float(kw[mine].sum()) - through_kw
            if not len(mine) or lacking_kw <= BALANCE_PART * float(power.value or 0.0) + BALANCE_KW:
                continue
            blind = mine[~known[mine]]
            target = blind if len(blind) else mine
            weight = np.maximum(kw[target], 1e-9)
            kw[target] += lacking_kw * weight / weight.sum()
            notes.append(f"{name} delivers more than the meters below it account for")
        return tuple(notes)

    def _passed_on(self, seen: Beliefs, island: np.ndarray, here: int) -> float:
        """Return what other UPSs and charging batteries draw from an island, kW."""
        upss, stores = self.grid.upss, self.grid.storages
        inputs = (name for name, node in zip(upss.name, upss.in_node, strict=True) if island[node] == here)
        charging = (name for name, node in zip(stores.name, stores.node, strict=True) if island[node] == here)
        total = sum(max(float(seen.value(name, "p_in_kw", 0.0)), 0.0) for name in inputs)
        return total + sum(float(seen.value(name, "p_kw", 0.0)) for name in charging)

    def _state(self) -> State:
        if self._initial is None:
            self._initial = initial_state(self.grid, self.demand)
        on = dict(zip(self._names.get("ext_grid", ()), self._running, strict=True))
        return self._initial.but(
            source_on=np.array([on[name] for name in self.grid.sources.name], dtype=bool)
        )

    def _write_loads(self, kw: np.ndarray, numbers: Numbers) -> None:
        d = self.demand
        for table in ("load", "asymmetric_load"):
            mine = np.flatnonzero(d.cord_table == table)
            if not len(mine):
                continue
            frame = self.base[table]
            at = frame.index.get_indexer(d.cord_row[mine])
            columns = (
                ("p_mw", "q_mvar")
                if table == "load"
                else tuple(f"{p}_{x}_{u}" for p, u in (("p", "mw"), ("q", "mvar")) for x in "abc")
            )
            given = d.cord_kw[mine]
            scale = frame["scaling"].to_numpy(float)[at]
            for name in columns:
                column = frame[name].to_numpy(float).copy()
                ratio = np.where(given > 0, kw[mine] / np.where(given > 0, given, 1.0), 0.0)
                if name == "p_mw":
                    column[at] = kw[mine] / KW_PER_MW / scale
                elif name == "q_mvar":
                    column[at] = kw[mine] * d.cord_tan_phi[mine] / KW_PER_MW / scale
                else:
                    column[at] *= ratio
                numbers.setdefault(table, {})[name] = column.tolist()


TABLES = (
    "transfer",
    "switch",
    "ups",
    "ext_grid",
    "storage",
    "asymmetric_sgen",
    "bus",
    "line",
    "trafo",
    "trafo3w",
    "impedance",
)


def _running(net: Any) -> Sequence[Any]:
    on = net.ext_grid["in_service"].to_numpy(bool)
    if "running" not in net.ext_grid.columns:
        kinds = values(net, "ext_grid", "kind")
        return [bool(a) and kind != "genset" for a, kind in zip(on, kinds, strict=True)]
    return [
        bool(a) and (r is None or r != r or bool(r)) for a, r in zip(on, net.ext_grid["running"], strict=True)
    ]


def with_shares(net: Any) -> Any:
    """Return the network with every cord's share written down: how a rack shares is no matter of what it draws now."""
    grid = read_grid(net)
    demand = read_demand(net, grid)
    out = copy(net)
    for table in ("load", "asymmetric_load"):
        mine = demand.cord_table == table
        if not mine.any():
            continue
        frame = net[table].copy()
        share = values(net, table, "share").astype(float)
        share[frame.index.get_indexer(demand.cord_row[mine])] = demand.cord_share[mine]
        frame["share"] = share
        out[table] = frame
    return out
