"""The three-phase run on power-grid-model: its tables from a network, ``res_*_3ph`` from its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pdnopt.acflow.cases import FlowCases
from pdnopt.acflow.companions import INVERTING, set_companions
from pdnopt.acflow.engine import FlowEngine
from pdnopt.acflow.model import Model
from pdnopt.acflow.three_phase import PHASES, UPS_TOLERANCE, prepare, write_ups_3ph
from pdnopt.errors import InputError, Issue, PowerFlowError
from pdnopt.plant.names import component_name
from pdnopt.units import SQRT3

__all__ = ["run"]

W_PER_MW = 1e6
WINDINGS = {"dyn": (2, 1), "ynyn": (1, 1), "yy": (0, 0), "yd": (0, 2), "dy": (2, 0), "dd": (2, 2)}
"""power-grid-model's winding types (0 wye, 1 wye_n, 2 delta) of pandapower's vector groups."""

ERROR_TOLERANCE_PU = 1e-8


def run(net: Any) -> None:
    """Run in place: companions; ``res_ups`` and ``res_*_3ph`` of bus, line, trafo and ext_grid.

    Raises
    ------
    InputError
        What power-grid-model does not hold phase by phase, each named: delta loads, three-winding
        transformers, impedances, vector groups other than Dyn, YNyn, Yy, Yd, Dy, Dd or whose shift is not a
        clock number they can have, ``vk0_percent`` unlike ``vk_percent``.
    PowerFlowError
        No convergence.
    """
    from power_grid_model import PowerGridModel
    from power_grid_model.errors import PowerGridError

    prepare(net)
    engine = FlowEngine(net)
    m = engine.model
    issues = _not_held(net, m)
    if issues:
        raise InputError(issues)
    mode = m.ups.mode[None]
    closed = engine._closed(FlowCases(), mode, 1)
    status = engine._statuses(FlowCases(), mode, closed, 1)
    tables = _tables(net, m, status)
    p_in = np.zeros(m.ups.n)
    p = q = np.zeros((m.ups.n, 3))
    for _ in range(m.ups.n + 3):
        set_companions(net, m.ups, p_in)
        tables |= _load_tables(net, tables)
        try:
            out: Any = PowerGridModel(tables).calculate_power_flow(
                symmetric=False, error_tolerance=ERROR_TOLERANCE_PU
            )
        except PowerGridError as error:
            raise PowerFlowError(f"the three-phase power flow did not converge: {error}") from error
        on = np.isin(m.ups.mode, INVERTING)[:, None]
        p = np.where(on, out["source"]["p"][m.ups.source], 0.0) / 1e3
        q = np.where(on, out["source"]["q"][m.ups.source], 0.0) / 1e3
        live = out["node"]["energized"][m.ups.in_bus] != 0
        new = np.where((m.ups.mode == "online") & live, m.ups.input_kw(p.sum(axis=1)), 0.0)
        if (np.abs(new - p_in) <= UPS_TOLERANCE * m.ups.p_rated_kw).all():
            break
        p_in = new
    else:
        raise PowerFlowError("UPSs that feed each other do not settle: look for a ring of UPSs.")
    _write(net, m, out)
    write_ups_3ph(net, m.ups, p, q, p_in)


def _not_held(net: Any, m: Model) -> list[Issue]:
    issues: list[Issue] = []

    def refuse(table: str, rows: Any, column: str, allowed: str) -> None:
        issues.extend(
            Issue(
                "NotHeld",
                f"net.{table}.{column}",
                component_name(net, table, int(i)),
                net[table].at[i, column] if column in net[table] else None,
                allowed,
                "Use engine='pandapower', or leave the element out of service.",
            )
            for i in net[table].index[np.asarray(rows, dtype=bool) & net[table]["in_service"].to_numpy(bool)]
        )

    for table in ("trafo3w", "impedance"):
        refuse(table, np.ones(len(net[table]), bool), "name", "lines and two-winding transformers")
    for table in ("load", "asymmetric_load", "sgen", "asymmetric_sgen"):
        refuse(table, net[table]["type"] == "delta", "type", "'wye': power-grid-model has no delta loads")
    trafo = net.trafo
    group = _groups(net)
    known = np.array([g in WINDINGS for g in group], dtype=bool)
    refuse("trafo", ~known, "vector_group", "Dyn, YNyn, Yy, Yd, Dy, Dd")
    clock = np.degrees(m.branches.shift_rad[m.trafo_rows]) / 30
    odd = np.array([("d" in g) != (g == "dd") for g in group], dtype=bool)
    fits = (np.abs(clock - np.round(clock)) < 1e-9) & ((np.round(clock).astype(int) % 2 == 1) == odd)
    refuse("trafo", known & ~fits, "shift_degree", "a clock number that the vector group can have")
    for a, b in (("vk0_percent", "vk_percent"), ("vkr0_percent", "vkr_percent")):
        differs = ~np.isclose(trafo[a].to_numpy(float), trafo[b].to_numpy(float)) & (
            trafo[a].to_numpy(float) != 0
        )
        refuse(
            "trafo",
            differs & np.isin(group, ("dyn", "ynyn")),
            a,
            f"{b}: zero sequence is the positive sequence",
        )
    return issues


def _groups(net: Any) -> list[str]:
    if "vector_group" not in net.trafo:
        return [""] * len(net.trafo)
    return [str(g).lower() for g in net.trafo["vector_group"]]


def _tables(net: Any, m: Model, status: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return nodes, branches, links, sources and shunts with their statuses; ids as in the Model."""
    from power_grid_model import initialize_array

    br = m.branches
    tables: dict[str, np.ndarray] = {
        name: m.tables[name].copy() for name in ("node", "link", "source", "shunt") if name in m.tables
    }
    for name in ("link", "source"):
        if name in tables:
            for column, value in status[name].items():
                tables[name][column] = value[0]
    tables["source"]["z01_ratio"] = 1.0
    if "shunt" in tables:
        tables["shunt"]["g0"], tables["shunt"]["b0"] = tables["shunt"]["g1"], tables["shunt"]["b1"]
    first = int(m.tables["generic_branch"]["id"][0]) if "generic_branch" in m.tables else 0
    ends = status.get("generic_branch", {})
    omega = 2 * np.pi * net.f_hz

    def branch(name: str, rows: np.ndarray) -> np.ndarray:
        table = initialize_array("input", name, len(rows))
        table["id"] = first + rows
        table["from_node"], table["to_node"] = br.tail[rows], br.head[rows]
        table["from_status"], table["to_status"] = ends["from_status"][0, rows], ends["to_status"][0, rows]
        return np.asarray(table)

    plain = np.r_[np.arange(len(br.tail))[m.line_rows], np.arange(len(br.tail))[m.weak_rows]]
    if len(plain):
        table = branch("line", plain)
        table["r1"], table["x1"] = br.r_ohm[plain], br.x_ohm[plain]
        table["c1"] = br.b_s[plain] / omega
        table["tan1"] = np.where(
            br.b_s[plain] != 0, br.g_s[plain] / np.where(br.b_s[plain] != 0, br.b_s[plain], 1), 0.0
        )
        table["r0"], table["x0"], table["c0"], table["tan0"] = (
            table["r1"],
            table["x1"],
            table["c1"],
            table["tan1"],
        )
        n, line = len(net.line), net.line
        length = line["length_km"].to_numpy(float)
        parallel = line["parallel"].to_numpy(float)
        table["r0"][:n] = line["r0_ohm_per_km"].to_numpy(float) * length / parallel
        table["x0"][:n] = line["x0_ohm_per_km"].to_numpy(float) * length / parallel
        table["c0"][:n] = line["c0_nf_per_km"].to_numpy(float) * 1e-9 * length * parallel
        table["tan0"][:n] = 0.0
        tables["line"] = table
    rows = np.arange(len(br.tail))[m.trafo_rows]
    if len(rows):
        table = branch("transformer", rows)
        sn = net.trafo["sn_mva"].to_numpy(float) * net.trafo["parallel"].to_numpy(float) * W_PER_MW
        u2 = m.vn_kv[br.head[rows]] * 1e3
        z_base = u2**2 / sn
        table["u1"], table["u2"], table["sn"] = br.ratio[rows] * m.vn_kv[br.tail[rows]] * 1e3, u2, sn
        table["uk"] = np.hypot(br.r_ohm[rows], br.x_ohm[rows]) / z_base
        table["pk"] = br.r_ohm[rows] / z_base * sn
        table["i0"] = np.hypot(br.g_s[rows], br.b_s[rows]) * z_base
        table["p0"] = br.g_s[rows] * u2**2
        winding = np.array([WINDINGS[g] for g in _groups(net)])
        table["winding_from"], table["winding_to"] = winding[:, 0], winding[:, 1]
        table["clock"] = np.round(np.degrees(br.shift_rad[rows]) / 30).astype(int) % 12
        table["tap_side"], table["tap_pos"], table["tap_min"], table["tap_max"], table["tap_size"] = (
            0,
            0,
            0,
            0,
            0.0,
        )
        tables["transformer"] = table
    return tables


def _load_tables(net: Any, tables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the load tables: symmetric ones by row and kind, asymmetric ones by row; generators negative."""
    from power_grid_model import initialize_array

    at = pd.Index(net.bus.index)
    next_id = 1 + max(
        int(t["id"].max()) for name, t in tables.items() if len(t) and not name.endswith("load")
    )
    node, kind, p, q = [], [], [], []
    for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
        frame = net[table]
        scale = (frame["scaling"] * frame["in_service"].astype(float)).to_numpy(float) * sign * W_PER_MW
        bus = at.get_indexer(frame["bus"].to_numpy(int))
        share = {c: np.zeros(len(frame)) for c in ("z_p", "i_p", "z_q", "i_q")}
        if table == "load":
            for c in share:
                if f"const_{c}_percent" in frame:
                    share[c] = frame[f"const_{c}_percent"].fillna(0.0).to_numpy(float) / 100
        for type_, part_p, part_q in (
            (0, 1 - share["z_p"] - share["i_p"], 1 - share["z_q"] - share["i_q"]),
            (1, share["z_p"], share["z_q"]),
            (2, share["i_p"], share["i_q"]),
        ):
            use = (part_p != 0) | (part_q != 0)
            node.append(bus[use])
            kind.append(np.full(int(use.sum()), type_))
            p.append((frame["p_mw"].to_numpy(float) * scale * part_p)[use])
            q.append((frame["q_mvar"].to_numpy(float) * scale * part_q)[use])
    out = {}
    n = sum(map(len, node))
    if n:
        table = initialize_array("input", "sym_load", n)
        table["id"] = next_id + np.arange(n)
        table["node"], table["type"], table["status"] = np.concatenate(node), np.concatenate(kind), 1
        table["p_specified"], table["q_specified"] = np.concatenate(p), np.concatenate(q)
        out["sym_load"] = table
    rows = [(t, s) for t, s in (("asymmetric_load", 1.0), ("asymmetric_sgen", -1.0)) if len(net[t])]
    if rows:
        table = initialize_array("input", "asym_load", sum(len(net[t]) for t, _ in rows))
        table["id"] = next_id + n + np.arange(len(table))
        table["type"], table["status"] = 0, 1
        table["node"] = np.concatenate([at.get_indexer(net[t]["bus"].to_numpy(int)) for t, _ in rows])
        for column, names in (
            ("p_specified", [f"p_{k}_mw" for k in PHASES]),
            ("q_specified", [f"q_{k}_mvar" for k in PHASES]),
        ):
            parts = []
            for t, sign in rows:
                scale = (
                    (net[t]["scaling"] * net[t]["in_service"].astype(float)).to_numpy(float) * sign * W_PER_MW
                )
                parts.append(net[t][names].to_numpy(float) * scale[:, None])
            table[column] = np.concatenate(parts)
        out["asym_load"] = table
    return out


def _by_phase(pattern: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {pattern.format(k): values[:, j] for j, k in enumerate(PHASES)}


def _write(net: Any, m: Model, out: dict[str, np.ndarray]) -> None:
    node = out["node"][: m.n_bus]
    dead = (node["energized"] == 0)[:, None]
    vm = np.where(dead, np.nan, node["u_pu"])
    angle = np.where(dead, np.nan, node["u_angle"])
    turn = np.exp(2j * np.pi / 3)
    phasor = vm * np.exp(1j * angle)
    one = phasor @ np.array([1, turn, turn**2]) / 3
    two = phasor @ np.array([1, turn**2, turn]) / 3
    net.res_bus_3ph = pd.DataFrame(
        {
            **_by_phase("vm_{}_pu", vm),
            **_by_phase("va_{}_degree", np.degrees(angle)),
            **_by_phase("p_{}_mw", np.where(dead, 0.0, -node["p"] / W_PER_MW)),
            **_by_phase("q_{}_mvar", np.where(dead, 0.0, -node["q"] / W_PER_MW)),
            "unbalance_percent": 100 * np.abs(two) / np.abs(one),
        },
        index=net.bus.index,
    )
    source = out["source"]
    net.res_ext_grid_3ph = pd.DataFrame(
        {**_by_phase("p_{}_mw", source["p"] / W_PER_MW), **_by_phase("q_{}_mvar", source["q"] / W_PER_MW)},
        index=net.ext_grid.index,
    )
    if "line" in out and len(net.line):
        line = out["line"][: len(net.line)]
        net.res_line_3ph = _branch_frame(net, "line", line, ("from", "to"), m)
        ends = (("from", m.branches.tail[m.line_rows]), ("to", m.branches.head[m.line_rows]))
        neutral = [_neutral_ka(line, end, phasor[at] * m.vn_kv[at, None]) for end, at in ends]
        net.res_line_3ph["i_n_from_ka"], net.res_line_3ph["i_n_to_ka"] = neutral
        net.res_line_3ph["i_n_ka"] = np.maximum(*neutral)
    if "transformer" in out:
        net.res_trafo_3ph = _branch_frame(net, "trafo", out["transformer"], ("hv", "lv"), m)


def _branch_frame(net: Any, table: str, b: np.ndarray, sides: tuple[str, str], m: Model) -> pd.DataFrame:
    """pandapower's columns of ``res_line_3ph`` or ``res_trafo_3ph``."""
    columns: dict[str, np.ndarray] = {}
    current = []
    for side, end in zip(sides, ("from", "to"), strict=True):
        p, q = b[f"p_{end}"] / W_PER_MW, b[f"q_{end}"] / W_PER_MW
        i = b[f"i_{end}"] / 1e3
        current.append(i)
        columns |= _by_phase(f"p_{{}}_{side}_mw", p) | _by_phase(f"q_{{}}_{side}_mvar", q)
        columns |= _by_phase(f"i_{{}}_{side}_ka", i)
    columns |= _by_phase("pl_{}_mw", (b["p_from"] + b["p_to"]) / W_PER_MW)
    columns |= _by_phase("ql_{}_mvar", (b["q_from"] + b["q_to"]) / W_PER_MW)
    if table == "line":
        worst = np.maximum(*current)
        columns |= _by_phase("i_{}_ka", worst)
        loading = 100 * worst / m.line_limit_ka[:, None]
    else:
        loading = 100 * np.maximum(current[0] / m.trafo_limit_ka[:, :1], current[1] / m.trafo_limit_ka[:, 1:])
    columns |= _by_phase("loading_{}_percent", loading)
    columns["loading_percent"] = loading.max(axis=1)
    return pd.DataFrame(columns, index=net[table].index)


def _neutral_ka(b: np.ndarray, end: str, volt_kv: np.ndarray) -> np.ndarray:
    """Return the sum of the phase currents at one end, kA; ``volt_kv`` are phasors times the line voltage."""
    power = (b[f"p_{end}"] + 1j * b[f"q_{end}"]) / W_PER_MW
    with np.errstate(invalid="ignore"):
        current = np.conj(power / (volt_kv / SQRT3))
    return np.asarray(np.abs(np.nan_to_num(current).sum(axis=1)))
