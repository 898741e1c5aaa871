"""pandapower's ``res_*`` tables, written from one case of the flow engine. MW, Mvar, kA, degree, percent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pdnopt.acflow.model import Model, motor_power
from pdnopt.units import KW_PER_MW

if TYPE_CHECKING:
    from pdnopt.acflow.cases import FlowResult
    from pdnopt.acflow.engine import Solution

__all__ = ["write_results", "write_ups"]

W_PER_MW = 1e6


def write_results(net: Any, model: Model, solution: Solution, result: FlowResult) -> None:
    """Write every res_ table of a network from the first case. The companions must be set already.

    Parameters
    ----------
    net : pandapowerNet
        Changed in place: only its ``res_*`` tables and ``converged``.
    """
    node, branch = solution.node, {name: value[0] for name, value in solution.branch.items()}
    live = node["energized"][0] != 0
    vm = np.where(live, node["u_pu"][0], np.nan)
    va = np.where(live, np.degrees(node["u_angle"][0]), np.nan)
    _branch_tables(net, model, branch, _end_voltages(model, solution), result)
    _element_tables(net, vm[: model.n_bus], result)
    p_bus, q_bus = _bus_power(net)
    off = ~net.bus["in_service"].to_numpy(bool)
    p_bus[off], q_bus[off] = np.nan, np.nan
    net.res_bus = _frame(
        net, "bus", vm_pu=vm[: model.n_bus], va_degree=va[: model.n_bus], p_mw=p_bus, q_mvar=q_bus
    )
    net.res_switch = _frame(
        net,
        "switch",
        i_ka=result.switch_i_ka[0],
        loading_percent=_switch_loading(net, result.switch_i_ka[0]),
        p_from_mw=result.switch_p_kw[0] / KW_PER_MW,
        q_from_mvar=result.switch_q_kvar[0] / KW_PER_MW,
        p_to_mw=-result.switch_p_kw[0] / KW_PER_MW,
        q_to_mvar=-result.switch_q_kvar[0] / KW_PER_MW,
    )
    weak = model.weak
    for name, column in (("p_to", "p_to_mw"), ("q_to", "q_to_mvar")):
        values = net.res_switch[column].to_numpy().copy()
        values[weak] = branch[name][model.weak_rows] / W_PER_MW * model.closed[weak]
        net.res_switch[column] = values
    if "ups" in net:
        write_ups(
            net,
            result.ups_p_out_kw[0],
            result.ups_q_out_kvar[0],
            result.ups_p_in_kw[0],
            result.ups_loading_percent[0],
        )
    net.converged = True


def write_ups(
    net: Any, p_out_kw: np.ndarray, q_out_kvar: np.ndarray, p_in_kw: np.ndarray, loading: np.ndarray
) -> None:
    """Write ``res_ups`` in place, arrays of shape (n_ups,)."""
    net["res_ups"] = _frame(
        net,
        "ups",
        p_out_mw=p_out_kw / KW_PER_MW,
        q_out_mvar=q_out_kvar / KW_PER_MW,
        p_in_mw=p_in_kw / KW_PER_MW,
        loading_percent=loading,
    )


def _frame(net: Any, table: str, **columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(columns, index=net[table].index)


def _switch_loading(net: Any, i_ka: np.ndarray) -> np.ndarray:
    """Current over ``in_ka`` in percent; NaN without a rating."""
    if "in_ka" not in net.switch:
        return np.full(len(i_ka), np.nan)
    rated = net.switch["in_ka"].to_numpy(float)
    return np.where(rated > 0, 100.0 * i_ka / np.where(rated > 0, rated, 1.0), np.nan)


def _end_voltages(m: Model, solution: Solution) -> np.ndarray:
    """Return the complex voltage at both ends of each branch, pu, shape (2, B).

    An open end of a live branch has the no-load voltage of its pi (pandapower shows that too); NaN if dead.
    """
    br, node = m.branches, solution.node
    v = np.where(node["energized"][0] != 0, node["u_pu"][0] * np.exp(1j * node["u_angle"][0]), np.nan)
    volt = np.stack([v[br.tail], v[br.head]])
    series = 1 / (br.r_ohm + 1j * br.x_ohm)
    no_load = series / (series + 0.5 * (br.g_s + 1j * br.b_s))
    ratio = br.ratio * np.exp(1j * br.shift_rad)
    tail_on, head_on = solution.ends[0, :, 0] != 0, solution.ends[0, :, 1] != 0
    only_tail, only_head = tail_on & ~head_on, head_on & ~tail_on
    gated = np.zeros((2, len(br.tail)), dtype=bool)
    opened = ~solution.closed[0, m.gate]
    gated[m.gate_side[opened], m.gate_branch[opened]] = True
    volt[1] = np.where(only_tail, volt[0] / ratio * no_load, volt[1])
    volt[0] = np.where(only_head, volt[1] * ratio * no_load, volt[0])
    volt[:, gated.all(axis=0)] = np.nan
    return np.asarray(volt)


def _branch_tables(
    net: Any, m: Model, b: dict[str, np.ndarray], volt: np.ndarray, result: FlowResult
) -> None:
    def ends(rows: slice, tail: str, head: str) -> dict[str, np.ndarray]:
        p = b["p_from"][rows] / W_PER_MW, b["p_to"][rows] / W_PER_MW
        q = b["q_from"][rows] / W_PER_MW, b["q_to"][rows] / W_PER_MW
        return {
            f"p_{tail}_mw": p[0],
            f"q_{tail}_mvar": q[0],
            f"p_{head}_mw": p[1],
            f"q_{head}_mvar": q[1],
            "pl_mw": p[0] + p[1],
            "ql_mvar": q[0] + q[1],
            f"i_{tail}_ka": b["i_from"][rows] / 1e3,
            f"i_{head}_ka": b["i_to"][rows] / 1e3,
        }

    def volts(rows: slice, tail: str, head: str) -> dict[str, np.ndarray]:
        return {
            f"vm_{tail}_pu": vm[0, rows],
            f"va_{tail}_degree": va[0, rows],
            f"vm_{head}_pu": vm[1, rows],
            f"va_{head}_degree": va[1, rows],
        }

    vm, va = np.abs(volt), np.degrees(np.angle(volt))

    rows = m.line_rows
    net.res_line = _frame(
        net,
        "line",
        **ends(rows, "from", "to"),
        i_ka=result.line_i_ka[0],
        **volts(rows, "from", "to"),
        loading_percent=result.line_loading_percent[0],
    )
    rows = m.trafo_rows
    net.res_trafo = _frame(
        net,
        "trafo",
        **ends(rows, "hv", "lv"),
        **volts(rows, "hv", "lv"),
        loading_percent=result.trafo_loading_percent[0],
    )
    rows = m.branches.of("impedance")
    net.res_impedance = _frame(net, "impedance", **ends(rows, "from", "to"))
    rows = m.trafo3w_rows
    n = len(net.trafo3w)
    hv, mv, lv = (slice(rows.start + k * n, rows.start + (k + 1) * n) for k in range(3))
    p = {"hv": b["p_from"][hv], "mv": b["p_to"][mv], "lv": b["p_to"][lv]}
    q = {"hv": b["q_from"][hv], "mv": b["q_to"][mv], "lv": b["q_to"][lv]}
    i = {"hv": b["i_from"][hv], "mv": b["i_to"][mv], "lv": b["i_to"][lv]}
    place = {"hv": (0, hv), "mv": (1, mv), "lv": (1, lv)}
    star = (1, hv)
    columns: dict[str, np.ndarray] = {}
    for s in p:
        columns |= {f"p_{s}_mw": p[s] / W_PER_MW, f"q_{s}_mvar": q[s] / W_PER_MW}
    columns |= {"pl_mw": sum(p.values()) / W_PER_MW, "ql_mvar": sum(q.values()) / W_PER_MW}  # type: ignore[dict-item]
    columns |= {f"i_{s}_ka": i[s] / 1e3 for s in i}
    for s, at in place.items():
        columns |= {f"vm_{s}_pu": vm[at], f"va_{s}_degree": va[at]}
    columns |= {"va_internal_degree": va[star], "vm_internal_pu": vm[star]}
    net.res_trafo3w = _frame(net, "trafo3w", **columns, loading_percent=result.trafo3w_loading_percent[0])


def _element_tables(net: Any, vm: np.ndarray, result: FlowResult) -> None:
    """Write what loads, generators, shunts and wards take, at the voltage found."""
    at = pd.Index(net.bus.index)

    def volt(table: str) -> np.ndarray:
        return np.asarray(vm[at.get_indexer(net[table]["bus"].to_numpy(int))])

    def constant(table: str, p: np.ndarray, q: np.ndarray) -> None:
        on = net[table]["in_service"].to_numpy(bool) & ~np.isnan(volt(table))
        net[f"res_{table}"] = _frame(net, table, p_mw=np.where(on, p, 0.0), q_mvar=np.where(on, q, 0.0))

    net.res_ext_grid = _frame(
        net,
        "ext_grid",
        p_mw=result.ext_grid_p_kw[0] / KW_PER_MW,
        q_mvar=result.ext_grid_q_kvar[0] / KW_PER_MW,
    )
    load, v = net.load, volt("load")
    zip_factor = {}
    for axis in "pq":
        z, i = (
            load[f"const_{c}_{axis}_percent"].fillna(0.0).to_numpy(float) / 100
            if f"const_{c}_{axis}_percent" in load
            else 0.0
            for c in "zi"
        )
        zip_factor[axis] = 1 - z - i + i * v + z * v**2
    scale = load["scaling"].to_numpy(float)
    constant(
        "load",
        load["p_mw"].to_numpy(float) * scale * zip_factor["p"],
        load["q_mvar"].to_numpy(float) * scale * zip_factor["q"],
    )
    for table in ("sgen", "storage"):
        scale = net[table]["scaling"].to_numpy(float)
        constant(
            table, net[table]["p_mw"].to_numpy(float) * scale, net[table]["q_mvar"].to_numpy(float) * scale
        )
    for table in ("asymmetric_load", "asymmetric_sgen"):
        frame, scale = net[table], net[table]["scaling"].to_numpy(float)
        p = frame[["p_a_mw", "p_b_mw", "p_c_mw"]].sum(axis=1).to_numpy(float)
        q = frame[["q_a_mvar", "q_b_mvar", "q_c_mvar"]].sum(axis=1).to_numpy(float)
        constant(table, p * scale, q * scale)
    constant("motor", *motor_power(net))
    ward, v = net.ward, volt("ward")
    constant(
        "ward",
        (ward["ps_mw"] + ward["pz_mw"] * v**2).to_numpy(float),
        (ward["qs_mvar"] + ward["qz_mvar"] * v**2).to_numpy(float),
    )
    net.res_ward["vm_pu"] = v
    shunt, v = net.shunt, volt("shunt")
    rated = at.get_indexer(shunt["bus"].to_numpy(int))
    scale = (
        shunt["step"].to_numpy(float)
        * (v * net.bus["vn_kv"].to_numpy(float)[rated] / shunt["vn_kv"].to_numpy(float)) ** 2
    )
    constant("shunt", shunt["p_mw"].to_numpy(float) * scale, shunt["q_mvar"].to_numpy(float) * scale)
    net.res_shunt["vm_pu"] = v


CONSUMERS = ("load", "storage", "asymmetric_load", "motor", "ward", "shunt")
PRODUCERS = ("ext_grid", "sgen", "asymmetric_sgen")


def _bus_power(net: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what the elements at each bus draw in all, MW and Mvar, shape (n_bus,)."""
    at = pd.Index(net.bus.index)
    p, q = np.zeros(len(at)), np.zeros(len(at))
    for tables, sign in ((CONSUMERS, 1.0), (PRODUCERS, -1.0)):
        for table in tables:
            bus = at.get_indexer(net[table]["bus"].to_numpy(int))
            np.add.at(p, bus, sign * net[f"res_{table}"]["p_mw"].to_numpy(float))
            np.add.at(q, bus, sign * net[f"res_{table}"]["q_mvar"].to_numpy(float))
    return p, q
