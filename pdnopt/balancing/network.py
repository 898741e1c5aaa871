"""The live part of a plant phase by phase: admittances, sources, and where single-phase powers hang.

Every branch is a two-port in each sequence, turned into phases by ``Y_abc = A Y_012 inv(A)`` (Fortescue). So lines have
full 3x3 matrices (mutual impedances included), and a Dyn transformer its 30 degrees and its own path to earth:

=====================  ================================================  ==========================================
branch                 positive sequence (negative: conjugated ratio)    zero sequence
=====================  ================================================  ==========================================
line                   r + jx, shunt b                                   r0 + jx0, c0
Dyn                    vk, ratio N exp(j shift), shunt of pfe and i0     at the wye side vk0 to earth; hv nothing
YNyn                   the same                                          vk0, ratio N
Yy, Yd, Dy, Dd         the same                                          nothing
switch with z_ohm      z                                                 z
=====================  ================================================  ==========================================

The neutral is earthed at every bus (as in runpp_3ph and power-grid-model): its current is the sum of the phase currents,
its resistance is part of r0, x0. Voltages are in pu of phase to neutral, powers in pu of ``S_BASE_KW`` a phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from pdnopt.acflow.companions import Companions
from pdnopt.acflow.model import Model, read_model
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.errors import InputError, Issue
from pdnopt.plant.graph import connected_parts
from pdnopt.plant.names import component_name
from pdnopt.units import SQRT3

__all__ = ["ALPHA", "TO_PHASES", "Feeders", "PhaseNetwork", "at_order", "not_held", "read_phase_network"]

ALPHA = np.exp(2j * np.pi / 3)
TO_PHASES = np.array([[1, 1, 1], [1, ALPHA**2, ALPHA], [1, ALPHA, ALPHA**2]])
"""Phases of (zero, positive, negative) sequence."""
GROUPS = {"dyn": "dyn", "ynyn": "ynyn", "yy": "open", "yd": "open", "dy": "open", "dd": "open"}
NO_LIMIT_KA = 9_999.0
"""From here on a rating means "no limit" (pandapower's 99999 kA)."""


@dataclass(frozen=True)
class Feeders:
    """Branch ends and sources whose phase currents are watched, F in all.

    Attributes
    ----------
    name : tuple of str
    matrix : csr_array, complex, shape (3F, 3N)
        Phase currents, pu, from node voltages.
    base_ka : float, shape (F,)
        kA of 1 pu.
    limit_ka : float, shape (F,)
        inf: none.
    spread : bool, shape (F,)
        Counted for the spread and the neutral current: lines, the lv side of transformers, outputs of UPSs.
    r_pu : float, shape (F,)
        Resistance, for losses; 0 for the second end of a transformer and for sources.
    node : int, shape (F,)
        Of a source: its node, whose own loads it carries too; else -1.
    """

    name: tuple[str, ...]
    matrix: csr_array
    base_ka: np.ndarray
    limit_ka: np.ndarray
    spread: np.ndarray
    r_pu: np.ndarray
    node: np.ndarray


@dataclass(frozen=True)
class PhaseNetwork:
    """N nodes (buses joined by switches without impedance are one); node n has the rows 3n, 3n+1, 3n+2.

    Attributes
    ----------
    node : int, shape (buses,)
        Of each bus in table order; -1 where there is no voltage.
    y : csr_array, complex, shape (3N, 3N)
    slack : bool, shape (3N,); v_slack : complex, shape (3N,)
        Rows held by a source, and their voltage (pu).
    island : int, shape (N,)
    feeders : Feeders
    ups : Companions
    model : Model
    branches : int, shape (B,)
        Rows of the model's branches that live; ``ends``: their nodes at tail and head, (B, 2).
    """

    node: np.ndarray
    vn_kv: np.ndarray
    y: csr_array
    slack: np.ndarray
    v_slack: np.ndarray
    island: np.ndarray
    feeders: Feeders
    ups: Companions
    model: Model
    branches: np.ndarray
    ends: np.ndarray

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.vn_kv)


def read_phase_network(net: Any) -> PhaseNetwork:
    """Read a network whose companions of UPSs are set (PLANT.md).

    Raises
    ------
    InputError
        Elements without a model by phase, and zero-sequence data that is missing: every one named.
    """
    from pdnopt.acflow.three_phase import missing_zero_sequence, prepare

    issues = [*not_held(net), *missing_zero_sequence(net)]
    if issues:
        raise InputError(issues)
    prepare(net)
    m = read_model(net)
    br = m.branches
    ok = np.r_[m.bus_ok, np.ones(br.n_node - m.n_bus, bool)]
    on = br.in_service & ok[br.tail] & ok[br.head]
    on[m.weak_rows] &= m.closed[m.weak]
    on[m.gate_branch[~m.closed[m.gate]]] = False
    link = m.closed[m.link] & ok[m.link_tail] & ok[m.link_head]
    cluster = connected_parts(br.n_node, m.link_tail[link], m.link_head[link])
    reach = connected_parts(
        br.n_node, np.r_[m.link_tail[link], br.tail[on]], np.r_[m.link_head[link], br.head[on]]
    )
    fed = m.source_on & ok[m.source_bus]
    live = np.isin(reach, reach[m.source_bus[fed]]) & ok
    kept, number = np.unique(cluster[live], return_inverse=True)
    node = np.full(br.n_node, -1)
    node[live] = number
    n = len(kept)
    vn, island = np.ones(n), np.zeros(n, dtype=int)
    vn[number], island[number] = np.r_[m.vn_kv, br.vn_star_kv][live], reach[live]
    rows = np.flatnonzero(on & live[br.tail] & live[br.head])
    blocks = _two_ports(net, m, rows, vn[node[br.head[rows]]])
    ends = np.column_stack([node[br.tail[rows]], node[br.head[rows]]])
    y = _assemble(blocks, ends, n)
    slack, v_slack = np.zeros(3 * n, dtype=bool), np.zeros(3 * n, dtype=complex)
    turn = np.array([1.0, ALPHA**2, ALPHA])
    for k in np.flatnonzero(fed):
        at = 3 * node[m.source_bus[k]] + np.arange(3)
        source = net.ext_grid.iloc[k]
        slack[at] = True
        v_slack[at] = source["vm_pu"] * np.exp(1j * np.radians(source["va_degree"])) * turn
    feeders = _feeders(net, m, rows, blocks, ends, y, node, vn)
    return PhaseNetwork(node[: m.n_bus], vn, y, slack, v_slack, island, feeders, m.ups, m, rows, ends)


def at_order(net: Any, network: PhaseNetwork, order: float) -> tuple[csr_array, csr_array]:
    """Return admittances (3N, 3N) and the feeders' matrix (3F, 3N) at a harmonic order, without any source.

    ``net`` is what the network was read from. r stays, x grows with the order, capacitances too, and magnetising
    susceptances fall. Phases of a harmonic are phasors like any others: vector groups turn their sequences as ever.
    """
    m, n = network.model, network.n
    vn_head = network.vn_kv[network.ends[:, 1]]
    blocks = _two_ports(net, m, network.branches, vn_head, order)
    y = _assemble(blocks, network.ends, n)
    feeders = _feeders(net, m, network.branches, blocks, network.ends, y, network.node, network.vn_kv)
    return y, feeders.matrix


def not_held(net: Any) -> list[Issue]:
    """Return what has no model by phase here."""
    issues = []
    for table in ("trafo3w", "impedance", "shunt", "ward", "motor"):
        frame = net[table]
        for row in frame.index[frame["in_service"].astype(bool)] if len(frame) else ():
            todo = "Leave it out of service, or replace it by lines, transformers and loads."
            what = "lines, two-winding transformers, loads and generators"
            issues.append(
                Issue("NotHeld", f"net.{table}", component_name(net, table, int(row)), table, what, todo)
            )
    if len(net.trafo):
        group = net.trafo["vector_group"] if "vector_group" in net.trafo else net.trafo["name"] * 0
        for row, name in zip(net.trafo.index, group, strict=True):
            if str(name).lower() not in GROUPS and net.trafo.at[row, "in_service"]:
                who, path = component_name(net, "trafo", int(row)), "net.trafo.vector_group"
                todo = "Name the transformer's vector group."
                issues.append(Issue("NotHeld", path, who, name, "Dyn, YNyn, Yy, Yd, Dy or Dd", todo))
    return issues


def _two_ports(net: Any, m: Model, rows: np.ndarray, vn_head: np.ndarray, order: float = 1.0) -> np.ndarray:
    """Return the two-port of every branch by phase at an order of the frequency, pu, shape (B, 2, 2, 3, 3)."""
    br = m.branches
    z_base = vn_head**2 * 1e3 / (3.0 * S_BASE_KW)
    series = z_base / (br.r_ohm[rows] + 1j * order * br.x_ohm[rows])
    b_s = np.where(br.b_s[rows] > 0, order, 1.0 / order) * br.b_s[rows]
    half = 0.5 * (br.g_s[rows] + 1j * b_s) * z_base
    ratio = br.ratio[rows] * np.exp(1j * br.shift_rad[rows])
    zero, zero_half = series.copy(), np.zeros_like(half)
    kind = np.full(len(rows), "ynyn", dtype=object)
    for k, row in enumerate(rows):
        source = net[br.table[row]].iloc[br.row[row]]
        if br.table[row] == "line":
            length = source["length_km"]
            zero[k] = (
                z_base[k] * source["parallel"]
                / ((source["r0_ohm_per_km"] + 1j * order * source["x0_ohm_per_km"]) * length)
            )  # fmt: skip
            c0 = source["c0_nf_per_km"] * 1e-9 * length * source["parallel"]
            zero_half[k] = 0.5j * 2.0 * np.pi * order * net.f_hz * c0 * z_base[k]
        elif br.table[row] == "trafo":
            kind[k] = GROUPS[str(source["vector_group"]).lower()]
            r = source["vkr0_percent"]
            x = np.sqrt(max(source["vk0_percent"] ** 2 - r**2, 0.0))
            own = abs(
                complex(
                    source["vkr_percent"], np.sqrt(source["vk_percent"] ** 2 - source["vkr_percent"] ** 2)
                )
            )
            size = z_base[k] / abs(complex(br.r_ohm[row], br.x_ohm[row]))
            zero[k] = size * own / complex(r, order * x)
    by_sequence = np.zeros((len(rows), 3, 2, 2), dtype=complex)
    for place, turn in ((1, ratio), (2, np.conj(ratio))):
        by_sequence[:, place] = _pi(series, half, turn)
    by_sequence[:, 0] = _pi(zero, zero_half, np.abs(ratio) + 0j)
    by_sequence[kind == "open", 0] = 0.0
    dyn = kind == "dyn"
    by_sequence[dyn, 0] = 0.0
    by_sequence[dyn, 0, 1, 1] = zero[dyn]
    return np.asarray(np.einsum("ps,bsij,sq->bijpq", TO_PHASES, by_sequence, np.linalg.inv(TO_PHASES)))


def _pi(series: np.ndarray, half: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return two-ports (B, 2, 2) of a pi with an ideal transformer at its tail."""
    out = np.empty((len(series), 2, 2), dtype=complex)
    out[:, 0, 0] = (series + half) / np.abs(turn) ** 2
    out[:, 0, 1], out[:, 1, 0] = -series / np.conj(turn), -series / turn
    out[:, 1, 1] = series + half
    return out


def _rows_of(nodes: np.ndarray) -> np.ndarray:
    return 3 * nodes[:, None] + np.arange(3)


def _assemble(blocks: np.ndarray, ends: np.ndarray, n: int) -> csr_array:
    """Return the admittance matrix of all branches."""
    at, to, data = [], [], []
    for i in (0, 1):
        for j in (0, 1):
            rows, columns = _rows_of(ends[:, i]), _rows_of(ends[:, j])
            at.append(np.repeat(rows, 3, axis=1).ravel())
            to.append(np.tile(columns, (1, 3)).ravel())
            data.append(blocks[:, i, j].reshape(-1))
    entries = (np.concatenate(data), (np.concatenate(at), np.concatenate(to)))
    return csr_array(coo_array(entries, shape=(3 * n, 3 * n)))


def _feeders(
    net: Any,
    m: Model,
    rows: np.ndarray,
    blocks: np.ndarray,
    ends: np.ndarray,
    y: csr_array,
    node: np.ndarray,
    vn: np.ndarray,
) -> Feeders:
    """Return lines (at their tail), both sides of transformers, and outputs of UPSs."""
    br, n = m.branches, len(vn)
    name: list[str] = []
    at, to, data = [], [], []
    base: list[float] = []
    limit: list[float] = []
    spread: list[bool] = []
    r_pu: list[float] = []
    source: list[int] = []

    def add(who: str, entries: Any, kv: float, most_ka: float, counts: bool, r: float, own: int = -1) -> None:
        for columns, block in entries:
            at.append(np.repeat(3 * len(name) + np.arange(3), 3))
            to.append(np.tile(3 * columns + np.arange(3), 3))
            data.append(block.ravel())
        name.append(who)
        base.append(S_BASE_KW / (kv / SQRT3 * 1e3))
        limit.append(most_ka if most_ka < NO_LIMIT_KA else np.inf)
        spread.append(counts)
        r_pu.append(r)
        source.append(own)

    for k, row in enumerate(rows):
        table, place = br.table[row], int(br.row[row])
        if table == "switch":
            continue
        who = component_name(net, table, int(net[table].index[place]))
        percent = net[table].iloc[place].get("max_loading_percent", np.nan)
        part = percent / 100.0 if percent == percent else 1.0
        r = br.r_ohm[row] / (vn[ends[k, 1]] ** 2 * 1e3 / (3.0 * S_BASE_KW))
        for side in (0,) if table == "line" else (1, 0):
            rated = m.line_limit_ka[place] if table == "line" else m.trafo_limit_ka[place, side]
            entries = [(ends[k, j], blocks[k, side, j]) for j in (0, 1)]
            counts = table == "line" or side == 1
            label = who if counts else f"{who} hv"
            add(label, entries, vn[ends[k, side]], float(rated * part), counts, r if counts else 0.0)
    dense = y.tolil()
    for u in range(m.ups.n):
        bus = m.source_bus[m.ups.source[u]]
        if node[bus] < 0 or not m.source_on[m.ups.source[u]]:
            continue
        own = _rows_of(np.array([node[bus]]))[0]
        near = np.unique(dense[own].tocoo().col // 3)
        entries = [(c, dense[own][:, 3 * c : 3 * c + 3].toarray()) for c in near]
        kv = vn[node[bus]]
        rated_ka = m.ups.s_rated_kva[u] / (SQRT3 * kv * 1e3)
        add(
            component_name(net, "ups", int(net.ups.index[u])),
            entries,
            kv,
            float(rated_ka),
            True,
            0.0,
            int(node[bus]),
        )
    shape = (3 * len(name), 3 * n)
    if name:
        matrix = csr_array(
            coo_array((np.concatenate(data), (np.concatenate(at), np.concatenate(to))), shape=shape)
        )
    else:
        matrix = csr_array(shape, dtype=complex)
    return Feeders(
        tuple(name),
        matrix,
        np.array(base),
        np.array(limit),
        np.array(spread, dtype=bool),
        np.array(r_pu),
        np.array(source, dtype=int),
    )
