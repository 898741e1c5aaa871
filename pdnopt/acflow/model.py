"""A network as power-grid-model input: fixed arrays, and where each number of the net goes.

Ids: nodes first (buses in table order, then star points), then branches, links, sources, loads, shunts.
Loads are summed by bus and kind (constant power, current, impedance), so a thousand circuits on a hundred
buses are a hundred loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from pdnopt.acflow.branches import BranchArrays, read_branches
from pdnopt.acflow.companions import Companions, read_companions
from pdnopt.errors import InputError, Issue
from pdnopt.plant.graph import connected_parts
from pdnopt.plant.memory import Memory
from pdnopt.plant.names import component_name
from pdnopt.plant.tables import native_values
from pdnopt.units import KW_PER_MW, SQRT3

__all__ = ["Model", "not_held", "read_model"]

W_PER_MW = 1e6
KEPT_ANSWERS = 1024
NOT_HELD = {
    "gen": "a voltage-controlled generator",
    "xward": "an extended ward (a voltage-controlled bus)",
    "dcline": "a DC line (two voltage-controlled generators)",
    "tcsc": "a TCSC",
    "svc": "an SVC",
    "ssc": "an SSC",
    "vsc": "a VSC",
    "vsc_stacked": "a stacked VSC",
    "vsc_bipolar": "a bipolar VSC",
}
SIDES = {"l": ("line", ("from_bus", "to_bus")), "t": ("trafo", ("hv_bus", "lv_bus"))}


@dataclass(frozen=True)
class Loads:
    """Summation of load rows into loads by bus, one for each kind of voltage dependence that occurs.

    Attributes
    ----------
    bus : int, shape (L,)
        Bus of each summed load.
    kind : int, shape (L,)
        power-grid-model's type: 0 constant power, 1 constant impedance, 2 constant current.
    of_load_p, of_load_q : sparse, shape (n_load, L)
        What part of a load row goes where (companions have none).
    of_asym, of_storage : sparse, shapes (n_asym, L), (n_storage, L)
    fixed_p_w, fixed_q_var : float, shape (L,)
        Everything else: static generators, wards, motors, reactive power of batteries.
    of_ups : int, shape (U,)
        Summed load that takes the input of each UPS.
    """

    bus: np.ndarray
    kind: np.ndarray
    of_load_p: csr_array
    of_load_q: csr_array
    of_asym: csr_array
    of_storage: csr_array
    fixed_p_w: np.ndarray
    fixed_q_var: np.ndarray
    of_ups: np.ndarray


@dataclass(frozen=True)
class Model:
    """Everything that does not change between two cases; SI units, positions are row numbers."""

    n_bus: int
    vn_kv: np.ndarray  # (n_bus,)
    bus_ok: np.ndarray  # (n_bus,) in_service
    branches: BranchArrays
    line_rows: slice
    trafo_rows: slice
    trafo3w_rows: slice
    link: np.ndarray  # rows of net.switch that are links
    link_tail: np.ndarray
    link_head: np.ndarray
    weak: np.ndarray  # rows of net.switch that are branches (z_ohm > 0)
    weak_rows: slice
    gate: np.ndarray  # rows of net.switch at a branch end
    gate_branch: np.ndarray
    gate_side: np.ndarray  # 0 tail, 1 head
    closed: np.ndarray  # (n_switch,)
    source_bus: np.ndarray
    source_on: np.ndarray
    source_weight: np.ndarray
    ups: Companions
    loads: Loads
    load_p_kw: np.ndarray
    load_q_kvar: np.ndarray
    asym_p_kw: np.ndarray  # (n_asym, 3)
    asym_q_kvar: np.ndarray
    storage_p_kw: np.ndarray
    line_limit_ka: np.ndarray
    trafo_limit_ka: np.ndarray  # (n_trafo, 2)
    trafo3w_limit_ka: np.ndarray  # (3 * n_trafo3w,) hv rows, mv rows, lv rows
    shares_bus: bool  # two sources could meet through switches without impedance
    tables: dict[str, np.ndarray]  # power-grid-model input

    @cached_property
    def memory(self) -> Memory:
        """Which sources meet, by the switches that are closed."""
        return Memory(KEPT_ANSWERS)

    @property
    def widths(self) -> dict[str, tuple[int, ...]]:
        """Shape of one case of each field of FlowCases."""
        n_load, n_asym = len(self.load_p_kw), len(self.asym_p_kw)
        return {
            "switch_closed": (len(self.closed),),
            "ext_grid_on": (len(self.source_on),),
            "ups_mode": (self.ups.n,),
            "load_p_kw": (n_load,),
            "load_q_kvar": (n_load,),
            "asymmetric_p_kw": (n_asym, 3),
            "asymmetric_q_kvar": (n_asym, 3),
            "storage_p_kw": (len(self.storage_p_kw),),
            "dead_bus": (self.n_bus,),
            "line_out": (len(self.line_limit_ka),),
            "trafo_out": (len(self.trafo_limit_ka),),
        }


def not_held(net: Any) -> list[Issue]:
    """Return what power-grid-model has no exact counterpart for, one issue an element in service."""
    issues = []
    for table, what in NOT_HELD.items():
        if table not in net or not len(net[table]):
            continue
        frame = net[table]
        on = frame["in_service"].to_numpy(bool) if "in_service" in frame else np.ones(len(frame), dtype=bool)
        issues += [
            Issue(
                "NotHeld",
                f"net.{table}",
                component_name(net, table, int(i)),
                what,
                "elements that power-grid-model holds exactly",
                "Use powerflow(net, engine='pandapower').",
            )
            for i in frame.index[on]
        ]
    return issues


def read_model(net: Any) -> Model:
    """Read a network.

    Raises
    ------
    InputError
        "NotHeld" for every element that the engine cannot hold, or a UPS without companions.
    """
    issues = not_held(net)
    if issues:
        raise InputError(issues)
    branches, ups = read_branches(net), read_companions(net)
    at = pd.Index(net.bus.index)
    vn = net.bus["vn_kv"].to_numpy(float)
    switch = net.switch
    kind = switch["et"].to_numpy()
    weak = branches.row[branches.of("switch")]
    link = np.setdiff1d(np.flatnonzero(kind == "b"), weak)
    link_tail = at.get_indexer(switch["bus"].to_numpy(int)[link])
    link_head = at.get_indexer(switch["element"].to_numpy(int)[link])
    gate, gate_branch, gate_side = _gates(net, branches)
    source_bus = at.get_indexer(net.ext_grid["bus"].to_numpy(int))
    loads = _loads(net, at, ups)
    rows = {t: branches.of(t) for t in ("line", "trafo", "trafo3w", "switch")}
    group = connected_parts(len(at), link_tail, link_head)[source_bus]
    asym = net.asymmetric_load
    scale = (asym["scaling"] * asym["in_service"].astype(float)).to_numpy(float)[:, None] * KW_PER_MW
    storage = net.storage
    load = net.load
    on = (load["scaling"] * load["in_service"].astype(float)).to_numpy(float) * KW_PER_MW
    line, trafo, trafo3w = net.line, net.trafo, net.trafo3w
    return Model(
        n_bus=len(at),
        vn_kv=vn,
        bus_ok=net.bus["in_service"].to_numpy(bool),
        branches=branches,
        line_rows=rows["line"],
        trafo_rows=rows["trafo"],
        trafo3w_rows=rows["trafo3w"],
        link=link,
        link_tail=link_tail,
        link_head=link_head,
        weak=weak,
        weak_rows=rows["switch"],
        gate=gate,
        gate_branch=gate_branch,
        gate_side=gate_side,
        closed=switch["closed"].to_numpy(bool),
        source_bus=source_bus,
        source_on=net.ext_grid["in_service"].to_numpy(bool),
        source_weight=native_values(net.ext_grid, "slack_weight", 1.0),
        ups=ups,
        loads=loads,
        load_p_kw=load["p_mw"].to_numpy(float) * on,
        load_q_kvar=load["q_mvar"].to_numpy(float) * on,
        asym_p_kw=asym[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy(float) * scale,
        asym_q_kvar=asym[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].to_numpy(float) * scale,
        storage_p_kw=(storage["p_mw"] * storage["scaling"] * storage["in_service"].astype(float)).to_numpy(
            float
        )
        * KW_PER_MW,
        line_limit_ka=(line["max_i_ka"] * line["df"] * line["parallel"]).to_numpy(float),
        trafo_limit_ka=np.column_stack(
            [
                (trafo["sn_mva"] * trafo["parallel"] * trafo["df"] / (SQRT3 * trafo[v])).to_numpy(float)
                for v in ("vn_hv_kv", "vn_lv_kv")
            ]
        ),
        trafo3w_limit_ka=np.concatenate(
            [
                (trafo3w[f"sn_{s}_mva"] / (SQRT3 * trafo3w[f"vn_{s}_kv"])).to_numpy(float)
                for s in ("hv", "mv", "lv")
            ]
        ),
        shares_bus=len(np.unique(group)) < len(np.unique(np.c_[group, source_bus], axis=0)),
        tables=_tables(net, vn, branches, link_tail, link_head, source_bus, loads, at),
    )


def _gates(net: Any, branches: BranchArrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the switches at branch ends: their row, the branch, and 0 for its tail, 1 for its head."""
    switch = net.switch
    kind, bus, element = (switch[c].to_numpy() for c in ("et", "bus", "element"))
    parts = []
    for et, (table, (first, _)) in SIDES.items():
        rows = np.flatnonzero(kind == et)
        k = pd.Index(net[table].index).get_indexer(element[rows].astype(int))
        side = (
            (net[table][first].to_numpy()[k] != bus[rows]).astype(int)
            if len(rows)
            else np.zeros(0, dtype=int)
        )
        parts.append((rows, branches.of(table).start + k, side))
    rows = np.flatnonzero(kind == "t3")
    if len(rows):
        frame, n = net.trafo3w, len(net.trafo3w)
        k = pd.Index(frame.index).get_indexer(element[rows].astype(int))
        which = np.argmax(
            np.column_stack([frame[f"{s}_bus"].to_numpy()[k] == bus[rows] for s in ("hv", "mv", "lv")]),
            axis=1,
        )
        parts.append((rows, branches.of("trafo3w").start + which * n + k, (which > 0).astype(int)))
    return tuple(np.concatenate([p[c] for p in parts]).astype(int) for c in range(3))  # type: ignore[return-value]


def _loads(net: Any, at: pd.Index, ups: Companions) -> Loads:
    """Sum everything that draws or injects constant power, current or impedance by bus."""
    load = net.load
    parts = {c: native_values(load, f"const_{c}_percent", 0.0) / 100.0 for c in ("z_p", "i_p", "z_q", "i_q")}
    companion = np.zeros(len(load), dtype=bool)
    companion[ups.load] = True
    kinds = [0]
    if (parts["z_p"] != 0).any() or (parts["z_q"] != 0).any():
        kinds.append(1)
    if (parts["i_p"] != 0).any() or (parts["i_q"] != 0).any():
        kinds.append(2)
    n = len(at)
    size = n * len(kinds)
    row_bus = at.get_indexer(load["bus"].to_numpy(int))
    share = {
        (0, "p"): 1 - parts["z_p"] - parts["i_p"],
        (0, "q"): 1 - parts["z_q"] - parts["i_q"],
        (1, "p"): parts["z_p"],
        (1, "q"): parts["z_q"],
        (2, "p"): parts["i_p"],
        (2, "q"): parts["i_q"],
    }

    def matrix(axis: str) -> csr_array:
        rows, columns, data = [], [], []
        for place, kind in enumerate(kinds):
            use = np.flatnonzero((share[(kind, axis)] != 0) & ~companion)
            rows.append(use)
            columns.append(place * n + row_bus[use])
            data.append(share[(kind, axis)][use])
        entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
        return csr_array(entries, shape=(len(load), size))

    def by_bus(table: str) -> csr_array:
        bus = at.get_indexer(net[table]["bus"].to_numpy(int))
        return csr_array((np.ones(len(bus)), (np.arange(len(bus)), bus)), shape=(len(bus), size))

    p, q = np.zeros(size), np.zeros(size)
    for table, p_mw, q_mvar in _fixed(net):
        bus = at.get_indexer(net[table]["bus"].to_numpy(int))
        np.add.at(p, bus, p_mw * W_PER_MW)
        np.add.at(q, bus, q_mvar * W_PER_MW)
    of_p, of_q, of_asym, of_storage = matrix("p"), matrix("q"), by_bus("asymmetric_load"), by_bus("storage")
    used = (p != 0) | (q != 0)
    for part in (of_p, of_q, of_asym, of_storage):
        used[part.indices] = True
    used[ups.in_bus] = True
    keep = np.flatnonzero(used)
    place = np.full(size, -1)
    place[keep] = np.arange(len(keep))
    return Loads(
        bus=keep % n if n else keep,
        kind=np.array(kinds)[keep // n] if n else keep,
        of_load_p=of_p[:, keep],
        of_load_q=of_q[:, keep],
        of_asym=of_asym[:, keep],
        of_storage=of_storage[:, keep],
        fixed_p_w=p[keep],
        fixed_q_var=q[keep],
        of_ups=place[ups.in_bus],
    )


def _fixed(net: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (table, p_mw, q_mvar) of what no case changes, consumption positive."""
    out = []
    if len(net.sgen):
        scale = (net.sgen["scaling"] * net.sgen["in_service"]).to_numpy(float)
        out.append(
            ("sgen", -net.sgen["p_mw"].to_numpy(float) * scale, -net.sgen["q_mvar"].to_numpy(float) * scale)
        )
    if len(net.asymmetric_sgen):
        frame = net.asymmetric_sgen
        scale = (frame["scaling"] * frame["in_service"]).to_numpy(float)
        p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_numpy(float)
        q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].sum(axis=1).to_numpy(float)
        out.append(("asymmetric_sgen", -p * scale, -q * scale))
    if len(net.storage):
        frame = net.storage
        scale = (frame["scaling"] * frame["in_service"]).to_numpy(float)
        out.append(("storage", 0.0 * scale, frame["q_mvar"].to_numpy(float) * scale))
    if len(net.ward):
        on = net.ward["in_service"].to_numpy(float)
        out.append(("ward", net.ward["ps_mw"].to_numpy(float) * on, net.ward["qs_mvar"].to_numpy(float) * on))
    if len(net.motor):
        p, q = motor_power(net)
        out.append(("motor", p, q))
    return out


def motor_power(net: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return P in MW and Q in Mvar that motors draw (pandapower's definition), shape (n_motor,)."""
    m = net.motor
    p = (
        m["pn_mech_mw"]
        / (m["efficiency_percent"] / 100)
        * (m["loading_percent"] / 100)
        * m["scaling"]
        * m["in_service"]
    ).to_numpy(float)
    s = p / m["cos_phi"].to_numpy(float)
    return p, np.sqrt(np.maximum(s**2 - p**2, 0.0))


def _shunts(
    net: Any, vn: np.ndarray, at: pd.Index
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return (bus, g in S, b in S, on) of shunts and of the constant-impedance part of wards."""
    out = []
    if len(net.shunt):
        frame = net.shunt
        scale = native_values(frame, "step", 1.0) / frame["vn_kv"].to_numpy(float) ** 2
        p, q = frame["p_mw"].to_numpy(float) * scale, frame["q_mvar"].to_numpy(float) * scale
        bus = at.get_indexer(frame["bus"].to_numpy(int))
        out.append((bus, p, -q, frame["in_service"].to_numpy(bool)))
    if len(net.ward):
        frame = net.ward
        bus = at.get_indexer(frame["bus"].to_numpy(int))
        scale = 1.0 / vn[bus] ** 2
        p, q = frame["pz_mw"].to_numpy(float) * scale, frame["qz_mvar"].to_numpy(float) * scale
        out.append((bus, p, -q, frame["in_service"].to_numpy(bool)))
    return out


def _tables(
    net: Any,
    vn: np.ndarray,
    branches: BranchArrays,
    link_tail: np.ndarray,
    link_head: np.ndarray,
    source_bus: np.ndarray,
    loads: Loads,
    at: pd.Index,
) -> dict[str, np.ndarray]:
    """Return power-grid-model's input tables; every status on, the cases switch."""
    from power_grid_model import initialize_array

    tables: dict[str, np.ndarray] = {}
    next_id = 0

    def add(name: str, n: int, **columns: Any) -> None:
        nonlocal next_id
        if not n:
            return
        table = initialize_array("input", name, n)
        table["id"] = np.arange(next_id, next_id + n)
        for column, value in columns.items():
            table[column] = value
        tables[name] = table
        next_id += n

    add("node", branches.n_node, u_rated=np.r_[vn, branches.vn_star_kv] * 1e3)
    on = {"from_status": 1, "to_status": 1}
    add(
        "generic_branch",
        len(branches.tail),
        from_node=branches.tail,
        to_node=branches.head,
        r1=branches.r_ohm,
        x1=branches.x_ohm,
        g1=branches.g_s,
        b1=branches.b_s,
        k=branches.ratio,
        theta=branches.shift_rad,
        **on,
    )
    add("link", len(link_tail), from_node=link_tail, to_node=link_head, **on)
    grid = net.ext_grid
    add(
        "source",
        len(grid),
        node=source_bus,
        status=1,
        u_ref=grid["vm_pu"].to_numpy(float),
        u_ref_angle=np.radians(native_values(grid, "va_degree", 0.0)),
        sk=stiffness_va(net),
        rx_ratio=0.1,
    )
    add(
        "sym_load",
        len(loads.bus),
        node=loads.bus,
        status=1,
        type=loads.kind,
        p_specified=0.0,
        q_specified=0.0,
    )
    shunts = _shunts(net, vn, at)
    if shunts:
        bus, g, b, ok = (np.concatenate([s[c] for s in shunts]) for c in range(4))
        add("shunt", len(bus), node=bus, status=ok.astype(np.int8), g1=g, b1=b)
    return tables


def stiffness_va(net: Any) -> float:
    """Return the short-circuit power of sources: 1e7 times the load, at least 1e12 VA (1e6 MVA).

    Stiff enough for 1e-7 pu, and not so stiff that two sources joined by a link disagree numerically.
    """
    load = float(np.abs(net.load["p_mw"] * net.load["scaling"]).sum()) if len(net.load) else 0.0
    return float(np.clip(1e7 * load * W_PER_MW, 1e12, 1e16))
