"""What an allocation leaves: for every contingency the component that binds, and by how much.

Margins are linear, with factors from the AC power flow of the network as given; the tightest ones are computed again by AC
power flow of the very states that the plant's own devices leave (`Auditor.audit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acflow import FlowEngine
from pdnopt.allocation.exposure import Exposure, Frame, Local
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.response import flow_of, loadings

__all__ = ["COLUMNS", "Audit", "Auditor", "worst_rows"]

COLUMNS = (
    "contingency",
    "component",
    "loading_percent",
    "limit_percent",
    "margin_kw",
    "unserved_kw",
    "time_to_limit_s",
    "loads",
    "by",
)


def loads_by_component(
    net: Any, grid: Grid, demand: Demand, states: Sequence[State], engine: FlowEngine
) -> list[dict[tuple[str, bool], float]]:
    """Return the load of every rated component by AC power flow, by (name, rated in kW), one dictionary a state."""
    flow = flow_of(net, grid, demand, states, engine)
    out = []
    for case, state in enumerate(states):
        table = loadings(net, grid, flow, state, case)
        found: dict[tuple[str, bool], float] = {}
        for k, name in enumerate(table.name):
            if table.table[k] != "ups":
                found[name, table.table[k] == "source"] = float(table.loading[k])
        p_kw = np.nan_to_num(flow.ups_p_out_kw[case])
        s_kva = np.hypot(p_kw, np.nan_to_num(flow.ups_q_out_kvar[case])) * np.nan_to_num(
            flow.ups_phase_factor[case], nan=1.0
        )
        for k, name in enumerate(grid.upss.name):
            running = state.ups_mode[k] in ("online", "battery")
            found[name, True] = float(p_kw[k]) if running else 0.0
            found[name, False] = float(s_kva[k]) if running else 0.0
        out.append(found)
    return out


@dataclass(frozen=True)
class Audit:
    """The margins of an allocation. ``frame``: one row a contingency, the tightest first. ``worst``: its first row."""

    frame: pd.DataFrame
    open_margin_kw: float

    @property
    def worst(self) -> pd.Series:
        """The binding contingency."""
        return self.frame.iloc[0]


def worst_rows(slack: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by scenario the tightest row, its vector and its slack; ``slack`` (C, R, V)."""
    flat = slack.reshape(len(slack), -1)
    at = flat.argmin(axis=1)
    r, v = np.unravel_index(at, slack.shape[1:])
    return np.asarray(r), np.asarray(v), flat[np.arange(len(flat)), at]


MEANT = 0.03
"""A component that carries less of its rating says nothing about its factor."""

FACTORS = (0.9, 1.15)
"""What a factor may be; beyond, the state is none that the linear sum describes."""

MEASURED = 16
"""Scenarios in which factors are measured: for as many components as this the one that loads it most."""


class Auditor:
    """Margins of one network's allocations."""

    def __init__(
        self, net: Any, frame: Frame, locals_: Sequence[Local], engine: FlowEngine, book: CurveBook
    ) -> None:
        self.net, self.frame, self.locals, self.engine, self.book = net, frame, list(locals_), engine, book
        self._twin = self._twins()

    def audit(
        self,
        data: Exposure,
        chosen: np.ndarray,
        cord_kw: np.ndarray,
        labels: Sequence[str],
        ac_states: int,
    ) -> Audit:
        """Return the margins of one choice a device under all load vectors.

        Parameters
        ----------
        ac_states : int
            So many of the tightest (contingency, load vector) are computed by AC power flow.
        """
        load = data.load_kw(chosen)
        slack = data.limit_kw[:, :, None] - load
        r, v, least = worst_rows(slack)
        by = np.full(len(least), "linear", dtype=object)
        loads = load[np.arange(len(r)), r, v] * self._unit(data)[r]
        done: set[int] = set()
        while len(done) < min(ac_states, len(least)):
            c = next(int(i) for i in np.argsort(least, kind="stable") if int(i) not in done)
            done.add(c)
            r[c], least[c], loads[c] = self._by_ac(data, c, int(v[c]), chosen, cord_kw)
            by[c] = "ac"
            if len(done) >= ac_states // 2 and int(np.argmin(least)) in done:
                break
        rows: list[tuple[Any, ...]] = []
        unserved = self._unserved(cord_kw)
        for c, one in enumerate(self.frame.scenarios):
            for name in one.names:
                rows.append(
                    self._row(
                        data,
                        name,
                        c,
                        int(r[c]),
                        float(loads[c]),
                        float(least[c]),
                        unserved[c][v[c]],
                        labels[v[c]],
                        by[c],
                    )
                )
        rows += self._local_rows(data, chosen, load, cord_kw, labels)
        frame = (
            pd.DataFrame(rows, columns=list(COLUMNS))
            .sort_values("margin_kw", kind="stable")
            .reset_index(drop=True)
        )
        open_slack = slack[:, data.open_row]
        return Audit(frame, float(open_slack.min(initial=inf)))

    def _unit(self, data: Exposure) -> np.ndarray:
        """Return the component's own unit per kW of load, by row (with its AC factor)."""
        return np.asarray((self.frame.sense * self.frame.factor)[data.row])

    def _row(
        self,
        data: Exposure,
        name: str,
        c: int,
        r: int,
        load: float,
        margin_kw: float,
        unserved_kw: float,
        label: str,
        by: str,
    ) -> tuple[Any, ...]:
        parts = self.frame.reader.components
        e = int(data.row[r])
        ratio = load / max(float(parts.rating[e]), 1e-9)
        limit_kw = data.limit_kw[c, r] if c or not name else data.local_limit_kw[r]
        limit = float(limit_kw * self._unit(data)[r] / max(float(parts.rating[e]), 1e-9))
        battery = bool(parts.table[e] == "ups" and self.frame.scenarios[c].on_battery[parts.position[e]])
        curve = self.book.curve(parts.curve[e], float(parts.temperature_c[e]), battery)
        left = max(1.0 - float(parts.used[e]), 0.0)
        time_s = left * curve.max_time_s(ratio) if ratio > 1.0 else inf
        return (
            name or "nothing",
            parts.name[e],
            100.0 * ratio,
            100.0 * limit,
            margin_kw,
            unserved_kw,
            time_s,
            label,
            by,
        )

    # --- by AC power flow

    def factors(self, data: Exposure, cord_kw: np.ndarray) -> np.ndarray:
        """Return AC load over linear load of every component, (E,), with the choices as given.

        Each component's is measured where it is loaded most of the scenarios looked at: those that load the open rows most.
        One that is idle in them has that of its like.
        """
        frame, parts = self.frame, self.frame.reader.components
        held = data.choices.held
        load = data.load_kw(held)[:, :, 0]
        part = np.where(data.open_row, load / np.maximum(data.limit_kw, 1e-9), 0.0)
        tightest = part.argmax(axis=0)[np.argsort(-part.max(axis=0), kind="stable")]
        wanted = [0, *dict.fromkeys(int(c) for c in tightest if c != 0)][:MEASURED]
        factor, most = np.ones(len(parts.name)), np.full(len(parts.name), MEANT)
        linear = load * frame.sense[data.row]
        for c in wanted:
            one = frame.scenarios[c]
            found = loads_by_component(
                self.net, one.grid, self.demand_of(cord_kw), [self.state_of(c, held)], self.engine
            )[0]
            for r, e in enumerate(data.row):
                loaded = float(linear[c, r]) / max(float(parts.rating[e]), 1e-9)
                if loaded > most[e]:
                    ac = found.get((parts.name[e], bool(parts.by_p[e])), 0.0)
                    factor[e], most[e] = np.clip(ac / float(linear[c, r]), *FACTORS), loaded
        idle = most <= MEANT
        for table in set(parts.table):
            mine = parts.table == table
            like = factor[mine & ~idle]
            factor[mine & idle] = np.median(like) if len(like) else 1.0
        return factor

    def state_of(self, c: int, chosen: np.ndarray) -> State:
        """Return the state that the plant's devices leave in a scenario under some choices."""
        choices, one = self.frame.reader.choices, self.frame.scenarios[c]
        closed = one.state.closed.copy()
        for k, members in enumerate(choices.members):
            kind = choices.kinds[k]
            stands = self.frame.stands[k][c]
            for d in members:
                q = stands[chosen[d]]
                if q >= 0:
                    closed[choices.switches[d][int(np.flatnonzero(kind.stations == q)[0])]] = True
        return one.state.but(closed=closed)

    def demand_of(self, cord_kw: np.ndarray) -> Demand:
        """Return the demand under one load vector, (cords,)."""
        demand = self.frame.demand
        d_kw = demand.sum_by_unit(cord_kw)
        return replace(demand, cord_kw=cord_kw, d_kw=d_kw, min_kw=np.minimum(demand.min_kw, d_kw))

    def _by_ac(
        self, data: Exposure, c: int, v: int, chosen: np.ndarray, cord_kw: np.ndarray
    ) -> tuple[int, float, float]:
        """Return the tightest row of a scenario by AC power flow, its margin in kW of load and its load in its unit."""
        parts, one = self.frame.reader.components, self.frame.scenarios[c]
        found = loads_by_component(
            self.net, one.grid, self.demand_of(cord_kw[:, v]), [self.state_of(c, chosen)], self.engine
        )[0]
        load = np.array([found.get((parts.name[e], bool(parts.by_p[e])), 0.0) for e in data.row])
        limit = data.limit_kw[c] * self._unit(data)
        margin = (limit - load) / self._unit(data)
        r = int(np.argmin(margin))
        return r, float(margin[r]), float(load[r])

    # --- who is dark

    def _unserved(self, cord_kw: np.ndarray) -> np.ndarray:
        """Return the load without a living cord by scenario and vector, kW."""
        demand, frame = self.frame.demand, self.frame
        out = np.zeros((len(frame.scenarios), cord_kw.shape[1]))
        for c in range(len(out)):
            fed = demand.sum_by_unit(frame.sharing[c][0].astype(float)) > 0
            if not fed.all():
                out[c] = cord_kw[~fed[demand.cord_unit]].sum(axis=0)
        return out

    # --- what hits one device

    def _twins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (device, cord, part): of what is lost with a device's output, a cord of another way takes this part."""
        frame, demand = self.frame, self.frame.demand
        device = frame.reader.cord_device
        living = frame.living_as_given
        mine = pd.DataFrame(
            {"unit": demand.cord_unit, "device": device, "share": np.where(living, demand.cord_share, 0.0)}
        )
        behind = (
            mine[(device >= 0) & living].groupby(["unit", "device"]).size().reset_index()[["unit", "device"]]
        )
        pairs = behind.merge(
            mine.assign(cord=np.arange(len(mine)), on=living), on="unit", suffixes=("", "_cord")
        )
        pairs = pairs[pairs["on"] & (pairs["device"] != pairs["device_cord"])]
        total = pairs.groupby(["unit", "device"])["share"].transform("sum")
        part = np.where(total > 0, pairs["share"] / np.where(total > 0, total, 1.0), 0.0)
        return pairs["device"].to_numpy(int), pairs["cord"].to_numpy(int), part

    def _local_rows(
        self, data: Exposure, chosen: np.ndarray, load: np.ndarray, cord_kw: np.ndarray, labels: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """Return the margins of contingencies that hit one decided device."""
        if not self.locals:
            return []
        choices = data.choices
        at = np.array([(item.device, item.position) for item in self.locals], dtype=int).reshape(-1, 2)
        active = np.array(
            [choices.kinds[k].active[x] for k, x in zip(choices.kind, chosen, strict=True)], dtype=int
        )
        dead, dark_kw = self._without_output(data, chosen, load, cord_kw)
        moved = self._without_position(data, chosen, load)
        r0, v0, least0 = worst_rows(data.local_limit_kw[None, :, None] - load[:1])
        rows = []
        unit = self._unit(data)
        for (d, position), item in zip(at, self.locals, strict=True):
            if position >= 0 and position != active[d]:
                r, v, least, dark = int(r0[0]), int(v0[0]), float(least0[0]), 0.0
            elif position >= 0 and moved[0][d] >= 0:
                r, v, least, dark = int(moved[0][d]), int(moved[1][d]), float(moved[2][d]), 0.0
            else:
                r, v, least = int(dead[0][d]), int(dead[1][d]), float(dead[2][d])
                dark = float(dark_kw[d, v])
            carried = float((data.local_limit_kw[r] - least) * unit[r])
            rows.append(self._row(data, item.name, 0, r, carried, least, dark, labels[v], "linear"))
        return rows

    def _without_position(
        self, data: Exposure, chosen: np.ndarray, load: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return by device the tightest row, vector and slack once its active position is gone; row -1: nowhere to go."""
        choices, n = data.choices, len(chosen)
        change = np.zeros((n, len(data.row), data.n_vectors))
        nowhere = np.zeros(n, dtype=bool)
        for k, members in enumerate(choices.members):
            kind = choices.kinds[k]
            alive = self.frame.scenarios[0].alive[kind.order[chosen[members]]]
            alive[:, 0] = False
            first = alive.argmax(axis=1)
            nowhere[members] = ~alive.any(axis=1) | (not kind.auto)
            new = kind.order[chosen[members], first]
            old = kind.order[chosen[members], 0]
            for gain, power in ((data.kp[0], data.p_kw[0]), (data.ks[0], data.s_kva[0])):
                change[members] += (gain[:, new] - gain[:, old]).T[:, :, None] * power[members][:, None, :]
        r, v, least = worst_rows(data.local_limit_kw[None, :, None] - load[:1] - change)
        return np.where(nowhere, -1, r), v, least

    def _without_output(
        self, data: Exposure, chosen: np.ndarray, load: np.ndarray, cord_kw: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Return by device the tightest row, vector and slack once its output is dead, and the load then dark, (D, V)."""
        frame, demand, choices = self.frame, self.frame.demand, data.choices
        n, n_vectors = len(chosen), data.n_vectors
        device, cord, part = self._twin
        cords = frame.reader.cord_device
        lost = np.zeros((demand.n, n_vectors))
        mine = (cords >= 0) & frame.living_as_given
        key = cords[mine] * demand.n + demand.cord_unit[mine]
        keys, place = np.unique(key, return_inverse=True)
        lost = np.zeros((len(keys), n_vectors))
        np.add.at(lost, place, cord_kw[mine])
        taken = lost[np.searchsorted(keys, device * demand.n + demand.cord_unit[cord])] * part[:, None]
        station = data.stands
        at = np.full(n, -1)
        for k, members in enumerate(choices.members):
            at[members] = station[k][0, chosen[members]]
        column = np.where(cords[cord] >= 0, at[np.maximum(cords[cord], 0)], frame.reader.cord_board[cord])
        scale = 1.0 / frame.sense[data.row]
        one = frame.scenarios[0]
        kp = one.p[data.row].toarray() * scale[:, None]
        ks = one.s[data.row].toarray() * scale[:, None]
        change = np.zeros((n, len(data.row), n_vectors))
        for lo in range(n):
            q = at[lo]
            if q >= 0:
                change[lo] -= kp[:, q, None] * data.p_kw[0, lo] + ks[:, q, None] * data.s_kva[0, lo]
        live = column >= 0
        for i in np.flatnonzero(live):
            q = column[i]
            change[device[i]] += (kp[:, q] + ks[:, q] * frame.kva_per_kw[cord[i]])[:, None] * taken[i]
        fed = np.zeros(len(keys), dtype=bool)
        if len(device):
            fed[np.searchsorted(keys, device * demand.n + demand.cord_unit[cord])] = True
        dark = np.zeros((n, n_vectors))
        unit_kw = np.zeros((demand.n, n_vectors))
        np.add.at(unit_kw, demand.cord_unit, cord_kw)
        np.add.at(dark, keys[~fed] // demand.n, unit_kw[keys[~fed] % demand.n])
        return worst_rows(data.local_limit_kw[None, :, None] - load[:1] - change), dark
