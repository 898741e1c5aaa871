"""What every contingency leaves of the plant above the decided devices: which stations live, and what loads what.

The devices above respond by themselves (`pdnopt.response`), whatever the decided ones choose: these carry load only. So
a contingency is one *scenario*, and the load of every rated component in it is linear in what hangs on each station.
Contingencies that leave the same behind are one scenario. What hits a single decided device - the device, one of its
positions, its output - changes nothing above it; those are *local* and are kept apart, for there are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from pdnopt.allocation.choices import Choices
from pdnopt.errors import InputError, Issue
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.failures import Outage
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state, living_cords
from pdnopt.response.devices import Devices, positions_held
from pdnopt.response.faults import strike
from pdnopt.response.supply import Supply, supply
from pdnopt.units import UNLIMITED_KVA

__all__ = ["Components", "Scenario", "ScenarioReader"]


@dataclass(frozen=True)
class Components:
    """E rated components above the decided devices.

    A UPS has two rows: its kW and its kVA. ``by_p``: the row is rated in kW, not kVA.
    """

    name: list[str]
    table: np.ndarray
    position: np.ndarray
    rating: np.ndarray
    by_p: np.ndarray
    curve: np.ndarray
    used: np.ndarray
    temperature_c: np.ndarray

    def limits(self, book: CurveBook, horizon_s: float, on_battery: np.ndarray) -> np.ndarray:
        """Return what each component carries for ``horizon_s`` in its unit, shape (E,); ``on_battery`` by UPS."""
        out = self.rating.copy()
        for e in range(len(self.name)):
            battery = bool(self.table[e] == "ups" and on_battery[self.position[e]])
            curve = book.curve(self.curve[e], float(self.temperature_c[e]), battery)
            out[e] *= curve.sustainable_ratio(horizon_s, float(self.used[e]))
        return out


def read_components(grid: Grid, choices: Choices) -> Components:
    """Read what is rated: branches, switches but the decided devices' own, UPSs, sources."""
    br, sw, ups, src = grid.branches, grid.switches, grid.upss, grid.sources
    rows: list[tuple[str, str, int, float, bool, object, float, float]] = []
    for k in np.flatnonzero(br.s_max_kva < UNLIMITED_KVA):
        rows.append(
            (
                br.name[k],
                str(br.table[k]),
                int(k),
                br.s_max_kva[k],
                False,
                br.curve[k],
                br.budget_used[k],
                25.0,
            )
        )
    own = np.isin(sw.transfer, choices.transfer)
    for k in np.flatnonzero((sw.s_max_kva < UNLIMITED_KVA) & ~own):
        rows.append(
            (sw.name[k], "switch", int(k), sw.s_max_kva[k], False, sw.curve[k], sw.budget_used[k], 25.0)
        )
    for k in np.arange(len(ups.index)):
        for rating, by_p in ((ups.p_rated_kw[k], True), (ups.s_rated_kva[k], False)):
            rows.append(
                (
                    ups.name[k],
                    "ups",
                    int(k),
                    rating,
                    by_p,
                    ups.curve[k],
                    ups.budget_used[k],
                    ups.temperature_c[k],
                )
            )
    for k in np.flatnonzero(src.p_max_kw < inf):
        rows.append((src.name[k], "source", int(k), src.p_max_kw[k], True, "", 0.0, 25.0))
    return Components(
        name=[row[0] for row in rows],
        table=np.array([row[1] for row in rows], dtype=object),
        position=np.array([row[2] for row in rows], dtype=int),
        rating=np.array([row[3] for row in rows], dtype=float),
        by_p=np.array([row[4] for row in rows], dtype=bool),
        curve=np.array([row[5] for row in rows], dtype=object),
        used=np.array([row[6] for row in rows], dtype=float),
        temperature_c=np.array([row[7] for row in rows], dtype=float),
    )


@dataclass(frozen=True)
class Scenario:
    """One state of the plant above the decided devices.

    Attributes
    ----------
    names : tuple of str
        The contingencies that leave it, "" for nothing failed.
    state : State
        At rest, with the decided devices standing nowhere.
    grid : Grid
        With derated UPSs.
    alive : bool, shape (Q,)
        Stations from which an automatic device takes voltage.
    living : bool, shape (cords,)
        Cords with voltage and a working power supply where their device's output, if they have one, is live.
    p, s : csr_array, shape (E, Q + B)
        kW or kVA on a component per kW and per kVA at a station or a board of fixed cords.
    fixed : float, shape (E,)
        What UPSs draw for themselves.
    on_battery : bool, shape (U,)
    unit_ok : bool, shape (D,)
    """

    names: tuple[str, ...]
    state: State
    grid: Grid
    alive: np.ndarray
    living: np.ndarray
    p: csr_array
    s: csr_array
    fixed: np.ndarray
    on_battery: np.ndarray
    unit_ok: np.ndarray


class ScenarioReader:
    """Reads scenarios of one network.

    Attributes
    ----------
    board_node : int, shape (B,)
        Nodes on which fixed cords stand, or UPSs draw.
    cord_board : int, shape (cords,)
        Column of each fixed cord; -1 for one behind a decided device.
    cord_device : int, shape (cords,)
        Decided device of each cord; -1 for a fixed one.
    """

    def __init__(self, grid: Grid, demand: Demand, choices: Choices) -> None:
        self.grid, self.demand, self.choices = grid, demand, choices
        self.components = read_components(grid, choices)
        self.given = initial_state(grid, demand)
        self.before = choices.opened(self.given)
        base = supply(grid, self.before)
        owner = np.full(int(base.island.max()) + 1, -1)
        owner[base.island[choices.output]] = np.arange(len(choices.output))
        self.cord_device = owner[base.island[demand.cord_node]]
        self.output_island = owner
        self.base = base
        fixed = self.cord_device < 0
        self.board_node = np.unique(np.r_[demand.cord_node[fixed], grid.upss.in_node]).astype(int)
        n_stations = len(choices.station_node)
        board = np.searchsorted(self.board_node, demand.cord_node)
        self.cord_board = np.where(fixed, n_stations + np.minimum(board, len(self.board_node) - 1), -1)
        self.feeding = np.r_[choices.station_node, self.board_node].astype(int)
        self._rows = self._component_rows()

    def _component_rows(self) -> dict[str, np.ndarray]:
        """Return by kind of edge the row of each component, -1 for unrated; "ups" the kW row, the kVA row follows."""
        parts, out = self.components, {}
        sizes = {
            "branch": len(self.grid.branches.index),
            "switch": len(self.grid.switches.index),
            "ups": len(self.grid.upss.index),
            "source": len(self.grid.sources.index),
        }
        for key, n in sizes.items():
            out[key] = np.full(n, -1)
            mine = (
                ~np.isin(parts.table, ("switch", "ups", "source")) if key == "branch" else parts.table == key
            )
            if key == "ups":
                mine &= parts.by_p
            out[key][parts.position[mine]] = np.flatnonzero(mine)
        return out

    @cached_property
    def alone(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Decided device by the component that is its alone, and which of its positions that is (-1: all it feeds)."""
        grid, choices = self.grid, self.choices
        out: dict[tuple[str, int], tuple[int, int]] = {}
        block_of_output = {int(grid.nodes.block[node]): d for d, node in enumerate(choices.output)}
        for d, k in enumerate(choices.transfer):
            out["transfer", int(grid.transfers.index[k])] = (d, -1)
            for p, s in enumerate(choices.switches[d]):
                out["switch", int(grid.switches.index[s])] = (d, p)
        for node in np.flatnonzero(grid.nodes.bus >= 0):
            device = block_of_output.get(int(grid.nodes.block[node]))
            if device is not None:
                out["bus", int(grid.nodes.bus[node])] = (device, -1)
        return out

    def read(self, name: str, outages: Sequence[Outage]) -> Scenario:
        """Let the plant respond to outages, and follow what loads what."""
        grid = self.grid
        hit = strike(grid, self.demand, self.before, outages)
        devices = Devices(
            hit.grid,
            hit.barred,
            battery_ok=grid.upss.e_kwh > 0,
            on_return=np.zeros(len(grid.upss.index), dtype=bool),
            storage_energy=grid.storages.e_usable_kwh > 0,
        )
        devices.on_return |= (hit.state.ups_mode == "battery") & (self.before.ups_mode != "battery")
        last = devices.run(hit.state, positions_held(grid, self.before))[-1]
        state, now = last.state, last.supply
        choices = self.choices
        node = choices.station_node
        alive = now.firm_at(node) & ~state.dead[node]
        living = living_cords(self.demand, state, now.energised)
        behind = self.cord_device >= 0
        out = choices.output[self.cord_device[behind]]
        linked = now.island[self.demand.cord_node[behind]] == now.island[out]
        linked &= ~state.dead[self.demand.cord_node[behind]] & ~state.dead[out]
        linked &= (self.demand.cord_ok & ~state.psu_dead)[behind]
        living = living.copy()
        living[behind] = linked
        p, s, fixed = self._paths(hit.grid, state, now, name)
        return Scenario(
            names=(name,),
            state=state,
            grid=hit.grid,
            alive=alive,
            living=living & state.unit_ok[self.demand.cord_unit],
            p=p,
            s=s,
            fixed=fixed,
            on_battery=state.ups_mode == "battery",
            unit_ok=state.unit_ok,
        )

    def _paths(
        self, grid: Grid, state: State, now: Supply, name: str
    ) -> tuple[csr_array, csr_array, np.ndarray]:
        """Follow every station and board up to its source, through the UPSs that are online."""
        up, edge, gain = self._tree(grid, state, now, name)
        ups, parts = grid.upss, self.components
        n_columns, at = len(self.feeding), self.feeding.copy()
        column = np.arange(n_columns)
        keep = now.energised[at]
        at, column = at[keep], column[keep]
        p_gain, s_of_p, s_gain = np.ones(len(at)), np.zeros(len(at)), np.ones(len(at))
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        rows = self._rows
        offset_switch = len(grid.branches.index)
        offset_ups = offset_switch + len(grid.switches.index)
        while len(at):
            e = edge[at]
            for key, low, high in (("branch", 0, offset_switch), ("switch", offset_switch, offset_ups)):
                mine = (e >= low) & (e < high)
                row = rows[key][e[mine] - low]
                found.append((row, column[mine], s_of_p[mine], s_gain[mine]))
            through = e >= offset_ups
            u = e[through] - offset_ups
            row = rows["ups"][u]
            found.append((row, column[through], p_gain[through], np.zeros(len(u))))
            found.append((row + 1, column[through], s_of_p[through], s_gain[through]))
            p_gain[through] *= gain[u]
            s_of_p[through] = p_gain[through] * np.hypot(1.0, ups.input_tan_phi[u])
            s_gain[through] = 0.0
            root = e < 0
            source = -2 - e[root]
            row = (
                np.where(source >= 0, rows["source"][np.maximum(source, 0)], -1)
                if len(rows["source"])
                else -np.ones(len(source), dtype=int)
            )
            found.append((row, column[root], p_gain[root], np.zeros(len(source))))
            at, column = up[at], column
            keep = at >= 0
            at, column, p_gain, s_of_p, s_gain = (x[keep] for x in (at, column, p_gain, s_of_p, s_gain))
        row, col, by_p, by_s = (np.concatenate(part) for part in zip(*found, strict=True))
        rated = row >= 0
        shape = (len(parts.name), n_columns)
        p = csr_array((by_p[rated], (row[rated], col[rated])), shape=shape)
        s = csr_array((by_s[rated], (row[rated], col[rated])), shape=shape)
        online = state.ups_mode == "online"
        own_kw = np.zeros(n_columns)
        board = len(self.choices.station_node) + np.searchsorted(self.board_node, ups.in_node)
        np.add.at(own_kw, board[online], (ups.loss_fixed_kw + ups.p_charge_kw)[online])
        own_kva = np.zeros(n_columns)
        np.add.at(
            own_kva,
            board[online],
            ((ups.loss_fixed_kw + ups.p_charge_kw) * np.hypot(1.0, ups.input_tan_phi))[online],
        )
        return p, s, p @ own_kw + s @ own_kva

    def _tree(
        self, grid: Grid, state: State, now: Supply, name: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the node above each node (-1: a root), the edge to it, and the gain of each UPS.

        Edges are numbered branches, switches, UPSs; the edge of a root is -2 minus its source, or -1.
        """
        br, sw, ups = grid.branches, grid.switches, grid.upss
        n = len(state.dead)
        on = br.in_service & now.energised[br.tail] & now.energised[br.head]
        shut = state.closed & now.energised[sw.tail] & now.energised[sw.head]
        online = (state.ups_mode == "online") & now.energised[ups.in_node] & now.energised[ups.out_node]
        sources = state.source_on & now.energised[grid.sources.node]
        battery = (state.ups_mode == "battery") & now.energised[ups.out_node]
        forming = state.storage_on & now.energised[grid.storages.node]
        roots = np.r_[grid.sources.node[sources], ups.out_node[battery], grid.storages.node[forming]].astype(
            int
        )
        k_br, k_sw, k_ups = np.flatnonzero(on), np.flatnonzero(shut), np.flatnonzero(online)
        number = np.r_[k_br, len(br.index) + k_sw, len(br.index) + len(sw.index) + k_ups]
        tail = np.r_[br.tail[k_br], sw.tail[k_sw], ups.in_node[k_ups]]
        head = np.r_[br.head[k_br], sw.head[k_sw], ups.out_node[k_ups]]
        n_live = int(now.energised.sum())
        if len(number) != n_live - len(np.unique(roots)) or len(np.unique(roots)) != len(roots):
            what = f"after losing {name}" if name else "as the network is given"
            raise InputError(
                Issue(
                    "Meshed",
                    "net.switch",
                    name,
                    what,
                    "every live point fed on one way, from one source",
                    "Open the loops, or leave this contingency out with components=[...].",
                )
            )
        low, high = np.minimum(tail, head), np.maximum(tail, head)
        lookup = csr_array((number + 1, (low, high)), shape=(n + 1, n + 1))
        graph = csr_array(
            (np.ones(len(tail) + len(roots)), (np.r_[tail, np.full(len(roots), n)], np.r_[head, roots])),
            shape=(n + 1, n + 1),
        )
        _, before = breadth_first_order(graph, n, directed=False)
        up = before[:n].astype(int)
        up[(up < 0) | (up == n)] = -1
        edge = np.full(n, -1)
        inner = np.flatnonzero(up >= 0)
        edge[inner] = (
            np.asarray(lookup[np.minimum(inner, up[inner]), np.maximum(inner, up[inner])]).ravel() - 1
        )
        k = np.flatnonzero(sources)
        edge[grid.sources.node[k]] = -2 - k
        k = np.flatnonzero(battery)  # its own rows bind, though nothing is above it
        edge[ups.out_node[k]] = len(br.index) + len(sw.index) + k
        return up, edge, 1.0 + ups.loss_slope
