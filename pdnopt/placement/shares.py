"""What one kW at each bus puts on every component of the plant, in one state, without losses.

In a tree that is the way to the source, whatever the impedances; where ways are closed in parallel they share by
impedance. A UPS that is online passes on to its input what it delivers, as kW at its input power factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State
from pdnopt.response import Supply

__all__ = ["Shares", "Sharing"]

SWITCH_PU = 1e-6
"""Impedance of a closed switch on 1 MVA: far below any cable's, far above rounding."""


@dataclass(frozen=True)
class Shares:
    """Per kW and kvar at each bus: arrays (components, buses).

    ``edge``: branches, then switches. ``direct`` passes as it is, kW and kvar; ``behind`` is kW that reaches the
    component through the input of a UPS, weighted with the kVA that this draws along the angle asked for.
    ``ups_kw`` and ``source_kw`` are kW of each UPS's output and of each source.
    """

    edge_direct: np.ndarray
    edge_behind: np.ndarray
    ups_direct: np.ndarray
    ups_behind: np.ndarray
    ups_kw: np.ndarray
    source_kw: np.ndarray


class Sharing:
    """Finds shares for one grid and the nodes that draw.

    Parameters
    ----------
    nodes : int, shape (B,)
    tan_phi : float
        Power factor angle along which kVA are measured.
    """

    def __init__(self, grid: Grid, nodes: np.ndarray, tan_phi: float) -> None:
        br, sw = grid.branches, grid.switches
        self.grid = grid
        self.columns = np.r_[nodes, grid.upss.in_node].astype(int)
        self.n_bus = len(nodes)
        self.tail, self.head = np.r_[br.tail, sw.tail], np.r_[br.head, sw.head]
        z = np.hypot(br.r_pu, br.x_pu)
        self.y = 1.0 / np.r_[np.maximum(z, SWITCH_PU), np.full(len(sw.tail), SWITCH_PU)]
        cosine = 1.0 / np.hypot(1.0, tan_phi)
        self.k_in = cosine * (1.0 + grid.upss.input_tan_phi * tan_phi)

    def of(self, state: State, now: Supply) -> Shares:
        """Return the shares in one state; a bus without voltage puts nothing on anything."""
        src, ups = self.grid.sources, self.grid.upss
        flow, given = self._flow(state, now)
        source_at = np.where(state.source_on, src.node, -1)
        running = np.isin(state.ups_mode, ("online", "battery"))
        ups_at = np.where(running, ups.out_node, -1)
        by_source, by_ups = _at_roots(given, source_at), _at_roots(given, ups_at)
        n = self.n_bus
        online = (state.ups_mode == "online").astype(float)
        # what each UPS passes on, chains of UPSs included
        chain = np.linalg.inv(np.eye(len(online)) - by_ups[:, n:] * online)
        output = chain @ by_ups[:, :n]
        inward = output * (online * self.k_in)[:, None]
        return Shares(
            edge_direct=flow[:, :n],
            edge_behind=flow[:, n:] @ inward,
            ups_direct=by_ups[:, :n],
            ups_behind=by_ups[:, n:] @ inward,
            ups_kw=output,
            source_kw=by_source[:, :n] + by_source[:, n:] @ (output * online[:, None]),
        )

    def _flow(self, state: State, now: Supply) -> tuple[np.ndarray, np.ndarray]:
        """Return |flow| on every edge, (edges, columns), and what each node gives, (nodes, columns)."""
        br, n_nodes = self.grid.branches, len(state.dead)
        live = now.energised
        on = np.r_[br.in_service, state.closed] & live[self.tail] & live[self.head]
        root = np.zeros(n_nodes, dtype=bool)
        root[self.grid.sources.node[state.source_on]] = True
        root[self.grid.upss.out_node[np.isin(state.ups_mode, ("online", "battery"))]] = True
        root[self.grid.storages.node[state.storage_on]] = True
        root &= live
        free = np.flatnonzero(live & ~root)
        place = np.full(n_nodes, -1)
        place[free] = np.arange(len(free))
        columns = np.arange(len(self.columns))
        drawn = live[self.columns]
        voltage = np.zeros((n_nodes, len(columns)))
        if len(free):
            tail, head, y = self.tail[on], self.head[on], self.y[on]
            voltage[free] = _solve(place, tail, head, y, place[self.columns], drawn, len(free))
        flow = np.zeros((len(self.tail), len(columns)))
        flow[on] = self.y[on, None] * (voltage[self.tail[on]] - voltage[self.head[on]])
        given = np.zeros((n_nodes, len(columns)))
        np.add.at(given, self.tail[on], flow[on])
        np.subtract.at(given, self.head[on], flow[on])
        direct = drawn & root[self.columns]
        given[self.columns[direct], columns[direct]] += 1.0
        given[~root] = 0.0
        return np.abs(flow), np.abs(given)


def _solve(
    place: np.ndarray,
    tail: np.ndarray,
    head: np.ndarray,
    y: np.ndarray,
    column: np.ndarray,
    drawn: np.ndarray,
    n: int,
) -> np.ndarray:
    """Return the voltage of the free nodes below their root for one unit drawn in each column."""
    a, b = place[tail], place[head]
    both = (a >= 0) & (b >= 0)
    rows = np.r_[a[a >= 0], b[b >= 0], a[both], b[both]]
    cols = np.r_[a[a >= 0], b[b >= 0], b[both], a[both]]
    data = np.r_[y[a >= 0], y[b >= 0], -y[both], -y[both]]
    matrix = csc_array((data, (rows, cols)), shape=(n, n))
    asked = np.zeros((n, len(column)))
    ok = drawn & (column >= 0)
    asked[column[ok], np.flatnonzero(ok)] = -1.0
    return np.asarray(splu(matrix).solve(asked))


def _at_roots(given: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Return the rows of ``given`` at some nodes; zero where there is none (-1)."""
    return np.where((nodes >= 0)[:, None], given[np.maximum(nodes, 0)], 0.0)
