"""From spectra to compensation currents: network at every order, programme, true distortion before and after, commands.

"Before" is without compensation and "after" with it, both at the same fundamental set-points. Currents are told to an
inverter as rms and angle by phase and order, the angle counted from the fundamental voltage of the same phase (as in
`spectra`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import block_diag, csc_array, csr_array
from scipy.sparse.linalg import splu

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import PHASES
from pdnopt.balancing.harmonics.answer import Filtered
from pdnopt.balancing.harmonics.data import IN_PERCENT, FilterPoint, FilterStructure
from pdnopt.balancing.harmonics.distortion import (
    Distortion,
    Gauge,
    distortion_frame,
    gauge_of,
    spectrum_frame,
)
from pdnopt.balancing.harmonics.impedances import Orders, check_sources, read_orders, read_points
from pdnopt.balancing.harmonics.programme import FilterProgramme
from pdnopt.balancing.harmonics.spectra import Spectra, drawn, read_spectra
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.errors import InputError
from pdnopt.plant.actions import Action
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import SQRT3

__all__ = ["Filtering", "Fundamental"]

DIGITS_A, DIGITS_DEGREE = 4, 3
LEAST_A = 1e-3
"""Currents below this are not worth a command."""
ENDED = ("none", "optimal", "feasible", "no_incumbent", "infeasible")
"""How a search ended, from best to worst."""
SAME = 1e-3
"""Parts by which a measure may be worse for the sake of those after it, as in the programme."""


@dataclass(frozen=True)
class Fundamental:
    """The state in which filters work.

    Attributes
    ----------
    net : pandapowerNet
        With the powers of the circuits.
    v : complex, shape (3N,)
        Voltages, pu.
    feeders : complex, shape (3F,)
        Currents of the network's feeders, pu.
    sources : complex, shape (3N,)
        Currents out of sources, pu; 0 where none is.
    ups_kw : shape (U,)
        What the inputs of UPSs draw.
    s_kva : complex, shape (3I,)
        Set-points of the inverters; ``told`` (I,): those that listen.
    """

    net: Any
    v: np.ndarray
    feeders: np.ndarray
    sources: np.ndarray
    ups_kw: np.ndarray
    s_kva: np.ndarray
    told: np.ndarray


class Filtering:
    """Filters of one network, compiled once for every set of orders.

    Parameters
    ----------
    net : pandapowerNet
        What ``network`` was read from.
    """

    def __init__(self, net: Any, network: PhaseNetwork, inverters: Inverters, programme: Any) -> None:
        self.net, self.network, self.inverters, self.programme = net, network, inverters, programme
        place = net.asymmetric_sgen.index.get_indexer(pd.Index(inverters.index))
        self.filters = values(net, "asymmetric_sgen", "active_filter")[place].astype(bool)
        self.points = read_points(net, network)
        self.buses = _first_buses(net, network)
        self._areas: dict[tuple[int, ...], Area] = {}

    def read(self, frame: Any) -> Spectra:
        """Return the spectra of a table, compiled for. Raises InputError for whatever is wrong with them or with sources."""
        spectra = read_spectra(self.net, self.network, frame)
        at = pd.Index(self.net.bus.index)
        circuits = zip(spectra.table, spectra.row.tolist(), strict=True)
        nodes = self.network.node[at.get_indexer(pd.Index([self.net[t].at[r, "bus"] for t, r in circuits]))]
        issues = check_sources(self.net, self.network, np.unique(self.network.island[nodes]))
        if issues:
            raise InputError(issues)
        self._area(spectra.orders)
        return spectra

    def _area(self, orders: np.ndarray) -> Area:
        key = tuple(orders.tolist())
        if key not in self._areas:
            self._areas[key] = Area(self, orders)
        return self._areas[key]

    def solve(self, spectra: Spectra, state: Fundamental, t_s: float, deadline_s: float) -> Filtered:
        """Return the compensation for a fundamental state, each command in force at ``t_s``."""
        area, network = self._area(spectra.orders), self.network
        base_a = S_BASE_KW / (network.vn_kv / SQRT3)
        load = drawn(state.net, network, spectra, state.v, state.ups_kw) / np.repeat(base_a, 3)
        quiet = area.solve(-load)
        kv = network.vn_kv[self.points.node]
        more = self.points.node[len(network.feeders.name) :]
        i_one = np.abs(np.r_[state.feeders, state.sources.reshape(-1, 3)[more].ravel()])
        vn_kv = np.repeat(network.vn_kv, 3)
        gauge = gauge_of(spectra.orders, vn_kv, np.abs(state.v), self.points, kv, i_one)
        before = area.distortion(quiet, gauge)
        measured = before.measures(gauge)
        room = self._room(state)
        current, status = area.compensate(quiet, gauge, room, deadline_s)
        current = _rounded(
            current, base_a[self.inverters.rows // 3], state.v[self.inverters.rows], spectra.orders
        )
        after = area.distortion(quiet + area.injected(current), gauge)
        found = after.measures(gauge)
        if _worse(
            found, measured
        ):  # polygons are not circles: what they gain there must not be lost in truth
            current, after, found = np.zeros_like(current), before, measured
        names = (self.buses, self.points.name)
        table, actions = self._commands(current, base_a, state.v, spectra.orders, t_s)
        shown = area.shown(load)
        frame = distortion_frame(spectra.orders, names, gauge, before, after)
        lines = spectrum_frame(spectra.orders, names, gauge, before, after)
        return Filtered(
            frame[frame["place"].isin(shown)].reset_index(drop=True),
            lines[lines["place"].isin(shown)].reset_index(drop=True),
            table,
            actions,
            found,
            measured,
            status,
            self._notes(status, state),
        )

    def _room(self, state: Fundamental) -> np.ndarray:
        """Return the rms current that each phase of each inverter has left, pu, (3I,)."""
        most = np.repeat(self.inverters.s_max_kva, 3) / S_BASE_KW
        used = np.abs(state.s_kva) / S_BASE_KW / np.abs(state.v[self.inverters.rows])
        able = np.repeat(self.filters & state.told, 3)
        return np.where(able, np.sqrt(np.maximum(most**2 - used**2, 0.0)), 0.0)

    def _commands(
        self, current: np.ndarray, base_a: np.ndarray, v: np.ndarray, orders: np.ndarray, t_s: float
    ) -> tuple[pd.DataFrame, tuple[Action, ...]]:
        rows, actions, lines = self.inverters.rows, [], []
        amps = current * np.repeat(base_a, 3)[rows]
        angle = np.degrees(np.angle(amps * np.exp(-1j * np.outer(orders, np.angle(v[rows])))))
        for i, name in enumerate(self.inverters.name):
            own = slice(3 * i, 3 * i + 3)
            on = np.flatnonzero(np.abs(amps[:, own]).max(axis=1) > LEAST_A)
            if not len(on):
                continue
            size = np.round(np.abs(amps[on, own]), DIGITS_A)
            turn = np.round(angle[on, own], DIGITS_DEGREE)
            told = {"order": orders[on].tolist(), "i_a": size.tolist(), "angle_degree": turn.tolist()}
            why = "injects what the circuits near it draw beside the fundamental"
            actions.append(Action(1, t_s, name, "compensate", None, told, why))
            for n, h in enumerate(orders[on]):
                for k, phase in enumerate(PHASES):
                    lines.append((name, int(h), phase, size[n, k], turn[n, k]))
        columns = ["inverter", "order", "phase", "i_a", "angle_degree"]
        return pd.DataFrame(lines, columns=columns), tuple(actions)

    def _notes(self, status: str, state: Fundamental) -> tuple[str, ...]:
        able = int((self.filters & state.told).sum())
        words = {
            "none": "no active filter can do anything about harmonics",
            "no_incumbent": "no compensation of harmonics was found in the time given: none is sent",
            "feasible": f"{able} active filters; the search for compensation was stopped early",
            "optimal": f"{able} active filters compensate harmonics within what fundamental set-points leave",
        }
        limits = (
            "harmonics: limits of IEEE 519-2022, tables 1 to 4, as commonly quoted; IL is the current now"
        )
        return words[status], limits


def _first_buses(net: Any, network: PhaseNetwork) -> tuple[str, ...]:
    """Return a name for every node: of its first bus."""
    out = [""] * network.n
    for name, node in zip(component_names(net, "bus")[::-1], network.node[::-1], strict=True):
        if node >= 0:
            out[node] = name
    return tuple(out)


class Area:
    """The network at some orders, its matrices factorised, and the programmes of the islands that have filters."""

    def __init__(self, filtering: Filtering, orders: np.ndarray) -> None:
        network, inverters, points = filtering.network, filtering.inverters, filtering.points
        self.network, self.rows_in, self.points = network, inverters.rows, points
        self.net_of: Orders = read_orders(filtering.net, network, orders)
        self._lu = [splu(csc_array(y)) for y in self.net_of.y]
        self.names = filtering.buses
        able = np.repeat(filtering.filters, 3)
        island = network.island[inverters.rows // 3]
        self.islands = [
            Island(self, filtering.programme, k, np.flatnonzero(able & (island == k)))
            for k in np.unique(island[able])
        ]

    def solve(self, inject: np.ndarray) -> np.ndarray:
        """Return the voltages (pu, (H, 3N)) of currents that enter the network."""
        return np.array([lu.solve(row) for lu, row in zip(self._lu, inject, strict=True)])

    def injected(self, current: np.ndarray) -> np.ndarray:
        """Return the voltages of compensation currents (pu, (H, 3I))."""
        enter = np.zeros((len(current), 3 * self.network.n), dtype=complex)
        np.add.at(enter.T, self.rows_in, current.T)
        return self.solve(enter)

    def currents(self, v: np.ndarray) -> np.ndarray:
        """Return the currents of the points, pu, (H, 3P)."""
        return np.array([c @ row for c, row in zip(self.net_of.current, v, strict=True)])

    def distortion(self, v: np.ndarray, gauge: Gauge) -> Distortion:
        """Return the distortion of voltages."""
        return Distortion(
            IN_PERCENT * np.abs(v) / gauge.v_one, IN_PERCENT * np.abs(self.currents(v)) / gauge.i_load
        )

    def shown(self, load: np.ndarray) -> set[str]:
        """Return the names of buses and points in islands in which harmonics are drawn."""
        network = self.network
        hit = np.unique(network.island[np.flatnonzero(np.abs(load).max(axis=0) > 0) // 3])
        nodes = {name for name, i in zip(self.names, network.island, strict=True) if i in hit}
        return nodes | {
            name
            for name, n in zip(self.points.name, self.points.node, strict=True)
            if network.island[n] in hit
        }

    def compensate(
        self, quiet: np.ndarray, gauge: Gauge, room: np.ndarray, deadline_s: float
    ) -> tuple[np.ndarray, str]:
        """Return the currents of inverters, pu, (H, 3I), and how the search ended worst ("none": nothing to do)."""
        out, status = np.zeros((len(quiet), len(room)), dtype=complex), "none"
        currents = self.currents(quiet)
        for island in self.islands:
            if (room[island.columns] > 0).any() and quiet[:, island.rows].any():
                found, ended = island.compensate(quiet, currents, gauge, room, deadline_s)
                out[:, island.columns] = found
                status = max(status, ended, key=ENDED.index)
        rms = np.sqrt((np.abs(out) ** 2).sum(axis=0))
        over = rms > room  # by the tolerances of the solver
        return out * np.where(over, room / np.where(over, rms, 1.0), 1.0), status


class Island:
    """The programme of one island: what one does changes nothing in another, so each has an optimum of its own."""

    def __init__(self, area: Area, programme: Any, island: int, columns: np.ndarray) -> None:
        network, orders = area.network, area.net_of
        h = len(orders.order)
        self.columns = columns
        self.rows = np.flatnonzero(np.repeat(network.island == island, 3))
        mine = np.flatnonzero(network.island[area.points.node] == island)
        self.at = (3 * mine[:, None] + np.arange(3)).ravel()
        place = np.full(3 * network.n, -1)
        place[self.rows] = np.arange(len(self.rows))
        k = len(columns)
        enters = csr_array(
            (np.ones(k), (place[area.rows_in[columns]], np.arange(k))), shape=(len(self.rows), k)
        )
        structure = FilterStructure(
            h=h,
            y=csr_array(block_diag([y[self.rows][:, self.rows] for y in orders.y])),
            enters=csr_array(block_diag([enters] * h)),
            current=csr_array(block_diag([c[self.at][:, self.rows] for c in orders.current])),
        )
        self.programme = FilterProgramme(programme.build(structure))

    def compensate(
        self, quiet: np.ndarray, currents: np.ndarray, gauge: Gauge, room: np.ndarray, deadline_s: float
    ) -> tuple[np.ndarray, str]:
        """Return the currents of its filters, pu, (H, K), and how the search ended."""
        v, i = IN_PERCENT * quiet[:, self.rows], IN_PERCENT * currents[:, self.at]
        one, load = gauge.v_one[self.rows], gauge.i_load[self.at]
        point = FilterPoint(
            v_re=v.real.ravel(), v_im=v.imag.ravel(), i_re=i.real.ravel(), i_im=i.imag.ravel(),
            v_one=one, v_single=(gauge.v_single[:, self.rows] * one).ravel(), v_thd=gauge.v_thd[self.rows] * one,
            i_load=load, i_single=(gauge.i_single[:, self.at] * load).ravel(), i_tdd=gauge.i_tdd[self.at] * load,
            room=IN_PERCENT * room[self.columns],
        )  # fmt: skip
        answer = self.programme.solve(point, deadline_s)
        if not answer.values:
            return np.zeros((len(quiet), len(self.columns)), dtype=complex), "no_incumbent"
        told = (answer.values["c_re"] + 1j * answer.values["c_im"]) / IN_PERCENT
        return told.reshape(len(quiet), -1), answer.status


def _rounded(current: np.ndarray, base_a: np.ndarray, v: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return the currents as they are sent: amperes and degrees of few digits, none where it is not worth it."""
    turn = np.exp(1j * np.outer(orders, np.angle(v)))
    amps = current * base_a / turn
    size, angle = np.round(np.abs(amps), DIGITS_A), np.round(np.degrees(np.angle(amps)), DIGITS_DEGREE)
    sent = size * np.exp(1j * np.radians(angle)) * turn
    worth = np.abs(amps).reshape(len(orders), -1, 3).max(axis=2) > LEAST_A
    return np.asarray(np.where(np.repeat(worth, 3, axis=1), sent, 0.0) / base_a)


def _worse(found: Mapping[str, float], before: Mapping[str, float]) -> bool:
    """Whether the first measure that changed became worse."""
    for name in ("excess", "thd_v", "tdd"):
        if abs(found[name] - before[name]) > SAME * max(before[name], SAME):
            return found[name] > before[name]
    return False
