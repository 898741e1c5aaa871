"""The plant as arrays: read once at pandapower's border, in kW, kvar, kVA, pu and seconds.

A :class:`Grid` holds what does not change between two solves: nodes, branches, switches, sources, UPSs,
transfer devices, batteries, interlocks. Demand is in :mod:`pdnopt.plant.demand`, what is switched how in
:mod:`pdnopt.plant.state`.

*Node*: a bus, or the far side of a bus-line or bus-transformer switch (an auxiliary node), so that every
switch is an edge of its own. *Branch*: an edge without a switch. *Block*: nodes joined by branches; switches
are the only edges between blocks, so a block is the protective zone of a fault inside it.

Impedances are pu on 1 MVA at the nominal bus voltages: v_drop = r * p_kw / 1000 + x * q_kvar / 1000.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW, SQRT3, UNLIMITED_KA

__all__ = [
    "Branches",
    "Grid",
    "Interlocks",
    "Nodes",
    "Sources",
    "Storages",
    "Switches",
    "Transfers",
    "Upss",
    "read_grid",
]

FloatArray = np.ndarray
IntArray = np.ndarray
BoolArray = np.ndarray


@dataclass(frozen=True)
class Nodes:
    """N nodes: the buses in table order, then the auxiliary nodes of line and transformer switches."""

    bus: IntArray  # pandapower index of the bus; -1 for an auxiliary node
    name: list[str]
    vn_kv: FloatArray
    v_min_pu: FloatArray
    v_max_pu: FloatArray
    in_service: BoolArray
    block: IntArray


@dataclass(frozen=True)
class Branches:
    """L branches without switches: lines, transformers, impedances (a trafo3w is three of them)."""

    table: np.ndarray
    index: IntArray
    name: list[str]
    tail: IntArray
    head: IntArray
    r_pu: FloatArray
    x_pu: FloatArray
    ratio: FloatArray  # v_tail / v_head at no load, pu
    s_max_kva: FloatArray  # inf = no limit
    p_fixed_kw: FloatArray  # no-load loss
    in_service: BoolArray
    curve: np.ndarray
    budget_used: FloatArray


@dataclass(frozen=True)
class Switches:
    """S switches, rows of net.switch in table order."""

    index: IntArray
    name: list[str]
    tail: IntArray
    head: IntArray
    closed: BoolArray
    operable: BoolArray  # may be moved by a plan as a switch of its own
    s_max_kva: FloatArray
    t_operate_s: FloatArray
    transfer: IntArray  # position in Transfers or -1
    ups: IntArray  # position in Upss or -1
    curve: np.ndarray
    budget_used: FloatArray


@dataclass(frozen=True)
class Sources:
    """G sources: utility feeds and gensets (the companions of UPSs and batteries are not here)."""

    index: IntArray  # in net.ext_grid
    name: list[str]
    node: IntArray
    kind: np.ndarray
    p_max_kw: FloatArray
    p_min_kw: FloatArray
    start_s: FloatArray
    step_kw: FloatArray
    fuel_kwh: FloatArray
    sync_group: np.ndarray
    parallel: BoolArray
    running: BoolArray  # a standing-by genset is False; it must be started first
    vm_pu: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Upss:
    """U double-conversion UPSs."""

    index: IntArray
    name: list[str]
    in_node: IntArray
    out_node: IntArray
    bypass: IntArray  # position in Switches of the static bypass or -1
    source: IntArray  # row of the companion in net.ext_grid
    load: IntArray  # row of the companion in net.load
    p_rated_kw: FloatArray
    s_rated_kva: FloatArray
    efficiency: np.ndarray
    loss_fixed_kw: FloatArray  # secant of the loss over 20..100 % load: loss = fixed + slope * p_out
    loss_slope: FloatArray
    input_tan_phi: FloatArray
    e_kwh: FloatArray  # usable battery energy now
    p_charge_kw: FloatArray
    n_modules: IntArray
    mode: np.ndarray
    curve: np.ndarray
    budget_used: FloatArray
    temperature_c: FloatArray
    vm_pu: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Transfers:
    """Transfer devices: ATS, STS, micro-ATS, SBM, IBT."""

    index: IntArray
    name: list[str]
    kind: np.ndarray
    node: IntArray
    transfer_s: FloatArray
    closed_transition: BoolArray
    auto: BoolArray
    preferred: IntArray  # position in Switches or -1
    retransfer_s: FloatArray
    min_dwell_s: FloatArray
    dwell_left_s: FloatArray
    stuck: BoolArray
    in_service: BoolArray
    positions: tuple[IntArray, ...]  # positions in Switches


@dataclass(frozen=True)
class Interlocks:
    """At most ``max_closed[i]`` of the switches ``switches[i]`` (positions in Switches) are closed."""

    name: list[str]
    switches: tuple[IntArray, ...]
    max_closed: IntArray


@dataclass(frozen=True)
class Storages:
    """Batteries in the rows."""

    index: IntArray
    name: list[str]
    node: IntArray
    p_charge_max_kw: FloatArray
    p_discharge_max_kw: FloatArray
    e_usable_kwh: FloatArray  # above soc_min, delivered at the AC side
    e_room_kwh: FloatArray  # below 100 %
    p_now_kw: FloatArray  # charging positive, as pandapower has it
    grid_forming: BoolArray
    source: IntArray  # row of the companion in net.ext_grid or -1
    cycle_cost_per_kwh: FloatArray
    in_service: BoolArray


@dataclass(frozen=True)
class Grid:
    """A plant as arrays. ``injection_*`` are fixed injections by node (static generators), generation positive."""

    nodes: Nodes
    branches: Branches
    switches: Switches
    sources: Sources
    upss: Upss
    transfers: Transfers
    interlocks: Interlocks
    storages: Storages
    injection_p_kw: FloatArray
    injection_q_kvar: FloatArray
    node_of_bus: dict[int, int]

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.nodes.block.max()) + 1 if len(self.nodes.block) else 0


def read_grid(net: Any) -> Grid:
    """Read a validated pandapower network into a :class:`Grid`. ``net`` is not changed."""
    bus_index = net.bus.index.to_numpy()
    node_of_bus = {int(b): k for k, b in enumerate(bus_index)}
    nodes = _NodeTable(net, bus_index)
    switch_far = _switch_ends(net, nodes, node_of_bus)
    branches = _read_branches(net, nodes, node_of_bus, switch_far)
    upss = _read_upss(net, node_of_bus)
    switches = _read_switches(net, nodes, node_of_bus, switch_far)
    bypass = np.full(len(upss.index), -1)
    for k in np.flatnonzero(switches.ups >= 0):
        bypass[switches.ups[k]] = k
    object.__setattr__(upss, "bypass", bypass)
    block = _blocks(nodes.n, branches)
    node_frame = Nodes(
        np.asarray(nodes.bus),
        nodes.name,
        np.asarray(nodes.vn_kv),
        np.asarray(nodes.v_min),
        np.asarray(nodes.v_max),
        np.asarray(nodes.ok, dtype=bool),
        block,
    )
    injection_p, injection_q = _injections(net, nodes.n, node_of_bus)
    grid = Grid(
        node_frame,
        branches,
        switches,
        _read_sources(net, node_of_bus),
        upss,
        _read_transfers(net, node_of_bus, switches),
        _read_interlocks(net, switches),
        _read_storages(net, node_of_bus),
        injection_p,
        injection_q,
        node_of_bus,
    )
    return _with_running_gensets(net, grid)


class _NodeTable:
    """Grows while auxiliary nodes are added."""

    def __init__(self, net: Any, bus_index: np.ndarray) -> None:
        frame = net.bus
        n = len(bus_index)
        low = frame["min_vm_pu"].to_numpy(float) if "min_vm_pu" in frame else np.full(n, np.nan)
        high = frame["max_vm_pu"].to_numpy(float) if "max_vm_pu" in frame else np.full(n, np.nan)
        self.bus = [int(b) for b in bus_index]
        self.name = component_names(net, "bus")
        self.vn_kv = list(frame["vn_kv"].to_numpy(float))
        self.v_min = list(np.where(np.isnan(low), 0.0, low))
        self.v_max = list(np.where(np.isnan(high), inf, high))
        self.ok = list(frame["in_service"].to_numpy(bool))

    @property
    def n(self) -> int:
        return len(self.bus)

    def auxiliary(self, like: int, name: str) -> int:
        self.bus.append(-1)
        self.name.append(name)
        self.vn_kv.append(self.vn_kv[like])
        self.v_min.append(0.0)
        self.v_max.append(inf)
        self.ok.append(True)
        return self.n - 1


_ET = {"l": "line", "t": "trafo", "t3": "trafo3w"}


def _switch_ends(net: Any, nodes: _NodeTable, node_of_bus: dict[int, int]) -> dict[tuple[str, int, int], int]:
    """Give every (table, element, bus) that has a switch an auxiliary node behind it."""
    far: dict[tuple[str, int, int], int] = {}
    frame = net.switch
    for bus, element, et in zip(frame["bus"], frame["element"], frame["et"], strict=True):
        if et in _ET:
            key = (_ET[et], int(element), int(bus))
            if key not in far:
                node = node_of_bus[int(bus)]
                far[key] = nodes.auxiliary(node, f"{_ET[et]}:{element} end at {nodes.name[node]}")
    return far


def _read_switches(
    net: Any, nodes: _NodeTable, node_of_bus: dict[int, int], far: dict[tuple[str, int, int], int]
) -> Switches:
    frame = net.switch
    n = len(frame)
    tail = np.array([node_of_bus[int(b)] for b in frame["bus"]], dtype=int)
    head = np.array(
        [
            node_of_bus[int(e)] if et == "b" else far[(_ET[et], int(e), int(b))]
            for b, e, et in zip(frame["bus"], frame["element"], frame["et"], strict=True)
        ],
        dtype=int,
    )
    in_ka = frame["in_ka"].to_numpy(float) if "in_ka" in frame else np.full(n, np.nan)
    unlimited = np.isnan(in_ka) | (in_ka >= UNLIMITED_KA)
    vn = np.asarray(nodes.vn_kv)[tail] if n else np.zeros(0)
    position_of = _positions(net, "transfer")
    ups_of = _positions(net, "ups")
    transfer = np.array(
        [position_of.get(int(v), -1) if not np.isnan(v) else -1 for v in values(net, "switch", "transfer")],
        dtype=int,
    )
    ups = np.array(
        [ups_of.get(int(v), -1) if not np.isnan(v) else -1 for v in values(net, "switch", "ups")], dtype=int
    )
    operable = values(net, "switch", "operable") & (values(net, "switch", "operation") == "remote")
    return Switches(
        index=frame.index.to_numpy(),
        name=component_names(net, "switch"),
        tail=tail,
        head=head,
        closed=frame["closed"].to_numpy(bool) if n else np.zeros(0, bool),
        operable=operable.astype(bool),
        s_max_kva=np.where(unlimited, inf, SQRT3 * np.where(unlimited, 0.0, in_ka) * vn * KW_PER_MW),
        t_operate_s=values(net, "switch", "t_operate_ms") / 1000.0,
        transfer=transfer,
        ups=ups,
        curve=values(net, "switch", "overload_curve"),
        budget_used=values(net, "switch", "overload_used"),
    )


def _positions(net: Any, table: str) -> dict[int, int]:
    return {int(i): k for k, i in enumerate(net[table].index)} if table in net else {}


def _loading_limit(frame: pd.DataFrame) -> np.ndarray:
    """Return max_loading_percent / 100; missing means 100 %."""
    if "max_loading_percent" not in frame:
        return np.ones(len(frame))
    limit = frame["max_loading_percent"].to_numpy(float)
    return np.where(np.isnan(limit), 100.0, limit) / 100.0


def _optional(frame: pd.DataFrame, name: str, default: float) -> np.ndarray:
    if name not in frame:
        return np.full(len(frame), default)
    raw = frame[name].to_numpy(float)
    return np.where(np.isnan(raw), default, raw)


def _end(
    far: dict[tuple[str, int, int], int], node_of_bus: dict[int, int], table: str, index: int, bus: int
) -> int:
    return far.get((table, index, bus), node_of_bus[bus])


def _read_branches(
    net: Any, nodes: _NodeTable, node_of_bus: dict[int, int], far: dict[tuple[str, int, int], int]
) -> Branches:
    parts = [_lines(net), _trafos(net), _impedances(net)]
    parts.append(_trafo3ws(net, nodes, node_of_bus, far))
    names = [name for table in ("line", "trafo", "impedance") for name in component_names(net, table)]
    frame = (
        pd.concat([p for p in parts if len(p)], ignore_index=True)
        if any(len(p) for p in parts)
        else _empty_branches()
    )
    tail, head = [], []
    for table, index, a, b in zip(frame["table"], frame["index"], frame["tail"], frame["head"], strict=True):
        if table == "trafo3w":
            tail.append(int(a))
            head.append(int(b))
        else:
            tail.append(_end(far, node_of_bus, table, int(index), int(a)))
            head.append(_end(far, node_of_bus, table, int(index), int(b)))
    names += [f"trafo3w:{i}" for i in frame.loc[frame["table"] == "trafo3w", "index"]]
    return Branches(
        table=frame["table"].to_numpy(object),
        index=frame["index"].to_numpy(int),
        name=names,
        tail=np.array(tail, dtype=int),
        head=np.array(head, dtype=int),
        r_pu=frame["r"].to_numpy(float),
        x_pu=frame["x"].to_numpy(float),
        ratio=frame["ratio"].to_numpy(float),
        s_max_kva=frame["s_max"].to_numpy(float),
        p_fixed_kw=frame["fixed"].to_numpy(float),
        in_service=frame["ok"].to_numpy(bool),
        curve=frame["curve"].to_numpy(object),
        budget_used=frame["used"].to_numpy(float),
    )


_BRANCH_COLUMNS = (
    "table",
    "index",
    "tail",
    "head",
    "r",
    "x",
    "ratio",
    "s_max",
    "fixed",
    "ok",
    "curve",
    "used",
)


def _empty_branches() -> pd.DataFrame:
    return pd.DataFrame(
        {c: pd.Series(dtype=object if c in ("table", "curve") else float) for c in _BRANCH_COLUMNS}
    )


def _lines(net: Any) -> pd.DataFrame:
    frame = net.line
    vn = net.bus["vn_kv"].reindex(frame["from_bus"]).to_numpy(float)
    parallel = _optional(frame, "parallel", 1.0)
    z_base = vn**2  # ohm on 1 MVA
    length = frame["length_km"].to_numpy(float)
    ka = frame["max_i_ka"].to_numpy(float)
    free = np.isnan(ka) | (ka >= UNLIMITED_KA)
    s_max = SQRT3 * np.where(free, 0.0, ka) * _optional(frame, "df", 1.0) * parallel * vn * KW_PER_MW
    return pd.DataFrame(
        {
            "table": "line",
            "index": frame.index.to_numpy(),
            "tail": frame["from_bus"].to_numpy(),
            "head": frame["to_bus"].to_numpy(),
            "r": frame["r_ohm_per_km"].to_numpy(float) * length / parallel / z_base,
            "x": frame["x_ohm_per_km"].to_numpy(float) * length / parallel / z_base,
            "ratio": 1.0,
            "s_max": np.where(free, inf, s_max * _loading_limit(frame)),
            "fixed": 0.0,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": values(net, "line", "overload_curve"),
            "used": values(net, "line", "overload_used"),
        }
    )


def _tap_factor(frame: pd.DataFrame, side: str) -> np.ndarray:
    """Return 1 + (tap_pos - tap_neutral) * tap_step on the side that has the changer (ratio changers only)."""
    if "tap_pos" not in frame or "tap_side" not in frame:
        return np.ones(len(frame))
    on = (frame["tap_side"] == side).to_numpy(bool)
    if "tap_changer_type" in frame:
        on &= frame["tap_changer_type"].isin(["Ratio", "Symmetrical"]).to_numpy(bool)
    steps = _optional(frame, "tap_pos", 0.0) - _optional(frame, "tap_neutral", 0.0)
    return np.where(on, 1.0 + steps * _optional(frame, "tap_step_percent", 0.0) / 100.0, 1.0)


def _trafos(net: Any) -> pd.DataFrame:
    frame = net.trafo
    vn_hv = net.bus["vn_kv"].reindex(frame["hv_bus"]).to_numpy(float)
    vn_lv = net.bus["vn_kv"].reindex(frame["lv_bus"]).to_numpy(float)
    parallel = _optional(frame, "parallel", 1.0)
    sn = frame["sn_mva"].to_numpy(float) * parallel
    lv_rated = frame["vn_lv_kv"].to_numpy(float) * _tap_factor(frame, "lv")
    hv_rated = frame["vn_hv_kv"].to_numpy(float) * _tap_factor(frame, "hv")
    scale = (frame["vn_lv_kv"].to_numpy(float) / vn_lv) ** 2
    z = frame["vk_percent"].to_numpy(float) / 100.0 / sn * scale
    r = frame["vkr_percent"].to_numpy(float) / 100.0 / sn * scale
    return pd.DataFrame(
        {
            "table": "trafo",
            "index": frame.index.to_numpy(),
            "tail": frame["hv_bus"].to_numpy(),
            "head": frame["lv_bus"].to_numpy(),
            "r": r,
            "x": np.sqrt(np.maximum(z**2 - r**2, 0.0)),
            "ratio": (hv_rated / vn_hv) / (lv_rated / vn_lv),
            "s_max": sn * _optional(frame, "df", 1.0) * KW_PER_MW * _loading_limit(frame),
            "fixed": frame["pfe_kw"].to_numpy(float) * parallel,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": values(net, "trafo", "overload_curve"),
            "used": values(net, "trafo", "overload_used"),
        }
    )


def _impedances(net: Any) -> pd.DataFrame:
    frame = net.impedance
    sn = frame["sn_mva"].to_numpy(float)
    return pd.DataFrame(
        {
            "table": "impedance",
            "index": frame.index.to_numpy(),
            "tail": frame["from_bus"].to_numpy(),
            "head": frame["to_bus"].to_numpy(),
            "r": frame["rft_pu"].to_numpy(float) / sn,
            "x": frame["xft_pu"].to_numpy(float) / sn,
            "ratio": 1.0,
            "s_max": inf,
            "fixed": 0.0,
            "ok": frame["in_service"].to_numpy(bool),
            "curve": "",
            "used": 0.0,
        }
    )


def _trafo3ws(
    net: Any, nodes: _NodeTable, node_of_bus: dict[int, int], far: dict[tuple[str, int, int], int]
) -> pd.DataFrame:
    """A three-winding transformer is three branches that meet in a star node (pandapower's own model)."""
    rows = []
    for index, row in net.trafo3w.iterrows():
        s = {side: float(row[f"sn_{side}_mva"]) for side in ("hv", "mv", "lv")}
        pairs = {("hv", "mv"): "hv", ("mv", "lv"): "mv", ("hv", "lv"): "lv"}
        vk, vkr = {}, {}
        for (a, b), column in pairs.items():
            base = min(s[a], s[b])
            vk[(a, b)] = float(row[f"vk_{column}_percent"]) / 100.0 / base
            vkr[(a, b)] = float(row[f"vkr_{column}_percent"]) / 100.0 / base
        vx = {p: float(np.sqrt(max(vk[p] ** 2 - vkr[p] ** 2, 0.0))) for p in pairs}
        hm, ml, hl = ("hv", "mv"), ("mv", "lv"), ("hv", "lv")
        star = nodes.auxiliary(node_of_bus[int(row["hv_bus"])], f"trafo3w:{index} star point")
        for side, plus, minus in (("hv", (hm, hl), ml), ("mv", (hm, ml), hl), ("lv", (ml, hl), hm)):
            rows.append(
                {
                    "table": "trafo3w",
                    "index": index,
                    "tail": _end(far, node_of_bus, "trafo3w", int(index), int(row[f"{side}_bus"])),
                    "head": star,
                    "r": 0.5 * (vkr[plus[0]] + vkr[plus[1]] - vkr[minus]),
                    "x": 0.5 * (vx[plus[0]] + vx[plus[1]] - vx[minus]),
                    "ratio": 1.0,
                    "s_max": s[side] * KW_PER_MW,
                    "fixed": float(row["pfe_kw"]) if side == "hv" else 0.0,
                    "ok": bool(row["in_service"]),
                    "curve": "",
                    "used": 0.0,
                }
            )
    return pd.DataFrame(rows, columns=list(_BRANCH_COLUMNS)) if rows else _empty_branches()


def _blocks(n: int, branches: Branches) -> np.ndarray:
    on = branches.in_service
    graph = coo_array((np.ones(int(on.sum())), (branches.tail[on], branches.head[on])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(int)


def _read_sources(net: Any, node_of_bus: dict[int, int]) -> Sources:
    frame = net.ext_grid
    own = np.isnan(values(net, "ext_grid", "ups")) & np.isnan(values(net, "ext_grid", "storage"))
    pick = np.flatnonzero(own)
    all_names = component_names(net, "ext_grid")
    in_service = frame["in_service"].to_numpy(bool)[pick]

    def of(name: str) -> np.ndarray:
        return values(net, "ext_grid", name)[pick]

    kind = of("kind")
    running = np.array(
        [
            bool(flag) if flag is not None else k != "genset"
            for flag, k in zip(of("running"), kind, strict=True)
        ],
        dtype=bool,
    )
    return Sources(
        index=frame.index.to_numpy()[pick],
        name=[all_names[k] for k in pick],
        node=np.array([node_of_bus[int(b)] for b in frame["bus"].to_numpy()[pick]], dtype=int),
        kind=kind,
        p_max_kw=of("max_p_mw") * KW_PER_MW,
        p_min_kw=of("min_p_mw") * KW_PER_MW,
        start_s=of("start_s"),
        step_kw=of("step_mw") * KW_PER_MW,
        fuel_kwh=of("fuel_mwh") * KW_PER_MW,
        sync_group=of("sync_group"),
        parallel=of("parallel"),
        running=running,
        vm_pu=frame["vm_pu"].to_numpy(float)[pick],
        in_service=in_service,
    )


def _with_running_gensets(net: Any, grid: Grid) -> Grid:
    """A genset whose ``running`` is not given runs if, in the present switch state, it reaches any load."""
    src = grid.sources
    unknown = np.array([flag is None for flag in values(net, "ext_grid", "running")], dtype=bool)
    rows = {int(i): bool(u) for i, u in zip(net.ext_grid.index, unknown, strict=True)}
    guess = np.array(
        [k == "genset" and rows[int(i)] for k, i in zip(src.kind, src.index, strict=True)], dtype=bool
    )
    if not guess.any():
        return grid
    loaded = np.zeros(len(grid.nodes.bus), dtype=bool)
    for table in ("load", "asymmetric_load", "storage"):
        for bus in net[table]["bus"]:
            loaded[grid.node_of_bus[int(bus)]] = True
    br, sw = grid.branches, grid.switches
    tail = np.r_[br.tail[br.in_service], sw.tail[sw.closed]]
    head = np.r_[br.head[br.in_service], sw.head[sw.closed]]
    n = len(loaded)
    island = connected_components(
        coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n)), directed=False
    )[1]
    island_loaded = np.bincount(island, weights=loaded, minlength=n) > 0
    running = np.where(guess, island_loaded[island[src.node]], src.running)
    object.__setattr__(src, "running", running.astype(bool))
    return grid


def _loss_secant(efficiency: Any, p_rated_kw: float) -> tuple[float, float]:
    """Return (fixed kW, slope) of the least-squares line through P/eta - P at 20..100 % load."""
    loading = np.linspace(0.2, 1.0, 9)
    if isinstance(efficiency, int | float):
        return 0.0, 1.0 / float(efficiency) - 1.0
    table = np.asarray(efficiency, dtype=float)
    p_out = loading * p_rated_kw
    loss = p_out / np.interp(loading, table[:, 0], table[:, 1]) - p_out
    slope, fixed = np.polyfit(p_out, loss, 1)
    return max(float(fixed), 0.0), max(float(slope), 0.0)


def _read_upss(net: Any, node_of_bus: dict[int, int]) -> Upss:
    if "ups" not in net or not len(net.ups):
        empty_f, empty_i = np.zeros(0), np.zeros(0, dtype=int)
        empty_o = np.zeros(0, dtype=object)
        return Upss(
            empty_i, [], empty_i, empty_i, empty_i, empty_i, empty_i, empty_f, empty_f, empty_o, empty_f, empty_f,
            empty_f, empty_f, empty_f, empty_i, empty_o, empty_o, empty_f, empty_f, empty_f, np.zeros(0, bool),
        )  # fmt: skip
    frame = net.ups

    def of(name: str) -> np.ndarray:
        return values(net, "ups", name)

    source_of = {
        int(u): int(i)
        for i, u in zip(net.ext_grid.index, values(net, "ext_grid", "ups"), strict=True)
        if u == u
    }
    load_of = {
        int(u): int(i) for i, u in zip(net.load.index, values(net, "load", "ups"), strict=True) if u == u
    }
    rated = of("p_rated_mw") * KW_PER_MW
    s_rated = of("s_rated_mva") * KW_PER_MW
    efficiency = of("efficiency")
    secants = [_loss_secant(e, p) for e, p in zip(efficiency, rated, strict=True)]
    source = np.array([source_of[int(i)] for i in frame.index], dtype=int)
    return Upss(
        index=frame.index.to_numpy(),
        name=component_names(net, "ups"),
        in_node=np.array([node_of_bus[int(b)] for b in of("in_bus")], dtype=int),
        out_node=np.array([node_of_bus[int(b)] for b in of("out_bus")], dtype=int),
        bypass=np.full(len(frame), -1),
        source=source,
        load=np.array([load_of[int(i)] for i in frame.index], dtype=int),
        p_rated_kw=rated,
        s_rated_kva=np.where(np.isnan(s_rated), rated, s_rated),
        efficiency=efficiency,
        loss_fixed_kw=np.array([s[0] for s in secants]),
        loss_slope=np.array([s[1] for s in secants]),
        input_tan_phi=np.tan(np.arccos(np.clip(of("input_pf"), 1e-6, 1.0))),
        e_kwh=of("e_max_mwh") * KW_PER_MW * of("soc_percent") / 100.0,
        p_charge_kw=of("p_charge_mw") * KW_PER_MW,
        n_modules=of("n_modules").astype(int),
        mode=of("mode"),
        curve=of("overload_curve"),
        budget_used=of("overload_used"),
        temperature_c=of("temperature_c"),
        vm_pu=net.ext_grid["vm_pu"].reindex(source).to_numpy(float),
        in_service=of("in_service"),
    )


def _read_transfers(net: Any, node_of_bus: dict[int, int], switches: Switches) -> Transfers:
    frame = net["transfer"] if "transfer" in net else pd.DataFrame({"bus": []})

    def of(name: str) -> np.ndarray:
        return values(net, "transfer", name)

    at = {int(i): k for k, i in enumerate(switches.index)}
    return Transfers(
        index=frame.index.to_numpy(),
        name=component_names(net, "transfer"),
        kind=of("kind"),
        node=np.array([node_of_bus[int(b)] for b in of("bus")], dtype=int),
        transfer_s=of("transfer_ms") / 1000.0,
        closed_transition=of("transition") == "closed",
        auto=of("auto"),
        preferred=np.array([at.get(int(v), -1) if v == v else -1 for v in of("preferred")], dtype=int),
        retransfer_s=of("retransfer_s"),
        min_dwell_s=of("min_dwell_s"),
        dwell_left_s=of("dwell_left_s"),
        stuck=of("stuck"),
        in_service=of("in_service"),
        positions=tuple(np.flatnonzero(switches.transfer == k) for k in range(len(frame))),
    )


def _read_interlocks(net: Any, switches: Switches) -> Interlocks:
    if "interlock" not in net or not len(net.interlock):
        return Interlocks([], (), np.zeros(0, dtype=int))
    at = {int(i): k for k, i in enumerate(switches.index)}
    rows = net.interlock["switches"]
    return Interlocks(
        name=component_names(net, "interlock"),
        switches=tuple(np.array([at[int(s)] for s in row], dtype=int) for row in rows),
        max_closed=net.interlock["max_closed"].to_numpy(int),
    )


def _read_storages(net: Any, node_of_bus: dict[int, int]) -> Storages:
    frame = net.storage

    def of(name: str) -> np.ndarray:
        return values(net, "storage", name)

    soc = _optional(frame, "soc_percent", 50.0) / 100.0
    capacity = _optional(frame, "max_e_mwh", 0.0) * KW_PER_MW
    companion = {
        int(s): int(i)
        for i, s in zip(net.ext_grid.index, values(net, "ext_grid", "storage"), strict=True)
        if s == s
    }
    ac = of("coupling") == "ac"
    return Storages(
        index=frame.index.to_numpy(),
        name=component_names(net, "storage"),
        node=np.array([node_of_bus[int(b)] for b in frame["bus"]], dtype=int),
        p_charge_max_kw=np.where(ac, of("max_p_mw") * KW_PER_MW, 0.0),
        p_discharge_max_kw=np.where(ac, -of("min_p_mw") * KW_PER_MW, 0.0),
        e_usable_kwh=np.maximum(soc - of("soc_min_percent") / 100.0, 0.0)
        * capacity
        * of("efficiency_discharge"),
        e_room_kwh=(1.0 - soc) * capacity,
        p_now_kw=frame["p_mw"].to_numpy(float) * _optional(frame, "scaling", 1.0) * KW_PER_MW,
        grid_forming=of("grid_forming"),
        source=np.array([companion.get(int(i), -1) for i in frame.index], dtype=int),
        cycle_cost_per_kwh=of("cycle_cost_per_kwh"),
        in_service=frame["in_service"].to_numpy(bool),
    )


def _injections(net: Any, n: int, node_of_bus: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    p_kw, q_kvar = np.zeros(n), np.zeros(n)

    def add(bus: Any, p: np.ndarray, q: np.ndarray, on: np.ndarray) -> None:
        at = np.array([node_of_bus[int(b)] for b in bus], dtype=int)
        np.add.at(p_kw, at, np.where(on, p, 0.0) * KW_PER_MW)
        np.add.at(q_kvar, at, np.where(on, q, 0.0) * KW_PER_MW)

    if len(net.sgen):
        scale = _optional(net.sgen, "scaling", 1.0)
        add(
            net.sgen["bus"],
            net.sgen["p_mw"] * scale,
            net.sgen["q_mvar"] * scale,
            net.sgen["in_service"].to_numpy(bool),
        )
    if len(net.gen):
        add(
            net.gen["bus"],
            net.gen["p_mw"] * _optional(net.gen, "scaling", 1.0),
            np.zeros(len(net.gen)),
            net.gen["in_service"].to_numpy(bool),
        )
    if len(net.asymmetric_sgen):
        frame, scale = net.asymmetric_sgen, _optional(net.asymmetric_sgen, "scaling", 1.0)
        p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_numpy() * scale
        q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].sum(axis=1).to_numpy() * scale
        add(frame["bus"], p, q, frame["in_service"].to_numpy(bool))
    if len(net.shunt):
        frame = net.shunt
        step = _optional(frame, "step", 1.0)
        add(frame["bus"], -frame["p_mw"] * step, -frame["q_mvar"] * step, frame["in_service"].to_numpy(bool))
    return p_kw, q_kvar
